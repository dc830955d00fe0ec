//! The broker as a driver and a test see it: what goes in, what comes out, what can be looked at.

use core::fmt;
use std::{
    collections::{BTreeMap, VecDeque},
    time::Instant,
};

use bytes::Bytes;
use karere_proto::{Publish, ReasonCode, SendBuf, Topic, Utf8String, packet::Disconnect};

use crate::{
    config::Config,
    connection::{Connection, ConnectionId},
    counters::Counters,
    ending::Ending,
    faults::Faults,
    message::Message,
    retained::Retained,
    session::{Session, SessionId},
    subscriptions::{Recipient, Subscriptions},
    timer::{Timer, Timers},
};

/// An MQTT broker without I/O, clock and randomness.
///
/// A driver tells it of connections, bytes and time through `handle_*`. After each of them it asks
/// [`poll_ready`](Self::poll_ready) until there is no more, and [`poll_timeout`](Self::poll_timeout) for the next deadline.
///
/// ```text
///  handle_opened ─► CONNECT ─► CONNACK ─► … ─► DISCONNECT, error, takeover or handle_closed
///                     │           │                          │
///                 take over    session of the          will published or held back,
///                 or refuse    client identifier       session kept or ended
/// ```
pub struct Broker {
    pub(crate) config: Config,
    pub(crate) faults: Faults,
    pub(crate) counters: Counters,
    pub(crate) connections: BTreeMap<ConnectionId, Connection>,
    pub(crate) sessions: BTreeMap<SessionId, Session>,
    pub(crate) by_client_id: BTreeMap<Utf8String, SessionId>,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) retained: Retained,
    pub(crate) timers: Timers,
    /// Connections with something for the driver, in the order it came up.
    pub(crate) ready: VecDeque<ConnectionId>,
    pub(crate) sessions_made: u64,
    pub(crate) client_ids_made: u64,
    /// Kept for its capacity.
    pub(crate) recipients: Vec<Recipient>,
}

/// What a driver does with a connection once it has written what it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "complete: a transport stays open or not")]
pub enum Then {
    /// Close the transport. The broker has forgotten the connection.
    Close,
    /// Go on.
    KeepOpen,
}

/// There is no such connection, or it is about to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownConnection(ConnectionId);

/// A session from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionStatus {
    /// The connection that has it.
    pub connection: Option<ConnectionId>,
    /// Its subscriptions.
    pub subscriptions: usize,
    /// QoS 1 and 2 messages to the client whose flow is not over.
    pub in_flight: usize,
    /// Messages that wait to be sent.
    pub queued: usize,
    /// QoS 2 messages from the client that it has not released.
    pub held: usize,
}

impl Broker {
    /// A broker without connections, sessions and messages.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            faults: Faults::default(),
            counters: Counters::default(),
            connections: BTreeMap::new(),
            sessions: BTreeMap::new(),
            by_client_id: BTreeMap::new(),
            subscriptions: Subscriptions::default(),
            retained: Retained::default(),
            timers: Timers::default(),
            ready: VecDeque::new(),
            sessions_made: 0,
            client_ids_made: 0,
            recipients: Vec::new(),
        }
    }

    /// A transport was opened. `id` must be new.
    pub fn handle_opened(&mut self, now: Instant, id: ConnectionId) {
        self.counters.opened += 1;
        self.connections.insert(id, Connection::new(now));
        if let Some(deadline) = now.checked_add(self.config.connect_timeout) {
            self.timers.set(Timer::Connect(id), deadline);
        }
    }

    /// A transport was closed, by the client or by the network: its will is due (§3.1.2.5).
    ///
    /// Not called for those that [`Then::Close`] made the driver close; if it is, nothing happens.
    pub fn handle_closed(&mut self, now: Instant, id: ConnectionId) {
        self.end(now, id, Ending::Lost);
        self.connections.remove(&id);
        self.timers.stop(Timer::Fault(id));
    }

    /// Does what is due `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.pop(now) {
            match timer {
                Timer::Connect(id) => self.end(now, id, Ending::Lost),
                Timer::Fault(id) => self.release_held(now, id),
                Timer::KeepAlive(id) => self.check_keep_alive(now, id),
                Timer::SessionExpiry(id) => self.end_session(now, id),
                Timer::WillDelay(id) => self.publish_will(now, id),
            }
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// A connection for which [`poll_bytes`](Self::poll_bytes) has something; each is named once until it was polled.
    pub fn poll_ready(&mut self) -> Option<ConnectionId> {
        loop {
            let id = self.ready.pop_front()?;
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.listed = false;
                return Some(id);
            }
        }
    }

    /// Moves what is to be written to the end of `out`, in O(1) when `out` is empty, and tells what to do after that.
    ///
    /// When more is left, which faults make happen, the connection is named by [`poll_ready`](Self::poll_ready) again.
    pub fn poll_bytes(&mut self, now: Instant, id: ConnectionId, out: &mut SendBuf) -> Then {
        let Some(connection) = self.connections.get_mut(&id) else {
            return Then::Close;
        };
        let before = out.len();
        let was_full = connection.outbox.len() > self.config.maximum_output;
        connection.outbox.take(out);
        self.counters.bytes_out += (out.len() - before) as u64;
        if connection.is_closing() && connection.outbox.is_drained() {
            self.connections.remove(&id);
            self.timers.stop(Timer::Fault(id));
            return Then::Close;
        }
        let session = connection.session;
        if connection.outbox.is_ready() {
            self.list(id);
        }
        if was_full && let Some(session) = session {
            self.pump(now, session);
        }
        Then::KeepOpen
    }

    /// Publishes a message as if a client had; says how many sessions get it.
    pub fn publish(&mut self, now: Instant, publish: Publish) -> usize {
        self.route(now, None, Message::new(now, publish))
    }

    /// Writes `bytes` to a connection, whatever they are.
    ///
    /// # Errors
    ///
    /// [`UnknownConnection`] when there is none to write to.
    pub fn inject(&mut self, id: ConnectionId, bytes: impl Into<Bytes>) -> Result<(), UnknownConnection> {
        let connection = self.connections.get_mut(&id).filter(|connection| !connection.is_closing());
        connection.ok_or(UnknownConnection(id))?.outbox.put_bytes(bytes.into());
        self.list(id);
        Ok(())
    }

    /// Sends DISCONNECT, which 3.1 and 3.1.1 do not have, and closes. Counts as a lost connection for will and session.
    ///
    /// # Errors
    ///
    /// [`UnknownConnection`] when there is none to close.
    pub fn disconnect(
        &mut self,
        now: Instant,
        id: ConnectionId,
        disconnect: Disconnect,
    ) -> Result<(), UnknownConnection> {
        self.check_open(id)?;
        self.say_goodbye(now, id, disconnect);
        Ok(())
    }

    /// Closes a connection without a word, as a broken network would.
    ///
    /// # Errors
    ///
    /// [`UnknownConnection`] when there is none to close.
    pub fn lose(&mut self, now: Instant, id: ConnectionId) -> Result<(), UnknownConnection> {
        self.check_open(id)?;
        self.end(now, id, Ending::Lost);
        Ok(())
    }

    /// Sends DISCONNECT "server shutting down" to all, and closes.
    pub fn shut_down(&mut self, now: Instant) {
        for id in self.connections.keys().copied().collect::<Vec<_>>() {
            self.say_goodbye(now, id, Disconnect::new(ReasonCode::ServerShuttingDown));
        }
    }

    /// Ends a session, its connection first if it has one; false when there is none.
    pub fn forget_session(&mut self, now: Instant, client_id: &str) -> bool {
        let Some(session) = self.session_id(client_id) else {
            return false;
        };
        if let Some(id) = self.connection_of(client_id) {
            self.say_goodbye(now, id, Disconnect::new(ReasonCode::AdministrativeAction));
        }
        self.end_session(now, session);
        true
    }

    /// Changes the limits. What was agreed with connections stays; availability and queue limits change at once.
    pub fn configure(&mut self, config: Config) {
        self.config = config;
    }

    /// The scripted faults.
    pub const fn faults(&mut self) -> &mut Faults {
        &mut self.faults
    }

    /// The limits.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The numbers since the broker was made.
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// All open connections, smallest number first, with the client identifier once CONNECT was accepted.
    pub fn connections(&self) -> impl Iterator<Item = (ConnectionId, Option<&str>)> {
        let open = self.connections.iter().filter(|(_, connection)| !connection.is_closing());
        open.map(|(&id, connection)| (id, connection.client_id.as_deref()))
    }

    /// The connection of a client.
    pub fn connection_of(&self, client_id: &str) -> Option<ConnectionId> {
        self.sessions.get(&self.session_id(client_id)?)?.connection
    }

    /// The session of a client, if it has one.
    pub fn session(&self, client_id: &str) -> Option<SessionStatus> {
        let session = self.sessions.get(&self.session_id(client_id)?)?;
        Some(SessionStatus {
            connection: session.connection,
            subscriptions: session.filters.len(),
            in_flight: session.outbound.in_flight(),
            queued: session.outbound.queued(),
            held: session.held.len(),
        })
    }

    /// The retained message of a topic.
    pub fn retained(&self, now: Instant, topic: &Topic) -> Option<Publish> {
        self.retained.get(now, topic).map(|message| message.publish_at(now))
    }

    fn session_id(&self, client_id: &str) -> Option<SessionId> {
        let client_id = Utf8String::new(client_id).ok()?;
        self.by_client_id.get(&client_id).copied()
    }

    fn check_open(&self, id: ConnectionId) -> Result<(), UnknownConnection> {
        match self.connections.get(&id) {
            Some(connection) if !connection.is_closing() => Ok(()),
            Some(_) | None => Err(UnknownConnection(id)),
        }
    }
}

impl Default for Broker {
    fn default() -> Self {
        Self::new(Config::new())
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker")
            .field("connections", &self.connections.len())
            .field("sessions", &self.sessions.len())
            .field("retained", &self.retained.len())
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for UnknownConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not open", self.0)
    }
}

impl core::error::Error for UnknownConnection {}
