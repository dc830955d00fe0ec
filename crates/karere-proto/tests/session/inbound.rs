//! Messages on their way in: the cells of the QoS 1 and QoS 2 receivers, the order of answers, quota and aliases.

use karere_proto::{
    Packet, PropertyId, Publish, ReasonCode, Rule, Value, Version,
    packet::{Attempt, PublishPacket},
    session::{CommandError, Config},
};

use super::kit::*;

// QoS 0

fn qos_0_needs_no_answer(version: Version) {
    let mut talk = Talk::connected(version);
    talk.server_says("PUBLISH q0 a");
    talk.server_says("PUBLISH q0 retain b");
    talk.told(["message q0 a", "message q0 b"]);
    talk.acknowledges("a");
    talk.client_says([]);
}

// QoS 1

fn qos_1_is_answered_by_puback_once_the_application_is_done(version: Version) {
    let mut talk = Talk::connected(version);
    talk.server_says("PUBLISH q1 7 a");
    talk.told(["message q1 a"]);
    talk.client_says([]);
    talk.acknowledges("a");
    talk.client_says(["PUBACK 7"]);
}

fn after_puback_the_same_identifier_is_a_new_message(version: Version) {
    let mut talk = Talk::connected(version);
    for line in ["PUBLISH q1 7 a", "PUBLISH q1 7 dup a"] {
        talk.server_says(line);
        talk.acknowledges("a");
        talk.client_says(["PUBACK 7"]);
    }
    talk.told(["message q1 a", "message q1 dup a"]);
}

fn qos_1_with_an_identifier_that_is_not_answered_closes(version: Version) {
    let mut talk = Talk::connected(version);
    talk.server_says("PUBLISH q1 7 a");
    talk.server_says("PUBLISH q1 7 dup b");
    talk.client_closes_for(Rule::PacketIdInUse);
    talk.told(["message q1 a"]);
}

fn qos_1_with_an_identifier_held_at_qos_2_closes(version: Version) {
    let mut talk = Talk::connected(version);
    talk.server_says("PUBLISH q2 7 a");
    talk.acknowledges("a");
    talk.client_says(["PUBREC 7"]);
    talk.server_says("PUBLISH q1 7 b");
    talk.client_closes_for(Rule::PacketIdInUse);
}

fn qos_2_with_an_identifier_in_use_at_qos_1_closes(version: Version) {
    let mut talk = Talk::connected(version);
    talk.server_says("PUBLISH q1 7 a");
    talk.server_says("PUBLISH q2 7 b");
    talk.client_closes_for(Rule::PacketIdInUse);
}

fn pubacks_leave_in_order_of_arrival(version: Version) {
    let mut talk = Talk::connected(version);
    for line in ["PUBLISH q1 9 a", "PUBLISH q1 3 b", "PUBLISH q1 5 c"] {
        talk.server_says(line);
    }
    talk.acknowledges("c");
    talk.client_says([]);
    talk.acknowledges("a");
    talk.client_says(["PUBACK 9"]);
    talk.acknowledges("b");
    talk.client_says(["PUBACK 3", "PUBACK 5"]);
}

fn late_puback_is_not_sent_on_a_new_connection(version: Version) {
    let mut talk = Talk::connected(version);
    talk.server_says("PUBLISH q1 7 a");
    talk.server_says("PUBLISH q1 8 b");
    talk.resumes();
    talk.acknowledges("b");
    talk.server_says("PUBLISH q1 7 dup a");
    talk.acknowledges("a"); // the first delivery's
    talk.client_says([]);
    talk.acknowledges("a"); // the second's
    talk.client_says(["PUBACK 7"]);
    talk.told(["message q1 a", "message q1 b", "message q1 dup a"]);
}

// QoS 2

fn qos_2_is_delivered_at_publish_and_released_by_pubrel(version: Version) {
    let mut talk = Talk::connected(version);
    talk.server_says("PUBLISH q2 7 a");
    talk.told(["message q2 a"]);
    talk.client_says([]);
    talk.acknowledges("a");
    talk.client_says(["PUBREC 7"]);
    talk.server_says("PUBREL 7");
    talk.client_says(["PUBCOMP 7"]);
    talk.server_says("PUBLISH q2 7 b");
    talk.told(["message q2 b"]);
}

fn held_identifier_is_answered_again_and_not_delivered_again(version: Version) {
    let mut talk = Talk::connected(version);
    talk.server_says("PUBLISH q2 7 a");
    talk.acknowledges("a");
    talk.server_says("PUBLISH q2 7 dup a");
    talk.server_says("PUBLISH q2 7 a");
    talk.client_says(["PUBREC 7", "PUBREC 7", "PUBREC 7"]);
    talk.told(["message q2 a"]);
}

fn message_repeated_before_it_was_acknowledged_is_answered_all_the_same(version: Version) {
    let mut talk = Talk::connected(version);
    talk.server_says("PUBLISH q2 7 a");
    talk.server_says("PUBLISH q2 7 dup a");
    talk.server_says("PUBLISH q2 8 b");
    talk.told(["message q2 a", "message q2 b"]);
    talk.acknowledges("a");
    let said = talk.said();
    assert!(!said.is_empty() && said.iter().all(|line| line == "PUBREC 7"), "{said:?}");
    talk.acknowledges("b");
    talk.client_says(["PUBREC 8"]);
}

fn held_identifiers_survive_the_connection(version: Version) {
    for back in Return::BOTH {
        let mut talk = Talk::connected_with(journaled(version));
        talk.server_says("PUBLISH q2 7 a");
        talk.acknowledges("a");
        talk.commits();
        talk.client_says(["PUBREC 7"]);
        talk.returns(back);
        talk.commits();
        talk.client_says([]); // the server speaks first
        talk.server_says("PUBLISH q2 7 dup a");
        talk.client_says(["PUBREC 7"]);
        talk.server_says("PUBREL 7");
        talk.commits();
        talk.client_says(["PUBCOMP 7"]);
        talk.told(["message q2 a"]);
        talk.returns(back);
        talk.server_says("PUBLISH q2 7 b");
        talk.told(["message q2 b"]);
    }
}

fn late_acknowledgement_at_qos_2_answers_the_repetition(version: Version) {
    for acknowledged_first in [true, false] {
        let mut talk = Talk::connected(version);
        talk.server_says("PUBLISH q2 7 a");
        talk.drops_connection();
        if acknowledged_first {
            talk.acknowledges("a");
        }
        talk.opens();
        talk.server_says("CONNACK present");
        talk.client_says([]);
        talk.server_says("PUBLISH q2 7 dup a");
        if !acknowledged_first {
            talk.client_says([]);
            talk.acknowledges("a");
        }
        talk.client_says(["PUBREC 7"]);
        assert_eq!(talk.tidings().iter().filter(|line| line.starts_with("message")).count(), 1);
        talk.server_says("PUBREL 7");
        talk.client_says(["PUBCOMP 7"]);
    }
}

fn pubrecs_leave_in_order_of_arrival_and_pubacks_for_themselves(version: Version) {
    let mut talk = Talk::connected(version);
    for line in ["PUBLISH q2 9 a", "PUBLISH q1 4 b", "PUBLISH q2 3 c"] {
        talk.server_says(line);
    }
    talk.acknowledges("c");
    talk.client_says([]);
    talk.acknowledges("b");
    talk.client_says(["PUBACK 4"]);
    talk.acknowledges("a");
    talk.client_says(["PUBREC 9", "PUBREC 3"]);
}

fn early_pubrel_is_completed_and_holds_nothing_back(version: Version) {
    let mut talk = Talk::connected(version);
    talk.server_says("PUBLISH q2 7 a");
    talk.server_says("PUBLISH q2 8 b");
    talk.acknowledges("b");
    talk.client_says([]);
    talk.server_says("PUBREL 7");
    let mut said = talk.said();
    said.sort();
    assert_eq!(said, ["PUBCOMP 7", "PUBREC 8"]);
    talk.acknowledges("a");
    talk.client_says([]);
    talk.server_says("PUBLISH q2 7 c");
    talk.told(["message q2 a", "message q2 b", "message q2 c"]);
}

#[test]
fn pubrel_not_found_of_a_held_identifier_is_completed() {
    let mut talk = Talk::connected(Version::V5);
    talk.server_says("PUBLISH q2 7 a");
    talk.acknowledges("a");
    talk.client_says(["PUBREC 7"]);
    talk.server_says("PUBREL 7 0x92");
    talk.client_says(["PUBCOMP 7"]);
    talk.server_says("PUBREL 7 0x92");
    talk.client_says(["PUBCOMP 7 0x92"]);
}

fn publish_with_identifier_0_closes(version: Version) {
    for first in [0x32, 0x34] {
        let mut talk = Talk::connected(version);
        let tail: &[u8] = if version == Version::V5 { &[0] } else { &[] };
        let body = [&[0, 1, b'a', 0, 0], tail].concat();
        talk.server_sends_bytes(&[&[first, body.len() as u8][..], &body].concat());
        talk.client_closes_for(Rule::PacketIdZero);
    }
}

// Refusing

#[test]
fn refused_messages_are_answered_with_the_reason_in_their_turn() {
    let mut talk = Talk::connected(Version::V5);
    for line in ["PUBLISH q1 1 a", "PUBLISH q1 2 b", "PUBLISH q2 3 c", "PUBLISH q2 4 d"] {
        talk.server_says(line);
    }
    talk.refuses("b", ReasonCode::QuotaExceeded);
    talk.refuses("d", ReasonCode::NotAuthorized);
    talk.client_says([]);
    talk.acknowledges("a");
    talk.client_says(["PUBACK 1", "PUBACK 2 0x97"]);
    talk.acknowledges("c");
    talk.client_says(["PUBREC 3", "PUBREC 4 0x87"]);
}

#[test]
fn identifier_of_a_refused_message_is_a_new_message_next_time() {
    let mut talk = Talk::connected(Version::V5);
    for line in ["PUBLISH q2 7 a", "PUBLISH q2 7 b"] {
        talk.server_says(line);
        talk.refuses(&line[line.len() - 1..], ReasonCode::UnspecifiedError);
        talk.client_says(["PUBREC 7 0x80"]);
    }
    talk.told(["message q2 a", "message q2 b"]);
}

#[test]
fn late_refusal_at_qos_2_answers_the_repetition() {
    let mut talk = Talk::connected(Version::V5);
    talk.server_says("PUBLISH q2 7 a");
    talk.resumes();
    talk.server_says("PUBLISH q2 7 dup a");
    talk.refuses("a", ReasonCode::UnspecifiedError);
    talk.client_says(["PUBREC 7 0x80"]);
    talk.told(["message q2 a"]);
}

#[test]
fn message_refused_before_its_repetition_is_delivered_again() {
    let mut talk = Talk::connected(Version::V5);
    talk.server_says("PUBLISH q2 7 a");
    talk.resumes();
    talk.refuses("a", ReasonCode::UnspecifiedError);
    talk.client_says([]);
    talk.server_says("PUBLISH q2 7 dup a");
    talk.told(["message q2 a", "message q2 dup a"]);
    talk.acknowledges("a");
    talk.client_says(["PUBREC 7"]);
}

#[test]
fn only_failures_that_a_client_may_give_refuse() {
    let mut talk = Talk::connected(Version::V5);
    talk.server_says("PUBLISH q1 7 a");
    for reason in [ReasonCode::Success, ReasonCode::NoMatchingSubscribers, ReasonCode::PacketIdentifierNotFound] {
        let delivery = talk.delivery("a");
        let (delivery, why) = talk.session.refuse(delivery, reason).unwrap_err();
        assert_eq!(why, CommandError::Reason(reason));
        talk.session.acknowledge(delivery);
        talk.client_says(["PUBACK 7"]);
        talk.server_says("PUBLISH q1 7 a");
    }
}

fn refusing_is_not_in_earlier_versions(version: Version) {
    let mut talk = Talk::connected(version);
    talk.server_says("PUBLISH q1 7 a");
    let delivery = talk.delivery("a");
    let (delivery, why) = talk.session.refuse(delivery, ReasonCode::QuotaExceeded).unwrap_err();
    assert_eq!(why, CommandError::RefusalNotInVersion(version));
    talk.session.acknowledge(delivery);
    talk.client_says(["PUBACK 7"]);
}

// Receive Maximum

fn receive_maximum_of(messages: u16) -> Config {
    let mut config = config(Version::V5);
    config.connect.properties = properties([(PropertyId::ReceiveMaximum, Value::U16(messages))]);
    config
}

#[test]
fn server_beyond_the_receive_maximum_is_disconnected() {
    let mut talk = Talk::connected_with(receive_maximum_of(2));
    talk.server_says("PUBLISH q1 1 a");
    talk.server_says("PUBLISH q2 2 b");
    talk.server_says("PUBLISH q0 free");
    assert!(talk.session.is_connected());
    talk.server_says("PUBLISH q1 3 c");
    talk.client_closes_for(Rule::ReceiveMaximum);
    talk.told(["message q1 a", "message q2 b", "message q0 free"]);
}

#[test]
fn answers_give_the_receive_quota_back() {
    let mut talk = Talk::connected_with(receive_maximum_of(1));
    talk.server_says("PUBLISH q1 1 a");
    talk.acknowledges("a");
    talk.server_says("PUBLISH q2 2 b");
    talk.refuses("b", ReasonCode::UnspecifiedError);
    talk.server_says("PUBLISH q2 3 c");
    talk.server_says("PUBLISH q2 3 dup c"); // the same one counts once
    talk.acknowledges("c");
    talk.server_says("PUBREL 3");
    talk.server_says("PUBLISH q2 4 d");
    talk.acknowledges("d");
    assert!(talk.session.is_connected());
    talk.sent();
    talk.server_says("PUBLISH q1 5 e"); // PUBREC alone does not give it back
    talk.client_closes_for(Rule::ReceiveMaximum);
}

#[test]
fn identifiers_held_from_an_earlier_connection_do_not_count() {
    let mut talk = Talk::connected_with(receive_maximum_of(1));
    talk.server_says("PUBLISH q2 1 a");
    talk.acknowledges("a");
    talk.sent();
    talk.resumes();
    talk.server_says("PUBLISH q1 2 b");
    assert!(talk.session.is_connected());
    talk.server_says("PUBLISH q2 1 dup a");
    talk.client_closes_for(Rule::ReceiveMaximum);
}

// Maximum QoS

fn takes_at_most(maximum: u8) -> [(PropertyId, Value<'static>); 1] {
    [(PropertyId::MaximumQoS, Value::Byte(maximum))]
}

#[test]
fn message_above_the_qos_that_the_server_announced_closes() {
    for (maximum, line) in
        [(0, "PUBLISH q1 7 a"), (0, "PUBLISH q2 7 a"), (1, "PUBLISH q2 7 a"), (1, "PUBLISH q2 7 dup a")]
    {
        let mut talk = Talk::connected_to(config(Version::V5), takes_at_most(maximum));
        talk.server_says(line);
        talk.client_closes_for(Rule::QoSNotGranted);
        talk.told([]);
    }
}

#[test]
fn message_of_just_the_qos_that_the_server_announced_is_taken() {
    let mut talk = Talk::connected_to(config(Version::V5), takes_at_most(0));
    talk.server_says("PUBLISH q0 a");
    talk.told(["message q0 a"]);
    let mut talk = Talk::connected_to(config(Version::V5), takes_at_most(1));
    talk.server_says("PUBLISH q0 a");
    talk.server_says("PUBLISH q1 7 b");
    talk.told(["message q0 a", "message q1 b"]);
    talk.acknowledges("b");
    talk.client_says(["PUBACK 7"]);
}

#[test]
fn qos_that_an_earlier_connection_announced_does_not_count() {
    let mut talk = Talk::connected_to(config(Version::V5), takes_at_most(0));
    talk.drops_connection();
    talk.opens();
    talk.server_sends(&connack(takes_at_most(1)));
    talk.server_says("PUBLISH q1 7 a");
    talk.told(["connected", "message q1 a"]);
    talk.server_says("PUBLISH q2 8 b");
    talk.client_closes_for(Rule::QoSNotGranted);

    let mut talk = Talk::connected_to(config(Version::V5), takes_at_most(0));
    talk.loses_session();
    talk.server_says("PUBLISH q2 7 a"); // this server takes, and sends, every QoS
    talk.told(["message q2 a"]);
}

/// It was queued when the server took more. mosquitto 2.0 sends it like this, and would again after each DISCONNECT.
#[test]
fn message_that_waited_in_a_resumed_session_is_taken_whatever_the_limit_is_now() {
    for back in Return::BOTH {
        let mut talk = Talk::connected_with(journaled(Version::V5));
        talk.server_says("PUBLISH q2 7 a");
        talk.commits();
        talk.drops_connection();
        if matches!(back, Return::Restart) {
            talk.restarts();
        }
        talk.take_heard();
        talk.opens();
        talk.server_sends(&present(connack(takes_at_most(1))));
        talk.server_says("PUBLISH q2 8 b");
        talk.server_says("PUBLISH q2 7 dup a");
        talk.acknowledges("b");
        talk.acknowledges("a");
        talk.commits();
        let mut said = talk.said();
        said.sort();
        assert_eq!(said, ["PUBREC 7", "PUBREC 8"], "{back:?}");
        talk.server_says("PUBREL 8");
        talk.commits();
        talk.client_says(["PUBCOMP 8"]);
        // Once the session is lost, so is what waited in it.
        talk.drops_connection();
        talk.opens();
        talk.server_sends(&connack(takes_at_most(1)));
        talk.commits();
        talk.server_says("PUBLISH q2 9 c");
        talk.client_closes_for(Rule::QoSNotGranted);
    }
}

// Aliases

fn alias_maximum_of(maximum: u16) -> Config {
    let mut config = config(Version::V5);
    config.connect.properties = properties([(PropertyId::TopicAliasMaximum, Value::U16(maximum))]);
    config
}

/// A PUBLISH that sets or uses an alias.
fn aliased(line: &str, alias: u16) -> Packet {
    let Packet::Publish(mut packet) = parse(line) else { panic!("not a PUBLISH: {line}") };
    packet.properties = properties([(PropertyId::TopicAlias, Value::U16(alias))]);
    if packet.topic.as_ref().is_some_and(|topic| topic.as_str() == "-") {
        packet.topic = None;
    }
    Packet::Publish(packet)
}

#[test]
fn alias_names_the_topic_it_was_set_to_last() {
    let mut talk = Talk::connected_with(alias_maximum_of(2));
    talk.server_sends(&aliased("PUBLISH q0 a", 1));
    talk.server_sends(&aliased("PUBLISH q1 7 b", 2));
    talk.server_sends(&aliased("PUBLISH q0 -", 1));
    talk.server_sends(&aliased("PUBLISH q0 c", 1));
    talk.server_sends(&aliased("PUBLISH q0 -", 1));
    talk.server_sends(&aliased("PUBLISH q2 8 -", 2));
    let heard = talk.take_heard();
    for message in &heard {
        let Heard::Message { publish, .. } = message else { panic!("{message:?}") };
        assert_eq!(publish.properties.topic_alias(), None, "means nothing outside its connection");
    }
    let topics = heard.iter().map(|message| match message {
        Heard::Message { publish, .. } => publish.topic.as_str(),
        Heard::Other(_) => "",
    });
    assert_eq!(topics.collect::<Vec<_>>(), ["a", "b", "a", "c", "c", "b"]);
}

#[test]
fn alias_in_a_repetition_is_set_all_the_same() {
    let mut talk = Talk::connected_with(alias_maximum_of(2));
    talk.server_says("PUBLISH q2 7 a");
    talk.acknowledges("a");
    talk.server_sends(&aliased("PUBLISH q2 7 dup a", 1));
    talk.server_sends(&aliased("PUBLISH q0 -", 1));
    talk.told(["message q2 a", "message q0 a"]);
}

#[test]
fn alias_above_the_maximum_closes() {
    for (maximum, alias) in [(2, 3), (0, 1)] {
        let mut talk = Talk::connected_with(alias_maximum_of(maximum));
        talk.server_sends(&aliased("PUBLISH q0 a", alias));
        talk.client_closes_for(Rule::TopicAliasRange);
    }
}

#[test]
fn alias_0_closes() {
    let mut talk = Talk::connected_with(alias_maximum_of(2));
    talk.server_sends_bytes(&[0x30, 7, 0, 1, b'a', 3, 0x23, 0, 0]);
    talk.client_closes_for(Rule::TopicAliasRange);
}

#[test]
fn alias_that_was_never_set_closes() {
    let mut talk = Talk::connected_with(alias_maximum_of(2));
    talk.server_sends(&aliased("PUBLISH q0 -", 1));
    talk.client_closes_for(Rule::TopicAliasUnknown);
}

#[test]
fn aliases_end_with_their_connection() {
    let mut talk = Talk::connected_with(alias_maximum_of(2));
    talk.server_sends(&aliased("PUBLISH q0 a", 1));
    talk.resumes();
    talk.server_sends(&aliased("PUBLISH q0 -", 1));
    talk.client_closes_for(Rule::TopicAliasUnknown);
}

#[test]
fn packet_above_own_maximum_closes_before_it_has_arrived() {
    let mut config = config(Version::V5);
    config.connect.properties = properties([(PropertyId::MaximumPacketSize, Value::U32(20))]);
    let mut talk = Talk::connected_with(config);
    let exact = Publish::new("x".repeat(15).as_str(), ()).unwrap();
    let exact = Packet::Publish(PublishPacket::new(exact, None, Attempt::First));
    assert_eq!(exact.size(Version::V5.rules()), 20);
    talk.server_sends(&exact);
    assert!(talk.session.is_connected(), "equal to the limit is legal");
    talk.server_sends_bytes(&[0x30, 19]);
    talk.client_closes_for(Rule::PacketTooLarge);
}

fn packets_may_come_in_any_pieces(version: Version) {
    let mut out = karere_proto::SendBuf::new();
    for line in ["CONNACK", "PUBLISH q1 7 a", "PUBLISH q2 8 b", "PUBREL 9", "PUBLISH q0 c"] {
        parse(line).encode(version.rules(), &mut out);
    }
    let bytes = out.to_vec();
    for size in 1..=bytes.len() {
        let mut talk = Talk::new(config(version));
        talk.opens();
        for piece in bytes.chunks(size) {
            talk.server_sends_bytes(piece);
        }
        talk.told(["connected", "message q1 a", "message q2 b", "message q0 c"]);
    }
}

every_version! {
    after_puback_the_same_identifier_is_a_new_message,
    early_pubrel_is_completed_and_holds_nothing_back,
    held_identifier_is_answered_again_and_not_delivered_again,
    held_identifiers_survive_the_connection,
    late_acknowledgement_at_qos_2_answers_the_repetition,
    late_puback_is_not_sent_on_a_new_connection,
    message_repeated_before_it_was_acknowledged_is_answered_all_the_same,
    packets_may_come_in_any_pieces,
    pubacks_leave_in_order_of_arrival,
    publish_with_identifier_0_closes,
    pubrecs_leave_in_order_of_arrival_and_pubacks_for_themselves,
    qos_0_needs_no_answer,
    qos_1_is_answered_by_puback_once_the_application_is_done,
    qos_1_with_an_identifier_held_at_qos_2_closes,
    qos_1_with_an_identifier_that_is_not_answered_closes,
    qos_2_is_delivered_at_publish_and_released_by_pubrel,
    qos_2_with_an_identifier_in_use_at_qos_1_closes,
}

before_5! {
    refusing_is_not_in_earlier_versions,
}

#[test]
fn delivery_of_a_session_that_was_started_over_answers_nothing_of_the_new_one() {
    let mut talk = Talk::connected(Version::V5);
    talk.server_says("PUBLISH q1 7 old");
    talk.told(["message q1 old"]);
    let old = talk.delivery("old");
    let first = talk.publishes("a", Q1);
    talk.session = talk.session.renew(talk.now, config(Version::V5)).unwrap();
    talk.opens();
    talk.server_says("CONNACK");
    talk.server_says("PUBLISH q1 7 new");
    talk.told(["connected", "message q1 new"]);
    talk.session.acknowledge(old);
    talk.client_says([]);
    talk.acknowledges("new");
    talk.client_says(["PUBACK 7"]);
    assert!(talk.publishes("a", Q1) > first, "tokens go on counting");
}
