//! Properties: one table says for each its identifier, type, and the packets that may carry it (§2.2.2.2).
//!
//! A set of properties stays in its encoded form: nothing is allocated per property, and a store writes it as it is.

mod set;

use core::fmt;

pub use set::{InvalidProperty, Iter, Properties};

use crate::{
    error::Rule,
    packet::PacketType,
    text::{InvalidString, MAX_FIELD},
    topic::check_name,
};

/// Packets as bits: bit n is packet type n, bit 0 the will within CONNECT.
mod carrier {
    use crate::packet::PacketType as P;

    pub(super) const WILL: u16 = 1;
    pub(super) const CONNECT: u16 = 1 << P::Connect as u16;
    pub(super) const CONNACK: u16 = 1 << P::ConnAck as u16;
    pub(super) const PUBLISH: u16 = 1 << P::Publish as u16;
    pub(super) const SUBSCRIBE: u16 = 1 << P::Subscribe as u16;
    pub(super) const DISCONNECT: u16 = 1 << P::Disconnect as u16;
    pub(super) const AUTH: u16 = 1 << P::Auth as u16;
    /// Packets with a reason code.
    pub(super) const REASON: u16 = CONNACK
        | 1 << P::PubAck as u16
        | 1 << P::PubRec as u16
        | 1 << P::PubRel as u16
        | 1 << P::PubComp as u16
        | 1 << P::SubAck as u16
        | 1 << P::UnsubAck as u16
        | DISCONNECT
        | AUTH;
    pub(super) const ALL: u16 = REASON | WILL | CONNECT | PUBLISH | SUBSCRIBE | 1 << P::Unsubscribe as u16;
}

/// Where a set of properties stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete: a packet, or the will within CONNECT")]
pub enum Carrier {
    /// In the variable header of a packet.
    Packet(PacketType),
    /// In CONNECT's payload, for the will (§3.1.3.2).
    Will,
}

impl Carrier {
    const fn bit(self) -> u16 {
        match self {
            Self::Packet(packet) => 1 << packet as u16,
            Self::Will => carrier::WILL,
        }
    }
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Packet(packet) => packet.fmt(f),
            Self::Will => f.write_str("a will"),
        }
    }
}

/// How a property's value is encoded (§2.2.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Byte,
    U16,
    U32,
    Var,
    Str,
    Bin,
    Pair,
}

macro_rules! properties {
    ($($id:literal $variant:ident $name:literal $kind:ident [$($carrier:ident)|+];)*) => {
        /// The identifier of a property (§2.2.2.2).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum PropertyId {
            $(#[doc = concat!($name, ".")] $variant = $id,)*
        }

        impl PropertyId {
            /// All properties of the specification, smallest identifier first.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The property for an identifier of the wire, if the specification has one.
            pub const fn from_byte(byte: u8) -> Option<Self> {
                match byte {
                    $($id => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The specification's name of the property.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            const fn kind(self) -> Kind {
                match self {
                    $(Self::$variant => Kind::$kind,)*
                }
            }

            const fn carriers(self) -> u16 {
                match self {
                    $(Self::$variant => $(carrier::$carrier)|+,)*
                }
            }
        }
    };
}

properties! {
    0x01 PayloadFormatIndicator "Payload Format Indicator" Byte [PUBLISH | WILL];
    0x02 MessageExpiryInterval "Message Expiry Interval" U32 [PUBLISH | WILL];
    0x03 ContentType "Content Type" Str [PUBLISH | WILL];
    0x08 ResponseTopic "Response Topic" Str [PUBLISH | WILL];
    0x09 CorrelationData "Correlation Data" Bin [PUBLISH | WILL];
    0x0B SubscriptionIdentifier "Subscription Identifier" Var [SUBSCRIBE | PUBLISH];
    0x11 SessionExpiryInterval "Session Expiry Interval" U32 [CONNECT | CONNACK | DISCONNECT];
    0x12 AssignedClientIdentifier "Assigned Client Identifier" Str [CONNACK];
    0x13 ServerKeepAlive "Server Keep Alive" U16 [CONNACK];
    0x15 AuthenticationMethod "Authentication Method" Str [CONNECT | CONNACK | AUTH];
    0x16 AuthenticationData "Authentication Data" Bin [CONNECT | CONNACK | AUTH];
    0x17 RequestProblemInformation "Request Problem Information" Byte [CONNECT];
    0x18 WillDelayInterval "Will Delay Interval" U32 [WILL];
    0x19 RequestResponseInformation "Request Response Information" Byte [CONNECT];
    0x1A ResponseInformation "Response Information" Str [CONNACK];
    0x1C ServerReference "Server Reference" Str [CONNACK | DISCONNECT];
    0x1F ReasonString "Reason String" Str [REASON];
    0x21 ReceiveMaximum "Receive Maximum" U16 [CONNECT | CONNACK];
    0x22 TopicAliasMaximum "Topic Alias Maximum" U16 [CONNECT | CONNACK];
    0x23 TopicAlias "Topic Alias" U16 [PUBLISH];
    0x24 MaximumQoS "Maximum QoS" Byte [CONNACK];
    0x25 RetainAvailable "Retain Available" Byte [CONNACK];
    0x26 UserProperty "User Property" Pair [ALL];
    0x27 MaximumPacketSize "Maximum Packet Size" U32 [CONNECT | CONNACK];
    0x28 WildcardSubscriptionAvailable "Wildcard Subscription Available" Byte [CONNACK];
    0x29 SubscriptionIdentifiersAvailable "Subscription Identifiers Available" Byte [CONNACK];
    0x2A SharedSubscriptionAvailable "Shared Subscription Available" Byte [CONNACK];
}

impl PropertyId {
    /// True when `carrier` may have this property.
    pub const fn allowed_in(self, carrier: Carrier) -> bool {
        self.carriers() & carrier.bit() != 0
    }

    /// True when `carrier` may have it more than once: User Property anywhere, and Subscription Identifier in PUBLISH,
    /// where a server puts one for each subscription that matched (§3.3.2.3.8).
    pub const fn repeatable_in(self, carrier: Carrier) -> bool {
        match self {
            Self::UserProperty => true,
            Self::SubscriptionIdentifier => matches!(carrier, Carrier::Packet(PacketType::Publish)),
            _ => false,
        }
    }
}

impl fmt::Display for PropertyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The value of a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete: the types of §2.2.2.2")]
pub enum Value<'a> {
    /// A Byte; yes/no properties are 0 or 1.
    Byte(u8),
    /// A Two Byte Integer.
    U16(u16),
    /// A Four Byte Integer, or a Variable Byte Integer.
    U32(u32),
    /// A UTF-8 Encoded String.
    Str(&'a str),
    /// Binary Data.
    Bin(&'a [u8]),
    /// A UTF-8 String Pair.
    Pair(&'a str, &'a str),
}

impl Value<'_> {
    const fn fits(&self, kind: Kind) -> bool {
        matches!(
            (self, kind),
            (Self::Byte(_), Kind::Byte)
                | (Self::U16(_), Kind::U16)
                | (Self::U32(_), Kind::U32 | Kind::Var)
                | (Self::Str(_), Kind::Str)
                | (Self::Bin(_), Kind::Bin)
                | (Self::Pair(..), Kind::Pair)
        )
    }
}

/// What is wrong with a value, where the value itself is at fault (§3.2.2.3 and others).
fn check_value(id: PropertyId, value: Value<'_>) -> Result<(), Rule> {
    let legal = match (id, value) {
        (
            PropertyId::PayloadFormatIndicator
            | PropertyId::RequestProblemInformation
            | PropertyId::RequestResponseInformation
            | PropertyId::MaximumQoS
            | PropertyId::RetainAvailable
            | PropertyId::WildcardSubscriptionAvailable
            | PropertyId::SubscriptionIdentifiersAvailable
            | PropertyId::SharedSubscriptionAvailable,
            Value::Byte(byte),
        ) => byte <= 1,
        (PropertyId::SubscriptionIdentifier, Value::U32(id)) => (1..=crate::codec::MAX_VARINT).contains(&id),
        (PropertyId::ReceiveMaximum, Value::U16(value)) => value >= 1,
        (PropertyId::MaximumPacketSize, Value::U32(value)) => value >= 1,
        (PropertyId::TopicAlias, Value::U16(value)) => {
            return if value == 0 { Err(Rule::TopicAliasRange) } else { Ok(()) };
        }
        (PropertyId::ResponseTopic, Value::Str(topic)) => {
            // An empty one names no topic to answer to; wildcards are forbidden [MQTT-3.3.2-14].
            check_name(topic.as_bytes()).is_ok()
        }
        _ => true,
    };
    if legal { Ok(()) } else { Err(Rule::PropertyValue) }
}

fn check_text(text: &str) -> Result<(), InvalidString> {
    if text.len() > MAX_FIELD {
        Err(InvalidString::TooLong(text.len()))
    } else if text.as_bytes().contains(&0) {
        Err(InvalidString::Nul)
    } else {
        Ok(())
    }
}
