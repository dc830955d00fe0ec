//! What holds for every transport, told once: each test of a transport hands in how it dials.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use karere_broker::{Config, Fault, Server, Trigger};
use karere_proto::{
    Packet, PacketId, PacketType, Publish, QoS, ReasonCode, SendBuf, Version,
    packet::{Ack, AckKind, Attempt, PublishPacket},
};

use crate::client::{Client, PATIENCE, eventually};

const LARGE: usize = 5 * 1024 * 1024;

/// Every quality of service, and 5 MiB both ways, in every version.
pub(crate) fn messages_travel<S: Read + Write>(server: &Server, dial: impl Fn(&Server) -> S) {
    for version in Version::ALL {
        let mut client = Client::connect(dial(server), version, version.rules().name);
        client.subscribe_at("t", QoS::ExactlyOnce);
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            for size in [0, 1, 16_379, 16_380, 16_381, 70_000, LARGE] {
                let payload = pattern(size);
                assert!(client.echo(qos, payload.clone()) == payload, "{size} bytes at {qos:?} in {version:?}");
            }
        }
        client.send(&Packet::PingReq);
        assert_eq!(client.receive(), Some(Packet::PingResp));
    }
    assert_eq!(server.with(|broker| broker.counters().protocol_errors), 0);
    assert_eq!(server.troubles(), []);
}

/// Bytes that are different wherever one looks.
fn pattern(size: usize) -> Bytes {
    let mut state = 1u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    core::iter::repeat_with(next).take(size).collect()
}

/// Fifty clients at once, one of which tells all others something.
pub(crate) fn many_are_served<S: Read + Write>(server: &Server, dial: impl Fn(&Server) -> S) {
    let connect = |n: usize| Client::connect(dial(server), Version::V5, &format!("client {n}"));
    let mut clients = (0..50).map(connect).collect::<Vec<_>>();
    for client in &mut clients {
        client.subscribe("t");
    }
    let mut publisher = connect(50);
    for n in 0..20 {
        publisher.publish(PacketId::FIRST, pattern(n * 1000));
        assert!(matches!(publisher.receive(), Some(Packet::Ack(_))));
    }
    for client in &mut clients {
        for n in 0..20 {
            assert_eq!(client.received_payload(), pattern(n * 1000));
        }
    }
    drop(clients);
    eventually("all leave but one", || server.with(|broker| broker.connections().count()) == 1);
}

/// The clients learn that the server stops, in the words of MQTT and of what lies beneath.
pub(crate) fn stopping_is_told<S: Read + Write>(server: Server, dial: impl Fn(&Server) -> S) {
    let mut v5 = Client::connect(dial(&server), Version::V5, "5");
    let mut v311 = Client::connect(dial(&server), Version::V311, "3");
    let broker = server.stop();
    assert!(matches!(v5.receive(), Some(Packet::Disconnect(why)) if why.reason == ReasonCode::ServerShuttingDown));
    // An end without its words is an error, which `receive` does not take.
    assert_eq!(v5.receive(), None);
    assert_eq!(v311.receive(), None);
    assert_eq!(broker.connections().count(), 0);
}

/// Faults are done to the bytes of MQTT, wherever records and frames begin and end.
pub(crate) fn faults_are_done<S: Read + Write>(server: &Server, dial: impl Fn(&Server) -> S) {
    let pause = Duration::from_millis(20);
    let split = Fault::Split { size: 1, pause };
    server.with(|broker| broker.faults().add(Trigger::to_client(PacketType::PingResp), split));
    let mut client = Client::connect(dial(server), Version::V311, "split");
    let begin = Instant::now();
    client.send(&Packet::PingReq);
    assert_eq!(client.socket.read(&mut [0; 10]).expect("in time"), 1);
    assert_eq!(client.socket.read(&mut [0; 10]).expect("in time"), 1);
    assert!(begin.elapsed() >= pause);

    server.with(|broker| {
        broker.faults().clear();
        broker.faults().add(Trigger::to_client(PacketType::Publish), Fault::CloseAtByte(4 + 5 + 100_000));
    });
    let mut client = Client::connect(dial(server), Version::V311, "cut"); // CONNACK has 4 bytes, SUBACK 5
    client.subscribe("t");
    client.publish(PacketId::FIRST, pattern(LARGE));
    let mut received = Vec::new();
    // CloseAtByte is a lost connection, which need not end orderly.
    let _ = client.socket.read_to_end(&mut received);
    assert_eq!(received.len(), 100_000);

    server.with(|broker| {
        broker.faults().clear();
        broker.faults().add(Trigger::any(karere_broker::Direction::FromClient), Fault::CloseAtByte(1000));
    });
    let mut client = Client::connect(dial(server), Version::V311, "cut, too");
    client.send(&Packet::Publish(PublishPacket::new(message(900), None, Attempt::First)));
    client.send(&Packet::Publish(PublishPacket::new(message(900), None, Attempt::First)));
    let _ = client.socket.read_to_end(&mut received);
    assert_eq!(server.with(|broker| broker.counters().messages_in[0]), 1);
    server.with(|broker| broker.faults().clear());
}

fn message(size: usize) -> Publish {
    Publish::new("t", pattern(size)).expect("legal")
}

/// A client that does not read what it is sent is not read: `raw` is the socket beneath, which blocks no more.
pub(crate) fn who_does_not_read_is_not_read<S: Read + Write>(
    server: &Server,
    dial: impl Fn(&Server) -> S,
    raw: impl Fn(&mut S) -> &TcpStream,
) {
    let mut client = Client::connect(dial(server), Version::V311, "a");
    client.subscribe_at("t", QoS::AtMostOnce);
    raw(&mut client.socket).set_write_timeout(Some(Duration::from_millis(500))).expect("set");
    let mut out = SendBuf::new();
    Packet::Publish(PublishPacket::new(message(100_000), None, Attempt::First))
        .encode(client.version.rules(), &mut out);
    let packet = out.to_vec();
    let mut sent = 0;
    // All of it comes back to the one who does not read it, until nothing more is taken.
    while client.socket.write_all(&packet).and_then(|()| client.socket.flush()).is_ok() {
        sent += 1;
        assert!(sent < 500, "50 MB were taken from a client that reads nothing");
    }
    drop(client);
    eventually("the connection ends", || server.with(|broker| broker.connections().count()) == 0);
}

/// A handshake that does not go on ends with the time that a connection has for CONNECT.
pub(crate) fn unfinished_handshakes_end(address: std::net::SocketAddr, beginning: &[u8]) {
    let mut socket = crate::client::dial_to(address);
    socket.write_all(beginning).expect("written");
    let begin = Instant::now();
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).expect("closed in time");
    assert!(begin.elapsed() < PATIENCE / 2);
}

/// A stream whose bytes leave one by one.
pub(crate) struct Trickle(pub(crate) TcpStream);

impl Read for Trickle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Trickle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.0.write(&bytes[..bytes.len().min(1)])?;
        // Time for the other side to see this one alone.
        thread::sleep(Duration::from_micros(50));
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<S: Read + Write> Client<S> {
    /// Publishes to "t", which it has subscribed to, and goes through with the flows both ways; gives back what came.
    pub(crate) fn echo(&mut self, qos: QoS, payload: Bytes) -> Bytes {
        let publish = Publish::new("t", payload).expect("legal").qos(qos);
        let id = (qos != QoS::AtMostOnce).then_some(PacketId::FIRST);
        self.send(&Packet::Publish(PublishPacket::new(publish, id, Attempt::First)));
        let mut came = None;
        let mut is_sent = qos == QoS::AtMostOnce;
        let mut is_acknowledged = qos != QoS::ExactlyOnce;
        while came.is_none() || !is_sent || !is_acknowledged {
            let answer = match self.receive().expect("goes on") {
                Packet::Publish(publish) => {
                    assert_eq!(publish.qos, qos);
                    came = Some(publish.payload.clone());
                    publish.id.map(|id| match qos {
                        QoS::ExactlyOnce => Ack::new(AckKind::PubRec, id),
                        QoS::AtMostOnce | QoS::AtLeastOnce => Ack::new(AckKind::PubAck, id),
                    })
                }
                Packet::Ack(ack) => match ack.kind {
                    AckKind::PubAck | AckKind::PubComp => {
                        is_sent = true;
                        None
                    }
                    AckKind::PubRec => Some(Ack::new(AckKind::PubRel, ack.id)),
                    AckKind::PubRel => {
                        is_acknowledged = true;
                        Some(Ack::new(AckKind::PubComp, ack.id))
                    }
                },
                other => panic!("expected a part of a flow, got {other:?}"),
            };
            if let Some(ack) = answer {
                self.send(&Packet::Ack(ack));
            }
        }
        came.expect("came")
    }
}

/// A broker that waits for a moment only.
pub(crate) fn impatient() -> karere_broker::Broker {
    karere_broker::Broker::new(Config::new().connect_timeout(Duration::from_millis(300)))
}
