//! Server References (§4.11).

use karere_link::Redirect;
use karere_proto::session::CloseCause;

use crate::world::{SECOND, World, policy};

fn following(redirect: Redirect) -> World {
    let mut policy = policy();
    policy.redirect = redirect;
    World::new(&["mqtt://me:secret@10.0.0.1", "mqtt://10.0.0.2"], policy)
}

fn refused_with(redirect: Redirect, reason: u8, reference: &str) -> World {
    let mut world = following(redirect);
    world.connect();
    world.expect_dials(&["dial 10.0.0.1:1883"]);
    let _ = world.open("10.0.0.1:1883");
    world.refers(reason, reference);
    world
}

#[test]
fn a_reference_in_connack_is_followed_at_once_with_the_same_credentials() {
    for reason in [0x9C, 0x9D] {
        let mut world = refused_with(Redirect::Once, reason, "10.0.0.7:2000");
        world.expect_dials(&["dial 10.0.0.7:2000"]);
        let connect = world.open("10.0.0.7:2000");
        assert!(connect.ends_with(b"\0\x02me\0\x06secret"), "{connect:?}");
    }
}

#[test]
fn a_reference_in_disconnect_is_followed_at_once() {
    let mut world = following(Redirect::Once);
    world.connect();
    world.connected("10.0.0.1:1883");
    world.sent_away(0x9C, "10.0.0.7");
    world.expect_dials(&["dial 10.0.0.7:1883"]);
    world.accept("10.0.0.7:1883");
}

#[test]
fn all_references_are_tried_in_order_and_after_them_the_other_servers() {
    let mut world = refused_with(Redirect::Once, 0x9C, "10.0.0.7 [::7]:5 10.0.0.8");
    for (line, address) in [
        ("dial 10.0.0.7:1883", "10.0.0.7:1883"),
        ("dial [::7]:5", "[::7]:5"),
        ("dial 10.0.0.8:1883", "10.0.0.8:1883"),
        ("dial 10.0.0.2:1883", "10.0.0.2:1883"),
    ] {
        world.expect_dials(&[line]);
        world.refuse(address);
    }
    assert_eq!(world.wait(), SECOND);
}

#[test]
fn a_reference_is_for_one_connection_unless_it_is_remembered() {
    for (redirect, reason, next) in [
        (Redirect::Once, 0x9D, "dial 10.0.0.1:1883"),
        (Redirect::Remember, 0x9C, "dial 10.0.0.1:1883"),
        (Redirect::Remember, 0x9D, "dial 10.0.0.7:1883"),
    ] {
        let mut world = refused_with(redirect, reason, "10.0.0.7");
        world.connected("10.0.0.7:1883");
        world.lose(CloseCause::Closed);
        let _ = world.pass_to_deadline();
        world.expect_dials(&[next]);
    }
}

#[test]
fn a_server_that_has_moved_is_still_tried_at_its_old_place_when_the_new_one_fails() {
    let mut world = refused_with(Redirect::Remember, 0x9D, "10.0.0.7");
    world.connected("10.0.0.7:1883");
    world.lose(CloseCause::Closed);
    let _ = world.pass_to_deadline();
    world.expect_dials(&["dial 10.0.0.7:1883"]);
    world.refuse("10.0.0.7:1883");
    world.expect_dials(&["dial 10.0.0.1:1883"]);
}

#[test]
fn references_are_not_followed_when_that_is_the_policy() {
    let mut world = refused_with(Redirect::Never, 0x9C, "10.0.0.7");
    world.expect_dials(&["dial 10.0.0.2:1883"]);
}

#[test]
fn without_a_reference_the_client_goes_by_what_it_knows() {
    let mut world = following(Redirect::Once);
    world.connect();
    let _ = world.dials();
    let _ = world.open("10.0.0.1:1883");
    world.refused(0x9D);
    world.expect_dials(&["dial 10.0.0.2:1883"]);
    world.accept("10.0.0.2:1883");
    world.pass(10 * SECOND);
    world.thrown_out(0x9C);
    world.expect_dials(&["dial 10.0.0.1:1883"]);
}

#[test]
fn references_in_a_circle_end_in_a_wait() {
    let mut world = World::direct(policy());
    world.connect();
    let mut hops = 0;
    while let Some(line) = world.dials().pop() {
        let address = line.trim_start_matches("dial ").to_owned();
        let _ = world.open(&address);
        world.refers(0x9C, if address == "10.0.0.1:1883" { "10.0.0.2" } else { "10.0.0.1" });
        hops += 1;
        assert!(hops < 10, "round and round");
    }
    assert_eq!(hops, 2);
    assert_eq!(world.wait(), SECOND);
}

#[test]
fn servers_that_accept_and_send_each_other_the_client_are_left_too() {
    let mut world = World::direct(policy());
    world.connect();
    let mut hops = 0;
    while let Some(line) = world.dials().pop() {
        let address = line.trim_start_matches("dial ").to_owned();
        world.accept(&address);
        world.pass(SECOND);
        world.sent_away(0x9C, if address == "10.0.0.1:1883" { "10.0.0.2" } else { "10.0.0.1" });
        hops += 1;
        assert!(hops < 10, "round and round");
    }
    assert_eq!(hops, 2);
    assert_eq!(world.wait(), SECOND);
}

#[test]
fn after_a_stable_connection_a_reference_may_lead_back() {
    let mut world = World::direct(policy());
    world.connect();
    world.connected("10.0.0.1:1883");
    for (from, to) in [(1, 2), (2, 1), (1, 2)] {
        world.pass(10 * SECOND);
        world.sent_away(0x9C, &format!("10.0.0.{to}"));
        world.connected(&format!("10.0.0.{to}:1883"));
        assert_ne!(from, to);
    }
}

#[test]
fn a_server_does_not_choose_sockets_of_this_machine() {
    let mut world = refused_with(Redirect::Once, 0x9C, "unix:///run/other");
    world.expect_dials(&["dial 10.0.0.2:1883"]);
}
