//! What clients are known to get wrong and no other file asks about; each number is a row of `conformance/hard-cases.tsv`.

use karere_proto::{
    Packet, Properties, PropertyId, QoS, ReasonCode, Value, Version,
    packet::{Attempt, ConnAck, Disconnect, PublishPacket, Subscribe, SubscribeOptions},
    session::{Cause, CleanStart},
};

use super::kit::*;

/// The messages the application was told of, with their RETAIN and Subscription Identifiers.
fn messages(talk: &mut Talk) -> Vec<(String, bool, Vec<u32>)> {
    let heard = talk.take_heard();
    let messages = heard.iter().filter_map(|heard| match heard {
        Heard::Message { publish, .. } => {
            let identifiers = publish.properties.subscription_identifiers().collect();
            Some((publish.topic.as_str().to_owned(), publish.retain, identifiers))
        }
        Heard::Other(_) => None,
    });
    messages.collect()
}

fn publish_of_server(name: &str, properties: Properties) -> Packet {
    Packet::Publish(PublishPacket::new(message(name, Q0).properties(properties), None, Attempt::First))
}

// 38
#[test]
fn refusal_of_the_will_is_told_with_its_reason_and_costs_no_state() {
    for reason in [ReasonCode::QoSNotSupported, ReasonCode::RetainNotSupported] {
        let mut config = config(Version::V5);
        config.connect.will = Some(message("gone", Q2).retained().into());
        let mut talk = Talk::new(config);
        talk.publishes("a", Q1);
        let connect = talk.opens();
        assert!(connect.will.is_some_and(|will| will.retain && will.qos == QoS::ExactlyOnce));
        talk.server_sends(&Packet::ConnAck(ConnAck::new(reason)));
        talk.client_says([]);
        let cause = talk.close();
        assert!(matches!(cause, Cause::Refused(_)), "{cause}");
        assert_eq!(cause.reason(), Some(reason));
        talk.reconfigures(|config| config.connect.will = None).unwrap();
        assert!(talk.opens().will.is_none());
        talk.server_says("CONNACK");
        talk.client_says(["PUBLISH q1 1 a"]);
    }
}

// 51
#[test]
fn nothing_but_auth_is_sent_while_authentication_goes_on_not_even_pingreq() {
    let mut config = config(Version::V5);
    config.connect.keep_alive = 1;
    config.connect.properties = properties([(PropertyId::AuthenticationMethod, Value::Str("m"))]);
    let mut talk = Talk::new(config);
    talk.opens();
    talk.publishes("a", Q0);
    talk.publishes("b", Q1);
    talk.subscribes("c");
    talk.unsubscribes("d");
    talk.passes(SECOND * 3);
    talk.client_says([]);
    talk.server_sends(&Packet::Auth(auth(ReasonCode::ContinueAuthentication, "m")));
    talk.session.authenticate(auth(ReasonCode::ContinueAuthentication, "m")).unwrap();
    talk.client_says(["AUTH 0x18"]);
    talk.server_sends(&connack([(PropertyId::AuthenticationMethod, Value::Str("m"))]));
    assert_eq!(talk.said().len(), 4, "what waited goes now");
}

// 54
#[test]
fn authenticating_again_in_vain_ends_the_connection_with_a_reason() {
    let mut config = config(Version::V5);
    config.connect.properties = properties([(PropertyId::AuthenticationMethod, Value::Str("m"))]);
    let mut talk = Talk::connected_to(config, [(PropertyId::AuthenticationMethod, Value::Str("m"))]);
    talk.session.authenticate(auth(ReasonCode::ReAuthenticate, "m")).unwrap();
    talk.client_says(["AUTH 0x19"]);
    talk.server_sends(&Packet::Auth(auth(ReasonCode::ContinueAuthentication, "m"))); // no answer the client believes
    talk.told(["auth 0x18"]);
    talk.disconnects(Disconnect::new(ReasonCode::UnspecifiedError));
    talk.client_says(["DISCONNECT 0x80"]);
    assert_eq!(talk.close(), Cause::Requested);
}

// 48
#[test]
fn clean_start_of_the_first_connection_is_not_repeated_by_those_that_follow() {
    let mut config = config(Version::V5);
    config.clean_start = CleanStart::FirstOnly;
    let mut talk = Talk::new(config);
    assert!(talk.opens().clean_start);
    talk.server_says("CONNACK");
    talk.publishes("a", Q1);
    talk.client_says(["PUBLISH q1 1 a"]);
    for _ in 0..2 {
        talk.drops_connection();
        assert!(!talk.opens().clean_start);
        talk.server_says("CONNACK present");
        talk.client_says(["PUBLISH q1 1 dup a"]);
    }
}

/// Topic and alias of each PUBLISH that was sent.
fn names(talk: &mut Talk) -> Vec<(String, Option<u16>)> {
    let sent = talk.sent();
    let publishes = sent.iter().filter_map(|packet| match packet {
        Packet::Publish(publish) => {
            let topic = publish.topic.as_ref().map_or("", |topic| topic.as_str());
            Some((topic.to_owned(), publish.properties.topic_alias()))
        }
        _ => None,
    });
    publishes.collect()
}

fn full_window() -> Talk {
    let mut config = config(Version::V5);
    config.max_in_flight = at_most(1);
    let mut talk = Talk::connected_to(config, [(PropertyId::TopicAliasMaximum, Value::U16(5))]);
    talk.publishes("site/first", Q1);
    assert_eq!(names(&mut talk), [("site/first".to_owned(), Some(1))]);
    talk
}

// 67
#[test]
fn alias_is_set_by_what_is_written_first_not_by_what_was_published_first() {
    let mut talk = full_window();
    talk.publishes("site/other", Q1); // waits for the window
    talk.publishes("site/other", Q0); // overtakes it
    assert_eq!(names(&mut talk), [("site/other".to_owned(), Some(2))]);
    talk.server_says("PUBACK 1");
    assert_eq!(names(&mut talk), [(String::new(), Some(2))]);
}

// 67
#[test]
fn message_that_is_given_up_unsent_sets_no_alias() {
    let mut talk = full_window();
    talk.publishes("site/other", Q1);
    talk.session.drop_messages();
    talk.publishes("site/other", Q0);
    assert_eq!(names(&mut talk), [("site/other".to_owned(), Some(2))]);
}

// 83
fn message_of_which_one_byte_may_have_left_is_sent_again_with_dup_and_its_identifier(version: Version) {
    for qos in [Q1, Q2] {
        let mut talk = Talk::connected(version);
        talk.publishes("a", qos);
        talk.transport_takes(1);
        talk.resumes();
        assert_eq!(talk.said(), [format!("PUBLISH q{qos} 1 dup a")]);
    }
}

// 95
fn message_that_nobody_subscribed_to_is_answered_by_its_qos(version: Version) {
    let mut talk = Talk::connected(version);
    for line in ["PUBLISH q0 x", "PUBLISH q1 7 y", "PUBLISH q2 8 z"] {
        talk.server_says(line);
    }
    for name in ["x", "y", "z"] {
        talk.acknowledges(name);
    }
    talk.client_says(["PUBACK 7", "PUBREC 8"]);
    talk.server_says("PUBREL 8");
    talk.client_says(["PUBCOMP 8"]);
}

// 101
#[test]
fn subscription_identifiers_are_taken_however_many_equal_or_unknown_they_are() {
    let mut talk = Talk::connected(Version::V5);
    let mut identifiers = Properties::new();
    for identifier in [7, 7, 268_435_455] {
        identifiers.add_subscription_identifier(identifier).unwrap();
    }
    talk.server_sends(&publish_of_server("x", identifiers));
    assert_eq!(messages(&mut talk), [("x".to_owned(), false, vec![7, 7, 268_435_455])]);
    talk.client_says([]);
}

// 102
fn same_message_twice_is_delivered_twice(version: Version) {
    let mut talk = Talk::connected(version);
    for line in
        ["PUBLISH q0 x", "PUBLISH q0 x", "PUBLISH q1 7 x", "PUBLISH q1 8 x", "PUBLISH q2 9 x", "PUBLISH q2 10 x"]
    {
        talk.server_says(line);
    }
    assert_eq!(messages(&mut talk).len(), 6);
}

// 103
fn retain_of_a_message_is_told_as_it_came(version: Version) {
    let mut talk = Talk::connected(version);
    talk.server_says("PUBLISH q1 7 retain x");
    talk.server_says("PUBLISH q1 8 x");
    talk.server_says("PUBLISH q0 retain x");
    let retained = messages(&mut talk).iter().map(|(_, retain, _)| *retain).collect::<Vec<_>>();
    assert_eq!(retained, [true, false, true]);
    for _ in 0..2 {
        talk.acknowledges("x");
    }
    talk.client_says(["PUBACK 7", "PUBACK 8"]);
}

// 113
fn same_filter_twice_in_one_request_is_one_subscription_with_two_codes(version: Version) {
    let mut talk = Talk::connected(version);
    let twice = Subscribe::new("a", SubscribeOptions::new(Q0)).unwrap().and("a", SubscribeOptions::new(Q2)).unwrap();
    talk.subscribes_with(twice);
    talk.client_says(["SUBSCRIBE 1 a a"]);
    talk.server_says("SUBACK 1 0x00 0x02");
    talk.told(["a a 1 subscribed 0x00 0x02"]);
    let granted = talk.session.subscriptions().map(|(filter, granted)| (filter.to_string(), granted.options.qos));
    assert_eq!(granted.collect::<Vec<_>>(), [("a".to_owned(), Q2)], "the last one holds");
}

// 114
#[test]
fn unsubscribing_without_the_share_leaves_the_shared_subscription_and_is_no_failure() {
    let mut talk = Talk::connected(Version::V5);
    talk.subscribes("$share/g/a");
    talk.server_says("SUBACK 1 0x02");
    talk.unsubscribes("a");
    talk.client_says(["SUBSCRIBE 1 $share/g/a", "UNSUBSCRIBE 2 a"]);
    talk.server_says("UNSUBACK 2 0x11");
    talk.told(["$share/g/a 1 subscribed 0x02", "a 2 unsubscribed 0x11"]);
    assert_eq!(talk.session.subscriptions().map(|(filter, _)| filter.to_string()).collect::<Vec<_>>(), ["$share/g/a"]);
    talk.unsubscribes("$share/g/a");
    talk.client_says(["UNSUBSCRIBE 3 $share/g/a"]);
    talk.server_says("UNSUBACK 3 0x00");
    assert_eq!(talk.session.subscriptions().count(), 0);
}

every_version! {
    message_of_which_one_byte_may_have_left_is_sent_again_with_dup_and_its_identifier,
    message_that_nobody_subscribed_to_is_answered_by_its_qos,
    retain_of_a_message_is_told_as_it_came,
    same_filter_twice_in_one_request_is_one_subscription_with_two_codes,
    same_message_twice_is_delivered_twice,
}
