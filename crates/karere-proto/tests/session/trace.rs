//! The record of passing packets: complete, and without payloads and secrets.

use bytes::Bytes;
use karere_proto::{PropertyId, Publish, Value, Version, packet::Will};

use super::kit::*;

const SECRET: &str = "s3cr3t";

fn trace_of(talk: &mut Talk) -> Vec<String> {
    std::iter::from_fn(|| talk.session.poll_trace()).map(|line| line.to_string()).collect()
}

fn every_packet_is_traced_both_ways(version: Version) {
    let mut talk = Talk::new(config(version));
    talk.session.trace_on();
    talk.opens();
    talk.server_says("CONNACK");
    talk.subscribes("a");
    talk.publishes("a", Q2);
    talk.server_says("SUBACK 1 0x02");
    talk.server_says("PUBREC 2");
    talk.server_says("PUBCOMP 2");
    talk.server_says("PUBLISH q1 1 a");
    talk.acknowledges("a");
    talk.sent();
    talk.passes(SECOND * 60);
    talk.server_says("PINGRESP");
    talk.disconnects(karere_proto::packet::Disconnect::NORMAL);
    let traced = trace_of(&mut talk);
    let kinds = traced.iter().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect::<Vec<_>>();
    let expected = [
        "sending CONNECT",
        "received CONNACK",
        "sending SUBSCRIBE",
        "sending PUBLISH",
        "received SUBACK",
        "received PUBREC",
        "sending PUBREL",
        "received PUBCOMP",
        "received PUBLISH",
        "sending PUBACK",
        "sending PINGREQ",
        "received PINGRESP",
        "sending DISCONNECT",
    ];
    assert_eq!(kinds, expected);
}

fn trace_has_neither_payloads_nor_passwords(version: Version) {
    let mut config = config(version);
    config.connect.user_name = Some(text("user"));
    config.connect.password = Some(Bytes::from_static(SECRET.as_bytes()));
    config.connect.will = Some(Will::from(Publish::new("will", SECRET).unwrap()));
    if version == Version::V5 {
        config.connect.properties = properties([
            (PropertyId::AuthenticationMethod, Value::Str("m")),
            (PropertyId::AuthenticationData, Value::Bin(SECRET.as_bytes())),
        ]);
    }
    let mut talk = Talk::new(config);
    talk.session.trace_on();
    talk.opens();
    if version == Version::V5 {
        talk.server_sends(&connack([(PropertyId::AuthenticationMethod, Value::Str("m"))]));
    } else {
        talk.server_says("CONNACK");
    }
    for qos in [Q0, Q1] {
        talk.publishes_message(Publish::new("topic", SECRET).unwrap().qos(qos));
    }
    let mut received = karere_proto::packet::PublishPacket::new(
        Publish::new("topic", SECRET).unwrap(),
        None,
        karere_proto::packet::Attempt::First,
    );
    if version == Version::V5 {
        received.properties = properties([(PropertyId::CorrelationData, Value::Bin(SECRET.as_bytes()))]);
    }
    talk.server_sends(&karere_proto::Packet::Publish(received));
    let traced = trace_of(&mut talk);
    assert_eq!(traced.len(), 5, "{traced:#?}");
    assert!(traced.iter().all(|line| !line.contains(SECRET)), "{traced:#?}");
    assert!(traced.iter().any(|line| line.contains("topic") && line.contains("6 bytes")), "{traced:#?}");
    let heard = talk.take_heard();
    let shown = format!("{heard:?} {:?}", talk.session);
    assert!(!shown.contains(SECRET), "{shown}");
}

fn trace_is_off_unless_asked_for(version: Version) {
    let mut talk = Talk::connected(version);
    assert_eq!(talk.session.poll_trace(), None);
    talk.session.trace_on();
    talk.publishes("a", Q0);
    talk.session.trace_off();
    assert_eq!(talk.session.poll_trace(), None);
}

every_version! {
    every_packet_is_traced_both_ways,
    trace_has_neither_payloads_nor_passwords,
    trace_is_off_unless_asked_for,
}
