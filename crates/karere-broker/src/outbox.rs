//! What waits to be written to one connection, and what faults hold back.

use std::{collections::VecDeque, time::Instant};

use bytes::Bytes;
use karere_proto::{Packet, PacketId, SendBuf, WireRules};

/// Bytes for one connection, in wire order.
///
/// ```text
///   put ─────────► ready ──► take          nothing held: straight through
///   hold, put ───► held ┘                  one piece per take, each when it is due
///   postpone ────► later ─► put            when it is due; others overtake it
/// ```
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    ready: SendBuf,
    /// In wire order behind `ready`; empty unless a fault put something in.
    held: VecDeque<Piece>,
    later: Vec<Postponed>,
    /// Bytes ever put into `held`.
    held_bytes: u64,
}

#[derive(Debug)]
struct Piece {
    /// `None` once it may go.
    due: Option<Instant>,
    bytes: Bytes,
}

#[derive(Debug)]
struct Postponed {
    due: Instant,
    bytes: Bytes,
    answers: Option<PacketId>,
}

impl Outbox {
    pub(crate) fn put(&mut self, packet: &Packet, rules: &WireRules) {
        if self.held.is_empty() {
            packet.encode(rules, &mut self.ready);
        } else {
            self.put_bytes(encoded(packet, rules));
        }
    }

    pub(crate) fn put_bytes(&mut self, bytes: Bytes) {
        if self.held.is_empty() {
            self.ready.put_bytes(&bytes);
        } else {
            self.push(Piece { due: None, bytes });
        }
    }

    /// Puts a piece at the end that is handed over by itself; it and all behind it wait until `due`.
    pub(crate) fn hold(&mut self, due: Instant, bytes: Bytes) {
        self.push(Piece { due: Some(due), bytes });
    }

    /// Puts `bytes` at the end once `due` has come. `answers` is told then.
    pub(crate) fn postpone(&mut self, due: Instant, bytes: Bytes, answers: Option<PacketId>) {
        self.later.push(Postponed { due, bytes, answers });
    }

    /// Lets go what is due; calls `answered` for what the postponed packets answer.
    pub(crate) fn release(&mut self, now: Instant, mut answered: impl FnMut(PacketId)) {
        for piece in &mut self.held {
            match piece.due {
                Some(due) if due > now => break,
                Some(_) | None => piece.due = None,
            }
        }
        let mut due = Vec::new();
        self.later.retain_mut(|postponed| {
            let ripe = postponed.due <= now;
            if ripe {
                due.push((postponed.due, core::mem::take(&mut postponed.bytes)));
                postponed.answers.into_iter().for_each(&mut answered);
            }
            !ripe
        });
        due.sort_by_key(|&(due, _)| due); // stable: equal ones stay in the order they were sent
        for (_, bytes) in due {
            self.put_bytes(bytes);
        }
    }

    /// Moves what may go to the end of `out`.
    pub(crate) fn take(&mut self, out: &mut SendBuf) {
        if !self.ready.is_empty() {
            self.ready.take_open(out);
        } else if self.held.front().is_some_and(|piece| piece.due.is_none())
            && let Some(piece) = self.held.pop_front()
        {
            out.put_bytes(&piece.bytes);
        }
    }

    /// When something that is held back is due next.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let held = self.held.iter().find_map(|piece| piece.due);
        self.later.iter().map(|postponed| postponed.due).chain(held).min()
    }

    /// True when [`Outbox::take`] has something to give.
    pub(crate) fn is_ready(&self) -> bool {
        !self.ready.is_empty() || self.held.front().is_some_and(|piece| piece.due.is_none())
    }

    /// True when nothing is left but what was postponed.
    pub(crate) fn is_drained(&self) -> bool {
        self.ready.is_empty() && self.held.is_empty()
    }

    /// Bytes that wait.
    pub(crate) const fn len(&self) -> usize {
        self.ready.len()
    }

    /// Bytes ever put in, postponed ones once they are due.
    pub(crate) const fn total(&self) -> u64 {
        self.ready.position() + self.held_bytes
    }

    fn push(&mut self, piece: Piece) {
        self.held_bytes += piece.bytes.len() as u64;
        self.held.push_back(piece);
    }
}

pub(crate) fn encoded(packet: &Packet, rules: &WireRules) -> Bytes {
    let mut buf = SendBuf::new();
    packet.encode(rules, &mut buf);
    Bytes::from(buf.to_vec())
}
