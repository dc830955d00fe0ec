//! The thread: waits for sockets and deadlines, carries bytes between sockets and broker.

use core::time::Duration;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io::{self, ErrorKind},
    sync::atomic::Ordering,
    time::Instant,
};

use bytes::BytesMut;
use mio::{Events, Poll, Token, Waker};

use super::{
    Shared,
    address::Address,
    channel::{Channel, Received},
    layer::End,
    layering::Layering,
    stream::Acceptor,
    troubles::Trouble,
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

/// How long a closed connection may take to read its last bytes. Closing at once, with bytes unread on this side, would
/// reset the connection and take the DISCONNECT away that tells why.
const LINGER: Duration = Duration::from_secs(1);

/// How long to wait after a connection could not be accepted, as when file descriptors have run out.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

pub(super) struct Reactor {
    poll: Poll,
    listeners: Vec<Listener>,
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
    /// A layer has ended, its last words are to be written.
    ended: Vec<ConnectionId>,
    /// What went wrong, and where; told to people, not to the broker.
    troubles: Vec<(ConnectionId, usize, String)>,
}

struct Listener {
    acceptor: Acceptor,
    address: Address,
    layering: Layering,
}

struct Socket {
    channel: Channel,
    /// The number of the listener it came in at.
    listener: usize,
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
            listeners: Vec::new(),
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
    pub(super) fn listen(&mut self, address: &Address, layering: Layering) -> io::Result<Address> {
        let mut acceptor = Acceptor::bind(address)?;
        acceptor.register(self.poll.registry(), Token(FIRST_ACCEPTOR + self.listeners.len()))?;
        let address = acceptor.port()?.map_or_else(|| address.clone(), |port| address.with_port(port));
        self.listeners.push(Listener { acceptor, address: address.clone(), layering });
        Ok(address)
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
            self.tell_troubles(shared); // before the client can know
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
            socket.channel.drain(&mut self.scratch);
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
        let reads = |id: &ConnectionId| self.sockets.get(id).is_some_and(|socket| socket.channel.has_room());
        let takes = |id: &ConnectionId| self.sockets.get(id).is_some_and(|socket| socket.takes_more());
        self.readable.iter().any(reads) || self.writing.iter().any(takes)
    }

    fn handle_event(&mut self, event: &mio::event::Event) {
        let Token(token) = event.token();
        let Some(number) = token.checked_sub(FIRST_ACCEPTOR + self.listeners.len()) else {
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
        if event.is_writable() && socket.channel.is_unwritten() {
            self.writing.insert(id);
        }
    }

    fn accept(&mut self, now: Instant) {
        if self.accept_at.is_none_or(|at| at > now) {
            return;
        }
        self.accept_at = None;
        for (number, listener) in self.listeners.iter().enumerate() {
            loop {
                let mut stream = match listener.acceptor.accept() {
                    Ok(stream) => stream,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    Err(_) => {
                        self.accept_at = now.checked_add(ACCEPT_AGAIN);
                        break;
                    }
                };
                let id = ConnectionId::new(self.accepted);
                let token = Token(FIRST_ACCEPTOR + self.listeners.len() + self.accepted as usize);
                self.accepted += 1;
                let layers = match listener.layering.layers() {
                    Ok(layers) => layers,
                    Err(why) => {
                        self.turn.troubles.push((id, number, why));
                        continue;
                    }
                };
                if stream.register(self.poll.registry(), token).is_ok() {
                    self.sockets.insert(id, Socket::new(Channel::new(stream, layers), number));
                    self.turn.opened.push(id);
                }
            }
        }
    }

    /// Reads once from each connection that has something and is not to wait.
    fn read(&mut self) {
        let Self { sockets, readable, writing, scratch, arena, turn, .. } = self;
        readable.retain(|&id| {
            let Some(socket) = sockets.get_mut(&id) else {
                return false;
            };
            if !socket.channel.has_room() {
                return true;
            }
            let Received { count, end } = match socket.channel.read(scratch, arena) {
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == ErrorKind::Interrupted => return true,
                Err(_) => Received { count: 0, end: None },
            };
            if !arena.is_empty() {
                turn.received.push((id, arena.split()));
            }
            match end {
                Some(end) => {
                    turn.ended.push(id);
                    if let End::Broken(why) = end {
                        turn.troubles.push((id, socket.listener, why));
                    }
                }
                None if count == 0 => {
                    turn.closed.push(id);
                    if socket.channel.is_opening() {
                        turn.troubles.push((id, socket.listener, "the client left in a handshake".to_owned()));
                    }
                    return false;
                }
                // A handshake's answer, or what waited for its end.
                None if socket.channel.has_layers() && socket.channel.is_unwritten() => {
                    writing.insert(id);
                }
                None => {}
            }
            // A short read has emptied the socket; what comes later is a new event.
            count == scratch.len() || socket.read_closed
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
        for id in core::mem::take(&mut self.turn.ended) {
            broker.handle_closed(now, id);
            self.end(now, id);
        }
        broker.handle_timeout(now);
        self.note_ready(broker);
        for id in &self.writing {
            if let Some(socket) = self.sockets.get_mut(id)
                && socket.takes_more()
            {
                socket.more = false;
                socket.then = broker.poll_bytes(now, *id, socket.channel.out());
                if socket.then == Then::Close && socket.channel.is_opening() {
                    let why = "a handshake was not over when the broker closed the connection".to_owned();
                    self.turn.troubles.push((*id, socket.listener, why));
                }
            }
        }
        self.note_ready(broker); // those with more than was taken are named again
    }

    /// Writes the last words of a connection and closes it, soon whether they are taken or not.
    fn end(&mut self, now: Instant, id: ConnectionId) {
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.channel.close();
            socket.then = Then::Close;
            socket.more = false;
            self.writing.insert(id);
            if let Some(deadline) = now.checked_add(LINGER) {
                self.lingering.push_back((deadline, id));
            }
        }
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
            match socket.channel.write(socket.then) {
                Ok(()) if socket.channel.is_unwritten() => false, // an event says when it goes on
                Ok(()) if socket.then == Then::Close && !socket.lingering => {
                    socket.lingering = true;
                    socket.channel.finish();
                    readable.insert(id);
                    if let Some(deadline) = now.checked_add(LINGER) {
                        lingering.push_back((deadline, id));
                    }
                    false
                }
                Ok(()) => socket.more,
                Err(_) => {
                    // Reading tells the rest: it fails as well, once what came before was read.
                    socket.channel.clear();
                    socket.read_closed = true;
                    readable.insert(id);
                    false
                }
            }
        });
    }

    fn tell_troubles(&mut self, shared: &Shared) {
        if self.turn.troubles.is_empty() {
            return;
        }
        let mut told = shared.troubles();
        for (connection, listener, why) in self.turn.troubles.drain(..) {
            told.add(Trouble { address: self.listeners[listener].address.clone(), connection, why });
        }
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
    const fn new(channel: Channel, listener: usize) -> Self {
        Self { channel, listener, read_closed: false, more: false, then: Then::KeepOpen, lingering: false }
    }

    /// The broker has more for it, and it may have it.
    fn takes_more(&self) -> bool {
        self.more && self.channel.has_room()
    }
}
