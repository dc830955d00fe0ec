//! A client on a blocking stream, which speaks raw packets.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use karere_broker::{Config, Server};
use karere_proto::{
    FrameLimits, Packet, PacketId, Publish, QoS, ReasonCode, SendBuf, Side, Utf8String, Version, next_frame,
    packet::{Ack, AckKind, Attempt, Connect, PublishPacket, Subscribe},
};

pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A client on a blocking socket.
pub(crate) struct Client<S> {
    pub(crate) socket: S,
    pub(crate) version: Version,
    input: BytesMut,
}

impl<S: Read + Write> Client<S> {
    pub(crate) fn connect(socket: S, version: Version, client_id: &str) -> Self {
        let mut client = Self { socket, version, input: BytesMut::new() };
        let mut connect = Connect::new(version, Utf8String::new(client_id).expect("legal"));
        connect.clean_start = version == Version::V5;
        client.send(&Packet::Connect(Box::new(connect)));
        match client.receive() {
            Some(Packet::ConnAck(ack)) if ack.reason == ReasonCode::Success => client,
            other => panic!("expected CONNACK, got {other:?}"),
        }
    }

    pub(crate) fn send(&mut self, packet: &Packet) {
        let mut out = SendBuf::new();
        packet.encode(self.version.rules(), &mut out);
        self.socket.write_all(&out.to_vec()).expect("written");
        self.socket.flush().expect("flushed");
    }

    /// The next packet; `None` at the end of the stream.
    pub(crate) fn receive(&mut self) -> Option<Packet> {
        let rules = self.version.rules();
        loop {
            let limits = FrameLimits::new(rules, Side::Server);
            if let Some(frame) = next_frame(&mut self.input, limits).expect("legal") {
                return Some(Packet::decode(frame, rules, Side::Server).expect("legal"));
            }
            let mut buffer = [0; 4096];
            match self.socket.read(&mut buffer).expect("in time, and not reset") {
                0 => return None,
                count => self.input.extend_from_slice(&buffer[..count]),
            }
        }
    }

    pub(crate) fn subscribe(&mut self, filter: &str) {
        self.subscribe_at(filter, QoS::AtLeastOnce);
    }

    pub(crate) fn subscribe_at(&mut self, filter: &str, qos: QoS) {
        let subscribe = Subscribe::new(filter, qos).expect("legal");
        self.send(&Packet::Subscribe(PacketId::FIRST, subscribe));
        assert!(matches!(self.receive(), Some(Packet::SubAck(..))));
    }

    pub(crate) fn publish(&mut self, id: PacketId, payload: impl Into<Bytes>) {
        let publish = Publish::new("t", payload.into()).expect("legal").qos(QoS::AtLeastOnce);
        self.send(&Packet::Publish(PublishPacket::new(publish, Some(id), Attempt::First)));
    }

    pub(crate) fn received_payload(&mut self) -> Bytes {
        match self.receive() {
            Some(Packet::Publish(publish)) => {
                if let Some(id) = publish.id {
                    self.send(&Packet::Ack(Ack::new(AckKind::PubAck, id)));
                }
                publish.payload
            }
            other => panic!("expected PUBLISH, got {other:?}"),
        }
    }
}

pub(crate) fn dial(server: &Server) -> TcpStream {
    dial_to(server.tcp_addr().expect("listens on TCP"))
}

pub(crate) fn dial_to(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("connected");
    stream.set_nodelay(true).expect("set");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    stream.set_write_timeout(Some(PATIENCE)).expect("set");
    stream
}

pub(crate) fn start() -> Server {
    Server::start(Config::new()).expect("started")
}

/// Asks until `question` is answered.
pub(crate) fn eventually(what: &str, mut question: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !question() {
        assert!(begin.elapsed() < PATIENCE, "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}
