//! Filters, shares, options, retained messages.

use karere_broker::Config;
use karere_proto::{
    PropertyId, QoS, Topic, Value,
    packet::{RetainHandling, Subscribe, SubscribeOptions},
};

use crate::lab::*;

const Q0: QoS = QoS::AtMostOnce;
const Q1: QoS = QoS::AtLeastOnce;

#[test]
fn wildcards_match_and_keep_off_reserved_topics() {
    for version in VERSIONS {
        let mut lab = Lab::new(Config::new());
        let peer = lab.connect(version, "a");
        lab.subscribe(peer, "#", Q0);
        lab.subscribe(peer, "+/x", Q0);
        lab.broker.publish(lab.now, message("$SYS/x", "hidden", Q0));
        lab.broker.publish(lab.now, message("a/x", "seen", Q0));
        assert_eq!(lab.heard(peer), ["PUBLISH q0 a/x seen"], "once, although two filters match");
        lab.subscribe(peer, "$SYS/#", Q0);
        lab.broker.publish(lab.now, message("$SYS/x", "asked for", Q0));
        assert_eq!(lab.heard(peer), ["PUBLISH q0 $SYS/x asked for"]);
    }
}

#[test]
fn overlapping_subscriptions_give_one_copy_with_all_identifiers() {
    let mut lab = Lab::new(Config::new());
    let peer = lab.connect(V5, "a");
    for (filter, qos, identifier) in [("a/#", Q0, Some(7)), ("a/+", Q1, Some(300)), ("a/b", Q0, None)] {
        let mut subscribe = Subscribe::new(filter, qos).expect("legal");
        if let Some(identifier) = identifier {
            subscribe.properties = properties([(PropertyId::SubscriptionIdentifier, Value::U32(identifier))]);
        }
        lab.send_subscribe(peer, 1, subscribe);
        lab.hear_one(peer);
    }
    lab.broker.publish(lab.now, message("a/b", "m", QoS::ExactlyOnce));
    let publish = lab.next_publish(peer);
    assert_eq!(publish.qos, Q1);
    let mut identifiers = publish.properties.subscription_identifiers().collect::<Vec<_>>();
    identifiers.sort_unstable();
    assert_eq!(identifiers, [7, 300]);
    assert!(lab.heard(peer).is_empty());
}

#[test]
fn subscribing_again_replaces() {
    for version in VERSIONS {
        let mut lab = Lab::new(Config::new());
        let peer = lab.connect(version, "a");
        lab.subscribe(peer, "t", Q1);
        lab.subscribe(peer, "t", Q0);
        lab.broker.publish(lab.now, message("t", "m", Q1));
        assert_eq!(lab.heard(peer), ["PUBLISH q0 t m"]);
        assert_eq!(lab.broker.session("a").expect("online").subscriptions, 1);
    }
}

#[test]
fn unsubscribing_ends_exactly_that_filter() {
    for version in VERSIONS {
        let mut lab = Lab::new(Config::new());
        let peer = lab.connect(version, "a");
        lab.subscribe(peer, "a/+", Q0);
        lab.subscribe(peer, "a/#", Q0);
        lab.unsubscribe(peer, "a/+");
        lab.unsubscribe(peer, "a/+");
        let expected = if version == V5 { ["UNSUBACK 2 [00]", "UNSUBACK 2 [11]"] } else { ["UNSUBACK 2 []"; 2] };
        assert_eq!(lab.heard(peer), expected);
        lab.broker.publish(lab.now, message("a/b", "m", Q0));
        assert_eq!(lab.heard(peer), ["PUBLISH q0 a/b m"]);
        lab.unsubscribe(peer, "a/#");
        assert_eq!(lab.broker.publish(lab.now, message("a/b", "m", Q0)), 0);
    }
}

#[test]
fn several_filters_get_one_joint_answer() {
    for version in VERSIONS {
        let mut lab = Lab::new(Config::new());
        let peer = lab.connect(version, "a");
        let subscribe =
            Subscribe::many([subscription("a", Q0), subscription("b", Q1), subscription("c", QoS::ExactlyOnce)]);
        lab.send_subscribe(peer, 12, subscribe);
        assert_eq!(lab.heard(peer), ["SUBACK 12 [00 01 02]"]);
    }
}

#[test]
fn shared_subscriptions_take_turns() {
    for version in VERSIONS {
        let mut lab = Lab::new(Config::new());
        let members = ["a", "b", "c"].map(|name| lab.connect(version, name));
        for member in members {
            lab.subscribe(member, "$share/g/t/+", Q0);
        }
        lab.subscribe(members[2], "$share/other/t/1", Q0);
        for n in ["1", "2", "3", "4"] {
            lab.broker.publish(lab.now, message(&format!("t/{n}"), "m", Q0));
        }
        assert_eq!(lab.heard(members[0]), ["PUBLISH q0 t/1 m", "PUBLISH q0 t/4 m"]);
        assert_eq!(lab.heard(members[1]), ["PUBLISH q0 t/2 m"]);
        assert_eq!(lab.heard(members[2]), ["PUBLISH q0 t/1 m", "PUBLISH q0 t/3 m"], "one for each share");
        lab.unsubscribe(members[1], "$share/g/t/+");
        lab.hear_one(members[1]);
        for n in ["5", "6"] {
            lab.broker.publish(lab.now, message(&format!("t/{n}"), "m", Q0));
        }
        assert!(lab.heard(members[1]).is_empty());
    }
}

#[test]
fn shared_subscriptions_pass_over_who_is_away_while_someone_is_there() {
    let mut lab = Lab::new(Config::new());
    let (away, _) = lab.resume(V5, "away");
    let there = lab.connect(V5, "there");
    for peer in [away, there] {
        lab.subscribe(peer, "$share/g/t", Q1);
    }
    lab.lose(away);
    for payload in ["1", "2"] {
        lab.broker.publish(lab.now, message("t", payload, Q1));
    }
    assert_eq!(lab.heard(there), ["PUBLISH q1 #1 t 1", "PUBLISH q1 #2 t 2"]);
    lab.disconnect(there);
    lab.broker.publish(lab.now, message("t", "3", Q1));
    assert_eq!(lab.broker.session("away").expect("kept").queued, 1);
}

#[test]
fn no_local_keeps_own_messages_away() {
    let mut lab = Lab::new(Config::new());
    let a = lab.connect(V5, "a");
    let b = lab.connect(V5, "b");
    for peer in [a, b] {
        lab.subscribe(peer, "t", SubscribeOptions::new(Q0).no_local());
    }
    lab.publish(a, 0, message("t", "from a", Q0));
    assert!(lab.heard(a).is_empty());
    assert_eq!(lab.heard(b), ["PUBLISH q0 t from a"]);
}

#[test]
fn retained_messages_come_to_new_subscriptions_with_retain_set() {
    for version in VERSIONS {
        let mut lab = Lab::new(Config::new());
        let publisher = lab.connect(version, "p");
        lab.publish(publisher, 0, message("a/1", "old", Q0).retained());
        lab.publish(publisher, 1, message("a/1", "new", Q1).retained());
        lab.publish(publisher, 0, message("a/2", "two", Q0).retained());
        lab.publish(publisher, 0, message("a/3", "three", Q0).retained());
        lab.publish(publisher, 0, message("a/3", "", Q0).retained());
        let peer = lab.connect(version, "s");
        lab.subscribe(peer, "a/+", Q1);
        assert_eq!(lab.heard(peer), ["PUBLISH q1 #1 retain a/1 new", "PUBLISH q0 retain a/2 two"]);
        lab.publish(publisher, 0, message("a/2", "live", Q0).retained());
        assert_eq!(lab.heard(peer), ["PUBLISH q0 a/2 live"], "RETAIN is 0 for what is live");
        lab.subscribe(peer, "$share/g/a/+", Q1);
        assert!(lab.heard(peer).is_empty(), "shared subscriptions get none");
        lab.subscribe(peer, "a/2", Q0);
        assert_eq!(lab.heard(peer), ["PUBLISH q0 retain a/2 live"]);
    }
}

#[test]
fn retain_handling_and_retain_as_published_are_kept() {
    let mut lab = Lab::new(Config::new());
    lab.broker.publish(lab.now, message("t", "kept", Q0).retained());
    let peer = lab.connect(V5, "a");
    let options = SubscribeOptions::new(Q0);
    lab.subscribe(peer, "t", options.retain_handling(RetainHandling::DoNotSend));
    lab.subscribe(peer, "t", options.retain_handling(RetainHandling::SendIfNew));
    assert!(lab.heard(peer).is_empty());
    lab.subscribe(peer, "+", options.retain_handling(RetainHandling::SendIfNew));
    assert_eq!(lab.heard(peer), ["PUBLISH q0 retain t kept"]);
    lab.subscribe(peer, "t", options.retain_as_published());
    assert_eq!(lab.heard(peer), ["PUBLISH q0 retain t kept"]);
    lab.broker.publish(lab.now, message("t", "live", Q0).retained());
    lab.broker.publish(lab.now, message("t", "plain", Q0));
    assert_eq!(lab.heard(peer), ["PUBLISH q0 retain t live", "PUBLISH q0 t plain"]);
}

#[test]
fn retained_messages_carry_the_identifier_and_expire() {
    let mut lab = Lab::new(Config::new());
    lab.broker.publish(lab.now, message("t", "kept", Q0).retained().message_expiry(seconds(10)));
    lab.pass(seconds(4));
    let peer = lab.connect(V5, "a");
    let subscribe = Subscribe::new("t", Q0)
        .expect("legal")
        .properties(properties([(PropertyId::SubscriptionIdentifier, Value::U32(9))]));
    lab.send_subscribe(peer, 1, subscribe);
    lab.hear_one(peer);
    let publish = lab.next_publish(peer);
    assert_eq!(publish.properties.subscription_identifier(), Some(9));
    assert_eq!(publish.properties.message_expiry(), Some(seconds(6)));
    lab.pass(seconds(6));
    lab.subscribe(peer, "t", Q0);
    assert!(lab.heard(peer).is_empty());
    assert!(lab.broker.retained(lab.now, &Topic::new("t").expect("legal")).is_none());
}

#[test]
fn an_invalid_filter_ends_the_connection() {
    for version in VERSIONS {
        let mut lab = Lab::new(Config::new());
        let peer = lab.connect(version, "a");
        let body: &[u8] = if version == V5 { &[0, 1, 0, 0, 2, b'a', b'#', 0] } else { &[0, 1, 0, 2, b'a', b'#', 0] };
        lab.send_raw(peer, &[&[0x82, body.len() as u8], body].concat());
        let expected: &[&str] = if version == V5 { &["DISCONNECT 8f", "closed"] } else { &["closed"] };
        assert_eq!(lab.heard(peer), expected);
    }
}
