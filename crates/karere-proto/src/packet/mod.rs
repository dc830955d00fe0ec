//! The packets: one model for all versions, the superset of 5.0 (§2.1.2, §3).
//!
//! A PUBLISH of 3.1.1 is one of 5.0 with no properties. What a version cannot carry is left out by its [`WireRules`].

mod ack;
mod auth;
mod connack;
mod connect;
mod disconnect;
pub(crate) mod publish;
mod subscribe;
mod summary;

use core::fmt;

pub use ack::{Ack, AckKind};
pub use auth::Auth;
pub use connack::ConnAck;
pub use connect::{Bridge, Connect, Will};
pub use disconnect::{Disconnect, DisconnectForm};
pub use publish::{Alias, Attempt, Payload, Publish, PublishPacket};
pub use subscribe::{RetainHandling, SubAck, Subscribe, SubscribeOptions, Subscription, UnsubAck, Unsubscribe};
pub(crate) use summary::Traced;

use crate::{
    codec::{Frame, MAX_VARINT, Reader, SendBuf, varint, varint_len},
    error::{ProtocolError, Rule},
    id::PacketId,
    version::WireRules,
};

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "complete: a connection has two ends")]
pub enum Side {
    /// The end that sent CONNECT.
    Client,
    /// The end that answered it.
    Server,
}

/// The type of a packet (§2.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "complete: the protocol has fifteen")]
#[expect(missing_docs, reason = "the names are the specification's")]
#[repr(u8)]
pub enum PacketType {
    Connect = 1,
    ConnAck,
    Publish,
    PubAck,
    PubRec,
    PubRel,
    PubComp,
    Subscribe,
    SubAck,
    Unsubscribe,
    UnsubAck,
    PingReq,
    PingResp,
    Disconnect,
    Auth,
}

impl PacketType {
    /// The type for the high four bits of a first byte; 0 is none.
    pub const fn from_nibble(nibble: u8) -> Option<Self> {
        Some(match nibble {
            1 => Self::Connect,
            2 => Self::ConnAck,
            3 => Self::Publish,
            4 => Self::PubAck,
            5 => Self::PubRec,
            6 => Self::PubRel,
            7 => Self::PubComp,
            8 => Self::Subscribe,
            9 => Self::SubAck,
            10 => Self::Unsubscribe,
            11 => Self::UnsubAck,
            12 => Self::PingReq,
            13 => Self::PingResp,
            14 => Self::Disconnect,
            15 => Self::Auth,
            _ => return None,
        })
    }

    /// The packet's name as the specification writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::ConnAck => "CONNACK",
            Self::Publish => "PUBLISH",
            Self::PubAck => "PUBACK",
            Self::PubRec => "PUBREC",
            Self::PubRel => "PUBREL",
            Self::PubComp => "PUBCOMP",
            Self::Subscribe => "SUBSCRIBE",
            Self::SubAck => "SUBACK",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::UnsubAck => "UNSUBACK",
            Self::PingReq => "PINGREQ",
            Self::PingResp => "PINGRESP",
            Self::Disconnect => "DISCONNECT",
            Self::Auth => "AUTH",
        }
    }

    /// The reserved flags of the first byte; PUBLISH's are its own (§2.1.3).
    pub(crate) const fn flags(self) -> u8 {
        match self {
            Self::PubRel | Self::Subscribe | Self::Unsubscribe => 0b0010,
            _ => 0,
        }
    }

    pub(crate) const fn first_byte(self) -> u8 {
        (self as u8) << 4 | self.flags()
    }

    /// True when `side` may send this packet (§2.1.2).
    pub const fn sent_by(self, side: Side, rules: &WireRules) -> bool {
        match self {
            Self::Connect | Self::Subscribe | Self::Unsubscribe | Self::PingReq => matches!(side, Side::Client),
            Self::ConnAck | Self::SubAck | Self::UnsubAck | Self::PingResp => matches!(side, Side::Server),
            Self::Disconnect => matches!(side, Side::Client) || rules.server_speaks_up,
            Self::Auth => rules.server_speaks_up,
            Self::Publish | Self::PubAck | Self::PubRec | Self::PubRel | Self::PubComp => true,
        }
    }
}

impl fmt::Display for PacketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Any packet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete: the protocol has fifteen, four of them acknowledgements")]
#[expect(missing_docs, reason = "the names are the specification's")]
pub enum Packet {
    Connect(Box<Connect>),
    ConnAck(ConnAck),
    Publish(PublishPacket),
    Ack(Ack),
    Subscribe(PacketId, Subscribe),
    SubAck(PacketId, SubAck),
    Unsubscribe(PacketId, Unsubscribe),
    UnsubAck(PacketId, UnsubAck),
    PingReq,
    PingResp,
    Disconnect(Disconnect),
    Auth(Auth),
}

impl Packet {
    /// Decodes a frame that `sender` sent.
    ///
    /// # Errors
    ///
    /// [`ProtocolError`] with the packet, the place in it and the rule that was broken.
    #[inline]
    pub fn decode(frame: Frame, rules: &WireRules, sender: Side) -> Result<Self, ProtocolError> {
        let Frame { packet_type, flags, body } = frame;
        let mut reader = Reader::new(packet_type, body);
        let context = Context { rules, sender };
        let packet = match packet_type {
            PacketType::Publish => return PublishPacket::decode(flags, reader, context).map(Self::Publish),
            PacketType::Connect => Self::Connect(Box::new(Connect::decode(&mut reader)?)),
            PacketType::ConnAck => Self::ConnAck(ConnAck::decode(&mut reader, context)?),
            PacketType::PubAck => Self::Ack(Ack::decode(AckKind::PubAck, &mut reader, context)?),
            PacketType::PubRec => Self::Ack(Ack::decode(AckKind::PubRec, &mut reader, context)?),
            PacketType::PubRel => Self::Ack(Ack::decode(AckKind::PubRel, &mut reader, context)?),
            PacketType::PubComp => Self::Ack(Ack::decode(AckKind::PubComp, &mut reader, context)?),
            PacketType::Subscribe => {
                let (id, subscribe) = Subscribe::decode(&mut reader, context)?;
                Self::Subscribe(id, subscribe)
            }
            PacketType::SubAck => {
                let (id, ack) = SubAck::decode(&mut reader, context)?;
                Self::SubAck(id, ack)
            }
            PacketType::Unsubscribe => {
                let (id, unsubscribe) = Unsubscribe::decode(&mut reader, context)?;
                Self::Unsubscribe(id, unsubscribe)
            }
            PacketType::UnsubAck => {
                let (id, ack) = UnsubAck::decode(&mut reader, context)?;
                Self::UnsubAck(id, ack)
            }
            PacketType::PingReq => Self::PingReq,
            PacketType::PingResp => Self::PingResp,
            PacketType::Disconnect => Self::Disconnect(Disconnect::decode(&mut reader, context)?),
            PacketType::Auth => Self::Auth(Auth::decode(&mut reader, context)?),
        };
        reader.finish()?;
        Ok(packet)
    }

    /// Writes the packet to the end of `out`, leaving out what the version cannot carry.
    pub fn encode(&self, rules: &WireRules, out: &mut SendBuf) {
        match self {
            Self::Connect(connect) => encode(connect.as_ref(), rules, out),
            Self::ConnAck(ack) => encode(ack, rules, out),
            Self::Publish(publish) => encode(publish, rules, out),
            Self::Ack(ack) => encode(ack, rules, out),
            Self::Subscribe(id, subscribe) => encode(&(*id, subscribe), rules, out),
            Self::SubAck(id, ack) => encode(&(*id, ack), rules, out),
            Self::Unsubscribe(id, unsubscribe) => encode(&(*id, unsubscribe), rules, out),
            Self::UnsubAck(id, ack) => encode(&(*id, ack), rules, out),
            Self::PingReq => out.put_slice(&PINGREQ),
            Self::PingResp => out.put_slice(&[PacketType::PingResp.first_byte(), 0]),
            Self::Disconnect(disconnect) => encode(disconnect, rules, out),
            Self::Auth(auth) => encode(auth, rules, out),
        }
    }

    /// Bytes the packet takes on the wire, fixed header included: what Maximum Packet Size counts (§2.1.4).
    pub fn size(&self, rules: &WireRules) -> usize {
        match self {
            Self::Connect(connect) => size(connect.as_ref(), rules),
            Self::ConnAck(ack) => size(ack, rules),
            Self::Publish(publish) => size(publish, rules),
            Self::Ack(ack) => size(ack, rules),
            Self::Subscribe(id, subscribe) => size(&(*id, subscribe), rules),
            Self::SubAck(id, ack) => size(&(*id, ack), rules),
            Self::Unsubscribe(id, unsubscribe) => size(&(*id, unsubscribe), rules),
            Self::UnsubAck(id, ack) => size(&(*id, ack), rules),
            Self::PingReq | Self::PingResp => 2,
            Self::Disconnect(disconnect) => size(disconnect, rules),
            Self::Auth(auth) => size(auth, rules),
        }
    }

    /// True when it carries Reason String or User Property and is none of the packets that always may: PUBLISH, CONNACK
    /// and DISCONNECT [MQTT-3.1.2-29].
    pub(crate) fn tells_problems(&self) -> bool {
        let properties = match self {
            Self::Ack(ack) => &ack.properties,
            Self::SubAck(_, ack) => &ack.properties,
            Self::UnsubAck(_, ack) => &ack.properties,
            Self::Auth(auth) => &auth.properties,
            Self::Connect(_)
            | Self::ConnAck(_)
            | Self::Publish(_)
            | Self::Subscribe(..)
            | Self::Unsubscribe(..)
            | Self::PingReq
            | Self::PingResp
            | Self::Disconnect(_) => return false,
        };
        properties.reason_string().is_some() || properties.user().next().is_some()
    }

    /// What kind of packet this is.
    pub const fn packet_type(&self) -> PacketType {
        match self {
            Self::Connect(_) => PacketType::Connect,
            Self::ConnAck(_) => PacketType::ConnAck,
            Self::Publish(_) => PacketType::Publish,
            Self::Ack(ack) => ack.kind.packet_type(),
            Self::Subscribe(..) => PacketType::Subscribe,
            Self::SubAck(..) => PacketType::SubAck,
            Self::Unsubscribe(..) => PacketType::Unsubscribe,
            Self::UnsubAck(..) => PacketType::UnsubAck,
            Self::PingReq => PacketType::PingReq,
            Self::PingResp => PacketType::PingResp,
            Self::Disconnect(_) => PacketType::Disconnect,
            Self::Auth(_) => PacketType::Auth,
        }
    }
}

pub(crate) const PINGREQ: [u8; 2] = [PacketType::PingReq.first_byte(), 0];

/// What a decoder must know beside the bytes.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) rules: &'a WireRules,
    pub(crate) sender: Side,
}

impl Context<'_> {
    /// Reads a reason code and checks that it may stand in this packet.
    fn reason(&self, reader: &mut Reader) -> Result<crate::ReasonCode, ProtocolError> {
        let byte = reader.u8()?;
        crate::ReasonCode::from_byte(byte)
            .filter(|code| code.allowed_in(reader.packet(), self.sender))
            .ok_or_else(|| reader.error(Rule::ReasonCodeNotAllowed))
    }

    /// Reads the properties of a packet, where the version has them.
    fn properties(&self, reader: &mut Reader) -> Result<crate::Properties, ProtocolError> {
        if self.rules.properties {
            let carrier = crate::Carrier::Packet(reader.packet());
            crate::Properties::decode(reader, carrier)
        } else {
            Ok(crate::Properties::new())
        }
    }
}

/// What can be written as a packet.
pub(crate) trait Encode {
    fn first_byte(&self) -> u8;
    /// Remaining Length.
    fn body_len(&self, rules: &WireRules) -> usize;
    fn encode_body(&self, rules: &WireRules, out: &mut SendBuf);
}

pub(crate) fn encode(packet: &impl Encode, rules: &WireRules, out: &mut SendBuf) {
    let (length, count) = varint(packet.body_len(rules));
    let mut header = [packet.first_byte(), 0, 0, 0, 0];
    header[1..].copy_from_slice(&length);
    out.put_slice(&header[..=count]);
    packet.encode_body(rules, out);
}

pub(crate) fn size(packet: &impl Encode, rules: &WireRules) -> usize {
    let body = packet.body_len(rules);
    1 + varint_len(body) + body
}

/// The largest packet MQTT can express, fixed header included: 268,435,460 bytes (§2.1.4).
pub(crate) const MAX_PACKET: u32 = 1 + 4 + MAX_VARINT;

fn put_field(bytes: &[u8], out: &mut SendBuf) {
    let len = u16::try_from(bytes.len()).expect("invariant: checked when the packet was made");
    out.put_slice(&len.to_be_bytes());
    out.put_slice(bytes);
}

fn put_id(id: PacketId, out: &mut SendBuf) {
    out.put_slice(&id.get().to_be_bytes());
}

/// Bytes that properties take, where the version has them.
const fn properties_len(properties: &crate::Properties, rules: &WireRules) -> usize {
    if rules.properties { properties.encoded_len() } else { 0 }
}

fn put_properties(properties: &crate::Properties, rules: &WireRules, out: &mut SendBuf) {
    if rules.properties {
        properties.encode(out);
    }
}
