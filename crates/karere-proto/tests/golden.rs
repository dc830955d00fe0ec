//! Packets as bytes: what the files in `wire/` say against what the codec does.

mod wire;

use std::collections::BTreeSet;

use bytes::BytesMut;
use karere_proto::{
    Carrier, FrameLimits, Packet, PacketType, PropertyId, ProtocolError, Rule, SendBuf, Side, Version, next_frame,
};

use wire::{Case, End};

/// What became of a buffer.
struct Outcome {
    packets: Vec<Packet>,
    /// A breach, or what is left because no whole packet is there.
    end: Result<BytesMut, ProtocolError>,
}

fn decode(bytes: &[u8], limit: Option<u32>, version: Version, sender: Side) -> Outcome {
    let mut input = BytesMut::from(bytes);
    let mut limits = FrameLimits::new(version.rules(), sender);
    limits.max_packet_size = limit.unwrap_or(u32::MAX);
    let mut packets = Vec::new();
    loop {
        let packet = next_frame(&mut input, limits)
            .and_then(|frame| frame.map(|frame| Packet::decode(frame, version.rules(), sender)).transpose());
        match packet {
            Ok(Some(packet)) => packets.push(packet),
            Ok(None) => return Outcome { packets, end: Ok(input) },
            Err(error) => return Outcome { packets, end: Err(error) },
        }
    }
}

fn encode(packets: &[Packet], version: Version) -> Vec<u8> {
    let mut out = SendBuf::new();
    for packet in packets {
        let before = out.len();
        packet.encode(version.rules(), &mut out);
        assert_eq!(out.len() - before, packet.size(version.rules()), "size of {packet:?}");
    }
    out.to_vec()
}

/// Calls `check` for each version and sender that a case holds for, and fails with all it has to say.
fn for_each_reading(mut check: impl FnMut(&Case, Version, Side) -> Result<(), String>) {
    let mut failures = Vec::new();
    for case in &wire::cases() {
        for &version in &case.versions {
            for &sender in &case.senders {
                if let Err(failure) = check(case, version, sender) {
                    failures.push(format!("{}, {version} from {sender:?}: {failure:.2000}", case.name));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

fn ensure(condition: bool, failure: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(failure()) }
}

#[test]
fn bytes_are_decoded_as_the_files_say() {
    for_each_reading(|case, version, sender| {
        let Outcome { packets, end } = decode(&case.bytes, case.limit, version, sender);
        let expected = case.packets.iter().map(|packet| packet.build(version)).collect::<Vec<_>>();
        ensure(packets == expected, || format!("{packets:?}, expected {expected:?}; then {end:?}"))?;
        match (&case.end, end) {
            (End::Canonical | End::DecodeOnly, Ok(rest)) => ensure(rest.is_empty(), || format!("left over: {rest:?}")),
            (End::Wait, Ok(rest)) => ensure(case.bytes.ends_with(&rest), || format!("input was touched: {rest:?}")),
            (End::Error(code, rule), Err(error)) => {
                let same = format!("{:?}", error.rule) == *rule && error.reason().as_byte() == *code;
                ensure(same, || format!("{:?}, {}: {error}", error.rule, error.reason()))
            }
            (End::Canonical | End::DecodeOnly | End::Wait, Err(error)) => Err(error.to_string()),
            (End::Error(..), Ok(rest)) => Err(format!("no error; left over: {rest:?}")),
        }
    });
}

#[test]
fn packets_are_encoded_as_the_files_say() {
    for_each_reading(|case, version, sender| {
        let packets = case.packets.iter().map(|packet| packet.build(version)).collect::<Vec<_>>();
        let encoded = encode(&packets, version);
        match case.end {
            End::Canonical => ensure(encoded == case.bytes, || format!("{encoded:02X?}")),
            End::DecodeOnly => {
                ensure(encoded != case.bytes, || "is how it is written".to_owned())?;
                let again = decode(&encoded, None, version, sender).packets;
                // A refusal that 3.1.1 has no return code for is the one thing it cannot say again.
                let lossy = !version.rules().connect_return_codes.is_empty() && case.name.starts_with("connack");
                ensure(lossy || again == packets, || format!("means {again:?} as {encoded:02X?}"))
            }
            End::Error(..) | End::Wait => ensure(case.bytes.starts_with(&encoded), || format!("{encoded:02X?}")),
        }
    });
}

#[test]
fn what_a_version_cannot_carry_is_left_out() {
    let words = |text| wire::Description::parse(text, "here").build(Version::V5);
    for (packet, bytes) in [
        (r#"PUBLISH topic="a" qos=1 id=10 ContentType="x" payload=<78>"#, &b"\x32\x06\x00\x01a\x00\x0Ax"[..]),
        (r#"PUBACK id=10 reason=0x87 ReasonString="no""#, b"\x40\x02\x00\x0A"),
        (r#"SUBSCRIBE id=10 filter="a" qos=1 no_local=1 retain_handling=2"#, b"\x82\x06\x00\x0A\x00\x01a\x01"),
        (r#"SUBACK id=10 reason=0x02 reason=0x87"#, b"\x90\x04\x00\x0A\x02\x80"),
        (r#"UNSUBACK id=10 reason=0x11"#, b"\xB0\x02\x00\x0A"),
        (r#"DISCONNECT reason=0x04 SessionExpiryInterval=7"#, b"\xE0\x00"),
        (r#"CONNACK reason=0x8A"#, b"\x20\x02\x00\x05"),
        (r#"CONNACK reason=0x97"#, b"\x20\x02\x00\x03"),
    ] {
        assert_eq!(encode(&[words(packet)], Version::V311), bytes, "{packet}");
    }
    // 3.1 has no Session Present.
    assert_eq!(encode(&[words("CONNACK session_present=1 reason=0x00")], Version::V31), b"\x20\x02\x00\x00");
}

// --- What the files must hold ----------------------------------------------------------------------------------------

#[test]
fn names_are_unique() {
    let mut seen = BTreeSet::new();
    for case in wire::cases() {
        let (_, name) = case.name.split_once(": ").expect("file and name");
        assert!(seen.insert(name.to_owned()), "{} is there twice", case.name);
    }
}

#[test]
fn every_breach_says_where_it_is_forbidden() {
    for case in wire::cases() {
        if matches!(case.end, End::Error(..)) {
            assert!(!case.hard_cases.is_empty() || case.spec.is_some(), "{}", case.name);
        }
    }
}

#[test]
fn hard_cases_1_to_24_are_there() {
    let there = wire::cases().into_iter().flat_map(|case| case.hard_cases).collect::<BTreeSet<_>>();
    let missing = (1..=24).filter(|number| !there.contains(number)).collect::<Vec<_>>();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_packet_is_there_for_each_version_and_sender() {
    use PacketType as P;
    let clients = [P::Connect, P::Subscribe, P::Unsubscribe, P::PingReq];
    let servers = [P::ConnAck, P::SubAck, P::UnsubAck, P::PingResp];
    let both = [P::Publish, P::PubAck, P::PubRec, P::PubRel, P::PubComp];
    let mut expected = BTreeSet::new();
    for version in Version::ALL {
        let mut add = |packets: &[PacketType], sender: Side| {
            expected.extend(packets.iter().map(|&packet| (packet, version, format!("{sender:?}"))));
        };
        add(&clients, Side::Client);
        add(&servers, Side::Server);
        add(&both, Side::Client);
        add(&both, Side::Server);
        add(&[P::Disconnect], Side::Client);
    }
    for (packet, sender) in [(P::Disconnect, "Server"), (P::Auth, "Client"), (P::Auth, "Server")] {
        expected.insert((packet, Version::V5, sender.to_owned()));
    }
    let mut there = BTreeSet::new();
    for_each_reading(|case, version, sender| {
        if case.end == End::Canonical {
            let packets = case.packets.iter().map(|packet| packet.build(version).packet_type());
            there.extend(packets.map(|packet| (packet, version, format!("{sender:?}"))));
        }
        Ok(())
    });
    assert_eq!(there, expected);
}

#[test]
fn every_property_is_there_in_each_packet_that_may_have_it() {
    let mut missing = BTreeSet::new();
    for id in PropertyId::ALL {
        let name = id.name().replace(' ', "");
        if id.allowed_in(Carrier::Will) {
            missing.insert(("CONNECT".to_owned(), format!("will.{name}")));
        }
        let packets = (1..=15).filter_map(PacketType::from_nibble);
        let carriers = packets.filter(|&packet| id.allowed_in(Carrier::Packet(packet)));
        missing.extend(carriers.map(|packet| (packet.name().to_owned(), name.clone())));
    }
    assert_eq!(missing.len(), 64, "places for properties in §2.2.2.2");
    for packet in wire::cases().into_iter().filter(|case| case.end == End::Canonical).flat_map(|case| case.packets) {
        for field in packet.fields() {
            missing.remove(&(packet.name.clone(), field.to_owned()));
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
}

/// Rules that need more than the bytes of one packet: the session's.
const RULES_OF_THE_SESSION: &[Rule] = &[
    Rule::ConnectTwice,
    Rule::ConnectFirst,
    Rule::ClientId,
    Rule::ConnAckFirst,
    Rule::SecondConnAck,
    Rule::SessionPresent,
    Rule::AssignedClientId,
    Rule::ResponseInformation,
    Rule::ProblemInformation,
    Rule::TopicAliasUnknown,
    Rule::ReceiveMaximum,
    Rule::PacketIdInUse,
    Rule::QoSNotGranted,
    Rule::AckUnknown,
    Rule::AckMismatch,
    Rule::SubAckUnknown,
    Rule::SubAckCount,
    Rule::UnsubAckUnknown,
    Rule::UnsubAckCount,
    Rule::DisconnectBeforeConnAck,
    Rule::AuthUnexpected,
    Rule::AuthOtherMethod,
    Rule::AuthReason,
];

#[test]
fn every_rule_of_the_codec_is_there() {
    let ends = wire::cases().into_iter().map(|case| case.end);
    let there = ends.filter_map(|end| if let End::Error(_, rule) = end { Some(rule) } else { None });
    let there = there.collect::<BTreeSet<_>>();
    for rule in Rule::ALL {
        let of_the_session = RULES_OF_THE_SESSION.contains(rule);
        assert_ne!(there.contains(&format!("{rule:?}")), of_the_session, "{rule:?}: {rule}");
    }
}
