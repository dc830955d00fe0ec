//! Messages that were accepted and not sent: in the order of acceptance, counted, and dropped when they expire.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Instant,
};

use super::{
    event::{NotSent, Outcome},
    journal::{Queued, Sent},
};
use crate::{
    id::Token,
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
}

impl Waiting {
    /// A message that is to be published again, for a session that was lost.
    pub(super) const fn again(token: Token, publish: Publish, expires: Option<Instant>) -> Self {
        Self { token, publish, expires, sent: Sent::Before }
    }

    /// What becomes of it when it does not leave: nobody knows what the lost session's server has done with it.
    pub(super) fn outcome(&self, why: NotSent) -> Outcome {
        match self.sent {
            Sent::Never => Outcome::NotSent(why),
            Sent::Before => Outcome::Unknown,
        }
    }

    pub(super) fn new(now: Instant, token: Token, publish: Publish) -> Self {
        let expires = if publish.properties.is_empty() {
            None
        } else {
            publish.properties.message_expiry().map(|left| now + left)
        };
        Self { token, publish, expires, sent: Sent::Never }
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
}

impl Queue {
    pub(super) fn restore(now: Instant, queued: BTreeMap<u64, Queued>) -> Self {
        let mut queue = Self::default();
        for (seq, Queued { publish, sent }) in queued {
            queue.push(Waiting { sent, ..Waiting::new(now, Token::from_u64(seq), publish) });
        }
        queue
    }

    pub(super) fn push(&mut self, waiting: Waiting) {
        self.bytes += weight(&waiting.publish);
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
        Some(waiting)
    }

    /// Takes everything out.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Waiting> + use<> {
        self.bytes = 0;
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
                        expired.push((waiting.token, waiting.outcome(NotSent::Expired)));
                    }
                    keeps
                });
            }
        }
        expired.sort_unstable_by_key(|(token, _)| *token);
        expired
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

/// Bytes of a message that count against the queue's limit.
pub(super) fn weight(publish: &Publish) -> usize {
    publish.topic.as_bytes().len() + publish.payload.len() + publish.properties.as_bytes().len()
}
