//! Reason codes and where each may stand (§2.4).

use core::fmt;

use crate::packet::{PacketType, Side};

/// Where a reason code may stand; one bit for each column of the table in §2.4.
mod place {
    pub(super) const CONNACK: u16 = 1;
    pub(super) const PUB_C: u16 = 1 << 1;
    pub(super) const PUB_S: u16 = 1 << 2;
    pub(super) const PUB: u16 = PUB_C | PUB_S;
    pub(super) const REL: u16 = 1 << 3;
    pub(super) const SUBACK: u16 = 1 << 4;
    pub(super) const UNSUBACK: u16 = 1 << 5;
    pub(super) const DISC_C: u16 = 1 << 6;
    pub(super) const DISC_S: u16 = 1 << 7;
    pub(super) const AUTH_C: u16 = 1 << 8;
    pub(super) const AUTH_S: u16 = 1 << 9;
}

macro_rules! reason_codes {
    ($($code:literal $variant:ident $name:literal $places:expr;)*) => {
        /// Outcome of a packet: below 0x80 a success, from 0x80 on a failure (§2.4).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum ReasonCode {
            $(#[doc = concat!("0x", stringify!($code), ": ", $name, ".")] $variant = $code,)*
        }

        impl ReasonCode {
            /// All codes of the specification, smallest first.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The code for a byte of the wire, if the specification has one.
            pub const fn from_byte(byte: u8) -> Option<Self> {
                match byte {
                    $($code => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The specification's name of the code.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            const fn places(self) -> u16 {
                use place::*;
                match self {
                    $(Self::$variant => $places,)*
                }
            }
        }
    };
}

reason_codes! {
    0x00 Success "Success" CONNACK | PUB | REL | SUBACK | UNSUBACK | DISC_C | DISC_S | AUTH_S;
    0x01 GrantedQoS1 "Granted QoS 1" SUBACK;
    0x02 GrantedQoS2 "Granted QoS 2" SUBACK;
    0x04 DisconnectWithWillMessage "Disconnect with Will Message" DISC_C;
    0x10 NoMatchingSubscribers "No matching subscribers" PUB_S;
    0x11 NoSubscriptionExisted "No subscription existed" UNSUBACK;
    0x18 ContinueAuthentication "Continue authentication" AUTH_C | AUTH_S;
    0x19 ReAuthenticate "Re-authenticate" AUTH_C;
    0x80 UnspecifiedError "Unspecified error" CONNACK | PUB | SUBACK | UNSUBACK | DISC_C | DISC_S;
    0x81 MalformedPacket "Malformed Packet" CONNACK | DISC_C | DISC_S;
    0x82 ProtocolError "Protocol Error" CONNACK | DISC_C | DISC_S;
    0x83 ImplementationSpecificError "Implementation specific error" CONNACK | PUB | SUBACK | UNSUBACK | DISC_C | DISC_S;
    0x84 UnsupportedProtocolVersion "Unsupported Protocol Version" CONNACK;
    0x85 ClientIdentifierNotValid "Client Identifier not valid" CONNACK;
    0x86 BadUserNameOrPassword "Bad User Name or Password" CONNACK;
    0x87 NotAuthorized "Not authorized" CONNACK | PUB | SUBACK | UNSUBACK | DISC_S;
    0x88 ServerUnavailable "Server unavailable" CONNACK;
    0x89 ServerBusy "Server busy" CONNACK | DISC_S;
    0x8A Banned "Banned" CONNACK;
    0x8B ServerShuttingDown "Server shutting down" DISC_S;
    0x8C BadAuthenticationMethod "Bad authentication method" CONNACK | DISC_S;
    0x8D KeepAliveTimeout "Keep Alive timeout" DISC_S;
    0x8E SessionTakenOver "Session taken over" DISC_S;
    0x8F TopicFilterInvalid "Topic Filter invalid" SUBACK | UNSUBACK | DISC_S;
    0x90 TopicNameInvalid "Topic Name invalid" CONNACK | PUB | DISC_C | DISC_S;
    0x91 PacketIdentifierInUse "Packet Identifier in use" PUB | SUBACK | UNSUBACK;
    0x92 PacketIdentifierNotFound "Packet Identifier not found" REL;
    0x93 ReceiveMaximumExceeded "Receive Maximum exceeded" DISC_C | DISC_S;
    0x94 TopicAliasInvalid "Topic Alias invalid" DISC_C | DISC_S;
    0x95 PacketTooLarge "Packet too large" CONNACK | DISC_C | DISC_S;
    0x96 MessageRateTooHigh "Message rate too high" DISC_C | DISC_S;
    0x97 QuotaExceeded "Quota exceeded" CONNACK | PUB | SUBACK | DISC_C | DISC_S;
    0x98 AdministrativeAction "Administrative action" DISC_C | DISC_S;
    0x99 PayloadFormatInvalid "Payload format invalid" CONNACK | PUB | DISC_C | DISC_S;
    0x9A RetainNotSupported "Retain not supported" CONNACK | DISC_S;
    0x9B QoSNotSupported "QoS not supported" CONNACK | DISC_C | DISC_S;
    0x9C UseAnotherServer "Use another server" CONNACK | DISC_S;
    0x9D ServerMoved "Server moved" CONNACK | DISC_S;
    0x9E SharedSubscriptionsNotSupported "Shared Subscriptions not supported" SUBACK | DISC_S;
    0x9F ConnectionRateExceeded "Connection rate exceeded" CONNACK | DISC_S;
    0xA0 MaximumConnectTime "Maximum connect time" DISC_S;
    0xA1 SubscriptionIdentifiersNotSupported "Subscription Identifiers not supported" SUBACK | DISC_S;
    0xA2 WildcardSubscriptionsNotSupported "Wildcard Subscriptions not supported" SUBACK | DISC_S;
}

impl ReasonCode {
    /// The byte on the wire.
    pub const fn as_byte(self) -> u8 {
        self as u8
    }

    /// True from 0x80 on.
    pub const fn is_failure(self) -> bool {
        self.as_byte() >= 0x80
    }

    /// The code that grants a subscription `qos` (§3.9.3).
    pub const fn granted(qos: crate::QoS) -> Self {
        match qos {
            crate::QoS::AtMostOnce => Self::Success,
            crate::QoS::AtLeastOnce => Self::GrantedQoS1,
            crate::QoS::ExactlyOnce => Self::GrantedQoS2,
        }
    }

    /// The QoS that a SUBACK code grants; `None` when it refuses.
    pub const fn granted_qos(self) -> Option<crate::QoS> {
        crate::QoS::from_bits(self.as_byte())
    }

    /// True when `side` may send this code in `packet` (tables of §3.2 to §3.15).
    pub const fn allowed_in(self, packet: PacketType, side: Side) -> bool {
        let place = match (packet, side) {
            (PacketType::ConnAck, _) => place::CONNACK,
            (PacketType::PubAck | PacketType::PubRec, Side::Client) => place::PUB_C,
            (PacketType::PubAck | PacketType::PubRec, Side::Server) => place::PUB_S,
            (PacketType::PubRel | PacketType::PubComp, _) => place::REL,
            (PacketType::SubAck, _) => place::SUBACK,
            (PacketType::UnsubAck, _) => place::UNSUBACK,
            (PacketType::Disconnect, Side::Client) => place::DISC_C,
            (PacketType::Disconnect, Side::Server) => place::DISC_S,
            (PacketType::Auth, Side::Client) => place::AUTH_C,
            (PacketType::Auth, Side::Server) => place::AUTH_S,
            (
                PacketType::Connect
                | PacketType::Publish
                | PacketType::Subscribe
                | PacketType::Unsubscribe
                | PacketType::PingReq
                | PacketType::PingResp,
                _,
            ) => 0,
        };
        self.places() & place != 0
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (0x{:02X})", self.name(), self.as_byte())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_a_code_or_nothing() {
        let known = (0..=u8::MAX).filter_map(ReasonCode::from_byte).collect::<Vec<_>>();
        assert_eq!(known, ReasonCode::ALL);
        assert_eq!(known.len(), 43);
    }

    #[test]
    fn codes_stand_only_where_the_tables_have_them() {
        assert!(ReasonCode::NoMatchingSubscribers.allowed_in(PacketType::PubAck, Side::Server));
        assert!(!ReasonCode::NoMatchingSubscribers.allowed_in(PacketType::PubAck, Side::Client));
        assert!(!ReasonCode::UnspecifiedError.allowed_in(PacketType::PubRel, Side::Server));
        assert!(ReasonCode::ReAuthenticate.allowed_in(PacketType::Auth, Side::Client));
        assert!(!ReasonCode::ReAuthenticate.allowed_in(PacketType::Auth, Side::Server));
    }
}
