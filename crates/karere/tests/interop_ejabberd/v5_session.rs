//! A 5.0 session with every property set both ways, and what ejabberd says of itself.

use core::time::Duration;

use karere::{Cause, QoS, ReasonCode, SessionExpiry, Subscribe, SubscribeError, Version};

use crate::{
    common::{
        peer::{peer, text},
        server::{Server, Setup},
    },
    ejabberd::Ejabberd,
    every_property::{self, Answers},
};

const ANSWERS: Answers = Answers {
    connack: |ack| {
        let said = &ack.properties;
        assert_eq!(said.session_expiry_interval(), Some(300), "not the hour that was asked for");
        assert_eq!(said.server_keep_alive(), Some(77), "what CONNECT said");
        assert_eq!((said.topic_alias_maximum(), said.shared_subscription_available()), (Some(100), Some(false)));
        assert_eq!(said.iter().count(), 4, "{said:?}");
    },
    adds_user_properties: |_| false,
    not_subscribed: ReasonCode::Success,
    nobody_at_qos_1: ReasonCode::NoMatchingSubscribers,
};

fn ejabberd() -> Ejabberd {
    Ejabberd::start(Setup::default())
}

#[test]
fn v5_session_with_every_property_set_passes_both_ways() {
    every_property::passes_both_ways(&ejabberd(), &ANSWERS);
}

#[test]
fn delayed_will_waits_for_its_client() {
    every_property::delayed_will_waits_for_its_client(&ejabberd(), &ANSWERS);
}

#[test]
fn client_that_is_taken_over_is_told_so() {
    let cause = every_property::cause_of_takeover(&ejabberd());
    let Cause::Server(disconnect) = cause else { panic!("{cause}") };
    assert_eq!(disconnect.reason, ReasonCode::SessionTakenOver);
    assert_eq!(disconnect.properties.reason_string(), Some("Replaced by another connection"));
}

#[test]
fn limits_of_the_server_hold() {
    let server = Ejabberd::with(Setup::default(), "max_topic_aliases: 2\nsession_expiry: 100 s");
    let one = peer(server.options(Version::V5, "one").session_expiry(SessionExpiry::Never)).connect();
    let negotiated = one.client.negotiated();
    assert_eq!((negotiated.topic_alias_maximum, negotiated.session_expiry), (2, 100));
    assert_eq!(negotiated.keep_alive, Duration::from_secs(60));
    let _ = one.subscribe("a/long/topic/#", QoS::AtLeastOnce);
    for number in 0..12 {
        assert!(one.say(text(&format!("a/long/topic/{}", number % 3), "x", QoS::AtLeastOnce)).is_acknowledged());
    }
    let topics = one.messages(12).into_iter().map(|message| message.topic).collect::<Vec<_>>();
    assert_eq!(topics, (0..12).map(|number| format!("a/long/topic/{}", number % 3)).collect::<Vec<_>>());
}

#[test]
fn shared_subscriptions_are_refused_without_asking_a_server_that_has_none() {
    let server = ejabberd();
    let one = peer(server.options(Version::V5, "one")).connect();
    let refused = one.client.subscribe(Subscribe::new("$share/group/a", QoS::AtLeastOnce).expect("legal"));
    assert!(matches!(refused, Err(SubscribeError::NotSupported(_))), "{refused:?}");
    assert!(one.client.is_connected());
}
