//! What keeps a session reachable: dial, pass bytes, close in order, wait, dial again.
//!
//! ```text
//!            connect              dialed            handshakes over
//!    ┌──────┐──────►┌─────────┐──────────►┌─────────────┐──────►┌──────┐
//!    │ Idle │       │ Dialing │           │ Handshaking │       │ Open │
//!    └──▲───┘       └─────┬───┘           └──────┬──────┘       └──┬───┘
//!       │ stop            └──────────┬───────────┘ failed          │ the session wants it
//!       │                       ┌────▼────┐                   ┌────▼────┐
//!       └───────────────────────│ Waiting │◄──────────────────│ Closing │
//!                               └─────────┘  lost or closed   └─────────┘
//! ```
//!
//! A round goes over the servers, best rank first, and ends with the first connection that is accepted; between rounds
//! the link waits. What a server says when it refuses or ends a connection decides what comes next: see `class`.

mod fail_back;
mod pipe;
mod services;

use core::{fmt, net::SocketAddr, time::Duration};
use std::{io, io::IoSlice, time::Instant};

use bytes::BytesMut;
use karere_proto::{
    Session,
    session::{Cause, CloseCause, CloseRequest, Flushed},
};

use self::{fail_back::FailBack, pipe::Pipe};
use crate::{
    backoff::{Backoff, Rng},
    class::{Class, Verdict, verdict},
    dialer::{Attempt, Dial, Dialed, Dialer, Orders, Pace},
    endpoint::Endpoint,
    layer::{Layer, LayerError},
    policy::{Policy, Reconnect, Refresh},
    problem::{DialError, DialProblem},
    route::{Route, Server},
    transport::Ways,
};

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

/// What a driver shall do with a socket that it has connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete: it is used or it is not")]
pub enum Use {
    /// It is the connection now.
    Connection,
    /// It came too late, or was only to see whether a server answers: drop it.
    None,
}

/// Something about reaching the server that an application may want to know.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// An attempt begins.
    Attempting(Endpoint),
    /// An attempt failed before MQTT could speak. Another server of the round may follow at once.
    Failed(DialError),
    /// A domain's name server does not answer; the servers that it has named before are tried.
    Outdated(DialError),
    /// The round is over; the next one comes after this time.
    Waiting(Duration),
    /// There will be no further attempt until the application asks for one.
    Resting(Resting),
}

/// Why a link makes no further attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resting {
    /// The application has disconnected.
    Requested,
    /// The policy is [`Reconnect::Never`].
    Policy,
    /// Every server has refused this CONNECT for something that stands in it: sending it again changes nothing.
    Unacceptable,
}

impl fmt::Display for Resting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requested => "the application has disconnected",
            Self::Policy => "connections are not made anew by themselves",
            Self::Unacceptable => {
                "no server takes this CONNECT, and sending it again changes nothing: change the options, then connect"
            }
        })
    }
}

/// Keeps a session reachable. Belongs to one driver; nothing here is shared or locked.
#[derive(Debug)]
pub struct Link {
    policy: Policy,
    route: Route,
    ways: Ways,
    backoff: Backoff,
    rng: Rng,
    phase: Phase,
    orders: Orders,
    events: std::collections::VecDeque<Event>,
    /// Valid for one connection.
    pipe: Pipe,
}

#[derive(Debug)]
enum Phase {
    Idle,
    /// A domain's name server says which servers it has.
    Asking {
        attempt: Attempt,
        deadline: Instant,
    },
    Refreshing {
        attempt: Attempt,
        deadline: Instant,
    },
    /// A proxy wants the server's address, not its name.
    Locating {
        attempt: Attempt,
        deadline: Instant,
    },
    /// The application connects a socket.
    Obtaining {
        attempt: Attempt,
        deadline: Instant,
    },
    Dialing {
        dialer: Dialer,
        located: Option<SocketAddr>,
    },
    Handshaking {
        attempt: Attempt,
        deadline: Instant,
    },
    Open(Open),
    Closing {
        life: Option<Life>,
        deadline: Instant,
        stage: Stage,
    },
    Waiting {
        until: Instant,
    },
}

/// A transport that is open.
#[derive(Debug)]
struct Open {
    life: Life,
    fail_back: FailBack,
}

/// How long a transport has been open, and whether the server has accepted CONNECT on it.
#[derive(Clone, Copy, Debug)]
struct Life {
    since: Instant,
    accepted: Accepted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Accepted {
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

impl Link {
    /// A link to `servers`, over these `ways`, that does nothing yet. `rng` spreads the waits, and clients over servers of
    /// one priority.
    ///
    /// Without any server it goes to `localhost:1883`.
    pub fn new(servers: Vec<Server>, ways: Ways, policy: Policy, rng: Rng) -> Self {
        let policy = policy.bounded();
        let backoff = Backoff::new(policy.minimum_delay, policy.maximum_delay, policy.jitter);
        let route = Route::new(servers, policy.redirect);
        Self {
            policy,
            route,
            ways,
            backoff,
            rng,
            phase: Phase::Idle,
            orders: Orders::default(),
            events: std::collections::VecDeque::new(),
            pipe: Pipe::default(),
        }
    }

    /// Begins to dial at once, whatever it was waiting for. Without effect while a connection is there or being made.
    pub fn connect(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Idle | Phase::Waiting { .. }) {
            self.begin_round(now);
        }
    }

    /// Gives up attempts and waits. A connection that is there is not touched: the session ends that.
    pub fn stop(&mut self) {
        if !matches!(self.phase, Phase::Open(_) | Phase::Closing { .. }) {
            self.enter(Phase::Idle);
        }
    }

    /// Changes where attempts go, in place of all servers, from the next round on. How that one is spoken to stays as it was
    /// with the best of them: TLS does not become plain text.
    pub fn set_endpoint(&mut self, endpoint: Endpoint) {
        self.route.set_endpoint(endpoint);
    }

    /// Changes where attempts go, from the next round on.
    pub fn set_servers(&mut self, servers: Vec<Server>) {
        self.route.set_servers(servers);
    }

    /// Says how TLS is spoken, from the next attempt on, unless that was said before.
    #[cfg(feature = "tls")]
    pub fn provide_tls(&mut self, tls: crate::Tls) {
        self.ways.tls.get_or_insert(tls);
    }

    /// Changes how the link behaves from the next attempt on.
    pub fn set_policy(&mut self, policy: Policy) {
        let policy = policy.bounded();
        self.backoff = Backoff::new(policy.minimum_delay, policy.maximum_delay, policy.jitter);
        self.route.set_redirect(policy.redirect);
        self.policy = policy;
    }

    /// What the driver shall do to reach the server; ask until there is no more.
    pub fn poll_dial(&mut self) -> Option<Dial> {
        self.orders.pop()
    }

    /// Where to go and who to be, or why the application cannot say.
    pub fn handle_refreshed(&mut self, now: Instant, attempt: Attempt, outcome: Result<Server, String>) {
        if !matches!(self.phase, Phase::Refreshing { attempt: asked, .. } if asked == attempt) {
            return; // given up meanwhile
        }
        self.phase = Phase::Idle;
        match outcome {
            Ok(Server { endpoint: Endpoint::Service(domain), .. }) => {
                let why = format!("it names a domain ({domain}), whose servers were asked for before it; name a host");
                self.fail(now, DialProblem::Refresh(why));
            }
            Ok(server) => {
                self.route.refreshed(server);
                self.dial(now);
            }
            Err(why) => self.fail(now, DialProblem::Refresh(why)),
        }
    }

    /// The addresses of the host, or why there are none.
    pub fn handle_resolved(&mut self, now: Instant, attempt: Attempt, outcome: io::Result<Vec<SocketAddr>>) {
        if matches!(self.phase, Phase::Locating { attempt: asked, .. } if asked == attempt) {
            return self.located(now, outcome);
        }
        if let (Phase::Dialing { dialer, .. }, Ok(addresses)) = (&self.phase, &outcome)
            && dialer.is_resolving(attempt)
        {
            self.route.learn_addresses(addresses);
        }
        let dialed = match self.dialer() {
            Some((dialer, orders)) => dialer.handle_resolved(now, attempt, outcome, orders),
            None => None,
        };
        self.dialed(now, dialed);
    }

    /// The socket is connected, or why it is not. What else is being connected goes on, unless this one is taken.
    pub fn handle_dialed(&mut self, now: Instant, attempt: Attempt, outcome: io::Result<()>) -> Use {
        if matches!(self.phase, Phase::Obtaining { attempt: asked, .. } if asked == attempt) {
            return self.obtained(now, attempt, outcome);
        }
        let dialed = match self.dialer() {
            Some((dialer, orders)) => dialer.handle_dialed(now, attempt, outcome, orders),
            None => None,
        };
        self.dialed(now, dialed);
        match self.phase {
            Phase::Handshaking { attempt: taken, .. } if taken == attempt => Use::Connection,
            _ => Use::None,
        }
    }

    /// Bytes have come from the socket; `bytes` is left empty.
    ///
    /// # Errors
    ///
    /// [`LayerError`] when a layer cannot go on: drop the socket and call [`Link::handle_lost`].
    pub fn handle_received(&mut self, now: Instant, bytes: &mut BytesMut) -> Result<(), LayerError> {
        self.pipe.receive(now, bytes)
    }

    /// Exchanges bytes with the session: the only place that touches both. No I/O and no crypto happen here.
    pub fn exchange(&mut self, now: Instant, session: &mut Session) {
        if let Phase::Handshaking { .. } = self.phase
            && self.pipe.stack.is_open()
        {
            self.open(now, session);
        }
        self.pipe.deliver(now, session);
        if !matches!(self.phase, Phase::Open(_) | Phase::Closing { .. }) {
            return;
        }
        // Also while the last bytes leave: QoS 0 messages among them are done once they are written.
        session.handle_sent(now, self.pipe.written());
        if let Phase::Open(open) = &mut self.phase {
            if open.life.accepted == Accepted::No && session.is_connected() {
                open.life.accepted = Accepted::Yes;
                // Behind a proxy only the proxy would be seen to answer.
                let better = self.route.has_better() && self.ways.is_direct(self.route.current());
                open.fail_back =
                    FailBack::after(now, self.policy.fail_back.filter(|_| better), self.policy.jitter, &mut self.rng);
            }
            open.fail_back.act_on(now, session);
        } else if !matches!(self.phase, Phase::Closing { stage: Stage::Flushing, .. }) {
            return;
        }
        self.pipe.take_over(session);
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
        self.pipe.transmit(now, out)
    }

    /// Seals what may leave although the socket takes nothing now, so that [`Link::wants_write`] knows of it.
    ///
    /// # Errors
    ///
    /// [`LayerError`] when a layer cannot go on: drop the socket and call [`Link::handle_lost`].
    pub fn seal(&mut self, now: Instant) -> Result<(), LayerError> {
        self.pipe.seal_early(now)
    }

    /// The socket has taken `sent` bytes.
    pub fn handle_sent(&mut self, sent: usize) {
        self.pipe.advance(sent);
    }

    /// What to do with the socket because the connection ends.
    pub fn poll_close(&mut self, now: Instant) -> Option<Close> {
        let Phase::Closing { stage, deadline, .. } = &mut self.phase else {
            return None;
        };
        match stage {
            Stage::Flushing => None,
            Stage::Shut if self.pipe.is_sent() => {
                *stage = Stage::Lingering;
                Some(Close::ShutWrite)
            }
            Stage::Shut | Stage::Lingering if now < *deadline => None,
            Stage::Shut | Stage::Lingering | Stage::Drop => Some(Close::Drop),
        }
    }

    /// The socket is gone, and `cause` is what the session has told of it. What comes next depends on it and on the policy:
    /// another server at once, a wait, or nothing.
    pub fn handle_lost(&mut self, now: Instant, cause: &Cause) {
        let life = match &self.phase {
            Phase::Open(open) => Some(open.life),
            Phase::Closing { life, .. } => *life,
            Phase::Handshaking { .. } => {
                let opening = self.pipe.stack.opening();
                let early = opening.map_or("the other side closed at once", Layer::ended_early);
                let why = match cause {
                    Cause::Transport(CloseCause::Failed(why)) => format!("{early} ({why})"),
                    _ => early.to_owned(),
                };
                return self
                    .fail(now, DialProblem::Layer(format!("{}: {why}", opening.map_or("connection", Layer::name))));
            }
            Phase::Idle
            | Phase::Asking { .. }
            | Phase::Refreshing { .. }
            | Phase::Locating { .. }
            | Phase::Obtaining { .. }
            | Phase::Dialing { .. }
            | Phase::Waiting { .. } => return,
        };
        if life.is_some_and(|life| now.saturating_duration_since(life.since) >= self.policy.stable_after) {
            self.backoff.reset();
            self.route.settled();
        }
        self.enter(Phase::Idle);
        let class = match verdict(cause) {
            Verdict::Rest => return self.rest(Resting::Requested),
            Verdict::SameServer => return self.attempt(now),
            Verdict::Return => return self.begin_round(now),
            Verdict::Refer(references, permanence) => {
                if self.route.follow(references, permanence) {
                    return self.attempt(now);
                }
                Class::Elsewhere
            }
            Verdict::Retry(class) => class,
        };
        if life.is_some_and(|life| life.accepted == Accepted::Yes) {
            self.lost(now, class);
        } else {
            self.next(now, class);
        }
    }

    /// A layer's handshake failed, or the driver could not use the socket: the attempt has failed.
    pub fn handle_failed(&mut self, now: Instant, why: String) {
        self.fail(now, DialProblem::Layer(why));
    }

    /// Acts on a deadline that has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        match &mut self.phase {
            Phase::Asking { deadline, .. } if *deadline <= now => self.services_timed_out(now),
            Phase::Obtaining { deadline, .. } if *deadline <= now => {
                let timeout = io::Error::new(io::ErrorKind::TimedOut, "it has not connected in time");
                self.fail(now, DialProblem::Connector(timeout));
            }
            Phase::Refreshing { deadline, .. } if *deadline <= now => {
                self.fail(now, DialProblem::Refresh("the application did not answer in time".to_owned()));
            }
            Phase::Locating { deadline, .. } if *deadline <= now => {
                let timeout = io::Error::new(io::ErrorKind::TimedOut, "the name server did not answer in time");
                self.fail(now, DialProblem::Resolve(timeout));
            }
            Phase::Dialing { dialer, .. } if dialer.poll_timeout().is_some_and(|deadline| deadline <= now) => {
                let dialed = dialer.handle_timeout(now, &mut self.orders);
                self.dialed(now, dialed);
            }
            Phase::Handshaking { deadline, .. } if *deadline <= now => {
                let layer = self.pipe.stack.opening().map_or("connection", Layer::name);
                self.handle_failed(now, format!("{layer}: the other side has not finished the handshake in time"));
            }
            Phase::Open(open) if open.fail_back.poll_timeout().is_some_and(|deadline| deadline <= now) => {
                let pace = pace(&self.policy);
                open.fail_back.handle_timeout(now, pace, &self.route, &mut self.rng, &mut self.orders);
            }
            Phase::Closing { deadline, stage, .. } if *deadline <= now => *stage = Stage::Drop,
            Phase::Waiting { until } if *until <= now => self.begin_round(now),
            _ => {}
        }
    }

    /// When to call [`Link::handle_timeout`] at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Idle => None,
            Phase::Dialing { dialer, .. } => dialer.poll_timeout(),
            Phase::Open(open) => open.fail_back.poll_timeout(),
            Phase::Asking { deadline, .. }
            | Phase::Refreshing { deadline, .. }
            | Phase::Locating { deadline, .. }
            | Phase::Obtaining { deadline, .. }
            | Phase::Handshaking { deadline, .. }
            | Phase::Closing { deadline, .. } => Some(*deadline),
            Phase::Waiting { until } => Some(*until),
        }
    }

    /// What may be the matter when the connection fails now, if there is a suspicion.
    pub fn suspicion(&self) -> Option<&'static str> {
        matches!(self.phase, Phase::Open(_)).then(|| self.pipe.suspicion()).flatten()
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
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
        self.pipe.wants_write()
    }

    /// Where the present attempt or connection goes, or the last one went.
    pub const fn endpoint(&self) -> &Endpoint {
        &self.route.current().endpoint
    }

    /// The dialer that is at work, for a connection or to look for a better server.
    fn dialer(&mut self) -> Option<(&mut Dialer, &mut Orders)> {
        let dialer = match &mut self.phase {
            Phase::Dialing { dialer, .. } => Some(dialer),
            Phase::Open(open) => open.fail_back.dialer(),
            _ => None,
        };
        dialer.map(|dialer| (dialer, &mut self.orders))
    }

    /// Acts on what a dialer has come to.
    fn dialed(&mut self, now: Instant, dialed: Option<Dialed>) {
        let Some(dialed) = dialed else {
            return;
        };
        if let Phase::Open(open) = &mut self.phase {
            open.fail_back.handle_dialed(now, pace(&self.policy), &dialed, &mut self.orders);
            return;
        }
        let Phase::Dialing { located, .. } = &self.phase else {
            return;
        };
        let located = *located;
        match dialed {
            Ok(attempt) => self.handshake(now, attempt, located),
            Err(problem) => self.fail(now, problem),
        }
    }

    /// What the application's connector has come to.
    fn obtained(&mut self, now: Instant, attempt: Attempt, outcome: io::Result<()>) -> Use {
        self.phase = Phase::Idle;
        match outcome {
            Ok(()) => self.handshake(now, attempt, None),
            Err(error) => self.fail(now, DialProblem::Connector(error)),
        }
        if matches!(self.phase, Phase::Handshaking { .. }) { Use::Connection } else { Use::None }
    }

    /// A socket is connected: its layers begin.
    fn handshake(&mut self, now: Instant, attempt: Attempt, located: Option<SocketAddr>) {
        match self.ways.stack(self.route.current(), located) {
            Ok(stack) => {
                self.pipe = Pipe::over(stack);
                self.phase = Phase::Handshaking { attempt, deadline: now + self.policy.connect_timeout };
            }
            Err(error) => self.fail(now, DialProblem::Layer(error.to_string())),
        }
    }

    /// Every change of phase but to the one that follows without a break.
    fn enter(&mut self, phase: Phase) {
        match core::mem::replace(&mut self.phase, phase) {
            Phase::Asking { attempt, .. }
            | Phase::Refreshing { attempt, .. }
            | Phase::Locating { attempt, .. }
            | Phase::Obtaining { attempt, .. }
            | Phase::Handshaking { attempt, .. } => {
                self.orders.abandon(attempt);
            }
            Phase::Dialing { mut dialer, .. } => dialer.abandon(&mut self.orders),
            Phase::Open(mut open) => open.fail_back.abandon(&mut self.orders),
            Phase::Idle | Phase::Closing { .. } | Phase::Waiting { .. } => {}
        }
        self.pipe = Pipe::default();
    }

    fn begin_round(&mut self, now: Instant) {
        self.route.begin(&mut self.rng);
        self.attempt(now);
    }

    /// Tries the server that it is the turn of.
    fn attempt(&mut self, now: Instant) {
        if let Endpoint::Service(domain) = self.endpoint() {
            let domain = domain.clone();
            return self.ask_services(now, domain);
        }
        match self.policy.refresh {
            Refresh::Never => self.dial(now),
            Refresh::EachAttempt => {
                let attempt = self.orders.attempt();
                self.orders.push(Dial::Refresh { attempt, server: self.route.current().clone() });
                self.phase = Phase::Refreshing { attempt, deadline: now + self.policy.refresh_timeout };
            }
        }
    }

    fn dial(&mut self, now: Instant) {
        self.events.push_back(Event::Attempting(self.endpoint().clone()));
        if let Some(connector) = self.ways.connector.clone() {
            let attempt = self.orders.attempt();
            self.orders.push(Dial::Obtain { attempt, connector, endpoint: self.endpoint().clone() });
            self.phase = Phase::Obtaining { attempt, deadline: now + self.policy.connect_timeout };
            return;
        }
        match self.ways.to_locate(self.route.current()) {
            None => self.dial_located(now, None),
            Some((host, port)) => {
                let attempt = self.orders.attempt();
                self.orders.push(Dial::Resolve { attempt, host, port });
                self.phase = Phase::Locating { attempt, deadline: now + self.policy.connect_timeout };
            }
        }
    }

    /// The server's address, for a proxy that does not look names up.
    fn located(&mut self, now: Instant, outcome: io::Result<Vec<SocketAddr>>) {
        self.phase = Phase::Idle;
        match outcome {
            Ok(addresses) => match self.ways.choose(self.route.current(), &addresses) {
                Some(address) => self.dial_located(now, Some(address)),
                None => self.fail(now, DialProblem::NoAddress),
            },
            Err(error) => self.fail(now, DialProblem::Resolve(error)),
        }
    }

    fn dial_located(&mut self, now: Instant, located: Option<SocketAddr>) {
        let endpoint = self.ways.dialed(self.route.current());
        let known = self.route.known_addresses().filter(|_| self.ways.is_direct(self.route.current()));
        let dialer = Dialer::new(now, &endpoint, pace(&self.policy), &mut self.orders);
        let dialer = dialer.with_known(known.map_or_else(Vec::new, <[_]>::to_vec));
        self.phase = Phase::Dialing { dialer, located };
    }

    /// The transport is open: the session may speak, as whoever it shall be at this server.
    fn open(&mut self, now: Instant, session: &mut Session) {
        if let Some(who) = &self.route.current().credentials
            && let Err(error) = session.set_credentials(who.user_name.clone(), who.password.clone())
        {
            self.fail(now, DialProblem::Refresh(error.to_string()));
            return;
        }
        let life = Life { since: now, accepted: Accepted::No };
        self.phase = Phase::Open(Open { life, fail_back: FailBack::Off });
        session.handle_opened(now);
    }

    fn fail(&mut self, now: Instant, problem: DialProblem) {
        self.events.push_back(Event::Failed(DialError { endpoint: self.endpoint().clone(), problem }));
        self.enter(Phase::Idle);
        self.next(now, Class::Passing);
    }

    /// An attempt has failed: the next server of the round, or the end of the round.
    fn next(&mut self, now: Instant, class: Class) {
        if self.route.next(class) {
            self.attempt(now);
        } else {
            self.wait(now, self.route.verdict());
        }
    }

    /// A connection that had been accepted is lost.
    fn lost(&mut self, now: Instant, class: Class) {
        let automatic = self.policy.reconnect == Reconnect::Automatic;
        if class == Class::Elsewhere && automatic && self.route.begin_elsewhere(&mut self.rng) {
            self.attempt(now);
        } else {
            self.wait(now, class);
        }
    }

    fn wait(&mut self, now: Instant, class: Class) {
        let delay = match (self.policy.reconnect, class) {
            (Reconnect::Never, _) => return self.rest(Resting::Policy),
            (Reconnect::Automatic, Class::Unacceptable) => return self.rest(Resting::Unacceptable),
            (Reconnect::Automatic, Class::Denied) => self.backoff.longest(&mut self.rng),
            (Reconnect::Automatic, Class::Passing | Class::Elsewhere) => self.backoff.wait(&mut self.rng),
        };
        self.events.push_back(Event::Waiting(delay));
        self.phase = Phase::Waiting { until: now + delay };
    }

    fn rest(&mut self, why: Resting) {
        self.events.push_back(Event::Resting(why));
        self.phase = Phase::Idle;
    }

    fn begin_close(&mut self, now: Instant, request: CloseRequest, flushed: Flushed) {
        let (life, deadline) = match &self.phase {
            Phase::Open(open) => (Some(open.life), now + self.policy.linger),
            Phase::Closing { life, deadline, .. } => (*life, *deadline),
            _ => return,
        };
        let stage = match (request, flushed) {
            (CloseRequest::AtOnce, _) => Stage::Drop,
            (CloseRequest::AfterFlush, Flushed::No) => Stage::Flushing,
            (CloseRequest::AfterFlush, Flushed::Yes) => match self.pipe.finish(now) {
                Ok(()) => Stage::Shut,
                Err(_) => Stage::Drop,
            },
        };
        if let Phase::Open(open) = &mut self.phase {
            open.fail_back.abandon(&mut self.orders);
        }
        self.phase = Phase::Closing { life, deadline, stage };
    }
}

const fn pace(policy: &Policy) -> Pace {
    Pace { delay: policy.attempt_delay, timeout: policy.connect_timeout }
}

#[cfg(test)]
mod tests;
