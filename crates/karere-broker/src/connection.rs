//! What is valid for a connection: its version, limits, aliases, windows, and the bytes on their way (§3.2.2.3).

use core::{fmt, time::Duration};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Instant,
};

use bytes::BytesMut;
use karere_proto::{
    Frame, FrameLimits, MAX_VARINT, PacketId, PropertyId, Side, Topic, Utf8String, Value, Version, WireRules,
    packet::{Connect, PublishPacket},
};

use crate::{authentication::Exchange, config::Config, outbox::Outbox, session::SessionId};

/// Names one connection; the driver chooses the number and never uses it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u64);

impl ConnectionId {
    /// A connection by its number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection {}", self.0)
    }
}

/// The largest packet MQTT can express, in bytes (§2.1.4). Properties can make one larger than it came.
const MAXIMUM_PACKET: usize = 1 + 4 + MAX_VARINT as usize;

/// One transport and what goes over it.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) phase: Phase,
    pub(crate) version: Version,
    /// Known once CONNECT was accepted.
    pub(crate) client_id: Option<Utf8String>,
    pub(crate) session: Option<SessionId>,
    /// The beginning of a packet whose end has not come.
    pub(crate) input: BytesMut,
    pub(crate) outbox: Outbox,
    /// Already in the list of connections to be polled.
    pub(crate) listed: bool,
    /// Bytes received.
    pub(crate) bytes_in: u64,
    pub(crate) last_heard: Instant,
    pub(crate) keep_alive: Option<KeepAlive>,
    /// What the client takes, in bytes (§3.1.2.11.4).
    pub(crate) maximum_packet_size: usize,
    /// Messages that may be in flight to the client (§4.9).
    pub(crate) window: u16,
    /// How many more may be sent now.
    pub(crate) quota: u16,
    /// QoS 1 and 2 messages that the client waits for an answer to (§3.3.4).
    pub(crate) unanswered: BTreeSet<PacketId>,
    pub(crate) aliases_in: BTreeMap<u16, Topic>,
    pub(crate) aliases_out: Aliases,
    /// Enhanced authentication, also when it is over.
    pub(crate) exchange: Option<Exchange>,
    /// What faults hold back of what came in.
    pub(crate) inbox: VecDeque<HeldFrame>,
    /// All that comes in waits until then.
    pub(crate) stalled: Option<Instant>,
}

/// Where a connection stands.
#[derive(Debug)]
pub(crate) enum Phase {
    /// CONNECT is due.
    Opened,
    /// CONNECT came and AUTH packets go back and forth (§4.12).
    Authenticating(Box<Connect>),
    /// CONNACK is sent.
    Online,
    /// What waits is written, then the transport is closed.
    Closing,
}

/// A packet that a fault holds back.
#[derive(Debug)]
pub(crate) struct HeldFrame {
    pub(crate) due: Instant,
    pub(crate) frame: Frame,
    /// Which faults have had their say already.
    pub(crate) judged: Judged,
}

/// Whether faults may still touch a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    NotYet,
    Already,
}

/// How long a client may be silent [MQTT-3.1.2-22].
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeepAlive(Duration);

impl KeepAlive {
    /// `None` when it is turned off.
    pub(crate) fn new(seconds: u16) -> Option<Self> {
        (seconds > 0).then(|| Self(Duration::from_millis(u64::from(seconds) * 1500)))
    }

    pub(crate) const fn patience(self) -> Duration {
        self.0
    }
}

impl Connection {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            phase: Phase::Opened,
            version: Version::V311, // the most lenient rules, until CONNECT tells
            client_id: None,
            session: None,
            input: BytesMut::new(),
            outbox: Outbox::default(),
            listed: false,
            bytes_in: 0,
            last_heard: now,
            keep_alive: None,
            maximum_packet_size: MAXIMUM_PACKET,
            window: u16::MAX,
            quota: u16::MAX,
            unanswered: BTreeSet::new(),
            aliases_in: BTreeMap::new(),
            aliases_out: Aliases::default(),
            exchange: None,
            inbox: VecDeque::new(),
            stalled: None,
        }
    }

    /// The client gave a place in the window back; the quota never passes the window.
    pub(crate) fn refund(&mut self) {
        self.quota = self.window.min(self.quota.saturating_add(1));
    }

    pub(crate) const fn rules(&self) -> &'static WireRules {
        self.version.rules()
    }

    pub(crate) fn frame_limits(&self, config: &Config) -> FrameLimits<'static> {
        let mut limits = FrameLimits::new(self.rules(), Side::Client);
        limits.max_packet_size = config.maximum_packet_size.map_or(u32::MAX, core::num::NonZeroU32::get);
        limits
    }

    pub(crate) const fn is_closing(&self) -> bool {
        matches!(self.phase, Phase::Closing)
    }

    pub(crate) const fn is_online(&self) -> bool {
        matches!(self.phase, Phase::Online)
    }
}

/// Topics that were given an alias on the way to a client (§3.3.2.3.4).
#[derive(Debug, Default)]
pub(crate) struct Aliases {
    maximum: u16,
    known: BTreeMap<Topic, u16>,
}

impl Aliases {
    pub(crate) const fn new(maximum: u16) -> Self {
        Self { maximum, known: BTreeMap::new() }
    }

    /// Replaces the topic by its alias, or gives it one as long as there are any. Must see every PUBLISH that is sent.
    pub(crate) fn apply(&mut self, packet: &mut PublishPacket) {
        if self.maximum == 0 {
            return;
        }
        let Some(topic) = packet.topic.clone() else {
            return;
        };
        let alias = match self.known.get(&topic) {
            Some(&alias) => {
                packet.topic = None;
                alias
            }
            None if self.known.len() < usize::from(self.maximum) => {
                let alias = self.known.len() as u16 + 1;
                self.known.insert(topic, alias);
                alias
            }
            None => return,
        };
        packet.properties.set(PropertyId::TopicAlias, Value::U16(alias)).expect("invariant: counted from 1");
    }
}
