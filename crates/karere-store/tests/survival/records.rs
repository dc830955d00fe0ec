//! Records in an order in which a session makes them, chosen by dice.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use karere_proto::{
    Filter, PacketId, Publish, QoS,
    packet::SubscribeOptions,
    session::{Record, Snapshot},
};

use super::dice::Dice;

/// A session's journal that goes on from what is kept of it.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) snapshot: Snapshot,
    next_id: u16,
}

impl Writer {
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        Self { snapshot, next_id: 1 }
    }

    /// The next `count` records; the snapshot is what they add up to.
    pub(crate) fn write(&mut self, count: usize, dice: &mut Dice) -> Vec<Bytes> {
        let mut records = Vec::new();
        while records.len() < count {
            if let Some(record) = self.next(dice) {
                records.push(record.encode());
                self.snapshot.apply(record);
            }
        }
        records
    }

    fn next(&mut self, dice: &mut Dice) -> Option<Record> {
        let snapshot = &self.snapshot;
        Some(match dice.below(100) {
            0..30 => {
                let seq = snapshot.last_seq + 1;
                let expires = dice.chance(20).then(|| SystemTime::UNIX_EPOCH + Duration::from_millis(seq * 7));
                Record::Enqueued { seq, publish: message(dice, seq), expires }
            }
            30..55 => {
                let &seq = snapshot.queued.keys().next()?;
                self.next_id = self.next_id % 200 + 1;
                let id = PacketId::new(self.next_id).expect("not 0");
                if self.snapshot.in_flight.iter().any(|flow| flow.id == id) {
                    return None;
                }
                Record::Sent { seq, id }
            }
            55..65 => {
                let released = |publish: &Publish| publish.qos == QoS::ExactlyOnce;
                let mut flows = snapshot.in_flight.iter();
                let flow = flows.find(|flow| flow.publish.as_ref().is_some_and(released))?;
                Record::Released { id: flow.id }
            }
            65..80 => {
                let at = dice.below(snapshot.in_flight.len().max(1));
                Record::Completed { seq: snapshot.in_flight.get(at)?.seq }
            }
            80..83 => Record::Completed { seq: *snapshot.queued.keys().next_back()? }, // expired, or given up
            83..86 => {
                let flow = snapshot.in_flight.iter().find(|flow| !flow.given_up)?;
                Record::GivenUp { seq: flow.seq }
            }
            86..90 => {
                let id = PacketId::new(u16::try_from(dice.below(50)).expect("small") + 1).expect("not 0");
                if snapshot.received.contains(&id) {
                    return None;
                }
                Record::Received { id }
            }
            90..93 => Record::Forgotten { id: *snapshot.received.get(dice.below(snapshot.received.len().max(1)))? },
            93..95 => Record::Wanted {
                filter: filter(dice),
                options: SubscribeOptions::new(QoS::AtLeastOnce),
                identifier: dice.chance(50).then_some(7),
            },
            95..96 => Record::Unwanted { filter: filter(dice) },
            96..98 => Record::Established { expiry: 3600 },
            98 => Record::Identity { client_id: format!("assigned-{}", dice.below(100)) },
            _ => Record::Cleared,
        })
    }
}

fn filter(dice: &mut Dice) -> Filter {
    Filter::new(format!("wanted/{}/+", dice.below(20))).expect("legal")
}

fn message(dice: &mut Dice, seq: u64) -> Publish {
    let qos = if dice.chance(50) { QoS::ExactlyOnce } else { QoS::AtLeastOnce };
    // Most are small; some take more than a page of the file.
    let len = if dice.chance(5) { dice.below(20_000) } else { dice.below(300) };
    let mut payload = seq.to_string().into_bytes();
    payload.resize(len.max(payload.len()), b'.');
    Publish::new(format!("topic/{}", dice.below(3)), payload).expect("legal").qos(qos)
}
