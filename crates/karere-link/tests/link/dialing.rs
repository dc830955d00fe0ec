//! Names and addresses, one server.

use std::io;

use karere_link::{DialProblem, Event, Server, Use};

use crate::world::{SECOND, World, policy};

#[test]
fn addresses_that_refuse_give_way_to_the_next_at_once() {
    let mut world = World::named();
    assert!(world.link.is_idle() && world.dials().is_empty() && world.link.poll_timeout().is_none());
    world.connect();
    world.connect(); // changes nothing
    world.expect_dials(&["resolve broker:1883"]);
    world.resolve("broker:1883", &["10.0.0.1:1883", "10.0.0.2:1883", "10.0.0.3:1883"]);
    world.expect_dials(&["dial 10.0.0.1:1883"]);
    world.refuse("10.0.0.1:1883");
    world.expect_dials(&["dial 10.0.0.2:1883"]);
    world.refuse("10.0.0.2:1883");
    world.expect_dials(&["dial 10.0.0.3:1883"]);
    let _ = world.open("10.0.0.3:1883");
    assert!(matches!(world.events().as_slice(), [Event::Attempting(_)]), "nothing has failed");
}

#[test]
fn attempt_has_failed_when_no_address_takes_it_and_the_error_names_each() {
    let mut world = World::named();
    world.connect();
    let _ = world.dials();
    world.resolve("broker:1883", &["10.0.0.1:1883", "10.0.0.2:1883"]);
    let _ = world.dials();
    world.refuse("10.0.0.1:1883");
    world.expect_dials(&["dial 10.0.0.2:1883"]);
    assert_eq!(world.pass_to_deadline(), 5 * SECOND, "an address has the whole time");
    world.expect_dials(&["abandon 10.0.0.2:1883"]);
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
fn name_that_is_not_resolved_in_time_or_not_at_all_is_a_failure() {
    let problem = |world: &mut World| {
        let failed = |event| if let Event::Failed(error) = event { Some(error.to_string()) } else { None };
        world.events().into_iter().find_map(failed).expect("a failure")
    };
    let mut world = World::named();
    world.connect();
    let _ = world.dials();
    assert_eq!(world.pass_to_deadline(), 5 * SECOND);
    world.expect_dials(&["abandon broker:1883"]);
    world.resolve("broker:1883", &["10.0.0.1:1883"]); // too late
    world.expect_dials(&[]);
    assert!(problem(&mut world).contains("name server did not answer in time"));

    world.connect();
    let _ = world.dials();
    world.resolve("broker:1883", &[]);
    assert!(problem(&mut world).contains("no address"));
    world.connect();
    let _ = world.dials();
    world.resolve_fails("broker:1883", io::Error::other("no such name"));
    assert!(problem(&mut world).contains("no such name"));
}

#[test]
fn addresses_of_the_name_before_do_not_answer_for_the_new_one() {
    let mut world = World::named();
    world.connect();
    let _ = world.dials();
    world.link.stop();
    world.link.set_servers(vec![Server::parse("mqtt://other:1").expect("legal")]);
    world.connect();
    world.resolve("broker:1883", &["10.0.0.1:1883"]);
    world.expect_dials(&["abandon broker:1883", "resolve other:1"]);
}

#[test]
fn numbers_and_paths_are_dialed_as_they_are() {
    for (url, line) in [
        ("mqtt://10.0.0.1", "dial 10.0.0.1:1883"),
        ("mqtt://[::1]:7", "dial [::1]:7"),
        ("unix:///run/broker", "dial /run/broker"),
    ] {
        let mut world = World::new(&[url], policy());
        world.connect();
        world.expect_dials(&[line]);
    }
}

#[test]
fn an_attempt_that_was_given_up_is_abandoned_and_its_late_success_not_used() {
    let mut world = World::direct(policy());
    world.connect();
    world.expect_dials(&["dial 10.0.0.1:1883"]);
    world.link.stop();
    world.expect_dials(&["abandon 10.0.0.1:1883"]);
    assert_eq!(world.take("10.0.0.1:1883"), Use::None);
    assert!(world.link.is_idle() && world.link.poll_timeout().is_none());
    world.pass(1000 * SECOND);
    world.expect_dials(&[]);
}

#[test]
fn an_order_that_nobody_has_seen_is_taken_back_without_a_word() {
    let mut world = World::direct(policy());
    world.connect();
    world.link.stop();
    world.expect_dials(&[]);
}
