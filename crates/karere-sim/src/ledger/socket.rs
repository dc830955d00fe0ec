//! The wire, at the client's socket: what leaves and what reaches it.

use std::collections::BTreeMap;

use karere_proto::Version;

use super::{Ledger, Paid, Stage, Use, number_in};
use crate::{
    disk::Disk,
    wire::{self, Raw},
};

impl Ledger {
    /// A whole packet has left the client.
    pub(crate) fn left(&mut self, client: usize, raw: Raw<'_>, disk: &Disk) {
        let failure = match raw.kind() {
            wire::PUBLISH => self.publish_left(client, raw, disk),
            wire::PUBREL => self.pubrel_left(client, raw, disk),
            wire::PUBACK | wire::PUBREC | wire::PUBCOMP => self.answer_left(client, raw, disk),
            wire::SUBSCRIBE | wire::UNSUBSCRIBE => {
                let id = raw.id().unwrap_or(0);
                let peer = &mut self.peers[client];
                (peer.in_use.insert(id, Use::Request).is_some()).then(|| format!("identifier {id} is in use"))
            }
            _ => None,
        };
        if let Some(failure) = failure
            && !self.peers[client].deceived
        {
            self.fail(|| format!("client {client} sent {raw}: {failure}"));
        }
    }

    fn publish_left(&mut self, client: usize, raw: Raw<'_>, disk: &Disk) -> Option<String> {
        let peer = &mut self.peers[client];
        let number = number_in(raw.payload(peer.plan.version == Version::V5));
        let Some(message) = number.and_then(|number| self.messages.get_mut(number)) else {
            return Some("its payload is nobody's".to_owned());
        };
        let number = number.unwrap_or(0);
        let topic = match peer.aliases.resolve(raw, peer.plan.version) {
            Ok(topic) => topic,
            Err(failure) => return Some(failure),
        };
        if message.publisher != client || !message.is(raw, &topic, peer.plan.version) {
            return Some(format!("message {number} was published as something else"));
        }
        message.first_left.get_or_insert(self.clock);
        let id = raw.id()?;
        let republished = message.left_in.is_some_and(|(generation, _)| generation != peer.generation);
        match (raw.dup(), message.left_in) {
            (false, Some((generation, _))) if generation == peer.generation => {
                return Some(format!("message {number} is sent again without DUP"));
            }
            (true, _) if message.taken >= peer.was_online_until => {
                return Some(format!("message {number} cannot have been sent before, but has DUP"));
            }
            (false, _) | (true, _) => {}
        }
        let known = peer.in_use.iter().find(|(_, used)| used.number() == Some(number)).map(|(&id, &used)| (id, used));
        match (peer.in_use.get(&id), known) {
            (Some(used), _) if used.number() != Some(number) => {
                return Some(format!("identifier {id} is in use for {used:?}"));
            }
            (_, Some((other, _))) if other != id => {
                return Some(format!("message {number} is in flight as identifier {other} already"));
            }
            (_, Some((_, Use::Message { stage: Stage::Released, .. }))) => {
                return Some(format!("message {number} is sent after its PUBREC"));
            }
            (_, Some((_, Use::Message { connection, .. }))) if connection == peer.connection => {
                return Some(format!("message {number} is sent twice on one connection"));
            }
            _ => {}
        }
        let order = match message.left_in {
            Some((generation, order)) if generation == peer.generation => order,
            _ => {
                peer.sent += 1;
                peer.sent
            }
        };
        message.left_in = Some((peer.generation, order));
        if raw.dup() {
            if order <= peer.last_again {
                return Some(format!("message {number} is sent again out of order"));
            }
            peer.last_again = order;
        } else {
            if peer.last_new.is_some_and(|last| last > number) {
                return Some(format!("message {number} is sent after {:?}", peer.last_new));
            }
            peer.last_new = Some(number);
        }
        if republished {
            message.allow_one_more();
        }
        let given_up = message.given_up;
        let stage = Stage::Published;
        peer.in_use.insert(id, Use::Message { number, stage, connection: peer.connection });
        let unanswered = peer.in_use.values().filter(|used| used.is_of(peer.connection)).count();
        if unanswered > usize::from(peer.window) {
            return Some(format!("{unanswered} are unanswered, the window is {}", peer.window));
        }
        let behind = peer.in_use.values().find(|used| {
            matches!(used, Use::Message { stage: Stage::Published, connection, .. } if *connection != peer.connection)
        });
        if let Some(behind) = behind
            && !raw.dup()
            && !self.limits
        {
            return Some(format!("a new message is sent before {behind:?} is sent again"));
        }
        let recorded = || disk.snapshot().in_flight.iter().any(|flow| flow.id.get() == id && flow.publish.is_some());
        (peer.plan.journal && !given_up && !recorded()).then(|| "its record is not durable".to_owned())
    }

    fn pubrel_left(&mut self, client: usize, raw: Raw<'_>, disk: &Disk) -> Option<String> {
        let id = raw.id().unwrap_or(0);
        let peer = &mut self.peers[client];
        match peer.in_use.get_mut(&id) {
            // Given up for a limit, by the first PUBREL with a reason code that says so.
            Some(Use::Message { stage: stage @ Stage::Published, .. }) if self.limits => {
                *stage = Stage::Released;
                None
            }
            Some(Use::Message { stage: Stage::Published, number, .. }) => {
                Some(format!("message {number} has no PUBREC"))
            }
            Some(Use::Request) => Some("it is the identifier of a request".to_owned()),
            Some(Use::Message { number, stage: Stage::Either | Stage::Released, .. }) => {
                let given_up = self.messages[*number].given_up || raw.reason() == 0x92 || self.limits;
                let recorded =
                    || disk.snapshot().in_flight.iter().any(|flow| flow.id.get() == id && flow.publish.is_none());
                (peer.plan.journal && !given_up && !recorded()).then(|| "its record is not durable".to_owned())
            }
            None if raw.reason() == 0 && peer.plan.version == Version::V5 && !peer.plan.journal => {
                Some("nothing is in flight under this identifier".to_owned())
            }
            None => None,
        }
    }

    fn answer_left(&mut self, client: usize, raw: Raw<'_>, disk: &Disk) -> Option<String> {
        let id = raw.id().unwrap_or(0);
        let peer = &mut self.peers[client];
        let held = || disk.snapshot().received.iter().any(|held| held.get() == id);
        let (qos, queue) = match raw.kind() {
            wire::PUBACK => (1, &mut peer.pubacks),
            wire::PUBREC => (2, &mut peer.pubrecs),
            _ => {
                let open = raw.reason() == 0 && peer.plan.journal && held();
                return open.then(|| "the record that the identifier is free is not durable".to_owned());
            }
        };
        match queue.iter().position(|&waiting| waiting == id) {
            Some(0) => {
                queue.pop_front();
            }
            Some(_) => return Some(format!("it comes before that of {:?}", queue.front())),
            None if self.excused.doubled => {}
            None => return Some("there is nothing to answer".to_owned()),
        }
        if let Some(&number) = peer.inbound.get(&(qos, id))
            && self.messages[number].receipts[client].paid == Paid::No
        {
            return Some(format!("the application has not acknowledged message {number}"));
        }
        (qos == 2 && raw.reason() < 0x80 && peer.plan.journal && !held())
            .then(|| "its record is not durable".to_owned())
    }

    /// A whole packet has reached the client, which reads it next.
    pub(crate) fn reached(&mut self, client: usize, raw: Raw<'_>) {
        let peer = &mut self.peers[client];
        let Some(id) = raw.id() else {
            return;
        };
        match raw.kind() {
            wire::PUBLISH => {
                let queue = if raw.qos() == 1 { &mut peer.pubacks } else { &mut peer.pubrecs };
                if !queue.contains(&id) {
                    queue.push_back(id);
                }
            }
            wire::PUBREL => peer.pubrecs.retain(|&waiting| waiting != id),
            wire::PUBREC if raw.reason() < 0x80 => {
                if let Some(Use::Message { stage, .. }) = peer.in_use.get_mut(&id) {
                    *stage = Stage::Released;
                }
            }
            wire::PUBACK | wire::PUBREC | wire::PUBCOMP | wire::SUBACK | wire::UNSUBACK => {
                peer.in_use.remove(&id);
            }
            _ => {}
        }
    }
}

/// The topic aliases of one connection, as the server knows them.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    pub(super) maximum: u16,
    topics: BTreeMap<u16, Vec<u8>>,
}

impl Aliases {
    fn resolve(&mut self, raw: Raw<'_>, version: Version) -> Result<Vec<u8>, String> {
        let topic = raw.topic().to_vec();
        let Some(alias) = raw.alias().filter(|_| version == Version::V5) else {
            return Ok(topic);
        };
        if alias == 0 || alias > self.maximum {
            return Err(format!("topic alias {alias} is above the server's maximum {}", self.maximum));
        }
        if topic.is_empty() {
            let known = self.topics.get(&alias).cloned();
            return known.ok_or_else(|| format!("topic alias {alias} was not set on this connection"));
        }
        self.topics.insert(alias, topic.clone());
        Ok(topic)
    }
}
