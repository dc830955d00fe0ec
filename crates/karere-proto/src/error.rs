//! What the other side did wrong: one variant for each statement that is checked.

use core::fmt;

use crate::{packet::PacketType, reason::ReasonCode};

macro_rules! rules {
    ($($(#[$doc:meta])* $variant:ident $id:literal $code:ident $text:literal;)*) => {
        /// A statement of the specification that a received packet broke.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Rule {
            $(#[doc = concat!($text, " [", $id, "].")] $variant,)*
        }

        impl Rule {
            /// Every rule.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Where the specification says it: a statement's identifier or a section.
            pub const fn id(self) -> &'static str {
                match self {
                    $(Self::$variant => $id,)*
                }
            }

            /// The reason code that tells the other side.
            pub const fn reason(self) -> ReasonCode {
                match self {
                    $(Self::$variant => ReasonCode::$code,)*
                }
            }

            /// The breach in words, to follow "server sent PUBLISH".
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

rules! {
    // Framing and data types
    RemainingLength "§1.5.5" MalformedPacket "with a Remaining Length of more than four bytes";
    PaddedLength "MQTT-1.5.5-1" MalformedPacket "with a Variable Byte Integer that is not in its shortest form";
    FixedHeaderFlags "MQTT-2.1.3-1" MalformedPacket "with reserved bits of the fixed header set wrong";
    ReservedPacketType "§2.1.2" MalformedPacket "of a packet type this version does not have";
    WrongDirection "§2.1.2" ProtocolError "which only the other side may send";
    PacketTooLarge "MQTT-3.1.2-24" PacketTooLarge "larger than the agreed Maximum Packet Size";
    Truncated "§1.2" MalformedPacket "with a field that runs past its end";
    TrailingBytes "§1.2" MalformedPacket "with bytes left over";
    Utf8 "MQTT-1.5.4-1" MalformedPacket "with a string that is not well-formed UTF-8";
    NulCharacter "MQTT-1.5.4-2" MalformedPacket "with U+0000 in a string";
    PacketIdZero "MQTT-2.2.1-4" ProtocolError "with Packet Identifier 0";
    // Properties
    PropertyUnknown "§2.2.2.2" MalformedPacket "with an unknown property";
    PropertyNotAllowed "§2.2.2.2" MalformedPacket "with a property that this packet may not carry";
    PropertyRepeated "§2.2.2.2" ProtocolError "with a property given twice";
    PropertyValue "§3.2.2.3" ProtocolError "with a value that the property may not have";
    ReasonCodeNotAllowed "MQTT-3.2.2-8" ProtocolError "with a reason code that this packet may not carry";
    // CONNECT
    ProtocolName "MQTT-3.1.2-1" UnsupportedProtocolVersion "with a protocol name that is not MQTT's";
    ProtocolLevel "MQTT-3.1.2-2" UnsupportedProtocolVersion "with a protocol version that is not supported";
    ConnectFlags "MQTT-3.1.2-3" MalformedPacket "with its reserved flag set";
    WillFlags "MQTT-3.1.2-11" MalformedPacket "with Will QoS or Will Retain but without a will";
    WillQoS "MQTT-3.1.2-12" MalformedPacket "with Will QoS 3";
    PasswordWithoutUserName "v3: MQTT-3.1.2-22" MalformedPacket "with a password but without a user name";
    ConnectTwice "MQTT-3.1.0-2" ProtocolError "for the second time on this connection";
    ConnectFirst "MQTT-3.1.0-1" ProtocolError "before CONNECT";
    ClientId "MQTT-3.1.3-5" ClientIdentifierNotValid "with a client identifier that is not accepted";
    // CONNACK
    ConnAckFirst "MQTT-3.2.0-1" ProtocolError "before CONNACK";
    SecondConnAck "MQTT-3.2.0-2" ProtocolError "for the second time on this connection";
    ConnAckFlags "MQTT-3.2.2-1" MalformedPacket "with reserved acknowledge flags set";
    SessionPresent "MQTT-3.2.2-4" ProtocolError "with Session Present although there is no session to resume";
    AssignedClientId "MQTT-3.2.2-16" ProtocolError "without the Assigned Client Identifier it owes";
    ResponseInformation "MQTT-3.1.2-28" ProtocolError "with Response Information that was not asked for";
    ProblemInformation "MQTT-3.1.2-29" ProtocolError "with problem information that was declined";
    // PUBLISH and its acknowledgements
    QoSBits "MQTT-3.3.1-4" MalformedPacket "with QoS 3";
    DupWithoutQoS "MQTT-3.3.1-2" MalformedPacket "with DUP at QoS 0";
    TopicWildcard "MQTT-3.3.2-2" TopicNameInvalid "with a wildcard in the topic name";
    TopicEmpty "MQTT-4.7.3-1" ProtocolError "without a topic name";
    TopicAliasRange "MQTT-3.3.2-8" TopicAliasInvalid "with a topic alias that is 0 or above the agreed maximum";
    TopicAliasUnknown "§3.3.4" ProtocolError "with a topic alias that was never set";
    SubscriptionIdFromClient "MQTT-3.3.4-6" ProtocolError "with a Subscription Identifier, which only a server may put in";
    ReceiveMaximum "MQTT-3.3.4-9" ReceiveMaximumExceeded "beyond the agreed Receive Maximum";
    PacketIdInUse "MQTT-2.2.1-4" ProtocolError "with a packet identifier that is still in use";
    QoSNotGranted "§3.3.4" QoSNotSupported "with a QoS above the agreed Maximum QoS";
    AckUnknown "MQTT-4.3.2-3" ProtocolError "for a packet identifier that is not in flight";
    AckMismatch "MQTT-4.3.3-4" ProtocolError "for a packet identifier whose flow waits for another packet";
    // SUBSCRIBE, UNSUBSCRIBE and their acknowledgements
    SubscribeEmpty "MQTT-3.8.3-2" ProtocolError "without a topic filter";
    SubscribeOptions "MQTT-3.8.3-5" MalformedPacket "with reserved subscription options set";
    NoLocalShared "MQTT-3.8.3-4" ProtocolError "with No Local on a shared subscription";
    UnsubscribeEmpty "MQTT-3.10.3-2" ProtocolError "without a topic filter";
    FilterInvalid "MQTT-4.7.1-1" TopicFilterInvalid "with an invalid topic filter";
    SubAckUnknown "MQTT-3.8.4-2" ProtocolError "for a SUBSCRIBE that was not sent";
    SubAckCount "MQTT-3.8.4-6" ProtocolError "with a number of reason codes that is not the number of filters";
    UnsubAckUnknown "MQTT-3.10.4-5" ProtocolError "for an UNSUBSCRIBE that was not sent";
    UnsubAckCount "MQTT-3.11.3-1" ProtocolError "with a number of reason codes that is not the number of filters";
    // DISCONNECT and AUTH
    DisconnectBeforeConnAck "MQTT-3.14.0-1" ProtocolError "before CONNACK";
    DisconnectExpiry "MQTT-3.14.2-2" ProtocolError "with a Session Expiry Interval";
    AuthMethod "§3.15.2.2.2" ProtocolError "without Authentication Method";
    AuthData "§3.1.2.11.10" ProtocolError "with Authentication Data but no Authentication Method";
    AuthUnexpected "MQTT-4.12.0-6" ProtocolError "although no authentication method was asked for";
    AuthOtherMethod "MQTT-4.12.0-5" ProtocolError "with another authentication method than CONNECT named";
    AuthReason "MQTT-4.12.0-2" ProtocolError "with a reason code that does not fit the exchange";
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.text(), self.id())
    }
}

/// A received packet broke the protocol: which packet, where in it, which rule.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProtocolError {
    /// The packet; `None` when its type is none.
    pub packet: Option<PacketType>,
    /// Where in the packet the breach was seen, in bytes after the fixed header; 0 when it concerns the packet as a whole.
    pub offset: usize,
    /// What was broken.
    pub rule: Rule,
}

impl ProtocolError {
    pub(crate) const fn new(packet: PacketType, rule: Rule) -> Self {
        Self { packet: Some(packet), offset: 0, rule }
    }

    /// The reason code that tells the other side.
    pub const fn reason(&self) -> ReasonCode {
        self.rule.reason()
    }
}

impl fmt::Debug for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProtocolError({self})")
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("received ")?;
        match self.packet {
            Some(packet) => write!(f, "{packet}")?,
            None => f.write_str("a packet")?,
        }
        write!(f, " {}", self.rule.text())?;
        if self.offset > 0 {
            write!(f, " (at byte {})", self.offset)?;
        }
        write!(f, " [{}]", self.rule.id())
    }
}

impl core::error::Error for ProtocolError {}
