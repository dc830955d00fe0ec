//! What only 5.0 has.

use core::time::Duration;

use karere::{
    Cause, Disconnect, Outcome, Properties, PropertyId, Publish, QoS, ReasonCode, RetainHandling, SessionExpiry,
    Subscribe, SubscribeOptions, Value, Version,
};

use crate::common::{
    PATIENCE,
    peer::{peer, text},
    proxy::{Proxy, Way},
    server::{Server, Setup, options},
};

fn property(id: PropertyId, value: Value<'_>) -> Properties {
    let mut properties = Properties::new();
    properties.set(id, value).expect("legal");
    properties
}

pub(crate) fn disconnect_carries_reason_and_properties<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let one = peer(server.options(version, "one").session_expiry(SessionExpiry::Never)).traced().connect();
    let wrong = Disconnect::new(ReasonCode::ServerBusy);
    assert!(one.client.disconnect_with(wrong).is_err(), "only a server may be busy");
    assert!(one.client.is_connected());
    let _ = one.subscribe("a", QoS::AtLeastOnce);
    let end_session = property(PropertyId::SessionExpiryInterval, Value::U32(0));
    one.client.disconnect_with(Disconnect::NORMAL.properties(end_session)).expect("may be said");
    assert_eq!(one.disconnected(1), Cause::Requested);
    let said = one.line("sending DISCONNECT");
    assert!(said.contains("Session Expiry") || said.contains("SessionExpiry"), "{said}");
    one.client.connect();
    assert!(!one.connected(2).session_present, "the session ended with that");
}

pub(crate) fn disconnect_with_reason_4_publishes_the_will<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let watcher = peer(server.options(version, "watcher")).connect();
    let _ = watcher.subscribe("will", QoS::AtLeastOnce);
    let will = text("will", "wanted", QoS::AtLeastOnce)
        .property(PropertyId::ContentType, Value::Str("text/plain"))
        .expect("legal");
    let one = peer(server.options(version, "one").will(will)).connect();
    one.client.disconnect_with(Disconnect::WITH_WILL).expect("may be said");
    assert_eq!(one.disconnected(1), Cause::Requested);
    let message = watcher.message(0);
    assert_eq!(message.text(), "wanted");
    assert_eq!(message.properties.content_type(), Some("text/plain"));
}

pub(crate) fn server_assigns_the_client_identifier<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let options = server.options(version, "x").server_assigned_client_id();
    let one = peer(options).connect();
    let ack = one.connected(1);
    let assigned = ack.properties.assigned_client_identifier().expect("a name").to_owned();
    assert_eq!(one.client.client_id(), assigned);
    one.client.reconnect();
    let _ = one.connected(2);
    assert_eq!(one.client.client_id(), assigned, "kept");
}

pub(crate) fn subscribe_options_are_obeyed<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let one = peer(server.options(version, "one")).connect();
    let other = peer(server.options(version, "other")).connect();
    assert!(other.say(text("kept", "old", QoS::AtLeastOnce).retained()).is_acknowledged());
    let with = |filter: &str, options: SubscribeOptions| Subscribe::new(filter, options).expect("legal");
    let plain = SubscribeOptions::new(QoS::AtLeastOnce);

    let _ = one.request(with("kept", plain.retain_handling(RetainHandling::DoNotSend)));
    let _ = one.request(with("own", plain.no_local()));
    let _ = one.request(with("flag", plain.retain_as_published()));
    assert!(one.say(text("own", "not to myself", QoS::AtLeastOnce)).is_acknowledged());
    assert!(other.say(text("own", "to you", QoS::AtLeastOnce)).is_acknowledged());
    assert!(other.say(text("flag", "flagged", QoS::AtLeastOnce).retained()).is_acknowledged());
    let seen = one.messages(2).iter().map(|message| (message.text().to_owned(), message.retain)).collect::<Vec<_>>();
    assert_eq!(seen, [("to you".to_owned(), false), ("flagged".to_owned(), true)]);

    let _ = one.request(with("kept", plain.retain_handling(RetainHandling::SendIfNew))); // it is not new
    let _ = one.request(with("kept/#", plain.retain_handling(RetainHandling::SendIfNew)));
    assert_eq!(one.message(2).text(), "old");
    let _ = one.request(with("kept", plain));
    assert_eq!(one.message(3).text(), "old", "at every SUBSCRIBE");
}

pub(crate) fn subscription_identifiers_come_back<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let one = peer(server.options(version, "one")).connect();
    for (filter, identifier) in [("a/b", 7), ("c", 268_435_455)] {
        let identifier = property(PropertyId::SubscriptionIdentifier, Value::U32(identifier));
        let _ = one.request(Subscribe::new(filter, QoS::AtLeastOnce).expect("legal").properties(identifier));
    }
    for topic in ["a/b", "c"] {
        assert!(one.say(text(topic, "x", QoS::AtLeastOnce)).is_acknowledged());
    }
    let identifiers = |number| one.message(number).properties.subscription_identifiers().collect::<Vec<_>>();
    assert_eq!((identifiers(0), identifiers(1)), (vec![7], vec![268_435_455]));
}

pub(crate) fn properties_of_messages_arrive<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let one = peer(server.options(version, "one")).connect();
    let _ = one.subscribe("a", QoS::ExactlyOnce);
    let publish = text("a", "x", QoS::ExactlyOnce).message_expiry(Duration::from_secs(100));
    let publish = [
        (PropertyId::PayloadFormatIndicator, Value::Byte(1)),
        (PropertyId::ContentType, Value::Str("text/plain; ünï")),
        (PropertyId::ResponseTopic, Value::Str("answers/here")),
        (PropertyId::CorrelationData, Value::Bin(&[0, 255, 7])),
        (PropertyId::UserProperty, Value::Pair("name", "value")),
        (PropertyId::UserProperty, Value::Pair("name", "another")),
        (PropertyId::UserProperty, Value::Pair("", "")),
    ]
    .into_iter()
    .fold(publish, |publish, (id, value)| publish.property(id, value).expect("legal"));
    assert!(one.say(publish).is_acknowledged());
    let message = one.message(0);
    let properties = &message.properties;
    assert_eq!(properties.payload_is_text(), Some(true));
    assert_eq!(properties.content_type(), Some("text/plain; ünï"));
    assert_eq!(properties.response_topic(), Some("answers/here"));
    assert_eq!(properties.correlation_data(), Some(&[0, 255, 7][..]));
    assert_eq!(properties.user().collect::<Vec<_>>(), [("name", "value"), ("name", "another"), ("", "")]);
    assert!(properties.message_expiry().is_some_and(|left| left <= Duration::from_secs(100)));
}

pub(crate) fn acknowledgements_carry_reason_codes<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let one = peer(server.options(version, "one")).connect();
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let outcome = one.say(text("nobody/listens", "x", qos));
        let Outcome::Acknowledged { reason, .. } = outcome else {
            panic!("{outcome}");
        };
        // A server may say that nobody listens, in PUBACK or PUBREC.
        assert!([ReasonCode::Success, ReasonCode::NoMatchingSubscribers].contains(&reason), "{reason}");
        if qos == QoS::AtLeastOnce {
            assert_eq!(reason, ReasonCode::NoMatchingSubscribers, "both servers of this suite do");
        }
    }
}

pub(crate) fn receive_maximum_of_the_server_is_respected<S: Server>(version: Version) {
    let server = S::start(Setup { in_flight: Some(2), ..Setup::default() });
    let proxy = Proxy::start(server.address());
    let one = peer(options(proxy.address(), version, "one").max_in_flight(100)).connect();
    assert_eq!(one.client.negotiated().receive_maximum, 2);
    proxy.hold(Way::ToClient);
    let sent = (0..6)
        .map(|number| one.publish(Publish::new("a", number).expect("legal").qos(QoS::AtLeastOnce)))
        .collect::<Vec<_>>();
    assert_eq!((one.client.in_flight(), one.client.queued().0), (2, 4));
    proxy.release();
    for publishing in sent {
        assert!(publishing.wait(PATIENCE).expect("done").is_acknowledged());
    }
}

pub(crate) fn unsubscribing_what_is_not_subscribed_says_so<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let one = peer(server.options(version, "one")).connect();
    let _ = one.subscribe("a", QoS::AtMostOnce);
    assert_eq!(one.unsubscribe("a").reasons, [ReasonCode::Success]);
    assert_eq!(one.unsubscribe("a").reasons, [ReasonCode::NoSubscriptionExisted]);
}
