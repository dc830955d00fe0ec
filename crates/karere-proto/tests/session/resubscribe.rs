//! Subscriptions that were granted and are asked for again by the session itself.

use karere_proto::{
    Filter, Packet, PropertyId, Value, Version,
    packet::{RetainHandling, Subscribe, SubscribeOptions, Subscription},
    session::Resubscribe,
};

use super::kit::*;

fn config_with(version: Version, policy: Resubscribe) -> karere_proto::session::Config {
    let mut config = config(version);
    config.resubscribe = policy;
    config
}

fn subscribed(version: Version, policy: Resubscribe) -> Talk {
    let mut talk = Talk::connected_with(config_with(version, policy));
    talk.subscribes("a");
    talk.client_says(["SUBSCRIBE 1 a"]);
    talk.server_says("SUBACK 1 0x01");
    talk.take_heard();
    talk
}

fn a_lost_session_is_subscribed_again(version: Version) {
    let mut talk = subscribed(version, Resubscribe::WhenLost);
    talk.loses_session();
    talk.client_says(["SUBSCRIBE 2 a"]);
}

fn a_kept_session_is_not_subscribed_again(version: Version) {
    let mut talk = subscribed(version, Resubscribe::WhenLost);
    talk.resumes();
    talk.client_says([]);
}

fn never_means_never(version: Version) {
    let mut talk = subscribed(version, Resubscribe::Never);
    talk.loses_session();
    talk.client_says([]);
}

fn always_means_on_every_connection(version: Version) {
    let mut talk = subscribed(version, Resubscribe::Always);
    talk.resumes();
    let sent = talk.sent();
    let [Packet::Subscribe(_, subscribe)] = sent.as_slice() else {
        panic!("one SUBSCRIBE expected: {sent:?}");
    };
    let expected = if version == Version::V5 { RetainHandling::SendIfNew } else { RetainHandling::Send };
    assert_eq!(subscribe.subscriptions[0].options.retain_handling, expected, "what was retained is not sent once more");
}

fn what_was_unsubscribed_or_refused_is_not_asked_for_again(version: Version) {
    let mut talk = subscribed(version, Resubscribe::WhenLost);
    talk.subscribes("b");
    talk.server_says("SUBACK 2 0x80");
    talk.unsubscribes("a");
    talk.server_says(if version == Version::V5 { "UNSUBACK 3 0x00" } else { "UNSUBACK 3" });
    talk.sent();
    talk.loses_session();
    talk.client_says([]);
}

fn a_refusal_is_told_and_ends_the_subscription(version: Version) {
    let mut talk = subscribed(version, Resubscribe::WhenLost);
    talk.loses_session();
    talk.client_says(["SUBSCRIBE 2 a"]);
    talk.server_says("SUBACK 2 0x80");
    let told = talk.tidings();
    assert!(told.last().is_some_and(|told| told.ends_with("2 subscribed 0x80")), "{told:?}");
    talk.loses_session();
    talk.client_says([]);
}

fn a_connection_lost_meanwhile_does_not_double_the_request(version: Version) {
    let mut talk = subscribed(version, Resubscribe::WhenLost);
    talk.loses_session();
    talk.client_says(["SUBSCRIBE 2 a"]);
    talk.loses_session();
    talk.client_says(["SUBSCRIBE 3 a"]);
    talk.resumes();
    talk.client_says(["SUBSCRIBE 4 a"]); // it was never answered
}

every_version! {
    a_kept_session_is_not_subscribed_again_on_newer_versions,
    never_means_never,
}

since_311! {
    a_lost_session_is_subscribed_again,
    a_kept_session_is_not_subscribed_again,
    always_means_on_every_connection,
    what_was_unsubscribed_or_refused_is_not_asked_for_again,
    a_refusal_is_told_and_ends_the_subscription,
    a_connection_lost_meanwhile_does_not_double_the_request,
}

/// 3.1 cannot tell, and its server is taken to have kept the session.
fn a_kept_session_is_not_subscribed_again_on_newer_versions(version: Version) {
    let mut talk = subscribed(version, Resubscribe::WhenLost);
    talk.drops_connection();
    talk.opens();
    talk.server_says(if version == Version::V31 { "CONNACK" } else { "CONNACK present" });
    talk.client_says([]);
}

#[test]
fn options_and_subscription_identifiers_are_kept() {
    let mut talk = Talk::connected_with(config_with(Version::V5, Resubscribe::WhenLost));
    for (number, filter) in [(7, "a"), (8, "b")] {
        let options = SubscribeOptions::new(Q2).no_local().retain_as_published();
        let subscribe = Subscribe::many([Subscription::new(Filter::new(filter).unwrap(), options)]);
        let identifier = properties([(PropertyId::SubscriptionIdentifier, Value::U32(number))]);
        talk.subscribes_with(subscribe.properties(identifier));
    }
    talk.server_says("SUBACK 1 0x02");
    talk.server_says("SUBACK 2 0x02");
    let before = talk.sent();
    talk.loses_session();
    let without_number = |packets: Vec<Packet>| {
        let subscribes = packets.into_iter().map(|packet| match packet {
            Packet::Subscribe(_, subscribe) => subscribe,
            other => panic!("{other:?}"),
        });
        subscribes.collect::<Vec<_>>()
    };
    assert_eq!(without_number(talk.sent()), without_number(before));
}

#[test]
fn a_server_that_serves_less_now_is_not_asked_and_the_application_learns_it() {
    let mut talk = Talk::connected_with(config_with(Version::V5, Resubscribe::WhenLost));
    talk.subscribes("a/#");
    talk.server_says("SUBACK 1 0x00");
    talk.sent();
    talk.drops_connection();
    talk.opens();
    talk.server_sends(&connack([(PropertyId::WildcardSubscriptionAvailable, Value::Byte(0))]));
    talk.client_says([]);
    let told = talk.tidings();
    assert!(told.iter().any(|told| told.ends_with("subscribed no answer")), "{told:?}");
}
