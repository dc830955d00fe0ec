//! Limits of both sides, and who takes over whose name.

use karere::{
    Acknowledge, Cause, Outcome, PropertyId, PublishError, QoS, ReasonCode, Reconnect, Value, Version, session::NotSent,
};

use crate::{
    broker::Mqtt5,
    common::{
        PATIENCE,
        peer::{peer, text},
        server::{Server, Setup},
    },
    every_property::{self, Answers},
};

const ANSWERS: Answers = Answers {
    connack: |ack| {
        let said = &ack.properties;
        assert_eq!((said.topic_alias_maximum(), said.maximum_packet_size()), (Some(65_535), Some(268_435_455)));
        assert_eq!(said.response_information(), Some("answers/"));
        for available in [
            said.retain_available(),
            said.wildcard_subscription_available(),
            said.subscription_identifiers_available(),
            said.shared_subscription_available(),
        ] {
            assert_eq!(available, Some(true));
        }
        assert_eq!(said.iter().count(), 7, "{said:?}");
    },
    adds_user_properties: |name| name == "x-mqtt-client-id",
    not_subscribed: ReasonCode::NoSubscriptionExisted,
    nobody_at_qos_1: ReasonCode::Success,
};

fn server() -> Mqtt5 {
    let mut config = Mqtt5::config();
    config.response_information = Some("answers/".to_owned());
    Mqtt5::with(config)
}

#[test]
fn v5_session_with_every_property_set_passes_both_ways() {
    every_property::passes_both_ways(&server(), &ANSWERS);
}

#[test]
fn delayed_will_waits_for_its_client() {
    every_property::delayed_will_waits_for_its_client(&server(), &ANSWERS);
}

#[test]
fn client_that_is_taken_over_is_told_so() {
    let cause = every_property::cause_of_takeover(&server());
    assert!(matches!(cause, Cause::Server(_)), "{cause}");
    assert_eq!(cause.reason(), Some(ReasonCode::SessionTakenOver));
}

/// The broker sends DISCONNECT to clients of 3.1.1 too, where a server may not.
#[test]
fn older_connection_of_3_1_1_ends_when_another_takes_its_name() {
    let server = server();
    let options = || server.options(Version::V311, "same");
    let one = peer(options().reconnect(Reconnect::Never)).connect();
    let other = peer(options()).connect();
    let _ = one.disconnected(1);
    assert!(other.client.is_connected());
}

#[test]
fn maximum_packet_size_of_the_server_holds() {
    let mut config = Mqtt5::config();
    config.max_packet_size = 2000;
    let server = Mqtt5::with(config);
    let one = peer(server.options(Version::V5, "one"));
    // Before the server has said so, nobody knows.
    let early = one.client.publish(text("a", &"x".repeat(2000), QoS::AtLeastOnce)).expect("queued");
    let one = one.connect();
    assert_eq!(one.client.negotiated().maximum_packet_size, 2000);
    let outcome = early.wait(PATIENCE).expect("done");
    assert!(
        matches!(outcome, Outcome::NotSent(NotSent::Refused(PublishError::TooLarge { maximum: 2000, .. }))),
        "{outcome}"
    );
    // PUBLISH of 2,000 bytes: 3 of header, 3 of topic, 2 of identifier, 1 of properties.
    let fits = |len: usize| one.client.publish(text("a", &"x".repeat(len), QoS::AtLeastOnce));
    assert!(matches!(fits(1992), Err(PublishError::TooLarge { size: 2001, maximum: 2000 })));
    assert!(fits(1991).expect("taken").wait(PATIENCE).expect("done").is_acknowledged());
    assert!(one.client.is_connected());
}

#[test]
fn maximum_packet_size_of_the_client_holds() {
    let server = server();
    let options = server.options(Version::V5, "one").property(PropertyId::MaximumPacketSize, Value::U32(200));
    let one = peer(options).connect();
    let _ = one.subscribe("a", QoS::AtLeastOnce);
    let publisher = peer(server.options(Version::V5, "publisher")).connect();
    for payload in ["before", &"x".repeat(300), "after"] {
        assert!(publisher.say(text("a", payload, QoS::AtLeastOnce)).is_acknowledged());
    }
    assert_eq!((one.message(0).text(), one.message(1).text()), ("before", "after"));
    assert!(one.client.is_connected());
}

#[test]
fn receive_maximum_of_the_client_holds() {
    let server = server();
    let options = server.options(Version::V5, "one").property(PropertyId::ReceiveMaximum, Value::U16(3));
    let one = peer(options.acknowledge(Acknowledge::Manual)).keeping_deliveries().connect();
    let _ = one.subscribe("a", QoS::ExactlyOnce);
    let publisher = peer(server.options(Version::V5, "publisher")).connect();
    for number in 0..9 {
        let qos = if number % 2 == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
        assert!(publisher.say(text("a", &number.to_string(), qos)).is_acknowledged());
    }
    let _ = one.messages(3);
    std::thread::sleep(core::time::Duration::from_millis(300)); // a fourth would be here by now
    assert_eq!(one.messages(0).len(), 3);
    for number in 0..9 {
        let _ = one.message(number);
        one.acknowledge(number);
    }
    let words = one.messages(9).iter().map(|message| message.text().to_owned()).collect::<Vec<_>>();
    assert_eq!(words, (0..9).map(|number| number.to_string()).collect::<Vec<_>>());
    assert!(one.client.is_connected());
}

#[test]
fn topics_beyond_the_aliases_of_the_server_arrive_under_their_names() {
    let mut config = Mqtt5::config();
    config.topic_alias_maximum = 3;
    let server = Mqtt5::with(config);
    let one = peer(server.options(Version::V5, "one")).connect();
    assert_eq!(one.client.negotiated().topic_alias_maximum, 3);
    let _ = one.subscribe("a/long/topic/#", QoS::AtLeastOnce);
    let topic = |number: usize| format!("a/long/topic/{}", number * number % 7);
    let sent = (0..50).map(|number| one.publish(text(&topic(number), "x", QoS::AtLeastOnce))).collect::<Vec<_>>();
    for publishing in sent {
        assert!(publishing.wait(PATIENCE).expect("done").is_acknowledged());
    }
    let topics = one.messages(50).into_iter().map(|message| message.topic).collect::<Vec<_>>();
    assert_eq!(topics, (0..50).map(topic).collect::<Vec<_>>());
}

#[test]
fn version_3_1_is_refused() {
    let server = Mqtt5::start(Setup::default());
    let one = peer(server.options(Version::V31, "one").reconnect(Reconnect::Never)).start();
    let cause = one.disconnected(1);
    assert!(!one.client.is_connected(), "{cause}");
}
