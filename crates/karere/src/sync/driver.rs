//! The driver: the only part that waits, reads, writes and calls handlers.

mod background;
mod dial;
mod names;
mod turn;

use core::{fmt, net::SocketAddr, time::Duration};
use std::{io, os::fd::BorrowedFd, sync::atomic::Ordering, time::Instant};

pub use background::{Background, Panicked};
use karere_link::{
    AccessHook, Acknowledge, DialError, FirstConnection, Link, Options, OptionsError, Parts, Reconnect, Rng,
    SocketOptions,
};
use karere_proto::session::{Cause, CloseCause, Config, Event};
use mio::{Events, Poll, Token};

use self::dial::{Asked, Dialed};
use super::{
    Client, Handler, SocketId,
    client::{link, provide_tls, seed},
    completion::{complete, give_up_all},
    shared::DriverLife,
};

const WAKE: Token = Token(0);

/// Moves a client's bytes and calls its handler. One for each client.
#[derive(Debug)]
pub struct Driver {
    client: Client,
    link: Link,
    options: Options,
    sockets: SocketOptions,
    name_server: Option<SocketAddr>,
    first_connection: FirstConnection,
    acknowledge: Acknowledge,
    reconnect: Reconnect,
    access: Option<AccessHook>,
    /// The connection's.
    socket: Option<Dialed>,
    /// Those that are being connected.
    dialing: Vec<Dialed>,
    asked: Vec<Asked>,
    /// What the socket is known to be ready for; edges are remembered here until an operation would block.
    ready: Ready,
    /// Writing has failed; what the server has said before is read first.
    write_error: Option<io::Error>,
    /// Whether the handler has been told to watch for writing.
    write_registered: Registered,
    /// Deliveries to acknowledge with the next exchange.
    done: Vec<karere_proto::session::Delivery>,
    poll: Option<(Poll, Events)>,
    /// Of the newest socket; the waker has 0.
    last_token: usize,
    /// How the last round of attempts went.
    last: LastAttempt,
    /// How the last attempt failed, while another one of its round may follow.
    failed: Option<Failed>,
    /// How the session says that the connection has ended.
    ended: Option<Cause>,
    /// Whether a connection was asked for while the last one was being closed.
    again: Again,
    /// When to disconnect although not all is drained.
    leave_at: Option<Instant>,
    /// Connections accepted so far.
    accepted: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    No,
    Yes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Registered {
    No,
    Yes,
}

/// How the last round of attempts went, for those who wait for it.
#[derive(Debug)]
enum LastAttempt {
    None,
    Connected,
    Failed(DialError),
    Ended(Cause),
    /// And there will be no other: no server takes this CONNECT.
    GivenUp(Cause),
}

/// How one attempt failed.
#[derive(Debug)]
enum Failed {
    Dial(DialError),
    Ended(Cause),
}

/// Whether another attempt may succeed with nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hope {
    No,
    Yes,
}

/// What a socket is ready for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ready {
    /// Bytes, or the end, can be read.
    pub readable: bool,
    /// Bytes can be written, or connecting is over.
    pub writable: bool,
    /// The other side has closed: read until the end.
    pub closed: bool,
}

impl Ready {
    /// For nothing: a turn for the sake of time, or of what was queued.
    pub const NONE: Self = Self { readable: false, writable: false, closed: false };
    /// For reading.
    pub const READABLE: Self = Self { readable: true, ..Self::NONE };
    /// For writing.
    pub const WRITABLE: Self = Self { writable: true, ..Self::NONE };
    /// For reading and writing.
    pub const BOTH: Self = Self { readable: true, writable: true, closed: false };

    /// Ready for what either is.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            readable: self.readable || other.readable,
            writable: self.writable || other.writable,
            closed: self.closed || other.closed,
        }
    }
}

/// What a loop shall watch a socket for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete: a socket that is open is always read")]
pub enum Interest {
    /// Reading.
    Read,
    /// Reading and writing.
    ReadWrite,
}

impl Driver {
    pub(super) fn new(client: Client, link: Link, options: Options, parts: Parts) -> Self {
        Self {
            client,
            link,
            options,
            sockets: parts.socket,
            name_server: parts.name_server,
            first_connection: parts.first_connection,
            acknowledge: parts.acknowledge,
            reconnect: parts.policy.reconnect,
            access: parts.access,
            socket: None,
            dialing: Vec::new(),
            asked: Vec::new(),
            ready: Ready::NONE,
            write_error: None,
            write_registered: Registered::No,
            done: Vec::new(),
            poll: None,
            last_token: WAKE.0,
            last: LastAttempt::None,
            failed: None,
            ended: None,
            again: Again::No,
            leave_at: None,
            accepted: 0,
        }
    }

    /// A handle of the client.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Starts over: a new client in place of the old one, made of new options or of the same. The old session and all
    /// that waited in it are dropped and reported as given up; routes and log stay.
    ///
    /// # Errors
    ///
    /// [`OptionsError`] when the options are wrong; nothing is changed then.
    pub fn reinitialise(&mut self, options: Option<Options>, handler: &mut dyn Handler) -> Result<(), OptionsError> {
        #[cfg(feature = "store")]
        if self.client.shared.lock().keeping.is_some() {
            return Err(OptionsError::StartsOverWithStore);
        }
        let options = options.unwrap_or_else(|| self.options.clone());
        let mut rng = Rng::new(seed());
        let mut parts = options.clone().into_parts(&mut rng)?;
        provide_tls(&mut parts)?;
        let events = self.replace_session(parts.session.clone())?;
        self.client.shared.notify();
        for event in events {
            self.tell(event, handler, &mut Vec::new());
        }
        self.drop_attempts(handler);
        self.drop_socket(handler);
        self.link = link(&parts, rng);
        self.options = options;
        self.sockets = parts.socket;
        self.name_server = parts.name_server;
        self.first_connection = parts.first_connection;
        self.acknowledge = parts.acknowledge;
        self.reconnect = parts.policy.reconnect;
        self.access = parts.access;
        self.done.clear();
        self.last = LastAttempt::None;
        self.failed = None;
        self.again = Again::No;
        self.leave_at = None;
        Ok(())
    }

    /// Ends the old session, and gives what is to be told of that. Messages it had received come again, if the server
    /// keeps it.
    fn replace_session(&self, config: Config) -> Result<Vec<Event>, OptionsError> {
        let mut core = self.client.shared.lock();
        let core = &mut *core;
        let session = core.session.renew(Instant::now(), config).map_err(OptionsError::Config)?;
        let mut old = core::mem::replace(&mut core.session, session);
        core.commands.clear();
        old.handle_closed(CloseCause::Abandoned);
        old.drop_messages();
        let mut events = Vec::new();
        while let Some(event) = old.poll_event(Instant::now()) {
            complete(core, &event);
            if !matches!(event, Event::Message { .. }) {
                events.push(event);
            }
        }
        give_up_all(core);
        Ok(events)
    }

    /// The socket to watch, while there is one. It changes with every attempt to connect.
    ///
    /// While several addresses of a name are dialed side by side, or a better server is looked for, there are others too:
    /// [`Handler::on_socket_open`] tells of each. A loop that watches only this one is late by no more than the delay
    /// between two addresses, because [`Driver::deadline`] counts on it.
    pub fn fd(&self) -> Option<SocketId> {
        self.watched().map(|socket| socket.stream.fd())
    }

    /// The socket to watch, borrowed: for loops that take no bare numbers, and for setting its options.
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.watched().map(|socket| socket.stream.as_fd())
    }

    fn watched(&self) -> Option<&Dialed> {
        self.socket.as_ref().or_else(|| self.dialing.last())
    }

    /// What to watch the socket for.
    pub fn interest(&self) -> Interest {
        let waits = self.socket.is_none() && !self.dialing.is_empty()
            || self.link.wants_write()
            || self.socket.is_some() && self.client.shared.lock().session.wants_write();
        if waits { Interest::ReadWrite } else { Interest::Read }
    }

    /// When to call [`Driver::turn`] at the latest, whatever the socket does.
    pub fn deadline(&self) -> Option<Instant> {
        let core = self.client.shared.lock();
        if !core.commands.is_empty() || core.wants_telling() || self.has_more() {
            return Some(Instant::now());
        }
        [core.session.poll_timeout(), self.link.poll_timeout(), self.leave_at].into_iter().flatten().min()
    }

    /// Waits for the socket, a deadline or work of another thread, at most `timeout`, then takes one step. Paho's
    /// `loop(timeout)`.
    ///
    /// # Errors
    ///
    /// When the operating system cannot wait for sockets. A lost connection is not an error here: the handler is told.
    pub fn wait_and_turn(&mut self, timeout: Option<Duration>, handler: &mut dyn Handler) -> io::Result<()> {
        let ready = self.wait(timeout)?;
        self.turn(ready, handler);
        Ok(())
    }

    /// Connects and returns once a server has accepted, calling handlers meanwhile. Makes one round over the servers.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] when it failed: nothing answered, or the last server refused. The client then rests until it is asked
    /// to connect again.
    pub fn connect(&mut self, handler: &mut dyn Handler) -> Result<(), ConnectError> {
        self.connect_before(None, handler)
    }

    /// As [`Driver::connect`], in no more than `timeout`, however many addresses there are to try.
    ///
    /// # Errors
    ///
    /// As [`Driver::connect`], and [`ConnectError::TimedOut`].
    pub fn connect_within(&mut self, timeout: Duration, handler: &mut dyn Handler) -> Result<(), ConnectError> {
        self.connect_before(Instant::now().checked_add(timeout), handler)
    }

    fn connect_before(&mut self, deadline: Option<Instant>, handler: &mut dyn Handler) -> Result<(), ConnectError> {
        if self.client.is_connected() {
            return Ok(());
        }
        self.last = LastAttempt::None;
        self.client.connect();
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                self.abandon(Instant::now(), handler);
                return Err(ConnectError::TimedOut);
            }
            self.wait_and_turn(left, handler).map_err(ConnectError::Io)?;
            match core::mem::replace(&mut self.last, LastAttempt::None) {
                LastAttempt::None => {}
                LastAttempt::Connected => return Ok(()),
                LastAttempt::Failed(error) => {
                    self.link.stop();
                    return Err(ConnectError::Dial(error));
                }
                // The end of the connection before, which was being closed: the new one is on its way.
                LastAttempt::Ended(Cause::Requested) if !self.link.is_idle() => {}
                LastAttempt::Ended(cause) | LastAttempt::GivenUp(cause) => {
                    self.link.stop();
                    return Err(ConnectError::Ended(cause));
                }
            }
        }
    }

    /// Connects, reconnects, and calls handlers, until the application disconnects. Paho's `loop_forever`.
    ///
    /// # Errors
    ///
    /// [`RunError`] when the first attempt fails or is refused and [`FirstConnection::Retry`] was not chosen, when the
    /// connection is lost and [`Reconnect::Never`] was, when every server refuses this CONNECT for something that stands
    /// in it, or when the operating system cannot wait for sockets.
    pub fn run(&mut self, handler: &mut dyn Handler) -> Result<(), RunError> {
        self.run_until(handler, self.first_connection, Rest::End)
    }

    fn run_until(&mut self, handler: &mut dyn Handler, first: FirstConnection, rest: Rest) -> Result<(), RunError> {
        self.last = LastAttempt::None;
        let accepted_before = self.accepted;
        let connected_before = self.client.is_connected();
        self.client.connect();
        loop {
            self.wait_and_turn(None, handler).map_err(RunError::Io)?;
            if self.client.shared.stop.swap(false, Ordering::SeqCst) {
                return Ok(());
            }
            let connected = connected_before || self.accepted > accepted_before;
            let never_connected = first == FirstConnection::Fail && !connected;
            let gives_up = never_connected || rest == Rest::End && self.reconnect == Reconnect::Never;
            match core::mem::replace(&mut self.last, LastAttempt::None) {
                LastAttempt::Failed(error) if gives_up => {
                    self.link.stop();
                    return Err(RunError::FirstConnection(error));
                }
                LastAttempt::Ended(cause) if gives_up && cause != Cause::Requested => {
                    self.link.stop();
                    return Err(RunError::Lost(cause));
                }
                LastAttempt::GivenUp(cause) if rest == Rest::End => return Err(RunError::Lost(cause)),
                LastAttempt::GivenUp(_) => {} // the log has it, and the handler has seen each refusal
                LastAttempt::Failed(_) | LastAttempt::Ended(_) | LastAttempt::Connected | LastAttempt::None => {}
            }
            if rest == Rest::End && self.is_at_rest() {
                return Ok(());
            }
        }
    }

    /// True when nothing is connected, attempted or asked for: only a new request will make the driver act.
    fn is_at_rest(&self) -> bool {
        self.link.is_idle() && {
            let core = self.client.shared.lock();
            core.session.is_offline() && core.commands.is_empty() && !core.waits_for_store()
        }
    }

    fn wait(&mut self, timeout: Option<Duration>) -> io::Result<Ready> {
        if self.poll.is_none() {
            let poll = Poll::new()?;
            self.client.shared.wake.set_poll(mio::Waker::new(poll.registry(), WAKE)?);
            for socket in self.socket.iter_mut().chain(&mut self.dialing) {
                socket.stream.register(poll.registry(), socket.token)?;
            }
            self.poll = Some((poll, Events::with_capacity(8)));
        }
        // Sleep is announced before the last look for work: see `Wake::park`.
        self.client.shared.wake.park();
        let deadline = if self.has_work() { Some(Instant::now()) } else { self.deadline() };
        let until_deadline = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let wait = match (until_deadline, timeout) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        let Some((poll, events)) = &mut self.poll else {
            return Ok(Ready::NONE);
        };
        let outcome = poll.poll(events, wait);
        self.client.shared.wake.unpark();
        match outcome {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Ready::NONE),
            Err(error) => return Err(error),
            Ok(()) => {}
        }
        let mut ready = Ready::NONE;
        let own = self.socket.as_ref().map(|socket| socket.token);
        for event in events.iter().filter(|event| Some(event.token()) == own) {
            ready = ready.and(Ready {
                readable: event.is_readable() || event.is_error(),
                writable: event.is_writable() || event.is_error(),
                closed: event.is_read_closed() || event.is_error(),
            });
        }
        Ok(ready)
    }

    /// Work that needs no readiness: bytes for a writable socket, commands, results.
    fn has_work(&self) -> bool {
        if self.has_more() {
            return true;
        }
        let core = self.client.shared.lock();
        !core.commands.is_empty()
            || core.wants_telling()
            || self.socket.is_some() && core.session.wants_write() && self.ready.writable
    }

    /// A turn ended early, or a result waits.
    fn has_more(&self) -> bool {
        !self.done.is_empty() || self.socket.is_some() && self.ready.readable
    }
}

/// What a loop does when there is nothing to keep alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// It returns.
    End,
    /// It waits for the application.
    Wait,
}

impl Drop for Driver {
    fn drop(&mut self) {
        let shared = &self.client.shared;
        shared.finish_keeping();
        shared.lock().driver = DriverLife::Gone;
        shared.notify();
    }
}

/// Why a client did not get connected.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// Nothing could be reached at the address.
    Dial(DialError),
    /// The server refused, or the connection ended before it answered.
    Ended(Cause),
    /// The operating system cannot wait for sockets.
    Io(io::Error),
    /// The server had not accepted in the time that was given.
    TimedOut,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dial(error) => error.fmt(f),
            Self::Ended(cause) => cause.fmt(f),
            Self::Io(error) => write!(f, "cannot wait for sockets: {error}"),
            Self::TimedOut => f.write_str("the server did not accept the connection in time"),
        }
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Dial(error) => Some(error),
            Self::Ended(cause) => Some(cause),
            Self::Io(error) => Some(error),
            Self::TimedOut => None,
        }
    }
}

/// Why a loop ended without the application having disconnected.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// The first attempt failed.
    FirstConnection(DialError),
    /// The operating system cannot wait for sockets.
    Io(io::Error),
    /// The first connection was refused, or a connection was lost and is not made anew: the options say so, or no server
    /// takes this CONNECT.
    Lost(Cause),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FirstConnection(error) => error.fmt(f),
            Self::Io(error) => write!(f, "cannot wait for sockets: {error}"),
            Self::Lost(cause) => cause.fmt(f),
        }
    }
}

impl std::error::Error for RunError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::FirstConnection(error) => Some(error),
            Self::Io(error) => Some(error),
            Self::Lost(cause) => Some(cause),
        }
    }
}
