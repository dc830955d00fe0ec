//! Limits that a configuration sets: announced, and enforced.

use core::num::{NonZeroU16, NonZeroU32};

use karere_broker::Config;
use karere_proto::{
    Packet, Properties, PropertyId, QoS, Value, Version,
    packet::{AckKind, Subscribe},
};

use crate::lab::*;

const Q0: QoS = QoS::AtMostOnce;

/// Connects and answers what CONNACK announced.
fn announced(config: Config) -> (Lab, Peer, Properties) {
    let mut lab = Lab::new(config);
    let peer = lab.dial(connect(V5, "a"));
    match lab.next_packet(peer) {
        Some(Packet::ConnAck(ack)) => (lab, peer, ack.properties),
        other => panic!("expected CONNACK, got {other:?}"),
    }
}

#[test]
fn without_limits_only_topic_aliases_are_announced() {
    let (_, _, properties) = announced(Config::new());
    assert_eq!(properties.iter().collect::<Vec<_>>(), [(PropertyId::TopicAliasMaximum, Value::U16(10))]);
}

#[test]
fn maximum_qos_is_kept_on_both_ways() {
    let (mut lab, peer, properties) = announced(Config::new().maximum_qos(QoS::AtLeastOnce));
    assert_eq!(properties.maximum_qos(), Some(QoS::AtLeastOnce));
    lab.send_subscribe(peer, 1, Subscribe::new("t", QoS::ExactlyOnce).expect("legal"));
    assert_eq!(lab.heard(peer), ["SUBACK 1 [01]"]);
    lab.publish(peer, 1, message("t", "m", QoS::ExactlyOnce));
    assert_eq!(lab.heard(peer), ["DISCONNECT 9b", "closed"]);
    let mut with_will = connect(V5, "a");
    with_will.will = will(message("t", "m", QoS::ExactlyOnce));
    let peer = lab.dial(with_will);
    assert_eq!(lab.heard(peer), ["CONNACK 9b", "closed"]);
}

#[test]
fn retain_can_be_unavailable() {
    let (mut lab, peer, properties) = announced(Config::new().without_retain());
    assert_eq!(properties.retain_available(), Some(false));
    lab.publish(peer, 0, message("t", "m", Q0).retained());
    assert_eq!(lab.heard(peer), ["DISCONNECT 9a", "closed"]);
    let mut with_will = connect(V5, "a");
    with_will.will = will(message("t", "m", Q0).retained());
    let peer = lab.dial(with_will);
    assert_eq!(lab.heard(peer), ["CONNACK 9a", "closed"]);
}

#[test]
fn maximum_packet_size_is_judged_from_the_header() {
    let limit = NonZeroU32::new(20).expect("not 0");
    let (mut lab, peer, properties) = announced(Config::new().maximum_packet_size(limit));
    assert_eq!(properties.maximum_packet_size(), Some(20));
    lab.publish(peer, 0, message("t", "14 bytes fit..", Q0));
    assert!(lab.heard(peer).is_empty());
    lab.send_raw(peer, &[0x30, 19]);
    assert_eq!(lab.heard(peer), ["DISCONNECT 95", "closed"]);
}

#[test]
fn receive_maximum_counts_what_is_not_answered() {
    let (mut lab, peer, properties) = announced(Config::new().receive_maximum(NonZeroU16::new(2).expect("not 0")));
    assert_eq!(properties.receive_maximum(), Some(2));
    for id in 1..=5 {
        lab.publish(peer, id, message("t", "answered at once", QoS::AtLeastOnce));
    }
    for id in [6, 7] {
        lab.publish(peer, id, message("t", "m", QoS::ExactlyOnce));
    }
    lab.publish_again(peer, 7, message("t", "m", QoS::ExactlyOnce)); // counts once
    lab.ack(peer, AckKind::PubRel, 6);
    lab.publish(peer, 8, message("t", "m", QoS::ExactlyOnce));
    assert_eq!(lab.heard(peer).last().map(String::as_str), Some("PUBREC 8 10"));
    lab.publish(peer, 9, message("t", "m", QoS::ExactlyOnce));
    assert_eq!(lab.heard(peer), ["DISCONNECT 93", "closed"]);
}

#[test]
fn kinds_of_subscriptions_can_be_unavailable() {
    let config = Config::new()
        .without_wildcard_subscriptions()
        .without_shared_subscriptions()
        .without_subscription_identifiers();
    let (mut lab, peer, announced) = announced(config);
    assert_eq!(announced.wildcard_subscription_available(), Some(false));
    assert_eq!(announced.shared_subscription_available(), Some(false));
    assert_eq!(announced.subscription_identifiers_available(), Some(false));
    let filters = ["a", "a/+", "$share/g/a"];
    lab.send_subscribe(peer, 1, Subscribe::many(filters.map(|filter| subscription(filter, Q0))));
    assert_eq!(lab.heard(peer), ["SUBACK 1 [00 a2 9e]"]);
    let with_identifier = Subscribe::new("a", Q0)
        .expect("legal")
        .properties(properties([(PropertyId::SubscriptionIdentifier, Value::U32(1))]));
    lab.send_subscribe(peer, 2, with_identifier);
    assert_eq!(lab.heard(peer), ["SUBACK 2 [a1]"]);

    let v311 = lab.connect(Version::V311, "b");
    lab.send_subscribe(v311, 1, Subscribe::many(filters.map(|filter| subscription(filter, Q0))));
    assert_eq!(lab.heard(v311), ["SUBACK 1 [00 80 80]"]);
    let v31 = lab.connect(Version::V31, "c");
    lab.send_subscribe(v31, 1, Subscribe::new("a/+", Q0).expect("legal"));
    assert_eq!(lab.heard(v31), ["closed"], "SUBACK of 3.1 cannot refuse");
}
