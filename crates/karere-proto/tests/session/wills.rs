//! Wills from the client's side: what CONNECT says of them, on every connection, and which DISCONNECT keeps them (§3.1.2.5,
//! §3.1.3.2, §3.14).

use std::time::Duration;

use karere_proto::{
    Packet, Properties, PropertyId, Publish, ReasonCode, Rule, Value, Version,
    packet::{Disconnect, Will},
    session::{Cause, CloseCause},
};

use super::kit::*;

/// Everything that a will can say of itself.
fn eloquent() -> Will {
    let mut will = Will::from(Publish::new("rooms/7/state", "gone").unwrap().qos(Q2).retained());
    will.properties = properties([
        (PropertyId::WillDelayInterval, Value::U32(30)),
        (PropertyId::PayloadFormatIndicator, Value::Byte(1)),
        (PropertyId::MessageExpiryInterval, Value::U32(3_600)),
        (PropertyId::ContentType, Value::Str("text/plain")),
        (PropertyId::ResponseTopic, Value::Str("rooms/7/answers")),
        (PropertyId::CorrelationData, Value::Bin(&[0, 255, 7])),
        (PropertyId::UserProperty, Value::Pair("k", "2")),
        (PropertyId::UserProperty, Value::Pair("a", "1")),
        (PropertyId::UserProperty, Value::Pair("k", "2")),
        (PropertyId::UserProperty, Value::Pair("k", "0")),
    ]);
    will
}

#[track_caller]
fn is_eloquent(will: Option<Will>) {
    let will = will.unwrap();
    assert_eq!(
        (will.topic.as_str(), &will.payload[..], will.qos, will.retain),
        ("rooms/7/state", &b"gone"[..], Q2, true)
    );
    let said: &Properties = &will.properties;
    assert_eq!(said.will_delay(), Some(Duration::from_secs(30)));
    assert_eq!(said.get(PropertyId::PayloadFormatIndicator), Some(Value::Byte(1)));
    assert_eq!(said.message_expiry(), Some(Duration::from_secs(3_600)));
    assert_eq!(said.content_type(), Some("text/plain"));
    assert_eq!(said.get(PropertyId::ResponseTopic), Some(Value::Str("rooms/7/answers")));
    assert_eq!(said.get(PropertyId::CorrelationData), Some(Value::Bin(&[0, 255, 7])));
    assert_eq!(said.user().collect::<Vec<_>>(), [("k", "2"), ("a", "1"), ("k", "2"), ("k", "0")], "in their order");
}

#[test]
fn connect_carries_every_property_of_the_will() {
    let mut config = config(Version::V5);
    config.connect.will = Some(eloquent());
    is_eloquent(Talk::new(config).opens().will);
}

#[test]
fn properties_of_the_will_are_not_those_of_connect() {
    let mut config = config(Version::V5);
    config.connect.will = Some(eloquent());
    config.connect.properties = properties([(PropertyId::UserProperty, Value::Pair("of", "connect"))]);
    let connect = Talk::new(config).opens();
    assert_eq!(connect.properties.user().collect::<Vec<_>>(), [("of", "connect")]);
    assert_eq!(connect.properties.message_expiry(), None);
    is_eloquent(connect.will);
}

/// Nothing counts a will's intervals down here: the server does, from the end of the connection.
#[test]
fn every_connect_carries_the_same_will_however_late() {
    let mut config = config(Version::V5);
    config.connect.will = Some(eloquent());
    config.connect.keep_alive = 0;
    let mut talk = Talk::new(config);
    for answer in ["CONNACK", "CONNACK present", "CONNACK"] {
        is_eloquent(talk.opens().will);
        talk.server_says(answer);
        talk.passes(SECOND * 10_000);
        talk.drops_connection();
    }
}

#[test]
fn will_that_expires_or_waits_0_seconds_says_so() {
    let mut config = config(Version::V5);
    let mut will = Will::from(message("w", Q0));
    will.properties = properties([
        (PropertyId::WillDelayInterval, Value::U32(0)),
        (PropertyId::MessageExpiryInterval, Value::U32(u32::MAX)),
    ]);
    config.connect.will = Some(will);
    let said = Talk::new(config).opens().will.unwrap().properties;
    assert_eq!(said.will_delay(), Some(Duration::ZERO));
    assert_eq!(said.message_expiry(), Some(Duration::from_secs(u64::from(u32::MAX))));
}

#[test]
fn without_properties_the_will_has_its_defaults() {
    let mut config = config(Version::V5);
    config.connect.will = Some(message("w", Q0).into());
    let will = Talk::new(config).opens().will.unwrap();
    assert!(will.properties.is_empty() && !will.retain);
}

#[test]
fn disconnect_that_keeps_the_will_says_so_and_leaves_it_configured() {
    let mut config = config(Version::V5);
    config.connect.will = Some(eloquent());
    let mut talk = Talk::connected_with(config);
    talk.disconnects(Disconnect::WITH_WILL);
    talk.publishes("late", Q0);
    assert_eq!(talk.sent(), [Packet::Disconnect(Disconnect::new(ReasonCode::DisconnectWithWillMessage))]);
    assert_eq!(talk.close(), Cause::Requested);
    is_eloquent(talk.opens().will);
}

/// 0x00 would delete the will; errors and silence keep it [MQTT-3.14.4-3].
fn only_a_normal_disconnect_takes_the_will_back(version: Version) {
    let connected = || {
        let mut config = config(version);
        config.connect.will = Some(message("gone", Q1).into());
        Talk::connected_with(config)
    };
    let mut talk = connected();
    talk.disconnects(Disconnect::NORMAL);
    talk.client_says(["DISCONNECT"]);

    let mut talk = connected();
    talk.server_sends_bytes(&[0x30, 0]); // no topic
    talk.client_closes_for(Rule::Truncated); // 0x81, or before 5.0 not a word

    let mut talk = connected();
    talk.passes(SECOND * 60);
    talk.client_says(["PINGREQ"]);
    talk.passes(SECOND * 60);
    talk.client_says([]);
    assert_eq!(talk.close(), Cause::KeepAliveTimeout);

    let mut talk = connected();
    talk.session.handle_closed(CloseCause::Abandoned);
    talk.client_says([]);
}

fn will_of_the_next_connection_can_be_another_or_none(version: Version) {
    let mut talk = Talk::new(config(version));
    assert_eq!(talk.opens().will, None);
    talk.server_says("CONNACK");
    let will = Will::from(message("gone", Q1).retained());
    talk.reconfigures(|config| config.connect.will = Some(will.clone())).unwrap();
    talk.client_says([]); // a server learns of a will by CONNECT alone
    talk.drops_connection();
    assert_eq!(talk.opens().will, Some(will));
    talk.server_says("CONNACK");
    talk.reconfigures(|config| config.connect.will = None).unwrap();
    talk.drops_connection();
    assert_eq!(talk.opens().will, None);
}

every_version! {
    only_a_normal_disconnect_takes_the_will_back,
    will_of_the_next_connection_can_be_another_or_none,
}
