//! A link, its session, and the network they see: orders are told as lines, answers are given by address.

use std::{
    collections::HashMap,
    io,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use karere_link::{
    Attempt, Close, Dial, DialError, Event, Jitter, Link, Policy, Rank, Resting, Rng, Server, ServiceProblem,
    ServiceRecord, Use, Ways,
};
use karere_proto::{
    Session, Utf8String, Version,
    session::{Cause, CloseCause, Config, Event as SessionEvent, FallBack, SessionExpiry},
};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MS: Duration = Duration::from_millis(1);

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) link: Link,
    pub(crate) session: Session,
    /// The last attempt at each thing: an address, a name, a service.
    attempts: HashMap<String, Attempt>,
    names: HashMap<Attempt, String>,
    asked: Option<Server>,
}

/// Waits are not spread.
pub(crate) fn policy() -> Policy {
    let mut policy = Policy::default();
    policy.jitter = Jitter::None;
    policy
}

pub(crate) fn servers(urls: &[&str]) -> Vec<Server> {
    let ranked = |(at, url): (usize, &&str)| {
        let priority = u16::try_from(at).expect("few");
        Server::parse(url).expect("legal").rank(Rank::new(priority, 1))
    };
    urls.iter().enumerate().map(ranked).collect()
}

fn config() -> Config {
    let mut config = Config::new(Version::V5, Utf8String::new("one").expect("legal"));
    config.session_expiry = SessionExpiry::Never;
    config.connect.keep_alive = 0; // minutes pass in silence
    config
}

impl World {
    /// A link to these URLs, each of a lesser priority than the one before.
    pub(crate) fn new(urls: &[&str], policy: Policy) -> Self {
        Self::with(servers(urls), policy, Rng::new(7))
    }

    pub(crate) fn with(servers: Vec<Server>, policy: Policy, rng: Rng) -> Self {
        Self::by(servers, Ways::default(), policy, rng)
    }

    #[expect(clippy::disallowed_methods, reason = "virtual time needs one real point to begin at")]
    pub(crate) fn by(servers: Vec<Server>, ways: Ways, policy: Policy, rng: Rng) -> Self {
        let now = Instant::now();
        let session = Session::new(now, config()).expect("legal");
        let link = Link::new(servers, ways, policy, rng);
        Self { now, link, session, attempts: HashMap::new(), names: HashMap::new(), asked: None }
    }

    /// A link to one name.
    pub(crate) fn named() -> Self {
        Self::new(&["mqtt://broker"], policy())
    }

    /// A link to one address.
    pub(crate) fn direct(policy: Policy) -> Self {
        Self::new(&["mqtt://10.0.0.1"], policy)
    }

    /// A link to two addresses, the first of better rank.
    pub(crate) fn pair() -> Self {
        Self::new(&["mqtt://10.0.0.1", "mqtt://10.0.0.2"], policy())
    }

    pub(crate) fn fall_back(&mut self) {
        let mut config = config();
        config.fall_back = FallBack::Downward;
        self.session.reconfigure(config).expect("legal");
    }

    pub(crate) fn connect(&mut self) {
        self.link.connect(self.now);
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
        self.session.handle_timeout(self.now);
        self.link.handle_timeout(self.now);
        self.exchange();
    }

    /// Lets the time pass until the link's next deadline, and tells how long that was.
    pub(crate) fn pass_to_deadline(&mut self) -> Duration {
        let time = self.link.poll_timeout().expect("a deadline") - self.now;
        self.pass(time);
        time
    }

    /// What the link asks for, as lines.
    pub(crate) fn dials(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(dial) = self.link.poll_dial() {
            let (attempt, verb, name) = match dial {
                Dial::Refresh { attempt, server } => {
                    let name = server.endpoint.to_string();
                    self.asked = Some(server);
                    (attempt, "ask about", name)
                }
                Dial::Services { attempt, service, domain } => (attempt, "ask for", format!("{service}.{domain}")),
                Dial::Obtain { attempt, endpoint, .. } => (attempt, "obtain", endpoint.to_string()),
                Dial::Resolve { attempt, host, port } => (attempt, "resolve", format!("{host}:{port}")),
                Dial::Connect { attempt, address } => (attempt, "dial", address.to_string()),
                Dial::Abandon(attempt) => (attempt, "abandon", self.names[&attempt].clone()),
                other => panic!("{other:?}"),
            };
            self.attempts.insert(name.clone(), attempt);
            self.names.insert(attempt, name.clone());
            lines.push(format!("{verb} {name}"));
        }
        lines
    }

    #[track_caller]
    pub(crate) fn expect_dials(&mut self, lines: &[&str]) {
        assert_eq!(self.dials(), lines);
    }

    /// The addresses of a name.
    pub(crate) fn resolve(&mut self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().expect("an address")).collect();
        self.link.handle_resolved(self.now, self.attempts[name], Ok(addresses));
    }

    pub(crate) fn resolve_fails(&mut self, name: &str, error: io::Error) {
        self.link.handle_resolved(self.now, self.attempts[name], Err(error));
    }

    /// The records of a service: priority, weight, target, port.
    pub(crate) fn name(&mut self, service: &str, records: &[(u16, u16, &str, u16)]) {
        let record = |&(priority, weight, target, port): &(_, _, &str, _)| {
            ServiceRecord::new(Rank::new(priority, weight), target, port)
        };
        let records = records.iter().map(record).collect();
        self.link.handle_services(self.now, self.attempts[service], Ok(records));
    }

    pub(crate) fn name_fails(&mut self, service: &str, problem: ServiceProblem) {
        self.link.handle_services(self.now, self.attempts[service], Err(problem));
    }

    /// The application answers what it was asked.
    pub(crate) fn answer(&mut self, change: impl FnOnce(&mut Server) -> Result<(), String>) {
        let mut server = self.asked.take().expect("was asked");
        let attempt = self.attempts[&server.endpoint.to_string()];
        let outcome = change(&mut server).map(|()| server);
        self.link.handle_refreshed(self.now, attempt, outcome);
    }

    pub(crate) fn attempt(&self, name: &str) -> Attempt {
        self.attempts[name]
    }

    /// An address does not take the connection.
    pub(crate) fn refuse(&mut self, address: &str) {
        let error = io::ErrorKind::ConnectionRefused.into();
        assert_eq!(self.link.handle_dialed(self.now, self.attempts[address], Err(error)), Use::None);
    }

    /// An address takes the connection.
    pub(crate) fn take(&mut self, address: &str) -> Use {
        self.link.handle_dialed(self.now, self.attempts[address], Ok(()))
    }

    /// An address takes the connection, and CONNECT leaves; gives its bytes.
    #[track_caller]
    pub(crate) fn open(&mut self, address: &str) -> Vec<u8> {
        assert_eq!(self.take(address), Use::Connection);
        self.exchange();
        let connect = self.sent();
        assert_eq!(connect.first(), Some(&0x10), "CONNECT");
        connect
    }

    /// As [`World::open`], and the server accepts.
    #[track_caller]
    pub(crate) fn accept(&mut self, address: &str) {
        let _ = self.open(address);
        self.receive(b"\x20\x03\x00\x00\x00");
        assert!(self.session.is_connected());
    }

    /// Dials in one go up to an accepted connection.
    #[track_caller]
    pub(crate) fn connected(&mut self, address: &str) {
        assert_eq!(self.dials().last(), Some(&format!("dial {address}")));
        self.accept(address);
    }

    /// The server refuses CONNECT with this reason code, then the connection is gone.
    pub(crate) fn refused(&mut self, reason: u8) {
        self.receive(&[0x20, 3, 0, reason, 0]);
        self.over();
    }

    /// As [`World::refused`], with a Server Reference.
    pub(crate) fn refers(&mut self, reason: u8, reference: &str) {
        let mut packet = vec![0x20, 0, 0, reason, 0, 0x1C, 0];
        put_reference(&mut packet, 5, reference);
        self.receive(&packet);
        self.over();
    }

    /// The server ends an accepted connection with DISCONNECT.
    pub(crate) fn thrown_out(&mut self, reason: u8) {
        self.receive(&[0xE0, 2, reason, 0]);
        self.over();
    }

    /// As [`World::thrown_out`], with a Server Reference.
    pub(crate) fn sent_away(&mut self, reason: u8, reference: &str) {
        let mut packet = vec![0xE0, 0, reason, 0, 0x1C, 0];
        put_reference(&mut packet, 4, reference);
        self.receive(&packet);
        self.over();
    }

    /// The session has closed the connection: the socket goes.
    #[track_caller]
    fn over(&mut self) {
        self.exchange();
        assert_eq!(self.link.poll_close(self.now), Some(Close::Drop));
        self.lose(CloseCause::Abandoned);
    }

    /// The transport ends.
    pub(crate) fn lose(&mut self, how: CloseCause) -> Cause {
        self.session.handle_closed(how.clone());
        let mut cause = Cause::Transport(how);
        while let Some(event) = self.session.poll_event(self.now) {
            if let SessionEvent::Disconnected(told) = event {
                cause = told;
            }
        }
        self.link.handle_lost(self.now, &cause);
        cause
    }

    pub(crate) fn exchange(&mut self) {
        self.link.exchange(self.now, &mut self.session);
        while self.session.poll_event(self.now).is_some() {}
        self.link.exchange(self.now, &mut self.session);
    }

    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        self.link.handle_received(self.now, &mut BytesMut::from(bytes)).expect("no layers");
        self.exchange();
    }

    /// Writes all that waits, and gives it.
    pub(crate) fn sent(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let mut slices = [io::IoSlice::new(&[]); 4];
            let count = self.link.poll_transmit(self.now, &mut slices).expect("no layers");
            let before = all.len();
            all.extend(slices[..count].iter().flat_map(|slice| slice.iter().copied()));
            if all.len() == before {
                return all;
            }
            self.link.handle_sent(all.len() - before);
        }
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        core::iter::from_fn(|| self.link.poll_event()).collect()
    }

    /// The only failure among what has happened.
    #[track_caller]
    pub(crate) fn failure(&mut self) -> DialError {
        let mut failures = self.events().into_iter().filter_map(|event| match event {
            Event::Failed(error) => Some(error),
            _ => None,
        });
        match (failures.next(), failures.next()) {
            (Some(error), None) => error,
            other => panic!("{other:?}"),
        }
    }

    /// How long the link waits: the last it has told.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> Duration {
        match self.events().last() {
            Some(Event::Waiting(wait)) => *wait,
            other => panic!("it does not wait: {other:?}"),
        }
    }

    /// Why the link rests: the last it has told.
    #[track_caller]
    pub(crate) fn resting(&mut self) -> Resting {
        assert!(self.link.is_idle());
        match self.events().last() {
            Some(Event::Resting(why)) => *why,
            other => panic!("it does not rest: {other:?}"),
        }
    }
}

/// Writes the value of a Server Reference and the lengths before it. `properties` is where the Property Length stands, with
/// the identifier after it.
fn put_reference(packet: &mut Vec<u8>, properties: usize, reference: &str) {
    let length = u8::try_from(reference.len()).expect("short");
    packet.push(length);
    packet.extend(reference.as_bytes());
    packet[properties - 1] = length + 3;
    packet[1] = u8::try_from(packet.len() - 2).expect("short");
}
