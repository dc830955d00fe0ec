//! What is refused at the call: nothing is taken, nothing sent, no identifier used.

use std::time::Duration;

use bytes::Bytes;
use karere_proto::{
    Filter, InvalidProperty, Properties, PropertyId, Publish, Session, Value, Version,
    packet::{RetainHandling, Subscribe, SubscribeOptions, Subscription, Unsubscribe},
    session::{CleanStart, Config, ConfigError, PublishError, SessionExpiry, SubscribeError},
};

use super::kit::*;

fn user_property() -> Properties {
    properties([(PropertyId::UserProperty, Value::Pair("k", "v"))])
}

/// Whatever was refused: the next message is the first.
fn nothing_was_used(talk: &mut Talk) {
    talk.told([]);
    talk.publishes("next", Q1);
    talk.client_says(["PUBLISH q1 1 next"]);
}

// PUBLISH

fn properties_of_messages_need_5(version: Version) {
    for mut talk in [Talk::connected(version), Talk::new(config(version))] {
        let publish = message("a", Q1).properties(user_property());
        let refused = talk.session.publish(talk.now, publish);
        assert_eq!(refused, Err(PublishError::NotInVersion("properties", version)));
        assert_eq!(talk.session.queued(), (0, 0));
    }
}

#[test]
fn message_properties_are_checked() {
    let mut talk = Talk::connected(Version::V5);
    let refused = talk
        .session
        .publish(talk.now, message("a", Q1).properties(properties([(PropertyId::ReceiveMaximum, Value::U16(1))])));
    assert!(matches!(refused, Err(PublishError::Property(InvalidProperty::NotAllowed(..)))), "{refused:?}");
    for (id, value) in [(PropertyId::TopicAlias, Value::U16(1)), (PropertyId::SubscriptionIdentifier, Value::U32(1))] {
        let refused = talk.session.publish(talk.now, message("a", Q1).properties(properties([(id, value)])));
        assert_eq!(refused, Err(PublishError::PropertyOfConnection(id)));
    }
    nothing_was_used(&mut talk);
}

#[test]
fn what_the_server_does_not_take_is_refused() {
    let mut talk = Talk::connected_to(
        config(Version::V5),
        [
            (PropertyId::MaximumQoS, Value::Byte(1)),
            (PropertyId::RetainAvailable, Value::Byte(0)),
            (PropertyId::MaximumPacketSize, Value::U32(30)),
        ],
    );
    let refused = talk.session.publish(talk.now, message("a", Q2));
    assert_eq!(refused, Err(PublishError::QoSNotSupported { asked: Q2, maximum: Q1 }));
    let refused = talk.session.publish(talk.now, message("a", Q1).retained());
    assert_eq!(refused, Err(PublishError::RetainNotSupported));
    let fits = "x".repeat(11); // 2 + 2 + 11 + 2 + 1 + 11 = 29, one too few
    let too_large = Publish::new(fits.as_str(), vec![0; 13]).unwrap().qos(Q1);
    let refused = talk.session.publish(talk.now, too_large);
    assert_eq!(refused, Err(PublishError::TooLarge { size: 31, maximum: 30 }));
    nothing_was_used(&mut talk);
    let exact = Publish::new(fits.as_str(), vec![0; 12]).unwrap().qos(Q1);
    talk.session.publish(talk.now, exact).unwrap();
    assert_eq!(talk.sent().len(), 1, "equal to the limit is legal");
}

// SUBSCRIBE and UNSUBSCRIBE

#[track_caller]
fn refuses(talk: &mut Talk, subscribe: Subscribe, why: &SubscribeError) {
    assert_eq!(talk.session.subscribe(talk.now, subscribe).as_ref(), Err(why));
}

fn empty_requests_are_refused(version: Version) {
    let mut talk = Talk::connected(version);
    refuses(&mut talk, Subscribe::many([]), &SubscribeError::Empty);
    assert_eq!(talk.session.unsubscribe(talk.now, Unsubscribe::many([])), Err(SubscribeError::Empty));
    nothing_was_used(&mut talk);
}

fn options_and_properties_of_subscriptions_need_5(version: Version) {
    let mut talk = Talk::connected(version);
    let plain = SubscribeOptions::new(Q1);
    for options in [plain.no_local(), plain.retain_as_published(), plain.retain_handling(RetainHandling::DoNotSend)] {
        let subscribe = Subscribe::new("a", options).unwrap();
        refuses(&mut talk, subscribe, &SubscribeError::NotInVersion("subscription options", version));
    }
    let subscribe = Subscribe::new("a", Q1).unwrap().properties(user_property());
    refuses(&mut talk, subscribe, &SubscribeError::NotInVersion("properties", version));
    let unsubscribe = Unsubscribe::new("a").unwrap().properties(user_property());
    let refused = talk.session.unsubscribe(talk.now, unsubscribe);
    assert_eq!(refused, Err(SubscribeError::NotInVersion("properties", version)));
    nothing_was_used(&mut talk);
}

#[test]
fn what_the_server_does_not_serve_is_refused() {
    let mut talk = Talk::connected_to(
        config(Version::V5),
        [
            (PropertyId::WildcardSubscriptionAvailable, Value::Byte(0)),
            (PropertyId::SharedSubscriptionAvailable, Value::Byte(0)),
            (PropertyId::SubscriptionIdentifiersAvailable, Value::Byte(0)),
            (PropertyId::MaximumPacketSize, Value::U32(30)),
        ],
    );
    for filter in ["a/#", "+", "a/+/b"] {
        let why = SubscribeError::NotSupported("wildcards in topic filters");
        refuses(&mut talk, Subscribe::new(filter, Q1).unwrap(), &why);
    }
    let why = SubscribeError::NotSupported("shared subscriptions");
    refuses(&mut talk, Subscribe::new("$share/g/a", Q1).unwrap(), &why);
    let numbered =
        Subscribe::new("a", Q1).unwrap().properties(properties([(PropertyId::SubscriptionIdentifier, Value::U32(1))]));
    refuses(&mut talk, numbered, &SubscribeError::NotSupported("Subscription Identifiers"));
    let long = "x".repeat(23); // 2 + 2 + 1 + 2 + 23 + 1 = 31
    refuses(&mut talk, Subscribe::new(long.as_str(), Q1).unwrap(), &SubscribeError::TooLarge { size: 31, maximum: 30 });
    let refused = talk.session.unsubscribe(talk.now, Unsubscribe::new(format!("{long}x").as_str()).unwrap());
    assert_eq!(refused, Err(SubscribeError::TooLarge { size: 31, maximum: 30 }));
    nothing_was_used(&mut talk);
}

#[test]
fn no_local_on_a_shared_subscription_is_refused() {
    let mut talk = Talk::connected(Version::V5);
    let options = SubscribeOptions::new(Q1).no_local();
    refuses(&mut talk, Subscribe::new("$share/g/a", options).unwrap(), &SubscribeError::NoLocalShared);
    let mixed = Subscribe::many([
        Subscription::new(Filter::new("a").unwrap(), options),
        Subscription::new(Filter::new("$share/g/a").unwrap(), options),
    ]);
    refuses(&mut talk, mixed, &SubscribeError::NoLocalShared);
    nothing_was_used(&mut talk);
}

#[test]
fn properties_of_requests_are_checked() {
    let mut talk = Talk::connected(Version::V5);
    let wrong = || properties([(PropertyId::TopicAlias, Value::U16(1))]);
    let refused = talk.session.subscribe(talk.now, Subscribe::new("a", Q1).unwrap().properties(wrong()));
    assert!(matches!(refused, Err(SubscribeError::Property(_))), "{refused:?}");
    let refused = talk.session.unsubscribe(talk.now, Unsubscribe::new("a").unwrap().properties(wrong()));
    assert!(matches!(refused, Err(SubscribeError::Property(_))), "{refused:?}");
    nothing_was_used(&mut talk);
}

#[test]
fn request_that_waited_for_a_server_that_does_not_serve_it_is_told() {
    let mut talk = Talk::new(config(Version::V5));
    talk.subscribes("a/#");
    talk.subscribes("b");
    talk.opens();
    talk.server_sends(&connack([(PropertyId::WildcardSubscriptionAvailable, Value::Byte(0))]));
    talk.told(["connected", "a/# subscribed no answer"]);
    talk.client_says(["SUBSCRIBE 1 b"]);
}

#[test]
fn unsubscribe_that_waited_is_not_sent_when_it_is_too_large_now() {
    let mut talk = Talk::new(config(Version::V5));
    talk.unsubscribes(&"x".repeat(100));
    talk.opens();
    talk.server_sends(&connack([(PropertyId::MaximumPacketSize, Value::U32(50))]));
    talk.client_says([]);
    assert_eq!(talk.tidings().len(), 2);
}

// The configuration

#[track_caller]
fn is_nonsense(version: Version, why: ConfigError, change: impl FnOnce(&mut Config)) {
    let mut config = config(version);
    change(&mut config);
    assert_eq!(Session::new(beginning(), config).err(), Some(why));
    assert!(!why.to_string().is_empty());
}

#[track_caller]
fn is_sense(version: Version, change: impl FnOnce(&mut Config)) {
    let mut config = config(version);
    change(&mut config);
    assert_eq!(Session::new(beginning(), config).err(), None);
}

#[test]
fn client_identifiers_are_checked_by_version() {
    for (id, len) in [(String::new(), 0), ("x".repeat(24), 24)] {
        is_nonsense(Version::V31, ConfigError::ClientIdLength(len), |config| config.connect.client_id = text(&id));
    }
    is_sense(Version::V31, |config| config.connect.client_id = text(&"x".repeat(23)));
    is_nonsense(Version::V311, ConfigError::EmptyClientId, |config| config.connect.client_id = text(""));
    is_sense(Version::V311, |config| {
        config.connect.client_id = text("");
        config.session_expiry = SessionExpiry::AtClose;
    });
    is_sense(Version::V311, |config| config.connect.client_id = text(&"x".repeat(1000)));
    is_sense(Version::V5, |config| config.connect.client_id = text(""));
}

#[test]
fn password_without_user_name_needs_5() {
    let password = |config: &mut Config| config.connect.password = Some(Bytes::from_static(b"p"));
    for version in [Version::V31, Version::V311] {
        is_nonsense(version, ConfigError::PasswordWithoutUserName(version), password);
        is_sense(version, |config| {
            password(config);
            config.connect.user_name = Some(text(""));
        });
    }
    is_sense(Version::V5, password);
}

fn fields_that_are_too_long_are_refused(version: Version) {
    let long = || Bytes::from(vec![0; 65_536]);
    is_nonsense(version, ConfigError::TooLong("password", 65_536), |config| {
        config.connect.user_name = Some(text("u"));
        config.connect.password = Some(long());
    });
    is_nonsense(version, ConfigError::TooLong("will payload", 65_536), |config| {
        config.connect.will = Some(Publish::new("w", long()).unwrap().into());
    });
}

fn what_only_5_can_say_is_refused(version: Version) {
    is_nonsense(version, ConfigError::NotInVersion("properties of CONNECT", version), |config| {
        config.connect.properties = user_property();
    });
    is_nonsense(version, ConfigError::NotInVersion("properties of a will", version), |config| {
        config.connect.will = Some(message("w", Q0).properties(user_property()).into());
    });
    is_nonsense(version, ConfigError::NotInVersion("a session that expires after a time", version), |config| {
        config.session_expiry = SessionExpiry::After(Duration::from_secs(5));
    });
    is_nonsense(
        version,
        ConfigError::NotInVersion("a clean start of a session that is to be kept", version),
        |config| config.clean_start = CleanStart::Always,
    );
}

#[test]
fn properties_of_connect_are_checked() {
    is_nonsense(Version::V5, ConfigError::ExpiryTwice, |config| {
        config.connect.properties = properties([(PropertyId::SessionExpiryInterval, Value::U32(5))]);
    });
    is_nonsense(Version::V5, ConfigError::AuthenticationDataWithoutMethod, |config| {
        config.connect.properties = properties([(PropertyId::AuthenticationData, Value::Bin(b"d"))]);
    });
    for (id, value) in [(PropertyId::TopicAlias, Value::U16(1)), (PropertyId::ServerKeepAlive, Value::U16(1))] {
        let mut config = config(Version::V5);
        config.connect.properties = properties([(id, value)]);
        assert!(matches!(Session::new(beginning(), config), Err(ConfigError::Property(_))));
    }
    let mut config = config(Version::V5);
    config.connect.will = Some(message("w", Q0).property(PropertyId::TopicAlias, Value::U16(1)).unwrap().into());
    assert!(matches!(Session::new(beginning(), config), Err(ConfigError::Property(_))));
}

every_version! {
    empty_requests_are_refused,
    fields_that_are_too_long_are_refused,
}

before_5! {
    options_and_properties_of_subscriptions_need_5,
    properties_of_messages_need_5,
    what_only_5_can_say_is_refused,
}
