//! What is valid for a session: messages in flight and waiting, identifiers, subscriptions, will (§4.1).

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use karere_proto::{Filter, PacketId, QoS, Utf8String};

use crate::{connection::ConnectionId, message::Message, will::Will};

/// Names a session; later ones are larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SessionId(pub(crate) u64);

/// The state the server keeps for a client identifier.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) client_id: Utf8String,
    /// The connection that has it now.
    pub(crate) connection: Option<ConnectionId>,
    /// How long it is kept without one; `None` is forever.
    pub(crate) expiry: Option<Duration>,
    pub(crate) will: Option<Will>,
    pub(crate) filters: BTreeSet<Filter>,
    pub(crate) outbound: Outbound,
    /// Identifiers of QoS 2 messages that were received and not released [MQTT-4.3.3-10].
    pub(crate) held: BTreeSet<PacketId>,
}

impl Session {
    pub(crate) fn new(client_id: Utf8String) -> Self {
        Self {
            client_id,
            connection: None,
            expiry: None,
            will: None,
            filters: BTreeSet::new(),
            outbound: Outbound::default(),
            held: BTreeSet::new(),
        }
    }

    /// True when it is over as soon as its connection is.
    pub(crate) fn ends_with_connection(&self) -> bool {
        self.expiry == Some(Duration::ZERO)
    }
}

/// Messages to a client: in flight, and waiting behind them.
///
/// ```text
///  queue ─send─► Sent ─PUBACK─────────────► gone
///                  └──PUBREC─► Released ─PUBCOMP─► gone
/// ```
#[derive(Debug)]
pub(crate) struct Outbound {
    /// Waiting for the window, oldest first.
    queue: VecDeque<Message>,
    in_flight: BTreeMap<PacketId, Slot>,
    /// `Sent` identifiers in the order of their first sending [MQTT-4.6.0-1].
    sent: BTreeMap<u64, PacketId>,
    /// `Released` identifiers in the order of their PUBREC [MQTT-4.6.0-4].
    released: BTreeMap<u64, PacketId>,
    /// To be sent once more on this connection, before anything from the queue.
    again: VecDeque<PacketId>,
    /// Counts sendings and releases.
    order: u64,
    next: PacketId,
}

#[derive(Debug)]
struct Slot {
    place: u64,
    /// It took from the send quota of this connection, and gives back to it.
    quota: Quota,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Sent(Message),
    Released,
}

/// Whether a packet identifier holds a place in the window of the present connection (§4.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quota {
    /// It took one, which is to be given back.
    Charged,
    /// It is from an earlier connection and took none on this one.
    Free,
}

/// What an acknowledgement is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The flow is over.
    Done(Quota),
    /// PUBREL is due.
    Release,
    /// No such identifier is in flight.
    Unknown,
    /// The flow waits for another packet.
    Mismatch,
}

/// Whether the oldest message had to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queued {
    Kept,
    OldestDropped,
}

impl Outbound {
    /// Adds a message at the end; at `maximum` the oldest is dropped.
    pub(crate) fn enqueue(&mut self, message: Message, maximum: usize) -> Queued {
        self.queue.push_back(message);
        if self.queue.len() > maximum {
            self.queue.pop_front();
            return Queued::OldestDropped;
        }
        Queued::Kept
    }

    /// The next message to be sent for the first time.
    pub(crate) fn next_queued(&mut self) -> Option<Message> {
        self.queue.pop_front()
    }

    /// The next message to be sent once more, which takes from the quota again.
    pub(crate) fn next_again(&mut self) -> Option<(PacketId, Message)> {
        loop {
            let id = self.again.pop_front()?;
            // It may have been acknowledged in between.
            if let Some(Slot { quota, stage: Stage::Sent(message), .. }) = self.in_flight.get_mut(&id) {
                *quota = Quota::Charged;
                return Some((id, message.clone()));
            }
        }
    }

    /// True when every identifier is in use: released ones of earlier connections hold theirs without a place in the
    /// window, so this can be although the window is open.
    pub(crate) fn is_out_of_ids(&self) -> bool {
        self.in_flight.len() >= usize::from(u16::MAX)
    }

    /// An identifier that is not in use; ask [`is_out_of_ids`](Self::is_out_of_ids) first.
    pub(crate) fn free_id(&mut self) -> PacketId {
        while self.in_flight.contains_key(&self.next) {
            self.next = self.next.next();
        }
        let id = self.next;
        self.next = id.next();
        id
    }

    /// `message` was sent as `id`.
    pub(crate) fn sent(&mut self, id: PacketId, message: Message) {
        let place = self.place();
        self.sent.insert(place, id);
        self.in_flight.insert(id, Slot { place, quota: Quota::Charged, stage: Stage::Sent(message) });
    }

    /// Forgets a message that cannot be sent on this connection; says what it gives back.
    pub(crate) fn give_up(&mut self, id: PacketId) -> Quota {
        self.finish(id)
    }

    pub(crate) fn handle_puback(&mut self, id: PacketId) -> Progress {
        match self.in_flight.get(&id) {
            Some(Slot { stage: Stage::Sent(message), .. }) if message.publish.qos == QoS::AtLeastOnce => {
                Progress::Done(self.finish(id))
            }
            Some(_) => Progress::Mismatch,
            None => Progress::Unknown,
        }
    }

    pub(crate) fn handle_pubrec(&mut self, id: PacketId) -> Progress {
        let place = self.order + 1;
        match self.in_flight.get_mut(&id) {
            Some(Slot { stage: Stage::Sent(message), .. }) if message.publish.qos != QoS::ExactlyOnce => {
                Progress::Mismatch
            }
            Some(slot @ Slot { stage: Stage::Sent(_), .. }) => {
                self.sent.remove(&slot.place);
                self.released.insert(place, id);
                self.order = place;
                slot.place = place;
                slot.stage = Stage::Released;
                Progress::Release
            }
            Some(_) => Progress::Release,
            None => Progress::Unknown,
        }
    }

    /// PUBREC with a failure: the flow is over [MQTT-4.3.3-4].
    pub(crate) fn handle_refusal(&mut self, id: PacketId) -> Progress {
        match self.in_flight.get(&id) {
            Some(Slot { stage: Stage::Sent(message), .. }) if message.publish.qos == QoS::ExactlyOnce => {
                Progress::Done(self.finish(id))
            }
            Some(_) => Progress::Mismatch,
            None => Progress::Unknown,
        }
    }

    pub(crate) fn handle_pubcomp(&mut self, id: PacketId) -> Progress {
        match self.in_flight.get(&id) {
            Some(Slot { stage: Stage::Released, .. }) => Progress::Done(self.finish(id)),
            Some(_) => Progress::Mismatch,
            None => Progress::Unknown,
        }
    }

    /// A new connection took the session over: whatever is in flight is to be sent again [MQTT-4.4.0-1].
    pub(crate) fn resume(&mut self) {
        for slot in self.in_flight.values_mut() {
            slot.quota = Quota::Free;
        }
        self.again = self.sent.values().copied().collect();
    }

    /// Identifiers for which PUBREL is to be sent again, in order.
    pub(crate) fn released(&self) -> impl Iterator<Item = PacketId> {
        self.released.values().copied()
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    fn finish(&mut self, id: PacketId) -> Quota {
        let Some(slot) = self.in_flight.remove(&id) else {
            return Quota::Free;
        };
        match slot.stage {
            Stage::Sent(_) => self.sent.remove(&slot.place),
            Stage::Released => self.released.remove(&slot.place),
        };
        slot.quota
    }

    const fn place(&mut self) -> u64 {
        self.order += 1;
        self.order
    }
}

impl Default for Outbound {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            in_flight: BTreeMap::new(),
            sent: BTreeMap::new(),
            released: BTreeMap::new(),
            again: VecDeque::new(),
            order: 0,
            next: PacketId::FIRST,
        }
    }
}
