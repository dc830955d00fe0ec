//! Messages on their way out: the cells of the QoS 1 and QoS 2 senders, and acknowledgements that fit nothing.

use karere_proto::{
    Packet, PropertyId, ReasonCode, Rule, Value, Version,
    packet::{Ack, AckKind},
    session::{Event, Outcome},
};

use super::kit::*;

// QoS 0

fn qos_0_is_acknowledged_once_the_transport_has_taken_it(version: Version) {
    let mut talk = Talk::connected(version);
    talk.publishes("a", Q0);
    talk.publishes("b", Q0);
    let size = talk_size(version, "PUBLISH q0 a");
    talk.transport_takes(size - 1);
    talk.told([]);
    talk.transport_takes(1);
    talk.told(["a acknowledged"]);
    talk.client_says(["PUBLISH q0 a", "PUBLISH q0 b"]);
    talk.told(["b acknowledged"]);
}

fn qos_0_is_unknown_when_the_connection_is_lost_before_it_was_written(version: Version) {
    let mut talk = Talk::connected(version);
    talk.publishes("a", Q0);
    talk.publishes("b", Q0);
    talk.transport_takes(talk_size(version, "PUBLISH q0 a"));
    talk.drops_connection();
    talk.told(["a acknowledged", "b unknown"]);
    talk.opens();
    talk.server_says("CONNACK present");
    talk.client_says([]);
}

fn qos_0_takes_no_identifier_and_no_quota(version: Version) {
    let mut config = config(version);
    config.max_in_flight = at_most(1);
    let mut talk = Talk::connected_with(config);
    talk.publishes("a", Q1);
    talk.publishes("b", Q1);
    talk.publishes("c", Q0);
    talk.client_says(["PUBLISH q1 1 a", "PUBLISH q0 c"]);
}

// QoS 1, state P

fn puback_completes_the_message_and_frees_its_place(version: Version) {
    let mut config = config(version);
    config.max_in_flight = at_most(1);
    let mut talk = Talk::connected_with(config);
    let token = talk.publishes("a", Q1);
    talk.publishes("b", Q1);
    talk.client_says(["PUBLISH q1 1 a"]);
    assert_eq!(talk.session.packet_id(token), Some(id(1)));
    assert_eq!(talk.session.in_flight(), 1);
    talk.server_says("PUBACK 1");
    talk.told(["a 1 acknowledged"]);
    assert_eq!(talk.session.packet_id(token), None);
    talk.client_says(["PUBLISH q1 2 b"]);
}

#[test]
fn puback_without_subscribers_is_a_success_that_says_so() {
    let mut talk = Talk::connected(Version::V5);
    talk.publishes("a", Q1);
    talk.server_says("PUBACK 1 0x10");
    talk.told(["a 1 acknowledged 0x10"]);
}

#[test]
fn puback_of_failure_refuses_the_message_for_good() {
    let mut config = config(Version::V5);
    config.max_in_flight = at_most(1);
    let mut talk = Talk::connected_with(config);
    talk.publishes("a", Q1);
    talk.publishes("b", Q1);
    talk.client_says(["PUBLISH q1 1 a"]);
    talk.server_says("PUBACK 1 0x97");
    talk.told(["a 1 refused 0x97"]);
    talk.client_says(["PUBLISH q1 2 b"]);
    talk.resumes();
    talk.client_says(["PUBLISH q1 2 dup b"]);
}

fn pubrec_for_a_qos_1_message_closes(version: Version) {
    let mut talk = Talk::connected(version);
    talk.publishes("a", Q1);
    talk.client_says(["PUBLISH q1 1 a"]);
    talk.server_says("PUBREC 1");
    talk.client_closes_for(Rule::AckMismatch);
    talk.told([]);
    returns_with(&mut talk, ["PUBLISH q1 1 dup a"]);
}

fn pubcomp_for_a_qos_1_message_closes(version: Version) {
    let mut talk = Talk::connected(version);
    talk.publishes("a", Q1);
    talk.client_says(["PUBLISH q1 1 a"]);
    talk.server_says("PUBCOMP 1");
    talk.client_closes_for(Rule::AckMismatch);
}

fn nothing_is_sent_again_on_the_same_connection(version: Version) {
    let mut config = config(version);
    config.connect.keep_alive = 0;
    let mut talk = Talk::connected_with(config);
    talk.publishes("a", Q1);
    talk.publishes("b", Q2);
    talk.publishes("c", Q2);
    talk.client_says(["PUBLISH q1 1 a", "PUBLISH q2 2 b", "PUBLISH q2 3 c"]);
    talk.server_says("PUBREC 3");
    talk.client_says(["PUBREL 3"]);
    talk.passes(SECOND * 1_000_000);
    talk.client_says([]);
    talk.told([]);
}

// QoS 2, states P and R

fn qos_2_is_acknowledged_at_pubcomp(version: Version) {
    let mut talk = Talk::connected(version);
    talk.publishes("a", Q2);
    talk.client_says(["PUBLISH q2 1 a"]);
    talk.server_says("PUBREC 1");
    talk.told([]);
    talk.client_says(["PUBREL 1"]);
    talk.server_says("PUBCOMP 1");
    talk.told(["a 1 acknowledged"]);
    assert_eq!(talk.session.in_flight(), 0);
}

fn identifier_stays_busy_until_pubcomp(version: Version) {
    let mut talk = Talk::connected(version);
    let token = talk.publishes("a", Q2);
    talk.server_says("PUBREC 1");
    assert_eq!(talk.session.packet_id(token), Some(id(1)));
    assert_eq!(talk.session.in_flight(), 1);
    for number in 2..=u16::MAX {
        talk.subscribes("x");
        talk.server_says(&format!("SUBACK {number} 0x00"));
    }
    talk.sent();
    talk.tidings();
    talk.publishes("b", Q1);
    talk.client_says(["PUBLISH q1 2 b"]);
}

fn pubrec_again_is_answered_by_pubrel_again(version: Version) {
    let mut talk = Talk::connected(version);
    talk.publishes("a", Q2);
    talk.server_says("PUBREC 1");
    talk.server_says("PUBREC 1");
    talk.client_says(["PUBLISH q2 1 a", "PUBREL 1", "PUBREL 1"]);
    talk.server_says("PUBCOMP 1");
    talk.server_says("PUBCOMP 1");
    talk.told(["a 1 acknowledged"]);
    talk.client_says([]);
}

fn puback_for_a_qos_2_message_closes(version: Version) {
    let mut talk = Talk::connected(version);
    talk.publishes("a", Q2);
    talk.client_says(["PUBLISH q2 1 a"]);
    talk.server_says("PUBACK 1");
    talk.client_closes_for(Rule::AckMismatch);
}

fn puback_after_pubrec_closes(version: Version) {
    let mut talk = Talk::connected(version);
    talk.publishes("a", Q2);
    talk.server_says("PUBREC 1");
    talk.client_says(["PUBLISH q2 1 a", "PUBREL 1"]);
    talk.server_says("PUBACK 1");
    talk.client_closes_for(Rule::AckMismatch);
}

fn pubcomp_before_pubrec_closes(version: Version) {
    let mut talk = Talk::connected(version);
    talk.publishes("a", Q2);
    talk.client_says(["PUBLISH q2 1 a"]);
    talk.server_says("PUBCOMP 1");
    talk.client_closes_for(Rule::AckMismatch);
    returns_with(&mut talk, ["PUBLISH q2 1 dup a"]);
}

#[test]
fn pubcomp_not_found_before_pubrec_closes_too() {
    let mut talk = Talk::connected(Version::V5);
    talk.publishes("a", Q2);
    talk.client_says(["PUBLISH q2 1 a"]);
    talk.server_says("PUBCOMP 1 0x92");
    talk.client_closes_for(Rule::AckMismatch);
}

#[test]
fn pubrec_of_failure_ends_the_flow_without_pubrel() {
    let mut config = config(Version::V5);
    config.max_in_flight = at_most(1);
    let mut talk = Talk::connected_with(config);
    talk.publishes("a", Q2);
    talk.publishes("b", Q2);
    talk.client_says(["PUBLISH q2 1 a"]);
    talk.server_says("PUBREC 1 0x87");
    talk.told(["a 1 refused 0x87"]);
    talk.client_says(["PUBLISH q2 2 b"]);
    talk.resumes();
    talk.client_says(["PUBLISH q2 2 dup b"]);
}

#[test]
fn pubrec_of_failure_after_pubrec_closes() {
    let mut talk = Talk::connected(Version::V5);
    talk.publishes("a", Q2);
    talk.server_says("PUBREC 1");
    talk.client_says(["PUBLISH q2 1 a", "PUBREL 1"]);
    talk.server_says("PUBREC 1 0x87");
    talk.client_closes_for(Rule::AckMismatch);
}

#[test]
fn pubcomp_not_found_ends_the_flow_as_acknowledged() {
    let mut talk = Talk::connected(Version::V5);
    talk.publishes("a", Q2);
    talk.server_says("PUBREC 1 0x10");
    talk.server_says("PUBCOMP 1 0x92");
    talk.told(["a 1 acknowledged 0x92"]);
    assert_eq!(talk.session.in_flight(), 0);
}

// What PUBREC says beyond success

#[test]
fn pubrec_without_subscribers_is_told_at_pubcomp() {
    let mut talk = Talk::connected(Version::V5);
    talk.publishes("a", Q2);
    talk.publishes("b", Q2);
    talk.server_says("PUBREC 1 0x10");
    talk.server_says("PUBREC 2");
    talk.told([]);
    talk.server_says("PUBCOMP 1");
    talk.server_says("PUBCOMP 2");
    talk.told(["a 1 acknowledged 0x10", "b 2 acknowledged"]);
}

#[test]
fn properties_of_pubrec_are_told_at_pubcomp() {
    let mut talk = Talk::connected(Version::V5);
    talk.publishes("a", Q2);
    talk.server_sends(&with_reason_string("PUBREC 1", "kept"));
    talk.server_says("PUBCOMP 1");
    assert_eq!(why(&mut talk), (ReasonCode::Success, Some("kept".to_owned())));
}

#[test]
fn what_pubcomp_says_itself_is_told_instead() {
    let mut talk = Talk::connected(Version::V5);
    talk.publishes("a", Q2);
    talk.server_sends(&with_reason_string("PUBREC 1 0x10", "nobody"));
    talk.server_sends(&with_reason_string("PUBCOMP 1", "done"));
    assert_eq!(why(&mut talk), (ReasonCode::Success, Some("done".to_owned())));
    talk.publishes("b", Q2);
    talk.server_sends(&with_reason_string("PUBREC 2 0x10", "nobody"));
    talk.server_says("PUBCOMP 2 0x92");
    assert_eq!(why(&mut talk), (ReasonCode::PacketIdentifierNotFound, None));
}

#[test]
fn the_first_pubrec_is_told_and_no_repetition() {
    let mut talk = Talk::connected(Version::V5);
    talk.publishes("a", Q2);
    talk.server_says("PUBREC 1 0x10");
    talk.server_says("PUBREC 1");
    talk.client_says(["PUBLISH q2 1 a", "PUBREL 1", "PUBREL 1"]);
    talk.server_says("PUBCOMP 1");
    talk.told(["a 1 acknowledged 0x10"]);
}

#[test]
fn pubrec_of_an_earlier_connection_is_told_too_but_not_of_an_earlier_process() {
    for (how, outcome) in [(Return::Reconnect, "a 1 acknowledged 0x10"), (Return::Restart, "a 1 acknowledged")] {
        let mut talk = Talk::connected_with(journaled(Version::V5));
        talk.publishes("a", Q2);
        talk.commits();
        talk.sent();
        talk.server_says("PUBREC 1 0x10");
        talk.returns(how);
        talk.commits();
        talk.client_says(["PUBREL 1"]);
        talk.server_says("PUBCOMP 1");
        assert_eq!(talk.tidings().last().map(String::as_str), Some(outcome), "{how:?}");
    }
}

#[test]
fn pubrec_is_told_when_the_session_is_lost_before_pubcomp() {
    let mut talk = Talk::connected(Version::V5);
    talk.publishes("a", Q2);
    talk.server_sends(&with_reason_string("PUBREC 1 0x10", "nobody"));
    talk.loses_session();
    assert_eq!(why(&mut talk), (ReasonCode::NoMatchingSubscribers, Some("nobody".to_owned())));
    assert_eq!(talk.session.in_flight(), 0);
}

#[test]
fn pubrec_of_a_message_that_was_given_up_is_not_told() {
    let mut talk = Talk::connected(Version::V5);
    talk.publishes("a", Q2);
    talk.server_says("PUBREC 1 0x10");
    talk.session.drop_messages();
    talk.told(["a 1 unknown"]);
    talk.server_says("PUBCOMP 1");
    talk.told([]);
}

/// This acknowledgement with a Reason String.
fn with_reason_string(line: &str, why: &str) -> Packet {
    let Packet::Ack(Ack { kind, id, reason, .. }) = parse(line) else { panic!("no acknowledgement: {line}") };
    assert!(matches!(kind, AckKind::PubRec | AckKind::PubComp));
    let mut ack = Ack::with_reason(kind, id, reason);
    ack.properties = properties([(PropertyId::ReasonString, Value::Str(why))]);
    Packet::Ack(ack)
}

/// What the server said of the one message that it has acknowledged: Reason Code and Reason String.
#[track_caller]
fn why(talk: &mut Talk) -> (ReasonCode, Option<String>) {
    let mut told = talk.take_heard().into_iter().filter_map(|heard| match heard {
        Heard::Other(Event::Published { outcome: Outcome::Acknowledged { reason, properties }, .. }) => {
            Some((reason, properties.reason_string().map(str::to_owned)))
        }
        _ => None,
    });
    let only = told.next().expect("one is acknowledged");
    assert!(told.next().is_none(), "and no other");
    only
}

// Acknowledgements that fit nothing

fn puback_for_unknown_id_closes(version: Version) {
    let mut talk = Talk::connected(version);
    talk.publishes("a", Q1);
    talk.client_says(["PUBLISH q1 1 a"]);
    talk.server_says("PUBACK 2");
    talk.client_closes_for(Rule::AckUnknown);
    talk.told([]);
    returns_with(&mut talk, ["PUBLISH q1 1 dup a"]);
}

fn second_puback_closes(version: Version) {
    let mut talk = Talk::connected(version);
    talk.publishes("a", Q1);
    talk.client_says(["PUBLISH q1 1 a"]);
    talk.server_says("PUBACK 1");
    talk.server_says("PUBACK 1");
    talk.client_closes_for(Rule::AckUnknown);
    talk.told(["a 1 acknowledged"]);
}

fn pubrec_for_unknown_id_is_released(version: Version) {
    let mut talk = Talk::connected(version);
    talk.server_says("PUBREC 9");
    talk.client_says([if version == Version::V5 { "PUBREL 9 0x92" } else { "PUBREL 9" }]);
    talk.server_says("PUBCOMP 9");
    talk.client_says([]);
    talk.told([]);
    assert!(talk.session.is_connected());
}

#[test]
fn pubrec_of_failure_for_unknown_id_is_ignored() {
    let mut talk = Talk::connected(Version::V5);
    talk.server_says("PUBREC 9 0x80");
    talk.client_says([]);
    assert!(talk.session.is_connected());
}

fn pubrel_for_unknown_id_is_completed(version: Version) {
    let mut talk = Talk::connected(version);
    talk.server_says("PUBREL 9");
    talk.client_says([if version == Version::V5 { "PUBCOMP 9 0x92" } else { "PUBCOMP 9" }]);
    talk.told([]);
}

fn pubcomp_for_unknown_id_is_ignored(version: Version) {
    let mut talk = Talk::connected(version);
    talk.server_says("PUBCOMP 9");
    talk.client_says([]);
    assert!(talk.session.is_connected());
}

fn acknowledgements_of_a_request_close(version: Version) {
    for ack in ["PUBACK 1", "PUBREC 1", "PUBCOMP 1"] {
        let mut talk = Talk::connected(version);
        talk.subscribes("x");
        talk.client_says(["SUBSCRIBE 1 x"]);
        talk.server_says(ack);
        talk.client_closes_for(Rule::AckMismatch);
    }
}

fn acknowledgements_of_id_0_close(version: Version) {
    for first in [0x40, 0x50, 0x62, 0x70] {
        let mut talk = Talk::connected(version);
        talk.server_sends_bytes(&[first, 2, 0, 0]);
        talk.client_closes_for(Rule::PacketIdZero);
    }
    let suback: &[u8] = if version == Version::V5 { &[0x90, 4, 0, 0, 0, 0] } else { &[0x90, 3, 0, 0, 0] };
    let unsuback: &[u8] = if version == Version::V5 { &[0xB0, 4, 0, 0, 0, 0] } else { &[0xB0, 2, 0, 0] };
    for bytes in [suback, unsuback] {
        let mut talk = Talk::connected(version);
        talk.server_sends_bytes(bytes);
        talk.client_closes_for(Rule::PacketIdZero);
    }
}

#[test]
fn reason_codes_that_the_packet_may_not_carry_close() {
    for bytes in [&[0x62, 3, 0, 1, 0x80][..], &[0x70, 3, 0, 1, 0x87], &[0x40, 3, 0, 1, 0x92], &[0x50, 3, 0, 1, 0x18]] {
        let mut talk = Talk::connected(Version::V5);
        talk.server_sends_bytes(bytes);
        talk.client_closes_for(Rule::ReasonCodeNotAllowed);
    }
}

// Giving up

fn dropped_messages_are_told_and_their_flows_end_quietly(version: Version) {
    let mut config = config(version);
    config.max_in_flight = at_most(2);
    let mut talk = Talk::connected_with(config);
    talk.publishes("a", Q1);
    talk.publishes("b", Q2);
    talk.publishes("c", Q1);
    talk.server_says("PUBREC 2");
    talk.client_says(["PUBLISH q1 1 a", "PUBLISH q2 2 b", "PUBREL 2"]);
    talk.session.drop_messages();
    talk.told(["a 1 unknown", "b 2 unknown", "c given up"]);
    assert_eq!(talk.session.queued(), (0, 0));
    assert_eq!(talk.session.in_flight(), 2, "their identifiers are still the server's");
    talk.publishes("d", Q1);
    talk.client_says([]);
    talk.server_says("PUBACK 1");
    talk.server_says("PUBCOMP 2");
    talk.told([]);
    talk.client_says(["PUBLISH q1 3 d"]);
    assert_eq!(talk.session.in_flight(), 1);
}

fn messages_dropped_offline_are_given_up(version: Version) {
    let mut talk = Talk::new(config(version));
    talk.publishes("a", Q0);
    talk.publishes("b", Q1);
    talk.session.drop_messages();
    talk.told(["a given up", "b given up"]);
    talk.opens();
    talk.server_says("CONNACK");
    talk.client_says([]);
}

every_version! {
    acknowledgements_of_a_request_close,
    acknowledgements_of_id_0_close,
    dropped_messages_are_told_and_their_flows_end_quietly,
    identifier_stays_busy_until_pubcomp,
    messages_dropped_offline_are_given_up,
    nothing_is_sent_again_on_the_same_connection,
    puback_after_pubrec_closes,
    puback_completes_the_message_and_frees_its_place,
    puback_for_a_qos_2_message_closes,
    puback_for_unknown_id_closes,
    pubcomp_before_pubrec_closes,
    pubcomp_for_a_qos_1_message_closes,
    pubcomp_for_unknown_id_is_ignored,
    pubrec_again_is_answered_by_pubrel_again,
    pubrec_for_a_qos_1_message_closes,
    pubrec_for_unknown_id_is_released,
    pubrel_for_unknown_id_is_completed,
    qos_0_is_acknowledged_once_the_transport_has_taken_it,
    qos_0_is_unknown_when_the_connection_is_lost_before_it_was_written,
    qos_0_takes_no_identifier_and_no_quota,
    qos_2_is_acknowledged_at_pubcomp,
    second_puback_closes,
}

/// Bytes of a packet on the wire.
fn talk_size(version: Version, line: &str) -> usize {
    parse(line).size(version.rules())
}

/// The client connects anew, is resumed, and says this.
#[track_caller]
fn returns_with<const N: usize>(talk: &mut Talk, expected: [&str; N]) {
    talk.opens();
    talk.server_says("CONNACK present");
    talk.client_says(expected);
}
