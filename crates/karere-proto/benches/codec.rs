//! What a packet costs to write and to read: time, and allocations counted by the allocator itself.
//!
//! `cargo bench -p karere-proto --bench codec`. An iteration is [`PACKETS`] packets, so a microsecond in the table is a
//! nanosecond per packet, and an allocation count of 1 is one per thousand packets.

use core::fmt;

use bytes::{Bytes, BytesMut};
use divan::{AllocProfiler, Bencher, black_box, counter::ItemsCount};
use karere_proto::{
    Carrier, FrameLimits, Packet, PacketId, PacketType, Properties, PropertyId, Publish, QoS, SendBuf, Side, Value,
    Version, next_frame,
    packet::{Ack, AckKind, Attempt, PublishPacket},
};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

/// Packets in one iteration.
const PACKETS: usize = 1000;

fn main() {
    divan::main();
}

/// What is published: the message that peers are measured with, 20 bytes of topic and 64 of payload.
#[derive(Clone, Copy)]
struct Case {
    version: Version,
    qos: QoS,
    with: With,
}

/// What a 5.0 message carries beside topic and payload.
#[derive(Clone, Copy, PartialEq, Eq)]
enum With {
    Nothing,
    Properties,
}

const CASES: [Case; 5] = [
    Case { version: Version::V311, qos: QoS::AtMostOnce, with: With::Nothing },
    Case { version: Version::V311, qos: QoS::AtLeastOnce, with: With::Nothing },
    Case { version: Version::V5, qos: QoS::AtMostOnce, with: With::Nothing },
    Case { version: Version::V5, qos: QoS::AtLeastOnce, with: With::Nothing },
    Case { version: Version::V5, qos: QoS::AtLeastOnce, with: With::Properties },
];

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let with = if self.with == With::Properties { ", 4 properties" } else { "" };
        write!(f, "{} QoS {}{with}", self.version, self.qos)
    }
}

impl Case {
    fn packet(self) -> Packet {
        let mut publish =
            Publish::new("bench/topic/01234567", Bytes::from(vec![b'x'; 64])).expect("legal").qos(self.qos);
        if self.with == With::Properties {
            publish = publish.properties(properties());
        }
        let id = (self.qos > QoS::AtMostOnce).then_some(PacketId::FIRST);
        Packet::Publish(PublishPacket::new(publish, id, Attempt::First))
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
        properties.set(id, value).expect("legal");
    }
    properties
}

#[divan::bench(args = CASES)]
fn encode_publish(bencher: Bencher<'_, '_>, case: Case) {
    let packet = case.packet();
    encode(bencher, &packet, case.version);
}

#[divan::bench(args = CASES)]
fn decode_publish(bencher: Bencher<'_, '_>, case: Case) {
    decode(bencher, &case.packet(), case.version);
}

#[divan::bench(args = [Version::V311, Version::V5])]
fn encode_puback(bencher: Bencher<'_, '_>, version: Version) {
    encode(bencher, &Packet::Ack(Ack::new(AckKind::PubAck, PacketId::FIRST)), version);
}

#[divan::bench(args = [Version::V311, Version::V5])]
fn decode_puback(bencher: Bencher<'_, '_>, version: Version) {
    decode(bencher, &Packet::Ack(Ack::new(AckKind::PubAck, PacketId::FIRST)), version);
}

/// Builds the set of four, one property after the other.
#[divan::bench]
fn build_properties(bencher: Bencher<'_, '_>) {
    bencher.counter(ItemsCount::new(PACKETS)).bench_local(|| {
        for _ in 0..PACKETS {
            black_box(properties());
        }
    });
}

/// Checks an encoded set of four, as decoding a packet does.
#[divan::bench]
fn validate_properties(bencher: Bencher<'_, '_>) {
    let encoded = properties().as_bytes().clone();
    bencher.counter(ItemsCount::new(PACKETS)).bench_local(|| {
        for _ in 0..PACKETS {
            let carrier = Carrier::Packet(PacketType::Publish);
            let properties = Properties::from_bytes(black_box(&encoded).clone(), carrier);
            black_box(properties.expect("legal"));
        }
    });
}

/// Reads the last of four properties.
#[divan::bench]
fn find_property(bencher: Bencher<'_, '_>) {
    let properties = properties();
    bencher.counter(ItemsCount::new(PACKETS)).bench_local(|| {
        for _ in 0..PACKETS {
            black_box(black_box(&properties).user().next());
        }
    });
}

/// Writes a batch into a buffer that has had one before, and lets it leave.
fn encode(bencher: Bencher<'_, '_>, packet: &Packet, version: Version) {
    let mut out = SendBuf::new();
    bencher.counter(ItemsCount::new(PACKETS)).bench_local(|| {
        for _ in 0..PACKETS {
            black_box(packet).encode(version.rules(), &mut out);
        }
        let sent = out.open_len();
        out.advance(black_box(sent));
    });
}

/// Cuts a batch that was received in one buffer into packets and decodes each.
fn decode(bencher: Bencher<'_, '_>, packet: &Packet, version: Version) {
    let mut out = SendBuf::new();
    for _ in 0..PACKETS {
        packet.encode(version.rules(), &mut out);
    }
    let received = out.to_vec();
    let limits = FrameLimits::new(version.rules(), Side::Server);
    bencher.counter(ItemsCount::new(PACKETS)).with_inputs(|| BytesMut::from(&received[..])).bench_local_values(
        |mut input| {
            while let Some(frame) = next_frame(&mut input, limits).expect("legal") {
                black_box(Packet::decode(frame, version.rules(), Side::Server).expect("legal"));
            }
            input
        },
    );
}
