//! Messages of all qualities, both ways.

use core::num::NonZeroU16;

use karere_broker::Config;
use karere_proto::{
    PropertyId, QoS, ReasonCode, Value,
    packet::{AckKind, SubscribeOptions},
};

use crate::lab::*;

const QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

#[test]
fn a_message_comes_at_the_lower_of_both_qualities() {
    for version in VERSIONS {
        for published in QOS {
            for subscribed in QOS {
                let mut lab = Lab::new(Config::new());
                let publisher = lab.connect(version, "p");
                let subscriber = lab.connect(version, "s");
                lab.subscribe(subscriber, "t", subscribed);
                lab.publish(publisher, 5, message("t", "m", published));
                let expected = match published.min(subscribed) {
                    QoS::AtMostOnce => "PUBLISH q0 t m",
                    QoS::AtLeastOnce => "PUBLISH q1 #1 t m",
                    QoS::ExactlyOnce => "PUBLISH q2 #1 t m",
                };
                assert_eq!(lab.heard(subscriber), [expected]);
                let answer: &[&str] = match published {
                    QoS::AtMostOnce => &[],
                    QoS::AtLeastOnce => &["PUBACK 5"],
                    QoS::ExactlyOnce => &["PUBREC 5"],
                };
                assert_eq!(lab.heard(publisher), answer);
            }
        }
    }
}

#[test]
fn qos_2_from_a_client_is_routed_once_until_released() {
    for version in VERSIONS {
        let mut lab = Lab::new(Config::new());
        let publisher = lab.connect(version, "p");
        let subscriber = lab.connect(version, "s");
        lab.subscribe(subscriber, "t", QoS::AtMostOnce);
        lab.publish(publisher, 9, message("t", "one", QoS::ExactlyOnce));
        lab.publish_again(publisher, 9, message("t", "one", QoS::ExactlyOnce));
        assert_eq!(lab.heard(publisher), ["PUBREC 9", "PUBREC 9"]);
        lab.ack(publisher, AckKind::PubRel, 9);
        assert_eq!(lab.heard(publisher), ["PUBCOMP 9"]);
        lab.publish(publisher, 9, message("t", "two", QoS::ExactlyOnce));
        assert_eq!(lab.heard(publisher), ["PUBREC 9"]);
        assert_eq!(lab.heard(subscriber), ["PUBLISH q0 t one", "PUBLISH q0 t two"]);
        let counters = lab.broker.counters();
        assert_eq!((counters.duplicates_in, counters.duplicates_suppressed), (1, 1));
    }
}

#[test]
fn qos_2_to_a_client_goes_through_all_four_steps() {
    for version in VERSIONS {
        let mut lab = Lab::new(Config::new());
        let peer = lab.connect(version, "a");
        lab.subscribe(peer, "t", QoS::ExactlyOnce);
        lab.broker.publish(lab.now, message("t", "m", QoS::ExactlyOnce));
        assert_eq!(lab.heard(peer), ["PUBLISH q2 #1 t m"]);
        lab.ack(peer, AckKind::PubRec, 1);
        assert_eq!(lab.heard(peer), ["PUBREL 1"]);
        lab.ack(peer, AckKind::PubRec, 1);
        assert_eq!(lab.heard(peer), ["PUBREL 1"]);
        lab.ack(peer, AckKind::PubComp, 1);
        assert_eq!(lab.broker.session("a").expect("online").in_flight, 0);
        lab.broker.publish(lab.now, message("t", "m", QoS::ExactlyOnce));
        assert_eq!(lab.heard(peer), ["PUBLISH q2 #2 t m"]);
    }
}

#[test]
fn an_acknowledgement_of_the_wrong_kind_closes() {
    for (qos, kind) in [
        (QoS::AtLeastOnce, AckKind::PubRec),
        (QoS::AtLeastOnce, AckKind::PubComp),
        (QoS::ExactlyOnce, AckKind::PubAck),
        (QoS::ExactlyOnce, AckKind::PubComp),
    ] {
        let mut lab = Lab::new(Config::new());
        let peer = lab.connect(V5, "a");
        lab.subscribe(peer, "t", qos);
        lab.broker.publish(lab.now, message("t", "m", qos));
        lab.hear_one(peer);
        lab.ack(peer, kind, 1);
        assert_eq!(lab.heard(peer), ["DISCONNECT 82", "closed"]);
    }
}

#[test]
fn refused_by_the_client_is_over() {
    let mut lab = Lab::new(Config::new());
    let peer = lab.connect(V5, "a");
    lab.subscribe(peer, "t", QoS::ExactlyOnce);
    lab.broker.publish(lab.now, message("t", "1", QoS::AtLeastOnce));
    lab.broker.publish(lab.now, message("t", "2", QoS::ExactlyOnce));
    lab.ack_with(peer, AckKind::PubAck, 1, ReasonCode::QuotaExceeded);
    lab.ack_with(peer, AckKind::PubRec, 2, ReasonCode::QuotaExceeded);
    assert_eq!(lab.heard(peer), ["PUBLISH q1 #1 t 1", "PUBLISH q2 #2 t 2"]);
    assert_eq!(lab.broker.session("a").expect("online").in_flight, 0);
}

#[test]
fn a_message_nobody_wants_is_told_so_in_5() {
    for version in VERSIONS {
        let mut lab = Lab::new(Config::new());
        let peer = lab.connect(version, "p");
        lab.publish(peer, 1, message("t", "m", QoS::AtLeastOnce));
        lab.publish(peer, 2, message("t", "m", QoS::ExactlyOnce));
        let expected = if version == V5 { ["PUBACK 1 10", "PUBREC 2 10"] } else { ["PUBACK 1", "PUBREC 2"] };
        assert_eq!(lab.heard(peer), expected);
    }
}

#[test]
fn what_an_older_client_publishes_reaches_a_newer_one_and_back() {
    let mut lab = Lab::new(Config::new());
    let peers = VERSIONS.map(|version| lab.connect(version, version.rules().name));
    for peer in peers {
        lab.subscribe(peer, "t", QoS::AtMostOnce);
    }
    let mut rich = message("t", "m", QoS::AtMostOnce);
    rich.properties = properties([
        (PropertyId::ContentType, Value::Str("text/plain")),
        (PropertyId::UserProperty, Value::Pair("b", "1")),
        (PropertyId::UserProperty, Value::Pair("a", "2")),
        (PropertyId::UserProperty, Value::Pair("b", "1")),
    ]);
    lab.publish(peers[2], 0, rich.clone());
    lab.publish(peers[0], 0, message("t", "n", QoS::AtMostOnce));
    for peer in peers {
        let first = lab.next_publish(peer);
        assert_eq!(first.properties, if peer.version == V5 { rich.properties.clone() } else { <_>::default() });
        assert_eq!(lab.heard(peer), ["PUBLISH q0 t n"]);
    }
}

#[test]
fn receive_maximum_of_the_client_is_the_window() {
    let mut lab = Lab::new(Config::new());
    let mut connect = connect(V5, "a");
    connect.properties = properties([(PropertyId::ReceiveMaximum, Value::U16(2))]);
    let peer = lab.dial(connect);
    assert_eq!(lab.heard(peer), ["CONNACK 00"]);
    lab.subscribe(peer, "t", QoS::ExactlyOnce);
    for payload in ["1", "2", "3", "4"] {
        lab.broker.publish(lab.now, message("t", payload, QoS::ExactlyOnce));
    }
    lab.broker.publish(lab.now, message("t", "unhindered", QoS::AtMostOnce));
    assert_eq!(lab.heard(peer), ["PUBLISH q2 #1 t 1", "PUBLISH q2 #2 t 2", "PUBLISH q0 t unhindered"]);
    lab.ack(peer, AckKind::PubRec, 1);
    assert_eq!(lab.heard(peer), ["PUBREL 1"], "PUBREC gives nothing back");
    lab.ack(peer, AckKind::PubComp, 1);
    lab.ack(peer, AckKind::PubComp, 1);
    assert_eq!(lab.heard(peer), ["PUBLISH q2 #3 t 3"], "and the second PUBCOMP neither");
    assert_eq!(lab.broker.session("a").expect("online").queued, 1);
}

#[test]
fn in_flight_messages_have_distinct_identifiers_over_the_whole_range() {
    let mut lab = Lab::new(Config::new());
    let peer = lab.connect(V5, "a");
    lab.subscribe(peer, "t", QoS::AtLeastOnce);
    for _ in 0..65_536 {
        lab.broker.publish(lab.now, message("t", "", QoS::AtLeastOnce));
    }
    let mut ids = (0..65_535).map(|_| lab.next_publish(peer).id.expect("QoS 1").get()).collect::<Vec<_>>();
    assert!(lab.heard(peer).is_empty(), "the window is full");
    ids.sort_unstable();
    assert!(ids.into_iter().eq(1..=65_535));
    lab.ack(peer, AckKind::PubAck, 700);
    assert_eq!(lab.heard(peer), ["PUBLISH q1 #700 t "]);
}

#[test]
fn message_expiry_counts_down_and_drops() {
    let mut lab = Lab::new(Config::new());
    let (peer, _) = lab.resume(V5, "s");
    lab.subscribe(peer, "t", QoS::AtLeastOnce);
    lab.lose(peer);
    for (payload, lifetime) in [("short", 5), ("long", 60)] {
        lab.broker.publish(lab.now, message("t", payload, QoS::AtLeastOnce).message_expiry(seconds(lifetime)));
    }
    lab.pass(seconds(10));
    let (peer, heard) = lab.resume(V5, "s");
    assert_eq!(heard, ["CONNACK 00 present", "PUBLISH q1 #1 t long"]);
    assert_eq!(lab.broker.counters().dropped_expired, 1);
    lab.lose(peer);
    lab.pass(seconds(20));
    let peer = lab.dial(kept(V5, "s"));
    lab.hear_one(peer);
    assert_eq!(lab.next_publish(peer).properties.message_expiry(), Some(seconds(30)));
}

#[test]
fn topic_aliases_of_the_client_are_resolved() {
    let mut lab = Lab::new(Config::new().topic_alias_maximum(2));
    let publisher = lab.dial(connect(V5, "p"));
    let subscriber = lab.connect(V5, "s");
    lab.subscribe(subscriber, "#", QoS::AtMostOnce);
    lab.hear_one(publisher);
    let with_alias = |topic: &str, payload: &str, alias: u16| {
        message(topic, payload, QoS::AtMostOnce).property(PropertyId::TopicAlias, Value::U16(alias)).expect("legal")
    };
    let by_alias_alone = |payload: &str, alias: u8| [&[0x30, 7, 0, 0, 3, 0x23, 0, alias], payload.as_bytes()].concat();
    lab.publish(publisher, 0, with_alias("a", "1", 1));
    lab.publish(publisher, 0, with_alias("b", "2", 2));
    lab.send_raw(publisher, &by_alias_alone("3", 1));
    lab.publish(publisher, 0, with_alias("c", "4", 1));
    lab.send_raw(publisher, &by_alias_alone("5", 1));
    assert_eq!(
        lab.heard(subscriber),
        ["PUBLISH q0 a 1", "PUBLISH q0 b 2", "PUBLISH q0 a 3", "PUBLISH q0 c 4", "PUBLISH q0 c 5"]
    );
    lab.publish(publisher, 0, with_alias("d", "6", 3));
    assert_eq!(lab.heard(publisher), ["DISCONNECT 94", "closed"]);
    let publisher = lab.dial(connect(V5, "p"));
    lab.hear_one(publisher);
    lab.send_raw(publisher, &by_alias_alone("7", 1));
    assert_eq!(lab.heard(publisher), ["DISCONNECT 82", "closed"], "aliases end with their connection");
}

#[test]
fn topic_aliases_are_used_as_far_as_both_sides_allow() {
    let mut lab = Lab::new(Config::new().outbound_topic_aliases(5));
    let mut connect = kept(V5, "a");
    connect.properties.set(PropertyId::TopicAliasMaximum, Value::U16(1)).expect("legal");
    let peer = lab.dial(connect.clone());
    lab.hear_one(peer);
    lab.subscribe(peer, "#", QoS::AtLeastOnce);
    for topic in ["x", "x", "y", "x"] {
        lab.broker.publish(lab.now, message(topic, "m", QoS::AtLeastOnce));
    }
    let expected = ["PUBLISH q1 #1 x m", "PUBLISH q1 #2 (alias) m", "PUBLISH q1 #3 y m", "PUBLISH q1 #4 (alias) m"];
    assert_eq!(lab.heard(peer), expected);
    lab.lose(peer);
    connect.properties.remove(PropertyId::TopicAliasMaximum);
    let peer = lab.dial(connect);
    let again = ["PUBLISH q1 #1 dup x m", "PUBLISH q1 #2 dup x m", "PUBLISH q1 #3 dup y m", "PUBLISH q1 #4 dup x m"];
    assert_eq!(lab.heard(peer)[1..], again, "names again on a connection without aliases");
}

#[test]
fn packets_larger_than_the_client_takes_are_dropped() {
    let mut lab = Lab::new(Config::new().outbound_topic_aliases(5));
    let mut connect = connect(V5, "a");
    connect.properties = properties([
        (PropertyId::MaximumPacketSize, Value::U32(20)),
        (PropertyId::ReceiveMaximum, Value::U16(1)),
        (PropertyId::TopicAliasMaximum, Value::U16(5)),
    ]);
    let peer = lab.dial(connect);
    lab.hear_one(peer);
    lab.subscribe(peer, "t", QoS::AtLeastOnce);
    for payload in ["12345678901", "123456789012", "exact, alias left out"] {
        lab.broker.publish(lab.now, message("t", payload, QoS::AtMostOnce));
    }
    lab.broker.publish(lab.now, message("t", "much too large for 20 bytes", QoS::AtLeastOnce));
    lab.broker.publish(lab.now, message("t", "fits", QoS::AtLeastOnce));
    let heard = lab.heard(peer);
    assert_eq!(heard, ["PUBLISH q0 t 12345678901", "PUBLISH q0 t 123456789012", "PUBLISH q1 #2 t fits"]);
    assert_eq!(lab.broker.counters().dropped_too_large, 2);
}

#[test]
fn a_full_queue_drops_the_oldest() {
    for version in VERSIONS {
        let mut lab = Lab::new(Config::new().maximum_queued(2));
        let (peer, _) = lab.resume(version, "s");
        lab.subscribe(peer, "t", QoS::AtLeastOnce);
        lab.lose(peer);
        for payload in ["1", "2", "3"] {
            lab.broker.publish(lab.now, message("t", payload, QoS::AtLeastOnce));
        }
        lab.broker.publish(lab.now, message("t", "QoS 0 is not kept", QoS::AtMostOnce));
        assert_eq!(lab.broker.counters().dropped_full, 1);
        let (_, heard) = lab.resume(version, "s");
        assert_eq!(heard[1..], ["PUBLISH q1 #1 t 2", "PUBLISH q1 #2 t 3"]);
    }
}

#[test]
fn qos_0_is_kept_on_request() {
    let mut lab = Lab::new(Config::new().queueing_qos_0());
    let (peer, _) = lab.resume(V5, "s");
    lab.subscribe(peer, "t", QoS::AtLeastOnce);
    lab.lose(peer);
    lab.broker.publish(lab.now, message("t", "0", QoS::AtMostOnce));
    let (_, heard) = lab.resume(V5, "s");
    assert_eq!(heard[1..], ["PUBLISH q0 t 0"]);
}

#[test]
fn a_driver_that_takes_nothing_costs_qos_0_messages_only() {
    let mut lab = Lab::new(Config::new().maximum_output(100));
    let peer = lab.connect(V5, "a");
    lab.subscribe(peer, "t", QoS::AtLeastOnce);
    for n in 0..30 {
        // Between these nothing is polled.
        lab.broker.publish(lab.now, message("t", &format!("{n:02}"), QoS::AtMostOnce));
        lab.broker.publish(lab.now, message("t", &format!("{n:02}"), QoS::AtLeastOnce));
    }
    assert!(lab.broker.counters().dropped_slow > 0);
    let heard = lab.heard(peer);
    let kept = heard.iter().filter(|heard| heard.starts_with("PUBLISH q1")).count();
    assert_eq!(kept, 30);
}

#[test]
fn window_can_be_narrowed_for_older_versions() {
    for version in VERSIONS {
        let mut lab = Lab::new(Config::new().maximum_in_flight(NonZeroU16::MIN));
        let peer = lab.connect(version, "a");
        lab.subscribe(peer, "t", QoS::AtLeastOnce);
        lab.broker.publish(lab.now, message("t", "1", QoS::AtLeastOnce));
        lab.broker.publish(lab.now, message("t", "2", QoS::AtLeastOnce));
        assert_eq!(lab.heard(peer), ["PUBLISH q1 #1 t 1"]);
        lab.ack(peer, AckKind::PubAck, 1);
        assert_eq!(lab.heard(peer), ["PUBLISH q1 #2 t 2"]);
    }
}

#[test]
fn an_identifier_held_for_qos_2_is_in_use_for_others() {
    let mut lab = Lab::new(Config::new());
    let peer = lab.connect(V5, "a");
    lab.subscribe(peer, "other", SubscribeOptions::new(QoS::AtMostOnce));
    lab.publish(peer, 4, message("t", "m", QoS::ExactlyOnce));
    lab.publish(peer, 4, message("t", "m", QoS::AtLeastOnce));
    assert_eq!(lab.heard(peer), ["PUBREC 4 10", "PUBACK 4 91"]);
}
