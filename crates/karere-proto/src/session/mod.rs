//! What MQTT says: one client's session, from CONNECT to the last acknowledgement, without I/O.
//!
//! Commands come from the application, `handle_*` from whoever moves the bytes, and after any of them `poll_*` is asked
//! until it has no more. Packets are parsed when an event is asked for, not when bytes arrive: nothing piles up here.
//!
//! ```text
//!                handle_opened           CONNACK 0x00
//!    ┌─────────┐──────────────►┌────────────┐────────────►┌────────┐
//!    │ Offline │               │ Connecting │             │ Online │
//!    └─────────┘◄──┐           └─────┬──────┘             └───┬────┘
//!                  │ handle_closed   │ refusal, error         │ disconnect, error
//!                  │           ┌─────▼──────┐                 │
//!                  └───────────│  Closing   │◄────────────────┘
//!                              └────────────┘   nothing is sent after what is queued
//! ```

mod alias;
mod clock;
mod config;
mod error;
mod event;
mod fall_back;
mod handshake;
mod inbound;
mod journal;
mod keep_alive;
mod lenient;
mod moving;
mod negotiated;
mod outbound;
mod queue;
mod requests;
mod timer;

use std::{
    collections::VecDeque,
    time::{Instant, SystemTime},
};

use bytes::{Bytes, BytesMut};

pub use config::{
    AckOrder, CleanStart, ClientIdLength, Config, ConfigError, FallBack, FirstPackets, Journal, LostSession,
    QueueLimits, ReceivedTopics, Resubscribe, SessionExpiry, UnexpectedAnswers,
};
pub use error::{CommandError, PublishError, SubscribeError};
pub use event::{Cause, CloseCause, CloseRequest, Delivery, Event, Flushed, NotSent, Outcome, Trace, Undecoded};
pub use journal::{BadRecord, Batch, Granted, InFlight, Queued, Record, Sent, Snapshot};
pub use negotiated::Negotiated;

use self::{
    alias::Aliases,
    clock::Clock,
    fall_back::Versions,
    inbound::{Deliveries, Held},
    journal::Log,
    outbound::{Outbound, Window},
    requests::Requests,
    timer::{Timer, TimerTable},
};
use crate::{
    codec::{FrameLimits, Lsn, SendBuf, next_frame},
    error::{ProtocolError, Rule},
    id::Token,
    packet::{Connect, Disconnect, Encode, Packet, PacketType, Side, Traced, encode, size},
    properties::Properties,
    reason::ReasonCode,
    text::Utf8String,
};

/// One client's session and, while there is one, its connection.
#[derive(Debug)]
pub struct Session {
    /// What the next CONNECT says: as configured, or in a lower version.
    config: Config,
    versions: Versions,
    phase: Phase,
    /// Valid for the session.
    state: State,
    /// Valid for the connection.
    wire: Wire,
    log: Log,
    timers: TimerTable,
    /// The time of what is being handled.
    now: Instant,
    /// The last that was heard of the wall clock.
    clock: Clock,
    events: VecDeque<Event>,
    /// Packets that passed, when someone listens.
    trace: Option<VecDeque<Trace>>,
}

/// What is valid for the session: it outlives connections, and with a store the process.
#[derive(Debug)]
struct State {
    /// The client identifier in use: the configured one, or what the server assigned.
    client_id: Utf8String,
    /// Whether this client knows of a session at the server.
    known: bool,
    /// Whether a connection was ever accepted; Clean Start "first only" asks.
    connected_before: bool,
    /// The next CONNECT must start clean whatever the option says [MQTT-3.2.2-4].
    force_clean: bool,
    outbound: Outbound,
    held: Held,
    requests: Requests,
    last_token: Token,
    last_delivery: u64,
    /// Connections so far; a [`Delivery`] of an earlier one is void.
    epoch: u32,
}

/// What is valid for one connection and gone with it.
#[derive(Debug)]
struct Wire {
    negotiated: Negotiated,
    input: BytesMut,
    output: SendBuf,
    /// `output`'s position when the connection opened.
    opened_at: u64,
    /// How many bytes of this connection the transport has taken.
    written: u64,
    last_sent: Instant,
    last_received: Instant,
    /// When an acknowledgement came last, or something began to wait for one.
    last_answer: Instant,
    window: Window,
    aliases: Aliases,
    deliveries: Deliveries,
    /// The properties of CONNECT.
    asked: Properties,
    /// Nothing new is begun: the connection ends as soon as nothing is in flight.
    leaves: bool,
    /// The client has begun to authenticate again and the server has not ended it (§4.12.1).
    re_authenticates: bool,
    /// CONNECT declined problem information (§3.1.2.11.7).
    declined_problems: bool,
    /// The transport has ended; what it brought is still to be read.
    ended: Option<CloseCause>,
}

#[derive(Debug)]
enum Phase {
    Offline,
    Connecting { clean_start: CleanFlag },
    Online,
    Closing { cause: Cause, request: CloseRequest },
}

/// Whether CONNECT asked for a new session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CleanFlag {
    Clean,
    Resume,
}

impl Session {
    /// A session that knows nothing yet. `now` is the time it begins to exist.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when no legal CONNECT can be made of `config`.
    pub fn new(now: Instant, config: Config) -> Result<Self, ConfigError> {
        Self::restore(now, config, Snapshot::default())
    }

    /// A session that goes on where the records of `snapshot` end.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when no legal CONNECT can be made of `config`, or the records count further than any client can.
    pub fn restore(now: Instant, config: Config, snapshot: Snapshot) -> Result<Self, ConfigError> {
        Self::restore_by(Clock::new(now, None), now, config, snapshot)
    }

    /// As [`Session::restore`], with what the wall clock says at `now`: messages that have expired since are not sent. Without
    /// it their lifetime begins anew.
    ///
    /// # Errors
    ///
    /// As [`Session::restore`].
    pub fn restore_at(now: Instant, wall: SystemTime, config: Config, snapshot: Snapshot) -> Result<Self, ConfigError> {
        Self::restore_by(Clock::new(now, Some(wall)), now, config, snapshot)
    }

    fn restore_by(clock: Clock, now: Instant, config: Config, snapshot: Snapshot) -> Result<Self, ConfigError> {
        config.check()?;
        if snapshot.last_seq > Snapshot::LAST_SEQ {
            return Err(ConfigError::JournalSequence(snapshot.last_seq));
        }
        let config = config.bounded();
        let assigned = snapshot.client_id.as_deref().and_then(|id| Utf8String::new(id).ok());
        let client_id = assigned.unwrap_or_else(|| config.connect.client_id.clone());
        let known = snapshot.established.is_some();
        let state = State {
            client_id,
            known,
            connected_before: known,
            force_clean: false,
            last_token: Token::from_u64(snapshot.last_seq),
            held: Held::restore(&snapshot.received),
            requests: Requests::restore(snapshot.wanted),
            outbound: Outbound::restore(clock, snapshot.queued, snapshot.in_flight),
            last_delivery: 0,
            epoch: 0,
        };
        let wire = Wire {
            negotiated: Negotiated::before_connack(&config),
            input: BytesMut::new(),
            output: SendBuf::new(),
            opened_at: 0,
            written: 0,
            last_sent: now,
            last_received: now,
            last_answer: now,
            window: Window::default(),
            aliases: Aliases::default(),
            deliveries: Deliveries::default(),
            asked: Properties::new(),
            leaves: false,
            re_authenticates: false,
            declined_problems: false,
            ended: None,
        };
        let log = Log::new(config.journal);
        let mut session = Self {
            config,
            versions: Versions::default(),
            phase: Phase::Offline,
            state,
            wire,
            log,
            timers: TimerTable::default(),
            now,
            clock,
            events: VecDeque::new(),
            trace: None,
        };
        if session.state.outbound.queue.can_expire() {
            session.arm_expiry();
        }
        Ok(session)
    }

    /// A session that starts over in place of this one. Nothing is carried over but the counting: tokens and deliveries of
    /// this session never name anything of the new one.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when no legal CONNECT can be made of `config`.
    pub fn renew(&self, now: Instant, config: Config) -> Result<Self, ConfigError> {
        let mut renewed = Self::new(now, config)?;
        renewed.state.last_token = self.state.last_token;
        renewed.state.last_delivery = self.state.last_delivery;
        renewed.state.epoch = self.state.epoch;
        Ok(renewed)
    }

    // Commands, from the application. See `outbound`, `inbound`, `requests` for the others.

    /// Ends the connection with DISCONNECT (§3.14). Nothing is sent after it; what waits stays queued.
    ///
    /// Without a connection there is nothing to do. Before CONNACK the connection is given up.
    ///
    /// # Errors
    ///
    /// [`CommandError`] when a client may not send such a DISCONNECT; the connection goes on.
    pub fn disconnect(&mut self, disconnect: Disconnect) -> Result<(), CommandError> {
        self.check_disconnect(&disconnect)?;
        if matches!(self.phase, Phase::Connecting { .. } | Phase::Online) {
            let expiry = disconnect.properties.session_expiry_interval();
            if let Some(expiry) = expiry {
                self.wire.negotiated.session_expiry = expiry; // 0 ends the session, local state included (§3.14.2.2.2)
            }
            self.close(Cause::Requested, Some(disconnect));
        }
        if let Phase::Closing { cause: cause @ Cause::Moving, .. } = &mut self.phase {
            *cause = Cause::Requested; // DISCONNECT was said; there is no server to move to any more
        }
        Ok(())
    }

    /// Ends the connection with DISCONNECT once nothing waits and nothing is in flight, at the latest at `deadline`.
    ///
    /// # Errors
    ///
    /// As [`Session::disconnect`].
    pub fn disconnect_when_drained(&mut self, disconnect: Disconnect, deadline: Instant) -> Result<(), CommandError> {
        self.check_disconnect(&disconnect)?;
        self.state.outbound.drain = Some(disconnect);
        self.timers.set(Timer::Drain, deadline);
        self.stay(); // what waits is to leave here
        self.check_drained();
        Ok(())
    }

    /// Says what the wall clock shows at `now`, for the deadlines that the journal records: before the first message that
    /// can expire, and whenever it may have been set.
    pub const fn set_wall_clock(&mut self, now: Instant, wall: SystemTime) {
        self.clock = Clock::new(now, Some(wall));
    }

    /// Turns the record of passing packets on; [`Session::poll_trace`] hands it out.
    pub fn trace_on(&mut self) {
        self.trace.get_or_insert_default();
    }

    /// Turns the record of passing packets off.
    pub fn trace_off(&mut self) {
        self.trace = None;
    }

    /// Changes what the next CONNECT says; the session stays. It speaks the configured version, whatever was fallen back
    /// to.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when no legal CONNECT can be made of it; nothing is changed.
    pub fn reconfigure(&mut self, config: Config) -> Result<(), ConfigError> {
        config.check()?;
        let config = config.bounded();
        if config.connect.client_id != self.config().connect.client_id {
            self.state.client_id = config.connect.client_id.clone();
        }
        self.config = config;
        self.versions.configured = None;
        if matches!(self.phase, Phase::Offline) {
            self.wire.negotiated = Negotiated::before_connack(&self.config);
        }
        Ok(())
    }

    /// Changes who the next CONNECT says it is; all else that was configured stays, and so does this connection.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when no legal CONNECT can be made with them, in the version in use or in the configured one; nothing
    /// is changed.
    pub fn set_credentials(
        &mut self,
        user_name: Option<Utf8String>,
        password: Option<Bytes>,
    ) -> Result<(), ConfigError> {
        let with = |config: &Config| config.with_credentials(user_name.clone(), password.clone());
        let configured = self.versions.configured.as_deref().map(with).transpose()?;
        self.config = with(&self.config)?;
        self.versions.configured = configured.map(Box::new);
        Ok(())
    }

    // Inputs, from the driver.

    /// The transport is up: CONNECT is queued, and CONNACK must come in time. A connection there was before is given up.
    pub fn handle_opened(&mut self, now: Instant) {
        self.now = now;
        let before = self.wire.ended.take().unwrap_or(CloseCause::Abandoned);
        self.end(before);
        let clean_start = self.clean_flag();
        let connect = Connect { client_id: self.state.client_id.clone(), ..self.connect_packet(clean_start) };
        let wire = &mut self.wire;
        wire.negotiated = Negotiated::before_connack(&self.config);
        wire.input = BytesMut::new();
        wire.output.clear();
        wire.opened_at = wire.output.position();
        wire.written = 0;
        wire.last_sent = now;
        wire.last_received = now;
        wire.window = Window::default();
        wire.aliases = Aliases::default();
        wire.deliveries = Deliveries::default();
        wire.asked = connect.properties.clone();
        wire.leaves = false;
        wire.re_authenticates = false;
        wire.declined_problems = connect.properties.request_problem_information() == Some(false);
        wire.ended = None;
        self.state.epoch = self.state.epoch.wrapping_add(1);
        // What is in flight since before goes first, and only after CONNACK is it known whether it goes at all.
        if self.config.first_packets == FirstPackets::WithConnect && self.state.outbound.in_flight() == 0 {
            self.wire.window = Window::new(self.config.max_in_flight.get());
        }
        self.phase = Phase::Connecting { clean_start };
        self.timers.stop(Timer::KeepAlive);
        self.timers.stop(Timer::PingResp);
        self.timers.set(Timer::ConnAck, now + self.config.connack_timeout);
        self.send(&connect);
    }

    /// Takes bytes the server sent; `bytes` is left empty. Nothing is parsed yet.
    pub fn handle_bytes(&mut self, now: Instant, bytes: &mut BytesMut) {
        self.now = now;
        if !matches!(self.phase, Phase::Connecting { .. } | Phase::Online) {
            *bytes = BytesMut::new(); // nothing that comes after the end is of interest
            return;
        }
        self.wire.last_received = now;
        if self.wire.input.is_empty() {
            self.wire.input = core::mem::take(bytes);
        } else {
            // O(1) when both are parts of one buffer, as they are when a packet straddles two reads.
            self.wire.input.unsplit(core::mem::take(bytes));
        }
    }

    /// The transport has taken the first `position` bytes of this connection.
    pub fn handle_sent(&mut self, now: Instant, position: u64) {
        self.now = now;
        if position > self.wire.written {
            self.wire.written = position;
            self.wire.last_sent = now;
            self.pump();
            self.check_drained();
        }
    }

    /// Records up to `lsn` are durable: what waited for them may leave.
    pub fn handle_durable(&mut self, lsn: Lsn) {
        self.log.set_durable(lsn);
        self.wire.output.open_gates(lsn);
    }

    /// Acts on every deadline that has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        while let Some(timer) = self.timers.take_expired(now) {
            match timer {
                Timer::ConnAck => self.close(Cause::ConnAckTimeout, None),
                Timer::KeepAlive => self.keep_alive_due(now),
                Timer::PingResp => self.ping_overdue(now),
                Timer::Stalled => self.stalled_due(now),
                Timer::Expiry => self.expire(),
                Timer::Drain => self.drain_overdue(),
                Timer::Leave => self.stay(),
            }
        }
    }

    /// The transport has ended. What it brought before is still told, then [`Event::Disconnected`].
    pub fn handle_closed(&mut self, cause: CloseCause) {
        if !matches!(self.phase, Phase::Offline) {
            self.wire.ended.get_or_insert(cause);
        }
    }

    // Outputs, for the driver.

    /// The next thing that happened; parses the next packet when there is none.
    pub fn poll_event(&mut self, now: Instant) -> Option<Event> {
        self.now = now;
        loop {
            if let Some(event) = self.events.pop_front().or_else(|| self.next_written()) {
                return Some(event);
            }
            if matches!(self.phase, Phase::Connecting { .. } | Phase::Online) {
                let limits = FrameLimits {
                    max_packet_size: self.wire.negotiated.own_maximum_packet_size,
                    ..FrameLimits::new(self.wire.negotiated.rules(), Side::Server)
                };
                match next_frame(&mut self.wire.input, limits) {
                    Ok(Some(frame)) => {
                        let handled = match self.config.received_topics {
                            ReceivedTopics::Strict => Packet::decode(frame, limits.rules, Side::Server)
                                .and_then(|packet| self.handle_packet(packet)),
                            ReceivedTopics::Lenient => self.handle_leniently(frame, limits.rules),
                        };
                        match handled {
                            Ok(Some(event)) => return Some(event),
                            Ok(None) => {}
                            Err(error) => self.fail(error),
                        }
                        continue;
                    }
                    Ok(None) if self.wire.input.is_empty() => self.wire.input = BytesMut::new(), // frees its buffer
                    Ok(None) => {}
                    Err(error) => {
                        self.fail(error);
                        continue;
                    }
                }
            }
            if self.wire.leaves {
                self.check_leaving();
            }
            let cause = self.wire.ended.take()?;
            self.end(cause);
        }
    }

    /// Moves what may leave to `out`: usually by swapping buffers.
    pub fn poll_bytes(&mut self, out: &mut SendBuf) {
        self.wire.output.take_open(out);
    }

    /// Records to make durable, all since the last call; hand `last` to [`Session::handle_durable`] when they are.
    pub fn poll_journal(&mut self) -> Option<Batch> {
        self.log.take()
    }

    /// When to call [`Session::handle_timeout`] at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// The next packet that passed, when [`Session::trace_on`] was called.
    pub fn poll_trace(&mut self) -> Option<Trace> {
        self.trace.as_mut()?.pop_front()
    }

    /// How the transport shall be closed, when it shall be.
    pub const fn close_request(&self) -> Option<CloseRequest> {
        match &self.phase {
            Phase::Closing { request, .. } => Some(*request),
            Phase::Offline | Phase::Connecting { .. } | Phase::Online => None,
        }
    }

    /// Whether all bytes have been handed out by [`Session::poll_bytes`].
    pub const fn is_flushed(&self) -> Flushed {
        if self.wire.output.is_empty() { Flushed::Yes } else { Flushed::No }
    }

    /// True when something has happened that [`Session::poll_event`] has not told yet; received packets do not count
    /// until they are parsed.
    pub fn wants_telling(&self) -> bool {
        !self.events.is_empty()
    }

    /// True when bytes wait that may leave.
    pub fn wants_write(&self) -> bool {
        self.wire.output.open_len() > 0
    }

    // State, for whoever asks.

    /// True between a CONNACK of success and the end of the connection.
    pub const fn is_connected(&self) -> bool {
        matches!(self.phase, Phase::Online)
    }

    /// True when there is neither a connection nor one being made or closed.
    pub const fn is_offline(&self) -> bool {
        matches!(self.phase, Phase::Offline)
    }

    /// What is in force on this connection; without one, what the next CONNECT asks for. Its version may be lower than
    /// the configured one ([`FallBack`]).
    pub const fn negotiated(&self) -> &Negotiated {
        &self.wire.negotiated
    }

    /// The client identifier in use: the configured one, or what the server assigned.
    pub const fn client_id(&self) -> &Utf8String {
        &self.state.client_id
    }

    /// How the session was configured.
    pub fn config(&self) -> &Config {
        self.versions.configured.as_deref().unwrap_or(&self.config)
    }

    /// The number of the last journal record, and of the last that is durable.
    pub const fn journal_position(&self) -> (Lsn, Lsn) {
        (self.log.last(), self.log.durable())
    }

    // Shared by the parts.

    /// True when something new may be sent on this connection.
    fn speaks(&self) -> bool {
        match self.phase {
            Phase::Online => true,
            Phase::Connecting { .. } => self.wire.window.is_open_early(),
            Phase::Offline | Phase::Closing { .. } => false,
        }
    }

    fn next_token(&mut self) -> Token {
        self.state.last_token = self.state.last_token.next();
        self.state.last_token
    }

    /// Queues a packet for sending.
    fn send(&mut self, packet: &(impl Encode + Traced)) {
        let rules = self.wire.negotiated.rules();
        if let Some(trace) = &mut self.trace {
            trace.push_back(Trace::Sending(packet.to_packet()));
        }
        encode(packet, rules, &mut self.wire.output);
    }

    fn traced(&mut self, trace: impl FnOnce() -> Trace) {
        if let Some(queue) = &mut self.trace {
            queue.push_back(trace());
        }
    }

    fn handle_packet(&mut self, packet: Packet) -> Result<Option<Event>, ProtocolError> {
        if self.trace.is_some() {
            self.traced(|| Trace::Received(packet.clone()));
        }
        let packet_type = packet.packet_type();
        if self.wire.declined_problems && packet.tells_problems() {
            return Err(ProtocolError::new(packet_type, Rule::ProblemInformation));
        }
        if let Phase::Connecting { clean_start } = self.phase {
            return match packet {
                Packet::ConnAck(ack) => self.handle_connack(clean_start, ack),
                Packet::Auth(auth) => self.handle_auth(auth).map(Some),
                Packet::Disconnect(disconnect) => {
                    // [MQTT-3.14.0-1] forbids it, but what it says is the better news.
                    self.close(Cause::Server(disconnect), None);
                    Ok(None)
                }
                _ => Err(ProtocolError::new(packet_type, Rule::ConnAckFirst)),
            };
        }
        match packet {
            Packet::Publish(publish) => self.handle_publish(publish),
            Packet::Ack(ack) => self.handle_ack(ack),
            Packet::SubAck(id, ack) => self.handle_suback(id, ack),
            Packet::UnsubAck(id, ack) => self.handle_unsuback(id, ack),
            Packet::PingResp => {
                self.timers.stop(Timer::PingResp);
                Ok(None)
            }
            Packet::ConnAck(_) => Err(ProtocolError::new(packet_type, Rule::SecondConnAck)),
            Packet::Auth(auth) => self.handle_auth(auth).map(Some),
            Packet::Disconnect(disconnect) => {
                self.close(Cause::Server(disconnect), None);
                Ok(None)
            }
            Packet::Connect(_) | Packet::Subscribe(..) | Packet::Unsubscribe(..) | Packet::PingReq => {
                Err(ProtocolError::new(packet_type, Rule::WrongDirection))
            }
        }
    }

    fn check_disconnect(&self, disconnect: &Disconnect) -> Result<(), CommandError> {
        let negotiated = &self.wire.negotiated;
        if !negotiated.rules().ack_reasons {
            if *disconnect != Disconnect::NORMAL {
                return Err(CommandError::NotInVersion("reason or properties in DISCONNECT", negotiated.version));
            }
            return Ok(());
        }
        if !disconnect.reason.allowed_in(PacketType::Disconnect, Side::Client) {
            return Err(CommandError::Reason(disconnect.reason));
        }
        let carrier = crate::Carrier::Packet(PacketType::Disconnect);
        disconnect.properties.check(carrier).map_err(CommandError::Property)?;
        if disconnect.properties.server_reference().is_some() {
            let not_a_clients = crate::InvalidProperty::NotAllowed(crate::PropertyId::ServerReference, carrier);
            return Err(CommandError::Property(not_a_clients));
        }
        let expiry = disconnect.properties.session_expiry_interval();
        if expiry.is_some_and(|expiry| expiry > 0) && self.config.session_expiry.seconds() == 0 {
            return Err(CommandError::ExpiryFromZero);
        }
        Ok(())
    }

    /// The server broke the protocol: says so where the version can, and closes.
    fn fail(&mut self, error: ProtocolError) {
        // Before CONNACK a DISCONNECT of the client is legal too (§3.1.4), and tells a confused server why.
        let goodbye = self.wire.negotiated.says_why.then(|| Disconnect::new(error.reason()));
        self.close(Cause::Protocol(error), goodbye);
    }

    /// Begins the end of the connection: after `goodbye`, if any, nothing more is sent [MQTT-3.14.4-1].
    fn close(&mut self, cause: Cause, goodbye: Option<Disconnect>) {
        if !matches!(self.phase, Phase::Connecting { .. } | Phase::Online) {
            return;
        }
        let request = if goodbye.is_some() { CloseRequest::AfterFlush } else { CloseRequest::AtOnce };
        if let Some(mut goodbye) = goodbye {
            let rules = self.wire.negotiated.rules();
            if size(&goodbye, rules) > self.wire.negotiated.maximum_packet_size as usize {
                goodbye.properties = Properties::new(); // [MQTT-3.14.2-3]
            }
            // A farewell for when all is drained may meet a lower version. There, ending without a word keeps the will
            // as a reason does in 5.0; DISCONNECT would delete it.
            if rules.ack_reasons || goodbye.reason == ReasonCode::Success {
                self.send(&goodbye);
            }
        }
        self.timers.stop_connection();
        if cause == Cause::Requested {
            self.stop_draining();
        }
        self.wire.input = BytesMut::new(); // nothing that follows is of interest
        self.phase = Phase::Closing { cause, request };
    }

    /// What waits has not left in time: the connection ends all the same, or is not made again.
    fn drain_overdue(&mut self) {
        let goodbye = self.state.outbound.drain.take();
        match self.phase {
            Phase::Connecting { .. } | Phase::Online => self.close(Cause::Requested, goodbye),
            Phase::Closing { ref mut cause, .. } => *cause = Cause::Requested,
            Phase::Offline => self.events.push_back(Event::Disconnected(Cause::Requested)),
        }
    }

    fn stop_draining(&mut self) {
        self.state.outbound.drain = None;
        self.timers.stop(Timer::Drain);
    }

    /// The connection is gone: what was valid for it goes too.
    fn end(&mut self, transport: CloseCause) {
        let cause = match core::mem::replace(&mut self.phase, Phase::Offline) {
            Phase::Offline => return,
            Phase::Closing { cause: Cause::Refused(ack), .. } => self.handle_refusal(ack),
            Phase::Closing { cause: cause @ Cause::ConnAckTimeout, .. } => self.handle_silence(cause),
            Phase::Closing { cause, .. } => cause,
            Phase::Connecting { .. } if self.wire.input.is_empty() => self.handle_silence(Cause::Transport(transport)),
            Phase::Connecting { .. } | Phase::Online => Cause::Transport(transport),
        };
        self.timers.stop_connection();
        self.wire.input = BytesMut::new();
        self.wire.output.clear();
        if self.wire.negotiated.session_expiry == 0 {
            self.state.known = false;
        }
        self.lose_unwritten();
        self.abandon_deliveries(&cause);
        self.requeue_requests(&cause);
        self.wire.negotiated = Negotiated::before_connack(&self.config);
        self.events.push_back(Event::Disconnected(cause));
    }
}

impl Default for Negotiated {
    fn default() -> Self {
        Self::before_connack(&Config::new(crate::Version::default(), Utf8String::default()))
    }
}
