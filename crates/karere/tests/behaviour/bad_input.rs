//! What is refused at the call: with what and why, and before a packet identifier is used.

use core::time::Duration;

use karere::{
    CleanStart, Disconnect, Filter, Options, PropertyId, Publish, PublishError, QoS, ReasonCode, SessionExpiry,
    Subscribe, SubscribeError, SubscribeOptions, Topic, Unsubscribe, Value, Version, sync::Client,
};

use crate::{
    common::{
        peer::{peer, text},
        server::{Server, Setup},
    },
    development::Development,
};

/// Each error says what is wrong in words that contain `hint`.
fn refused(options: Options, hint: &str) {
    let error = Client::new(options).expect_err(hint).to_string();
    assert!(error.contains(hint), "{error:?} should say {hint:?}");
}

#[test]
fn wrong_options_are_refused_when_the_client_is_made() {
    let options = |version| Options::new("mqtt://localhost").expect("legal URL").version(version);
    refused(options(Version::V31).client_id("x".repeat(24)), "1 to 23");
    refused(options(Version::V311).session_expiry(SessionExpiry::Never), "client identifier");
    refused(
        options(Version::V311).server_assigned_client_id().session_expiry(SessionExpiry::Never),
        "empty client identifier",
    );
    refused(
        options(Version::V311).client_id("x").session_expiry(SessionExpiry::After(Duration::from_secs(1))),
        "use 5.0",
    );
    refused(
        options(Version::V311).client_id("x").session_expiry(SessionExpiry::Never).clean_start(CleanStart::Always),
        "clean start",
    );
    refused(options(Version::V5).client_id("nul\0"), "U+0000");
    refused(options(Version::V5).user_name("u".repeat(65_536)), "65536 bytes");
    refused(options(Version::V5).password(vec![0; 65_536]), "65536 bytes");
    refused(options(Version::V311).password("without a name"), "needs both");
    refused(options(Version::V5).keep_alive(Duration::from_secs(65_536)), "65535");
    refused(options(Version::V5).max_in_flight(0), "at least 1");
    let (long, short) = (Duration::from_secs(2), Duration::from_secs(1));
    refused(options(Version::V5).reconnect_delay(long, short), "longer");
    refused(options(Version::V311).property(PropertyId::ReceiveMaximum, Value::U16(1)), "use 5.0");
    refused(options(Version::V5).property(PropertyId::ReceiveMaximum, Value::U16(0)), "range");
    refused(options(Version::V5).property(PropertyId::TopicAlias, Value::U16(1)), "CONNECT");
    let will = text("will", "x", QoS::AtMostOnce);
    let expiring = will.clone().property(PropertyId::WillDelayInterval, Value::U32(1)).expect("legal");
    refused(options(Version::V311).will(expiring), "use 5.0");
    refused(options(Version::V5).will(Publish::new("will", vec![0; 65_536]).expect("legal")), "65536 bytes");
    for url in ["localhost", "http://localhost", "mqtt://", "mqtt://h:0", "mqtt://h:65536", "mqtts://h:x", "unix://"] {
        assert!(Options::new(url).is_err(), "{url}");
    }
}

#[test]
fn wrong_topics_and_filters_cannot_be_made() {
    for topic in ["", "a/+", "#", "nul\0", &"x".repeat(65_536)] {
        let error = Topic::new(topic).expect_err("no topic").to_string();
        assert!(error.starts_with("topic name"), "{error}");
        assert!(Publish::new(topic, "x").is_err());
    }
    for filter in ["", "a+", "a#", "a/#/b", "$share/g", "$share//a", "$share/+/a", "nul\0", &"x".repeat(65_536)] {
        let error = Filter::new(filter).expect_err("no filter").to_string();
        assert!(error.contains("[MQTT-") || error.contains("bytes") || error.contains("U+0000"), "{error}");
        assert!(Subscribe::new(filter, QoS::AtMostOnce).is_err() && Unsubscribe::new(filter).is_err());
    }
    assert!(QoS::try_from(3).is_err_and(|error| error.to_string().contains("0, 1 or 2")));
}

#[test]
fn what_cannot_be_sent_is_refused_before_an_identifier_is_used() {
    let server = Development::start(Setup::default());
    let old = peer(server.options(Version::V311, "old")).connect();
    let new = peer(server.options(Version::V5, "new")).connect();
    let message = text("a", "x", QoS::AtLeastOnce);
    let typed = message.clone().property(PropertyId::ContentType, Value::Str("text")).expect("legal");
    assert_eq!(
        old.client.publish(typed).expect_err("5.0 only"),
        PublishError::NotInVersion("properties", Version::V311)
    );
    // 268,435,455 bytes is the most that may follow the fixed header; zeros cost no memory before they are written.
    let huge = Publish::new("a", vec![0; 268_435_455 - 4]).expect("legal").qos(QoS::AtLeastOnce);
    for one in [&old, &new] {
        let error = one.client.publish(huge.clone()).expect_err("too large");
        assert!(matches!(error, PublishError::TooLarge { .. }), "{error:?}");
        assert!(error.to_string().contains("above the maximum"), "{error}");
    }
    for id in [PropertyId::TopicAlias, PropertyId::SubscriptionIdentifier, PropertyId::ServerKeepAlive] {
        let value = match id {
            PropertyId::SubscriptionIdentifier => Value::U32(1),
            _ => Value::U16(1),
        };
        let wrong = message.clone().property(id, value).expect("a legal value");
        assert!(new.client.publish(wrong).is_err(), "{id}");
    }

    let subscribe = |options: SubscribeOptions| Subscribe::new("a", options).expect("legal");
    let plain = SubscribeOptions::new(QoS::AtLeastOnce);
    assert_eq!(old.client.subscribe(Subscribe::many([])).expect_err("nothing"), SubscribeError::Empty);
    assert_eq!(new.client.unsubscribe(Unsubscribe::many([])).expect_err("nothing"), SubscribeError::Empty);
    assert!(matches!(
        old.client.subscribe(subscribe(plain.no_local())).expect_err("5.0 only"),
        SubscribeError::NotInVersion(_, Version::V311)
    ));
    let shared = Subscribe::new("$share/g/a", plain.no_local()).expect("legal");
    assert_eq!(new.client.subscribe(shared).expect_err("a contradiction"), SubscribeError::NoLocalShared);

    assert!(old.client.disconnect_with(Disconnect::WITH_WILL).is_err(), "3.1.1 cannot say that");
    assert!(new.client.disconnect_with(Disconnect::new(ReasonCode::SessionTakenOver)).is_err());
    assert!(old.client.configure(|config| config.connect.version = Version::V31).is_ok());
    let change = old.client.configure(|config| config.session_expiry = SessionExpiry::After(Duration::from_secs(9)));
    assert!(change.is_err());
    let will = message.clone().property(PropertyId::ContentType, Value::Str("text")).expect("legal");
    assert!(old.client.set_will(Some(will)).is_err());

    for one in [&old, &new] {
        assert!(one.client.is_connected());
        assert_eq!((one.client.queued(), one.client.in_flight()), ((0, 0), 0));
        let first = one.publish(message.clone());
        assert_eq!(first.packet_id().map(karere::PacketId::get), Some(1), "the first that was used");
    }
}
