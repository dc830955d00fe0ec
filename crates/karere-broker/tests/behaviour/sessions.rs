//! What outlives a connection, and for how long.

use karere_broker::Config;
use karere_proto::{
    Packet, PropertyId, QoS, Value, Version,
    packet::{AckKind, Disconnect},
};

use crate::lab::*;

const Q1: QoS = QoS::AtLeastOnce;
const Q2: QoS = QoS::ExactlyOnce;

fn present(version: Version) -> &'static str {
    if version == Version::V31 { "CONNACK 00" } else { "CONNACK 00 present" }
}

#[test]
fn what_is_in_flight_comes_again_in_order_then_what_waits() {
    for version in VERSIONS {
        let mut lab = Lab::new(Config::new());
        let (peer, _) = lab.resume(version, "a");
        lab.subscribe(peer, "t", Q2);
        for (payload, qos) in [("1", Q2), ("2", Q1), ("3", Q2), ("4", Q1)] {
            lab.broker.publish(lab.now, message("t", payload, qos));
        }
        assert_eq!(lab.heard(peer).len(), 4);
        lab.ack(peer, AckKind::PubRec, 3);
        lab.ack(peer, AckKind::PubRec, 1);
        lab.ack(peer, AckKind::PubAck, 2);
        lab.lose(peer);
        lab.broker.publish(lab.now, message("t", "5", Q1));
        let (peer, heard) = lab.resume(version, "a");
        let expected = [present(version), "PUBREL 3", "PUBREL 1", "PUBLISH q1 #4 dup t 4", "PUBLISH q1 #5 t 5"];
        assert_eq!(heard, expected);
        lab.ack(peer, AckKind::PubComp, 1);
        lab.ack(peer, AckKind::PubComp, 3);
        lab.ack(peer, AckKind::PubAck, 4);
        lab.ack(peer, AckKind::PubAck, 5);
        let status = lab.broker.session("a").expect("online");
        assert_eq!((status.in_flight, status.queued), (0, 0));
        assert_eq!(lab.broker.counters().duplicates_out, 1);
    }
}

#[test]
fn sending_again_keeps_within_a_narrower_window() {
    let mut lab = Lab::new(Config::new());
    let (peer, _) = lab.resume(V5, "a");
    lab.subscribe(peer, "t", Q2);
    for payload in ["1", "2", "3"] {
        lab.broker.publish(lab.now, message("t", payload, Q2));
    }
    lab.ack(peer, AckKind::PubRec, 1);
    lab.lose(peer);
    let mut connect = kept(V5, "a");
    connect.properties.set(PropertyId::ReceiveMaximum, Value::U16(1)).expect("legal");
    let peer = lab.dial(connect);
    assert_eq!(lab.heard(peer), ["CONNACK 00 present", "PUBREL 1", "PUBLISH q2 #2 dup t 2"]);
    lab.ack(peer, AckKind::PubComp, 1);
    assert!(lab.heard(peer).is_empty(), "the PUBREL took no quota, so its end gives none");
    lab.ack(peer, AckKind::PubRec, 2);
    lab.ack(peer, AckKind::PubComp, 2);
    assert_eq!(lab.heard(peer), ["PUBREL 2", "PUBLISH q2 #3 dup t 3"]);
}

#[test]
fn held_qos_2_identifiers_survive_the_connection_but_not_a_clean_start() {
    for version in VERSIONS {
        let mut lab = Lab::new(Config::new());
        let subscriber = lab.connect(version, "s");
        lab.subscribe(subscriber, "t", QoS::AtMostOnce);
        let (peer, _) = lab.resume(version, "p");
        lab.publish(peer, 3, message("t", "once", Q2));
        lab.lose(peer);
        let (peer, _) = lab.resume(version, "p");
        lab.publish_again(peer, 3, message("t", "once", Q2));
        assert_eq!(lab.heard(peer), ["PUBREC 3"]);
        assert_eq!(lab.heard(subscriber), ["PUBLISH q0 t once"]);
        lab.lose(peer);
        let peer = lab.connect(version, "p");
        lab.publish(peer, 3, message("t", "new", Q2));
        assert_eq!(lab.heard(subscriber), ["PUBLISH q0 t new"]);
    }
}

#[test]
fn a_clean_start_drops_the_session() {
    for version in VERSIONS {
        let mut lab = Lab::new(Config::new());
        let (peer, heard) = lab.resume(version, "a");
        assert_eq!(heard, ["CONNACK 00"]);
        lab.subscribe(peer, "t", Q1);
        lab.lose(peer);
        assert_eq!(lab.broker.publish(lab.now, message("t", "m", Q1)), 1);
        let peer = lab.connect(version, "a");
        assert_eq!(lab.broker.publish(lab.now, message("t", "m", Q1)), 0);
        lab.disconnect(peer);
        assert!(lab.broker.session("a").is_none());
    }
}

#[test]
fn a_session_ends_when_its_expiry_has_passed() {
    let mut lab = Lab::new(Config::new());
    let mut connect = kept(V5, "a");
    connect.properties.set(PropertyId::SessionExpiryInterval, Value::U32(10)).expect("legal");
    let peer = lab.dial(connect.clone());
    lab.subscribe_after_connack(peer);
    lab.lose(peer);
    lab.pass(seconds(9));
    let peer = lab.dial(connect.clone());
    assert_eq!(lab.heard(peer), ["CONNACK 00 present"]);
    lab.pass(seconds(60));
    lab.lose(peer);
    lab.pass(seconds(10));
    assert!(lab.broker.session("a").is_none());
    assert_eq!(lab.broker.poll_timeout(), None);
    let peer = lab.dial(connect);
    assert_eq!(lab.heard(peer), ["CONNACK 00"]);
}

#[test]
fn disconnect_may_change_the_expiry_but_not_from_zero() {
    let expiry =
        |seconds| Disconnect::NORMAL.properties(properties([(PropertyId::SessionExpiryInterval, Value::U32(seconds))]));
    let mut lab = Lab::new(Config::new());
    let (peer, _) = lab.resume(V5, "a");
    lab.send(peer, Packet::Disconnect(expiry(0)));
    assert!(lab.broker.session("a").is_none());

    let (peer, _) = lab.resume(V5, "a");
    lab.send(peer, Packet::Disconnect(expiry(5)));
    lab.pass(seconds(4));
    assert!(lab.broker.session("a").is_some());
    lab.pass(seconds(1));
    assert!(lab.broker.session("a").is_none());

    let peer = lab.connect(V5, "a");
    lab.send(peer, Packet::Disconnect(expiry(5)));
    assert_eq!(lab.heard(peer), ["DISCONNECT 82", "closed"]);
}

#[test]
fn expiry_is_capped_and_the_cap_announced() {
    for version in VERSIONS {
        let mut lab = Lab::new(Config::new().maximum_session_expiry(30));
        let peer = lab.dial(kept(version, "a"));
        let Some(Packet::ConnAck(ack)) = lab.next_packet(peer) else { panic!("no CONNACK") };
        assert_eq!(ack.properties.session_expiry_interval(), (version == V5).then_some(30));
        lab.lose(peer);
        lab.pass(seconds(30));
        assert!(lab.broker.session("a").is_none());
    }
}

#[test]
fn a_forgotten_session_is_not_present() {
    for version in VERSIONS {
        let mut lab = Lab::new(Config::new());
        let (peer, _) = lab.resume(version, "a");
        lab.lose(peer);
        assert!(lab.broker.forget_session(lab.now, "a"));
        let (peer, heard) = lab.resume(version, "a");
        assert_eq!(heard, ["CONNACK 00"]);
        assert!(lab.broker.forget_session(lab.now, "a"));
        assert_eq!(lab.heard(peer).last().map(String::as_str), Some("closed"));
        assert!(!lab.broker.forget_session(lab.now, "a"));
    }
}

#[test]
fn a_session_moves_between_versions() {
    let mut lab = Lab::new(Config::new());
    let (peer, _) = lab.resume(Version::V311, "a");
    lab.subscribe(peer, "t", Q1);
    lab.lose(peer);
    lab.broker.publish(lab.now, message("t", "m", Q1));
    let (_, heard) = lab.resume(V5, "a");
    assert_eq!(heard, ["CONNACK 00 present", "PUBLISH q1 #1 t m"]);
}

#[test]
fn equal_inputs_give_equal_outputs() {
    let run = || {
        let mut lab = Lab::new(Config::new());
        let peers = (0..8).map(|n| lab.connect(VERSIONS[n % 3], &format!("c{n}"))).collect::<Vec<_>>();
        for (n, peer) in peers.iter().enumerate() {
            lab.subscribe(*peer, ["a/#", "a/+", "+/b", "$share/g/a/b"][n % 4], Q1);
        }
        for n in 0..20 {
            lab.publish(peers[n % 8], n as u16 + 1, message("a/b", &n.to_string(), Q1));
        }
        peers.iter().map(|&peer| lab.heard(peer)).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

impl Lab {
    fn subscribe_after_connack(&mut self, peer: Peer) {
        assert_eq!(self.hear_one(peer), "CONNACK 00");
        self.subscribe(peer, "t", Q1);
    }
}
