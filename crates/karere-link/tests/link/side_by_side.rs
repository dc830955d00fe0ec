//! Several addresses of one name, dialed one beside the other (RFC 8305).

use karere_link::Use;

use crate::world::{MS, SECOND, World, policy};

const FOUR: [&str; 4] = ["[::1]:1883", "[::2]:1883", "10.0.0.1:1883", "10.0.0.2:1883"];

fn resolved(addresses: &[&str]) -> World {
    let mut world = World::named();
    world.connect();
    world.expect_dials(&["resolve broker:1883"]);
    world.resolve("broker:1883", addresses);
    world
}

#[test]
fn address_that_does_not_answer_gets_company_after_the_delay_and_may_still_win() {
    let mut world = resolved(&["10.0.0.1:1883", "10.0.0.2:1883", "10.0.0.3:1883"]);
    world.expect_dials(&["dial 10.0.0.1:1883"]);
    assert_eq!(world.pass_to_deadline(), 250 * MS);
    world.expect_dials(&["dial 10.0.0.2:1883"]);
    let _ = world.open("10.0.0.1:1883");
    world.expect_dials(&["abandon 10.0.0.2:1883"]);
}

#[test]
fn families_take_turns_and_the_preferred_one_begins() {
    let mut world = resolved(&FOUR);
    let mut order = world.dials();
    for _ in 0..3 {
        assert_eq!(world.pass_to_deadline(), 250 * MS);
        order.extend(world.dials());
    }
    assert_eq!(order, ["dial [::1]:1883", "dial 10.0.0.1:1883", "dial [::2]:1883", "dial 10.0.0.2:1883"]);

    let mut world = resolved(&["10.0.0.1:1883", "[::1]:1883"]);
    world.expect_dials(&["dial 10.0.0.1:1883"]);
}

#[test]
fn an_address_that_comes_twice_is_dialed_once() {
    let mut world = resolved(&["10.0.0.1:1883", "10.0.0.1:1883"]);
    world.expect_dials(&["dial 10.0.0.1:1883"]);
    world.refuse("10.0.0.1:1883");
    world.expect_dials(&[]);
    assert_eq!(world.wait(), SECOND);
}

#[test]
fn a_refusal_does_not_wait_for_the_delay_and_the_next_one_has_its_own() {
    let mut world = resolved(&FOUR);
    let _ = world.dials();
    world.pass(100 * MS);
    world.refuse("[::1]:1883");
    world.expect_dials(&["dial 10.0.0.1:1883"]);
    world.pass(249 * MS);
    world.expect_dials(&[]);
    world.pass(MS);
    world.expect_dials(&["dial [::2]:1883"]);
}

#[test]
fn a_refusal_does_not_wait_for_the_delay_while_another_address_is_silent() {
    let mut world = resolved(&FOUR);
    let _ = world.dials();
    world.pass(250 * MS);
    world.expect_dials(&["dial 10.0.0.1:1883"]);
    world.pass(50 * MS);
    world.refuse("10.0.0.1:1883");
    world.expect_dials(&["dial [::2]:1883"]);
}

#[test]
fn every_address_has_its_own_time_and_the_winner_ends_all_others() {
    let mut world = resolved(&FOUR);
    let _ = world.dials();
    for _ in 0..3 {
        world.pass(250 * MS);
        let _ = world.dials();
    }
    world.pass(4250 * MS);
    world.expect_dials(&["abandon [::1]:1883"]);
    world.pass(250 * MS);
    world.expect_dials(&["abandon 10.0.0.1:1883"]);
    let _ = world.open("10.0.0.2:1883");
    world.expect_dials(&["abandon [::2]:1883"]);
    assert_eq!(world.take("[::2]:1883"), Use::None, "it came second");
}

#[test]
fn two_that_answer_at_once_leave_one_connection() {
    let mut world = resolved(&["10.0.0.1:1883", "10.0.0.2:1883"]);
    let _ = world.dials();
    world.pass(250 * MS);
    let _ = world.dials();
    let _ = world.open("10.0.0.2:1883");
    assert_eq!(world.take("10.0.0.1:1883"), Use::None);
    world.receive(b"\x20\x03\x00\x00\x00");
    assert!(world.session.is_connected());
}

#[test]
fn sockets_are_looked_at_again_while_there_are_several() {
    let mut world = resolved(&["10.0.0.1:1883", "10.0.0.2:1883"]);
    let _ = world.dials();
    world.pass(250 * MS);
    let _ = world.dials();
    // Nothing is left to dial, but a loop that watches only the newest socket must not miss that the first one answers.
    assert_eq!(world.pass_to_deadline(), 250 * MS);
    assert_eq!(world.pass_to_deadline(), 250 * MS);
}

#[test]
fn the_delay_can_be_set_and_is_never_shorter_than_the_rfc_allows() {
    for (delay, expected) in [(SECOND, SECOND), (core::time::Duration::ZERO, 10 * MS)] {
        let mut policy = policy();
        policy.attempt_delay = delay;
        let mut world = World::new(&["mqtt://broker"], policy);
        world.connect();
        let _ = world.dials();
        world.resolve("broker:1883", &FOUR);
        let _ = world.dials();
        assert_eq!(world.pass_to_deadline(), expected);
    }
}
