//! A server that does not speak the version is asked in a lower one.

use karere_link::{Event, Resting};
use karere_proto::{
    Version,
    session::{Cause, CloseCause},
};

use crate::world::{World, policy};

#[test]
fn a_server_of_an_older_version_is_asked_again_at_once() {
    let mut world = World::direct(policy());
    world.fall_back();
    world.connect();
    for version in ["MQTT\x05", "MQTT\x04", "MQIsdp\x03"] {
        world.expect_dials(&["dial 10.0.0.1:1883"]);
        let connect = world.open("10.0.0.1:1883");
        let said = connect.windows(version.len()).any(|window| window == version.as_bytes());
        assert!(said, "{version:?}: {connect:?}");
        if !version.starts_with("MQI") {
            world.receive(b"\x20\x02\x00\x01");
            assert!(matches!(world.lose(CloseCause::Closed), Cause::OtherVersion { .. }));
        }
    }
    world.receive(b"\x20\x02\x00\x00");
    assert!(world.session.is_connected());
    assert_eq!(world.session.negotiated().version, Version::V31);
    let only_attempts = world.events().iter().all(|event| matches!(event, Event::Attempting(_)));
    assert!(only_attempts, "no wait, no failure");
}

#[test]
fn without_fall_back_the_refusal_stands() {
    let mut world = World::direct(policy());
    world.connect();
    let _ = world.dials();
    let _ = world.open("10.0.0.1:1883");
    world.receive(b"\x20\x02\x00\x01");
    assert!(matches!(world.lose(CloseCause::Closed), Cause::Refused(_)));
    assert_eq!(world.resting(), Resting::Unacceptable);
}
