//! Does whatever decodes encode, and decode again to the same?

use crate::input::{Input, Mode};
use bytes::BytesMut;
use karere_proto::{FrameLimits, Packet, SendBuf, Side, Version, WireRules, next_frame};

/// Mode, then a stream of packets; with the highest flag, the first byte and the body of one packet.
pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mode = Mode::new(input.byte());
    let mut stream =
        if mode.flags & 0b100 == 0 { BytesMut::from(input.rest()) } else { framed(input.byte(), input.rest()) };
    let rules = mode.version.rules();
    while let Ok(Some(frame)) = next_frame(&mut stream, FrameLimits::new(rules, mode.sender)) {
        match Packet::decode(frame, rules, mode.sender) {
            Ok(packet) => {
                check_again(&packet, rules, mode.sender);
                if mode.flags & 0b010 != 0 {
                    assert!(!format!("{packet:?}").is_empty());
                }
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                assert!(error.reason().is_failure());
            }
        }
    }
}

/// A packet with the length that its body has.
fn framed(first: u8, body: &[u8]) -> BytesMut {
    let mut packet = BytesMut::from(&[first][..]);
    let mut length = body.len();
    while length >= 128 {
        packet.extend_from_slice(&[(length % 128) as u8 | 128]);
        length /= 128;
    }
    packet.extend_from_slice(&[length as u8]);
    packet.extend_from_slice(body);
    packet
}

fn check_again(packet: &Packet, rules: &WireRules, sender: Side) {
    // CONNECT brings its own version.
    let rules = if let Packet::Connect(connect) = packet { connect.version.rules() } else { rules };
    let (bytes, again) = around(packet, rules, sender);
    // 3.1 and 3.1.1 have return codes for a few reasons only; the nearest is sent.
    let is_inexact =
        matches!(packet, Packet::ConnAck(ack) if ack.reason.is_failure()) && *rules != *Version::V5.rules();
    if is_inexact {
        let (same_bytes, same) = around(&again, rules, sender);
        assert_eq!((bytes, &again), (same_bytes, &same));
    } else {
        assert_eq!(&again, packet, "encoded as {bytes:02x?}");
    }
}

/// The packet as bytes, and what these decode to.
fn around(packet: &Packet, rules: &WireRules, sender: Side) -> (Vec<u8>, Packet) {
    let mut out = SendBuf::new();
    packet.encode(rules, &mut out);
    let bytes = out.to_vec();
    assert_eq!(bytes.len(), packet.size(rules), "{packet:?} is not of the size it says");
    let mut stream = BytesMut::from(&bytes[..]);
    let frame = next_frame(&mut stream, FrameLimits::new(rules, sender));
    let frame = frame.expect("what was encoded is legal").expect("what was encoded is whole");
    assert!(stream.is_empty(), "{packet:?} is shorter than it says");
    let again = Packet::decode(frame, rules, sender);
    (bytes, again.unwrap_or_else(|error| panic!("{packet:?}: {error}")))
}
