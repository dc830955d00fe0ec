//! Scripted faults do what they say, and only that.

use core::time::Duration;

use bytes::Bytes;
use karere_broker::{Config, Direction, Fault, Trigger};
use karere_proto::{Packet, PacketType, QoS, ReasonCode, packet::AckKind};

use crate::lab::*;

const Q1: QoS = QoS::AtLeastOnce;

/// A subscriber to "t" and a broker with one fault.
fn with_fault(trigger: Trigger, fault: Fault) -> (Lab, Peer) {
    let mut lab = Lab::new(Config::new());
    let peer = lab.connect(V5, "a");
    lab.subscribe(peer, "t", Q1);
    lab.broker.faults().add(trigger, fault);
    (lab, peer)
}

fn publish(lab: &mut Lab, payload: &str) {
    lab.broker.publish(lab.now, message("t", payload, QoS::AtMostOnce));
}

#[test]
fn dropped_packets_do_not_come() {
    let (mut lab, peer) = with_fault(Trigger::to_client(PacketType::Publish).nth(2), Fault::Drop);
    for payload in ["1", "2", "3"] {
        publish(&mut lab, payload);
    }
    assert_eq!(lab.heard(peer), ["PUBLISH q0 t 1", "PUBLISH q0 t 3"]);
    assert_eq!(lab.broker.counters().faults, 1);

    let (mut lab, peer) = with_fault(Trigger::from_client(PacketType::Publish), Fault::Drop);
    lab.publish(peer, 1, message("t", "m", Q1));
    assert!(lab.heard(peer).is_empty());
    lab.broker.faults().clear();
    lab.publish(peer, 1, message("t", "m", Q1));
    assert_eq!(lab.heard(peer), ["PUBLISH q1 #1 t m", "PUBACK 1"]);
}

#[test]
fn delayed_packets_are_overtaken() {
    let delay = Fault::Delay(seconds(2));
    let (mut lab, peer) = with_fault(Trigger::to_client(PacketType::Publish).nth(1), delay.clone());
    publish(&mut lab, "1");
    publish(&mut lab, "2");
    assert_eq!(lab.heard(peer), ["PUBLISH q0 t 2"]);
    lab.pass(seconds(2));
    assert_eq!(lab.heard(peer), ["PUBLISH q0 t 1"]);

    let (mut lab, peer) = with_fault(Trigger::from_client(PacketType::PingReq).nth(1), delay);
    lab.send(peer, Packet::PingReq);
    lab.publish(peer, 1, message("x", "m", Q1));
    assert_eq!(lab.heard(peer), ["PUBACK 1 10"]);
    lab.pass(seconds(2));
    assert_eq!(lab.heard(peer), ["PINGRESP"]);
    assert_eq!(lab.broker.poll_timeout(), None);
}

#[test]
fn stalled_packets_hold_up_all_behind_them() {
    let stall = Fault::Stall(seconds(2));
    let (mut lab, peer) = with_fault(Trigger::to_client(PacketType::Publish).nth(1), stall.clone());
    for payload in ["1", "2", "3"] {
        publish(&mut lab, payload);
    }
    assert!(lab.heard(peer).is_empty());
    lab.pass(seconds(2));
    publish(&mut lab, "4");
    assert_eq!(lab.heard(peer), ["PUBLISH q0 t 1", "PUBLISH q0 t 2", "PUBLISH q0 t 3", "PUBLISH q0 t 4"]);

    let (mut lab, peer) = with_fault(Trigger::from_client(PacketType::PingReq).nth(1), stall);
    lab.send(peer, Packet::PingReq);
    lab.publish(peer, 1, message("x", "m", Q1));
    assert!(lab.heard(peer).is_empty());
    lab.pass(seconds(2));
    lab.send(peer, Packet::PingReq);
    assert_eq!(lab.heard(peer), ["PINGRESP", "PUBACK 1 10", "PINGRESP"]);
}

#[test]
fn what_is_stalled_is_still_judged_when_its_time_comes() {
    let (mut lab, peer) = with_fault(Trigger::from_client(PacketType::PingReq).nth(1), Fault::Stall(seconds(1)));
    lab.broker.faults().add(Trigger::from_client(PacketType::Publish), Fault::Answer(ReasonCode::QuotaExceeded));
    lab.send(peer, Packet::PingReq);
    lab.publish(peer, 1, message("x", "m", Q1));
    lab.pass(seconds(1));
    assert_eq!(lab.heard(peer), ["PINGRESP", "PUBACK 1 97"]);
}

#[test]
fn duplicates_come_twice() {
    let (mut lab, peer) = with_fault(Trigger::to_client(PacketType::Publish), Fault::Duplicate);
    publish(&mut lab, "1");
    assert_eq!(lab.heard(peer), ["PUBLISH q0 t 1", "PUBLISH q0 t 1"]);
    let (mut lab, peer) = with_fault(Trigger::from_client(PacketType::PingReq), Fault::Duplicate);
    lab.send(peer, Packet::PingReq);
    assert_eq!(lab.heard(peer), ["PINGRESP", "PINGRESP"]);
}

#[test]
fn split_packets_come_in_pieces_and_what_follows_stays_behind() {
    for pause in [Duration::ZERO, seconds(1)] {
        let (mut lab, peer) =
            with_fault(Trigger::to_client(PacketType::Publish).nth(1), Fault::Split { size: 3, pause });
        lab.pieces(peer);
        publish(&mut lab, "1"); // 7 bytes
        publish(&mut lab, "2");
        if pause > Duration::ZERO {
            assert_eq!(lab.pieces(peer), [3]);
            lab.pass(seconds(2));
            assert_eq!(lab.pieces(peer), [3, 1, 7]);
        } else {
            assert_eq!(lab.pieces(peer), [3, 3, 1, 7]);
        }
        assert_eq!(lab.heard(peer), ["PUBLISH q0 t 1", "PUBLISH q0 t 2"]);
    }
}

#[test]
fn connections_are_closed_before_or_after_a_packet() {
    let (mut lab, peer) = with_fault(Trigger::to_client(PacketType::Publish), Fault::CloseBefore);
    publish(&mut lab, "1");
    assert_eq!(lab.heard(peer), ["closed"]);
    let (mut lab, peer) = with_fault(Trigger::to_client(PacketType::Publish), Fault::CloseAfter);
    publish(&mut lab, "1");
    assert_eq!(lab.heard(peer), ["PUBLISH q0 t 1", "closed"]);
    let (mut lab, peer) = with_fault(Trigger::from_client(PacketType::Publish), Fault::CloseBefore);
    lab.publish(peer, 1, message("x", "m", Q1).retained());
    assert_eq!(lab.heard(peer), ["closed"]);
    assert_eq!(lab.broker.counters().messages_in[1], 0);
    let (mut lab, peer) = with_fault(Trigger::from_client(PacketType::Publish), Fault::CloseAfter);
    lab.publish(peer, 1, message("x", "m", Q1));
    assert_eq!(lab.heard(peer), ["PUBACK 1 10", "closed"]);
}

#[test]
fn connections_are_closed_at_a_byte() {
    let mut lab = Lab::new(Config::new());
    lab.broker.faults().add(Trigger::any(Direction::ToClient).nth(1), Fault::CloseAtByte(3));
    let cut = lab.dial(connect(V5, "a")); // CONNACK has more than 3 bytes
    assert_eq!(lab.heard(cut), ["part [20, 06, 00]", "closed"]);
    lab.connect(V5, "a"); // the second connection is left alone

    let mut lab = Lab::new(Config::new());
    lab.broker.faults().add(Trigger::any(Direction::FromClient).client_id("a"), Fault::CloseAtByte(25));
    for _ in 0..2 {
        let peer = lab.connect(V5, "a"); // 14 bytes
        lab.publish(peer, 1, message("t", "", Q1)); // 8 bytes
        assert_eq!(lab.heard(peer), ["PUBACK 1 10"]);
        lab.publish(peer, 2, message("t", "", Q1));
        assert_eq!(lab.heard(peer), ["closed"]);
    }
    let other = lab.connect(V5, "b");
    lab.publish(other, 1, message("t", "long enough to pass the limit", Q1));
    assert_eq!(lab.heard(other), ["PUBACK 1 10"]);
}

#[test]
fn requests_are_answered_with_a_reason_code() {
    let answer = |packet| (Trigger::from_client(packet), Fault::Answer(ReasonCode::NotAuthorized));
    let (mut lab, peer) = with_fault(answer(PacketType::Subscribe).0, answer(PacketType::Subscribe).1);
    lab.send_subscribe(peer, 3, karere_proto::packet::Subscribe::new("x", Q1).expect("legal"));
    assert_eq!(lab.heard(peer), ["SUBACK 3 [87]"]);
    assert_eq!(lab.broker.session("a").expect("online").subscriptions, 1);
    for packet in [PacketType::Publish, PacketType::Unsubscribe, PacketType::PingReq] {
        let (trigger, fault) = answer(packet);
        lab.broker.faults().add(trigger, fault);
    }
    lab.publish(peer, 4, message("t", "m", Q1));
    lab.publish(peer, 5, message("t", "m", QoS::ExactlyOnce));
    lab.unsubscribe(peer, "t");
    lab.send(peer, Packet::PingReq);
    assert_eq!(lab.heard(peer), ["PUBACK 4 87", "PUBREC 5 87", "UNSUBACK 2 [87]", "DISCONNECT 87", "closed"]);

    for version in VERSIONS {
        let mut lab = Lab::new(Config::new());
        let trigger = Trigger::from_client(PacketType::Connect).client_id("b").nth(1);
        lab.broker.faults().add(trigger, Fault::Answer(ReasonCode::ServerUnavailable));
        lab.connect(version, "a");
        let refused = lab.dial(connect(version, "b"));
        assert_eq!(lab.heard(refused), ["CONNACK 88", "closed"]);
        lab.connect(version, "b");
    }
}

#[test]
fn answers_get_another_reason_code() {
    let trigger = Trigger::to_client(PacketType::PubAck);
    let (mut lab, peer) = with_fault(trigger, Fault::Answer(ReasonCode::UnspecifiedError));
    lab.publish(peer, 4, message("x", "m", Q1));
    assert_eq!(lab.heard(peer), ["PUBACK 4 80"]);
}

#[test]
fn packets_are_replaced_by_any_bytes() {
    let nonsense = Bytes::from_static(&[0x36, 1, 2]);
    let (mut lab, peer) = with_fault(Trigger::to_client(PacketType::PingResp), Fault::Replace(nonsense.clone()));
    lab.send(peer, Packet::PingReq);
    assert_eq!(lab.raw(peer), nonsense);
    let (mut lab, peer) = with_fault(Trigger::from_client(PacketType::PingReq), Fault::Replace(nonsense));
    lab.send(peer, Packet::PingReq);
    assert_eq!(lab.heard(peer), ["DISCONNECT 81", "closed"]);
    let (mut lab, peer) =
        with_fault(Trigger::from_client(PacketType::PingReq), Fault::Replace(Bytes::from_static(&[0xC0, 0, 0xC0, 0])));
    lab.send(peer, Packet::PingReq);
    assert_eq!(lab.heard(peer), ["PINGRESP", "PINGRESP"]);
}

#[test]
fn bytes_can_be_injected() {
    let mut lab = Lab::new(Config::new());
    let peer = lab.connect(V5, "a");
    lab.broker.inject(peer.id, &[0xD0, 0][..]).expect("open");
    assert_eq!(lab.heard(peer), ["PINGRESP"]);
}

#[test]
fn faults_meet_only_whom_they_are_meant_for() {
    let mut lab = Lab::new(Config::new());
    let [a, b] = ["a", "b"].map(|name| lab.connect(V5, name));
    let by_name = lab.broker.faults().add(Trigger::to_client(PacketType::PingResp).client_id("a"), Fault::Drop);
    for peer in [a, b] {
        lab.send(peer, Packet::PingReq);
    }
    assert_eq!((lab.heard(a).len(), lab.heard(b).len()), (0, 1));
    assert_eq!(lab.broker.faults().times_done(by_name), 1);
    lab.broker.faults().remove(by_name);
    lab.broker.faults().add(Trigger::any(Direction::ToClient).connection(b.id), Fault::Drop);
    for peer in [a, b] {
        lab.send(peer, Packet::PingReq);
    }
    assert_eq!((lab.heard(a).len(), lab.heard(b).len()), (1, 0));
}

#[test]
fn a_lost_puback_makes_an_older_client_send_again_and_5_wait() {
    for version in VERSIONS {
        let mut lab = Lab::new(Config::new());
        lab.broker.faults().add(Trigger::to_client(PacketType::PubAck).nth(1), Fault::Drop);
        let peer = lab.connect(version, "a");
        lab.publish(peer, 1, message("t", "m", Q1));
        assert!(lab.heard(peer).is_empty());
        lab.publish_again(peer, 1, message("t", "m", Q1));
        let expected: &[&str] = if version == V5 { &["DISCONNECT 82", "closed"] } else { &["PUBACK 1"] };
        assert_eq!(lab.heard(peer), expected);
    }
}

#[test]
fn a_delayed_answer_keeps_its_place_in_receive_maximum() {
    let one = core::num::NonZeroU16::MIN;
    let mut lab = Lab::new(Config::new().receive_maximum(one));
    lab.broker.faults().add(Trigger::to_client(PacketType::PubAck).nth(1), Fault::Delay(seconds(1)));
    let peer = lab.connect(V5, "a");
    lab.publish(peer, 1, message("t", "m", Q1));
    lab.pass(seconds(1));
    lab.publish(peer, 1, message("t", "m", Q1));
    assert_eq!(lab.heard(peer), ["PUBACK 1 10", "PUBACK 1 10"]);
    lab.broker.faults().add(Trigger::to_client(PacketType::PubAck).nth(1), Fault::Delay(seconds(1)));
    lab.publish(peer, 1, message("t", "m", Q1));
    lab.publish(peer, 2, message("t", "m", Q1));
    assert_eq!(lab.heard(peer), ["DISCONNECT 93", "closed"]);
    lab.ack(peer, AckKind::PubAck, 1); // ignored: the connection is over
}
