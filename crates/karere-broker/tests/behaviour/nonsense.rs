//! Bytes that no client should send: the broker survives them and goes on serving the others.

use karere_broker::Config;
use karere_proto::{
    Packet, PropertyId, QoS, SendBuf, Value, Version,
    packet::{Ack, AckKind, Attempt, Disconnect, PublishPacket, Subscribe, Unsubscribe},
};

use crate::lab::*;

/// Numbers that look random and are the same in every run (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }
}

/// A legal packet.
fn packet(dice: &mut Dice) -> Packet {
    let id = packet_id(dice.roll(4) as u16 + 1);
    let topic = ["a", "a/b", "$SYS/x"][dice.roll(3)];
    let filter = ["#", "a/+", "$share/g/#", "a"][dice.roll(4)];
    let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][dice.roll(3)];
    match dice.roll(10) {
        0..=3 => {
            let mut publish = message(topic, "payload", qos);
            publish.retain = dice.roll(2) == 0;
            if dice.roll(2) == 0 {
                let alias = Value::U16(dice.roll(12) as u16 + 1);
                publish.properties = properties([(PropertyId::TopicAlias, alias)]);
            }
            let attempt = if dice.roll(3) == 0 && qos != QoS::AtMostOnce { Attempt::Again } else { Attempt::First };
            Packet::Publish(PublishPacket::new(publish, (qos != QoS::AtMostOnce).then_some(id), attempt))
        }
        4 | 5 => {
            let kind = [AckKind::PubAck, AckKind::PubRec, AckKind::PubRel, AckKind::PubComp][dice.roll(4)];
            Packet::Ack(Ack::new(kind, id))
        }
        6 => Packet::Subscribe(id, Subscribe::new(filter, qos).expect("legal")),
        7 => Packet::Unsubscribe(id, Unsubscribe::new(filter).expect("legal")),
        8 => Packet::PingReq,
        _ => Packet::Disconnect(Disconnect::NORMAL),
    }
}

fn encoded(packet: &Packet, version: Version) -> Vec<u8> {
    let mut out = SendBuf::new();
    packet.encode(version.rules(), &mut out);
    out.to_vec()
}

#[test]
fn bent_packets_neither_panic_nor_harm_others() {
    for seed in 1..=300u64 {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut lab = Lab::new(Config::new());
        let bystander = lab.connect(V5, "bystander");
        for _ in 0..20 {
            let version = VERSIONS[dice.roll(3)];
            let peer = lab.dial(kept(version, ["x", "y"][dice.roll(2)]));
            for _ in 0..20 {
                let mut bytes = encoded(&packet(&mut dice), version);
                if dice.roll(4) == 0 {
                    let at = dice.roll(bytes.len());
                    bytes[at] = dice.roll(256) as u8;
                }
                let cut = dice.roll(bytes.len() + 1);
                lab.send_raw(peer, &bytes[..cut]);
                lab.send_raw(peer, &bytes[cut..]);
            }
            lab.heard(peer);
            if dice.roll(2) == 0 {
                lab.lose(peer);
            }
            lab.pass(seconds(1));
        }
        lab.send(bystander, Packet::PingReq);
        assert_eq!(lab.heard(bystander), ["PINGRESP"], "seed {seed}");
    }
}

#[test]
fn all_identifiers_held_by_released_messages_make_the_next_one_wait() {
    let mut lab = Lab::new(Config::new());
    let (peer, _) = lab.resume(V5, "a");
    lab.subscribe(peer, "t", QoS::ExactlyOnce);
    for id in 1..=u16::MAX {
        lab.broker.publish(lab.now, message("t", "", QoS::ExactlyOnce));
        lab.ack(peer, AckKind::PubRec, id);
    }
    lab.lose(peer);
    let (peer, heard) = lab.resume(V5, "a");
    assert_eq!(heard.len(), 1 + 65_535);
    lab.broker.publish(lab.now, message("t", "waits", QoS::AtLeastOnce));
    assert!(lab.heard(peer).is_empty());
    lab.ack(peer, AckKind::PubComp, 9);
    assert_eq!(lab.heard(peer), ["PUBLISH q1 #9 t waits"]);
}
