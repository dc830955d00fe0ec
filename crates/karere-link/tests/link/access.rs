//! The application is asked before each attempt where to go and who to be.

use karere_link::{Credentials, Event, Refresh, Server};
use karere_proto::Utf8String;

use crate::world::{SECOND, World, policy};

fn asking(urls: &[&str]) -> World {
    let mut policy = policy();
    policy.refresh = Refresh::EachAttempt;
    let mut world = World::new(urls, policy);
    world.connect();
    world
}

fn token(token: &'static str) -> impl FnOnce(&mut Server) -> Result<(), String> {
    move |server| {
        server.credentials = Some(Credentials::new(Utf8String::new("me").ok(), Some(token.into())));
        Ok(())
    }
}

#[test]
fn each_attempt_asks_and_uses_what_it_is_told() {
    let mut world = asking(&["mqtt://10.0.0.1"]);
    for (password, end) in [("t1", b"\0\x02t1"), ("t2", b"\0\x02t2")] {
        world.expect_dials(&["ask about 10.0.0.1:1883"]);
        world.answer(token(password));
        world.expect_dials(&["dial 10.0.0.1:1883"]);
        let connect = world.open("10.0.0.1:1883");
        assert!(connect.ends_with(end), "{connect:?}");
        world.refused(0x80);
        let _ = world.pass_to_deadline();
    }
}

#[test]
fn the_answer_may_name_another_place() {
    let mut world = asking(&["mqtt://10.0.0.1"]);
    let _ = world.dials();
    world.answer(|server| {
        *server = Server::parse("mqtt://10.0.0.9:7").expect("legal");
        Ok(())
    });
    world.expect_dials(&["dial 10.0.0.9:7"]);
    assert!(matches!(world.events().as_slice(), [Event::Attempting(at)] if at.to_string() == "10.0.0.9:7"));
}

#[test]
fn an_application_that_cannot_say_has_failed_the_attempt() {
    let mut world = asking(&["mqtt://10.0.0.1", "mqtt://10.0.0.2"]);
    let _ = world.dials();
    world.answer(|_| Err("no token".to_owned()));
    let events = world.events();
    assert!(matches!(&events[..], [Event::Failed(error)] if error.to_string().contains("no token")), "{events:?}");
    world.expect_dials(&["ask about 10.0.0.2:1883"]);
    assert_eq!(world.pass_to_deadline(), 30 * SECOND);
    world.answer(token("too late"));
    world.expect_dials(&["abandon 10.0.0.2:1883"]);
    assert_eq!(world.wait(), SECOND);
}

#[test]
fn credentials_that_cannot_be_said_fail_the_attempt_and_drop_its_socket() {
    let mut world = asking(&["mqtt://10.0.0.1"]);
    let _ = world.dials();
    world.answer(|server| {
        server.credentials = Some(Credentials::new(None, Some(vec![0; 65_536].into())));
        Ok(())
    });
    let _ = world.dials();
    let _ = world.take("10.0.0.1:1883");
    world.exchange();
    world.expect_dials(&["abandon 10.0.0.1:1883"]);
    assert!(world.sent().is_empty() && world.session.is_offline());
    assert_eq!(world.wait(), SECOND);
}

#[test]
fn stopping_does_not_wait_for_the_answer() {
    let mut world = asking(&["mqtt://10.0.0.1"]);
    let _ = world.dials();
    world.link.stop();
    assert!(world.link.is_idle());
    world.answer(token("x"));
    world.expect_dials(&["abandon 10.0.0.1:1883"]);
}
