//! What a client's records add up to, but for the bodies of its messages: those stay where they are.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use karere_proto::{PacketId, packet::SubscribeOptions, session::Record};

/// What is known of a client without reading its messages.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) session: SessionRow,
    /// Messages that were sent, by their place in the order of acceptance.
    pub(crate) flows: HashMap<u64, Flow>,
    by_id: HashMap<PacketId, u64>,
    /// Identifiers of QoS 2 messages that the server has not released, and where each stands among them.
    pub(crate) received: HashMap<PacketId, u64>,
}

/// The one row of a client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SessionRow {
    pub(crate) last_seq: u64,
    /// Counts first sendings, releases and receptions.
    pub(crate) order: u64,
    pub(crate) established: Option<u32>,
    pub(crate) client_id: Option<String>,
}

/// A message that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flow {
    pub(crate) stage: Stage,
    pub(crate) outcome: Told,
    pub(crate) id: PacketId,
    /// When it was sent or released first, among all.
    pub(crate) order: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It was sent in a session that is lost, and waits to be published again.
    Before,
    /// It waits for PUBACK or PUBREC.
    Publishing,
    /// PUBREL is owed; its body is gone.
    Released,
}

/// Whether a message's outcome was told before its flow has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    No,
    Yes,
}

/// What has to be written so that the disk says the same as the index. What came and went in between is not in it.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Messages to write, and those to delete.
    pub(crate) messages: BTreeMap<u64, Option<Bytes>>,
    pub(crate) flows: BTreeSet<u64>,
    pub(crate) received: BTreeSet<PacketId>,
    pub(crate) wanted: BTreeMap<Bytes, Option<(SubscribeOptions, Option<u32>)>>,
}

impl Index {
    /// Puts back a flow that was read.
    pub(crate) fn restore_flow(&mut self, seq: u64, flow: Flow) {
        if flow.stage != Stage::Before {
            self.by_id.insert(flow.id, seq);
        }
        self.flows.insert(seq, flow);
    }

    /// Takes one more record; `raw` is its encoding.
    pub(crate) fn apply(&mut self, record: Record, raw: &Bytes, changes: &mut Changes) -> Result<(), String> {
        match record {
            Record::Enqueued { seq, .. } => {
                self.session.last_seq = self.session.last_seq.max(seq);
                changes.messages.insert(seq, Some(raw.clone()));
            }
            Record::Sent { seq, id } => {
                let order = self.next_order();
                self.by_id.insert(id, seq);
                self.flows.insert(seq, Flow { stage: Stage::Publishing, outcome: Told::No, id, order });
                changes.flows.insert(seq);
            }
            Record::Released { id } => {
                let order = self.next_order();
                if let Some(&seq) = self.by_id.get(&id)
                    && let Some(flow) = self.flows.get_mut(&seq)
                {
                    *flow = Flow { stage: Stage::Released, order, ..*flow };
                    changes.flows.insert(seq);
                    changes.delete_message(seq);
                }
            }
            Record::Completed { seq } => {
                self.end(seq, changes);
                changes.delete_message(seq);
            }
            Record::GivenUp { seq } => {
                if let Some(flow) = self.flows.get_mut(&seq).filter(|flow| flow.stage != Stage::Before) {
                    flow.outcome = Told::Yes;
                    changes.flows.insert(seq);
                }
            }
            Record::Received { id } => {
                let order = self.next_order();
                self.received.insert(id, order);
                changes.received.insert(id);
            }
            Record::Forgotten { id } => {
                self.received.remove(&id);
                changes.received.insert(id);
            }
            Record::Wanted { filter, options, identifier } => {
                changes.wanted.insert(filter.as_bytes().clone(), Some((options, identifier)));
            }
            Record::Unwanted { filter } => {
                changes.wanted.insert(filter.as_bytes().clone(), None);
            }
            Record::Identity { client_id } => self.session.client_id = Some(client_id),
            Record::Established { expiry } => self.session.established = Some(expiry),
            Record::Cleared => self.clear(changes),
            other => return Err(format!("a record that this version does not keep: {other:?}")),
        }
        Ok(())
    }

    /// The server had no session: what it may not have waits again, under its old place.
    fn clear(&mut self, changes: &mut Changes) {
        let in_flight = self.flows.iter().filter(|(_, flow)| flow.stage != Stage::Before);
        let lost = in_flight.map(|(&seq, &flow)| (seq, flow)).collect::<Vec<_>>();
        self.by_id.clear();
        for (seq, flow) in lost {
            if flow.stage == Stage::Publishing && flow.outcome == Told::No {
                self.flows.insert(seq, Flow { stage: Stage::Before, ..flow });
                changes.flows.insert(seq);
            } else {
                self.end(seq, changes);
                changes.delete_message(seq);
            }
        }
        changes.received.extend(self.received.drain().map(|(id, _)| id));
        self.session.established = None;
    }

    fn end(&mut self, seq: u64, changes: &mut Changes) {
        if let Some(flow) = self.flows.remove(&seq) {
            if self.by_id.get(&flow.id) == Some(&seq) {
                self.by_id.remove(&flow.id);
            }
            changes.flows.insert(seq);
        }
    }

    const fn next_order(&mut self) -> u64 {
        self.session.order += 1;
        self.session.order
    }
}

impl Changes {
    fn delete_message(&mut self, seq: u64) {
        match self.messages.get(&seq) {
            // It was never written. Most messages end like this when the server is faster than the disk.
            Some(Some(_)) => self.messages.remove(&seq),
            Some(None) | None => self.messages.insert(seq, None),
        };
    }
}
