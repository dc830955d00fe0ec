//! Every way in which the protocol versions differ on the wire, in one table.
//!
//! Codecs ask [`WireRules`], never the version. What differs in behaviour is the other table, `session::negotiated`.

use core::fmt;

use crate::reason::ReasonCode;

/// A version of the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "complete: these are all versions of MQTT there are")]
pub enum Version {
    /// MQTT 3.1 (IBM and Eurotech, 2010).
    V31,
    /// MQTT 3.1.1 (OASIS, 2014).
    V311,
    /// MQTT 5.0 (OASIS, 2019).
    #[default]
    V5,
}

impl Version {
    /// All versions, oldest first.
    pub const ALL: [Self; 3] = [Self::V31, Self::V311, Self::V5];

    /// The wire rules of this version.
    pub const fn rules(self) -> &'static WireRules {
        match self {
            Self::V31 => &V31,
            Self::V311 => &V311,
            Self::V5 => &V5,
        }
    }

    /// The version that came before this one.
    pub fn previous(self) -> Option<Self> {
        Self::ALL.into_iter().rev().find(|&version| version < self)
    }

    /// The version that came after this one.
    pub fn next(self) -> Option<Self> {
        Self::ALL.into_iter().find(|&version| version > self)
    }

    /// The version a CONNECT packet names, if it is one of MQTT's (§3.1.2.1, §3.1.2.2).
    pub fn from_wire(name: &[u8], level: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|v| v.rules().protocol_name == name && v.rules().protocol_level == level)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rules().name)
    }
}

/// What differs between the versions on the wire.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WireRules {
    /// The version as people write it.
    pub name: &'static str,
    /// Protocol Name of CONNECT (§3.1.2.1).
    pub protocol_name: &'static [u8],
    /// Protocol Version of CONNECT (§3.1.2.2).
    pub protocol_level: u8,
    /// Packets carry properties (§2.2.2).
    pub properties: bool,
    /// PUBACK to PUBCOMP, UNSUBACK and DISCONNECT carry reason codes (§3.4.2.1); the short forms exist.
    pub ack_reasons: bool,
    /// SUBSCRIBE's options byte carries No Local, Retain As Published and Retain Handling (§3.8.3.1).
    pub subscribe_options: bool,
    /// SUBACK may refuse a filter (not in 3.1).
    pub suback_failure: bool,
    /// Bit 0 of CONNACK's first byte is Session Present (in 3.1 the byte is reserved).
    pub session_present: bool,
    /// AUTH exists, and the server may send DISCONNECT.
    pub server_speaks_up: bool,
    /// PUBREL, SUBSCRIBE and UNSUBSCRIBE may carry DUP when they are sent again (3.1 only).
    pub dup_on_requests: bool,
    /// A Variable Byte Integer must be in its shortest form [MQTT-1.5.5-1].
    pub shortest_length: bool,
    /// The highest bit of the protocol level says that the client is a bridge: no part of the specification, but servers
    /// know it. 5.0 has options of its own for bridges.
    pub bridge_bit: bool,
    /// A password needs a user name (v3: [MQTT-3.1.2-22]).
    pub password_needs_user_name: bool,
    /// The longest client identifier in bytes, and whether it may be empty.
    pub client_id: ClientIdRule,
    /// The CONNACK codes of this version, as reason codes; the index is the byte on the wire. Empty: reason codes go as they are.
    pub connect_return_codes: &'static [ReasonCode],
}

impl WireRules {
    /// The CONNACK return code of 3.1 and 3.1.1 that is nearest to `reason`.
    pub fn return_code(&self, reason: ReasonCode) -> u8 {
        let nearest = match reason {
            ReasonCode::BadAuthenticationMethod => ReasonCode::BadUserNameOrPassword,
            ReasonCode::Banned => ReasonCode::NotAuthorized,
            other => other,
        };
        let exact = RETURN_CODES.iter().position(|&code| code == nearest);
        // What has no equal is a server that cannot serve now.
        exact.and_then(|at| u8::try_from(at).ok()).unwrap_or(3)
    }
}

/// What a version demands of client identifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete for the versions there are")]
pub enum ClientIdRule {
    /// 1 to 23 bytes (3.1).
    Short,
    /// Empty only for a session that ends with its connection (v3: [MQTT-3.1.3-7]).
    EmptyIfClean,
    /// Anything; empty makes the server assign one (§3.1.3.1).
    Any,
}

/// Return codes 0 to 5 of 3.1 and 3.1.1 (v3: §3.2.2.3) as reason codes.
pub(crate) const RETURN_CODES: &[ReasonCode] = &[
    ReasonCode::Success,
    ReasonCode::UnsupportedProtocolVersion,
    ReasonCode::ClientIdentifierNotValid,
    ReasonCode::ServerUnavailable,
    ReasonCode::BadUserNameOrPassword,
    ReasonCode::NotAuthorized,
];

const V31: WireRules = WireRules {
    name: "3.1",
    protocol_name: b"MQIsdp",
    protocol_level: 3,
    properties: false,
    ack_reasons: false,
    subscribe_options: false,
    suback_failure: false,
    session_present: false,
    server_speaks_up: false,
    dup_on_requests: true,
    shortest_length: false,
    bridge_bit: true,
    password_needs_user_name: true,
    client_id: ClientIdRule::Short,
    connect_return_codes: RETURN_CODES,
};

const V311: WireRules = WireRules {
    name: "3.1.1",
    protocol_name: b"MQTT",
    protocol_level: 4,
    suback_failure: true,
    session_present: true,
    dup_on_requests: false,
    client_id: ClientIdRule::EmptyIfClean,
    ..V31
};

const V5: WireRules = WireRules {
    name: "5.0",
    protocol_name: b"MQTT",
    protocol_level: 5,
    properties: true,
    ack_reasons: true,
    subscribe_options: true,
    suback_failure: true,
    session_present: true,
    server_speaks_up: true,
    dup_on_requests: false,
    shortest_length: true,
    bridge_bit: false,
    password_needs_user_name: false,
    client_id: ClientIdRule::Any,
    connect_return_codes: &[],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_in_order() {
        assert_eq!(Version::V5.previous(), Some(Version::V311));
        assert_eq!(Version::V311.previous(), Some(Version::V31));
        assert_eq!(Version::V31.previous(), None);
        assert_eq!(Version::V31.next(), Some(Version::V311));
        assert_eq!(Version::V311.next(), Some(Version::V5));
        assert_eq!(Version::V5.next(), None);
    }

    #[test]
    fn name_and_level_of_connect_tell_the_version() {
        assert_eq!(Version::from_wire(b"MQIsdp", 3), Some(Version::V31));
        assert_eq!(Version::from_wire(b"MQTT", 4), Some(Version::V311));
        assert_eq!(Version::from_wire(b"MQTT", 5), Some(Version::V5));
        assert_eq!(Version::from_wire(b"MQTT", 3), None);
        assert_eq!(Version::from_wire(b"MQIsdp", 4), None);
    }
}
