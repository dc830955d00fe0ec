//! A broker, clients that speak raw packets, and a clock that only tests move.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use karere_broker::{Broker, Config, ConnectionId, Then};
use karere_proto::{
    FrameLimits, Packet, PacketId, Properties, PropertyId, Publish, QoS, ReasonCode, SendBuf, Side, Utf8String, Value,
    Version, next_frame,
    packet::{
        Ack, AckKind, Attempt, Connect, Disconnect, PublishPacket, Subscribe, SubscribeOptions, Subscription,
        Unsubscribe, Will,
    },
};

/// All versions, for tests that hold for each.
pub(crate) const VERSIONS: [Version; 3] = Version::ALL;
pub(crate) const V5: Version = Version::V5;

/// A broker on virtual time, and what its connections have received.
pub(crate) struct Lab {
    pub(crate) broker: Broker,
    pub(crate) now: Instant,
    received: BTreeMap<ConnectionId, Received>,
    opened: u64,
}

#[derive(Default)]
struct Received {
    bytes: BytesMut,
    /// Bytes of each hand-over by the broker.
    pieces: Vec<usize>,
    closed: bool,
}

/// One client's end of a connection.
#[derive(Clone, Copy)]
pub(crate) struct Peer {
    pub(crate) id: ConnectionId,
    pub(crate) version: Version,
}

impl Lab {
    pub(crate) fn new(config: Config) -> Self {
        Self { broker: Broker::new(config), now: Instant::now(), received: BTreeMap::new(), opened: 0 }
    }

    /// Opens a transport.
    pub(crate) fn open(&mut self, version: Version) -> Peer {
        self.opened += 1;
        let id = ConnectionId::new(self.opened);
        self.broker.handle_opened(self.now, id);
        self.received.insert(id, Received::default());
        Peer { id, version }
    }

    /// Opens a transport and sends CONNECT.
    pub(crate) fn dial(&mut self, connect: Connect) -> Peer {
        let peer = self.open(connect.version);
        self.send(peer, Packet::Connect(Box::new(connect)));
        peer
    }

    /// Connects with a new session that ends with the connection.
    pub(crate) fn connect(&mut self, version: Version, client_id: &str) -> Peer {
        let peer = self.dial(connect(version, client_id));
        assert_eq!(self.heard(peer), ["CONNACK 00"], "{client_id}");
        peer
    }

    /// Connects to a session that is kept; answers what came with the CONNACK, too.
    pub(crate) fn resume(&mut self, version: Version, client_id: &str) -> (Peer, Vec<String>) {
        let peer = self.dial(kept(version, client_id));
        let heard = self.heard(peer);
        (peer, heard)
    }

    pub(crate) fn send(&mut self, peer: Peer, packet: Packet) {
        let mut out = SendBuf::new();
        packet.encode(peer.version.rules(), &mut out);
        self.send_raw(peer, &out.to_vec());
    }

    pub(crate) fn send_raw(&mut self, peer: Peer, bytes: &[u8]) {
        self.broker.handle_bytes(self.now, peer.id, &mut BytesMut::from(bytes));
        self.collect();
    }

    pub(crate) fn publish(&mut self, peer: Peer, id: u16, publish: Publish) {
        let id = (publish.qos != QoS::AtMostOnce).then(|| packet_id(id));
        self.send(peer, Packet::Publish(PublishPacket::new(publish, id, Attempt::First)));
    }

    pub(crate) fn publish_again(&mut self, peer: Peer, id: u16, publish: Publish) {
        self.send(peer, Packet::Publish(PublishPacket::new(publish, Some(packet_id(id)), Attempt::Again)));
    }

    pub(crate) fn ack(&mut self, peer: Peer, kind: AckKind, id: u16) {
        self.send(peer, Packet::Ack(Ack::new(kind, packet_id(id))));
    }

    pub(crate) fn ack_with(&mut self, peer: Peer, kind: AckKind, id: u16, reason: ReasonCode) {
        self.send(peer, Packet::Ack(Ack::with_reason(kind, packet_id(id), reason)));
    }

    /// Subscribes and expects to be granted what was asked for; what follows the SUBACK is still to be heard.
    pub(crate) fn subscribe(&mut self, peer: Peer, filter: &str, options: impl Into<SubscribeOptions>) {
        let options = options.into();
        self.send_subscribe(peer, 1, Subscribe::new(filter, options).expect("legal filter"));
        assert_eq!(self.hear_one(peer), format!("SUBACK 1 [{:02x}]", options.qos.level()));
    }

    pub(crate) fn send_subscribe(&mut self, peer: Peer, id: u16, subscribe: Subscribe) {
        self.send(peer, Packet::Subscribe(packet_id(id), subscribe));
    }

    pub(crate) fn unsubscribe(&mut self, peer: Peer, filter: &str) {
        self.send(peer, Packet::Unsubscribe(packet_id(2), Unsubscribe::new(filter).expect("legal filter")));
    }

    pub(crate) fn disconnect(&mut self, peer: Peer) {
        self.send(peer, Packet::Disconnect(Disconnect::NORMAL));
    }

    /// The network takes the connection away.
    pub(crate) fn lose(&mut self, peer: Peer) {
        self.broker.handle_closed(self.now, peer.id);
        self.collect();
    }

    /// Lets time pass, stopping at each deadline of the broker.
    pub(crate) fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(deadline) = self.broker.poll_timeout().filter(|&deadline| deadline <= end) {
            self.now = self.now.max(deadline);
            self.broker.handle_timeout(self.now);
            self.collect();
        }
        self.now = end;
        self.collect();
    }

    /// The next packet that came, in words.
    pub(crate) fn hear_one(&mut self, peer: Peer) -> String {
        self.next_packet(peer).map_or_else(|| "nothing".to_owned(), |packet| describe(&packet))
    }

    /// All that came since the last time, in words; "closed" last when the connection is.
    pub(crate) fn heard(&mut self, peer: Peer) -> Vec<String> {
        self.collect();
        let mut heard = Vec::new();
        while let Some(packet) = self.next_packet(peer) {
            heard.push(describe(&packet));
        }
        let received = &self.received[&peer.id];
        if !received.bytes.is_empty() {
            heard.push(format!("part {:02x?}", &received.bytes[..]));
        }
        if received.closed {
            heard.push("closed".to_owned());
        }
        heard
    }

    /// The next packet that came.
    pub(crate) fn next_packet(&mut self, peer: Peer) -> Option<Packet> {
        self.collect();
        let rules = peer.version.rules();
        let bytes = &mut self.received.get_mut(&peer.id).expect("opened").bytes;
        let frame = next_frame(bytes, FrameLimits::new(rules, Side::Server)).expect("broker sends legal frames")?;
        Some(Packet::decode(frame, rules, Side::Server).expect("broker sends legal packets"))
    }

    /// The next packet, which must be a PUBLISH.
    pub(crate) fn next_publish(&mut self, peer: Peer) -> PublishPacket {
        match self.next_packet(peer) {
            Some(Packet::Publish(publish)) => publish,
            other => panic!("expected PUBLISH, got {other:?}"),
        }
    }

    /// Bytes of each hand-over to the driver so far.
    pub(crate) fn pieces(&mut self, peer: Peer) -> Vec<usize> {
        self.collect();
        core::mem::take(&mut self.received.get_mut(&peer.id).expect("opened").pieces)
    }

    pub(crate) fn raw(&mut self, peer: Peer) -> Vec<u8> {
        self.collect();
        self.received.get_mut(&peer.id).expect("opened").bytes.split().to_vec()
    }

    fn collect(&mut self) {
        while let Some(id) = self.broker.poll_ready() {
            let mut out = SendBuf::new();
            let then = self.broker.poll_bytes(self.now, id, &mut out);
            let received = self.received.get_mut(&id).expect("opened");
            assert!(!received.closed, "bytes after the end");
            received.bytes.extend_from_slice(&out.to_vec());
            if !out.is_empty() {
                received.pieces.push(out.len());
            }
            received.closed = then == Then::Close;
        }
    }
}

pub(crate) fn connect(version: Version, client_id: &str) -> Connect {
    let mut connect = Connect::new(version, Utf8String::new(client_id).expect("legal"));
    connect.keep_alive = 0;
    connect
}

/// CONNECT to a session that is kept forever.
pub(crate) fn kept(version: Version, client_id: &str) -> Connect {
    let mut connect = connect(version, client_id);
    connect.clean_start = false;
    if version == V5 {
        connect.properties = properties([(PropertyId::SessionExpiryInterval, Value::U32(u32::MAX))]);
    }
    connect
}

pub(crate) fn properties<'a>(all: impl IntoIterator<Item = (PropertyId, Value<'a>)>) -> Properties {
    let mut properties = Properties::new();
    for (id, value) in all {
        properties.set(id, value).expect("legal");
    }
    properties
}

pub(crate) fn will(publish: Publish) -> Option<Will> {
    Some(Will::from(publish))
}

pub(crate) fn message(topic: &str, payload: &str, qos: QoS) -> Publish {
    Publish::new(topic, payload).expect("legal topic").qos(qos)
}

pub(crate) fn subscription(filter: &str, options: impl Into<SubscribeOptions>) -> Subscription {
    Subscription::new(karere_proto::Filter::new(filter).expect("legal filter"), options)
}

pub(crate) fn packet_id(id: u16) -> PacketId {
    PacketId::new(id).expect("not 0")
}

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn describe(packet: &Packet) -> String {
    let code = |reason: ReasonCode| format!("{:02x}", reason.as_byte());
    let codes = |reasons: &[ReasonCode]| reasons.iter().copied().map(code).collect::<Vec<_>>().join(" ");
    match packet {
        Packet::ConnAck(ack) if ack.session_present => format!("CONNACK {} present", code(ack.reason)),
        Packet::ConnAck(ack) => format!("CONNACK {}", code(ack.reason)),
        Packet::Publish(publish) => {
            let id = publish.id.map_or_else(String::new, |id| format!(" #{id}"));
            let dup = if publish.attempt == Attempt::Again { " dup" } else { "" };
            let retain = if publish.retain { " retain" } else { "" };
            let topic = publish.topic.as_ref().map_or("(alias)", |topic| topic.as_str());
            let payload = String::from_utf8_lossy(&publish.payload);
            format!("PUBLISH q{}{id}{dup}{retain} {topic} {payload}", publish.qos)
        }
        Packet::Ack(ack) if ack.reason == ReasonCode::Success => format!("{} {}", ack.kind.packet_type(), ack.id),
        Packet::Ack(ack) => format!("{} {} {}", ack.kind.packet_type(), ack.id, code(ack.reason)),
        Packet::SubAck(id, ack) => format!("SUBACK {id} [{}]", codes(&ack.reasons)),
        Packet::UnsubAck(id, ack) => format!("UNSUBACK {id} [{}]", codes(&ack.reasons)),
        Packet::Disconnect(disconnect) => format!("DISCONNECT {}", code(disconnect.reason)),
        Packet::Auth(auth) => format!("AUTH {}", code(auth.reason)),
        Packet::Connect(_) | Packet::Subscribe(..) | Packet::Unsubscribe(..) | Packet::PingReq | Packet::PingResp => {
            packet.packet_type().to_string()
        }
    }
}
