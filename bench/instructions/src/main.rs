//! Fixed work, whose instructions `cargo xtask instructions` counts.
//!
//! `karere-instructions list` names the workloads; `karere-instructions NAME COUNT` does one of them COUNT times, a
//! multiple of [`BURST`]. What it takes to start is in every run, so that the difference of two counts is the work alone.

use bytes::{Bytes, BytesMut};
use karere_proto::{
    FrameLimits, Packet, PacketId, Properties, PropertyId, Publish, QoS, ReasonCode, SendBuf, Session, Side,
    Utf8String, Value, Version, next_frame,
    packet::{Ack, AckKind, Attempt, ConnAck, PublishPacket},
    session::{Config, Event},
};
use std::{hint::black_box, io::Write, num::NonZeroU16, process::ExitCode, time::Instant};

/// Messages handed to the session before its bytes are fetched, as a driver does.
const BURST: usize = 100;

fn main() -> ExitCode {
    let args = std::env::args().skip(1).collect::<Vec<_>>();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["list"] => {
            let names = workloads().map(|(name, _)| name).collect::<Vec<_>>().join("\n");
            let written = writeln!(std::io::stdout(), "{names}");
            if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        [name, count] => {
            let workload = workloads().find(|(known, _)| known == name);
            match (workload, count.parse::<usize>()) {
                (Some((_, workload)), Ok(count)) => {
                    workload.run(count / BURST);
                    ExitCode::SUCCESS
                }
                _ => ExitCode::from(2),
            }
        }
        _ => ExitCode::from(2),
    }
}

/// What is done with a message, and which message.
#[derive(Clone, Copy)]
struct Workload {
    work: Work,
    version: Version,
    qos: QoS,
    with: With,
}

#[derive(Clone, Copy)]
enum Work {
    Decode,
    Encode,
    /// The client publishes and hears how that ended.
    Publish,
    /// The client is sent a message and acknowledges it.
    Receive,
}

/// What a 5.0 message carries beside topic and payload.
#[derive(Clone, Copy, PartialEq)]
enum With {
    Nothing,
    Properties,
}

fn workloads() -> impl Iterator<Item = (String, Workload)> {
    let versions = [("v311", Version::V311, With::Nothing), ("v5", Version::V5, With::Nothing)];
    let carrying = ("v5_properties", Version::V5, With::Properties);
    let levels = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
    let codec = [("decode_publish", Work::Decode), ("encode_publish", Work::Encode)].into_iter().flat_map(
        move |(name, work)| {
            versions.into_iter().chain([carrying]).map(move |(suffix, version, with)| {
                (format!("{name}_{suffix}"), Workload { work, version, qos: QoS::AtLeastOnce, with })
            })
        },
    );
    let session = [("publish", Work::Publish), ("receive", Work::Receive)].into_iter().flat_map(move |(name, work)| {
        levels.into_iter().flat_map(move |qos| {
            versions.map(|(suffix, version, with)| {
                (format!("{name}_qos_{qos}_{suffix}"), Workload { work, version, qos, with })
            })
        })
    });
    codec.chain(session)
}

impl Workload {
    fn run(self, bursts: usize) {
        match self.work {
            Work::Decode => self.decode(bursts),
            Work::Encode => self.encode(bursts),
            Work::Publish => self.publish(bursts),
            Work::Receive => self.receive(bursts),
        }
    }

    /// The message that peers are measured with: 20 bytes of topic and 64 of payload.
    fn message(self) -> Publish {
        let payload = Bytes::from(vec![b'x'; 64]);
        let message = Publish::new("bench/topic/01234567", payload).expect("a topic").qos(self.qos);
        if self.with == With::Properties { message.properties(properties()) } else { message }
    }

    fn packet(self, id: PacketId) -> Packet {
        let id = (self.qos > QoS::AtMostOnce).then_some(id);
        Packet::Publish(PublishPacket::new(self.message(), id, Attempt::First))
    }

    /// A packet for each of the first identifiers, as bytes.
    fn burst(self, packet: impl Fn(PacketId) -> Packet) -> Vec<u8> {
        let mut out = SendBuf::new();
        let mut id = PacketId::FIRST;
        for _ in 0..BURST {
            packet(id).encode(self.version.rules(), &mut out);
            id = id.next();
        }
        out.to_vec()
    }

    fn encode(self, bursts: usize) {
        let packet = self.packet(PacketId::FIRST);
        let mut out = SendBuf::new();
        for _ in 0..bursts {
            for _ in 0..BURST {
                black_box(&packet).encode(self.version.rules(), &mut out);
            }
            out.advance(black_box(out.open_len()));
        }
    }

    fn decode(self, bursts: usize) {
        let rules = self.version.rules();
        let burst = self.burst(|id| self.packet(id));
        for _ in 0..bursts {
            let mut stream = BytesMut::from(&burst[..]);
            for _ in 0..BURST {
                let frame = next_frame(black_box(&mut stream), FrameLimits::new(rules, Side::Server));
                let frame = frame.expect("a legal frame").expect("a whole frame");
                black_box(Packet::decode(frame, rules, Side::Server).expect("a legal packet"));
            }
        }
    }

    fn publish(self, bursts: usize) {
        let mut client = Client::new(self.version);
        let message = self.message();
        let kinds: &[AckKind] = match self.qos {
            QoS::AtMostOnce => &[],
            QoS::AtLeastOnce => &[AckKind::PubAck],
            QoS::ExactlyOnce => &[AckKind::PubRec, AckKind::PubComp],
        };
        let mut answers = SendBuf::new();
        let mut next = PacketId::FIRST;
        for _ in 0..bursts {
            for _ in 0..BURST {
                black_box(client.session.publish(client.now, black_box(&message).clone())).expect("taken");
            }
            client.sends();
            let mut told = client.hears();
            let first = next;
            for &kind in kinds {
                next = first;
                for _ in 0..BURST {
                    Packet::Ack(Ack::new(kind, next)).encode(self.version.rules(), &mut answers);
                    next = next.next();
                }
                client.receives(&answers.to_vec());
                answers.advance(answers.len());
                told += client.hears();
                client.sends();
            }
            assert_eq!(told, BURST, "every message has its outcome");
        }
    }

    fn receive(self, bursts: usize) {
        let mut client = Client::new(self.version);
        // The identifiers of a burst are free again when the next one comes.
        let messages = self.burst(|id| self.packet(id));
        let releases = self.burst(|id| Packet::Ack(Ack::new(AckKind::PubRel, id)));
        for _ in 0..bursts {
            client.receives(&messages);
            assert_eq!(client.hears(), BURST, "every message arrives");
            client.sends();
            if self.qos == QoS::ExactlyOnce {
                client.receives(&releases);
                client.hears();
                client.sends();
            }
        }
    }
}

/// Four properties, as a request carries them.
fn properties() -> Properties {
    let mut properties = Properties::new();
    for (id, value) in [
        (PropertyId::MessageExpiryInterval, Value::U32(60)),
        (PropertyId::ResponseTopic, Value::Str("bench/reply")),
        (PropertyId::CorrelationData, Value::Bin(b"01234567")),
        (PropertyId::UserProperty, Value::Pair("trace", "0123456789abcdef")),
    ] {
        properties.set(id, value).expect("a legal value");
    }
    properties
}

/// A session that is online, and the transport behind it.
struct Client {
    session: Session,
    now: Instant,
    transport: SendBuf,
    /// Bytes of this connection that the transport has taken.
    sent: u64,
    input: BytesMut,
}

impl Client {
    fn new(version: Version) -> Self {
        let now = Instant::now();
        let mut config = Config::new(version, Utf8String::new("bench").expect("a string"));
        config.max_in_flight = NonZeroU16::MAX;
        let session = Session::new(now, config).expect("a legal configuration");
        let mut client = Self { session, now, transport: SendBuf::new(), sent: 0, input: BytesMut::new() };
        client.session.handle_opened(now);
        client.sends();
        let mut connack = SendBuf::new();
        Packet::ConnAck(ConnAck::new(ReasonCode::Success)).encode(version.rules(), &mut connack);
        client.receives(&connack.to_vec());
        client.hears();
        assert!(client.session.is_connected());
        client
    }

    /// The transport takes everything that may leave.
    fn sends(&mut self) {
        self.session.poll_bytes(&mut self.transport);
        let taken = self.transport.open_len();
        self.transport.advance(black_box(taken));
        self.sent += taken as u64;
        self.session.handle_sent(self.now, self.sent);
    }

    fn receives(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        self.session.handle_bytes(self.now, &mut self.input);
    }

    /// Takes the events there are, and counts them.
    fn hears(&mut self) -> usize {
        let mut count = 0;
        while let Some(event) = self.session.poll_event(self.now) {
            count += 1;
            if let Event::Message { publish, delivery, .. } = event {
                black_box(publish);
                self.session.acknowledge(delivery);
            } else {
                black_box(event);
            }
        }
        count
    }
}
