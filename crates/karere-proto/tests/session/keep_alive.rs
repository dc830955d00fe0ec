//! Keep alive on virtual time: what counts as life, and for whom.

use std::time::Duration;

use karere_proto::{
    PropertyId, Value, Version,
    session::{Cause, Config},
};

use super::kit::*;

const MILLISECOND: Duration = Duration::from_millis(1);

fn every(seconds: u16, version: Version) -> Config {
    let mut config = config(version);
    config.connect.keep_alive = seconds;
    config
}

fn pingreq_is_sent_within_the_keep_alive_and_not_much_earlier(version: Version) {
    let mut talk = Talk::connected_with(every(60, version));
    talk.passes(SECOND * 50);
    talk.client_says([]);
    talk.passes(SECOND * 10);
    talk.client_says(["PINGREQ"]);
    talk.server_says("PINGRESP");
    talk.told([]);
    talk.passes(SECOND * 50);
    talk.client_says([]);
}

fn received_packets_do_not_spare_pingreq(version: Version) {
    let mut talk = Talk::connected_with(every(10, version));
    for _ in 0..10 {
        talk.passes(SECOND);
        talk.server_says("PUBLISH q0 a");
    }
    talk.client_says(["PINGREQ"]);
}

fn sent_packets_spare_pingreq(version: Version) {
    let mut talk = Talk::connected_with(every(10, version));
    for _ in 0..20 {
        talk.passes(SECOND * 5);
        talk.publishes("a", Q0);
        talk.client_says(["PUBLISH q0 a"]);
    }
}

/// Whatever is sent and however long CONNACK takes: no gap between two packets is longer than the keep alive.
fn gap_between_packets_never_exceeds_the_keep_alive(version: Version) {
    for seed in 0..50 {
        let mut dice = Dice(seed);
        let keep_alive = SECOND * 10;
        let mut talk = Talk::new(every(10, version));
        talk.opens();
        let mut last_sent = talk.now;
        let connack_after = MILLISECOND * dice.below(9_900) as u32;
        talk.passes(connack_after);
        talk.server_says("CONNACK");
        let mut half_written = None;
        for _ in 0..2_000 {
            talk.passes(MILLISECOND * 50);
            match dice.below(300) {
                0..3 => {
                    talk.publishes("a", Q0);
                }
                3..10 => talk.server_says("PUBLISH q0 x"),
                // The socket takes half a packet and stalls for a while, less than would be the end.
                10 if half_written.is_none() => {
                    talk.publishes("half", Q0);
                    talk.transport_takes(1);
                    half_written = Some(talk.now + MILLISECOND * dice.below(3_000) as u32);
                }
                _ => {}
            }
            if half_written.is_some_and(|until| talk.now < until) {
                last_sent = talk.now; // a packet is being written
                continue;
            }
            half_written = None;
            let packets = talk.sent();
            if !packets.is_empty() {
                assert!(talk.now - last_sent <= keep_alive, "seed {seed}: {:?}", talk.now - last_sent);
                last_sent = talk.now;
            }
            assert!(talk.now - last_sent <= keep_alive, "seed {seed}: silent for {:?}", talk.now - last_sent);
            if packets.iter().any(|packet| line(packet) == "PINGREQ") {
                talk.server_says("PINGRESP");
            }
        }
        assert!(talk.session.is_connected(), "seed {seed}");
    }
}

fn slow_connack_counts_towards_the_first_interval(version: Version) {
    let mut talk = Talk::new(every(12, version));
    talk.opens();
    talk.passes(SECOND * 9);
    talk.server_says("CONNACK");
    talk.passes(SECOND * 3);
    talk.client_says(["PINGREQ"]);
}

fn packet_being_written_spares_pingreq_and_counts_from_its_end(version: Version) {
    let mut talk = Talk::connected_with(every(10, version));
    talk.passes(SECOND * 5);
    talk.publishes("a", Q0);
    talk.transport_takes(1);
    talk.server_says("PUBLISH q0 x");
    talk.passes(SECOND * 8); // a PINGREQ would have been due
    talk.client_says(["PUBLISH q0 a"]);
    talk.passes(SECOND * 9);
    talk.client_says([]);
    talk.passes(SECOND);
    talk.client_says(["PINGREQ"]);
}

fn overdue_pingresp_closes_without_disconnect(version: Version) {
    let mut talk = Talk::connected_with(every(60, version));
    talk.passes(SECOND * 60);
    talk.client_says(["PINGREQ"]);
    talk.passes(SECOND * 20);
    assert!(talk.session.close_request().is_none());
    talk.passes(SECOND * 10);
    talk.client_says([]);
    assert_eq!(talk.close(), Cause::KeepAliveTimeout);
}

fn patience_is_never_longer_than_the_keep_alive(version: Version) {
    let mut talk = Talk::connected_with(every(4, version));
    talk.passes(SECOND * 4);
    talk.client_says(["PINGREQ"]);
    talk.passes(SECOND * 4);
    assert_eq!(talk.close(), Cause::KeepAliveTimeout);
}

fn any_byte_of_the_server_counts_as_life(version: Version) {
    let mut talk = Talk::connected_with(every(60, version));
    talk.passes(SECOND * 60);
    talk.client_says(["PINGREQ"]);
    for _ in 0..10 {
        talk.passes(SECOND * 20);
        talk.server_sends_bytes(&[]);
        talk.server_says("PUBLISH q0 a");
        talk.sent();
    }
    assert!(talk.session.is_connected());
    talk.server_sends_bytes(&[0x30]); // half a packet
    talk.passes(SECOND * 29);
    assert!(talk.session.close_request().is_none());
    talk.passes(SECOND * 2);
    assert_eq!(talk.close(), Cause::KeepAliveTimeout);
}

fn transport_that_takes_nothing_ends_too(version: Version) {
    let mut talk = Talk::connected_with(every(10, version));
    talk.publishes("a", Q1);
    talk.passes(SECOND * 60);
    assert_eq!(talk.close(), Cause::KeepAliveTimeout);
}

fn keep_alive_0_is_off(version: Version) {
    let mut talk = Talk::connected_with(every(0, version));
    assert_eq!(talk.session.poll_timeout(), None);
    talk.passes(SECOND * 1_000_000);
    talk.client_says([]);
    assert!(talk.session.is_connected());
}

fn unasked_pingresp_is_ignored(version: Version) {
    let mut talk = Talk::connected(version);
    talk.server_says("PINGRESP");
    talk.client_says([]);
    talk.told([]);
    assert!(talk.session.is_connected());
}

#[test]
fn server_keep_alive_replaces_the_own_one() {
    for (own, servers) in [(60, 10), (10, 60)] {
        let mut talk =
            Talk::connected_to(every(own, Version::V5), [(PropertyId::ServerKeepAlive, Value::U16(servers))]);
        assert_eq!(talk.session.negotiated().keep_alive, SECOND * u32::from(servers));
        talk.passes(SECOND * u32::from(servers) * 9 / 10);
        talk.client_says([]);
        talk.passes(SECOND * u32::from(servers) / 10);
        talk.client_says(["PINGREQ"]);
    }
}

#[test]
fn server_keep_alive_0_turns_it_off_and_any_other_on() {
    let mut talk = Talk::connected_to(every(10, Version::V5), [(PropertyId::ServerKeepAlive, Value::U16(0))]);
    talk.passes(SECOND * 1000);
    talk.client_says([]);
    assert!(talk.session.is_connected());
    let mut talk = Talk::connected_to(every(0, Version::V5), [(PropertyId::ServerKeepAlive, Value::U16(5))]);
    talk.passes(SECOND * 5);
    talk.client_says(["PINGREQ"]);
}

fn timers_end_with_the_connection(version: Version) {
    let mut talk = Talk::connected(version);
    talk.drops_connection();
    assert_eq!(talk.session.poll_timeout(), None);
    talk.opens();
    talk.drops_connection();
    assert_eq!(talk.session.poll_timeout(), None);
    talk.opens();
    talk.server_says("CONNACK 0x88");
    assert_eq!(talk.session.poll_timeout(), None);
}

every_version! {
    any_byte_of_the_server_counts_as_life,
    gap_between_packets_never_exceeds_the_keep_alive,
    keep_alive_0_is_off,
    overdue_pingresp_closes_without_disconnect,
    packet_being_written_spares_pingreq_and_counts_from_its_end,
    patience_is_never_longer_than_the_keep_alive,
    pingreq_is_sent_within_the_keep_alive_and_not_much_earlier,
    received_packets_do_not_spare_pingreq,
    sent_packets_spare_pingreq,
    slow_connack_counts_towards_the_first_interval,
    timers_end_with_the_connection,
    transport_that_takes_nothing_ends_too,
    unasked_pingresp_is_ignored,
}
