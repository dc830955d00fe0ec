//! Legal packets at random, for each version and sender.

use bytes::Bytes;
use karere_proto::{
    Carrier, Filter, Packet, PacketId, PacketType, Properties, PropertyId, Publish, QoS, ReasonCode, Side, Topic,
    Utf8String, Value, Version,
    packet::{
        Ack, AckKind, Attempt, Auth, ConnAck, Connect, Disconnect, PublishPacket, RetainHandling, SubAck, Subscribe,
        SubscribeOptions, Subscription, UnsubAck, Unsubscribe, Will,
    },
};
use proptest::{
    collection::vec,
    option,
    prelude::*,
    sample::{select, subsequence},
};

/// A packet and who sends it in which version: each kind that exists is as likely as any other.
pub(crate) fn sent_packet() -> impl Strategy<Value = (Version, Side, Packet)> {
    let mut kinds = Vec::new();
    for version in Version::ALL {
        for side in [Side::Client, Side::Server] {
            let packets = (1..=15).filter_map(PacketType::from_nibble);
            kinds.extend(
                packets.filter(|packet| packet.sent_by(side, version.rules())).map(|packet| (version, side, packet)),
            );
        }
    }
    select(kinds).prop_flat_map(|(version, side, kind)| (Just(version), Just(side), packet(version, side, kind)))
}

/// Packets that one side sends one after the other.
pub(crate) fn sent_packets() -> impl Strategy<Value = (Version, Side, Vec<Packet>)> {
    connection().prop_flat_map(|(version, side)| {
        let packets = (1..=15).filter_map(PacketType::from_nibble);
        let kinds = packets.filter(|packet| packet.sent_by(side, version.rules())).collect::<Vec<_>>();
        let any_packet = select(kinds).prop_flat_map(move |kind| packet(version, side, kind));
        (Just(version), Just(side), vec(any_packet, 1..8))
    })
}

/// One direction of a connection.
pub(crate) fn connection() -> impl Strategy<Value = (Version, Side)> {
    (select(&Version::ALL[..]), select(&[Side::Client, Side::Server][..]))
}

fn packet(version: Version, side: Side, kind: PacketType) -> BoxedStrategy<Packet> {
    let properties = properties(version, side, Carrier::Packet(kind));
    let ack = |kind: AckKind| {
        (packet_id(), reason(version, side, kind.packet_type()), properties.clone()).prop_map(
            move |(id, reason, properties)| {
                let mut ack = Ack::with_reason(kind, id, reason);
                ack.properties = properties;
                Packet::Ack(ack)
            },
        )
    };
    let reasons = vec(reason(version, side, kind), 1..5);
    match kind {
        PacketType::Connect => connect(version).prop_map(|connect| Packet::Connect(Box::new(connect))).boxed(),
        PacketType::ConnAck => (any::<bool>(), reason(version, side, kind), properties)
            .prop_map(move |(session_present, reason, properties)| {
                let mut ack = ConnAck::new(reason);
                ack.session_present = session_present && version.rules().session_present;
                ack.properties = properties;
                Packet::ConnAck(ack)
            })
            .boxed(),
        PacketType::Publish => publish(properties).prop_map(Packet::Publish).boxed(),
        PacketType::PubAck => ack(AckKind::PubAck).boxed(),
        PacketType::PubRec => ack(AckKind::PubRec).boxed(),
        PacketType::PubRel => ack(AckKind::PubRel).boxed(),
        PacketType::PubComp => ack(AckKind::PubComp).boxed(),
        PacketType::Subscribe => (packet_id(), vec(subscription(version), 1..4), properties)
            .prop_map(|(id, subscriptions, properties)| {
                Packet::Subscribe(id, Subscribe::many(subscriptions).properties(properties))
            })
            .boxed(),
        PacketType::SubAck => (packet_id(), reasons, properties)
            .prop_map(|(id, reasons, properties)| {
                let mut ack = SubAck::new(reasons);
                ack.properties = properties;
                Packet::SubAck(id, ack)
            })
            .boxed(),
        PacketType::Unsubscribe => (packet_id(), vec(filter(), 1..4), properties)
            .prop_map(|(id, filters, properties)| {
                Packet::Unsubscribe(id, Unsubscribe::many(filters).properties(properties))
            })
            .boxed(),
        PacketType::UnsubAck => (packet_id(), reasons, properties)
            .prop_map(move |(id, reasons, properties)| {
                let mut ack = UnsubAck::new(if version.rules().ack_reasons { reasons } else { Vec::new() });
                ack.properties = properties;
                Packet::UnsubAck(id, ack)
            })
            .boxed(),
        PacketType::PingReq => Just(Packet::PingReq).boxed(),
        PacketType::PingResp => Just(Packet::PingResp).boxed(),
        PacketType::Disconnect => (reason(version, side, kind), properties)
            .prop_map(|(reason, properties)| Packet::Disconnect(Disconnect::new(reason).properties(properties)))
            .boxed(),
        PacketType::Auth => (reason(version, side, kind), properties)
            .prop_map(|(reason, properties)| Packet::Auth(Auth::new(reason, properties)))
            .boxed(),
    }
}

fn connect(version: Version) -> impl Strategy<Value = Connect> {
    let will = (publish(properties(version, Side::Client, Carrier::Will)), topic()).prop_map(|(packet, topic)| {
        let mut will = Will::from(packet.into_publish(topic));
        will.payload.truncate(65_535);
        will
    });
    let credentials = (option::of(text()), option::of(binary()));
    (
        any::<bool>(),
        any::<u16>(),
        properties(version, Side::Client, Carrier::Packet(PacketType::Connect)),
        text(),
        option::of(will),
        credentials,
    )
        .prop_map(move |(clean_start, keep_alive, properties, client_id, will, (user_name, password))| {
            let mut connect = Connect::new(version, string(&client_id));
            connect.clean_start = clean_start;
            connect.keep_alive = keep_alive;
            connect.properties = properties;
            connect.will = will;
            connect.user_name = user_name.map(|name| string(&name));
            let allowed = connect.user_name.is_some() || !version.rules().password_needs_user_name;
            connect.password = password.filter(|_| allowed).map(Bytes::from);
            connect
        })
}

fn publish(properties: impl Strategy<Value = Properties>) -> impl Strategy<Value = PublishPacket> {
    (topic(), any::<bool>(), payload(), qos(), any::<bool>(), any::<bool>(), packet_id(), properties).prop_map(
        |(topic, by_alias, payload, qos, retain, again, id, properties)| {
            let by_alias = by_alias && properties.topic_alias().is_some();
            let mut publish = Publish::new(&topic, payload).expect("a topic").qos(qos).properties(properties);
            publish.retain = retain;
            let acknowledged = qos > QoS::AtMostOnce;
            let attempt = if again && acknowledged { Attempt::Again } else { Attempt::First };
            let mut packet = PublishPacket::new(publish, acknowledged.then_some(id), attempt);
            if by_alias {
                packet.topic = None;
            }
            packet
        },
    )
}

fn subscription(version: Version) -> impl Strategy<Value = Subscription> {
    let handling = select(&[RetainHandling::Send, RetainHandling::SendIfNew, RetainHandling::DoNotSend][..]);
    (filter(), qos(), any::<bool>(), any::<bool>(), handling).prop_map(
        move |(filter, qos, no_local, retain_as_published, retain_handling)| {
            let mut options = SubscribeOptions::new(qos);
            if version.rules().subscribe_options {
                options.no_local = no_local && filter.share().is_none();
                options.retain_as_published = retain_as_published;
                options.retain_handling = retain_handling;
            }
            Subscription::new(filter, options)
        },
    )
}

/// A reason code that `side` may send in `packet`; only success where the version has none.
fn reason(version: Version, side: Side, packet: PacketType) -> BoxedStrategy<ReasonCode> {
    let rules = version.rules();
    let codes = match packet {
        PacketType::ConnAck if !rules.connect_return_codes.is_empty() => rules.connect_return_codes.to_vec(),
        PacketType::SubAck if !rules.ack_reasons => {
            let mut codes = vec![ReasonCode::Success, ReasonCode::GrantedQoS1, ReasonCode::GrantedQoS2];
            codes.extend(rules.suback_failure.then_some(ReasonCode::UnspecifiedError));
            codes
        }
        _ if !rules.ack_reasons => vec![ReasonCode::Success],
        _ => ReasonCode::ALL.iter().copied().filter(|code| code.allowed_in(packet, side)).collect(),
    };
    if codes.is_empty() { Just(ReasonCode::Success).boxed() } else { select(codes).boxed() }
}

/// Any of the properties that `side` may put into `carrier`, in any order, each with any legal value.
fn properties(version: Version, side: Side, carrier: Carrier) -> BoxedStrategy<Properties> {
    if !version.rules().properties {
        return Just(Properties::new()).boxed();
    }
    let one_sided = |id: PropertyId| match (id, carrier) {
        (PropertyId::SubscriptionIdentifier, Carrier::Packet(PacketType::Publish)) => side == Side::Client,
        (PropertyId::SessionExpiryInterval, Carrier::Packet(PacketType::Disconnect)) => side == Side::Server,
        _ => false,
    };
    let ids = PropertyId::ALL.iter().copied().filter(|&id| id.allowed_in(carrier) && !one_sided(id));
    // Those that repeat are there up to three times.
    let ids = ids.flat_map(|id| vec![id; if id.repeatable_in(carrier) { 3 } else { 1 }]).collect::<Vec<_>>();
    let some = (0..=ids.len()).prop_flat_map(move |count| subsequence(ids.clone(), count).prop_shuffle());
    let set = some.prop_flat_map(|ids| ids.into_iter().map(property).collect::<Vec<_>>()).prop_map(move |all| {
        let mut properties = Properties::new();
        for (id, value) in &all {
            set(&mut properties, *id, value);
        }
        // [§3.1.2.11.10, §3.15.2.2.2]: no data without method, no AUTH without method.
        let auth = carrier == Carrier::Packet(PacketType::Auth);
        if properties.authentication_method().is_none() && (auth || properties.authentication_data().is_some()) {
            set(&mut properties, PropertyId::AuthenticationMethod, &Owned::Str("M".to_owned()));
        }
        properties
    });
    // AUTH has at least its method, so "no properties" is no choice there.
    let none = if carrier == Carrier::Packet(PacketType::Auth) { 0 } else { 1 };
    prop_oneof![none => Just(Properties::new()), 3 => set].boxed()
}

/// A value that owns its text and bytes.
#[derive(Clone, Debug)]
enum Owned {
    Byte(u8),
    U16(u16),
    U32(u32),
    Str(String),
    Bin(Vec<u8>),
    Pair(String, String),
}

fn set(properties: &mut Properties, id: PropertyId, value: &Owned) {
    let value = match value {
        Owned::Byte(byte) => Value::Byte(*byte),
        Owned::U16(number) => Value::U16(*number),
        Owned::U32(number) if id == PropertyId::SubscriptionIdentifier => {
            return properties.add_subscription_identifier(*number).expect("legal");
        }
        Owned::U32(number) => Value::U32(*number),
        Owned::Str(text) => Value::Str(text),
        Owned::Bin(bytes) => Value::Bin(bytes),
        Owned::Pair(name, value) => Value::Pair(name, value),
    };
    properties.set(id, value).expect("legal");
}

/// A property with any value it may have.
fn property(id: PropertyId) -> BoxedStrategy<(PropertyId, Owned)> {
    use PropertyId as P;
    let value = match id {
        P::PayloadFormatIndicator
        | P::RequestProblemInformation
        | P::RequestResponseInformation
        | P::MaximumQoS
        | P::RetainAvailable
        | P::WildcardSubscriptionAvailable
        | P::SubscriptionIdentifiersAvailable
        | P::SharedSubscriptionAvailable => (0..=1u8).prop_map(Owned::Byte).boxed(),
        P::ServerKeepAlive | P::TopicAliasMaximum => any::<u16>().prop_map(Owned::U16).boxed(),
        P::ReceiveMaximum | P::TopicAlias => (1..=u16::MAX).prop_map(Owned::U16).boxed(),
        P::MessageExpiryInterval | P::SessionExpiryInterval | P::WillDelayInterval => {
            any::<u32>().prop_map(Owned::U32).boxed()
        }
        P::MaximumPacketSize => (1..=u32::MAX).prop_map(Owned::U32).boxed(),
        P::SubscriptionIdentifier => varint().prop_map(Owned::U32).boxed(),
        P::ResponseTopic => topic().prop_map(|topic| Owned::Str(topic.as_str().to_owned())).boxed(),
        P::CorrelationData | P::AuthenticationData => binary().prop_map(Owned::Bin).boxed(),
        P::UserProperty => (text(), text()).prop_map(|(name, value)| Owned::Pair(name, value)).boxed(),
        _ => text().prop_map(Owned::Str).boxed(),
    };
    (Just(id), value).boxed()
}

/// 1 to 268,435,455, each length as likely as any other.
fn varint() -> impl Strategy<Value = u32> {
    prop_oneof![1..=127u32, 128..=16_383u32, 16_384..=2_097_151u32, 2_097_152..=268_435_455u32]
}

/// A string of MQTT: often short, often ASCII, any characters but U+0000.
fn text() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        4 => proptest::char::range('a', 'z'),
        1 => select(&['\u{FEFF}', '\u{FFFF}', '\u{1}', '\u{10FFFF}', '+', '#', '/', '$'][..]),
        1 => proptest::char::range('\u{1}', char::MAX),
    ];
    let short = vec(character, 0..8).prop_map(|characters| characters.into_iter().collect());
    prop_oneof![30 => short, 1 => (100..300usize).prop_map(|len| "x".repeat(len))]
}

fn binary() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![30 => vec(any::<u8>(), 0..10), 1 => vec(any::<u8>(), 100..300)]
}

/// Often small; now and then so large that it is queued by reference.
fn payload() -> impl Strategy<Value = Bytes> {
    let large = (any::<u8>(), 4000..20_000usize).prop_map(|(byte, len)| vec![byte; len]);
    prop_oneof![30 => vec(any::<u8>(), 0..40), 1 => large].prop_map(Bytes::from)
}

/// Topic names of few and short levels, so that filters have a chance.
pub(crate) fn topic() -> impl Strategy<Value = Topic> {
    let level = select(&["", "a", "b", "c", "$a", "$SYS", "\u{FEFF}", "a b", "é"][..]);
    vec(level, 1..5).prop_map(|levels| {
        let name = levels.join("/");
        Topic::new(if name.is_empty() { "/" } else { &name }).expect("a topic")
    })
}

/// Topic filters of few and short levels, shared ones among them.
pub(crate) fn filter() -> impl Strategy<Value = Filter> {
    let level = select(&["", "a", "b", "c", "$a", "$SYS", "+", "+", "a b", "é"][..]);
    let share = prop_oneof![4 => Just(""), 1 => Just("$share/g/"), 1 => Just("$share/other/")];
    (share, vec(level, 0..4), any::<bool>()).prop_map(|(share, mut levels, hash)| {
        levels.extend(hash.then_some("#"));
        let pattern = levels.join("/");
        Filter::new(format!("{share}{}", if pattern.is_empty() { "/" } else { &pattern })).expect("a filter")
    })
}

fn qos() -> impl Strategy<Value = QoS> {
    select(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][..])
}

fn packet_id() -> impl Strategy<Value = PacketId> {
    (1..=u16::MAX).prop_map(|id| PacketId::new(id).expect("above 0"))
}

fn string(text: &str) -> Utf8String {
    Utf8String::new(text).expect("a string of MQTT")
}
