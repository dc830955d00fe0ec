//! What a session takes beyond the specification when it is told to, and what of a packet's form it passes on.

use bytes::Bytes;
use karere_proto::{
    PropertyId, ReasonCode, Rule, Value, Version,
    packet::{Bridge, DisconnectForm, ReceivedTopics},
    session::{AckOrder, Cause, ClientIdLength, ConfigError, Event, UnexpectedAnswers},
};

use super::kit::*;

/// PUBLISH at QoS 1, identifier 5, of a topic that is not UTF-8.
const NOT_UTF8: [u8; 8] = [0x32, 6, 0, 2, b'a', 0xFF, 0, 5];

fn bytes_of(version: Version) -> Vec<u8> {
    let mut bytes = NOT_UTF8.to_vec();
    if version == Version::V5 {
        bytes[1] += 1;
        bytes.push(0);
    }
    bytes
}

fn a_topic_that_is_not_utf8_breaks_the_protocol(version: Version) {
    let mut talk = Talk::connected(version);
    talk.server_sends_bytes(&bytes_of(version));
    talk.client_closes_for(Rule::Utf8);
}

fn unless_the_application_wants_such_messages(version: Version) {
    let mut config = config(version);
    config.received_topics = ReceivedTopics::Lenient;
    let mut talk = Talk::connected_with(config);
    talk.server_sends_bytes(&bytes_of(version));
    let heard = talk.take_heard();
    let [Heard::Other(Event::Undecodable { topic, publish, delivery, .. })] = &heard[..] else {
        panic!("{heard:?}");
    };
    assert_eq!(topic, &Bytes::from_static(b"a\xFF"));
    assert_eq!(publish.topic.as_str(), "a\u{FFFD}");
    assert_eq!(delivery.packet_id(), Some(id(5)));
    for heard in heard {
        if let Heard::Other(Event::Undecodable { delivery, .. }) = heard {
            talk.session.acknowledge(delivery);
        }
    }
    talk.client_says(["PUBACK 5"]);
    talk.server_says("PUBLISH q0 b");
    talk.told(["message q0 b"]);
}

#[test]
fn a_topic_that_is_left_out_for_its_alias_is_none_of_those() {
    let mut config = config(Version::V5);
    config.received_topics = ReceivedTopics::Lenient;
    config.connect.properties = properties([(PropertyId::TopicAliasMaximum, Value::U16(1))]);
    let mut talk = Talk::connected_with(config);
    talk.server_sends_bytes(&[0x30, 7, 0, 1, b'a', 3, 0x23, 0, 1]);
    talk.server_sends_bytes(&[0x30, 6, 0, 0, 3, 0x23, 0, 1]);
    talk.told(["message q0 a", "message q0 a"]);
}

fn a_wildcard_in_a_received_topic_is_never_taken(version: Version) {
    let mut config = config(version);
    config.received_topics = ReceivedTopics::Lenient;
    let mut talk = Talk::connected_with(config);
    let mut bytes = bytes_of(version);
    bytes[5] = b'#';
    talk.server_sends_bytes(&bytes);
    talk.client_closes_for(Rule::TopicWildcard);
}

#[test]
fn in_3_1_a_longer_client_identifier_is_taken_when_asked() {
    let mut config = config(Version::V31);
    config.connect.client_id = text("a-client-identifier-of-30-bytes");
    assert_eq!(config.check(), Err(ConfigError::ClientIdLength(31)));
    config.client_id_length = ClientIdLength::Any;
    assert_eq!(config.check(), Ok(()));
    assert_eq!(Talk::new(config.clone()).opens().client_id.as_str(), "a-client-identifier-of-30-bytes");
    config.connect.client_id = text("");
    assert_eq!(config.check(), Err(ConfigError::ClientIdLength(0)), "an empty one means nothing there");
}

fn a_bridge_says_so_before_5(version: Version) {
    let mut config = config(version);
    config.connect.bridge = Bridge::Yes;
    let said = Talk::new(config).opens();
    assert_eq!(said.version, version);
    assert_eq!(said.bridge, if version == Version::V5 { Bridge::No } else { Bridge::Yes });
}

#[test]
fn the_form_of_a_disconnect_is_told() {
    for (bytes, form, reason) in [
        (&[0xE0, 0][..], DisconnectForm::Empty, ReasonCode::Success),
        (&[0xE0, 1, 0x00], DisconnectForm::Reason, ReasonCode::Success),
        (&[0xE0, 1, 0x87], DisconnectForm::Reason, ReasonCode::NotAuthorized),
        (&[0xE0, 2, 0x87, 0], DisconnectForm::Full, ReasonCode::NotAuthorized),
    ] {
        let mut talk = Talk::connected(Version::V5);
        talk.server_sends_bytes(bytes);
        match talk.close() {
            Cause::Server(disconnect) => assert_eq!((disconnect.form, disconnect.reason), (form, reason), "{bytes:x?}"),
            other => panic!("{other}"),
        }
    }
}

fn the_return_code_of_a_refusal_is_told_as_it_came(version: Version) {
    for (code, reason) in [(1, ReasonCode::UnsupportedProtocolVersion), (9, ReasonCode::UnspecifiedError)] {
        let mut talk = Talk::new(config(version));
        talk.opens();
        talk.server_sends_bytes(&[0x20, 2, 0, code]);
        match talk.close() {
            Cause::Refused(ack) => assert_eq!((ack.return_code, ack.reason), (Some(code), reason)),
            other => panic!("{other}"),
        }
    }
}

fn an_answer_to_nothing_is_told_when_the_application_wants_that(version: Version) {
    let mut config = config(version);
    config.unexpected_answers = UnexpectedAnswers::Tell;
    let mut talk = Talk::connected_with(config);
    talk.publishes("a", Q2);
    for said in ["PUBACK 7", "SUBACK 7 0x00", "UNSUBACK 7 0x00"] {
        talk.server_says(said);
        let heard = talk.take_heard();
        let [Heard::Other(Event::Unexpected(packet))] = &heard[..] else { panic!("{heard:?}") };
        assert_eq!(packet.to_string().split(' ').take(2).collect::<Vec<_>>(), [said.split(' ').next().unwrap(), "m7"]);
    }
    talk.server_says("PUBREC 1");
    talk.client_says(["PUBLISH q2 1 a", "PUBREL 1"]);
    talk.server_says("SUBACK 1 0x00");
    talk.client_closes_for(Rule::SubAckUnknown);
}

fn acknowledgements_leave_as_they_are_given_when_that_is_asked_for(version: Version) {
    for (order, expected) in
        [(AckOrder::Received, &[] as &[&str]), (AckOrder::Given, &["PUBACK 3", "PUBACK 2", "PUBREC 5"])]
    {
        let mut config = config(version);
        config.ack_order = order;
        let mut talk = Talk::connected_with(config);
        for said in ["PUBLISH q1 1 a", "PUBLISH q1 2 b", "PUBLISH q1 3 c", "PUBLISH q2 4 d", "PUBLISH q2 5 e"] {
            talk.server_says(said);
        }
        for name in ["c", "b", "e"] {
            talk.acknowledges(name);
        }
        assert_eq!(talk.said(), expected);
    }
}

every_version! {
    acknowledgements_leave_as_they_are_given_when_that_is_asked_for,
    an_answer_to_nothing_is_told_when_the_application_wants_that,
    a_bridge_says_so_before_5,
    a_topic_that_is_not_utf8_breaks_the_protocol,
    a_wildcard_in_a_received_topic_is_never_taken,
    the_return_code_of_a_refusal_is_told_as_it_came,
    unless_the_application_wants_such_messages,
}
