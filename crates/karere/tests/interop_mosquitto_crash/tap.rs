//! What the server sends, read on its way: mosquitto may send a QoS 2 message again although it has sent its PUBREL. No client
//! can make that good, for after PUBREL the identifier is free for another message [MQTT-4.3.3-9].

use std::collections::{BTreeMap, BTreeSet};

/// Valid for the session: it outlives connections.
#[derive(Debug, Default)]
pub(crate) struct Tap {
    /// The message that each identifier names, and how far the server has gone with it.
    messages: BTreeMap<u16, (u64, Sent)>,
    /// Messages that were sent again after their PUBREL.
    pub(crate) mistaken: BTreeSet<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Publish,
    PubRel,
}

impl Tap {
    /// Takes whole packets of 5.0 off the front.
    pub(crate) fn read(&mut self, bytes: &mut Vec<u8>) {
        while let Some((first, body, len)) = packet(bytes) {
            self.sent(first, body);
            bytes.drain(..len);
        }
    }

    fn sent(&mut self, first: u8, body: &[u8]) {
        match first >> 4 {
            3 if first >> 1 & 3 == 2 => {
                let topic = usize::from(u16::from_be_bytes([body[0], body[1]]));
                let id = u16::from_be_bytes([body[2 + topic], body[3 + topic]]);
                let (properties, width) = varint(&body[4 + topic..]).expect("a whole packet");
                let payload = &body[4 + topic + width + properties..];
                let number = core::str::from_utf8(payload).expect("a number").parse().expect("a number");
                if self.messages.insert(id, (number, Sent::Publish)) == Some((number, Sent::PubRel)) {
                    self.mistaken.insert(number);
                }
            }
            6 => {
                let id = u16::from_be_bytes([body[0], body[1]]);
                if let Some((_, sent)) = self.messages.get_mut(&id) {
                    *sent = Sent::PubRel;
                }
            }
            _ => {}
        }
    }
}

/// The first byte of the first packet, its body, and its length.
fn packet(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (&first, rest) = bytes.split_first()?;
    let (len, width) = varint(rest)?;
    let body = rest.get(width..width + len)?;
    Some((first, body, 1 + width + len))
}

/// A Variable Byte Integer (§1.5.5), and how many bytes it takes.
fn varint(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (at, &byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, at + 1));
        }
    }
    None
}

#[test]
fn only_what_is_sent_again_after_pubrel_is_a_mistake_of_the_server() {
    let publish = |id: u8, number: u8| vec![0x34, 8, 0, 2, b'i', b'n', 0, id, 0, number];
    let pubrel = |id: u8| vec![0x62, 2, 0, id];
    let mut tap = Tap::default();
    for packets in [publish(1, b'4'), publish(2, b'6'), publish(1, b'4'), pubrel(1), pubrel(2), publish(2, b'8')] {
        tap.read(&mut packets.clone());
        assert!(tap.mistaken.is_empty(), "{tap:?}");
    }
    let mut again = publish(1, b'4');
    let rest = again.split_off(5);
    tap.read(&mut again);
    assert_eq!(again.len(), 5, "half a packet waits for the rest");
    again.extend(rest);
    tap.read(&mut again);
    assert_eq!(tap.mistaken, BTreeSet::from([4]));
}
