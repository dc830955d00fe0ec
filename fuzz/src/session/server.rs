//! What a server sees: is every byte of the client legal, and did it wait for its record?
//!
//! The server reads what the client sends and hears what it says itself. Where it says something illegal the client closes
//! the connection, so that what is said after that is not held against the client: it never acts on it.

use super::operations::TOPICS;
use bytes::BytesMut;
use karere_proto::{
    FrameLimits, Packet, Publish, QoS, ReasonCode, Side, Topic, Version, WireRules, next_frame,
    packet::{Ack, AckKind, Attempt, ConnAck, PublishPacket},
    session::{Config, Delivery, Journal, Record, Snapshot},
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Both ends of the wire, and the disk behind the client.
pub(super) struct Server {
    version: Version,
    journal: Journal,
    connection: Connection,
    /// How often the client may deliver a QoS 2 message of this identifier.
    allowed: BTreeMap<u16, u32>,
    /// Identifiers of QoS 2 messages that this side has not released.
    unreleased: BTreeSet<u16>,
    /// How often an identifier stood in a durable record, and how often in a first PUBLISH.
    recorded: BTreeMap<u16, Recorded>,
}

#[derive(Default)]
struct Recorded {
    sent: u32,
    released: u32,
    received: u32,
    first_publishes: u32,
}

/// What is valid for one connection.
#[derive(Default)]
struct Connection {
    from_client: BytesMut,
    from_server: BytesMut,
    /// The largest packet that the client takes.
    client_maximum: Option<u32>,
    asked_clean: bool,
    connect_seen: bool,
    disconnect_seen: bool,
    /// The CONNACK of success.
    accepted: Option<ConnAck>,
    /// The client has read it; nothing but CONNECT, AUTH and DISCONNECT may come before.
    is_online: bool,
    /// The client does not read on.
    refused: bool,
    /// What the client has sent and this side has not answered for good.
    open: BTreeMap<u16, Open>,
    /// Identifiers that this side answered before the client had sent anything under them.
    early: BTreeSet<u16>,
    /// Topics by what the client calls them.
    aliases: BTreeMap<u16, Topic>,
    /// QoS 1 messages to be answered, in their order.
    unanswered: VecDeque<u16>,
}

/// What an identifier of the client is used for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Open {
    Publish(QoS),
    /// A PUBREL without a PUBLISH on this connection.
    Release,
    Subscribe(usize),
    Unsubscribe(usize),
}

impl Server {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            version: config.connect.version,
            journal: config.journal,
            connection: Connection::default(),
            allowed: BTreeMap::new(),
            unreleased: BTreeSet::new(),
            recorded: BTreeMap::new(),
        }
    }

    pub(super) fn opened(&mut self) {
        self.connection = Connection::default();
    }

    /// The client has read CONNACK.
    pub(super) fn connected(&mut self) {
        assert!(self.connection.accepted.is_some(), "connected to a server that did not accept it");
        self.connection.is_online = true;
    }

    /// Another process of the client: what it had not recorded may be delivered to it again.
    pub(super) fn restarts(&mut self, snapshot: &Snapshot) {
        self.connection = Connection::default();
        self.unreleased = snapshot.received.iter().map(|id| id.get()).collect();
    }

    /// What the client has sent and this side has not answered for good.
    pub(super) fn open(&self) -> impl ExactSizeIterator<Item = (u16, Open)> {
        self.connection.open.iter().map(|(&id, &open)| (id, open))
    }

    // The disk

    pub(super) fn records(&mut self, record: &Record) {
        match record {
            Record::Sent { id, .. } => self.recorded.entry(id.get()).or_default().sent += 1,
            Record::Released { id } => self.recorded.entry(id.get()).or_default().released += 1,
            Record::Received { id } => self.recorded.entry(id.get()).or_default().received += 1,
            _ => {}
        }
    }

    // From the client

    pub(super) fn reads(&mut self, bytes: &[u8]) {
        self.connection.from_client.extend_from_slice(bytes);
        let rules = self.version.rules();
        let limits = FrameLimits::new(rules, Side::Client);
        loop {
            let before = self.connection.from_client.len();
            let frame = next_frame(&mut self.connection.from_client, limits);
            let Some(frame) = frame.unwrap_or_else(|error| panic!("the client broke a rule: {error}")) else {
                break;
            };
            let size = before - self.connection.from_client.len();
            let packet = Packet::decode(frame, rules, Side::Client);
            let packet = packet.unwrap_or_else(|error| panic!("the client broke a rule: {error}"));
            self.read(&packet, size);
        }
    }

    fn read(&mut self, packet: &Packet, size: usize) {
        let rules = self.version.rules();
        let connection = &mut self.connection;
        assert_eq!(connection.connect_seen, !matches!(packet, Packet::Connect(_)), "CONNECT is sent first, and once");
        assert!(!connection.disconnect_seen, "{packet:?} after DISCONNECT");
        match &connection.accepted {
            Some(accepted) if connection.is_online => {
                let maximum = accepted.properties.maximum_packet_size().unwrap_or(u32::MAX);
                // A server that takes no acknowledgement has no right to expect one.
                let small = size <= 5 && !matches!(packet, Packet::Publish(_));
                assert!(small || size <= maximum as usize, "{packet:?} is larger than {maximum}");
            }
            Some(_) | None => assert!(
                matches!(packet, Packet::Connect(_) | Packet::Auth(_) | Packet::Disconnect(_)),
                "{packet:?} before CONNACK"
            ),
        }
        match packet {
            Packet::Connect(connect) => {
                connection.connect_seen = true;
                connection.asked_clean = connect.clean_start;
                connection.client_maximum = connect.properties.maximum_packet_size();
            }
            Packet::Disconnect(_) => connection.disconnect_seen = true,
            Packet::Publish(publish) => self.read_publish(publish),
            Packet::Ack(ack) => self.read_ack(ack),
            Packet::Subscribe(id, subscribe) => {
                connection.opens(id.get(), Open::Subscribe(subscribe.subscriptions.len()), rules)
            }
            Packet::Unsubscribe(id, unsubscribe) => {
                connection.opens(id.get(), Open::Unsubscribe(unsubscribe.filters.len()), rules);
            }
            Packet::ConnAck(_)
            | Packet::SubAck(..)
            | Packet::UnsubAck(..)
            | Packet::PingReq
            | Packet::PingResp
            | Packet::Auth(_) => {}
        }
    }

    fn read_publish(&mut self, publish: &PublishPacket) {
        let accepted = &self.connection.accepted.as_ref().expect("was checked").properties;
        assert!(accepted.maximum_qos().is_none_or(|maximum| publish.qos <= maximum), "{publish:?}: Maximum QoS");
        assert!(!publish.retain || accepted.retain_available() != Some(false), "{publish:?}: Retain Available");
        let alias = publish.properties.topic_alias().unwrap_or_default();
        assert!(alias <= accepted.topic_alias_maximum().unwrap_or_default(), "{publish:?}: Topic Alias Maximum");
        let aliases = &mut self.connection.aliases;
        let topic = match (&publish.topic, alias) {
            (Some(topic), 0) => topic.clone(),
            (Some(topic), alias) => {
                aliases.insert(alias, topic.clone());
                topic.clone()
            }
            (None, alias) => aliases.get(&alias).expect("an alias is set before it is used").clone(),
        };
        if let Some(&which) = publish.payload.first() {
            assert_eq!(topic, TOPICS[usize::from(which)], "the alias is of another topic");
        }
        let maximum = accepted.receive_maximum().unwrap_or(u16::MAX);
        let Some(id) = publish.id else {
            return;
        };
        self.connection.opens(id.get(), Open::Publish(publish.qos), self.version.rules());
        let in_flight = self.connection.open.values().filter(|open| matches!(open, Open::Publish(_))).count();
        assert!(in_flight <= usize::from(maximum), "{in_flight} messages in flight; {maximum} are allowed");
        if self.journal == Journal::On && publish.attempt == Attempt::First {
            let recorded = self.recorded.entry(id.get()).or_default();
            recorded.first_publishes += 1;
            assert!(recorded.first_publishes <= recorded.sent, "{publish:?} left before its record was durable");
        }
    }

    fn read_ack(&mut self, ack: &Ack) {
        let id = ack.id.get();
        let is_recorded = |recorded: fn(&Recorded) -> u32| {
            self.journal == Journal::Off || self.recorded.get(&id).is_some_and(|all| recorded(all) > 0)
        };
        match ack.kind {
            AckKind::PubAck => {
                let turn = self.connection.unanswered.pop_front();
                assert_eq!(turn, Some(id), "PUBACK out of turn");
            }
            AckKind::PubRec => {
                let recorded = ack.reason.is_failure() || is_recorded(|recorded| recorded.received);
                assert!(recorded, "{ack:?} left before its record was durable");
            }
            // Without reason codes a PUBREL for a flow that nobody knows looks like any other.
            AckKind::PubRel => {
                let unknown = ack.reason != ReasonCode::Success || !self.version.rules().ack_reasons;
                assert!(
                    unknown || is_recorded(|recorded| recorded.released),
                    "{ack:?} left before its record was durable"
                );
                if ack.reason == ReasonCode::Success {
                    self.connection.open.entry(id).or_insert(Open::Release);
                }
            }
            AckKind::PubComp => {}
        }
    }

    // To the client, and to the application behind it

    pub(super) fn says(&mut self, bytes: &[u8]) {
        self.connection.from_server.extend_from_slice(bytes);
        let rules = self.version.rules();
        let mut limits = FrameLimits::new(rules, Side::Server);
        limits.max_packet_size = self.connection.client_maximum.unwrap_or(u32::MAX);
        while !self.connection.refused {
            let packet = match next_frame(&mut self.connection.from_server, limits) {
                Ok(None) => break,
                Ok(Some(frame)) => Packet::decode(frame, rules, Side::Server),
                Err(error) => Err(error),
            };
            match packet {
                Ok(packet) => self.say(packet),
                Err(_) => self.connection.refused = true,
            }
        }
    }

    fn say(&mut self, packet: Packet) {
        if self.connection.accepted.is_none() {
            match packet {
                Packet::ConnAck(ack) if ack.reason == ReasonCode::Success => {
                    let rules = self.version.rules();
                    let is_new = if rules.session_present { !ack.session_present } else { self.connection.asked_clean };
                    if is_new {
                        self.unreleased.clear();
                    }
                    self.connection.accepted = Some(ack);
                }
                Packet::Auth(_) => {}
                _ => self.connection.refused = true,
            }
            return;
        }
        match packet {
            Packet::Publish(PublishPacket { qos: QoS::AtLeastOnce, id: Some(id), .. }) => {
                self.connection.unanswered.push_back(id.get());
            }
            Packet::Publish(PublishPacket { qos: QoS::ExactlyOnce, id: Some(id), .. }) => {
                let is_new = self.unreleased.insert(id.get());
                if is_new {
                    self.allow(id.get());
                }
            }
            Packet::Ack(Ack { kind: AckKind::PubRel, id, .. }) => {
                self.unreleased.remove(&id.get());
            }
            Packet::Ack(ack) if ack.kind != AckKind::PubRec || ack.reason.is_failure() => {
                self.connection.answers(ack.id.get());
            }
            Packet::SubAck(id, _) | Packet::UnsubAck(id, _) => self.connection.answers(id.get()),
            _ => {}
        }
    }

    /// The application has a message.
    pub(super) fn delivered(&mut self, delivery: &Delivery, publish: &Publish) {
        assert_eq!(publish.properties.topic_alias(), None);
        assert_eq!(delivery.packet_id().is_some(), publish.qos > QoS::AtMostOnce);
        if let (QoS::ExactlyOnce, Some(id)) = (delivery.qos(), delivery.packet_id()) {
            let allowed = self.allowed.entry(id.get()).or_default();
            assert!(*allowed > 0, "a QoS 2 message, {id}, was delivered twice");
            *allowed -= 1;
        }
    }

    /// A QoS 2 message of this identifier may be delivered, perhaps again: the application refused it.
    pub(super) fn allow(&mut self, id: u16) {
        *self.allowed.entry(id).or_default() += 1;
    }
}

impl Connection {
    /// The client begins to use an identifier.
    fn opens(&mut self, id: u16, what: Open, rules: &WireRules) {
        if self.early.remove(&id) {
            return;
        }
        let before = self.open.insert(id, what);
        let free = before.is_none_or(|before| before == Open::Release && !rules.ack_reasons);
        assert!(free, "{what:?} with packet identifier {id}, which is in use for {before:?}");
    }

    fn answers(&mut self, id: u16) {
        if self.open.remove(&id).is_none() {
            self.early.insert(id);
        }
    }
}
