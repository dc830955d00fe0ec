//! Messages that were accepted and not sent: in the order of acceptance, counted, and dropped when they expire.

use core::time::Duration;
use std::{
    collections::{BTreeMap, VecDeque},
    time::Instant,
};

use super::{
    clock::Clock,
    event::{NotSent, Outcome},
    journal::{Queued, Sent},
};
use crate::{
    id::{IdMap, PacketId, Token},
    packet::Publish,
    properties::{PropertyId, Value},
    qos::QoS,
};

/// A message that waits, or was sent and may have to be sent again.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) token: Token,
    pub(super) publish: Publish,
    /// When its Message Expiry Interval runs out (§3.3.2.3.3).
    pub(super) expires: Option<Instant>,
    pub(super) sent: Sent,
    /// The identifier it is to be sent with, if its publisher has chosen one.
    pub(super) id: Option<PacketId>,
}

impl Waiting {
    /// A message that is to be published again, for a session that was lost.
    pub(super) const fn again(token: Token, publish: Publish, expires: Option<Instant>) -> Self {
        Self { token, publish, expires, sent: Sent::Before, id: None }
    }

    /// What becomes of it when it does not leave: nobody knows what the lost session's server has done with it.
    pub(super) fn outcome(&self, why: NotSent) -> Outcome {
        match self.sent {
            Sent::Never => Outcome::NotSent(why),
            Sent::Before => Outcome::Unknown,
        }
    }

    pub(super) fn new(now: Instant, token: Token, publish: Publish, id: Option<PacketId>) -> Self {
        let expires = lifetime(&publish).map(|left| now + left);
        Self { token, publish, expires, sent: Sent::Never, id }
    }

    pub(super) fn has_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }
}

/// Counts down what is left of a message's lifetime, in whole seconds and at least one: what it waited here, it has not
/// any more when it leaves.
pub(super) fn count_down(publish: &mut Publish, expires: Option<Instant>, now: Instant) {
    let Some(expires) = expires else {
        return;
    };
    let left = expires.saturating_duration_since(now);
    let seconds = (left.as_secs() + u64::from(left.subsec_nanos() > 0)).max(1);
    let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
    if publish.properties.message_expiry().is_some_and(|asked| asked.as_secs() != u64::from(seconds)) {
        publish
            .properties
            .set(PropertyId::MessageExpiryInterval, Value::U32(seconds))
            .expect("invariant: any number of seconds is legal");
    }
}

/// Which of the two queues.
#[derive(Clone, Copy, Debug)]
pub(super) enum Of {
    /// QoS 0: needs no window.
    QoS0,
    /// QoS 1 and 2.
    Others,
}

/// Messages that were accepted and not sent.
#[derive(Debug, Default)]
pub(super) struct Queue {
    others: VecDeque<Waiting>,
    qos0: VecDeque<Waiting>,
    bytes: usize,
    /// Identifiers that publishers have chosen for what waits.
    chosen: IdMap<()>,
}

impl Queue {
    pub(super) fn restore(clock: Clock, queued: BTreeMap<u64, Queued>) -> Self {
        let mut queue = Self::default();
        for (seq, Queued { publish, sent, expires }) in queued {
            let expires = clock.expiry(&publish, expires);
            queue.push(Waiting { sent, expires, token: Token::from_u64(seq), publish, id: None });
        }
        queue
    }

    pub(super) fn push(&mut self, waiting: Waiting) {
        self.bytes += weight(&waiting.publish);
        self.chosen.extend(waiting.id.map(|id| (id, ())));
        if waiting.publish.qos == QoS::AtMostOnce { &mut self.qos0 } else { &mut self.others }.push_back(waiting);
    }

    /// Puts a message of QoS 1 or 2 before all others: it was accepted before them.
    pub(super) fn push_front(&mut self, waiting: Waiting) {
        self.bytes += weight(&waiting.publish);
        self.others.push_front(waiting);
    }

    pub(super) fn pop(&mut self, of: Of) -> Option<Waiting> {
        let waiting = match of {
            Of::QoS0 => &mut self.qos0,
            Of::Others => &mut self.others,
        }
        .pop_front()?;
        self.bytes -= weight(&waiting.publish);
        if let Some(id) = waiting.id {
            self.chosen.remove(&id);
        }
        Some(waiting)
    }

    /// Takes everything out.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Waiting> + use<> {
        self.bytes = 0;
        self.chosen.clear();
        core::mem::take(&mut self.others).into_iter().chain(core::mem::take(&mut self.qos0))
    }

    /// Takes out what has expired, in the order of acceptance.
    pub(super) fn take_expired(&mut self, now: Instant) -> Vec<(Token, Outcome)> {
        let mut expired = Vec::new();
        for queue in [&mut self.others, &mut self.qos0] {
            if queue.iter().any(|waiting| waiting.has_expired(now)) {
                queue.retain(|waiting| {
                    let keeps = !waiting.has_expired(now);
                    if !keeps {
                        self.bytes -= weight(&waiting.publish);
                        if let Some(id) = waiting.id {
                            self.chosen.remove(&id);
                        }
                        expired.push((waiting.token, waiting.outcome(NotSent::Expired)));
                    }
                    keeps
                });
            }
        }
        expired.sort_unstable_by_key(|(token, _)| *token);
        expired
    }

    /// Takes out everything of QoS 0.
    pub(super) fn take_qos0(&mut self) -> VecDeque<Waiting> {
        self.bytes -= self.qos0.iter().map(|waiting| weight(&waiting.publish)).sum::<usize>();
        core::mem::take(&mut self.qos0)
    }

    /// True when the identifier was chosen for a message that waits.
    pub(super) fn has_chosen(&self, id: PacketId) -> bool {
        self.chosen.contains_key(&id)
    }

    /// True when the next message of QoS 1 or 2 comes with an identifier.
    pub(super) fn next_has_chosen(&self) -> bool {
        self.others.front().is_some_and(|waiting| waiting.id.is_some())
    }

    /// How many identifiers were chosen for messages that wait.
    pub(super) fn chosen(&self) -> usize {
        self.chosen.len()
    }

    /// True when a message in it can expire.
    pub(super) fn can_expire(&self) -> bool {
        self.others.iter().chain(&self.qos0).any(|waiting| waiting.expires.is_some())
    }

    pub(super) fn is_empty(&self, of: Of) -> bool {
        match of {
            Of::QoS0 => self.qos0.is_empty(),
            Of::Others => self.others.is_empty(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.others.len() + self.qos0.len()
    }

    /// Bytes of topics, payloads and properties.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }
}

/// The Message Expiry Interval of a message.
pub(super) fn lifetime(publish: &Publish) -> Option<Duration> {
    if publish.properties.is_empty() { None } else { publish.properties.message_expiry() }
}

/// Bytes of a message that count against the queue's limit.
pub(super) fn weight(publish: &Publish) -> usize {
    publish.topic.as_bytes().len() + publish.payload.len() + publish.properties.as_bytes().len()
}
