//! The thread: waits for sockets and deadlines, carries bytes between sockets and broker.

use core::time::Duration;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io::{self, ErrorKind, IoSlice},
    sync::atomic::Ordering,
    time::Instant,
};

use bytes::BytesMut;
use karere_proto::SendBuf;
use mio::{Events, Poll, Token, Waker};

use super::{
    Address, Shared,
    stream::{Acceptor, Stream},
};
use crate::{
    broker::{Broker, Then},
    connection::ConnectionId,
};

const WAKER: Token = Token(0);

/// Acceptors have the tokens from here on, connections those behind them.
const FIRST_ACCEPTOR: usize = 1;

/// Read at once from one connection, so that none keeps the others waiting.
const READ_SIZE: usize = 64 * 1024;

/// A connection with more than this to be written is not read, and what the broker has for it stays there.
const HIGH_WATER: usize = 1024 * 1024;

/// As many slices as one system call takes usefully.
const SLICES: usize = 64;

/// How long a closed connection may take to read its last bytes. Closing at once, with bytes unread on this side, would
/// reset the connection and take the DISCONNECT away that tells why.
const LINGER: Duration = Duration::from_secs(1);

/// How long to wait after a connection could not be accepted, as when file descriptors have run out.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

pub(super) struct Reactor {
    poll: Poll,
    acceptors: Vec<Acceptor>,
    /// Some acceptor may have connections waiting.
    accept_at: Option<Instant>,
    sockets: BTreeMap<ConnectionId, Socket>,
    /// With bytes to be read, as far as known.
    readable: BTreeSet<ConnectionId>,
    /// With bytes from the broker to be written, or waiting in the broker.
    writing: BTreeSet<ConnectionId>,
    /// Closed by the broker, waiting for the other side; oldest first.
    lingering: VecDeque<(Instant, ConnectionId)>,
    accepted: u64,
    /// Read into first, because it need not be cleared each time.
    scratch: Box<[u8]>,
    /// What was read, cut off piece by piece; messages are slices of it.
    arena: BytesMut,
    turn: Turn,
}

/// What the broker is told in one turn.
#[derive(Default)]
struct Turn {
    opened: Vec<ConnectionId>,
    received: Vec<(ConnectionId, BytesMut)>,
    closed: Vec<ConnectionId>,
}

struct Socket {
    stream: Stream,
    out: SendBuf,
    /// The other side has finished sending: reading goes on to the end, whatever a short read says.
    read_closed: bool,
    /// The broker has more for it.
    more: bool,
    then: Then,
    lingering: bool,
}

impl Reactor {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            acceptors: Vec::new(),
            accept_at: None,
            sockets: BTreeMap::new(),
            readable: BTreeSet::new(),
            writing: BTreeSet::new(),
            lingering: VecDeque::new(),
            accepted: 0,
            scratch: vec![0; READ_SIZE].into_boxed_slice(),
            arena: BytesMut::with_capacity(READ_SIZE),
            turn: Turn::default(),
        })
    }

    /// Listens on `address`; says where that is.
    pub(super) fn listen(&mut self, address: &Address) -> io::Result<Address> {
        let mut acceptor = Acceptor::bind(address)?;
        acceptor.register(self.poll.registry(), Token(FIRST_ACCEPTOR + self.acceptors.len()))?;
        let bound = acceptor.local_addr()?;
        self.acceptors.push(acceptor);
        Ok(bound)
    }

    pub(super) fn waker(&self) -> io::Result<Waker> {
        Waker::new(self.poll.registry(), WAKER)
    }

    /// Serves until it is told to stop.
    pub(super) fn run(mut self, shared: &Shared) {
        let mut events = Events::with_capacity(256);
        let mut broker_timeout = None;
        while !shared.stop.load(Ordering::Acquire) {
            match self.poll.poll(&mut events, self.timeout(broker_timeout)) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => break, // without events there is nothing to serve
            }
            let now = Instant::now();
            for event in &events {
                self.handle_event(event);
            }
            self.accept(now);
            self.read();
            let mut broker = shared.lock();
            self.exchange(now, &mut broker);
            broker_timeout = broker.poll_timeout();
            drop(broker);
            self.write(now);
            self.end_lingering(now);
        }
        let now = Instant::now();
        let mut broker = shared.lock();
        broker.shut_down(now);
        self.exchange(now, &mut broker);
        drop(broker);
        self.write(now);
        for (_, mut socket) in core::mem::take(&mut self.sockets) {
            // Unread bytes would make the system reset the connection, and what was just written would be lost.
            while socket.stream.read(&mut self.scratch).is_ok_and(|count| count > 0) {}
        }
    }

    fn timeout(&self, broker: Option<Instant>) -> Option<Duration> {
        if self.has_work() {
            return Some(Duration::ZERO);
        }
        let lingering = self.lingering.front().map(|&(deadline, _)| deadline);
        let first = [broker, lingering, self.accept_at].into_iter().flatten().min()?;
        Some(first.saturating_duration_since(Instant::now()))
    }

    /// Something can be done without waiting for an event.
    fn has_work(&self) -> bool {
        let reads = |id: &ConnectionId| self.sockets.get(id).is_some_and(Socket::has_room);
        let takes = |id: &ConnectionId| self.sockets.get(id).is_some_and(|socket| socket.more && socket.has_room());
        self.readable.iter().any(reads) || self.writing.iter().any(takes)
    }

    fn handle_event(&mut self, event: &mio::event::Event) {
        let Token(token) = event.token();
        let Some(number) = token.checked_sub(FIRST_ACCEPTOR + self.acceptors.len()) else {
            if event.token() != WAKER {
                self.accept_at = Some(Instant::now());
            }
            return;
        };
        let id = ConnectionId::new(number as u64);
        let Some(socket) = self.sockets.get_mut(&id) else {
            return;
        };
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            socket.read_closed |= event.is_read_closed() || event.is_error();
            self.readable.insert(id);
        }
        if event.is_writable() && !socket.out.is_empty() {
            self.writing.insert(id);
        }
    }

    fn accept(&mut self, now: Instant) {
        if self.accept_at.is_none_or(|at| at > now) {
            return;
        }
        self.accept_at = None;
        for acceptor in &self.acceptors {
            loop {
                let mut stream = match acceptor.accept() {
                    Ok(stream) => stream,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    Err(_) => {
                        self.accept_at = now.checked_add(ACCEPT_AGAIN);
                        break;
                    }
                };
                let id = ConnectionId::new(self.accepted);
                let token = Token(FIRST_ACCEPTOR + self.acceptors.len() + self.accepted as usize);
                self.accepted += 1;
                if stream.register(self.poll.registry(), token).is_ok() {
                    self.sockets.insert(id, Socket::new(stream));
                    self.turn.opened.push(id);
                }
            }
        }
    }

    /// Reads once from each connection that has something and is not to wait.
    fn read(&mut self) {
        let Self { sockets, readable, scratch, arena, turn, .. } = self;
        readable.retain(|&id| {
            let Some(socket) = sockets.get_mut(&id) else {
                return false;
            };
            if !socket.has_room() {
                return true;
            }
            match socket.stream.read(scratch) {
                Ok(0) => {
                    turn.closed.push(id);
                    false
                }
                Ok(count) => {
                    if !socket.lingering {
                        arena.extend_from_slice(&scratch[..count]);
                        turn.received.push((id, arena.split()));
                    }
                    // A short read has emptied the socket; what comes later is a new event.
                    count == scratch.len() || socket.read_closed
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => false,
                Err(error) if error.kind() == ErrorKind::Interrupted => true,
                Err(_) => {
                    turn.closed.push(id);
                    false
                }
            }
        });
    }

    /// Tells the broker what happened and takes what it has to say.
    fn exchange(&mut self, now: Instant, broker: &mut Broker) {
        for id in self.turn.opened.drain(..) {
            broker.handle_opened(now, id);
        }
        for (id, mut bytes) in self.turn.received.drain(..) {
            broker.handle_bytes(now, id, &mut bytes);
        }
        for id in self.turn.closed.drain(..) {
            broker.handle_closed(now, id);
            self.sockets.remove(&id);
        }
        broker.handle_timeout(now);
        self.note_ready(broker);
        for id in &self.writing {
            if let Some(socket) = self.sockets.get_mut(id)
                && socket.more
                && socket.has_room()
            {
                socket.more = false;
                socket.then = broker.poll_bytes(now, *id, &mut socket.out);
            }
        }
        self.note_ready(broker); // those with more than was taken are named again
    }

    fn note_ready(&mut self, broker: &mut Broker) {
        while let Some(id) = broker.poll_ready() {
            if let Some(socket) = self.sockets.get_mut(&id) {
                socket.more = true;
                self.writing.insert(id);
            }
        }
    }

    fn write(&mut self, now: Instant) {
        let Self { sockets, writing, readable, lingering, .. } = self;
        writing.retain(|&id| {
            let Some(socket) = sockets.get_mut(&id) else {
                return false;
            };
            match socket.write() {
                Ok(()) if !socket.out.is_empty() => false, // an event says when it goes on
                Ok(()) if socket.then == Then::Close && !socket.lingering => {
                    socket.lingering = true;
                    socket.stream.finish();
                    readable.insert(id);
                    if let Some(deadline) = now.checked_add(LINGER) {
                        lingering.push_back((deadline, id));
                    }
                    false
                }
                Ok(()) => socket.more,
                Err(_) => {
                    // Reading tells the rest: it fails as well, once what came before was read.
                    socket.out.clear();
                    socket.read_closed = true;
                    readable.insert(id);
                    false
                }
            }
        });
    }

    fn end_lingering(&mut self, now: Instant) {
        while let Some(&(deadline, id)) = self.lingering.front() {
            if deadline > now {
                break;
            }
            self.lingering.pop_front();
            self.sockets.remove(&id);
        }
    }
}

impl Socket {
    fn new(stream: Stream) -> Self {
        let out = SendBuf::new();
        Self { stream, out, read_closed: false, more: false, then: Then::KeepOpen, lingering: false }
    }

    /// What is to be written is little enough to take more, and to read more that may lead to more.
    const fn has_room(&self) -> bool {
        self.out.len() <= HIGH_WATER
    }

    /// Writes until all is written or no more is taken.
    fn write(&mut self) -> io::Result<()> {
        while !self.out.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = self.out.slices(&mut slices);
            match self.stream.write_vectored(&slices[..count]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => self.out.advance(written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
