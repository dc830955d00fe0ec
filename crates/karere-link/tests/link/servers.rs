//! Several servers, and what their refusals mean for the next attempt.

use karere_link::{Event, Reconnect, Resting, Rng};
use karere_proto::session::CloseCause;

use crate::world::{SECOND, World, policy, servers};

const ONE: &str = "dial 10.0.0.1:1883";
const TWO: &str = "dial 10.0.0.2:1883";

#[test]
fn a_server_that_is_not_reached_gives_way_to_the_next_at_once_and_the_round_ends_with_a_wait() {
    let mut world = World::pair();
    world.connect();
    world.expect_dials(&[ONE]);
    world.refuse("10.0.0.1:1883");
    world.expect_dials(&[TWO]);
    assert!(
        matches!(world.events().as_slice(), [Event::Attempting(_), Event::Failed(_), Event::Attempting(_)]),
        "no wait between them"
    );
    world.refuse("10.0.0.2:1883");
    assert_eq!(world.wait(), SECOND);
    assert_eq!(world.pass_to_deadline(), SECOND);
    world.expect_dials(&[ONE]);
}

#[test]
fn a_server_that_is_unavailable_or_busy_gives_way_to_the_next_at_once() {
    for reason in [0x88, 0x89, 0x97, 0x9F] {
        let mut world = World::pair();
        world.connect();
        world.expect_dials(&[ONE]);
        let _ = world.open("10.0.0.1:1883");
        world.refused(reason);
        world.expect_dials(&[TWO]);
        world.accept("10.0.0.2:1883");
    }
}

#[test]
fn a_lost_connection_begins_with_the_best_server_again() {
    let mut world = World::pair();
    world.connect();
    let _ = world.dials();
    world.refuse("10.0.0.1:1883");
    world.connected("10.0.0.2:1883");
    world.lose(CloseCause::Closed);
    assert_eq!(world.wait(), SECOND);
    let _ = world.pass_to_deadline();
    world.expect_dials(&[ONE]);
}

#[test]
fn a_server_that_shuts_down_is_left_for_the_others_at_once_and_tried_last() {
    let mut world = World::pair();
    world.connect();
    world.connected("10.0.0.1:1883");
    world.thrown_out(0x8B);
    world.expect_dials(&[TWO]);
    world.refuse("10.0.0.2:1883");
    world.expect_dials(&[ONE]);
    world.refuse("10.0.0.1:1883");
    assert_eq!(world.wait(), SECOND);
}

#[test]
fn servers_that_accept_and_throw_out_in_turn_are_not_hammered() {
    let mut world = World::pair();
    world.connect();
    world.connected("10.0.0.1:1883");
    world.thrown_out(0x89);
    world.connected("10.0.0.2:1883");
    world.thrown_out(0x89);
    world.expect_dials(&[]);
    assert_eq!(world.wait(), SECOND);
    let _ = world.pass_to_deadline();
    world.connected("10.0.0.1:1883");
    world.pass(10 * SECOND);
    world.thrown_out(0x89);
    world.expect_dials(&[TWO]);
}

#[test]
fn one_that_is_alone_and_shuts_down_is_waited_for() {
    let mut world = World::direct(policy());
    world.connect();
    world.connected("10.0.0.1:1883");
    world.thrown_out(0x8B);
    assert_eq!(world.wait(), SECOND);
}

/// Hard case: bad credentials and bans are not hammered.
#[test]
fn a_server_that_denies_the_client_is_not_hammered() {
    for reason in [0x86, 0x87, 0x8A, 0x8C] {
        let mut world = World::direct(policy());
        world.connect();
        world.expect_dials(&[ONE]);
        let _ = world.open("10.0.0.1:1883");
        world.refused(reason);
        assert_eq!(world.wait(), 120 * SECOND, "{reason:#x}");
        assert_eq!(world.pass_to_deadline(), 120 * SECOND);
        world.expect_dials(&[ONE]);
    }
}

#[test]
fn denied_here_is_not_denied_there_and_the_mildest_answer_sets_the_wait() {
    let mut world = World::pair();
    world.connect();
    world.expect_dials(&[ONE]);
    let _ = world.open("10.0.0.1:1883");
    world.refused(0x86);
    world.expect_dials(&[TWO]);
    world.refuse("10.0.0.2:1883");
    assert_eq!(world.wait(), SECOND, "the second one may be back in a moment");
}

#[test]
fn a_client_that_was_thrown_out_or_replaced_does_not_come_back_at_once() {
    for reason in [0x87, 0x8E, 0x98] {
        let mut world = World::direct(policy());
        world.connect();
        world.connected("10.0.0.1:1883");
        world.thrown_out(reason);
        assert_eq!(world.wait(), 120 * SECOND, "{reason:#x}");
    }
}

#[test]
fn a_connect_that_no_server_takes_is_not_sent_again_until_the_application_asks() {
    for reason in [0x84, 0x85, 0x90, 0x95, 0x99, 0x9A, 0x9B] {
        let mut world = World::pair();
        world.connect();
        world.expect_dials(&[ONE]);
        let _ = world.open("10.0.0.1:1883");
        world.refused(reason);
        world.expect_dials(&[TWO]);
        let _ = world.open("10.0.0.2:1883");
        world.refused(reason);
        assert_eq!(world.resting(), Resting::Unacceptable, "{reason:#x}");
        world.pass(10_000 * SECOND);
        world.expect_dials(&[]);
        world.connect();
        world.expect_dials(&[ONE]);
    }
}

#[test]
fn one_server_that_may_be_back_keeps_the_hope() {
    let mut world = World::pair();
    world.connect();
    let _ = world.dials();
    let _ = world.open("10.0.0.1:1883");
    world.refused(0x9B);
    let _ = world.dials();
    world.refuse("10.0.0.2:1883");
    assert_eq!(world.wait(), SECOND);
}

#[test]
fn without_reconnecting_one_round_is_made() {
    let mut never = policy();
    never.reconnect = Reconnect::Never;
    let mut world = World::new(&["mqtt://10.0.0.1", "mqtt://10.0.0.2"], never);
    world.connect();
    world.expect_dials(&[ONE]);
    world.refuse("10.0.0.1:1883");
    world.connected("10.0.0.2:1883");
    world.thrown_out(0x8B);
    world.expect_dials(&[]);
    assert_eq!(world.resting(), Resting::Policy);
}

#[test]
fn credentials_belong_to_their_server() {
    let mut world = World::new(&["mqtt://me:a@10.0.0.1", "mqtt://you:b@10.0.0.2"], policy());
    world.connect();
    let _ = world.dials();
    let connect = world.open("10.0.0.1:1883");
    assert!(connect.ends_with(b"\0\x02me\0\x01a"), "{connect:?}");
    world.refused(0x86);
    let _ = world.dials();
    let connect = world.open("10.0.0.2:1883");
    assert!(connect.ends_with(b"\0\x03you\0\x01b"), "{connect:?}");
}

#[test]
fn equals_share_the_clients_by_weight() {
    let mut first = 0;
    for seed in 0..300 {
        let mut equals = servers(&["mqtt://10.0.0.1", "mqtt://10.0.0.2"]);
        equals[0].rank = karere_link::Rank::new(0, 10);
        equals[1].rank = karere_link::Rank::new(0, 30);
        let mut world = World::with(equals, policy(), Rng::new(seed));
        world.connect();
        first += usize::from(world.dials() == [ONE]);
    }
    assert!((50..110).contains(&first), "a quarter of 300: {first}");
}

#[test]
fn new_servers_count_from_the_next_round_on() {
    let mut world = World::pair();
    world.connect();
    world.expect_dials(&[ONE]);
    world.link.set_servers(servers(&["mqtt://10.0.0.9"]));
    world.refuse("10.0.0.1:1883");
    world.expect_dials(&[]);
    let _ = world.pass_to_deadline();
    world.expect_dials(&["dial 10.0.0.9:1883"]);
    world.link.set_servers(Vec::new());
    world.refuse("10.0.0.9:1883");
    let _ = world.pass_to_deadline();
    world.expect_dials(&["dial 10.0.0.9:1883"]);
}
