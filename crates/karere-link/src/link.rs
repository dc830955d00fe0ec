//! What keeps a session reachable: dial, pass bytes, close in order, wait, dial again.
//!
//! ```text
//!            connect            resolved             dialed            handshakes over
//!    ┌──────┐──────►┌───────────┐──────►┌─────────┐──────►┌─────────────┐──────►┌──────┐
//!    │ Idle │       │ Resolving │       │ Dialing │       │ Handshaking │       │ Open │
//!    └──▲───┘       └─────┬─────┘       └────┬────┘       └──────┬──────┘       └──┬───┘
//!       │ stop            └────────┬─────────┴───────────────────┘ failed          │ the session wants it
//!       │                     ┌────▼────┐                                     ┌────▼────┐
//!       └─────────────────────│ Waiting │◄────────────────────────────────────│ Closing │
//!                             └─────────┘            lost or closed           └─────────┘
//! ```

use core::{fmt, net::SocketAddr, time::Duration};
use std::{collections::VecDeque, io, io::IoSlice, time::Instant};

use bytes::BytesMut;
use karere_proto::{
    SendBuf, Session,
    session::{CloseRequest, Flushed},
};

use crate::{
    backoff::{Backoff, Jitter, Rng},
    endpoint::{Address, Endpoint},
    layer::LayerError,
    stack::Stack,
};

/// Whether a lost connection is made anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete: it is or it is not")]
pub enum Reconnect {
    /// Always, until the application disconnects.
    #[default]
    Automatic,
    /// Only when the application says so.
    Never,
}

/// How a link behaves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Policy {
    /// Whether a lost connection is made anew.
    pub reconnect: Reconnect,
    /// The shortest wait between two attempts. 1 s.
    pub minimum_delay: Duration,
    /// The longest wait between two attempts. 120 s.
    pub maximum_delay: Duration,
    /// Whether waits are spread.
    pub jitter: Jitter,
    /// A connection that lasted this long was stable: the next wait is the shortest again. 10 s.
    pub stable_after: Duration,
    /// How long resolving a name may take, each address to answer, and all handshakes of the layers. 5 s, as in paho.
    pub connect_timeout: Duration,
    /// How long the last bytes may take to leave, and the server to close its side, after DISCONNECT. 1 s.
    pub linger: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            reconnect: Reconnect::Automatic,
            minimum_delay: Duration::from_secs(1),
            maximum_delay: Duration::from_secs(120),
            jitter: Jitter::Uniform,
            stable_after: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            linger: Duration::from_secs(1),
        }
    }
}

/// 136 years. A deadline that is farther away may be more than an [`Instant`] can say.
const LONGEST: Duration = Duration::from_secs(u32::MAX as u64);

impl Policy {
    /// As it is, with times that are for ever cut to [`LONGEST`].
    fn bounded(self) -> Self {
        Self {
            minimum_delay: self.minimum_delay.min(LONGEST),
            maximum_delay: self.maximum_delay.min(LONGEST),
            connect_timeout: self.connect_timeout.min(LONGEST),
            linger: self.linger.min(LONGEST),
            ..self
        }
    }
}

/// What a driver shall do to reach the server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dial {
    /// Find the addresses of a host; answer with [`Link::handle_resolved`].
    Resolve {
        /// The name.
        host: String,
        /// The port they shall have.
        port: u16,
    },
    /// Drop what socket there is and connect a new one; answer with [`Link::handle_dialed`].
    Connect(Address),
}

/// What a driver shall do with its socket because the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete: a socket is shut or dropped")]
pub enum Close {
    /// Shut the sending side and go on reading until the server closes too: else what it has sent meanwhile would make
    /// the operating system reset the connection, and DISCONNECT could be lost.
    ShutWrite,
    /// Drop the socket and call [`Link::handle_lost`].
    Drop,
}

/// Something about reaching the server that an application may want to know.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// An attempt begins.
    Attempting(Endpoint),
    /// An attempt failed before MQTT could speak.
    Failed(DialError),
    /// The next attempt comes after this time.
    Waiting(Duration),
}

/// Keeps a session reachable. Belongs to one driver; nothing here is shared or locked.
#[derive(Debug)]
pub struct Link {
    endpoint: Endpoint,
    policy: Policy,
    backoff: Backoff,
    rng: Rng,
    phase: Phase,
    events: VecDeque<Event>,
    /// Valid for one connection.
    pipe: Pipe,
}

#[derive(Debug)]
enum Phase {
    Idle,
    Resolving { asked: Asked, deadline: Instant },
    Dialing { asked: Asked, deadline: Instant, address: Address, others: VecDeque<Address>, failures: Vec<Failure> },
    Handshaking { deadline: Instant },
    Open { since: Instant },
    Closing { since: Option<Instant>, deadline: Instant, stage: Stage },
    Waiting { until: Instant },
}

/// Whether the driver has been told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    No,
    Yes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Bytes are still leaving.
    Flushing,
    /// All have left; the driver is to shut its side.
    Shut,
    /// The server is to close its side.
    Lingering,
    /// Over.
    Drop,
}

/// The bytes of one connection on their way through the layers.
#[derive(Debug, Default)]
struct Pipe {
    stack: Stack,
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
}

impl Link {
    /// A link to `endpoint` that does nothing yet. `rng` spreads the waits.
    pub fn new(endpoint: Endpoint, policy: Policy, rng: Rng) -> Self {
        let policy = policy.bounded();
        let backoff = Backoff::new(policy.minimum_delay, policy.maximum_delay, policy.jitter);
        Self { endpoint, policy, backoff, rng, phase: Phase::Idle, events: VecDeque::new(), pipe: Pipe::default() }
    }

    /// Begins to dial at once, whatever it was waiting for. Without effect while a connection is there or being made.
    pub fn connect(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Idle | Phase::Waiting { .. }) {
            self.dial(now);
        }
    }

    /// Gives up attempts and waits. A connection that is there is not touched: the session ends that.
    pub fn stop(&mut self) {
        if !matches!(self.phase, Phase::Open { .. } | Phase::Closing { .. }) {
            self.phase = Phase::Idle;
            self.pipe = Pipe::default();
        }
    }

    /// Changes where the next attempt goes.
    pub fn set_endpoint(&mut self, endpoint: Endpoint) {
        self.endpoint = endpoint;
    }

    /// Changes how the link behaves from the next attempt on.
    pub fn set_policy(&mut self, policy: Policy) {
        let policy = policy.bounded();
        self.backoff = Backoff::new(policy.minimum_delay, policy.maximum_delay, policy.jitter);
        self.policy = policy;
    }

    /// What the driver shall do to reach the server; ask until there is no more.
    pub fn poll_dial(&mut self) -> Option<Dial> {
        match &mut self.phase {
            Phase::Resolving { asked: asked @ Asked::No, .. } => {
                *asked = Asked::Yes;
                match &self.endpoint {
                    Endpoint::Tcp { host, port } => Some(Dial::Resolve { host: host.clone(), port: *port }),
                    Endpoint::Unix(_) => unreachable!("invariant: paths are not resolved"),
                }
            }
            Phase::Dialing { asked: asked @ Asked::No, address, .. } => {
                *asked = Asked::Yes;
                Some(Dial::Connect(address.clone()))
            }
            _ => None,
        }
    }

    /// The addresses of the host, or why there are none.
    pub fn handle_resolved(&mut self, now: Instant, outcome: io::Result<Vec<SocketAddr>>) {
        if !matches!(self.phase, Phase::Resolving { asked: Asked::Yes, .. }) {
            return; // given up meanwhile; and what was not asked for is of an earlier attempt
        }
        match outcome {
            Ok(addresses) if addresses.is_empty() => self.fail(now, DialProblem::NoAddress),
            Ok(addresses) => self.try_next(now, addresses.into_iter().map(Address::Tcp).collect(), Vec::new()),
            Err(error) => self.fail(now, DialProblem::Resolve(error)),
        }
    }

    /// The socket is connected, or why it is not; then the next address is tried.
    pub fn handle_dialed(&mut self, now: Instant, outcome: io::Result<()>) {
        if !matches!(self.phase, Phase::Dialing { .. }) {
            return; // given up meanwhile
        }
        let Phase::Dialing { address, others, mut failures, .. } = core::mem::replace(&mut self.phase, Phase::Idle)
        else {
            return;
        };
        match outcome {
            Ok(()) => {
                self.pipe = Pipe::default();
                self.phase = Phase::Handshaking { deadline: now + self.policy.connect_timeout };
            }
            Err(error) => {
                failures.push(Failure { address, error });
                self.try_next(now, others, failures);
            }
        }
    }

    /// Bytes have come from the socket; `bytes` is left empty.
    ///
    /// # Errors
    ///
    /// [`LayerError`] when a layer cannot go on: drop the socket and call [`Link::handle_lost`].
    pub fn handle_received(&mut self, now: Instant, bytes: &mut BytesMut) -> Result<(), LayerError> {
        let pipe = &mut self.pipe;
        if pipe.stack.is_empty() && pipe.received.is_empty() {
            pipe.received = core::mem::take(bytes);
            return Ok(());
        }
        pipe.stack.open(now, bytes, &mut pipe.received)
    }

    /// Exchanges bytes with the session: the only place that touches both. No I/O and no crypto happen here.
    pub fn exchange(&mut self, now: Instant, session: &mut Session) {
        if let Phase::Handshaking { .. } = self.phase
            && self.pipe.stack.is_open()
        {
            self.phase = Phase::Open { since: now };
            session.handle_opened(now);
        }
        let pipe = &mut self.pipe;
        if !pipe.received.is_empty() {
            session.handle_bytes(now, &mut pipe.received);
        }
        if !matches!(self.phase, Phase::Open { .. } | Phase::Closing { .. }) {
            return;
        }
        // Also while the last bytes leave: QoS 0 messages among them are done once they are written.
        session.handle_sent(now, pipe.written);
        if !matches!(self.phase, Phase::Open { .. } | Phase::Closing { stage: Stage::Flushing, .. }) {
            return;
        }
        let out = if pipe.stack.is_empty() { &mut pipe.wire } else { &mut pipe.plain };
        let before = out.position();
        session.poll_bytes(out);
        pipe.taken += out.position() - before;
        if let Some(request) = session.close_request() {
            self.begin_close(now, request, session.is_flushed());
        }
    }

    /// Seals what may leave and lends it, oldest first; says how many slices of `out` it filled.
    ///
    /// # Errors
    ///
    /// [`LayerError`] when a layer cannot go on: drop the socket and call [`Link::handle_lost`].
    pub fn poll_transmit<'a>(&'a mut self, now: Instant, out: &mut [IoSlice<'a>]) -> Result<usize, LayerError> {
        let pipe = &mut self.pipe;
        if !pipe.stack.is_empty() {
            pipe.seal(now)?;
        }
        Ok(pipe.wire.slices(out))
    }

    /// The socket has taken `sent` bytes.
    pub fn handle_sent(&mut self, sent: usize) {
        let pipe = &mut self.pipe;
        pipe.wire.advance(sent);
        pipe.sent += sent as u64;
        if pipe.stack.is_empty() && pipe.marks.is_empty() {
            pipe.written = pipe.sent;
            return;
        }
        while let Some(&(_, plain)) = pipe.marks.front().filter(|&&(wire, _)| wire <= pipe.sent) {
            pipe.written = plain;
            pipe.marks.pop_front();
        }
    }

    /// What to do with the socket because the connection ends.
    pub fn poll_close(&mut self, now: Instant) -> Option<Close> {
        let Phase::Closing { stage, deadline, .. } = &mut self.phase else {
            return None;
        };
        match stage {
            Stage::Flushing => None,
            Stage::Shut if self.pipe.wire.is_empty() => {
                *stage = Stage::Lingering;
                Some(Close::ShutWrite)
            }
            Stage::Shut | Stage::Lingering if now < *deadline => None,
            Stage::Shut | Stage::Lingering | Stage::Drop => Some(Close::Drop),
        }
    }

    /// The socket is gone. The link waits and dials again, if that is its policy and `next` says so.
    pub fn handle_lost(&mut self, now: Instant, next: Next) {
        let since = match self.phase {
            Phase::Open { since } => Some(since),
            Phase::Closing { since, .. } => since,
            Phase::Handshaking { .. } => None,
            Phase::Idle | Phase::Resolving { .. } | Phase::Dialing { .. } | Phase::Waiting { .. } => return,
        };
        if since.is_some_and(|since| now.saturating_duration_since(since) >= self.policy.stable_after) {
            self.backoff.reset();
        }
        self.pipe = Pipe::default();
        self.wait(now, next);
    }

    /// A layer's handshake failed, or the driver could not use the socket: the attempt has failed.
    pub fn handle_failed(&mut self, now: Instant, why: String) {
        self.pipe = Pipe::default();
        self.fail(now, DialProblem::Layer(why));
    }

    /// Acts on a deadline that has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        match &mut self.phase {
            Phase::Resolving { deadline, .. } if *deadline <= now => {
                let timeout = io::Error::new(io::ErrorKind::TimedOut, "the name server did not answer in time");
                self.fail(now, DialProblem::Resolve(timeout));
            }
            Phase::Dialing { deadline, .. } if *deadline <= now => {
                let timeout = io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
                self.handle_dialed(now, Err(timeout));
            }
            Phase::Handshaking { deadline } if *deadline <= now => {
                self.handle_failed(now, "the handshake took too long".to_owned());
            }
            Phase::Closing { deadline, stage, .. } if *deadline <= now => *stage = Stage::Drop,
            Phase::Waiting { until } if *until <= now => self.dial(now),
            _ => {}
        }
    }

    /// When to call [`Link::handle_timeout`] at the latest.
    pub const fn poll_timeout(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Idle | Phase::Open { .. } => None,
            Phase::Resolving { deadline, .. }
            | Phase::Dialing { deadline, .. }
            | Phase::Handshaking { deadline }
            | Phase::Closing { deadline, .. } => Some(*deadline),
            Phase::Waiting { until } => Some(*until),
        }
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// True while the driver shall have a socket: dialed, or being dialed.
    pub const fn wants_socket(&self) -> bool {
        !matches!(self.phase, Phase::Idle | Phase::Resolving { .. } | Phase::Waiting { .. })
    }

    /// True while nothing is dialed, connected or waited for.
    pub const fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Idle)
    }

    /// True while layers exchange their handshakes.
    pub const fn is_handshaking(&self) -> bool {
        matches!(self.phase, Phase::Handshaking { .. })
    }

    /// True when bytes wait for the socket.
    pub fn wants_write(&self) -> bool {
        !self.pipe.wire.is_empty() || !self.pipe.plain.is_empty()
    }

    /// Where the next attempt goes.
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn dial(&mut self, now: Instant) {
        self.events.push_back(Event::Attempting(self.endpoint.clone()));
        let deadline = now + self.policy.connect_timeout;
        match &self.endpoint {
            Endpoint::Unix(path) => {
                let others = VecDeque::from([Address::Unix(path.clone())]);
                self.try_next(now, others, Vec::new());
            }
            Endpoint::Tcp { host, port } => match host.parse() {
                Ok(ip) => {
                    let others = VecDeque::from([Address::Tcp(SocketAddr::new(ip, *port))]);
                    self.try_next(now, others, Vec::new());
                }
                Err(_) => self.phase = Phase::Resolving { asked: Asked::No, deadline },
            },
        }
    }

    fn try_next(&mut self, now: Instant, mut others: VecDeque<Address>, failures: Vec<Failure>) {
        match others.pop_front() {
            Some(address) => {
                let deadline = now + self.policy.connect_timeout;
                self.phase = Phase::Dialing { asked: Asked::No, deadline, address, others, failures };
            }
            None => self.fail(now, DialProblem::Refused(failures)),
        }
    }

    fn fail(&mut self, now: Instant, problem: DialProblem) {
        self.events.push_back(Event::Failed(DialError { endpoint: self.endpoint.clone(), problem }));
        self.wait(now, Next::Again);
    }

    fn wait(&mut self, now: Instant, next: Next) {
        self.phase = match (next, self.policy.reconnect) {
            (Next::Again, Reconnect::Automatic) => {
                let delay = self.backoff.wait(&mut self.rng);
                self.events.push_back(Event::Waiting(delay));
                Phase::Waiting { until: now + delay }
            }
            (Next::Stop, _) | (_, Reconnect::Never) => Phase::Idle,
        };
    }

    fn begin_close(&mut self, now: Instant, request: CloseRequest, flushed: Flushed) {
        let since = match self.phase {
            Phase::Open { since } => Some(since),
            Phase::Closing { since, .. } => since,
            _ => None,
        };
        let deadline = match self.phase {
            Phase::Closing { deadline, .. } => deadline,
            _ => now + self.policy.linger,
        };
        let stage = match (request, flushed) {
            (CloseRequest::AtOnce, _) => Stage::Drop,
            (CloseRequest::AfterFlush, Flushed::No) => Stage::Flushing,
            (CloseRequest::AfterFlush, Flushed::Yes) => {
                let pipe = &mut self.pipe;
                let said = if pipe.stack.is_empty() {
                    Ok(())
                } else {
                    pipe.seal(now).and_then(|()| pipe.stack.close(now, &mut pipe.wire))
                };
                if said.is_ok() { Stage::Shut } else { Stage::Drop }
            }
        };
        self.phase = Phase::Closing { since, deadline, stage };
    }
}

impl Pipe {
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

/// What comes after a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete: there is another attempt or there is none")]
pub enum Next {
    /// Another one, if the policy says so.
    Again,
    /// None until the application asks: it has disconnected.
    Stop,
}

/// An attempt that failed before MQTT could speak: where it went and why.
#[derive(Debug)]
#[non_exhaustive]
pub struct DialError {
    /// Where the attempt went.
    pub endpoint: Endpoint,
    /// What was in the way.
    pub problem: DialProblem,
}

/// What was in the way.
#[derive(Debug)]
#[non_exhaustive]
pub enum DialProblem {
    /// A layer's handshake failed.
    Layer(String),
    /// The name has no address.
    NoAddress,
    /// No address took the connection; each with its error.
    Refused(Vec<Failure>),
    /// The name could not be resolved.
    Resolve(io::Error),
}

/// An address that did not take the connection.
#[derive(Debug)]
#[non_exhaustive]
pub struct Failure {
    /// Which.
    pub address: Address,
    /// Why.
    pub error: io::Error,
}

impl DialError {
    /// The kind of the last error of the operating system, if it was one.
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match &self.problem {
            DialProblem::Resolve(error) => Some(error.kind()),
            DialProblem::Refused(failures) => failures.last().map(|failure| failure.error.kind()),
            DialProblem::NoAddress | DialProblem::Layer(_) => None,
        }
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot connect to {}: ", self.endpoint)?;
        match &self.problem {
            DialProblem::Layer(why) => f.write_str(why),
            DialProblem::NoAddress => f.write_str("the name has no address"),
            DialProblem::Resolve(error) => write!(f, "the name cannot be resolved: {error}"),
            DialProblem::Refused(failures) => {
                for (at, Failure { address, error }) in failures.iter().enumerate() {
                    let separator = if at == 0 { "" } else { "; " };
                    write!(f, "{separator}{address}: {error}")?;
                }
                Ok(())
            }
        }
    }
}

impl core::error::Error for DialError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match &self.problem {
            DialProblem::Resolve(error) => Some(error),
            DialProblem::Refused(failures) => failures.last().map(|failure| &failure.error as _),
            DialProblem::NoAddress | DialProblem::Layer(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
