//! PUBACK, PUBREC, PUBREL and PUBCOMP: one shape (§3.4 to §3.7).

use super::{Context, Encode, PacketType, properties_len, put_id, put_properties};
use crate::{
    codec::{Reader, SendBuf},
    error::ProtocolError,
    id::PacketId,
    properties::Properties,
    reason::ReasonCode,
    version::WireRules,
};

/// Which of the four.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "complete: the protocol has four")]
pub enum AckKind {
    /// Ends a QoS 1 flow (§3.4).
    PubAck,
    /// First answer of a QoS 2 flow (§3.5).
    PubRec,
    /// Second step of a QoS 2 flow (§3.6).
    PubRel,
    /// Ends a QoS 2 flow (§3.7).
    PubComp,
}

impl AckKind {
    /// The packet's type.
    pub const fn packet_type(self) -> PacketType {
        match self {
            Self::PubAck => PacketType::PubAck,
            Self::PubRec => PacketType::PubRec,
            Self::PubRel => PacketType::PubRel,
            Self::PubComp => PacketType::PubComp,
        }
    }
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ack {
    /// Which of the four.
    pub kind: AckKind,
    /// The identifier of the PUBLISH it belongs to [MQTT-2.2.1-5].
    pub id: PacketId,
    /// Success, or why not; always success on 3.1 and 3.1.1.
    pub reason: ReasonCode,
    /// MQTT 5 properties.
    pub properties: Properties,
}

impl Ack {
    /// An acknowledgement of success.
    pub const fn new(kind: AckKind, id: PacketId) -> Self {
        Self::with_reason(kind, id, ReasonCode::Success)
    }

    /// An acknowledgement with a reason code; on 3.1 and 3.1.1 the code is not sent.
    pub const fn with_reason(kind: AckKind, id: PacketId, reason: ReasonCode) -> Self {
        Self { kind, id, reason, properties: Properties::new() }
    }

    pub(super) fn decode(kind: AckKind, reader: &mut Reader, context: Context<'_>) -> Result<Self, ProtocolError> {
        let mut ack = Self::new(kind, reader.packet_id()?);
        // Short forms: no reason code is success, no Property Length is none (§3.4.2.1).
        if context.rules.ack_reasons && reader.remaining() > 0 {
            ack.reason = context.reason(reader)?;
            if reader.remaining() > 0 {
                ack.properties = context.properties(reader)?;
            }
        }
        Ok(ack)
    }
}

impl Encode for Ack {
    fn first_byte(&self) -> u8 {
        self.kind.packet_type().first_byte()
    }

    fn body_len(&self, rules: &WireRules) -> usize {
        match (rules.ack_reasons, self.properties.is_empty(), self.reason) {
            (false, ..) | (true, true, ReasonCode::Success) => 2,
            (true, true, _) => 3,
            (true, false, _) => 3 + properties_len(&self.properties, rules),
        }
    }

    fn encode_body(&self, rules: &WireRules, out: &mut SendBuf) {
        put_id(self.id, out);
        let len = self.body_len(rules);
        if len > 2 {
            out.put_slice(&[self.reason.as_byte()]);
        }
        if len > 3 {
            put_properties(&self.properties, rules, out);
        }
    }
}
