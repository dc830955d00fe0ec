//! Messages: each QoS, each kind of payload, order, limits, outcomes.

use bytes::Bytes;
use karere::{Outcome, Publish, PublishError, QoS, QueueLimits, Token, Version};

use crate::common::{
    PATIENCE, eventually,
    peer::{Happening, QOS, peer, text},
    proxy::{Proxy, Way},
    server::{Server, Setup, options},
};

pub(crate) fn messages_pass_at_each_qos<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let publisher = peer(server.options(version, "publisher")).connect();
    let subscriber = peer(server.options(version, "subscriber")).connect();
    for granted in QOS {
        let _ = subscriber.subscribe(&format!("to/{granted}"), granted);
    }
    let mut expected = Vec::new();
    for sent in QOS {
        for granted in QOS {
            let topic = format!("to/{granted}");
            assert!(publisher.say(text(&topic, &format!("at {sent}"), sent)).is_acknowledged());
            expected.push((topic, format!("at {sent}"), sent.min(granted)));
        }
    }
    let mut received = subscriber.messages(expected.len()).into_iter().map(|message| {
        assert!(!message.retain && !message.duplicate);
        assert_eq!(message.id.is_some(), message.qos > QoS::AtMostOnce);
        (message.topic.clone(), message.text().to_owned(), message.qos)
    });
    let mut received = received.by_ref().collect::<Vec<_>>();
    // Order holds for each topic and QoS.
    received.sort();
    expected.sort();
    assert_eq!(received, expected);
}

pub(crate) fn payloads_of_every_kind_arrive_as_they_are<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let one = peer(server.options(version, "one")).connect();
    let _ = one.subscribe("a", QoS::AtLeastOnce);
    let every_byte = (0..=u8::MAX).collect::<Vec<_>>();
    let cases: [(Publish, &[u8]); 11] = [
        (Publish::new("a", ()).expect("legal"), b""),
        (Publish::new("a", None::<&str>).expect("legal"), b""),
        (Publish::new("a", "").expect("legal"), b""),
        (Publish::new("a", "text").expect("legal"), b"text"),
        (Publish::new("a", String::from("ünïcödé")).expect("legal"), "ünïcödé".as_bytes()),
        (Publish::new("a", every_byte.clone()).expect("legal"), &every_byte),
        (Publish::new("a", &every_byte[..]).expect("legal"), &every_byte),
        (Publish::new("a", Bytes::from_static(b"static")).expect("legal"), b"static"),
        (Publish::new("a", 42).expect("legal"), b"42"),
        (Publish::new("a", -1.5).expect("legal"), b"-1.5"),
        (Publish::new("a", true).expect("legal"), b"true"),
    ];
    for (number, (publish, expected)) in cases.into_iter().enumerate() {
        assert!(one.say(publish.qos(QoS::AtLeastOnce)).is_acknowledged());
        assert_eq!(&one.message(number).payload[..], expected);
    }
}

pub(crate) fn topics_are_utf_8<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let one = peer(server.options(version, "one")).connect();
    let long = format!("long/{}", "x".repeat(4000));
    let topics = ["/", "a//b", "spaces are fine", "grüße/東京/🚀", "\u{FEFF}a", long.as_str()];
    for topic in topics {
        let _ = one.subscribe(topic, QoS::ExactlyOnce);
    }
    for (number, topic) in topics.into_iter().enumerate() {
        assert!(one.say(text(topic, "x", QoS::ExactlyOnce)).is_acknowledged());
        assert_eq!(one.message(number).topic, topic);
    }
}

/// Bytes that are different everywhere.
fn pattern(len: usize) -> Bytes {
    (0..len).map(|at| (at ^ at >> 8 ^ at >> 16) as u8).collect::<Vec<_>>().into()
}

pub(crate) fn large_payloads_arrive_whole<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let one = peer(server.options(version, "one")).connect();
    let _ = one.subscribe("a", QoS::ExactlyOnce);
    let mut number = 0;
    // Around the lengths at which another byte of Remaining Length or another way to be sent begins.
    for len in [100, 127, 128, 4095, 4096, 16_383, 16_384, 65_536, 1 << 20, (1 << 21) + 1] {
        let payload = pattern(len);
        for qos in QOS {
            let publish = Publish::new("a", payload.clone()).expect("legal").qos(qos);
            assert!(one.say(publish).is_acknowledged());
            assert!(one.message(number).payload == payload, "{len} bytes at QoS {qos}");
            number += 1;
        }
    }
}

pub(crate) fn twenty_mebibytes_pass_both_ways<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let proxy = Proxy::start(server.address());
    let one = peer(options(proxy.address(), version, "one")).connect();
    let _ = one.subscribe("a", QoS::AtLeastOnce);
    let payload = pattern(20 << 20);
    proxy.hold(Way::ToServer);
    let publishing = one.publish(Publish::new("a", payload.clone()).expect("legal").qos(QoS::AtLeastOnce));
    one.nth(1, "a full socket", |happening| matches!(happening, Happening::RegisterWrite).then_some(()));
    proxy.release();
    assert!(publishing.wait(PATIENCE).expect("done").is_acknowledged());
    assert!(one.message(0).payload == payload);
    one.disconnect();

    // The socket takes only parts of such a packet: the loop is asked to watch for more, and told when it is over.
    let sockets = one.seen.record().happenings.clone();
    let mut state = "closed";
    for happening in sockets {
        state = match (state, happening) {
            ("closed", Happening::Opened(_)) | ("writing", Happening::UnregisterWrite) => "open",
            ("open", Happening::RegisterWrite) => "writing",
            ("open", Happening::Closed(_)) => "closed",
            (state, Happening::Opened(_) | Happening::Closed(_)) => panic!("{state} before"),
            (state, Happening::RegisterWrite | Happening::UnregisterWrite) => panic!("{state} before"),
            (state, _) => state,
        };
    }
}

fn many<S: Server>(version: Version, qos: QoS) {
    const MESSAGES: usize = 10_000;
    let server = S::start(Setup { in_flight: Some(1000), ..Setup::default() });
    let publisher = peer(server.options(version, "publisher").max_in_flight(1000)).connect();
    let subscriber = peer(server.options(version, "subscriber")).connect();
    let _ = subscriber.subscribe("many", qos);
    let mut last = None;
    for number in 0..MESSAGES {
        last = Some(publisher.publish(Publish::new("many", number).expect("legal").qos(qos)));
    }
    assert!(last.expect("some").wait(PATIENCE).expect("done").is_acknowledged());
    let received = subscriber.messages(MESSAGES);
    assert_eq!(received.len(), MESSAGES);
    for (number, message) in received.iter().enumerate() {
        assert_eq!(message.text(), number.to_string());
        assert_eq!(message.qos, qos);
    }
    let acknowledged = |happening: &Happening| matches!(happening, Happening::Published(published) if published.outcome.is_acknowledged());
    eventually("an outcome for each", || publisher.count(acknowledged) == MESSAGES);
}

pub(crate) fn ten_thousand_messages_at_qos_0_arrive_in_order<S: Server>(version: Version) {
    many::<S>(version, QoS::AtMostOnce);
}

pub(crate) fn ten_thousand_messages_at_qos_1_arrive_in_order<S: Server>(version: Version) {
    many::<S>(version, QoS::AtLeastOnce);
}

pub(crate) fn ten_thousand_messages_at_qos_2_arrive_in_order<S: Server>(version: Version) {
    many::<S>(version, QoS::ExactlyOnce);
}

pub(crate) fn retained_messages_are_set_replaced_and_cleared<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let publisher = peer(server.options(version, "publisher")).connect();
    let live = peer(server.options(version, "live")).connect();
    let _ = live.subscribe("a", QoS::AtLeastOnce);
    for word in ["old", "new"] {
        assert!(publisher.say(text("a", word, QoS::AtLeastOnce).retained()).is_acknowledged());
    }
    assert!(live.messages(2).iter().all(|message| !message.retain), "it is news to those who were there");

    let late = peer(server.options(version, "late")).connect();
    let _ = late.subscribe("a", QoS::AtLeastOnce);
    let kept = late.message(0);
    assert_eq!((kept.text(), kept.retain), ("new", true));

    assert!(publisher.say(text("a", "", QoS::AtLeastOnce).retained()).is_acknowledged());
    let _ = live.message(2); // the clearing went round
    let last = peer(server.options(version, "last")).connect();
    let _ = last.subscribe("a", QoS::AtLeastOnce);
    assert!(publisher.say(text("a", "marker", QoS::AtLeastOnce)).is_acknowledged());
    assert_eq!(last.message(0).text(), "marker");
}

pub(crate) fn outcomes_are_told_by_token_and_by_handler<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let one = peer(server.options(version, "one")).connect();
    let mut tokens = Vec::<Token>::new();
    for (number, qos) in QOS.into_iter().enumerate() {
        let publishing = one.publish(text("a", "x", qos));
        let outcome = publishing.wait(PATIENCE).expect("done");
        assert!(outcome.is_acknowledged(), "{outcome}");
        assert!(publishing.is_done());
        let told = one.nth(number + 1, "an outcome", |happening| match happening {
            Happening::Published(published) => Some(published.clone()),
            _ => None,
        });
        assert_eq!((told.token, &told.outcome), (publishing.token(), &outcome));
        assert_eq!(told.id, publishing.packet_id());
        assert_eq!(told.id.is_some(), qos > QoS::AtMostOnce, "no identifier at QoS 0");
        tokens.push(told.token);
    }
    assert!(tokens.is_sorted() && tokens[0] != tokens[1]);
}

pub(crate) fn messages_published_before_the_connection_are_sent_with_it<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let subscriber = peer(server.options(version, "subscriber")).connect();
    let _ = subscriber.subscribe("a/+", QoS::ExactlyOnce);
    let starting = peer(server.options(version, "one"));
    let sent = QOS.map(|qos| starting.client.publish(text(&format!("a/{qos}"), "early", qos)).expect("queued"));
    assert_eq!(starting.client.queued().0, 3);
    assert!(sent.iter().all(|publishing| publishing.packet_id().is_none() && !publishing.is_done()));
    let _one = starting.start();
    for publishing in sent {
        assert!(publishing.wait(PATIENCE).expect("done").is_acknowledged());
    }
    assert_eq!(subscriber.messages(3).len(), 3);
}

pub(crate) fn own_window_is_respected<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let proxy = Proxy::start(server.address());
    let one = peer(options(proxy.address(), version, "one").max_in_flight(3)).traced().connect();
    proxy.hold(Way::ToClient);
    let sent = (0..10).map(|n| one.publish(text("a", &n.to_string(), QoS::ExactlyOnce))).collect::<Vec<_>>();
    assert_eq!((one.client.in_flight(), one.client.queued().0), (3, 7));
    assert!(sent[..3].iter().all(|publishing| publishing.packet_id().is_some()));
    assert!(sent[3..].iter().all(|publishing| publishing.packet_id().is_none()));
    // QoS 0 does not wait for the window.
    assert!(one.say(text("a", "overtakes", QoS::AtMostOnce)).is_acknowledged());
    proxy.release();
    for publishing in &sent {
        assert!(publishing.wait(PATIENCE).expect("done").is_acknowledged());
    }
    eventually("the last is written down", || one.lines("received PUBCOMP").len() == sent.len());
    // At no time were there more than three between their PUBLISH and their PUBCOMP.
    let (mut flying, mut most) = (0, 0);
    for (_, line) in &one.seen.record().lines {
        if line.starts_with("sending PUBLISH q2") {
            flying += 1;
        } else if line.starts_with("received PUBCOMP") {
            flying -= 1;
        }
        most = most.max(flying);
    }
    assert_eq!((flying, most), (0, 3));
}

pub(crate) fn full_queue_refuses_and_says_so<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let starting = peer(server.options(version, "one").queue_limits(QueueLimits::new(2, 100)));
    let publish = |size: usize| starting.client.publish(text("a", &"x".repeat(size), QoS::AtLeastOnce));
    let taken = [publish(10).expect("room"), publish(10).expect("room")];
    let refused = publish(10).expect_err("two are enough");
    assert!(matches!(refused, PublishError::QueueFull { messages: 2, bytes: 22 }), "{refused:?}");
    assert!(refused.to_string().contains("not taken"), "{refused}");
    assert_eq!(starting.client.queued(), (2, 22));
    let one = starting.connect();
    for publishing in taken {
        assert!(publishing.wait(PATIENCE).expect("done").is_acknowledged());
    }
    one.disconnect();
    let publish = |size: usize| one.client.publish(text("a", &"x".repeat(size), QoS::AtLeastOnce));
    assert!(publish(90).is_ok());
    let refused = publish(9).expect_err("101 bytes");
    assert!(matches!(refused, PublishError::QueueFull { messages: 1, bytes: 91 }), "{refused:?}");
    assert!(publish(8).is_ok());
    one.client.drop_messages();
    assert_eq!(one.client.queued(), (0, 0));
    let dropped = |happening: &Happening| match happening {
        Happening::Published(published) if matches!(published.outcome, Outcome::NotSent(_)) => Some(published.id),
        _ => None,
    };
    assert_eq!(one.nth(2, "given up", dropped), None, "never sent, so without an identifier");
}

pub(crate) fn qos_0_written_before_disconnect_is_acknowledged<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let subscriber = peer(server.options(version, "subscriber")).connect();
    let _ = subscriber.subscribe("a", QoS::AtMostOnce);
    let one = peer(server.options(version, "one")).connect();
    let publishing = one.publish(text("a", "last words", QoS::AtMostOnce));
    one.disconnect();
    assert!(publishing.wait(PATIENCE).expect("done").is_acknowledged());
    assert_eq!(subscriber.message(0).text(), "last words");
}
