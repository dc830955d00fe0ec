//! The bytes of one connection on their way through the layers.

use std::{collections::VecDeque, io::IoSlice, time::Instant};

use bytes::BytesMut;
use karere_proto::{SendBuf, Session};

use crate::{layer::LayerError, stack::Stack};

/// The bytes of one connection on their way through the layers.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    pub(super) stack: Stack,
    /// Received and opened, for the session.
    received: BytesMut,
    /// From the session, not sealed.
    plain: SendBuf,
    /// Sealed, for the socket; without layers it takes the session's bytes directly.
    wire: SendBuf,
    /// Bytes of the session that went into `wire` up to a position of it, oldest first.
    marks: VecDeque<(u64, u64)>,
    taken: u64,
    sent: u64,
    written: u64,
    heard: Heard,
    /// Bytes in `wire` that the layers put there by themselves while the socket took nothing.
    unasked: usize,
}

/// Whether the other side has said something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Heard {
    #[default]
    Nothing,
    Something,
}

/// How answers begin that no server of MQTT gives, and what to do about them.
const WRONG_DOORS: &[(&[u8], &str)] = &[
    (b"HTTP/", "the server answered in HTTP: perhaps this port speaks MQTT over WebSocket (ws://, wss://)"),
    (b"\x15\x03", "the server answered in TLS: use mqtts://, or another port"),
];

/// Some hundred pongs.
const MOST_UNASKED: usize = 16 * 1024;

impl Pipe {
    /// A pipe through these layers.
    pub(super) fn over(stack: Stack) -> Self {
        Self { stack, ..Self::default() }
    }

    /// Seals what may leave although the socket takes nothing, and what the layers have to say by themselves: of that no
    /// more than [`MOST_UNASKED`], since a peer that sends pings and reads no pongs would have them all kept here.
    pub(super) fn seal_early(&mut self, now: Instant) -> Result<(), LayerError> {
        if self.stack.is_empty() || self.unasked > MOST_UNASKED {
            return Ok(());
        }
        let (idle, before) = (self.plain.is_empty(), self.wire.len());
        self.seal(now)?;
        if idle {
            self.unasked += self.wire.len() - before;
        }
        Ok(())
    }

    /// Opens what the socket brought; `bytes` is left empty.
    pub(super) fn receive(&mut self, now: Instant, bytes: &mut BytesMut) -> Result<(), LayerError> {
        if self.stack.is_empty() && self.received.is_empty() {
            self.received = core::mem::take(bytes);
        } else {
            self.stack.open(now, bytes, &mut self.received)?;
        }
        if self.heard == Heard::Nothing && !self.received.is_empty() {
            self.heard = Heard::Something;
            if let Some((_, why)) = WRONG_DOORS.iter().find(|(start, _)| self.received.starts_with(start)) {
                self.received.clear(); // not for the session: it would find fault with it
                return Err(LayerError::new("MQTT", *why));
            }
        }
        Ok(())
    }

    /// What may be the matter when the other side ends the connection now: something, if it has never said a word.
    pub(super) fn suspicion(&self) -> Option<&'static str> {
        let plain = self.heard == Heard::Nothing && self.stack.is_empty();
        plain.then_some("before it said a word: perhaps this port wants TLS (mqtts://) or WebSocket (ws://)")
    }

    /// Hands the session what has come.
    pub(super) fn deliver(&mut self, now: Instant, session: &mut Session) {
        if !self.received.is_empty() {
            session.handle_bytes(now, &mut self.received);
        }
    }

    /// How many bytes of the session the socket has taken.
    pub(super) const fn written(&self) -> u64 {
        self.written
    }

    /// Takes over what the session may send.
    pub(super) fn take_over(&mut self, session: &mut Session) {
        let out = if self.stack.is_empty() { &mut self.wire } else { &mut self.plain };
        let before = out.position();
        session.poll_bytes(out);
        self.taken += out.position() - before;
    }

    /// Seals what may leave and lends it, oldest first; says how many slices of `out` it filled.
    pub(super) fn transmit<'a>(&'a mut self, now: Instant, out: &mut [IoSlice<'a>]) -> Result<usize, LayerError> {
        if !self.stack.is_empty() {
            self.seal(now)?;
        }
        Ok(self.wire.slices(out))
    }

    /// The socket has taken `sent` bytes.
    pub(super) fn advance(&mut self, sent: usize) {
        self.wire.advance(sent);
        self.sent += sent as u64;
        self.unasked = self.unasked.saturating_sub(sent);
        if self.stack.is_empty() && self.marks.is_empty() {
            // Not all that was sent: a proxy's handshake went before, and its layer is gone.
            self.written = self.taken.saturating_sub(self.wire.len() as u64);
            return;
        }
        while let Some(&(_, plain)) = self.marks.front().filter(|&&(wire, _)| wire <= self.sent) {
            self.written = plain;
            self.marks.pop_front();
        }
    }

    /// Lets the layers say their goodbyes behind the last bytes.
    pub(super) fn finish(&mut self, now: Instant) -> Result<(), LayerError> {
        if self.stack.is_empty() {
            return Ok(());
        }
        self.seal(now)?;
        self.stack.close(now, &mut self.wire)
    }

    /// True when nothing sealed waits for the socket.
    pub(super) fn is_sent(&self) -> bool {
        self.wire.is_empty()
    }

    /// True when bytes wait for the socket.
    pub(super) fn wants_write(&self) -> bool {
        !self.wire.is_empty() || !self.plain.is_empty()
    }

    /// Passes the session's bytes down through the layers, and notes how far they have come.
    fn seal(&mut self, now: Instant) -> Result<(), LayerError> {
        let before = self.wire.position();
        self.stack.seal(now, &mut self.plain, &mut self.wire)?;
        let after = self.wire.position();
        if after > before {
            self.marks.push_back((after, self.taken - self.plain.len() as u64));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock,
        layer::{Layer, Progress},
    };

    /// Has something to say whenever it is asked.
    #[derive(Debug)]
    struct Talkative;

    const WORD: usize = 131;

    impl Layer for Talkative {
        fn open(&mut self, _: Instant, _: &mut BytesMut, _: &mut BytesMut) -> Result<Progress, LayerError> {
            Ok(Progress::Open)
        }

        fn seal(&mut self, _: Instant, _: &mut SendBuf, wire: &mut SendBuf) -> Result<(), LayerError> {
            wire.put_slice(&[0; WORD]);
            Ok(())
        }

        fn name(&self) -> &'static str {
            "talkative"
        }

        fn close(&mut self, _: &mut SendBuf) {}
    }

    #[test]
    fn what_layers_say_by_themselves_waits_for_a_socket_that_takes_nothing() {
        let mut pipe = Pipe::over(Stack::new(vec![Box::new(Talkative)]));
        let flood = |pipe: &mut Pipe| (0..10_000).for_each(|_| pipe.seal_early(clock()).expect("sealed"));
        flood(&mut pipe);
        assert!((MOST_UNASKED..MOST_UNASKED + 2 * WORD).contains(&pipe.wire.len()), "{}", pipe.wire.len());
        pipe.advance(4 * WORD);
        flood(&mut pipe);
        assert!((MOST_UNASKED..MOST_UNASKED + 2 * WORD).contains(&pipe.wire.len()), "{}", pipe.wire.len());
    }
}
