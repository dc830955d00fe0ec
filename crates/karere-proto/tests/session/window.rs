//! How much may be in flight: own limit, the server's Receive Maximum, and the ledger between them (§4.9).

use karere_proto::{PropertyId, Value, Version};

use super::kit::*;

fn own_limit_bounds_what_is_in_flight(version: Version) {
    let mut config = config(version);
    config.max_in_flight = at_most(3);
    let mut talk = Talk::connected_with(config);
    for name in ["a", "b", "c", "d", "e"] {
        talk.publishes(name, Q1);
    }
    talk.client_says(["PUBLISH q1 1 a", "PUBLISH q1 2 b", "PUBLISH q1 3 c"]);
    talk.server_says("PUBACK 2");
    talk.client_says(["PUBLISH q1 4 d"]);
    assert_eq!((talk.session.in_flight(), talk.session.queued().0), (3, 1));
}

#[test]
fn the_smaller_of_own_limit_and_receive_maximum_holds() {
    for (own, servers, holds) in [(20, 2, 2), (2, 20, 2), (3, 3, 3), (1, 65_535, 1)] {
        let mut config = config(Version::V5);
        config.max_in_flight = at_most(own);
        let mut talk = Talk::connected_to(config, [(PropertyId::ReceiveMaximum, Value::U16(servers))]);
        for _ in 0..30 {
            talk.publishes("a", Q1);
        }
        assert_eq!(talk.sent().len(), holds, "own {own}, server's {servers}");
    }
}

fn default_limit_is_20(version: Version) {
    let mut talk = Talk::connected(version);
    for _ in 0..30 {
        talk.publishes("a", Q2);
    }
    assert_eq!(talk.sent().len(), 20);
}

#[test]
fn quota_is_given_back_by_puback_pubcomp_and_failed_pubrec_only() {
    let mut talk = Talk::connected_to(config(Version::V5), [(PropertyId::ReceiveMaximum, Value::U16(1))]);
    for name in ["a", "b", "c", "d"] {
        talk.publishes(name, Q2);
    }
    talk.client_says(["PUBLISH q2 1 a"]);
    talk.server_says("PUBREC 1");
    talk.client_says(["PUBREL 1"]);
    talk.server_says("PUBREC 1");
    talk.client_says(["PUBREL 1"]);
    talk.server_says("PUBCOMP 1");
    talk.client_says(["PUBLISH q2 2 b"]);
    talk.server_says("PUBREC 2 0x80");
    talk.client_says(["PUBLISH q2 3 c"]);
    talk.server_says("PUBCOMP 9");
    talk.server_says("PUBREC 9");
    talk.server_says("PUBLISH q0 x");
    talk.client_says(["PUBREL 9 0x92"]);
    assert_eq!(talk.session.queued().0, 1);
}

#[test]
fn pubcomp_of_an_earlier_connection_gives_no_quota() {
    let mut config = config(Version::V5);
    config.max_in_flight = at_most(2);
    let mut talk = Talk::connected_with(config);
    talk.publishes("a", Q2);
    talk.publishes("b", Q2);
    talk.server_says("PUBREC 1");
    talk.server_says("PUBREC 2");
    talk.sent();
    talk.resumes();
    for name in ["c", "d", "e", "f"] {
        talk.publishes(name, Q1);
    }
    talk.client_says(["PUBREL 1", "PUBREL 2", "PUBLISH q1 3 c", "PUBLISH q1 4 d"]);
    talk.server_says("PUBCOMP 1");
    talk.server_says("PUBCOMP 2");
    talk.client_says([]);
    talk.server_says("PUBACK 3");
    talk.client_says(["PUBLISH q1 5 e"]);
}

#[test]
fn puback_before_the_message_was_sent_again_gives_no_quota() {
    let mut config = config(Version::V5);
    config.max_in_flight = at_most(3);
    let mut talk = Talk::connected_with(config);
    for name in ["a", "b", "c", "d"] {
        talk.publishes(name, Q1);
    }
    talk.sent();
    talk.drops_connection();
    talk.opens();
    talk.server_sends(&present(connack([(PropertyId::ReceiveMaximum, Value::U16(1))])));
    talk.client_says(["PUBLISH q1 1 dup a"]);
    talk.server_says("PUBACK 2");
    talk.client_says([]);
    talk.server_says("PUBACK 1");
    talk.client_says(["PUBLISH q1 3 dup c"]);
}

#[test]
fn more_in_flight_than_the_new_receive_maximum_is_sent_again_in_portions() {
    for back in Return::BOTH {
        let mut talk = Talk::connected_with(journaled(Version::V5));
        for name in ["a", "b", "c", "d", "e"] {
            talk.publishes(name, if name == "c" { Q2 } else { Q1 });
        }
        talk.commits();
        talk.sent();
        talk.drops_connection();
        if matches!(back, Return::Restart) {
            talk.restarts();
        }
        talk.publishes("new", Q1);
        talk.opens();
        talk.server_sends(&present(connack([(PropertyId::ReceiveMaximum, Value::U16(2))])));
        talk.commits();
        talk.client_says(["PUBLISH q1 1 dup a", "PUBLISH q1 2 dup b"]);
        talk.server_says("PUBACK 2");
        talk.client_says(["PUBLISH q2 3 dup c"]);
        talk.server_says("PUBREC 3");
        talk.commits();
        talk.client_says(["PUBREL 3"]);
        talk.server_says("PUBACK 1");
        talk.client_says(["PUBLISH q1 4 dup d"]);
        talk.server_says("PUBCOMP 3");
        talk.client_says(["PUBLISH q1 5 dup e"]);
        talk.server_says("PUBACK 4");
        talk.commits();
        talk.client_says(["PUBLISH q1 6 new"]);
    }
}

fn nothing_new_overtakes_what_is_to_be_sent_again(version: Version) {
    let mut config = config(version);
    config.max_in_flight = at_most(2);
    let mut talk = Talk::connected_with(config);
    talk.publishes("a", Q1);
    talk.publishes("b", Q1);
    talk.sent();
    talk.drops_connection();
    talk.reconfigures(|config| config.max_in_flight = at_most(1)).unwrap();
    talk.opens();
    talk.server_says("CONNACK present");
    talk.publishes("c", Q1);
    talk.client_says(["PUBLISH q1 1 dup a"]);
    talk.server_says("PUBACK 1");
    talk.client_says(["PUBLISH q1 2 dup b"]);
    talk.server_says("PUBACK 2");
    talk.client_says(["PUBLISH q1 3 c"]);
}

fn full_window_holds_back_neither_answers_nor_requests_nor_qos_0(version: Version) {
    let mut config = config(version);
    config.max_in_flight = at_most(1);
    let mut talk = Talk::connected_with(config);
    talk.publishes("a", Q1);
    talk.publishes("b", Q1);
    talk.client_says(["PUBLISH q1 1 a"]);
    talk.subscribes("x");
    talk.publishes("c", Q0);
    talk.server_says("PUBLISH q1 7 y");
    talk.acknowledges("y");
    talk.unsubscribes("z");
    talk.passes(SECOND * 60);
    talk.client_says(["SUBSCRIBE 2 x", "PUBLISH q0 c", "PUBACK 7", "UNSUBSCRIBE 3 z"]);
    talk.passes(SECOND * 60);
    talk.client_says(["PINGREQ"]);
}

every_version! {
    default_limit_is_20,
    full_window_holds_back_neither_answers_nor_requests_nor_qos_0,
    nothing_new_overtakes_what_is_to_be_sent_again,
    own_limit_bounds_what_is_in_flight,
}
