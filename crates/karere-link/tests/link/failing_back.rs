//! Back to a better server once it answers again.

use karere_link::Use;
use karere_proto::{
    Publish, QoS,
    session::{Cause, CloseCause},
};

use crate::world::{SECOND, World, policy};

const FIRST: &str = "10.0.0.1:1883";
const SECOND_BEST: &str = "10.0.0.2:1883";
const AFTER: u32 = 300;

/// On the second server, because the first one did not answer.
fn on_the_second() -> World {
    let mut world = World::pair();
    world.connect();
    let _ = world.dials();
    world.refuse(FIRST);
    world.connected(SECOND_BEST);
    world
}

/// The better server has answered.
fn answered() -> World {
    let mut world = on_the_second();
    world.pass(AFTER * SECOND);
    world.expect_dials(&["dial 10.0.0.1:1883"]);
    assert_eq!(world.take(FIRST), Use::None, "only to see whether it answers");
    world.exchange();
    world
}

#[test]
fn a_better_server_that_answers_again_gets_the_client_back() {
    let mut world = on_the_second();
    assert_eq!(world.link.poll_timeout(), Some(world.now + AFTER * SECOND));
    world.pass(AFTER * SECOND - SECOND);
    world.expect_dials(&[]);
    world.pass(SECOND);
    world.expect_dials(&["dial 10.0.0.1:1883"]);
    assert!(world.session.is_connected(), "until it answers, nothing changes");
    assert_eq!(world.take(FIRST), Use::None);
    world.exchange();
    assert_eq!(world.sent(), b"\xE0\x00", "a normal end: no will");
    assert_eq!(world.lose(CloseCause::Closed), Cause::Moving);
    world.expect_dials(&["dial 10.0.0.1:1883"]);
    world.accept(FIRST);
    assert_eq!(world.link.poll_timeout(), None, "there is no better one");
}

#[test]
fn a_better_server_that_does_not_answer_is_asked_again_later() {
    let mut world = on_the_second();
    for _ in 0..3 {
        world.pass(AFTER * SECOND);
        world.expect_dials(&["dial 10.0.0.1:1883"]);
        world.refuse(FIRST);
        assert!(world.session.is_connected());
        assert_eq!(world.link.poll_timeout(), Some(world.now + AFTER * SECOND));
    }
    world.pass(AFTER * SECOND);
    let _ = world.dials();
    world.pass(5 * SECOND); // silence is no answer either
    world.expect_dials(&["abandon 10.0.0.1:1883"]);
    assert!(world.session.is_connected());
    world.pass(AFTER * SECOND);
    world.expect_dials(&["dial 10.0.0.1:1883"]);
}

#[test]
fn the_move_waits_for_what_is_in_flight_and_holds_back_what_is_new() {
    let mut world = on_the_second();
    let message = |payload: &'static str| Publish::new("t", payload).expect("legal").qos(QoS::AtLeastOnce);
    world.session.publish(world.now, message("one")).expect("taken");
    world.exchange();
    assert!(!world.sent().is_empty());
    world.pass(AFTER * SECOND);
    let _ = world.dials();
    let _ = world.take(FIRST);
    world.exchange();
    world.session.publish(world.now, message("two")).expect("taken");
    world.exchange();
    assert!(world.sent().is_empty(), "neither DISCONNECT nor the new message");
    world.receive(b"\x40\x02\x00\x01");
    assert_eq!(world.sent(), b"\xE0\x00");
    assert_eq!(world.lose(CloseCause::Closed), Cause::Moving);
    world.connected(FIRST);
    assert_eq!(world.session.in_flight(), 1, "the second message");
}

#[test]
fn a_session_that_is_never_quiet_stays_and_is_asked_again() {
    let mut world = on_the_second();
    let message = Publish::new("t", "one").expect("legal").qos(QoS::AtLeastOnce);
    world.session.publish(world.now, message).expect("taken");
    world.exchange();
    let _ = world.sent();
    world.pass(AFTER * SECOND);
    let _ = world.dials();
    let _ = world.take(FIRST);
    world.exchange();
    world.pass(10 * SECOND);
    assert!(world.session.is_connected() && world.session.close_request().is_none());
    world.receive(b"\x40\x02\x00\x01");
    assert!(world.session.close_request().is_none(), "it was put off");
    assert_eq!(world.link.poll_timeout(), Some(world.now + AFTER * SECOND));
}

#[test]
fn a_connection_that_is_lost_meanwhile_ends_the_search() {
    let mut world = on_the_second();
    world.pass(AFTER * SECOND);
    world.expect_dials(&["dial 10.0.0.1:1883"]);
    world.lose(CloseCause::Closed);
    world.expect_dials(&["abandon 10.0.0.1:1883"]);
    assert_eq!(world.take(FIRST), Use::None);
    assert_eq!(world.wait(), SECOND);
}

#[test]
fn the_application_may_leave_while_the_client_is_about_to_move() {
    let mut world = answered();
    world.session.disconnect(karere_proto::packet::Disconnect::NORMAL).expect("may be said");
    world.exchange();
    let cause = world.lose(CloseCause::Closed);
    assert!(matches!(cause, Cause::Moving | Cause::Requested));
}

#[test]
fn who_does_not_want_it_stays() {
    let mut policy = policy();
    policy.fail_back = None;
    let mut world = World::new(&["mqtt://10.0.0.1", "mqtt://10.0.0.2"], policy);
    world.connect();
    let _ = world.dials();
    world.refuse(FIRST);
    world.connected(SECOND_BEST);
    assert_eq!(world.link.poll_timeout(), None);
}

#[test]
fn the_best_server_is_never_left() {
    let mut world = World::pair();
    world.connect();
    world.connected(FIRST);
    assert_eq!(world.link.poll_timeout(), None);
}
