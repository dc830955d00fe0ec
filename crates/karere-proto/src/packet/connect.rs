//! CONNECT (§3.1).

use core::fmt;

use bytes::Bytes;

use super::{Encode, PacketType, properties_len, publish::topic_rule, put_field, put_properties};
use crate::{
    codec::{Reader, SendBuf},
    error::{ProtocolError, Rule},
    packet::Publish,
    properties::{Carrier, Properties},
    qos::QoS,
    text::Utf8String,
    topic::Topic,
    version::{Version, WireRules},
};

/// Whether a client says that it is a bridge between servers: the highest bit of the protocol level, which some servers
/// understand before 5.0. Such a server sends nothing back to where it came from, and keeps RETAIN as it was published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete: one bit")]
pub enum Bridge {
    /// It is a client like any other.
    #[default]
    No,
    /// It is a bridge. Not said in 5.0, where No Local and Retain As Published do the same (§3.8.3.1).
    Yes,
}

impl Bridge {
    const BIT: u8 = 0x80;

    /// What a protocol level says, and the level without that.
    const fn of(level: u8) -> (Self, u8) {
        let bridge = if level & Self::BIT == 0 { Self::No } else { Self::Yes };
        (bridge, level & !Self::BIT)
    }

    const fn bit(self, rules: &WireRules) -> u8 {
        match self {
            Self::Yes if rules.bridge_bit => Self::BIT,
            Self::Yes | Self::No => 0,
        }
    }
}

/// The first packet of every connection (§3.1).
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Connect {
    /// The version asked for.
    pub version: Version,
    /// Whether the client says that it is a bridge.
    pub bridge: Bridge,
    /// Clean Start, in 3.1 and 3.1.1 Clean Session (§3.1.2.4).
    pub clean_start: bool,
    /// Seconds; 0 turns it off (§3.1.2.10).
    pub keep_alive: u16,
    /// MQTT 5 properties.
    pub properties: Properties,
    /// Empty: the server shall make one up (§3.1.3.1).
    pub client_id: Utf8String,
    /// What the server publishes when this connection is lost (§3.1.2.5).
    pub will: Option<Will>,
    /// None is not the same as empty (§3.1.2.8).
    pub user_name: Option<Utf8String>,
    /// Any bytes, at most 65,535 (§3.1.3.6).
    pub password: Option<Bytes>,
}

impl Connect {
    /// A CONNECT without will and credentials.
    pub const fn new(version: Version, client_id: Utf8String) -> Self {
        Self {
            version,
            bridge: Bridge::No,
            clean_start: true,
            keep_alive: 60,
            properties: Properties::new(),
            client_id,
            will: None,
            user_name: None,
            password: None,
        }
    }

    pub(super) fn decode(reader: &mut Reader) -> Result<Self, ProtocolError> {
        let name = reader.binary()?;
        let level = reader.u8()?;
        let (bridge, level) = Bridge::of(level);
        let version = match Version::from_wire(&name, level) {
            Some(version) if bridge == Bridge::Yes && !version.rules().bridge_bit => {
                return Err(reader.error(Rule::ProtocolLevel));
            }
            Some(version) => version,
            None if Version::ALL.iter().any(|version| version.rules().protocol_name == name) => {
                return Err(reader.error(Rule::ProtocolLevel));
            }
            None => return Err(reader.error(Rule::ProtocolName)),
        };
        let rules = version.rules();
        let flags = Flags(reader.u8()?);
        flags.check(rules).map_err(|rule| reader.error(rule))?;
        let will_qos = QoS::from_bits(flags.will_qos()).ok_or_else(|| reader.error(Rule::WillQoS))?;
        let keep_alive = reader.u16()?;
        let carrier = Carrier::Packet(PacketType::Connect);
        let properties = if rules.properties { Properties::decode(reader, carrier)? } else { Properties::new() };
        if properties.authentication_data().is_some() && properties.authentication_method().is_none() {
            return Err(reader.error(Rule::AuthData));
        }
        let client_id = reader.string()?;
        let will = if flags.has(Flags::WILL) {
            let properties =
                if rules.properties { Properties::decode(reader, Carrier::Will)? } else { Properties::new() };
            let topic = Topic::from_bytes(reader.binary()?).map_err(|why| reader.error(topic_rule(why)))?;
            let payload = reader.binary()?;
            Some(Will { topic, payload, qos: will_qos, retain: flags.has(Flags::WILL_RETAIN), properties })
        } else {
            None
        };
        let user_name = if flags.has(Flags::USER_NAME) { Some(reader.string()?) } else { None };
        let password = if flags.has(Flags::PASSWORD) { Some(reader.binary()?) } else { None };
        let clean_start = flags.has(Flags::CLEAN_START);
        Ok(Self { version, bridge, clean_start, keep_alive, properties, client_id, will, user_name, password })
    }

    fn flags(&self) -> u8 {
        let mut flags = 0;
        let mut set = |flag, on| flags |= if on { flag } else { 0 };
        set(Flags::CLEAN_START, self.clean_start);
        set(Flags::USER_NAME, self.user_name.is_some());
        set(Flags::PASSWORD, self.password.is_some());
        if let Some(will) = &self.will {
            set(Flags::WILL, true);
            set(Flags::WILL_RETAIN, will.retain);
            flags |= will.qos.level() << 3;
        }
        flags
    }
}

/// Connect Flags (§3.1.2.3).
#[derive(Clone, Copy)]
struct Flags(u8);

impl Flags {
    const CLEAN_START: u8 = 1 << 1;
    const PASSWORD: u8 = 1 << 6;
    const USER_NAME: u8 = 1 << 7;
    const WILL: u8 = 1 << 2;
    const WILL_RETAIN: u8 = 1 << 5;

    const fn has(self, flag: u8) -> bool {
        self.0 & flag != 0
    }

    const fn will_qos(self) -> u8 {
        self.0 >> 3 & 0b11
    }

    const fn check(self, rules: &WireRules) -> Result<(), Rule> {
        if self.0 & 1 != 0 {
            Err(Rule::ConnectFlags)
        } else if !self.has(Self::WILL) && (self.will_qos() != 0 || self.has(Self::WILL_RETAIN)) {
            Err(Rule::WillFlags)
        } else if rules.password_needs_user_name && self.has(Self::PASSWORD) && !self.has(Self::USER_NAME) {
            Err(Rule::PasswordWithoutUserName)
        } else {
            Ok(())
        }
    }
}

impl Encode for Connect {
    fn first_byte(&self) -> u8 {
        PacketType::Connect.first_byte()
    }

    fn body_len(&self, rules: &WireRules) -> usize {
        let field = |len: usize| 2 + len;
        let will = self.will.as_ref().map_or(0, |will| {
            properties_len(&will.properties, rules) + field(will.topic.as_bytes().len()) + field(will.payload.len())
        });
        field(rules.protocol_name.len())
            + 4
            + properties_len(&self.properties, rules)
            + field(self.client_id.as_bytes().len())
            + will
            + self.user_name.as_ref().map_or(0, |name| field(name.as_bytes().len()))
            + self.password.as_ref().map_or(0, |password| field(password.len()))
    }

    fn encode_body(&self, rules: &WireRules, out: &mut SendBuf) {
        put_field(rules.protocol_name, out);
        out.put_slice(&[rules.protocol_level | self.bridge.bit(rules), self.flags()]);
        out.put_slice(&self.keep_alive.to_be_bytes());
        put_properties(&self.properties, rules, out);
        put_field(self.client_id.as_bytes(), out);
        if let Some(will) = &self.will {
            put_properties(&will.properties, rules, out);
            put_field(will.topic.as_bytes(), out);
            put_field(&will.payload, out);
        }
        if let Some(name) = &self.user_name {
            put_field(name.as_bytes(), out);
        }
        if let Some(password) = &self.password {
            put_field(password, out);
        }
    }
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("version", &self.version)
            .field("bridge", &self.bridge)
            .field("client_id", &self.client_id)
            .field("clean_start", &self.clean_start)
            .field("keep_alive", &self.keep_alive)
            .field("properties", &self.properties)
            .field("will", &self.will)
            .field("user_name", &self.user_name)
            .field("password", &self.password.as_ref().map(|_| "(hidden)"))
            .finish()
    }
}

/// The message a server publishes for a client that is gone (§3.1.2.5).
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Will {
    /// Where it goes.
    pub topic: Topic,
    /// At most 65,535 bytes.
    pub payload: Bytes,
    /// Its quality of service.
    pub qos: QoS,
    /// Whether it is retained.
    pub retain: bool,
    /// MQTT 5 properties, Will Delay Interval among them (§3.1.3.2).
    pub properties: Properties,
}

impl From<Publish> for Will {
    fn from(publish: Publish) -> Self {
        let Publish { topic, payload, qos, retain, properties } = publish;
        Self { topic, payload, qos, retain, properties }
    }
}

impl fmt::Debug for Will {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Will")
            .field("topic", &self.topic)
            .field("payload", &format_args!("{} bytes", self.payload.len()))
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .field("properties", &self.properties)
            .finish()
    }
}
