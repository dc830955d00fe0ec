//! The application connects sockets in place of the driver.

use std::io;

use karere_link::{Connector, Event, OwnedSocket, Policy, Proxies, Proxy, Refresh, Rng, Server, Use, Ways};
use karere_proto::session::CloseCause;

use crate::world::{SECOND, World, policy, servers};

const OBTAIN: &str = "obtain broker:1883";

fn ways() -> Ways {
    let mut ways = Ways::default();
    ways.connector = Some(Connector::new(|_| Err::<OwnedSocket, _>("nobody calls it here")));
    ways
}

fn world_with(urls: &[&str], policy: Policy) -> World {
    let mut world = World::by(servers(urls), ways(), policy, Rng::new(7));
    world.connect();
    world
}

fn world(urls: &[&str]) -> World {
    world_with(urls, policy())
}

#[test]
fn a_socket_is_obtained_for_a_name_that_nobody_resolves_and_again_after_a_loss() {
    let mut world = world(&["mqtt://broker"]);
    for _ in 0..3 {
        world.expect_dials(&[OBTAIN]);
        assert!(matches!(world.events().last(), Some(Event::Attempting(at)) if at.to_string() == "broker:1883"));
        world.accept("broker:1883");
        world.lose(CloseCause::Closed);
        let _ = world.pass_to_deadline();
    }
}

#[test]
fn a_connector_that_fails_is_named_and_asked_again_after_the_wait() {
    let mut world = world(&["mqtt://broker"]);
    world.expect_dials(&[OBTAIN]);
    let error = io::Error::new(io::ErrorKind::HostUnreachable, "no tunnel");
    let attempt = world.attempt("broker:1883");
    assert_eq!(world.link.handle_dialed(world.now, attempt, Err(error)), Use::None);
    let events = world.events();
    let [.., Event::Failed(error), Event::Waiting(SECOND)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(error.to_string(), "cannot connect to broker:1883: the application's connector: no tunnel");
    assert_eq!(error.io_kind(), Some(io::ErrorKind::HostUnreachable));
    world.expect_dials(&[]);
    assert_eq!(world.pass_to_deadline(), SECOND);
    world.expect_dials(&[OBTAIN]);
}

#[test]
fn a_connector_has_the_time_of_an_address_and_what_comes_later_is_not_used() {
    let mut world = world(&["mqtt://broker", "mqtt://other"]);
    world.expect_dials(&[OBTAIN]);
    assert_eq!(world.pass_to_deadline(), 5 * SECOND);
    let error = world.failure();
    assert!(error.to_string().contains("connector: it has not connected in time"), "{error}");
    assert_eq!(error.io_kind(), Some(io::ErrorKind::TimedOut));
    world.expect_dials(&["abandon broker:1883", "obtain other:1883"]);
    assert_eq!(world.take("broker:1883"), Use::None);
    world.accept("other:1883");
}

#[test]
fn a_connector_needs_no_proxy() {
    let mut ways = ways();
    ways.proxies = Proxies::all(Proxy::parse("socks5://proxy").expect("legal"));
    let mut world = World::by(servers(&["mqtt://broker"]), ways, policy(), Rng::new(7));
    world.connect();
    world.expect_dials(&[OBTAIN]);
    let _ = world.open("broker:1883");
}

#[test]
fn a_connector_is_not_asked_whether_a_better_server_answers() {
    let mut world = world(&["mqtt://broker", "mqtt://other"]);
    world.expect_dials(&[OBTAIN]);
    world.refuse("broker:1883");
    world.expect_dials(&["obtain other:1883"]);
    world.accept("other:1883");
    world.pass(1000 * SECOND);
    world.expect_dials(&[]);
}

#[test]
fn a_connector_goes_where_the_application_says_before_each_attempt() {
    let mut refreshing = policy();
    refreshing.refresh = Refresh::EachAttempt;
    let mut world = world_with(&["mqtt://broker"], refreshing);
    world.expect_dials(&["ask about broker:1883"]);
    world.answer(|server| {
        *server = Server::parse("mqtt://other:7").expect("legal");
        Ok(())
    });
    world.expect_dials(&["obtain other:7"]);
    world.accept("other:7");
}

#[test]
fn stopping_abandons_what_the_connector_does() {
    let mut world = world(&["mqtt://broker"]);
    world.expect_dials(&[OBTAIN]);
    world.link.stop();
    world.expect_dials(&["abandon broker:1883"]);
    assert_eq!(world.take("broker:1883"), Use::None);
    assert!(world.link.is_idle());
}

#[test]
fn errors_of_the_system_keep_their_kind() {
    let connector = Connector::new(|_| Err::<OwnedSocket, _>(io::Error::from(io::ErrorKind::NotFound)));
    let endpoint = Server::parse("mqtt://broker").expect("legal").endpoint;
    assert_eq!(connector.connect(&endpoint).expect_err("fails").kind(), io::ErrorKind::NotFound);
    let connector = Connector::new(|endpoint| Err::<OwnedSocket, _>(format!("no way to {endpoint}")));
    assert_eq!(connector.connect(&endpoint).expect_err("fails").to_string(), "no way to broker:1883");
}
