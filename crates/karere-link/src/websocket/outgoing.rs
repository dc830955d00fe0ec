//! Frames on their way to the server: header, mask, payload.

use std::io::IoSlice;

use base64::{Engine, prelude::BASE64_STANDARD};
use karere_proto::SendBuf;
use tungstenite::{
    handshake::client::generate_key,
    protocol::frame::{
        FrameHeader,
        coding::{CloseCode, Control, Data, OpCode},
    },
};

/// What frames to the server need: masks.
#[derive(Default)]
pub(super) struct Outgoing {
    masks: Masks,
}

impl Outgoing {
    /// Puts all that may leave from `plain` into one binary frame; nothing, if nothing may.
    pub(super) fn put_data(&mut self, plain: &mut SendBuf, wire: &mut SendBuf) {
        let len = plain.open_len();
        if len == 0 {
            return;
        }
        wire.reserve(LONGEST_HEADER + len);
        let mut masked = self.begin(OpCode::Data(Data::Binary), len, wire);
        while plain.open_len() > 0 {
            let mut slices = [IoSlice::new(&[]); 16];
            let filled = plain.slices(&mut slices);
            let taken = slices[..filled].iter().map(|slice| slice.len()).sum();
            for slice in &slices[..filled] {
                masked.put(slice, wire);
            }
            plain.advance(taken);
        }
    }

    /// Puts a control frame, whose payload is 125 bytes at most.
    pub(super) fn put_control(&mut self, control: Control, payload: &[u8], wire: &mut SendBuf) {
        self.begin(OpCode::Control(control), payload.len(), wire).put(payload, wire);
    }

    /// Puts a Close frame, which may go without a code.
    pub(super) fn put_close(&mut self, code: Option<CloseCode>, wire: &mut SendBuf) {
        let payload = code.map(|code| u16::from(code).to_be_bytes());
        self.put_control(Control::Close, payload.as_ref().map_or(&[], |code| &code[..]), wire);
    }

    /// Puts the header of a frame whose payload of `len` bytes is to follow.
    fn begin(&mut self, opcode: OpCode, len: usize, wire: &mut SendBuf) -> Masked {
        let mask = self.masks.next();
        let header = FrameHeader { opcode, mask: Some(mask), ..FrameHeader::default() };
        let mut room = [0; LONGEST_HEADER];
        let mut unused = &mut room[..];
        header.format(len as u64, &mut unused).expect("invariant: no header is longer");
        let unused = unused.len();
        wire.put_slice(&room[..LONGEST_HEADER - unused]);
        Masked { mask, at: 0 }
    }
}

/// Two bytes, eight of length, four of mask.
const LONGEST_HEADER: usize = 14;

/// A payload that is being masked (RFC 6455, §5.3).
struct Masked {
    mask: [u8; 4],
    /// Bytes of the payload so far.
    at: usize,
}

impl Masked {
    /// Puts the next bytes. They are masked in a piece of the stack, which stays in the processor's cache, since a
    /// payload may belong to others.
    fn put(&mut self, bytes: &[u8], wire: &mut SendBuf) {
        let mut room = [0; PIECE];
        let mut mask = [0; MASKED_AT_ONCE];
        for (at, byte) in mask.iter_mut().enumerate() {
            *byte = self.mask[(self.at + at) % 4];
        }
        for piece in bytes.chunks(PIECE) {
            let masked = &mut room[..piece.len()];
            for (to, from) in masked.chunks_mut(MASKED_AT_ONCE).zip(piece.chunks(MASKED_AT_ONCE)) {
                for ((to, from), mask) in to.iter_mut().zip(from).zip(&mask) {
                    *to = from ^ mask;
                }
            }
            wire.put_slice(masked);
        }
        self.at += bytes.len();
    }
}

/// Both are multiples of 4: the mask begins anew with each piece.
const PIECE: usize = 1024;
const MASKED_AT_ONCE: usize = 32;

/// Random numbers nobody can foretell, as masks have to be (RFC 6455, §10.3); [`Rng`](crate::Rng) can be foretold.
///
/// They are the ones tungstenite makes keys of, from the generator that `rand` keeps for each thread and the operating
/// system seeds: tungstenite has no other way to them.
#[derive(Default)]
struct Masks {
    drawn: [u8; 16],
    left: usize,
}

impl Masks {
    fn next(&mut self) -> [u8; 4] {
        if self.left == 0 {
            let mut room = [0; 18]; // base64 asks for room of whole groups
            let decoded = BASE64_STANDARD.decode_slice(generate_key(), &mut room);
            debug_assert_eq!(decoded, Ok(16), "a key is 16 bytes in base64");
            self.drawn.copy_from_slice(&room[..16]);
            self.left = self.drawn.len();
        }
        self.left -= 4;
        [0, 1, 2, 3].map(|at| self.drawn[self.left + at])
    }
}
