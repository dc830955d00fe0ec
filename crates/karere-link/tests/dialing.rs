//! A link on virtual time: what it dials, how long it waits, how it closes.

use core::{net::SocketAddr, time::Duration};
use std::{io, time::Instant};

use bytes::BytesMut;
use karere_link::{Address, Close, Dial, DialProblem, Endpoint, Event, Jitter, Link, Next, Policy, Reconnect, Rng};
use karere_proto::{
    Session, Utf8String, Version,
    packet::Disconnect,
    session::{CloseCause, Config, Event as SessionEvent},
};

const SECOND: Duration = Duration::from_secs(1);

/// A link, its session, and the time.
struct World {
    now: Instant,
    link: Link,
    session: Session,
}

fn policy() -> Policy {
    let mut policy = Policy::default();
    policy.jitter = Jitter::None;
    policy
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "virtual time needs one real point to begin at")]
    fn new(endpoint: Endpoint, policy: Policy) -> Self {
        let now = Instant::now();
        let config = Config::new(Version::V5, Utf8String::new("one").expect("legal"));
        let session = Session::new(now, config).expect("legal");
        Self { now, link: Link::new(endpoint, policy, Rng::new(7)), session }
    }

    fn named() -> Self {
        Self::new(Endpoint::Tcp { host: "broker".into(), port: 1883 }, policy())
    }

    fn direct(policy: Policy) -> Self {
        Self::new(Endpoint::Tcp { host: "10.0.0.1".into(), port: 1883 }, policy)
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.link.handle_timeout(self.now);
    }

    /// Lets the time pass until the link's next deadline, and tells how long that was.
    fn pass_to_deadline(&mut self) -> Duration {
        let deadline = self.link.poll_timeout().expect("a deadline");
        let time = deadline - self.now;
        self.pass(time);
        time
    }

    fn dials(&mut self) -> Vec<Dial> {
        core::iter::from_fn(|| self.link.poll_dial()).collect()
    }

    fn events(&mut self) -> Vec<Event> {
        core::iter::from_fn(|| self.link.poll_event()).collect()
    }

    fn refuse(&mut self) {
        self.link.handle_dialed(self.now, Err(io::ErrorKind::ConnectionRefused.into()));
    }

    /// Dials and takes the connection, up to a CONNECT that waits.
    fn open(&mut self) {
        assert_eq!(self.dials().len(), 1);
        self.link.handle_dialed(self.now, Ok(()));
        self.link.exchange(self.now, &mut self.session);
        assert!(self.sent() > 0, "CONNECT");
    }

    /// Writes all that waits, and says how much that was.
    fn sent(&mut self) -> usize {
        let mut all = 0;
        loop {
            let mut slices = [io::IoSlice::new(&[]); 4];
            let count = self.link.poll_transmit(self.now, &mut slices).expect("no layers");
            let bytes = slices[..count].iter().map(|slice| slice.len()).sum::<usize>();
            if bytes == 0 {
                return all;
            }
            self.link.handle_sent(bytes);
            all += bytes;
        }
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.link.handle_received(self.now, &mut BytesMut::from(bytes)).expect("no layers");
        self.link.exchange(self.now, &mut self.session);
        while self.session.poll_event(self.now).is_some() {}
    }

    fn lose(&mut self) {
        self.session.handle_closed(CloseCause::Closed);
        while self.session.poll_event(self.now).is_some() {}
        self.link.handle_lost(self.now, Next::Again);
    }
}

fn address(last: u8) -> SocketAddr {
    ([10, 0, 0, last], 1883).into()
}

fn waits(events: &[Event]) -> Vec<Duration> {
    let wait = |event: &Event| if let Event::Waiting(wait) = event { Some(*wait) } else { None };
    events.iter().filter_map(wait).collect()
}

#[test]
fn every_address_of_a_name_is_dialed_in_turn_until_one_takes_it() {
    let mut world = World::named();
    assert!(world.link.is_idle() && world.dials().is_empty() && world.link.poll_timeout().is_none());
    world.link.connect(world.now);
    world.link.connect(world.now); // changes nothing
    assert_eq!(world.dials(), [Dial::Resolve { host: "broker".into(), port: 1883 }]);
    assert!(world.dials().is_empty(), "asked once");
    assert!(!world.link.wants_socket());
    world.link.handle_resolved(world.now, Ok(vec![address(1), address(2), address(3)]));
    for last in [1, 2] {
        assert_eq!(world.dials(), [Dial::Connect(Address::Tcp(address(last)))]);
        world.refuse();
    }
    assert!(world.link.wants_socket());
    world.open();
    assert!(matches!(world.events().as_slice(), [Event::Attempting(_)]), "nothing has failed");
}

#[test]
fn attempt_has_failed_when_no_address_takes_it_and_the_error_names_each() {
    let mut world = World::named();
    world.link.connect(world.now);
    let _ = world.dials();
    world.link.handle_resolved(world.now, Ok(vec![address(1), address(2)]));
    let _ = world.dials();
    world.refuse();
    assert_eq!(world.pass_to_deadline(), 5 * SECOND, "each address has the whole time");
    let events = world.events();
    let [Event::Attempting(_), Event::Failed(error), Event::Waiting(_)] = events.as_slice() else {
        panic!("{events:?}");
    };
    let DialProblem::Refused(failures) = &error.problem else {
        panic!("{error:?}");
    };
    let kinds = failures.iter().map(|failure| failure.error.kind()).collect::<Vec<_>>();
    assert_eq!(kinds, [io::ErrorKind::ConnectionRefused, io::ErrorKind::TimedOut]);
    assert_eq!(error.io_kind(), Some(io::ErrorKind::TimedOut));
    let said = error.to_string();
    assert!(said.starts_with("cannot connect to broker:1883: 10.0.0.1:1883: "), "{said}");
    assert!(said.contains("; 10.0.0.2:1883: "), "{said}");
}

#[test]
fn address_that_does_not_answer_gives_way_to_the_next() {
    let mut world = World::named();
    world.link.connect(world.now);
    let _ = world.dials();
    world.link.handle_resolved(world.now, Ok(vec![address(1), address(2)]));
    let _ = world.dials();
    assert_eq!(world.pass_to_deadline(), 5 * SECOND);
    assert_eq!(world.dials(), [Dial::Connect(Address::Tcp(address(2)))]);
    assert_eq!(world.link.poll_timeout(), Some(world.now + 5 * SECOND));
}

#[test]
fn name_that_is_not_resolved_in_time_or_not_at_all_is_a_failure() {
    let mut world = World::named();
    world.link.connect(world.now);
    let _ = world.dials();
    assert_eq!(world.pass_to_deadline(), 5 * SECOND);
    world.link.handle_resolved(world.now, Ok(vec![address(1)])); // too late
    assert!(world.dials().is_empty());
    let problems = |world: &mut World| {
        let events = world.events();
        let failed = |event: Event| if let Event::Failed(error) = event { Some(error.to_string()) } else { None };
        events.into_iter().filter_map(failed).collect::<Vec<_>>()
    };
    let said = problems(&mut world);
    assert!(said.len() == 1 && said[0].contains("name server did not answer in time"), "{said:?}");

    for outcome in [Ok(Vec::new()), Err(io::Error::other("no such name"))] {
        world.link.connect(world.now);
        let _ = world.dials();
        world.link.handle_resolved(world.now, outcome);
        let said = problems(&mut world);
        assert!(said.len() == 1 && (said[0].contains("no address") || said[0].contains("no such name")), "{said:?}");
    }
}

#[test]
fn addresses_of_the_name_before_do_not_answer_for_the_new_one() {
    let mut world = World::named();
    world.link.connect(world.now);
    let _ = world.dials();
    world.link.stop();
    world.link.set_endpoint(Endpoint::Tcp { host: "other".into(), port: 1 });
    world.link.connect(world.now);
    world.link.handle_resolved(world.now, Ok(vec![address(1)])); // of "broker": nobody has asked for "other" yet
    assert_eq!(world.dials(), [Dial::Resolve { host: "other".into(), port: 1 }]);
}

#[test]
fn numbers_and_paths_are_dialed_as_they_are() {
    for (endpoint, expected) in [
        (Endpoint::Tcp { host: "10.0.0.1".into(), port: 1883 }, Address::Tcp(address(1))),
        (Endpoint::Tcp { host: "::1".into(), port: 7 }, Address::Tcp("[::1]:7".parse().expect("an address"))),
        (Endpoint::Unix("/run/broker".into()), Address::Unix("/run/broker".into())),
    ] {
        let mut world = World::new(endpoint, policy());
        world.link.connect(world.now);
        assert_eq!(world.dials(), [Dial::Connect(expected)]);
    }
}

#[test]
fn waits_double_and_start_again_after_a_stable_connection() {
    let mut world = World::direct(policy());
    world.link.connect(world.now);
    let mut seen = Vec::new();
    for _ in 0..9 {
        assert_eq!(world.dials().len(), 1);
        world.refuse();
        seen.extend(waits(&world.events()));
        let wait = *seen.last().expect("a wait");
        assert_eq!(world.link.poll_timeout(), Some(world.now + wait));
        assert_eq!(world.pass_to_deadline(), wait);
    }
    assert_eq!(seen, [1, 2, 4, 8, 16, 32, 64, 120, 120].map(|times| times * SECOND));

    world.open();
    world.pass(9 * SECOND);
    world.lose();
    assert_eq!(waits(&world.events()), [120 * SECOND], "9 seconds are not stable");
    let _ = world.pass_to_deadline();
    world.open();
    world.pass(10 * SECOND);
    world.lose();
    assert_eq!(waits(&world.events()), [SECOND]);
}

#[test]
fn waits_with_jitter_lie_between_the_minimum_and_the_doubled_delay() {
    let mut spread = policy();
    spread.jitter = Jitter::Uniform;
    let mut world = World::direct(spread);
    world.link.connect(world.now);
    let mut distinct = std::collections::BTreeSet::new();
    for round in 0..60 {
        assert_eq!(world.dials().len(), 1);
        world.refuse();
        let wait = waits(&world.events())[0];
        let limit = (SECOND * 2_u32.saturating_pow(round.min(7))).min(120 * SECOND);
        assert!((SECOND..=limit).contains(&wait), "round {round}: {wait:?}");
        distinct.insert(wait);
        let _ = world.pass_to_deadline();
    }
    assert!(distinct.len() > 50, "drawn, not computed");
}

#[test]
fn connecting_while_it_waits_dials_at_once_and_stopping_ends_it() {
    let mut world = World::direct(policy());
    world.link.connect(world.now);
    let _ = world.dials();
    world.refuse();
    assert!(world.dials().is_empty());
    world.link.connect(world.now);
    assert_eq!(world.dials().len(), 1);
    world.link.stop();
    assert!(world.link.is_idle() && world.link.poll_timeout().is_none());
    world.link.handle_dialed(world.now, Ok(())); // of the attempt that was given up
    assert!(world.link.is_idle());
    world.pass(1000 * SECOND);
    assert!(world.dials().is_empty());
}

#[test]
fn reconnect_never_makes_one_attempt() {
    let mut never = policy();
    never.reconnect = Reconnect::Never;
    let mut world = World::direct(never);
    world.link.connect(world.now);
    let _ = world.dials();
    world.refuse();
    assert!(world.link.is_idle());
    assert!(matches!(world.events().as_slice(), [Event::Attempting(_), Event::Failed(_)]), "no wait is told");
    world.link.connect(world.now);
    world.open();
    world.lose();
    assert!(world.link.is_idle());
}

#[test]
fn last_bytes_leave_before_the_socket_is_shut_and_the_server_gets_time_to_close() {
    let mut world = World::direct(policy());
    world.link.connect(world.now);
    world.open();
    world.receive(b"\x20\x03\x00\x00\x00");
    world.session.disconnect(Disconnect::NORMAL).expect("may be said");
    assert_eq!(world.link.poll_close(world.now), None);
    world.link.exchange(world.now, &mut world.session);
    assert_eq!(world.link.poll_close(world.now), None, "DISCONNECT has not left");
    assert_eq!(world.sent(), 2);
    assert_eq!(world.link.poll_close(world.now), Some(Close::ShutWrite));
    assert_eq!(world.link.poll_close(world.now), None);
    world.receive(b"\x30\x04\x00\x01a\x00"); // what comes now is of no interest
    assert_eq!(world.pass_to_deadline(), SECOND);
    assert_eq!(world.link.poll_close(world.now), Some(Close::Drop));
    world.session.handle_closed(CloseCause::Closed);
    assert!(matches!(world.session.poll_event(world.now), Some(SessionEvent::Disconnected(_))));
    world.link.handle_lost(world.now, Next::Stop);
    assert!(world.link.is_idle());
}

#[test]
fn socket_that_takes_nothing_is_dropped_after_the_linger_time() {
    let mut world = World::direct(policy());
    world.link.connect(world.now);
    world.open();
    world.receive(b"\x20\x03\x00\x00\x00");
    world.session.disconnect(Disconnect::NORMAL).expect("may be said");
    world.link.exchange(world.now, &mut world.session);
    assert!(world.link.wants_write());
    assert_eq!(world.pass_to_deadline(), SECOND);
    assert_eq!(world.link.poll_close(world.now), Some(Close::Drop));
}

#[test]
fn refusal_is_dropped_at_once_and_waited_upon() {
    let mut world = World::direct(policy());
    world.link.connect(world.now);
    world.open();
    world.receive(b"\x20\x03\x00\x87\x00");
    world.link.exchange(world.now, &mut world.session);
    assert_eq!(world.link.poll_close(world.now), Some(Close::Drop), "nothing is left to say");
    world.lose();
    let _ = world.events();
    assert_eq!(world.link.poll_timeout(), Some(world.now + SECOND));
}
