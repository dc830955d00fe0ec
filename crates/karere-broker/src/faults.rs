//! Scripted faults: packets dropped, delayed, doubled, cut, answered or replaced on purpose.

use core::{ops::Range, time::Duration};
use std::collections::BTreeSet;

use bytes::Bytes;
use karere_proto::{PacketType, ReasonCode};

use crate::connection::ConnectionId;

/// The faults a broker does. They can be added and removed at any time, also while a listener runs it.
///
/// ```
/// use karere_broker::{Broker, Config, Fault, Trigger};
/// use karere_proto::PacketType;
///
/// let mut broker = Broker::new(Config::new());
/// // The second PUBACK that "pump-7" is sent gets lost.
/// let lost = Trigger::to_client(PacketType::PubAck).client_id("pump-7").nth(2);
/// let id = broker.faults().add(lost, Fault::Drop);
/// assert_eq!(broker.faults().times_done(id), 0);
/// ```
#[derive(Debug, Default)]
pub struct Faults {
    entries: Vec<Entry>,
    added: u64,
}

/// Names a fault that was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FaultId(u64);

#[derive(Debug)]
struct Entry {
    id: FaultId,
    trigger: Trigger,
    fault: Fault,
    seen: u64,
    done: u64,
    /// Connections on which a [`Fault::CloseAtByte`] was done.
    closed: BTreeSet<ConnectionId>,
}

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "complete: a connection has two directions")]
pub enum Direction {
    /// From the client to the broker.
    FromClient,
    /// From the broker to the client.
    ToClient,
}

/// Which packets a fault happens to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Trigger {
    direction: Direction,
    packet: Option<PacketType>,
    client_id: Option<String>,
    connection: Option<ConnectionId>,
    nth: Option<u64>,
}

impl Trigger {
    /// Every packet of this type that a client sends.
    pub const fn from_client(packet: PacketType) -> Self {
        Self::new(Direction::FromClient, Some(packet))
    }

    /// Every packet of this type that the broker sends.
    pub const fn to_client(packet: PacketType) -> Self {
        Self::new(Direction::ToClient, Some(packet))
    }

    /// Every packet in this direction.
    pub const fn any(direction: Direction) -> Self {
        Self::new(direction, None)
    }

    const fn new(direction: Direction, packet: Option<PacketType>) -> Self {
        Self { direction, packet, client_id: None, connection: None, nth: None }
    }

    /// Of the client with this identifier only, CONNECT included.
    pub fn client_id(mut self, client_id: impl Into<String>) -> Self {
        self.client_id = Some(client_id.into());
        self
    }

    /// On this connection only.
    pub const fn connection(mut self, connection: ConnectionId) -> Self {
        self.connection = Some(connection);
        self
    }

    /// The `nth` such packet only, counted from 1 when the fault is added.
    pub const fn nth(mut self, nth: u64) -> Self {
        self.nth = Some(nth);
        self
    }

    fn matches(&self, packet: &Seen<'_>) -> bool {
        self.direction == packet.direction
            && (self.packet.is_none() || self.packet == packet.packet)
            && self.connection.is_none_or(|connection| connection == packet.connection)
            && self.client_id.as_deref().is_none_or(|client_id| packet.client_id == Some(client_id))
    }
}

/// What happens to a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The packet is lost.
    Drop,
    /// The packet comes later; those behind it overtake it.
    Delay(Duration),
    /// The packet and all behind it come later.
    Stall(Duration),
    /// The packet comes twice.
    Duplicate,
    /// The packet is handed to the driver in pieces of `size` bytes with a `pause` between them. A packet from a client
    /// is whole when it is judged, so to those nothing happens.
    Split {
        /// Bytes in each piece; 0 is taken as 1.
        size: usize,
        /// Between two pieces.
        pause: Duration,
    },
    /// The connection is lost, and the packet with it.
    CloseBefore,
    /// The connection is lost right after the packet.
    CloseAfter,
    /// The connection is lost once this many bytes went in the direction of the trigger, in the middle of a packet if
    /// need be. [`Trigger::nth`] counts connections; the type of packet plays no part.
    CloseAtByte(u64),
    /// A packet from a client is answered with this reason code and goes no further; a request that has no answer gets
    /// DISCONNECT. In a packet to a client that has a reason code, this one stands.
    Answer(ReasonCode),
    /// These bytes come in place of the packet: they need not be one.
    Replace(Bytes),
}

/// A packet on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) direction: Direction,
    /// `None` for bytes, when [`Fault::CloseAtByte`] is looked for.
    pub(crate) packet: Option<PacketType>,
    pub(crate) connection: ConnectionId,
    pub(crate) client_id: Option<&'a str>,
}

impl Faults {
    /// Adds a fault. Of several that fit a packet the first added is done; all count the packet.
    pub fn add(&mut self, trigger: Trigger, fault: Fault) -> FaultId {
        self.added += 1;
        let id = FaultId(self.added);
        self.entries.push(Entry { id, trigger, fault, seen: 0, done: 0, closed: BTreeSet::new() });
        id
    }

    /// Removes a fault; one that is not there is ignored. What is held back already still comes, unless its connection
    /// ends before.
    pub fn remove(&mut self, id: FaultId) {
        self.entries.retain(|entry| entry.id != id);
    }

    /// Removes all faults.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// How often a fault was done; 0 when it is not there any more.
    pub fn times_done(&self, id: FaultId) -> u64 {
        self.entries.iter().find(|entry| entry.id == id).map_or(0, |entry| entry.done)
    }

    /// True when there are none.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What is to be done to this packet, which is counted.
    pub(crate) fn judge(&mut self, packet: &Seen<'_>) -> Option<Fault> {
        let mut chosen = None;
        for entry in &mut self.entries {
            if matches!(entry.fault, Fault::CloseAtByte(_)) || !entry.trigger.matches(packet) {
                continue;
            }
            entry.seen += 1;
            if chosen.is_none() && entry.trigger.nth.is_none_or(|nth| nth == entry.seen) {
                entry.done += 1;
                chosen = Some(entry.fault.clone());
            }
        }
        chosen
    }

    /// How many of the bytes at these places of the stream still pass; `None` when all do.
    pub(crate) fn cut(&mut self, bytes: &Seen<'_>, places: Range<u64>) -> Option<u64> {
        let mut cut = None;
        for entry in &mut self.entries {
            let Fault::CloseAtByte(at) = entry.fault else {
                continue;
            };
            let any_packet = Trigger { packet: None, ..entry.trigger.clone() };
            if at > places.end || !any_packet.matches(bytes) || !entry.closed.insert(bytes.connection) {
                continue;
            }
            entry.seen += 1;
            if cut.is_none() && entry.trigger.nth.is_none_or(|nth| nth == entry.seen) {
                entry.done += 1;
                cut = Some(at.saturating_sub(places.start));
            }
        }
        cut
    }
}
