//! Domains whose name servers say where the servers are: SRV records.

use std::io;

use karere_link::{
    Connector, Credentials, DialProblem, Domain, Endpoint, Event, Framing, OwnedSocket, Rank, Redirect, Refresh, Rng,
    Server, ServiceProblem, Transport, Use, Ways,
};
use karere_proto::{Utf8String, session::CloseCause};

use crate::world::{SECOND, World, policy, servers};

const SERVICE: &str = "_mqtt._tcp.example.com";
const ASK: &str = "ask for _mqtt._tcp.example.com";
const ONE: &str = "dial 10.0.0.1:1";
const TWO: &str = "dial 10.0.0.2:2";
/// One is better than two.
const BOTH: &[(u16, u16, &str, u16)] = &[(20, 0, "10.0.0.2", 2), (10, 0, "10.0.0.1", 1)];

fn domain() -> Server {
    Server::new(Endpoint::Service(Domain::new("example.com").expect("legal")))
}

fn world_of(servers: Vec<Server>) -> World {
    let mut world = World::with(servers, policy(), Rng::new(7));
    world.connect();
    world
}

fn world() -> World {
    world_of(vec![domain()])
}

/// At the first of both, after one question.
fn at_one() -> World {
    let mut world = world();
    world.expect_dials(&[ASK]);
    world.name(SERVICE, BOTH);
    world.connected("10.0.0.1:1");
    world
}

fn no_answer() -> ServiceProblem {
    ServiceProblem::NoAnswer(io::Error::other("the name server says SERVFAIL"))
}

#[test]
fn the_servers_of_a_domain_are_tried_by_priority_and_asked_for_anew_in_each_round() {
    let mut world = world();
    world.expect_dials(&[ASK]);
    assert!(world.events().is_empty(), "no server is attempted yet");
    world.name(SERVICE, BOTH);
    world.expect_dials(&[ONE]);
    world.refuse("10.0.0.1:1");
    world.expect_dials(&[TWO]);
    world.refuse("10.0.0.2:2");
    world.expect_dials(&[]);
    assert_eq!(world.wait(), SECOND);
    assert_eq!(world.pass_to_deadline(), SECOND);
    world.expect_dials(&[ASK]);
    world.name(SERVICE, &[(0, 0, "10.0.0.3", 3)]);
    world.connected("10.0.0.3:3");
    world.lose(CloseCause::Closed);
    let _ = world.pass_to_deadline();
    world.expect_dials(&[ASK]);
}

#[test]
fn targets_are_hosts_whose_addresses_are_looked_up() {
    let mut world = world();
    let _ = world.dials();
    world.name(SERVICE, &[(0, 0, "a.example.com.", 7)]);
    world.expect_dials(&["resolve a.example.com:7"]);
    world.resolve("a.example.com:7", &["10.0.0.9:7"]);
    world.connected("10.0.0.9:7");
}

#[test]
fn equals_of_a_domain_share_the_clients_by_weight() {
    let mut first = 0;
    for seed in 0..300 {
        let mut world = World::with(vec![domain()], policy(), Rng::new(seed));
        world.connect();
        let _ = world.dials();
        world.name(SERVICE, &[(5, 10, "10.0.0.1", 1), (5, 30, "10.0.0.2", 2)]);
        first += usize::from(world.dials() == [ONE]);
    }
    assert!((50..110).contains(&first), "a quarter of 300: {first}");
}

#[test]
fn over_tls_the_secure_service_is_asked_for_and_over_websocket_none() {
    let mut transport = Transport::default();
    transport.security = karere_link::Security::Tls;
    let mut world = world_of(vec![domain().transport(transport)]);
    world.expect_dials(&["ask for _secure-mqtt._tcp.example.com"]);

    let mut transport = Transport::default();
    transport.framing = Framing::WebSocket { path: "/mqtt".to_owned() };
    let mut world = world_of(vec![domain().transport(transport)]);
    world.expect_dials(&[]);
    let error = world.failure();
    assert!(error.to_string().contains("no service name is registered"), "{error}");
}

#[test]
fn what_a_domain_lacks_is_told_and_the_next_server_tried() {
    type Answer = fn(&mut World);
    let answers: [(Answer, &str); 5] = [
        (|world| world.name(SERVICE, &[]), "there are no SRV records"),
        (|world| world.name(SERVICE, &[(0, 0, ".", 0)]), "it has no such service"),
        (|world| world.name(SERVICE, &[(0, 0, "a/b", 1)]), "can be dialed"),
        (|world| world.name_fails(SERVICE, ServiceProblem::NoLocalDomain), "name it in the URL"),
        (|world| world.name_fails(SERVICE, no_answer()), "SERVFAIL"),
    ];
    for (answer, said) in answers {
        let mut world = world_of(vec![domain(), servers(&["mqtt://x", "mqtt://10.0.0.9"])[1].clone()]);
        let _ = world.dials();
        answer(&mut world);
        world.expect_dials(&["dial 10.0.0.9:1883"]);
        let error = world.failure();
        assert!(matches!(error.problem, DialProblem::Services(_)), "{error:?}");
        assert!(error.to_string().starts_with("cannot connect to example.com: "), "{error}");
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[test]
fn a_name_server_that_is_silent_has_the_time_of_an_address() {
    let mut world = world();
    let _ = world.dials();
    assert_eq!(world.pass_to_deadline(), 5 * SECOND);
    world.expect_dials(&["abandon _mqtt._tcp.example.com"]);
    let events = world.events();
    let [Event::Failed(error), Event::Waiting(SECOND)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(error.io_kind(), Some(io::ErrorKind::TimedOut));
    world.name(SERVICE, BOTH);
    world.expect_dials(&[]);
    assert_eq!(world.pass_to_deadline(), SECOND);
    world.expect_dials(&[ASK]);
}

#[test]
fn servers_that_were_named_before_are_tried_while_the_name_server_is_away() {
    let mut world = at_one();
    world.lose(CloseCause::Closed);
    let _ = world.pass_to_deadline();
    world.expect_dials(&[ASK]);
    let _ = world.events();
    let _ = world.pass_to_deadline();
    world.expect_dials(&["abandon _mqtt._tcp.example.com", ONE]);
    let events = world.events();
    assert!(matches!(&events[..], [Event::Outdated(_), Event::Attempting(_)]), "{events:?}");
    world.refuse("10.0.0.1:1");
    world.expect_dials(&[TWO]);
    world.refuse("10.0.0.2:2");
    let _ = world.pass_to_deadline();
    world.expect_dials(&[ASK]);
    world.name_fails(SERVICE, no_answer());
    world.expect_dials(&[ONE]);
}

#[test]
fn an_answer_that_there_is_nothing_counts_and_is_not_outlived_by_older_ones() {
    for gone in [&[][..], &[(0, 0, ".", 0)]] {
        let mut world = at_one();
        world.lose(CloseCause::Closed);
        let _ = world.pass_to_deadline();
        world.expect_dials(&[ASK]);
        world.name(SERVICE, gone);
        world.expect_dials(&[]);
        let _ = world.pass_to_deadline();
        world.expect_dials(&[ASK]);
        world.name_fails(SERVICE, no_answer());
        world.expect_dials(&[]);
    }
}

#[test]
fn a_domain_takes_its_turn_among_other_servers() {
    let mut all = servers(&["mqtt://10.0.0.8", "mqtt://x", "mqtt://10.0.0.9"]);
    all[1] = domain().rank(Rank::new(1, 1));
    let mut world = world_of(all);
    world.expect_dials(&["dial 10.0.0.8:1883"]);
    world.refuse("10.0.0.8:1883");
    world.expect_dials(&[ASK]);
    world.name(SERVICE, BOTH);
    world.expect_dials(&[ONE]);
    world.refuse("10.0.0.1:1");
    world.expect_dials(&[TWO]);
    world.refuse("10.0.0.2:2");
    world.expect_dials(&["dial 10.0.0.9:1883"]);
}

#[test]
fn a_server_of_a_domain_that_sends_the_client_away_comes_last() {
    let mut world = at_one();
    world.thrown_out(0x89);
    world.expect_dials(&[ASK]);
    world.name(SERVICE, BOTH);
    world.expect_dials(&[TWO]);
    world.refuse("10.0.0.2:2");
    world.expect_dials(&[ONE]);
}

#[test]
fn servers_of_a_domain_that_all_send_the_client_away_are_not_hammered() {
    let mut world = at_one();
    world.thrown_out(0x89);
    let _ = world.dials();
    world.name(SERVICE, BOTH);
    world.connected("10.0.0.2:2");
    world.thrown_out(0x89);
    world.expect_dials(&[ASK]);
    world.name(SERVICE, BOTH);
    world.expect_dials(&[]);
    assert_eq!(world.wait(), SECOND);
    let _ = world.pass_to_deadline();
    world.expect_dials(&[ASK]);
    world.name(SERVICE, BOTH);
    world.expect_dials(&[ONE]);
}

#[test]
fn a_better_server_of_the_domain_is_gone_back_to() {
    let mut world = world();
    let _ = world.dials();
    world.name(SERVICE, BOTH);
    let _ = world.dials();
    world.refuse("10.0.0.1:1");
    world.connected("10.0.0.2:2");
    assert_eq!(world.pass_to_deadline(), 300 * SECOND);
    world.expect_dials(&[ONE]);
    assert_eq!(world.take("10.0.0.1:1"), Use::None);
    world.exchange();
    world.lose(CloseCause::Abandoned);
}

#[test]
fn a_better_domain_is_gone_back_to_by_the_servers_it_had() {
    let mut world = world_of(vec![domain(), servers(&["mqtt://x", "mqtt://10.0.0.9"])[1].clone()]);
    let _ = world.dials();
    world.name(SERVICE, BOTH);
    for address in ["10.0.0.1:1", "10.0.0.2:2"] {
        let _ = world.dials();
        world.refuse(address);
    }
    world.connected("10.0.0.9:1883");
    assert_eq!(world.pass_to_deadline(), 300 * SECOND);
    world.expect_dials(&[ONE]);
    world.refuse("10.0.0.1:1");
    world.expect_dials(&[TWO]);
    world.refuse("10.0.0.2:2");
    assert_eq!(world.pass_to_deadline(), 300 * SECOND);
}

#[test]
fn a_better_domain_that_never_named_a_server_is_not_looked_for() {
    let mut world = world_of(vec![domain(), servers(&["mqtt://x", "mqtt://10.0.0.9"])[1].clone()]);
    let _ = world.dials();
    world.name(SERVICE, &[]);
    world.connected("10.0.0.9:1883");
    world.pass(1000 * SECOND);
    world.expect_dials(&[]);
}

#[test]
fn a_domain_of_the_same_rank_is_no_better_whatever_ranks_its_servers_have() {
    let mut equal = servers(&["mqtt://10.0.0.9"]);
    equal.push(domain().rank(Rank::new(0, 0)));
    let mut world = World::with(equal, policy(), Rng::new(7));
    world.connect();
    let mut lines = world.dials();
    if lines == ["dial 10.0.0.9:1883"] {
        world.refuse("10.0.0.9:1883");
        lines = world.dials();
    }
    assert_eq!(lines, [ASK]);
    world.name(SERVICE, &[(9, 0, "10.0.0.1", 1)]);
    world.connected("10.0.0.1:1");
    world.pass(1000 * SECOND);
    world.expect_dials(&[]);
}

#[test]
fn credentials_of_a_domain_are_those_at_its_servers() {
    let who = Credentials::new(Utf8String::new("me").ok(), Some("pw".into()));
    let mut world = world_of(vec![domain().credentials(who)]);
    let _ = world.dials();
    world.name(SERVICE, BOTH);
    let _ = world.dials();
    let connect = world.open("10.0.0.1:1");
    assert!(connect.ends_with(b"\0\x02me\0\x02pw"), "{connect:?}");
}

#[test]
fn the_application_is_asked_about_each_server_of_a_domain_and_may_not_name_another_domain() {
    let mut asking = policy();
    asking.refresh = Refresh::EachAttempt;
    let mut world = World::with(vec![domain()], asking, Rng::new(7));
    world.connect();
    world.expect_dials(&[ASK]);
    world.name(SERVICE, BOTH);
    world.expect_dials(&["ask about 10.0.0.1:1"]);
    world.answer(|server| {
        server.endpoint = domain().endpoint;
        Ok(())
    });
    let error = world.failure();
    assert!(error.to_string().contains("names a domain"), "{error}");
    world.expect_dials(&["ask about 10.0.0.2:2"]);
    world.answer(|_| Ok(()));
    world.connected("10.0.0.2:2");
}

#[test]
fn a_connector_is_asked_for_the_servers_of_a_domain() {
    let mut ways = Ways::default();
    ways.connector = Some(Connector::new(|_| Err::<OwnedSocket, _>("nobody calls it here")));
    let mut world = World::by(vec![domain()], ways, policy(), Rng::new(7));
    world.connect();
    world.expect_dials(&[ASK]);
    world.name(SERVICE, &[(0, 0, "a", 1)]);
    world.expect_dials(&["obtain a:1"]);
}

#[test]
fn a_server_of_a_domain_that_has_moved_for_good_is_gone_to_at_its_new_place() {
    let mut remembering = policy();
    remembering.redirect = Redirect::Remember;
    let mut world = World::with(vec![domain()], remembering, Rng::new(7));
    world.connect();
    world.expect_dials(&[ASK]);
    world.name(SERVICE, &BOTH[1..]);
    world.expect_dials(&[ONE]);
    let _ = world.open("10.0.0.1:1");
    world.refers(0x9D, "10.0.0.7:7");
    world.connected("10.0.0.7:7");
    world.lose(CloseCause::Closed);
    let _ = world.pass_to_deadline();
    let _ = world.dials();
    world.name(SERVICE, &BOTH[1..]);
    world.expect_dials(&["dial 10.0.0.7:7"]);
    world.refuse("10.0.0.7:7");
    world.expect_dials(&[ONE]);
}

#[test]
fn no_server_refers_to_a_domain() {
    let mut world = at_one();
    world.sent_away(0x9C, "mqtt+srv://evil.example");
    world.expect_dials(&[ASK]);
}

#[test]
fn stopping_does_not_wait_for_the_name_server() {
    let mut world = world();
    let _ = world.dials();
    world.link.stop();
    world.expect_dials(&["abandon _mqtt._tcp.example.com"]);
    world.name(SERVICE, BOTH);
    assert!(world.link.is_idle());
    world.expect_dials(&[]);
}

#[test]
fn another_domain_counts_from_the_next_round_on_and_knows_nothing_of_the_one_before() {
    let mut world = at_one();
    world.link.set_endpoint(Endpoint::Service(Domain::local()));
    world.lose(CloseCause::Closed);
    let _ = world.pass_to_deadline();
    world.expect_dials(&["ask for _mqtt._tcp.this machine's domain"]);
    world.name_fails("_mqtt._tcp.this machine's domain", no_answer());
    world.expect_dials(&[]);
}

#[test]
fn another_version_is_spoken_to_the_same_server_without_a_question() {
    let mut world = World::with(vec![domain()], policy(), Rng::new(7));
    world.fall_back();
    world.connect();
    let _ = world.dials();
    world.name(SERVICE, BOTH);
    let _ = world.dials();
    let _ = world.open("10.0.0.1:1");
    world.refused(0x84);
    world.expect_dials(&[ONE]);
}

#[test]
fn addresses_that_targets_had_are_dialed_while_the_name_server_is_away() {
    let mut world = world();
    let _ = world.dials();
    world.name(SERVICE, &[(0, 0, "a", 7), (1, 0, "b", 7)]);
    let _ = world.dials();
    world.resolve("a:7", &["10.0.0.9:7"]);
    world.connected("10.0.0.9:7");
    for _ in 0..2 {
        world.lose(CloseCause::Closed);
        let _ = world.pass_to_deadline();
        world.expect_dials(&[ASK]);
        world.name_fails(SERVICE, no_answer());
        world.expect_dials(&["resolve a:7"]);
        assert_eq!(world.pass_to_deadline(), 5 * SECOND);
        world.expect_dials(&["abandon a:7", "dial 10.0.0.9:7"]);
        world.accept("10.0.0.9:7");
    }
    world.lose(CloseCause::Closed);
    let _ = world.pass_to_deadline();
    let _ = world.dials();
    world.name_fails(SERVICE, no_answer());
    world.expect_dials(&["resolve a:7"]);
    world.resolve_fails("a:7", io::Error::other("SERVFAIL"));
    world.expect_dials(&["dial 10.0.0.9:7"]);
    world.refuse("10.0.0.9:7");
    world.expect_dials(&["resolve b:7"]);
    world.resolve_fails("b:7", io::Error::other("SERVFAIL"));
    world.expect_dials(&[]);
}

#[test]
fn addresses_that_come_too_late_are_not_taken_for_those_of_the_next_target() {
    let mut world = world();
    let _ = world.dials();
    world.name(SERVICE, &[(0, 0, "a", 7), (1, 0, "b", 7)]);
    world.expect_dials(&["resolve a:7"]);
    let _ = world.pass_to_deadline();
    world.expect_dials(&["abandon a:7", "resolve b:7"]);
    world.resolve("a:7", &["10.0.0.9:7"]);
    world.resolve_fails("b:7", io::Error::other("SERVFAIL"));
    let _ = world.pass_to_deadline();
    world.expect_dials(&[ASK]);
    world.name_fails(SERVICE, no_answer());
    for host in ["a:7", "b:7"] {
        assert_eq!(world.dials(), [format!("resolve {host}")]);
        world.resolve_fails(host, io::Error::other("SERVFAIL"));
    }
    world.expect_dials(&[]);
}
