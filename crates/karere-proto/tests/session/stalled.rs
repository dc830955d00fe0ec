//! A server that answers PINGREQ but acknowledges nothing.

use std::time::Duration;

use karere_proto::{Version, session::Cause};

use super::kit::*;

const PATIENCE: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_secs(5);

fn patient(version: Version) -> Talk {
    let mut config = config(version);
    config.ack_timeout = Some(PATIENCE);
    config.connect.keep_alive = 0;
    Talk::connected_with(config)
}

fn a_server_that_acknowledges_nothing_is_left_and_everything_sent_again(version: Version) {
    let mut talk = patient(version);
    talk.publishes("a", Q1);
    talk.client_says(["PUBLISH q1 1 a"]);
    talk.passes(PATIENCE - STEP);
    assert!(talk.session.is_connected());
    talk.passes(2 * STEP);
    assert_eq!(talk.close(), Cause::AckTimeout);
    talk.opens();
    talk.server_says(if version == Version::V31 { "CONNACK" } else { "CONNACK present" });
    talk.client_says(["PUBLISH q1 1 dup a"]);
}

fn any_acknowledgement_is_progress(version: Version) {
    let mut talk = patient(version);
    for number in 1..=8u16 {
        talk.publishes("a", Q1);
        talk.passes(PATIENCE - STEP);
        talk.server_says(&format!("PUBACK {number}"));
    }
    assert!(talk.session.is_connected());
}

fn a_client_that_waits_for_nothing_is_left_alone(version: Version) {
    let mut talk = patient(version);
    talk.passes(10 * PATIENCE);
    talk.publishes("a", Q1);
    talk.passes(PATIENCE - STEP);
    assert!(talk.session.is_connected(), "patience begins when something begins to wait");
    talk.passes(2 * STEP);
    assert_eq!(talk.close(), Cause::AckTimeout);
}

every_version! {
    a_client_that_waits_for_nothing_is_left_alone,
    a_server_that_acknowledges_nothing_is_left_and_everything_sent_again,
    any_acknowledgement_is_progress,
}
