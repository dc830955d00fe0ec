//! Messages that the application cannot keep: reconnecting without acknowledging them brings them again.

use karere::{Acknowledge, QoS, ReasonCode, SessionExpiry, Version};

use crate::common::{
    eventually,
    peer::{Happening, peer, text},
    server::{Server, Setup},
};

pub(crate) fn message_that_cannot_be_kept_comes_again_after_reconnecting<S: Server>(version: Version) {
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let server = S::start(Setup::default());
        let publisher = peer(server.options(version, "publisher")).connect();
        let options =
            server.options(version, "one").session_expiry(SessionExpiry::Never).acknowledge(Acknowledge::Manual);
        let one = peer(options).keeping_deliveries().traced().connect();
        let _ = one.subscribe("a", qos);
        assert!(publisher.say(text("a", "too much for now", qos)).is_acknowledged());
        assert!(!one.message(0).duplicate);

        let delivery = one.seen.record().deliveries[0].take().expect("kept");
        if version < Version::V5 {
            let (delivery, why) = one.client.refuse(delivery, ReasonCode::QuotaExceeded).expect_err("not in it");
            assert!(why.to_string().contains("without DISCONNECT"), "{why}");
            drop(delivery);
        }
        one.client.reconnect();
        let _ = one.connected(2);
        let again = one.message(1);
        assert_eq!((again.text(), again.duplicate), ("too much for now", true), "QoS {qos}");
        one.acknowledge(1);
        eventually("the answer", || {
            one.lines(if qos == QoS::AtLeastOnce { "sending PUBACK" } else { "sending PUBCOMP" }).len() == 1
        });
        assert_eq!(one.lines("sending DISCONNECT").len(), 0, "the connection was dropped without it");
        assert!(one.say(text("b", "what came before it has arrived", QoS::AtLeastOnce)).is_acknowledged());
        one.client.reconnect();
        let _ = one.connected(3);
        assert!(publisher.say(text("a", "more", qos)).is_acknowledged());
        let next = one.message(2);
        assert_eq!((next.text(), next.duplicate), ("more", false), "what was acknowledged does not come again");
    }
}

/// What the handler has returned from is acknowledged, also when the connection ended meanwhile.
pub(crate) fn reconnecting_while_messages_arrive_tells_each_of_qos_2_once<S: Server>(version: Version) {
    const MESSAGES: usize = 200;
    let server = S::start(Setup::default());
    let publisher = peer(server.options(version, "publisher")).connect();
    let one = peer(server.options(version, "one").session_expiry(SessionExpiry::Never)).connect();
    let _ = one.subscribe("a", QoS::ExactlyOnce);
    let mut connections = 1;
    let mut published = Vec::new();
    for number in 0..MESSAGES {
        published.push(publisher.publish(text("a", &number.to_string(), QoS::ExactlyOnce)));
        if number % 20 == 10 {
            one.client.reconnect();
            connections += 1;
            let _ = one.connected(connections);
            // mosquitto 2.0 sends a PUBLISH again whose PUBREL it did not get to send again before the next connection.
            assert!(one.say(text("b", "this connection works", QoS::AtLeastOnce)).is_acknowledged());
        }
    }
    let _ = one.messages(MESSAGES);
    assert!(publisher.say(text("a", "end", QoS::ExactlyOnce)).is_acknowledged());
    let told = one.messages(MESSAGES + 1);
    let told = told.iter().map(|message| message.text().to_owned()).collect::<Vec<_>>();
    let expected = (0..MESSAGES).map(|number| number.to_string()).chain(["end".to_owned()]).collect::<Vec<_>>();
    assert_eq!(told, expected);
    let ends = one.count(|happening| matches!(happening, Happening::Disconnected(_)));
    assert_eq!(ends, connections - 1);
}
