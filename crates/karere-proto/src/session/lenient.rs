//! Messages whose topic is not UTF-8, for applications that would rather have them than none [MQTT-1.5.4-1].

use bytes::{BufMut, Bytes, BytesMut};

use super::{Event, Session, event::Undecoded};
use crate::{
    codec::Frame,
    error::{ProtocolError, Rule},
    packet::{Packet, PacketType, Side},
    text::MAX_FIELD,
    version::WireRules,
};

impl Session {
    /// Decodes and handles a packet; a PUBLISH is not refused for its topic's bytes.
    #[inline(never)] // the strict way is the one to be inlined
    pub(super) fn handle_leniently(&mut self, frame: Frame, rules: &WireRules) -> Result<Option<Event>, ProtocolError> {
        let kept = (frame.packet_type == PacketType::Publish).then(|| frame.clone());
        match (Packet::decode(frame, rules, Side::Server), kept) {
            (Err(error), Some(frame)) if error.rule == Rule::Utf8 => self.handle_undecodable(frame, rules, error),
            (decoded, _) => decoded.and_then(|packet| self.handle_packet(packet)),
        }
    }

    #[cold]
    fn handle_undecodable(
        &mut self,
        frame: Frame,
        rules: &WireRules,
        error: ProtocolError,
    ) -> Result<Option<Event>, ProtocolError> {
        let Some((topic, body)) = readable(&frame.body) else {
            return Err(error); // it was another string
        };
        let packet = Packet::decode(Frame { body, ..frame }, rules, Side::Server)?;
        Ok(self.handle_packet(packet)?.map(|event| match event {
            Event::Message { publish, delivery, attempt } => {
                Event::Undecodable(Box::new(Undecoded { topic, publish, delivery, attempt }))
            }
            other => other,
        }))
    }
}

/// The topic in the body of a PUBLISH, when it is not UTF-8, and a body whose topic shows what it looks like.
fn readable(body: &Bytes) -> Option<(Bytes, Bytes)> {
    let &[high, low, ..] = &body[..] else {
        return None;
    };
    let end = 2 + usize::from(u16::from_be_bytes([high, low]));
    let topic = (body.len() >= end).then(|| body.slice(2..end))?;
    if core::str::from_utf8(&topic).is_ok() {
        return None;
    }
    // Each byte that is not UTF-8 may become three.
    let text = String::from_utf8_lossy(&topic[..topic.len().min(MAX_FIELD / 3)]);
    let mut shown = BytesMut::with_capacity(2 + text.len() + body.len() - end);
    shown.put_u16(u16::try_from(text.len()).ok()?);
    shown.put_slice(text.as_bytes());
    shown.put_slice(&body[end..]);
    Some((topic, shown.freeze()))
}
