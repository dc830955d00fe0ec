//! What is sent again, in which order, when the server kept the session (§4.4, §4.6).

use karere_proto::Version;

use super::kit::*;

fn unacknowledged_messages_are_sent_again_with_dup_in_their_order(version: Version) {
    for back in Return::BOTH {
        let mut talk = Talk::connected_with(journaled(version));
        talk.publishes("a", Q1);
        talk.publishes("b", Q2);
        talk.publishes("c", Q1);
        talk.publishes("d", Q2);
        talk.commits();
        talk.client_says(["PUBLISH q1 1 a", "PUBLISH q2 2 b", "PUBLISH q1 3 c", "PUBLISH q2 4 d"]);
        talk.returns(back);
        talk.commits();
        talk.client_says(["PUBLISH q1 1 dup a", "PUBLISH q2 2 dup b", "PUBLISH q1 3 dup c", "PUBLISH q2 4 dup d"]);
        talk.server_says("PUBACK 1");
        talk.server_says("PUBREC 2");
        talk.server_says("PUBACK 3");
        talk.server_says("PUBREC 4");
        talk.server_says("PUBCOMP 2");
        talk.server_says("PUBCOMP 4");
        assert_eq!(talk.tidings().len(), 4, "{back:?}: each has its outcome once");
    }
}

fn messages_are_sent_again_by_send_order_after_wrap_around(version: Version) {
    for back in Return::BOTH {
        let mut talk = Talk::connected_with(journaled(version));
        for number in 1..65_534 {
            talk.publishes("warm-up", Q1);
            talk.commits();
            talk.sent();
            talk.server_says(&format!("PUBACK {number}"));
        }
        for (name, qos) in [("a", Q1), ("b", Q2), ("c", Q1), ("d", Q2)] {
            talk.publishes(name, qos);
        }
        talk.commits();
        talk.client_says(["PUBLISH q1 65534 a", "PUBLISH q2 65535 b", "PUBLISH q1 1 c", "PUBLISH q2 2 d"]);
        talk.returns(back);
        talk.commits();
        talk.client_says([
            "PUBLISH q1 65534 dup a",
            "PUBLISH q2 65535 dup b",
            "PUBLISH q1 1 dup c",
            "PUBLISH q2 2 dup d",
        ]);
    }
}

fn pubrels_come_first_in_the_order_of_their_pubrecs(version: Version) {
    for back in Return::BOTH {
        let mut talk = Talk::connected_with(journaled(version));
        for name in ["a", "b", "c", "d"] {
            talk.publishes(name, Q2);
        }
        talk.commits();
        talk.sent();
        talk.server_says("PUBREC 3");
        talk.server_says("PUBREC 1");
        talk.commits();
        talk.client_says(["PUBREL 3", "PUBREL 1"]);
        talk.returns(back);
        talk.commits();
        talk.client_says(["PUBREL 3", "PUBREL 1", "PUBLISH q2 2 dup b", "PUBLISH q2 4 dup d"]);
    }
}

fn publish_is_never_sent_again_after_pubrec(version: Version) {
    let mut talk = Talk::connected(version);
    talk.publishes("a", Q2);
    talk.client_says(["PUBLISH q2 1 a"]);
    talk.server_says("PUBREC 1"); // its PUBREL does not leave any more
    talk.resumes();
    talk.client_says(["PUBREL 1"]);
    talk.resumes();
    talk.client_says(["PUBREL 1"]);
    talk.server_says("PUBCOMP 1");
    talk.told(["a 1 acknowledged"]);
}

fn order_is_kept_over_several_resumptions(version: Version) {
    let mut talk = Talk::connected(version);
    talk.publishes("a", Q1);
    talk.publishes("b", Q1);
    talk.sent();
    talk.resumes();
    talk.publishes("c", Q1);
    talk.client_says(["PUBLISH q1 1 dup a", "PUBLISH q1 2 dup b", "PUBLISH q1 3 c"]);
    talk.resumes();
    talk.client_says(["PUBLISH q1 1 dup a", "PUBLISH q1 2 dup b", "PUBLISH q1 3 dup c"]);
    talk.server_says("PUBACK 2");
    talk.resumes();
    talk.client_says(["PUBLISH q1 1 dup a", "PUBLISH q1 3 dup c"]);
}

fn new_messages_come_after_those_sent_again(version: Version) {
    let mut talk = Talk::connected(version);
    talk.publishes("a", Q1);
    talk.sent();
    talk.drops_connection();
    talk.publishes("b", Q1);
    talk.opens();
    talk.publishes("c", Q1);
    talk.server_says("CONNACK present");
    talk.publishes("d", Q1);
    talk.client_says(["PUBLISH q1 1 dup a", "PUBLISH q1 2 b", "PUBLISH q1 3 c", "PUBLISH q1 4 d"]);
}

fn nothing_is_sent_before_connack(version: Version) {
    let mut talk = Talk::connected(version);
    talk.publishes("a", Q1);
    talk.publishes("b", Q2);
    talk.sent();
    talk.drops_connection();
    talk.opens();
    talk.publishes("c", Q0);
    talk.subscribes("x");
    talk.client_says([]);
    talk.server_says("CONNACK present");
    talk.client_says(["SUBSCRIBE 3 x", "PUBLISH q1 1 dup a", "PUBLISH q2 2 dup b", "PUBLISH q0 c"]);
}

fn refused_connection_changes_nothing_in_the_session(version: Version) {
    let mut talk = Talk::connected(version);
    talk.publishes("a", Q1);
    talk.publishes("b", Q2);
    talk.server_says("PUBREC 2");
    talk.server_says("PUBLISH q2 9 x");
    talk.acknowledges("x");
    talk.sent();
    talk.drops_connection();
    talk.opens();
    talk.server_says("CONNACK 0x87");
    talk.close();
    talk.opens();
    talk.drops_connection();
    talk.tidings();
    talk.opens();
    talk.server_says("CONNACK present");
    talk.client_says(["PUBREL 2", "PUBLISH q1 1 dup a"]);
    talk.server_says("PUBLISH q2 9 dup x");
    talk.client_says(["PUBREC 9"]);
}

fn puback_on_the_new_connection_spares_the_repetition(version: Version) {
    let mut config = config(version);
    config.max_in_flight = at_most(1);
    let mut talk = Talk::connected_with(config);
    talk.publishes("a", Q1);
    talk.publishes("b", Q1);
    talk.sent();
    talk.resumes();
    talk.server_says("PUBACK 1");
    talk.client_says(["PUBLISH q1 1 dup a", "PUBLISH q1 2 b"]);
    talk.told(["a 1 acknowledged"]);
}

fn message_in_flight_that_the_new_server_does_not_take_is_given_up(version: Version) {
    if version != Version::V5 {
        return; // earlier versions announce no limits
    }
    use karere_proto::{PropertyId, Value};
    let mut talk = Talk::connected(version);
    talk.publishes("large-one", Q1);
    talk.publishes("large-two", Q2);
    talk.publishes("s", Q1);
    talk.sent();
    talk.drops_connection();
    talk.publishes("large-three", Q1);
    talk.opens();
    talk.server_sends(&present(connack([(PropertyId::MaximumPacketSize, Value::U32(12))])));
    talk.client_says(["PUBREL 2 0x92", "PUBLISH q1 3 dup s"]);
    talk.told([
        "connected present",
        "large-one 1 unknown",
        "large-two 2 unknown",
        "large-three not sent: a packet of 29 bytes is above the maximum of 12 [MQTT-3.2.2-15]",
    ]);
    talk.server_says("PUBCOMP 2 0x92");
    talk.told([]);
    assert_eq!(talk.session.in_flight(), 1);
}

fn queued_message_that_the_new_server_does_not_take_is_not_sent(version: Version) {
    if version != Version::V5 {
        return;
    }
    use karere_proto::{PropertyId, Value};
    let mut talk = Talk::new(config(version));
    talk.publishes("a", Q2);
    talk.publishes("b", Q1);
    talk.publishes_message(message("c", Q1).retained());
    talk.opens();
    talk.server_sends(&connack([
        (PropertyId::MaximumQoS, Value::Byte(1)),
        (PropertyId::RetainAvailable, Value::Byte(0)),
    ]));
    talk.client_says(["PUBLISH q1 1 b"]);
    talk.told([
        "connected",
        "a not sent: QoS 2 is above the server's Maximum QoS 1 [MQTT-3.2.2-11]",
        "c not sent: the server keeps no retained messages [MQTT-3.2.2-14]",
    ]);
}

every_version! {
    message_in_flight_that_the_new_server_does_not_take_is_given_up,
    messages_are_sent_again_by_send_order_after_wrap_around,
    new_messages_come_after_those_sent_again,
    nothing_is_sent_before_connack,
    order_is_kept_over_several_resumptions,
    puback_on_the_new_connection_spares_the_repetition,
    publish_is_never_sent_again_after_pubrec,
    pubrels_come_first_in_the_order_of_their_pubrecs,
    queued_message_that_the_new_server_does_not_take_is_not_sent,
    refused_connection_changes_nothing_in_the_session,
    unacknowledged_messages_are_sent_again_with_dup_in_their_order,
}
