//! Servers that misbehave: broken packets, lost and doubled ones, refusals, limits.

use core::{num::NonZeroU32, time::Duration};
use std::time::Instant;

use karere::{
    Cause, CleanStart, Disconnect, LostSession, Options, Outcome, PublishError, QoS, ReasonCode, Rule, SessionExpiry,
    Subscribe, SubscribeError, Version, session::NotSent,
};
use karere_broker::{Config, Direction, Fault, Trigger};
use karere_proto::PacketType;

use crate::{
    common::{
        PATIENCE, eventually,
        peer::{Happening, Peer, QOS, peer, text},
        proxy::{Cut, Proxy, Way},
        server::{Server, Setup, options},
    },
    development::Development,
};

fn kept(options: Options) -> Options {
    options.session_expiry(SessionExpiry::Never)
}

fn inject(server: &Development, id: &str, bytes: &'static [u8]) {
    server.with(|broker| {
        let connection = broker.connection_of(id).expect("connected");
        broker.inject(connection, bytes).expect("open");
    });
}

/// The end of the connection with this number, which the server brought about by breaking `rule`.
fn assert_broken(one: &Peer, number: usize, packet: Option<PacketType>, rule: Rule) {
    let Cause::Protocol(error) = one.disconnected(number) else {
        panic!("{rule}: {}", one.disconnected(number));
    };
    assert_eq!((error.packet, error.rule), (packet, rule));
    let said = error.to_string();
    assert!(said.contains(rule.id()) && said.contains(rule.text()), "{said}");
}

#[test]
fn broken_packets_end_the_connection_with_their_reason_and_nothing_accepted_is_lost() {
    use PacketType::{ConnAck, PingReq, PubAck, PubComp, Publish, SubAck, UnsubAck};
    let cases: [(&[u8], Option<PacketType>, Rule); 18] = [
        (b"\x00\x00", None, Rule::ReservedPacketType),
        (b"\x30\xFF\xFF\xFF\xFF\x01", Some(Publish), Rule::RemainingLength),
        (b"\x30\x80\x00", Some(Publish), Rule::PaddedLength),
        (b"\x41\x02\x00\x01", Some(PubAck), Rule::FixedHeaderFlags),
        (b"\x30\x01\x00", Some(Publish), Rule::Truncated),
        (b"\x36\x06\x00\x01a\x00\x01\x00", Some(Publish), Rule::QoSBits),
        (b"\x38\x04\x00\x01a\x00", Some(Publish), Rule::DupWithoutQoS),
        (b"\x30\x04\x00\x01#\x00", Some(Publish), Rule::TopicWildcard),
        (b"\x30\x03\x00\x00\x00", Some(Publish), Rule::TopicEmpty),
        (b"\x30\x04\x00\x01\xFF\x00", Some(Publish), Rule::Utf8),
        (b"\x32\x06\x00\x01a\x00\x00\x00", Some(Publish), Rule::PacketIdZero),
        (b"\x30\x07\x00\x01a\x03\x23\x00\x01", Some(Publish), Rule::TopicAliasRange),
        (b"\x40\x02\x03\xE8", Some(PubAck), Rule::AckUnknown),
        (b"\x70\x02\x00\x01", Some(PubComp), Rule::AckMismatch),
        (b"\x90\x04\x03\xE8\x00\x00", Some(SubAck), Rule::SubAckUnknown),
        (b"\xB0\x04\x03\xE8\x00\x00", Some(UnsubAck), Rule::UnsubAckUnknown),
        (b"\x20\x03\x00\x00\x00", Some(ConnAck), Rule::SecondConnAck),
        (b"\xC0\x00", Some(PingReq), Rule::WrongDirection),
    ];
    let server = Development::start(Setup::default());
    let subscriber = peer(server.options(Version::V5, "subscriber")).connect();
    let _ = subscriber.subscribe("a", QoS::ExactlyOnce);
    for (number, (bytes, packet, rule)) in cases.into_iter().enumerate() {
        let one = peer(kept(server.options(Version::V5, "one"))).traced().connect();
        // In flight, its PUBREC lost, when the connection ends.
        let lost = Trigger::to_client(PacketType::PubRec).client_id("one").nth(1);
        let fault = server.with(|broker| broker.faults().add(lost, Fault::Drop));
        let publishing = one.publish(text("a", &number.to_string(), QoS::ExactlyOnce));
        eventually("its PUBREC is lost", || server.with(|broker| broker.faults().times_done(fault)) == 1);
        inject(&server, "one", bytes);
        assert_broken(&one, 1, packet, rule);
        let goodbye = format!("sending DISCONNECT {}", rule.reason());
        assert_eq!(one.lines("sending DISCONNECT"), [goodbye], "{rule}");
        assert!(publishing.wait(PATIENCE).expect("sent again").is_acknowledged());
        assert_eq!(one.count(|happening| matches!(happening, Happening::Disconnected(_))), 1);
        one.disconnect();
    }
    let words = subscriber.messages(cases.len()).iter().map(|message| message.text().to_owned()).collect::<Vec<_>>();
    assert_eq!(words, (0..cases.len()).map(|number| number.to_string()).collect::<Vec<_>>(), "each exactly once");
}

#[test]
fn older_versions_end_the_connection_without_a_word() {
    for version in [Version::V31, Version::V311] {
        let server = Development::start(Setup::default());
        let one = peer(kept(server.options(version, "one"))).traced().connect();
        inject(&server, "one", b"\x40\x02\x00\x07");
        assert_broken(&one, 1, Some(PacketType::PubAck), Rule::AckUnknown);
        let _ = one.connected(2);
        assert_eq!(one.lines("sending DISCONNECT"), [""; 0], "they have no DISCONNECT with a reason");
    }
}

#[test]
fn broken_connack_is_told_and_the_next_attempt_follows() {
    let server = Development::start(Setup::default());
    for (version, bytes, rule) in [
        (Version::V311, &b"\x20\x02\x02\x00"[..], Rule::ConnAckFlags),
        (Version::V5, b"\x20\x03\x01\x00\x00", Rule::SessionPresent),
        (Version::V5, b"\x20\x02\x00\x00", Rule::Truncated),
        (Version::V5, b"\xD0\x00", Rule::ConnAckFirst),
    ] {
        let id = format!("one {rule:?}");
        let broken = Trigger::to_client(PacketType::ConnAck).client_id(&id).nth(1);
        server.with(|broker| broker.faults().add(broken, Fault::Replace(bytes.into())));
        let one = peer(server.options(version, &id)).start();
        let Cause::Protocol(error) = one.disconnected(1) else {
            panic!("{}", one.disconnected(1));
        };
        assert_eq!(error.rule, rule);
        let _ = one.connected(1);
        one.disconnect();
    }
}

#[test]
fn lost_acknowledgements_are_made_up_for_by_the_next_connection() {
    let server = Development::start(Setup::default());
    let subscriber = peer(server.options(Version::V5, "subscriber")).connect();
    let _ = subscriber.subscribe("a", QoS::ExactlyOnce);
    let one = peer(kept(server.options(Version::V5, "one"))).connect();
    let packets = [PacketType::PubRec, PacketType::PubComp];
    let lost = packets.map(|packet| {
        let trigger = Trigger::to_client(packet).client_id("one").nth(1);
        server.with(|broker| broker.faults().add(trigger, Fault::Drop))
    });
    let publishing = one.publish(text("a", "x", QoS::ExactlyOnce));
    for fault in lost {
        eventually("an answer is lost", || server.with(|broker| broker.faults().times_done(fault)) == 1);
        assert!(!publishing.is_done());
        one.client.reconnect();
    }
    assert!(publishing.wait(PATIENCE).expect("done").is_acknowledged());
    assert!(subscriber.say(text("a", "end", QoS::ExactlyOnce)).is_acknowledged());
    let words = subscriber.messages(2).iter().map(|message| message.text().to_owned()).collect::<Vec<_>>();
    assert_eq!(words, ["x", "end"]);
}

#[test]
fn doubled_packets_of_qos_2_change_nothing() {
    let server = Development::start(Setup::default());
    let subscriber = peer(server.options(Version::V5, "subscriber")).connect();
    let _ = subscriber.subscribe("a", QoS::ExactlyOnce);
    let one = peer(server.options(Version::V5, "one")).connect();
    for packet in [PacketType::Publish, PacketType::PubRec, PacketType::PubRel, PacketType::PubComp] {
        server.with(|broker| broker.faults().add(Trigger::to_client(packet), Fault::Duplicate));
    }
    for number in 0..20 {
        assert!(one.say(text("a", &number.to_string(), QoS::ExactlyOnce)).is_acknowledged());
    }
    server.with(|broker| broker.faults().clear());
    assert!(one.say(text("a", "end", QoS::ExactlyOnce)).is_acknowledged());
    let all = subscriber.seen.wait("the end", |record| {
        record.messages.iter().any(|message| message.text() == "end").then(|| record.messages.clone())
    });
    assert_eq!(all.len(), 21);
    assert!(one.client.is_connected() && subscriber.client.is_connected());
}

fn everything_passes(server: &Development) {
    for version in Version::ALL {
        let one = peer(server.options(version, "one")).connect();
        let _ = one.subscribe("a/b/c/d", QoS::ExactlyOnce);
        for qos in QOS {
            assert!(one.say(text("a/b/c/d", &"payload".repeat(10), qos)).is_acknowledged());
        }
        assert!(one.messages(3).iter().all(|message| message.text() == "payload".repeat(10)));
        one.disconnect();
    }
}

#[test]
fn packets_that_come_in_pieces_are_put_together() {
    for size in [1, 3, 50] {
        let server = Development::start(Setup::default());
        let pieces = Fault::Split { size, pause: Duration::from_micros(200) };
        server.with(|broker| broker.faults().add(Trigger::any(Direction::ToClient), pieces));
        everything_passes(&server);
    }
}

#[test]
fn packets_that_come_late_are_waited_for() {
    let server = Development::start(Setup::default());
    let late = Fault::Stall(Duration::from_millis(5));
    server.with(|broker| broker.faults().add(Trigger::any(Direction::ToClient), late));
    everything_passes(&server);
}

#[test]
fn connection_cut_at_any_byte_loses_nothing() {
    const BYTES: u64 = 130;
    for way in [Way::ToServer, Way::ToClient] {
        let server = Development::start(Setup::default());
        let proxy = Proxy::start(server.address());
        let subscriber = peer(server.options(Version::V5, "subscriber")).connect();
        let _ = subscriber.subscribe("a", QoS::ExactlyOnce);
        let through = kept(options(proxy.address(), Version::V5, "one")).clean_start(CleanStart::Never);
        let one = peer(through).connect();
        for cut in 1..BYTES {
            proxy.plan([Cut(way, cut)]);
            one.client.reconnect();
            let publishing = one.publish(text("a", &cut.to_string(), QoS::ExactlyOnce));
            assert!(publishing.wait(PATIENCE).expect("done").is_acknowledged());
        }
        let received = subscriber.messages(BYTES as usize - 1);
        let words = received.iter().map(|message| message.text().to_owned()).collect::<Vec<_>>();
        assert_eq!(words, (1..BYTES).map(|cut| cut.to_string()).collect::<Vec<_>>());
    }
}

#[test]
fn server_says_why_it_closes() {
    let server = Development::start(Setup::default());
    let one = peer(server.options(Version::V5, "one")).connect();
    server.with(|broker| {
        let id = broker.connection_of("one").expect("connected");
        broker.disconnect(Instant::now(), id, Disconnect::new(ReasonCode::AdministrativeAction)).expect("open");
    });
    let cause = one.disconnected(1);
    assert_eq!(cause.reason(), Some(ReasonCode::AdministrativeAction));
    assert!(cause.to_string().contains("Administrative action"), "{cause}");
    let _ = one.connected(2);

    let quiet = server.options(Version::V5, "same").reconnect(karere::Reconnect::Never);
    let old = peer(quiet.clone()).connect();
    let _new = peer(quiet).connect();
    assert_eq!(old.disconnected(1).reason(), Some(ReasonCode::SessionTakenOver));
}

#[test]
fn refused_publish_has_the_reason_as_its_outcome() {
    let server = Development::start(Setup::default());
    let one = peer(server.options(Version::V5, "one")).connect();
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let refusal = Trigger::from_client(PacketType::Publish).nth(1);
        server.with(|broker| broker.faults().add(refusal, Fault::Answer(ReasonCode::QuotaExceeded)));
        let outcome = one.say(text("a", "x", qos));
        assert!(matches!(outcome, Outcome::Refused { reason: ReasonCode::QuotaExceeded, .. }), "{outcome}");
        assert!(one.say(text("a", "x", qos)).is_acknowledged(), "the next one is taken");
    }
    assert!(one.client.is_connected());
}

#[test]
fn refused_filters_are_told_one_by_one() {
    let server = Development::of(Config::new().without_wildcard_subscriptions().without_shared_subscriptions());
    let old = peer(server.options(Version::V311, "old")).connect();
    let three = Subscribe::new("a", QoS::AtLeastOnce)
        .and_then(|subscribe| subscribe.and("b/#", QoS::ExactlyOnce))
        .and_then(|subscribe| subscribe.and("c", QoS::ExactlyOnce))
        .expect("legal");
    let granted = [ReasonCode::GrantedQoS1, ReasonCode::UnspecifiedError, ReasonCode::GrantedQoS2];
    assert_eq!(old.request(three.clone()).reasons, granted);
    assert_eq!(granted.map(ReasonCode::granted_qos), [Some(QoS::AtLeastOnce), None, Some(QoS::ExactlyOnce)]);

    // On 5.0 the server has said so before.
    let new = peer(server.options(Version::V5, "new"));
    let early = new.client.subscribe(Subscribe::new("early/+", QoS::AtMostOnce).expect("legal")).expect("taken");
    let new = new.connect();
    assert!(early.wait(PATIENCE).is_err(), "given up");
    assert!(matches!(new.client.subscribe(three).expect_err("known"), SubscribeError::NotSupported(_)));
    let refusal = Trigger::from_client(PacketType::Subscribe);
    server.with(|broker| broker.faults().add(refusal, Fault::Answer(ReasonCode::NotAuthorized)));
    assert_eq!(new.subscribe("a", QoS::AtMostOnce).reasons, [ReasonCode::NotAuthorized]);
}

#[test]
fn limits_of_the_server_are_obeyed() {
    let limits = Config::new()
        .maximum_qos(QoS::AtLeastOnce)
        .without_retain()
        .maximum_packet_size(NonZeroU32::new(100).expect("not 0"));
    let server = Development::of(limits);
    let one = peer(server.options(Version::V5, "one"));
    let early = [
        text("a", "x", QoS::ExactlyOnce),
        text("a", "x", QoS::AtLeastOnce).retained(),
        text("a", &"x".repeat(100), QoS::AtLeastOnce),
    ];
    let taken = early.each_ref().map(|publish| one.client.publish(publish.clone()).expect("not known yet"));
    let one = one.connect();
    for (publishing, publish) in taken.into_iter().zip(early) {
        let outcome = publishing.wait(PATIENCE).expect("told");
        let error = one.client.publish(publish).expect_err("known now");
        assert_eq!(outcome, Outcome::NotSent(NotSent::Refused(error)));
    }
    let error = one.client.publish(text("a", "x", QoS::ExactlyOnce)).expect_err("above the maximum");
    let expected = PublishError::QoSNotSupported { asked: QoS::ExactlyOnce, maximum: QoS::AtLeastOnce };
    assert_eq!(error, expected);
    assert!(one.say(text("a", "x", QoS::AtLeastOnce)).is_acknowledged());
}

#[test]
fn messages_in_flight_survive_a_server_that_lost_the_session() {
    for (policy, qos) in [
        (LostSession::Republish, QoS::AtLeastOnce),
        (LostSession::Republish, QoS::ExactlyOnce),
        (LostSession::Report, QoS::ExactlyOnce),
    ] {
        let server = Development::start(Setup::default());
        let subscriber = peer(server.options(Version::V311, "subscriber")).connect();
        let _ = subscriber.subscribe("a", QoS::ExactlyOnce);
        let one = peer(kept(server.options(Version::V311, "one")).lost_session(policy)).connect();
        let answers = Trigger::any(Direction::ToClient).client_id("one");
        let fault = server.with(|broker| broker.faults().add(answers, Fault::Drop));
        let publishing = one.publish(text("a", "x", qos));
        let _ = subscriber.message(0);
        server.with(|broker| {
            broker.faults().remove(fault);
            assert!(broker.forget_session(Instant::now(), "one"));
        });
        assert!(!one.connected(2).session_present);
        let outcome = publishing.wait(PATIENCE).expect("told");
        match policy {
            LostSession::Republish => {
                assert!(outcome.is_acknowledged());
                assert_eq!(subscriber.messages(2).len(), 2, "the receiver sees it twice, as documented");
            }
            LostSession::Report => assert_eq!(outcome, Outcome::Unknown),
            LostSession::Continue => unreachable!("not among those above"),
        }
    }
}

#[test]
fn clean_start_is_asked_for_as_told() {
    for (clean_start, expected) in [
        (CleanStart::FirstOnly, [" clean", ""]),
        (CleanStart::Always, [" clean", " clean"]),
        (CleanStart::Never, ["", ""]),
    ] {
        let server = Development::start(Setup::default());
        let one = peer(kept(server.options(Version::V5, "one")).clean_start(clean_start)).traced().connect();
        one.client.reconnect();
        let _ = one.connected(2);
        let asked = one.lines("sending CONNECT");
        let clean = asked.iter().map(|line| if line.contains(" clean") { " clean" } else { "" });
        assert_eq!(clean.collect::<Vec<_>>(), expected, "{clean_start:?}");
    }
}
