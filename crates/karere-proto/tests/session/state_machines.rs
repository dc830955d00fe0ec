//! Cells of the state machines that no other file asks about; the numbers are rows of `conformance/state-machines.tsv`.

use bytes::Bytes;
use karere_proto::{
    Packet, PropertyId, Publish, ReasonCode, Rule, Value, Version,
    packet::{ConnAck, PublishPacket, RetainHandling},
    session::{Cause, CloseCause, Config, Resubscribe},
};

use super::kit::*;

fn window_of(messages: u16, version: Version) -> Config {
    let mut config = config(version);
    config.max_in_flight = at_most(messages);
    config.connect.keep_alive = 0;
    config
}

// Messages on their way out

// 1.5-Q
fn message_waits_however_long_the_window_stays_full(version: Version) {
    let mut talk = Talk::connected_with(window_of(1, version));
    talk.publishes("a", Q1);
    let waiting = talk.publishes("b", Q1);
    talk.client_says(["PUBLISH q1 1 a"]);
    talk.passes(SECOND * 1_000_000);
    talk.told([]);
    talk.client_says([]);
    assert_eq!((talk.session.queued().0, talk.session.packet_id(waiting)), (1, None), "it has no identifier yet");
    talk.server_says("PUBACK 1");
    talk.client_says(["PUBLISH q1 2 b"]);
}

// 1.6-Q, 1.6-P, 2.7-P, 2.7-R
fn lost_connection_changes_nothing_of_what_waits_and_what_is_in_flight(version: Version) {
    let mut talk = Talk::connected_with(window_of(3, version));
    let tokens = [("p1", Q1), ("p2", Q2), ("r", Q2), ("q", Q1)].map(|(name, qos)| talk.publishes(name, qos));
    talk.server_says("PUBREC 3");
    talk.sent();
    talk.drops_connection();
    talk.passes(SECOND * 1_000_000);
    talk.told([]);
    let numbers = tokens.map(|token| talk.session.packet_id(token));
    assert_eq!(numbers, [Some(id(1)), Some(id(2)), Some(id(3)), None]);
    assert_eq!((talk.session.in_flight(), talk.session.queued().0), (3, 1));
}

// 2.1-P
fn payload_is_let_go_at_pubrec(version: Version) {
    let payload = Bytes::from(vec![7; 10_000]);
    let mut talk = Talk::connected(version);
    talk.publishes_message(Publish::new("a", payload.clone()).unwrap().qos(Q2));
    talk.sent();
    assert!(!payload.is_unique(), "it may have to be sent again");
    talk.server_says("PUBREC 1");
    talk.client_says(["PUBREL 1"]);
    assert!(payload.is_unique(), "it is never sent again");
}

// 7.15
#[test]
fn message_in_flight_above_the_qos_of_the_new_server_or_retained_in_vain_is_given_up() {
    let mut talk = Talk::connected(Version::V5);
    talk.publishes("a", Q2);
    talk.publishes_message(message("b", Q1).retained());
    talk.publishes("c", Q1);
    talk.sent();
    talk.drops_connection();
    talk.opens();
    talk.server_sends(&present(connack([
        (PropertyId::MaximumQoS, Value::Byte(1)),
        (PropertyId::RetainAvailable, Value::Byte(0)),
    ])));
    talk.client_says(["PUBREL 1 0x92", "PUBLISH q1 3 dup c"]);
    talk.told(["connected present", "a 1 unknown", "b 2 unknown"]);
}

// 11.2
fn one_in_flight_keeps_the_order_where_more_may_repeat_what_came_before(version: Version) {
    for (window, expected) in [(1, "1 2 3 3dup 4"), (2, "1 2 3 2dup 3dup 4")] {
        let mut talk = Talk::connected_with(window_of(window, version));
        let mut seen = Vec::new();
        let mut look = |talk: &mut Talk| {
            for said in talk.said() {
                let words = said.split(' ').collect::<Vec<_>>();
                let dup = if words.contains(&"dup") { "dup" } else { "" };
                seen.push(format!("{}{dup}", words.last().unwrap()));
            }
        };
        for name in ["1", "2", "3", "4"] {
            talk.publishes(name, Q1);
            look(&mut talk);
        }
        talk.server_says("PUBACK 1");
        look(&mut talk);
        if window == 1 {
            talk.server_says("PUBACK 2");
            look(&mut talk);
        }
        talk.resumes(); // whatever else was acknowledged did not arrive
        look(&mut talk);
        for number in 2..=3 {
            if window > 1 || number == 3 {
                talk.server_says(&format!("PUBACK {number}"));
            }
        }
        look(&mut talk);
        assert_eq!(seen.join(" "), expected);
    }
}

// Messages on their way in

// 4.2-0
fn identifier_that_was_released_may_come_at_another_qos(version: Version) {
    let mut talk = Talk::connected(version);
    talk.server_says("PUBLISH q2 7 a");
    talk.acknowledges("a");
    talk.server_says("PUBREL 7");
    talk.client_says(["PUBREC 7", "PUBCOMP 7"]);
    talk.server_says("PUBLISH q1 7 b");
    talk.acknowledges("b");
    talk.client_says(["PUBACK 7"]);
    talk.server_says("PUBLISH q2 7 c");
    talk.told(["message q2 a", "message q1 b", "message q2 c"]);
}

// 4.8-H
#[test]
fn flow_of_a_received_message_goes_on_when_it_has_expired() {
    let mut talk = Talk::connected(Version::V5);
    for again in [false, true] {
        let Packet::Publish(mut publish) = parse(if again { "PUBLISH q2 7 dup a" } else { "PUBLISH q2 7 a" }) else {
            panic!("not a PUBLISH")
        };
        publish.properties = properties([(PropertyId::MessageExpiryInterval, Value::U32(1))]);
        talk.server_sends(&Packet::Publish(publish));
        talk.passes(SECOND * 10);
    }
    talk.acknowledges("a");
    talk.passes(SECOND * 10);
    talk.client_says(["PUBREC 7"]);
    talk.server_says("PUBREL 7");
    talk.client_says(["PUBCOMP 7"]);
    talk.told(["message q2 a"]);
}

// 11.3
fn pubcomps_leave_in_order_of_arrival(version: Version) {
    let mut talk = Talk::connected(version);
    for (number, name) in [(9, "a"), (3, "b"), (5, "c")] {
        talk.server_says(&format!("PUBLISH q2 {number} {name}"));
        talk.acknowledges(name);
    }
    talk.client_says(["PUBREC 9", "PUBREC 3", "PUBREC 5"]);
    for number in [3, 5, 9] {
        talk.server_says(&format!("PUBREL {number}"));
    }
    talk.client_says(["PUBCOMP 3", "PUBCOMP 5", "PUBCOMP 9"]);
}

// Identifiers

// 6.2
fn each_identifier_is_busy_until_its_last_answer_and_free_from_then_on(version: Version) {
    let mut talk = Talk::connected_with(window_of(u16::MAX, version));
    talk.publishes("1", Q1);
    for name in ["2", "3"] {
        talk.publishes(name, Q2);
    }
    talk.subscribes("4");
    talk.unsubscribes("5");
    for _ in 6..=u16::MAX {
        talk.publishes("x", Q1);
        talk.sent();
    }
    for _ in 0..5 {
        talk.publishes("next", Q1);
    }
    talk.client_says([]);
    let refusal = if version == Version::V5 { "PUBREC 3 0x87" } else { "PUBREC 3" };
    for (answer, says) in [
        ("PUBACK 1", vec!["PUBLISH q1 1 next"]),
        ("PUBREC 2", vec!["PUBREL 2"]),
        ("PUBREC 2", vec!["PUBREL 2"]),
        ("PUBCOMP 2", vec!["PUBLISH q1 2 next"]),
        ("SUBACK 4 0x00", vec!["PUBLISH q1 4 next"]),
        ("UNSUBACK 5 0x00", vec!["PUBLISH q1 5 next"]),
        (refusal, if version == Version::V5 { vec!["PUBLISH q1 3 next"] } else { vec!["PUBREL 3"] }),
    ] {
        talk.server_says(answer);
        assert_eq!(talk.said(), says, "{answer}");
    }
}

// 6.3
fn identifiers_of_requests_that_a_lost_connection_left_unanswered_can_be_used(version: Version) {
    let mut talk = Talk::connected_with(window_of(u16::MAX, version));
    talk.subscribes("a");
    talk.unsubscribes("b");
    talk.client_says(["SUBSCRIBE 1 a", "UNSUBSCRIBE 2 b"]);
    talk.resumes();
    talk.client_says(["SUBSCRIBE 3 a", "UNSUBSCRIBE 4 b"]);
    let mut used = Vec::new();
    for _ in 0..u16::MAX - 2 {
        talk.publishes("x", Q1);
        used.extend(talk.sent().iter().filter_map(|packet| match packet {
            Packet::Publish(publish) => publish.id.map(karere_proto::PacketId::get),
            _ => None,
        }));
    }
    assert_eq!(used.len(), usize::from(u16::MAX) - 2);
    assert_eq!(used[used.len() - 2..], [1, 2]);
}

// What becomes of the session

// 7.7
fn session_is_known_though_nothing_is_in_flight(version: Version) {
    for back in Return::BOTH {
        let mut talk = Talk::connected_with(journaled(version));
        talk.commits();
        talk.returns(back); // to a server that has the session
        assert!(talk.session.is_connected(), "{back:?}");
        talk.client_says([]);
    }
}

// 7.8
#[test]
fn subscriptions_are_asked_for_again_with_3_1_when_that_is_wanted() {
    let mut config = config(Version::V31);
    config.resubscribe = Resubscribe::Always;
    let mut talk = Talk::connected_with(config);
    talk.subscribes("a");
    talk.server_says("SUBACK 1 0x01");
    talk.publishes("p", Q1);
    talk.client_says(["SUBSCRIBE 1 a", "PUBLISH q1 2 p"]);
    talk.drops_connection();
    talk.opens();
    talk.server_says("CONNACK");
    let sent = talk.sent();
    let [Packet::Subscribe(_, subscribe), again] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(subscribe.subscriptions[0].options.retain_handling, RetainHandling::Send);
    assert_eq!(line(again), "PUBLISH q1 2 dup p");
}

// The connection

// 8.2-sent
#[test]
fn refusal_is_told_with_all_its_properties() {
    let mut talk = Talk::new(config(Version::V5));
    talk.opens();
    let mut ack = ConnAck::new(ReasonCode::ServerMoved);
    ack.properties = properties([
        (PropertyId::ReasonString, Value::Str("for good")),
        (PropertyId::ServerReference, Value::Str("other:1883")),
        (PropertyId::UserProperty, Value::Pair("k", "v")),
    ]);
    talk.server_sends(&Packet::ConnAck(ack.clone()));
    talk.client_says([]);
    let cause = talk.close();
    assert!(cause.to_string().contains("for good"), "{cause}");
    assert_eq!(cause, Cause::Refused(ack));
}

// 8.6-sent
#[test]
fn auth_to_re_authenticate_before_connack_closes() {
    for method in [None, Some("m")] {
        let mut config = config(Version::V5);
        if let Some(method) = method {
            config.connect.properties = properties([(PropertyId::AuthenticationMethod, Value::Str(method))]);
        }
        let mut talk = Talk::new(config);
        talk.opens();
        talk.server_sends(&Packet::Auth(auth(ReasonCode::ReAuthenticate, "m")));
        talk.client_closes_for(Rule::ReasonCodeNotAllowed);
    }
}

// 8.9-sent
fn packets_of_no_type_and_those_of_a_client_close_before_connack(version: Version) {
    let opened = || {
        let mut talk = Talk::new(config(version));
        talk.opens();
        talk
    };
    let mut talk = opened();
    talk.server_sends_bytes(&[0x00, 0]);
    talk.client_closes_for(Rule::ReservedPacketType);
    if version == Version::V5 {
        return; // it has AUTH, and its servers have DISCONNECT
    }
    let mut talk = opened();
    talk.server_sends_bytes(&[0xF0, 0]);
    talk.client_closes_for(Rule::ReservedPacketType);
    let mut talk = opened();
    talk.server_says("DISCONNECT");
    talk.client_closes_for(Rule::WrongDirection);
}

// 8.10-sent
fn malformed_packet_closes_before_connack(version: Version) {
    for (bytes, rule) in [
        (&[0x21, 2, 0, 0][..], Rule::FixedHeaderFlags),
        (&[0x20, 1, 0], Rule::Truncated),
        (&[0x20, 0xFF, 0xFF, 0xFF, 0xFF], Rule::RemainingLength),
    ] {
        let mut talk = Talk::new(config(version));
        talk.publishes("a", Q1);
        talk.opens();
        talk.server_sends_bytes(bytes);
        talk.client_closes_for(rule);
        talk.told([]);
        talk.opens();
        talk.server_says("CONNACK");
        talk.client_says(["PUBLISH q1 1 a"]);
    }
}

// 8.11-sent
#[test]
fn packet_above_own_maximum_closes_before_connack_by_its_header() {
    let mut config = config(Version::V5);
    config.connect.properties = properties([(PropertyId::MaximumPacketSize, Value::U32(20))]);
    let mut talk = Talk::new(config);
    talk.opens();
    talk.server_sends_bytes(&[0x20, 19]); // two bytes of twenty-one
    talk.client_closes_for(Rule::PacketTooLarge);
}

// 8.8-up
fn pingresp_ends_the_wait_for_it(version: Version) {
    let mut talk = Talk::connected(version);
    for _ in 0..100 {
        talk.passes(SECOND * 60);
        talk.client_says(["PINGREQ"]);
        talk.passes(SECOND * 25);
        talk.server_says("PINGRESP");
        talk.passes(SECOND * 25); // more than the patience for an answer that is missing
        assert!(talk.session.is_connected());
        talk.publishes("a", Q0);
        talk.client_says(["PUBLISH q0 a"]);
    }
    talk.passes(SECOND * 60);
    talk.client_says(["PINGREQ"]);
    talk.passes(SECOND * 31);
    assert_eq!(talk.close(), Cause::KeepAliveTimeout, "the last one was not answered");
}

// What survives

/// The ways in which a connection is followed by another one.
#[derive(Clone, Copy, Debug, PartialEq)]
enum After {
    Resumption,
    Loss,
    Restart,
}

impl After {
    const ALL: [Self; 3] = [Self::Resumption, Self::Loss, Self::Restart];

    /// The client connects anew; what it was told so far is forgotten.
    fn comes(self, talk: &mut Talk) {
        match self {
            Self::Resumption => talk.resumes(),
            Self::Loss => talk.loses_session(),
            Self::Restart => talk.returns(Return::Restart),
        }
        talk.commits();
        talk.tidings();
    }
}

// 10.3-restart
fn waiting_messages_of_qos_0_are_gone_with_the_process(version: Version) {
    let mut talk = Talk::connected_with(journaled(version));
    talk.commits();
    talk.drops_connection();
    talk.publishes("a", Q0);
    talk.publishes("b", Q1);
    talk.commits();
    talk.restarts();
    talk.opens();
    talk.server_says("CONNACK present");
    talk.commits();
    talk.client_says(["PUBLISH q1 1 b"]);
}

// 10.4
fn answers_that_have_not_left_do_not_leave_on_another_connection(version: Version) {
    for after in After::ALL {
        let mut talk = Talk::connected_with(journaled(version));
        talk.server_says("PUBLISH q1 6 a");
        talk.server_says("PUBLISH q2 7 b");
        talk.server_says("PUBLISH q2 8 c");
        for name in ["a", "b", "c"] {
            talk.acknowledges(name);
        }
        talk.server_says("PUBREL 8");
        talk.commits();
        after.comes(&mut talk);
        talk.client_says([]);
        if after == After::Loss {
            continue; // this server repeats nothing
        }
        talk.server_says("PUBLISH q1 6 dup a");
        talk.told(["message q1 dup a"]);
        talk.acknowledges("a");
        talk.server_says("PUBLISH q2 7 dup b");
        talk.server_says("PUBREL 8");
        talk.commits();
        let not_found = if version == Version::V5 { "PUBCOMP 8 0x92" } else { "PUBCOMP 8" };
        talk.client_says(["PUBACK 6", "PUBREC 7", not_found]);
        talk.told([]);
    }
}

// 10.5-restart
fn unanswered_requests_are_gone_with_the_process(version: Version) {
    let mut talk = Talk::connected_with(journaled(version));
    talk.subscribes("a");
    talk.unsubscribes("b");
    talk.commits();
    talk.client_says(["SUBSCRIBE 1 a", "UNSUBSCRIBE 2 b"]);
    After::Restart.comes(&mut talk);
    talk.client_says([]);
    talk.server_says("SUBACK 1 0x00");
    talk.client_closes_for(Rule::SubAckUnknown);
}

// 10.6-restart
fn restarted_client_asks_for_its_subscriptions_where_the_session_is_lost(version: Version) {
    let mut talk = Talk::connected_with(journaled(version));
    talk.subscribes("a");
    talk.server_says("SUBACK 1 0x01");
    talk.commits();
    talk.sent();
    After::Restart.comes(&mut talk);
    talk.client_says([]); // the server has it
    talk.commits();
    talk.restarts();
    talk.opens();
    talk.server_says("CONNACK");
    talk.commits();
    talk.client_says(["SUBSCRIBE 1 a"]);
}

// 10.7-lost
#[test]
fn assigned_client_identifier_survives_the_loss_of_the_session() {
    let mut config = config(Version::V5);
    config.connect.client_id = text("");
    let mut talk = Talk::connected_to(config, [(PropertyId::AssignedClientIdentifier, Value::Str("made-up"))]);
    talk.loses_session();
    talk.drops_connection();
    assert_eq!(talk.opens().client_id.as_str(), "made-up");
}

// 10.8
#[test]
fn nothing_that_was_agreed_on_one_connection_holds_on_the_next() {
    for after in After::ALL {
        let mut config = journaled(Version::V5);
        let method = (PropertyId::AuthenticationMethod, Value::Str("m"));
        config.connect.properties = properties([method, (PropertyId::TopicAliasMaximum, Value::U16(5))]);
        let mut talk = Talk::new(config);
        talk.opens();
        let before = *talk.session.negotiated();
        talk.server_sends(&connack([
            method,
            (PropertyId::ReceiveMaximum, Value::U16(1)),
            (PropertyId::MaximumQoS, Value::Byte(1)),
            (PropertyId::RetainAvailable, Value::Byte(0)),
            (PropertyId::MaximumPacketSize, Value::U32(100)),
            (PropertyId::TopicAliasMaximum, Value::U16(5)),
            (PropertyId::ServerKeepAlive, Value::U16(5)),
            (PropertyId::WildcardSubscriptionAvailable, Value::Byte(0)),
            (PropertyId::SubscriptionIdentifiersAvailable, Value::Byte(0)),
            (PropertyId::SharedSubscriptionAvailable, Value::Byte(0)),
        ]));
        assert_ne!(*talk.session.negotiated(), before);
        talk.server_sends(&aliased("topic", 1));
        talk.session.authenticate(auth(ReasonCode::ReAuthenticate, "m")).unwrap();
        talk.publishes("a", Q1);
        talk.publishes("b", Q1);
        talk.commits();
        assert_eq!(talk.sent().len(), 2, "AUTH, and as many messages as the quota allows");
        talk.drops_connection();
        talk.commits();
        if after == After::Restart {
            talk.restarts();
        }
        talk.opens();
        let accepts = connack([method]);
        talk.server_sends(&if after == After::Loss { accepts } else { present(accepts) });
        talk.commits();
        talk.tidings();
        assert_eq!(*talk.session.negotiated(), before, "{after:?}");
        talk.publishes("a", Q2);
        talk.commits();
        let sent = talk.sent();
        let named = sent.iter().map(|packet| match packet {
            Packet::Publish(publish) => publish.topic.is_some() && publish.properties.topic_alias().is_none(),
            _ => false,
        });
        assert_eq!(named.collect::<Vec<_>>(), [true; 3], "{after:?}: a whole window, by full names");
        talk.server_sends(&Packet::Auth(auth(ReasonCode::Success, "m")));
        talk.client_closes_for(Rule::AuthReason);
    }
}

fn aliased(topic: &str, alias: u16) -> Packet {
    let publish = message(topic, Q0).properties(properties([(PropertyId::TopicAlias, Value::U16(alias))]));
    Packet::Publish(PublishPacket::new(publish, None, karere_proto::packet::Attempt::First))
}

// 8.15
fn transport_that_closes_is_told_and_the_session_waits_for_the_next(version: Version) {
    let mut talk = Talk::new(config(version));
    talk.publishes("a", Q1);
    talk.opens();
    talk.session.handle_closed(CloseCause::Closed);
    talk.told(["disconnected: the server closed the connection"]); // an attempt that failed
    talk.opens();
    talk.server_says("CONNACK");
    talk.client_says(["PUBLISH q1 1 a"]);
    talk.session.handle_closed(CloseCause::Failed("reset".to_owned()));
    talk.told(["connected", "disconnected: the connection failed: reset"]);
    assert!(talk.session.is_offline());
    assert!(!talk.opens().clean_start, "the session is there to resume");
}

every_version! {
    answers_that_have_not_left_do_not_leave_on_another_connection,
    each_identifier_is_busy_until_its_last_answer_and_free_from_then_on,
    identifier_that_was_released_may_come_at_another_qos,
    identifiers_of_requests_that_a_lost_connection_left_unanswered_can_be_used,
    lost_connection_changes_nothing_of_what_waits_and_what_is_in_flight,
    malformed_packet_closes_before_connack,
    message_waits_however_long_the_window_stays_full,
    one_in_flight_keeps_the_order_where_more_may_repeat_what_came_before,
    packets_of_no_type_and_those_of_a_client_close_before_connack,
    payload_is_let_go_at_pubrec,
    pingresp_ends_the_wait_for_it,
    pubcomps_leave_in_order_of_arrival,
    session_is_known_though_nothing_is_in_flight,
    transport_that_closes_is_told_and_the_session_waits_for_the_next,
    unanswered_requests_are_gone_with_the_process,
    waiting_messages_of_qos_0_are_gone_with_the_process,
}

since_311! {
    restarted_client_asks_for_its_subscriptions_where_the_session_is_lost,
}
