//! What must survive the process: a record for each change of the session, and what all of them add up to.
//!
//! The session writes records as it writes bytes, and holds back the bytes that must not overtake them (`SendBuf::gate`).

use core::time::Duration;
use std::{collections::BTreeMap, time::SystemTime};

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{
    codec::Lsn,
    id::PacketId,
    packet::{Publish, SubscribeOptions},
    properties::{Carrier, Properties},
    qos::QoS,
    topic::{Filter, Topic},
};

/// One change of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Record {
    /// A message was taken; `seq` orders all that ever were, and is its token's number.
    Enqueued {
        /// Its place in the order of acceptance.
        seq: u64,
        /// The message.
        publish: Publish,
        /// When its Message Expiry Interval runs out, by the wall clock: what the process was down counts too. `None` when
        /// it does not expire, or the session knew no wall clock ([`super::Session::set_wall_clock`]).
        expires: Option<SystemTime>,
    },
    /// It is in flight under this packet identifier.
    Sent {
        /// Which message.
        seq: u64,
        /// Its identifier until it is completed.
        id: PacketId,
    },
    /// PUBREC came: the payload is no longer needed, PUBREL is owed.
    Released {
        /// Of the flow.
        id: PacketId,
    },
    /// PUBACK or PUBCOMP came, or the message was refused or given up.
    Completed {
        /// Which message.
        seq: u64,
    },
    /// It was given up while in flight: its outcome was told, and its identifier stays taken until it is completed.
    GivenUp {
        /// Which message.
        seq: u64,
    },
    /// A QoS 2 message was taken from the server; its identifier is held until PUBREL.
    Received {
        /// The server's identifier.
        id: PacketId,
    },
    /// PUBREL came: the identifier is free again.
    Forgotten {
        /// The server's identifier.
        id: PacketId,
    },
    /// The application wants this subscription, and the server granted it.
    Wanted {
        /// The filter.
        filter: Filter,
        /// Its options.
        options: SubscribeOptions,
        /// Its Subscription Identifier.
        identifier: Option<u32>,
    },
    /// The application no longer wants it.
    Unwanted {
        /// The filter.
        filter: Filter,
    },
    /// The server assigned this client identifier.
    Identity {
        /// The identifier.
        client_id: String,
    },
    /// The server knows this session from now on, and for how many seconds after the connection; `u32::MAX` is never.
    Established {
        /// Session Expiry Interval in force.
        expiry: u32,
    },
    /// The server had no session: what was in flight is no longer, and held identifiers are free.
    Cleared,
}

/// Records in the order they were made, encoded, and the number of the last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Batch {
    /// Each record in the encoding of [`Record::decode`].
    pub records: Vec<Bytes>,
    /// What to hand to `Session::handle_durable` once they are durable.
    pub last: Lsn,
}

impl Record {
    /// The record as bytes.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        match self {
            Self::Enqueued { seq, publish, expires } => {
                out.reserve(24 + super::queue::weight(publish) + 8);
                // 1 is how it was written before there were deadlines, and how it still is without one.
                out.put_u8(if expires.is_some() { 13 } else { 1 });
                out.put_u64(*seq);
                if let Some(expires) = expires {
                    let since = expires.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
                    out.put_u64(u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
                }
                out.put_u8(publish.qos.level() << 1 | u8::from(publish.retain));
                put_field(publish.topic.as_bytes(), &mut out);
                put_field(publish.properties.as_bytes(), &mut out);
                out.extend_from_slice(&publish.payload);
            }
            Self::Sent { seq, id } => {
                out.put_u8(2);
                out.put_u64(*seq);
                out.put_u16(id.get());
            }
            Self::Released { id } => put_id(3, *id, &mut out),
            Self::Completed { seq } => {
                out.put_u8(4);
                out.put_u64(*seq);
            }
            Self::Received { id } => put_id(5, *id, &mut out),
            Self::Forgotten { id } => put_id(6, *id, &mut out),
            Self::Wanted { filter, options, identifier } => {
                out.put_u8(7);
                out.put_u8(options.as_byte());
                out.put_u32(identifier.unwrap_or(0));
                out.extend_from_slice(filter.as_bytes());
            }
            Self::Unwanted { filter } => {
                out.put_u8(8);
                out.extend_from_slice(filter.as_bytes());
            }
            Self::Identity { client_id } => {
                out.put_u8(9);
                out.extend_from_slice(client_id.as_bytes());
            }
            Self::Established { expiry } => {
                out.put_u8(10);
                out.put_u32(*expiry);
            }
            Self::Cleared => out.put_u8(11),
            Self::GivenUp { seq } => {
                out.put_u8(12);
                out.put_u64(*seq);
            }
        }
        out.freeze()
    }

    /// Reads a record back.
    ///
    /// # Errors
    ///
    /// [`BadRecord`] when the bytes are no record of this version of the format.
    pub fn decode(mut bytes: Bytes) -> Result<Self, BadRecord> {
        let record = match bytes.try_get_u8()? {
            tag @ (1 | 13) => {
                let seq = bytes.try_get_u64()?;
                let expires = if tag == 13 { Some(take_time(&mut bytes)?) } else { None };
                let flags = bytes.try_get_u8()?;
                let qos = QoS::from_bits(flags >> 1).ok_or(BadRecord)?;
                let topic = Topic::from_bytes(take_field(&mut bytes)?).map_err(|_| BadRecord)?;
                let carrier = Carrier::Packet(crate::PacketType::Publish);
                let properties = Properties::from_bytes(take_field(&mut bytes)?, carrier).map_err(|_| BadRecord)?;
                let payload = core::mem::take(&mut bytes);
                let publish = Publish { topic, payload, qos, retain: flags & 1 == 1, properties };
                Self::Enqueued { seq, publish, expires }
            }
            2 => Self::Sent { seq: bytes.try_get_u64()?, id: take_id(&mut bytes)? },
            3 => Self::Released { id: take_id(&mut bytes)? },
            4 => Self::Completed { seq: bytes.try_get_u64()? },
            5 => Self::Received { id: take_id(&mut bytes)? },
            6 => Self::Forgotten { id: take_id(&mut bytes)? },
            7 => {
                let options = SubscribeOptions::from_byte(bytes.try_get_u8()?).map_err(|_| BadRecord)?;
                let identifier = Some(bytes.try_get_u32()?).filter(|&identifier| identifier > 0);
                Self::Wanted { filter: take_filter(&mut bytes)?, options, identifier }
            }
            8 => Self::Unwanted { filter: take_filter(&mut bytes)? },
            9 => {
                let client_id = core::mem::take(&mut bytes).to_vec();
                Self::Identity { client_id: String::from_utf8(client_id).map_err(|_| BadRecord)? }
            }
            10 => Self::Established { expiry: bytes.try_get_u32()? },
            11 => Self::Cleared,
            12 => Self::GivenUp { seq: bytes.try_get_u64()? },
            _ => return Err(BadRecord),
        };
        if bytes.is_empty() { Ok(record) } else { Err(BadRecord) }
    }
}

/// These bytes are no journal record of this version of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BadRecord;

impl From<bytes::TryGetError> for BadRecord {
    fn from(_: bytes::TryGetError) -> Self {
        Self
    }
}

impl core::fmt::Display for BadRecord {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("not a journal record of a session, or one of a newer version")
    }
}

impl core::error::Error for BadRecord {}

fn put_field(bytes: &Bytes, out: &mut BytesMut) {
    out.put_u32(u32::try_from(bytes.len()).expect("invariant: fits a packet"));
    out.extend_from_slice(bytes);
}

fn put_id(tag: u8, id: PacketId, out: &mut BytesMut) {
    out.put_u8(tag);
    out.put_u16(id.get());
}

fn take_field(bytes: &mut Bytes) -> Result<Bytes, BadRecord> {
    let len = bytes.try_get_u32()? as usize;
    if bytes.len() < len { Err(BadRecord) } else { Ok(bytes.split_to(len)) }
}

fn take_id(bytes: &mut Bytes) -> Result<PacketId, BadRecord> {
    PacketId::new(bytes.try_get_u16()?).ok_or(BadRecord)
}

/// Milliseconds since 1970.
fn take_time(bytes: &mut Bytes) -> Result<SystemTime, BadRecord> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(bytes.try_get_u64()?)).ok_or(BadRecord)
}

fn take_filter(bytes: &mut Bytes) -> Result<Filter, BadRecord> {
    Filter::from_bytes(core::mem::take(bytes)).map_err(|_| BadRecord)
}

/// The journal's end in a session: where records go until the driver fetches them.
#[derive(Debug, Default)]
pub(super) struct Log {
    switch: super::config::Journal,
    pending: Vec<Bytes>,
    last: Lsn,
    durable: Lsn,
}

impl Log {
    pub(super) fn new(switch: super::config::Journal) -> Self {
        Self { switch, ..Self::default() }
    }

    /// Notes a record and returns its number; without a store, the number that is durable from the start.
    #[inline]
    pub(super) fn record(&mut self, record: impl FnOnce() -> Record) -> Lsn {
        match self.switch {
            super::config::Journal::Off => Lsn::ZERO,
            super::config::Journal::On => {
                self.pending.push(record().encode());
                self.last = self.last.next();
                self.last
            }
        }
    }

    pub(super) fn take(&mut self) -> Option<Batch> {
        if self.pending.is_empty() {
            return None;
        }
        Some(Batch { records: core::mem::take(&mut self.pending), last: self.last })
    }

    pub(super) const fn last(&self) -> Lsn {
        self.last
    }

    pub(super) const fn durable(&self) -> Lsn {
        self.durable
    }

    pub(super) fn set_durable(&mut self, lsn: Lsn) {
        self.durable = self.durable.max(lsn);
    }
}

/// What a session's records add up to: all it needs to go on after a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Messages that wait to be sent, by their place in the order of acceptance.
    pub queued: BTreeMap<u64, Queued>,
    /// Messages in flight, in the order of their first sending.
    pub in_flight: Vec<InFlight>,
    /// Identifiers of QoS 2 messages that were taken and not yet released by the server, oldest first.
    pub received: Vec<PacketId>,
    /// Subscriptions that were granted.
    pub wanted: BTreeMap<Filter, Granted>,
    /// The client identifier the server assigned.
    pub client_id: Option<String>,
    /// Whether the server knows the session, and for how many seconds after its connection.
    pub established: Option<u32>,
    /// The highest place in the order of acceptance that was ever used, [`Snapshot::LAST_SEQ`] at most.
    pub last_seq: u64,
}

/// A message that waits to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Queued {
    /// The message.
    pub publish: Publish,
    /// Whether it was sent in a session that the server has lost.
    pub sent: Sent,
    /// When its Message Expiry Interval runs out.
    pub expires: Option<SystemTime>,
}

impl Queued {
    /// A message that was never sent and does not expire.
    pub const fn new(publish: Publish) -> Self {
        Self { publish, sent: Sent::Never, expires: None }
    }
}

/// Whether a message that waits to be sent was sent once, to a server that has lost the session since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete: it was or it was not")]
pub enum Sent {
    /// It was not: the server cannot have it.
    Never,
    /// It was: the server may have it.
    Before,
}

/// A subscription that the server granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Granted {
    /// The options it was asked for with.
    pub options: SubscribeOptions,
    /// Its Subscription Identifier (5.0, §3.8.2.1.2).
    pub identifier: Option<u32>,
}

impl Granted {
    /// With these options.
    pub const fn new(options: SubscribeOptions, identifier: Option<u32>) -> Self {
        Self { options, identifier }
    }
}

/// A message that was sent and whose flow has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InFlight {
    /// Its place in the order of acceptance.
    pub seq: u64,
    /// Its packet identifier.
    pub id: PacketId,
    /// The message; `None` once PUBREC has come and only PUBREL is owed.
    pub publish: Option<Publish>,
    /// When its Message Expiry Interval runs out; it is sent again all the same [MQTT-4.3.3-7]. `None` after PUBREC.
    pub expires: Option<SystemTime>,
    /// Its outcome was told; only its identifier is still to be freed.
    pub given_up: bool,
}

impl InFlight {
    /// A flow of which only PUBREL is owed.
    pub const fn new(seq: u64, id: PacketId) -> Self {
        Self { seq, id, publish: None, expires: None, given_up: false }
    }
}

impl Snapshot {
    /// The highest [`Snapshot::last_seq`] that a session goes on from: as many again are left to count with.
    pub const LAST_SEQ: u64 = u64::MAX / 2;

    /// All records so far, oldest first.
    ///
    /// # Errors
    ///
    /// [`BadRecord`] for the first that is none.
    pub fn from_records(records: impl IntoIterator<Item = Bytes>) -> Result<Self, BadRecord> {
        let mut snapshot = Self::default();
        for record in records {
            snapshot.apply(Record::decode(record)?);
        }
        Ok(snapshot)
    }

    /// Adds one more record.
    pub fn apply(&mut self, record: Record) {
        match record {
            Record::Enqueued { seq, publish, expires } => {
                self.last_seq = self.last_seq.max(seq);
                self.queued.insert(seq, Queued { publish, sent: Sent::Never, expires });
            }
            Record::Sent { seq, id } => {
                if let Some(Queued { publish, expires, .. }) = self.queued.remove(&seq) {
                    self.in_flight.push(InFlight { seq, id, publish: Some(publish), expires, given_up: false });
                }
            }
            Record::Released { id } => {
                // PUBRELs follow the order of PUBRECs [MQTT-4.6.0-4]: released flows move to the end, in that order.
                if let Some(at) = self.in_flight.iter().position(|flow| flow.id == id) {
                    let mut flow = self.in_flight.remove(at);
                    (flow.publish, flow.expires) = (None, None);
                    self.in_flight.push(flow);
                }
            }
            Record::Completed { seq } => {
                self.queued.remove(&seq);
                self.in_flight.retain(|flow| flow.seq != seq);
            }
            Record::GivenUp { seq } => {
                if let Some(flow) = self.in_flight.iter_mut().find(|flow| flow.seq == seq) {
                    flow.given_up = true;
                }
            }
            Record::Received { id } => self.received.push(id),
            Record::Forgotten { id } => self.received.retain(|&held| held != id),
            Record::Wanted { filter, options, identifier } => {
                self.wanted.insert(filter, Granted { options, identifier });
            }
            Record::Unwanted { filter } => {
                self.wanted.remove(&filter);
            }
            Record::Identity { client_id } => self.client_id = Some(client_id),
            Record::Established { expiry } => self.established = Some(expiry),
            Record::Cleared => {
                for InFlight { seq, publish, expires, given_up, .. } in core::mem::take(&mut self.in_flight) {
                    if let Some(publish) = publish
                        && !given_up
                    {
                        self.queued.insert(seq, Queued { publish, sent: Sent::Before, expires });
                    }
                }
                self.received.clear();
                self.established = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(id: u16) -> PacketId {
        PacketId::new(id).expect("not 0")
    }

    fn message(payload: &str) -> Publish {
        Publish::new("a/b", payload).expect("legal").qos(QoS::ExactlyOnce)
    }

    #[test]
    fn every_record_reads_back_and_no_prefix_of_one_does() {
        let filter = Filter::new("a/+").expect("legal");
        let records = [
            Record::Enqueued {
                seq: 7,
                publish: message("x").retained().message_expiry(Duration::from_secs(9)),
                expires: None,
            },
            Record::Enqueued {
                seq: 8,
                publish: message("y"),
                expires: Some(SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123)),
            },
            Record::Sent { seq: 7, id: id(3) },
            Record::Released { id: id(3) },
            Record::Completed { seq: 7 },
            Record::GivenUp { seq: 7 },
            Record::Received { id: id(9) },
            Record::Forgotten { id: id(9) },
            Record::Wanted {
                filter: filter.clone(),
                options: SubscribeOptions::new(QoS::AtLeastOnce).no_local(),
                identifier: Some(7),
            },
            Record::Unwanted { filter },
            Record::Identity { client_id: "c".into() },
            Record::Established { expiry: 5 },
            Record::Cleared,
        ];
        for record in records {
            let bytes = record.encode();
            assert_eq!(Record::decode(bytes.clone()).as_ref(), Ok(&record));
            // Payloads, filters and names end where the record ends: their prefixes are records of their own.
            let fixed = match &record {
                Record::Enqueued { .. } => bytes.len() - 1,
                Record::Wanted { .. } => 6,
                Record::Unwanted { .. } | Record::Identity { .. } => 1,
                _ => bytes.len(),
            };
            for len in 0..fixed {
                assert_eq!(Record::decode(bytes.slice(..len)), Err(BadRecord), "{record:?} cut to {len}");
            }
        }
    }

    #[test]
    fn records_add_up_to_what_is_owed() {
        let mut snapshot = Snapshot::default();
        for seq in 1..=4 {
            snapshot.apply(Record::Enqueued { seq, publish: message(&seq.to_string()), expires: None });
        }
        for (seq, at) in [(1, 10), (2, 11), (3, 12)] {
            snapshot.apply(Record::Sent { seq, id: id(at) });
        }
        snapshot.apply(Record::Released { id: id(11) });
        snapshot.apply(Record::Released { id: id(10) });
        snapshot.apply(Record::Received { id: id(5) });
        let order = snapshot.in_flight.iter().map(|flow| (flow.seq, flow.publish.is_some())).collect::<Vec<_>>();
        assert_eq!(order, [(3, true), (2, false), (1, false)]);
        snapshot.apply(Record::Completed { seq: 2 });
        snapshot.apply(Record::Cleared);
        assert_eq!(snapshot.queued.keys().copied().collect::<Vec<_>>(), [3, 4]);
        assert!(snapshot.in_flight.is_empty() && snapshot.received.is_empty());
        assert_eq!(snapshot.last_seq, 4);
    }
}
