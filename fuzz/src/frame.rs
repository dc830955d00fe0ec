//! Does [`next_frame`] cut any stream where the specification says, whatever the pieces it arrives in?

use crate::input::{Input, Mode};
use bytes::{Bytes, BytesMut};
use karere_proto::{FrameLimits, PacketType, ProtocolError, next_frame};

/// Mode, limit, seed of the pieces, stream.
pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mode = Mode::new(input.byte());
    let mut limits = FrameLimits::new(mode.version.rules(), mode.sender);
    match input.byte() {
        0 => {}
        limit => limits.max_packet_size = u32::from(limit),
    }
    let seed = input.byte();
    let stream = input.rest();

    let whole = Reading::of([stream], limits);
    whole.check(stream, limits);
    if seed > 0 {
        assert_eq!(whole, Reading::of(pieces(stream, seed), limits), "the pieces make a difference");
    }
}

/// What came out of a stream.
#[derive(Debug, PartialEq)]
struct Reading {
    frames: Vec<(PacketType, u8, Bytes)>,
    error: Option<ProtocolError>,
}

impl Reading {
    fn of<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limits: FrameLimits<'_>) -> Self {
        let mut reading = Self { frames: Vec::new(), error: None };
        let mut buffer = BytesMut::new();
        for piece in pieces {
            buffer.extend_from_slice(piece);
            loop {
                let before = buffer.len();
                match next_frame(&mut buffer, limits) {
                    Ok(Some(frame)) => reading.frames.push((frame.packet_type, frame.flags, frame.body)),
                    Ok(None) => {
                        assert_eq!(buffer.len(), before, "an unfinished packet was touched");
                        break;
                    }
                    Err(error) => {
                        assert_eq!(buffer.len(), before, "a bad packet was touched");
                        reading.error = Some(error);
                        return reading;
                    }
                }
            }
        }
        reading
    }

    /// Compares with a plain reading of §2.1.
    fn check(&self, stream: &[u8], limits: FrameLimits<'_>) {
        let mut rest = stream;
        for (packet_type, flags, body) in &self.frames {
            let (header, length) = header(rest).expect("a whole packet has a whole header");
            assert_eq!(rest[0], (*packet_type as u8) << 4 | flags);
            assert!(packet_type.sent_by(limits.sender, limits.rules));
            assert!(header + length <= limits.max_packet_size as usize, "larger than the limit");
            assert_eq!(body.as_ref(), &rest[header..header + length]);
            rest = &rest[header + length..];
        }
        if self.error.is_none()
            && let Some((header, length)) = header(rest)
        {
            assert!(rest.len() < header + length, "a whole packet was not found");
            assert!(header + length <= limits.max_packet_size as usize, "a packet too large is waited for");
        }
    }
}

/// Bytes of the fixed header, and Remaining Length; `None` when it is not there in full, or never will be.
fn header(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut length = 0;
    for at in 0..4 {
        let &byte = bytes.get(1 + at)?;
        length += usize::from(byte & 127) * 128_usize.pow(u32::try_from(at).expect("below 4"));
        if byte < 128 {
            return Some((2 + at, length));
        }
    }
    None
}

fn pieces(mut stream: &[u8], seed: u8) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let mut state = u32::from(seed);
    while !stream.is_empty() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let length = (1 + (state >> 24) as usize % (1 + usize::from(seed & 31))).min(stream.len());
        let (piece, rest) = stream.split_at(length);
        pieces.push(piece);
        stream = rest;
    }
    pieces
}
