//! Connections: bytes that take time, travel in pieces, and are lost at any point of the stream.

use core::time::Duration;
use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::seed::Dice;

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Broker,
    Client,
}

/// A transport between one client and the broker.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) client: usize,
    pub(crate) to_broker: Pipe,
    pub(crate) to_client: Pipe,
    /// The client holds its socket.
    pub(crate) client_open: bool,
    /// The broker holds its socket.
    pub(crate) broker_open: bool,
    /// What left the client and is no whole packet yet.
    pub(crate) left_client: BytesMut,
    /// What reached the client and is no whole packet yet.
    pub(crate) reached_client: BytesMut,
    /// What left the broker and is no whole packet yet.
    pub(crate) left_broker: BytesMut,
    /// What reached the broker and is no whole packet yet.
    pub(crate) reached_broker: BytesMut,
}

impl Connection {
    pub(crate) fn new(client: usize) -> Self {
        Self {
            client,
            to_broker: Pipe::default(),
            to_client: Pipe::default(),
            client_open: true,
            broker_open: true,
            left_client: BytesMut::new(),
            reached_client: BytesMut::new(),
            left_broker: BytesMut::new(),
            reached_broker: BytesMut::new(),
        }
    }

    /// True when nothing has happened to it.
    pub(crate) const fn is_sound(&self) -> bool {
        self.client_open && self.broker_open && self.to_broker.is_sound() && self.to_client.is_sound()
    }

    pub(crate) const fn pipe(&mut self, to: End) -> &mut Pipe {
        match to {
            End::Broker => &mut self.to_broker,
            End::Client => &mut self.to_client,
        }
    }
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub(crate) struct Pipe {
    pieces: VecDeque<(Duration, Bytes)>,
    /// When the end of the stream is seen; after all pieces.
    end: Option<Duration>,
    last_due: Duration,
    waiting: usize,
    /// Nothing that is written from now on arrives.
    dead: bool,
}

/// What comes out of a pipe.
#[derive(Debug)]
pub(crate) enum Arrival {
    Bytes(Bytes),
    End,
}

/// How long bytes travel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Travel {
    pub(crate) latency: Duration,
    pub(crate) split_percent: u64,
}

impl Pipe {
    const fn is_sound(&self) -> bool {
        !self.dead && self.end.is_none()
    }

    /// Bytes on their way.
    pub(crate) const fn waiting(&self) -> usize {
        self.waiting
    }

    /// Puts bytes on their way; `schedule` is told when something arrives.
    pub(crate) fn write(
        &mut self,
        now: Duration,
        bytes: &[u8],
        travel: Travel,
        dice: &mut Dice,
        mut schedule: impl FnMut(Duration),
    ) {
        if self.dead || self.end.is_some() || bytes.is_empty() {
            return;
        }
        let mut rest = Bytes::copy_from_slice(bytes);
        let split = dice.chance(travel.split_percent);
        while !rest.is_empty() {
            let len = if split { dice.between(1, rest.len() as u64) as usize } else { rest.len() };
            let due = self.last_due.max(now + dice.up_to(travel.latency));
            self.last_due = due;
            self.waiting += len;
            self.pieces.push_back((due, rest.split_to(len)));
            schedule(due);
        }
    }

    /// The writer closes: the end is seen after what is on its way.
    pub(crate) fn close(&mut self, now: Duration, travel: Travel, dice: &mut Dice) -> Option<Duration> {
        if self.dead || self.end.is_some() {
            return None;
        }
        let due = self.last_due.max(now + dice.up_to(travel.latency));
        self.end = Some(due);
        Some(due)
    }

    /// The network loses what is behind the first `pass` bytes.
    pub(crate) fn cut(&mut self, mut pass: usize) {
        self.dead = true;
        self.end = None;
        let mut kept = VecDeque::new();
        for (due, mut piece) in self.pieces.drain(..) {
            piece.truncate(pass);
            pass -= piece.len();
            if !piece.is_empty() {
                kept.push_back((due, piece));
            }
        }
        self.waiting = kept.iter().map(|(_, piece)| piece.len()).sum();
        self.pieces = kept;
    }

    /// After a cut: when the reader learns of it.
    pub(crate) fn end_at(&mut self, due: Duration) -> Duration {
        let due = due.max(self.last_due);
        self.end = Some(due);
        due
    }

    /// What has arrived by now.
    pub(crate) fn read(&mut self, now: Duration) -> Option<Arrival> {
        match self.pieces.front() {
            Some(&(due, _)) if due <= now => {
                let (_, piece) = self.pieces.pop_front()?;
                self.waiting -= piece.len();
                Some(Arrival::Bytes(piece))
            }
            Some(_) => None,
            None if self.end.is_some_and(|due| due <= now) => {
                self.end = None;
                self.dead = true;
                Some(Arrival::End)
            }
            None => None,
        }
    }
}
