//! A session of 5.0 with every property a client may set, and everything that comes back.
//!
//! Written against any server, since each forwards and answers with other code; what differs is in [`Answers`].

use core::time::Duration;
use std::thread;

use karere::{
    Cause, CleanStart, ConnAck, Disconnect, Filter, Outcome, Properties, PropertyId, Publish, QoS, ReasonCode,
    RetainHandling, SessionExpiry, Subscribe, SubscribeOptions, Unsubscribe, Value, Version,
};

use crate::{
    common::{
        peer::{Peer, Received, peer, text},
        server::Server,
    },
    tap::Tap,
};

/// Where servers differ, and may.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answers {
    /// What CONNACK says.
    pub(crate) connack: fn(&ConnAck),
    /// User Properties that the server adds to every message; none may.
    pub(crate) adds_user_properties: fn(&str) -> bool,
    /// To UNSUBSCRIBE for a filter that was not subscribed to.
    pub(crate) not_subscribed: ReasonCode,
    /// To a QoS 1 message that nobody is subscribed to.
    pub(crate) nobody_at_qos_1: ReasonCode,
}

const TOPIC: &str = "every/property/of/a/message";
const EXPIRY: u32 = 100;

type Property = (PropertyId, Value<'static>);

/// What a client may put into a message, but for what the session does by itself: topic alias.
const OF_A_MESSAGE: [Property; 8] = [
    (PropertyId::PayloadFormatIndicator, Value::Byte(1)),
    (PropertyId::ContentType, Value::Str("text/plain; charset=utf-8, ünï ✓")),
    (PropertyId::ResponseTopic, Value::Str("answers/here")),
    (PropertyId::CorrelationData, Value::Bin(&[0, 255, 7, 0])),
    (PropertyId::UserProperty, Value::Pair("name", "value")),
    (PropertyId::UserProperty, Value::Pair("", "")),
    (PropertyId::UserProperty, Value::Pair("name", "another")),
    (PropertyId::UserProperty, Value::Pair("a name", "before the others by the alphabet")),
];

const OF_A_REQUEST: [Property; 3] = [
    (PropertyId::UserProperty, Value::Pair("why", "b")),
    (PropertyId::UserProperty, Value::Pair("why", "a")),
    (PropertyId::UserProperty, Value::Pair("ünï", "✓")),
];

fn properties<'a>(all: impl IntoIterator<Item = (PropertyId, Value<'a>)>) -> Properties {
    let mut properties = Properties::new();
    for (id, value) in all {
        properties.set(id, value).expect("legal");
    }
    properties
}

fn of_a_message() -> Properties {
    let expiry = (PropertyId::MessageExpiryInterval, Value::U32(EXPIRY));
    properties(OF_A_MESSAGE.into_iter().chain([expiry]))
}

fn of_a_request() -> Properties {
    properties(OF_A_REQUEST)
}

/// Nothing is missing, nothing was added, User Properties are in order.
fn assert_forwarded(received: &Received, identifiers: &[u32], answers: &Answers) {
    // The order of properties has no meaning but among User Properties (§2.2.2), which a stable sort keeps.
    let sorted = |of: &mut Vec<Property>| of.sort_by_key(|&(id, _)| id);
    let mut sent = OF_A_MESSAGE.to_vec();
    sorted(&mut sent);
    let own = [PropertyId::MessageExpiryInterval, PropertyId::SubscriptionIdentifier];
    let added = |value: &Value<'_>| matches!(value, Value::Pair(name, _) if (answers.adds_user_properties)(name));
    let mut came =
        received.properties.iter().filter(|(id, value)| !own.contains(id) && !added(value)).collect::<Vec<_>>();
    came.sort_by_key(|&(id, _)| id);
    assert_eq!(came, sent);
    let left = received.properties.message_expiry().expect("it expires").as_secs();
    assert!((u64::from(EXPIRY) - 20..=u64::from(EXPIRY)).contains(&left), "{left}");
    assert_eq!(received.properties.subscription_identifiers().collect::<Vec<_>>(), identifiers);
}

fn reason(outcome: &Outcome) -> ReasonCode {
    match outcome {
        Outcome::Acknowledged { reason, .. } => *reason,
        other => panic!("{other}"),
    }
}

/// The client under test: every property of CONNECT, and a will with every property.
fn with_everything<S: Server>(server: &S, tap: &Tap, clean_start: CleanStart) -> Peer {
    let will = text("will/one", "gone", QoS::ExactlyOnce).retained().properties(of_a_message());
    let will = will.property(PropertyId::WillDelayInterval, Value::U32(1)).expect("legal");
    let mut options = server
        .options(Version::V5, "one")
        .keep_alive(Duration::from_secs(77))
        .session_expiry(SessionExpiry::After(Duration::from_secs(3600)))
        .clean_start(clean_start)
        .will(will);
    for (id, value) in [
        (PropertyId::ReceiveMaximum, Value::U16(7)),
        (PropertyId::MaximumPacketSize, Value::U32(100_000)),
        (PropertyId::TopicAliasMaximum, Value::U16(5)),
        (PropertyId::RequestResponseInformation, Value::Byte(1)),
        (PropertyId::RequestProblemInformation, Value::Byte(1)),
    ]
    .into_iter()
    .chain(OF_A_REQUEST)
    {
        options = options.property(id, value);
    }
    let starting = peer(options).traced();
    starting.client.set_endpoint(tap.endpoint());
    starting.connect()
}

/// The whole session, from CONNECT to the will of the last connection.
pub(crate) fn passes_both_ways<S: Server>(server: &S, answers: &Answers) {
    let tap = Tap::start(server.address());
    let watcher = peer(server.options(Version::V5, "watcher")).connect();
    let _ = watcher.request(Subscribe::new("will/+", QoS::ExactlyOnce).expect("legal").properties(of_a_request()));
    let _ = watcher.subscribe("every/#", QoS::ExactlyOnce);

    let one = with_everything(server, &tap, CleanStart::FirstOnly);
    let ack = one.connected(1);
    assert_eq!((ack.session_present, ack.reason), (false, ReasonCode::Success));
    (answers.connack)(&ack);
    let negotiated = one.client.negotiated();
    assert_eq!((negotiated.own_receive_maximum, negotiated.own_maximum_packet_size), (7, 100_000));

    subscribes(&one);
    messages_pass(&one, &watcher, answers);
    assert!(one.client.negotiated().topic_alias_maximum > 0);
    assert_eq!(tap.count(TOPIC), 1, "an alias stands for it from the second time on");
    reasons_come_back(&one, answers);
    retained_keep_their_properties(server, &watcher, answers);
    leaves_and_comes_back(server, &tap, one, &watcher, answers);
}

fn subscribes(one: &Peer) {
    let plain = SubscribeOptions::new(QoS::ExactlyOnce);
    let with_identifier =
        |identifier| properties(OF_A_REQUEST.into_iter().chain([(PropertyId::SubscriptionIdentifier, identifier)]));
    let every =
        Subscribe::new("every/property/#", plain.retain_as_published().retain_handling(RetainHandling::SendIfNew))
            .and_then(|all| all.and("own/#", SubscribeOptions::new(QoS::AtLeastOnce).no_local()))
            .and_then(|all| {
                all.and("kept", SubscribeOptions::new(QoS::AtMostOnce).retain_handling(RetainHandling::DoNotSend))
            })
            .expect("legal");
    let ack = one.request(every.properties(with_identifier(Value::U32(268_435_455))));
    assert_eq!(ack.reasons, [ReasonCode::GrantedQoS2, ReasonCode::GrantedQoS1, ReasonCode::Success]);
    let ack =
        one.request(Subscribe::new("every/+/of/#", plain).expect("legal").properties(with_identifier(Value::U32(1))));
    assert_eq!(ack.reasons, [ReasonCode::GrantedQoS2]);
}

fn messages_pass(one: &Peer, watcher: &Peer, answers: &Answers) {
    let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
    for (number, qos) in qos.into_iter().enumerate() {
        let publish = text(TOPIC, "all of it ✓", qos).properties(of_a_message());
        assert_eq!(reason(&one.say(publish)), ReasonCode::Success);
        let seen = watcher.message(number);
        assert_eq!((seen.topic.as_str(), seen.text(), seen.qos), (TOPIC, "all of it ✓", qos));
        assert_forwarded(&seen, &[], answers);
    }
    // Two subscriptions match: one copy with both identifiers, or two with one each [MQTT-3.3.4-5].
    let all = one.seen.wait("messages by both subscriptions", |record| {
        let identifiers = record.messages.iter().map(|message| message.properties.subscription_identifiers().count());
        (identifiers.sum::<usize>() >= 6).then(|| record.messages.clone())
    });
    for qos in qos {
        let mut identifiers = Vec::new();
        for message in all.iter().filter(|message| message.qos == qos) {
            let of_this = message.properties.subscription_identifiers().collect::<Vec<_>>();
            assert_forwarded(message, &of_this, answers);
            identifiers.extend(of_this);
        }
        identifiers.sort_unstable();
        assert_eq!(identifiers, [1, 268_435_455], "QoS {qos}");
    }
}

fn reasons_come_back(one: &Peer, answers: &Answers) {
    assert_eq!(reason(&one.say(text("own/topic", "not to myself", QoS::AtMostOnce))), ReasonCode::Success);
    let nobody = |qos| reason(&one.say(text("nobody/listens", "x", qos).properties(of_a_message())));
    assert_eq!(nobody(QoS::AtLeastOnce), answers.nobody_at_qos_1);
    // PUBREC may say it, too, and PUBCOMP has no word for it (§3.7.2.1).
    assert!([ReasonCode::Success, ReasonCode::NoMatchingSubscribers].contains(&nobody(QoS::ExactlyOnce)));
    one.seen.wait("PUBREC and PUBCOMP for two messages", |record| {
        let answers = record.lines.iter().filter(|(_, line)| line.contains("PUBREC m") || line.contains("PUBCOMP m"));
        (answers.filter(|(_, line)| line.contains("received")).count() >= 4).then_some(())
    });
    let filters = ["every/+/of/#", "never/subscribed"].map(|filter| Filter::new(filter).expect("legal"));
    let unsubscribe = Unsubscribe::many(filters).properties(of_a_request());
    let unsubscribing = one.client.unsubscribe(unsubscribe).expect("taken");
    let ack = unsubscribing.wait(crate::common::PATIENCE).expect("answered");
    assert_eq!(ack.reasons, [ReasonCode::Success, answers.not_subscribed]);
    let _ = one.say(text(TOPIC, "after", QoS::AtMostOnce));
    let last = one
        .seen
        .wait("the next message", |record| record.messages.last().filter(|message| message.text() == "after").cloned());
    assert_eq!(last.properties.subscription_identifiers().collect::<Vec<_>>(), [268_435_455], "unsubscribed");
    assert!(one.seen.record().messages.iter().all(|message| message.topic == TOPIC), "no local");
}

fn retained_keep_their_properties<S: Server>(server: &S, watcher: &Peer, answers: &Answers) {
    let publish = text("retained", "kept", QoS::AtLeastOnce).retained().properties(of_a_message());
    let _ = watcher.say(publish);
    let late = peer(server.options(Version::V5, "late")).connect();
    let _ = late.subscribe("retained", QoS::AtLeastOnce);
    let message = late.message(0);
    assert!(message.retain);
    assert_forwarded(&message, &[], answers);
}

fn leaves_and_comes_back<S: Server>(server: &S, tap: &Tap, one: Peer, watcher: &Peer, answers: &Answers) {
    let seconds = |seconds| (PropertyId::SessionExpiryInterval, Value::U32(seconds));
    let farewell = |expiry| {
        properties(OF_A_REQUEST.into_iter().chain([seconds(expiry), (PropertyId::ReasonString, Value::Str("bye ✓"))]))
    };
    one.client.disconnect_with(Disconnect::NORMAL.properties(farewell(60))).expect("may be said");
    assert_eq!(one.disconnected(1), Cause::Requested);
    let came = one.seen.record().messages.len();
    for payload in ["first while away", "second while away"] {
        let publish = text(TOPIC, payload, QoS::AtLeastOnce).properties(of_a_message());
        assert_eq!(reason(&watcher.say(publish)), ReasonCode::Success);
    }
    thread::sleep(Duration::from_millis(2100));
    one.client.connect();
    assert!(one.connected(2).session_present, "kept for longer than nothing");
    let [first, message] = [came, came + 1].map(|number| one.message(number));
    assert_forwarded(&first, &[268_435_455], answers);
    assert_forwarded(&message, &[268_435_455], answers);
    assert_eq!((first.text(), message.text()), ("first while away", "second while away"));
    // Of the second: ejabberd 23.01 takes the first for sent, and sends it again as it was.
    let left = message.properties.message_expiry().expect("it expires").as_secs();
    assert!(left <= u64::from(EXPIRY) - 2, "{left} s left after 2 s");

    let _ = watcher.messages(6);
    // The will of the connection that ends now: at once with the session, although it was to be delayed.
    let seen = watcher.seen.record().messages.len();
    one.client.disconnect_with(Disconnect::WITH_WILL.properties(farewell(0))).expect("may be said");
    assert_eq!(one.disconnected(2), Cause::Requested);
    let will = watcher.message(seen);
    assert_eq!((will.topic.as_str(), will.text(), will.qos), ("will/one", "gone", QoS::ExactlyOnce));
    assert_forwarded(&will, &[], answers);
    drop(one.stop());
    let anew = with_everything(server, tap, CleanStart::Never);
    assert!(!anew.connected(1).session_present, "DISCONNECT ended the session");
    let _ = anew.subscribe("will/one", QoS::AtLeastOnce);
    let retained = anew.message(0);
    assert!(retained.retain, "it was to be retained");
    assert_forwarded(&retained, &[], answers);
}

/// The will comes after its delay, unless its client is back by then.
pub(crate) fn delayed_will_waits_for_its_client<S: Server>(server: &S, answers: &Answers) {
    let tap = Tap::start(server.address());
    let watcher = peer(server.options(Version::V5, "watcher")).connect();
    let _ = watcher.subscribe("will/+", QoS::ExactlyOnce);
    let one = with_everything(server, &tap, CleanStart::FirstOnly);
    tap.cut();
    let _ = one.connected(2); // back before the delay is over
    thread::sleep(Duration::from_millis(2500));
    let _ = watcher.say(text("will/marker", "x", QoS::ExactlyOnce));
    assert_eq!(watcher.message(0).topic, "will/marker", "the client was back in time");
    drop(one.stop());
    let will = watcher.message(1);
    assert_eq!((will.topic.as_str(), will.qos), ("will/one", QoS::ExactlyOnce));
    assert_forwarded(&will, &[], answers);
}

/// A second client with the name of the first: what the first is told.
pub(crate) fn cause_of_takeover<S: Server>(server: &S) -> Cause {
    let options = || server.options(Version::V5, "same");
    let one = peer(options().reconnect(karere::Reconnect::Never)).connect();
    let other = peer(options()).connect();
    let cause = one.disconnected(1);
    assert!(other.client.is_connected());
    cause
}

/// A message with all that [`OF_A_MESSAGE`] has, for who wants to see it with other eyes.
pub(crate) fn message(topic: &str, payload: &str) -> Publish {
    text(topic, payload, QoS::AtLeastOnce).properties(of_a_message())
}
