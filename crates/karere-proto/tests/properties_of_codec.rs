//! What holds for all packets, all bytes, all topics and filters.
//!
//! A failure prints its seed and the smallest input found. `PROPTEST_CASES=100000` looks longer.

mod arbitrary;

use bytes::{Bytes, BytesMut};
use karere_proto::{
    Filter, FrameLimits, Packet, ProtocolError, Rule, SendBuf, Side, Topic, Version, next_frame,
    topic::{FilterTree, matches},
};
use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
    test_runner::FileFailurePersistence,
};

/// At least `cases`; the environment may ask for more.
fn config(cases: u32) -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig {
        cases: cases.max(default.cases),
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..default
    }
}

fn encode(packet: &Packet, version: Version) -> Vec<u8> {
    let mut out = SendBuf::new();
    packet.encode(version.rules(), &mut out);
    out.to_vec()
}

/// The next packet, if it is there.
fn next(input: &mut BytesMut, version: Version, sender: Side) -> Result<Option<Packet>, ProtocolError> {
    let rules = version.rules();
    next_frame(input, FrameLimits::new(rules, sender))?.map(|frame| Packet::decode(frame, rules, sender)).transpose()
}

/// All packets of some bytes up to the first breach. Fails when decoding does not come to an end.
fn all(bytes: &[u8], version: Version, sender: Side) -> Result<Vec<Packet>, TestCaseError> {
    let mut input = BytesMut::from(bytes);
    let mut packets = Vec::new();
    while let Ok(Some(packet)) = next(&mut input, version, sender) {
        packets.push(packet);
        prop_assert!(packets.len() <= bytes.len() / 2, "more packets than fit");
    }
    Ok(packets)
}

// --- Packets --------------------------------------------------------------------------------------------------------

proptest! {
    #![proptest_config(config(16_000))]

    #[test]
    fn packets_come_out_as_they_went_in((version, sender, packet) in arbitrary::sent_packet()) {
        let encoded = encode(&packet, version);
        prop_assert_eq!(encoded.len(), packet.size(version.rules()));
        let mut input = BytesMut::from(&encoded[..]);
        prop_assert_eq!(next(&mut input, version, sender), Ok(Some(packet)));
        prop_assert!(input.is_empty());
    }

    #[test]
    fn every_strict_prefix_waits_and_is_left_alone((version, sender, packet) in arbitrary::sent_packet()) {
        let encoded = encode(&packet, version);
        let mut input = BytesMut::new();
        for (at, &byte) in encoded.iter().enumerate() {
            prop_assert_eq!(next(&mut input, version, sender), Ok(None), "after {} bytes", at);
            prop_assert_eq!(input.len(), at);
            input.extend_from_slice(&[byte]);
        }
        prop_assert!(input == encoded);
        prop_assert_eq!(next(&mut input, version, sender), Ok(Some(packet)));
    }

    #[test]
    fn maximum_packet_size_is_the_size((version, sender, packet) in arbitrary::sent_packet()) {
        let encoded = encode(&packet, version);
        let size = u32::try_from(encoded.len()).expect("few bytes");
        let mut limits = FrameLimits::new(version.rules(), sender);
        limits.max_packet_size = size;
        prop_assert!(next_frame(&mut BytesMut::from(&encoded[..]), limits).is_ok_and(|frame| frame.is_some()));
        limits.max_packet_size = size - 1;
        // The header is enough to tell.
        for len in [encoded.len().min(5), encoded.len()] {
            let mut input = BytesMut::from(&encoded[..len]);
            let error = next_frame(&mut input, limits).map(|_| ()).map_err(|error| error.rule);
            prop_assert_eq!(error, Err(Rule::PacketTooLarge));
            prop_assert_eq!(input.len(), len);
        }
    }

    #[test]
    fn packets_are_the_same_however_they_are_split(
        (version, sender, packets) in arbitrary::sent_packets(),
        cuts in vec(any::<Index>(), 0..12),
    ) {
        let encoded = packets.iter().flat_map(|packet| encode(packet, version)).collect::<Vec<_>>();
        let mut cuts = cuts.iter().map(|cut| cut.index(encoded.len() + 1)).collect::<Vec<_>>();
        cuts.push(encoded.len());
        cuts.sort_unstable();
        let mut input = BytesMut::new();
        let mut decoded = Vec::new();
        let mut fed = 0;
        for cut in cuts {
            input.extend_from_slice(&encoded[fed..cut]);
            fed = cut;
            while let Some(packet) = next(&mut input, version, sender).expect("legal") {
                decoded.push(packet);
            }
        }
        prop_assert_eq!(decoded, packets);
        prop_assert!(input.is_empty());
    }
}

// --- Bytes ----------------------------------------------------------------------------------------------------------

/// Bytes that look like packets: a first byte, and a length that is right, if not always.
fn almost_packets() -> impl Strategy<Value = Vec<u8>> {
    let one = (any::<u8>(), prop_oneof![8 => Just(0), 1 => -2..3i8], vec(small_bytes(), 0..60));
    vec(one, 1..4).prop_map(|packets| {
        let mut all = Vec::new();
        for (first, error, body) in packets {
            let len = u8::try_from(body.len()).expect("short").saturating_add_signed(error);
            all.extend_from_slice(&[first, len]);
            all.extend_from_slice(&body);
        }
        all
    })
}

/// Small numbers are lengths, properties and codes.
fn small_bytes() -> impl Strategy<Value = u8> {
    prop_oneof![6 => 0..4u8, 3 => 0..0x30u8, 1 => any::<u8>()]
}

/// What was decoded can be encoded, in no more bytes than it came in, and is then decoded to the same.
fn check_decoded(bytes: &[u8], version: Version, sender: Side) -> Result<(), TestCaseError> {
    let packets = all(bytes, version, sender)?;
    let mut written = 0;
    for packet in packets {
        // Return codes that 3.1 and 3.1.1 keep in reserve, and the short answer of a server without 5.0, are told by
        // the nearest code: the one thing that does not come back as it went.
        let connack = matches!(packet, Packet::ConnAck(_));
        let encoded = encode(&packet, version);
        written += encoded.len() - usize::from(connack);
        if !connack || version.rules().connect_return_codes.is_empty() {
            let again = next(&mut BytesMut::from(&encoded[..]), version, sender);
            prop_assert_eq!(again, Ok(Some(packet)), "from {:02X?}", encoded);
        }
    }
    prop_assert!(written <= bytes.len(), "{written} bytes from {}", bytes.len());
    Ok(())
}

/// One change to some bytes.
#[derive(Clone, Debug)]
enum Mutation {
    Replace(u8),
    Flip(u32),
    Insert(u8),
    Remove,
    Truncate,
}

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        any::<u8>().prop_map(Mutation::Replace),
        (0..8u32).prop_map(Mutation::Flip),
        any::<u8>().prop_map(Mutation::Insert),
        Just(Mutation::Remove),
        Just(Mutation::Truncate),
    ]
}

fn mutate(bytes: &mut Vec<u8>, mutation: &Mutation, index: Index) {
    if bytes.is_empty() {
        return;
    }
    let at = index.index(bytes.len());
    match *mutation {
        Mutation::Replace(byte) => bytes[at] = byte,
        Mutation::Flip(bit) => bytes[at] ^= 1 << bit,
        Mutation::Insert(byte) => bytes.insert(at, byte),
        Mutation::Remove => {
            bytes.remove(at);
        }
        Mutation::Truncate => bytes.truncate(at),
    }
}

proptest! {
    #![proptest_config(config(32_000))]

    #[test]
    fn any_bytes_are_packets_or_a_breach(
        (version, sender) in arbitrary::connection(),
        bytes in vec(any::<u8>(), 0..300),
    ) {
        check_decoded(&bytes, version, sender)?;
    }

    #[test]
    fn bytes_like_packets_are_packets_or_a_breach(
        (version, sender) in arbitrary::connection(),
        bytes in almost_packets(),
    ) {
        check_decoded(&bytes, version, sender)?;
    }

    #[test]
    fn changed_packets_are_packets_or_a_breach(
        (version, sender, packet) in arbitrary::sent_packet(),
        mutations in vec((mutation(), any::<Index>()), 1..5),
    ) {
        let mut bytes = encode(&packet, version);
        for (mutation, index) in &mutations {
            mutate(&mut bytes, mutation, *index);
        }
        check_decoded(&bytes, version, sender)?;
    }

    /// The header stays, so that the change reaches the fields.
    #[test]
    fn changed_bodies_are_packets_or_a_breach(
        (version, sender, packet) in arbitrary::sent_packet(),
        changes in vec((any::<Index>(), small_bytes()), 1..4),
    ) {
        let mut bytes = encode(&packet, version);
        let header = 1 + bytes[1..].iter().position(|byte| byte & 0x80 == 0).expect("a length ends") + 1;
        for (index, byte) in changes {
            if bytes.len() > header {
                let at = header + index.index(bytes.len() - header);
                bytes[at] = byte;
            }
        }
        check_decoded(&bytes, version, sender)?;
    }
}

// --- Topics and filters ---------------------------------------------------------------------------------------------

/// §4.7 word for word, one level at a time.
fn matches_by_the_book(filter: &[&str], topic: &[&str]) -> bool {
    match (filter, topic) {
        (["#"], _) | ([], []) => true,
        (["+", filter @ ..], [_, topic @ ..]) => matches_by_the_book(filter, topic),
        ([level, filter @ ..], [name, topic @ ..]) => level == name && matches_by_the_book(filter, topic),
        ([], _) | (_, []) => false,
    }
}

/// [MQTT-4.7.2-1] before the rest.
fn oracle(filter: &Filter, topic: &Topic) -> bool {
    let levels = filter.pattern().split('/').collect::<Vec<_>>();
    let names = topic.as_str().split('/').collect::<Vec<_>>();
    let hidden = names[0].starts_with('$') && matches!(levels[0], "+" | "#");
    !hidden && matches_by_the_book(&levels, &names)
}

/// Text of the characters that mean something in topics.
fn topic_like() -> impl Strategy<Value = String> {
    let piece = select(&["a", "b", "/", "/", "+", "#", "$share", "$share/", "$", "\0", "é", " "][..]);
    vec(piece, 0..7).prop_map(|pieces| pieces.concat())
}

/// §4.7.1 and §4.8.2 as a regular language, written without regard to speed.
fn is_filter(text: &str) -> bool {
    let levels = text.split('/').collect::<Vec<_>>();
    let pattern = match levels[..] {
        ["$share", name, ref pattern @ ..] => {
            if name.is_empty() || name.contains(['+', '#']) || pattern.is_empty() || pattern == [""] {
                return false;
            }
            pattern
        }
        ["$share"] => return false,
        ref pattern => pattern,
    };
    let (last, before) = pattern.split_last().expect("at least one level");
    let plain = |level: &&str| *level == "+" || !level.contains(['+', '#']);
    !text.is_empty() && !text.contains('\0') && before.iter().all(plain) && (*last == "#" || plain(last))
}

/// A step in the life of a tree of filters.
#[derive(Clone, Debug)]
enum Step {
    Insert(Filter),
    Remove(Filter),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![3 => arbitrary::filter().prop_map(Step::Insert), 1 => arbitrary::filter().prop_map(Step::Remove)]
}

proptest! {
    #![proptest_config(config(16_000))]

    #[test]
    fn filters_match_by_the_book(filter in arbitrary::filter(), topic in arbitrary::topic()) {
        let expected = oracle(&filter, &topic);
        prop_assert_eq!(filter.matches(topic.as_str()), expected);
        prop_assert_eq!(matches(filter.pattern(), topic.as_str()), expected);
    }

    #[test]
    fn a_topic_is_a_filter_for_itself_alone(topic in arbitrary::topic(), other in arbitrary::topic()) {
        // One that begins like a shared subscription is none: such names are not among these.
        let filter = Filter::from(&topic);
        prop_assert!(filter.matches(topic.as_str()));
        prop_assert_eq!(filter.matches(other.as_str()), topic == other);
    }

    #[test]
    fn filters_are_what_the_specification_allows(text in topic_like()) {
        let expected = is_filter(&text);
        prop_assert_eq!(Filter::new(&text).is_ok(), expected, "{:?}", text);
        prop_assert_eq!(Filter::from_bytes(Bytes::from(text.clone())).is_ok(), expected);
        prop_assert_eq!(Filter::try_from(text.as_str()), Filter::new(&text));
    }

    #[test]
    fn topics_are_what_the_specification_allows(text in topic_like()) {
        let expected = !text.is_empty() && !text.contains(['+', '#', '\0']);
        prop_assert_eq!(Topic::new(&text).is_ok(), expected, "{:?}", text);
        prop_assert_eq!(Topic::from_bytes(Bytes::from(text.clone())).is_ok(), expected);
        prop_assert_eq!(Topic::try_from(text.clone()), Topic::new(&text));
    }

    #[test]
    fn a_tree_of_filters_finds_what_trying_each_finds(
        steps in vec(step(), 0..40),
        topics in vec(arbitrary::topic(), 1..6),
    ) {
        let mut tree = FilterTree::new();
        let mut list: Vec<(Filter, usize)> = Vec::new();
        for (value, step) in steps.into_iter().enumerate() {
            match step {
                Step::Insert(filter) => {
                    let old = list.iter().position(|(there, _)| *there == filter).map(|at| list.swap_remove(at).1);
                    prop_assert_eq!(tree.insert(filter.clone(), value), old);
                    list.push((filter, value));
                }
                Step::Remove(filter) => {
                    let old = list.iter().position(|(there, _)| *there == filter).map(|at| list.swap_remove(at).1);
                    prop_assert_eq!(tree.remove(&filter), old);
                }
            }
            prop_assert_eq!(tree.len(), list.len());
            prop_assert_eq!(tree.is_empty(), list.is_empty());
        }
        for topic in &topics {
            let mut found = Vec::new();
            tree.for_each_match(topic.as_str(), |filter, &value| found.push((filter.clone(), value)));
            found.sort_unstable();
            let mut expected = list.iter().filter(|(filter, _)| oracle(filter, topic)).cloned().collect::<Vec<_>>();
            expected.sort_unstable();
            prop_assert_eq!(found, expected, "{:?}", topic);
        }
        let mut everything = Vec::new();
        tree.for_each(|filter, &value| everything.push((filter.clone(), value)));
        everything.sort_unstable();
        list.sort_unstable();
        prop_assert_eq!(&everything, &list);
        for (filter, value) in &mut list {
            prop_assert_eq!(tree.get_mut(filter), Some(value));
        }
    }
}
