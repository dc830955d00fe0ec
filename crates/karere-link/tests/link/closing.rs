//! The end of a connection: last bytes, shutting, lingering.

use karere_link::{Close, Resting};
use karere_proto::{
    packet::Disconnect,
    session::{Cause, CloseCause},
};

use crate::world::{SECOND, World, policy};

const HERE: &str = "10.0.0.1:1883";

fn connected() -> World {
    let mut world = World::direct(policy());
    world.connect();
    world.connected(HERE);
    world
}

#[test]
fn last_bytes_leave_before_the_socket_is_shut_and_the_server_gets_time_to_close() {
    let mut world = connected();
    world.session.disconnect(Disconnect::NORMAL).expect("may be said");
    assert_eq!(world.link.poll_close(world.now), None);
    world.link.exchange(world.now, &mut world.session);
    assert_eq!(world.link.poll_close(world.now), None, "DISCONNECT has not left");
    assert_eq!(world.sent().len(), 2);
    assert_eq!(world.link.poll_close(world.now), Some(Close::ShutWrite));
    assert_eq!(world.link.poll_close(world.now), None);
    world.receive(b"\x30\x04\x00\x01a\x00"); // what comes now is of no interest
    assert_eq!(world.pass_to_deadline(), SECOND);
    assert_eq!(world.link.poll_close(world.now), Some(Close::Drop));
    assert_eq!(world.lose(CloseCause::Abandoned), Cause::Requested);
    assert_eq!(world.resting(), Resting::Requested);
}

#[test]
fn socket_that_takes_nothing_is_dropped_after_the_linger_time() {
    let mut world = connected();
    world.session.disconnect(Disconnect::NORMAL).expect("may be said");
    world.link.exchange(world.now, &mut world.session);
    assert!(world.link.wants_write());
    assert_eq!(world.pass_to_deadline(), SECOND);
    assert_eq!(world.link.poll_close(world.now), Some(Close::Drop));
}

#[test]
fn refusal_is_dropped_at_once_and_waited_upon() {
    let mut world = World::direct(policy());
    world.connect();
    let _ = world.dials();
    let _ = world.open(HERE);
    world.refused(0x80); // checks that the socket is dropped at once: nothing is left to say
    assert_eq!(world.wait(), SECOND);
}
