//! What a message costs a session, from the application's call to the transport and back: time and allocations.
//!
//! `cargo bench -p karere-proto --bench session`. An iteration is [`BATCH`] messages, so a microsecond in the table is a
//! nanosecond per message, and an allocation count of 1 is one per thousand messages.

use std::{num::NonZeroU16, time::Instant};

use bytes::{Bytes, BytesMut};
use divan::{AllocProfiler, Bencher, black_box, counter::ItemsCount};
use karere_proto::{
    Packet, PacketId, Publish, QoS, ReasonCode, SendBuf, Session, Topic, Utf8String, Version,
    packet::{Ack, AckKind, Attempt, ConnAck, PublishPacket},
    session::{Config, Event},
};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

/// Messages in one iteration.
const BATCH: usize = 1000;

/// Messages handed to the session before its bytes are fetched, as a driver does.
const BURST: usize = 100;

const VERSIONS: [Version; 2] = [Version::V311, Version::V5];

fn main() {
    divan::main();
}

/// A session that is online, and the transport behind it.
struct Online {
    session: Session,
    now: Instant,
    transport: SendBuf,
    /// Bytes of this connection that the transport has taken.
    sent: u64,
}

impl Online {
    #[expect(clippy::disallowed_methods, reason = "some instant to count from")]
    fn new(version: Version) -> Self {
        let now = Instant::now();
        let mut config = Config::new(version, Utf8String::new("bench").expect("legal"));
        config.max_in_flight = NonZeroU16::MAX;
        let session = Session::new(now, config).expect("legal");
        let mut online = Self { session, now, transport: SendBuf::new(), sent: 0 };
        online.session.handle_opened(now);
        online.drain();
        let mut connack = SendBuf::new();
        Packet::ConnAck(ConnAck::new(ReasonCode::Success)).encode(version.rules(), &mut connack);
        online.session.handle_bytes(now, &mut BytesMut::from(&connack.to_vec()[..]));
        while online.session.poll_event(now).is_some() {}
        assert!(online.session.is_connected());
        online
    }

    /// The transport takes everything that may leave.
    fn drain(&mut self) {
        self.session.poll_bytes(&mut self.transport);
        let taken = self.transport.open_len();
        self.transport.advance(black_box(taken));
        self.sent += taken as u64;
        self.session.handle_sent(self.now, self.sent);
    }

    /// Takes the events there are, and counts them.
    fn events(&mut self) -> usize {
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

/// What is published: the message that peers are measured with, 20 bytes of topic and 64 of payload.
///
/// Both are static: counting references is the application's share, about 25 ns where each message has its own.
fn message(qos: QoS) -> Publish {
    let topic = Topic::from_bytes(Bytes::from_static(b"bench/topic/01234567")).expect("legal");
    Publish::new(topic, Bytes::from_static(&[b'x'; 64])).expect("legal").qos(qos)
}

/// Publishes at QoS 0, lets the bytes leave and hears that they have.
#[divan::bench(args = VERSIONS)]
fn publish_qos_0(bencher: Bencher<'_, '_>, version: Version) {
    let mut online = Online::new(version);
    let message = message(QoS::AtMostOnce);
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        for _ in 0..BATCH / BURST {
            for _ in 0..BURST {
                black_box(online.session.publish(online.now, black_box(&message).clone())).expect("taken");
            }
            online.drain();
            assert_eq!(online.events(), BURST);
        }
    });
}

/// Publishes at QoS 1, lets the bytes leave, takes the PUBACKs and hears the outcomes.
#[divan::bench(args = VERSIONS)]
fn cycle_qos_1(bencher: Bencher<'_, '_>, version: Version) {
    cycle(bencher, version, QoS::AtLeastOnce, &[AckKind::PubAck]);
}

/// Publishes at QoS 2, with PUBREC, PUBREL and PUBCOMP.
#[divan::bench(args = VERSIONS)]
fn cycle_qos_2(bencher: Bencher<'_, '_>, version: Version) {
    cycle(bencher, version, QoS::ExactlyOnce, &[AckKind::PubRec, AckKind::PubComp]);
}

fn cycle(bencher: Bencher<'_, '_>, version: Version, qos: QoS, answers: &[AckKind]) {
    let mut online = Online::new(version);
    let message = message(qos);
    let mut next = PacketId::FIRST;
    let mut answer = SendBuf::new();
    let mut input = BytesMut::new();
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        for _ in 0..BATCH / BURST {
            for _ in 0..BURST {
                black_box(online.session.publish(online.now, black_box(&message).clone())).expect("taken");
            }
            online.drain();
            let first = next;
            let mut told = 0;
            for &kind in answers {
                next = first;
                for _ in 0..BURST {
                    Packet::Ack(Ack::new(kind, next)).encode(version.rules(), &mut answer);
                    next = next.next();
                }
                let mut slices = [std::io::IoSlice::new(&[])];
                answer.slices(&mut slices);
                input.extend_from_slice(&slices[0]);
                answer.advance(slices[0].len());
                online.session.handle_bytes(online.now, &mut input);
                told += online.events();
                online.drain();
            }
            assert_eq!(told, BURST);
        }
    });
}

/// Takes a read's worth of messages and acknowledges them.
#[divan::bench(args = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])]
fn receive(bencher: Bencher<'_, '_>, qos: QoS) {
    let version = Version::V5;
    let mut online = Online::new(version);
    let mut bytes = SendBuf::new();
    let mut id = PacketId::FIRST;
    for _ in 0..BATCH {
        let packet = PublishPacket::new(message(qos), (qos > QoS::AtMostOnce).then_some(id), Attempt::First);
        Packet::Publish(packet).encode(version.rules(), &mut bytes);
        id = id.next();
    }
    let mut released = SendBuf::new();
    let mut id = PacketId::FIRST;
    for _ in 0..BATCH {
        Packet::Ack(Ack::new(AckKind::PubRel, id)).encode(version.rules(), &mut released);
        id = id.next();
    }
    let (bytes, released) = (bytes.to_vec(), released.to_vec());
    bencher
        .counter(ItemsCount::new(BATCH))
        .with_inputs(|| (BytesMut::from(&bytes[..]), BytesMut::from(&released[..])))
        .bench_local_values(|(mut bytes, mut released)| {
            online.session.handle_bytes(online.now, &mut bytes);
            assert_eq!(online.events(), BATCH);
            online.drain();
            if qos == QoS::ExactlyOnce {
                online.session.handle_bytes(online.now, &mut released);
                assert_eq!(online.events(), 0);
                online.drain();
            }
        });
}
