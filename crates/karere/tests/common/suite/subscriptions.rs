//! Subscriptions: granted, ended, shared, overlapping; routes; acknowledgements by hand.

use std::sync::{Arc, Mutex};

use karere::{Acknowledge, Filter, QoS, ReasonCode, Subscribe, Subscription, Unsubscribe, Version};

use crate::common::{
    PATIENCE, eventually,
    peer::{Happening, QOS, peer, text},
    server::{Server, Setup},
};

pub(crate) fn one_filter_is_granted_its_qos<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let one = peer(server.options(version, "one")).connect();
    for (number, qos) in QOS.into_iter().enumerate() {
        let subscribing = one.client.subscribe(Subscribe::new("a/+/#", qos).expect("legal")).expect("taken");
        let ack = subscribing.wait(PATIENCE).expect("answered");
        assert_eq!(ack.reasons, [ReasonCode::granted(qos)]);
        assert_eq!(ack.reasons[0].granted_qos(), Some(qos));
        let told = one.nth(number + 1, "the answer", |happening| match happening {
            Happening::Subscribed(subscribed) => Some(subscribed.clone()),
            _ => None,
        });
        assert_eq!((told.token, told.id), (subscribing.token(), subscribing.packet_id()));
        assert_eq!(told.ack, Some(ack));
        assert!(told.id.is_some() && subscribing.is_done());
    }
}

pub(crate) fn several_filters_are_granted_their_own_qos<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let one = peer(server.options(version, "one")).connect();
    let chained = Subscribe::new("a", QoS::ExactlyOnce)
        .and_then(|subscribe| subscribe.and("b/#", QoS::AtMostOnce))
        .and_then(|subscribe| subscribe.and("c/+", QoS::AtLeastOnce))
        .expect("legal");
    let expected = [ReasonCode::GrantedQoS2, ReasonCode::Success, ReasonCode::GrantedQoS1];
    assert_eq!(one.request(chained).reasons, expected);
    let filters = [("d", QoS::AtLeastOnce), ("e", QoS::AtMostOnce)];
    let list = filters.map(|(filter, qos)| Subscription::new(Filter::new(filter).expect("legal"), qos));
    assert_eq!(one.request(Subscribe::many(list)).reasons, [ReasonCode::GrantedQoS1, ReasonCode::Success]);
    for topic in ["a", "b/x/y", "c/x", "d", "e"] {
        assert!(one.say(text(topic, topic, QoS::ExactlyOnce)).is_acknowledged());
    }
    let mut received = one.messages(5).iter().map(|message| (message.topic.clone(), message.qos)).collect::<Vec<_>>();
    received.sort();
    let expected = [
        ("a", QoS::ExactlyOnce),
        ("b/x/y", QoS::AtMostOnce),
        ("c/x", QoS::AtLeastOnce),
        ("d", QoS::AtLeastOnce),
        ("e", QoS::AtMostOnce),
    ];
    assert_eq!(received, expected.map(|(topic, qos)| (topic.to_owned(), qos)));
}

pub(crate) fn unsubscribing_one_and_many<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let one = peer(server.options(version, "one")).connect();
    for filter in ["a", "b", "c", "d"] {
        let _ = one.subscribe(filter, QoS::AtLeastOnce);
    }
    let _ = one.unsubscribe("a");
    let two = Unsubscribe::many(["b", "c"].map(|filter| Filter::new(filter).expect("legal")));
    let unsubscribing = one.client.unsubscribe(two).expect("taken");
    let ack = unsubscribing.wait(PATIENCE).expect("answered");
    let told = one.nth(2, "the answer", |happening| match happening {
        Happening::Unsubscribed(unsubscribed) => Some(unsubscribed.clone()),
        _ => None,
    });
    assert_eq!((told.token, told.id), (unsubscribing.token(), unsubscribing.packet_id()));
    assert_eq!(told.ack, Some(ack));
    for topic in ["a", "b", "c", "d"] {
        assert!(one.say(text(topic, topic, QoS::AtLeastOnce)).is_acknowledged());
    }
    assert_eq!(one.message(0).topic, "d");
}

pub(crate) fn overlapping_filters_all_match<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let one = peer(server.options(version, "one")).connect();
    for (filter, qos) in [("a/#", QoS::AtMostOnce), ("a/+", QoS::ExactlyOnce), ("a/b", QoS::AtLeastOnce)] {
        let _ = one.subscribe(filter, qos);
    }
    let _ = one.subscribe("end", QoS::ExactlyOnce);
    assert!(one.say(text("a/b", "x", QoS::ExactlyOnce)).is_acknowledged());
    assert!(one.say(text("end", "x", QoS::ExactlyOnce)).is_acknowledged());
    let messages = one.seen.wait("the last", |record| {
        record.messages.iter().any(|message| message.topic == "end").then(|| record.messages.clone())
    });
    let copies = messages.iter().filter(|message| message.topic == "a/b").collect::<Vec<_>>();
    // On 3.1 and 3.1.1 mosquitto sends one copy, at the QoS of the filter it finds first.
    assert!([1, 3].contains(&copies.len()), "one copy, or one for each subscription (§3.3.4)");
}

pub(crate) fn system_topics_come_only_when_named<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let one = peer(server.options(version, "one")).connect();
    let all = peer(server.options(version, "all")).connect();
    let _ = all.subscribe("#", QoS::AtLeastOnce);
    let _ = all.subscribe("+/broker/version", QoS::AtLeastOnce);
    server.provide_system_topic();
    let _ = one.subscribe("$SYS/broker/version", QoS::AtMostOnce);
    assert_eq!(one.message(0).topic, "$SYS/broker/version");
    assert!(one.say(text("end", "x", QoS::AtLeastOnce)).is_acknowledged());
    assert_eq!(all.message(0).topic, "end", "wildcards at the front do not match $ [MQTT-4.7.2-1]");
}

pub(crate) fn shared_subscription_gives_each_message_to_one_member<S: Server>(version: Version) {
    const MESSAGES: usize = 40;
    let server = S::start(Setup::default());
    let members = ["m1", "m2"].map(|id| peer(server.options(version, id)).connect());
    for member in &members {
        assert_eq!(member.subscribe("$share/team/jobs/+", QoS::AtLeastOnce).reasons, [ReasonCode::GrantedQoS1]);
    }
    // Matched by the part that messages are sent to.
    let routed = Arc::<Mutex<Vec<String>>>::default();
    let sink = Arc::clone(&routed);
    let route = move |_: &karere::sync::Client, message: &karere::sync::Message| {
        sink.lock().expect("whole").push(message.topic.to_string());
    };
    members[0].client.add_route("$share/team/jobs/+", route).expect("legal");
    let publisher = peer(server.options(version, "publisher")).connect();
    for number in 0..MESSAGES {
        assert!(publisher.say(text(&format!("jobs/{number}"), "x", QoS::AtLeastOnce)).is_acknowledged());
    }
    let both = || {
        let mut all = routed.lock().expect("whole").clone();
        all.extend(members[1].messages(0).into_iter().map(|message| message.topic));
        all
    };
    eventually("all jobs were given out", || both().len() >= MESSAGES);
    let mut jobs = both();
    jobs.sort();
    jobs.dedup();
    assert_eq!((jobs.len(), both().len()), (MESSAGES, MESSAGES));
    assert!(!routed.lock().expect("whole").is_empty() && !members[1].messages(0).is_empty(), "shared between both");
    assert_eq!(members[0].messages(0), []);
}

pub(crate) fn routes_that_match_are_all_called_and_the_general_handler_is_not<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let one = peer(server.options(version, "one")).connect();
    let calls = Arc::<Mutex<Vec<String>>>::default();
    for filter in ["a/#", "a/+", "a/b", "other"] {
        let calls = Arc::clone(&calls);
        one.client
            .add_route(filter, move |_, message| {
                calls.lock().expect("whole").push(format!("{filter} {}", message.topic));
            })
            .expect("legal");
    }
    let _ = one.subscribe("#", QoS::AtLeastOnce);
    let say = |topic: &str| assert!(one.say(text(topic, "x", QoS::AtLeastOnce)).is_acknowledged());
    for topic in ["a/b", "a/b/c", "free"] {
        say(topic);
    }
    assert_eq!(one.message(0).topic, "free", "the general handler gets what no route matches");
    let mut told = core::mem::take(&mut *calls.lock().expect("whole"));
    told.sort();
    assert_eq!(told, ["a/# a/b", "a/# a/b/c", "a/+ a/b", "a/b a/b"]);

    assert!(one.client.remove_route("a/#").expect("legal"));
    assert!(!one.client.remove_route("a/#").expect("legal"), "there is none any more");
    let again = Arc::clone(&calls);
    one.client.add_route("a/+", move |_, _| again.lock().expect("whole").push("replaced".to_owned())).expect("legal");
    say("a/b/c");
    say("a/x");
    say("free");
    assert_eq!(
        one.messages(3).iter().map(|message| message.topic.as_str()).collect::<Vec<_>>(),
        ["free", "a/b/c", "free"]
    );
    assert_eq!(*calls.lock().expect("whole"), ["replaced"]);
}

pub(crate) fn manual_acknowledgements_leave_in_order_of_arrival<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let publisher = peer(server.options(version, "publisher")).connect();
    let options = server.options(version, "one").acknowledge(Acknowledge::Manual);
    let one = peer(options).traced().keeping_deliveries().connect();
    for (qos, answer) in [(QoS::AtLeastOnce, "sending PUBACK"), (QoS::ExactlyOnce, "sending PUBREC")] {
        let _ = one.subscribe("a", qos);
        let before = one.messages(0).len();
        for number in 0..4 {
            assert!(publisher.say(text("a", &number.to_string(), qos)).is_acknowledged());
        }
        let ids = one.messages(before + 4)[before..]
            .iter()
            .map(|message| message.id.expect("an identifier"))
            .collect::<Vec<_>>();
        one.acknowledge(before + 2);
        one.acknowledge(before + 1);
        assert_eq!(one.lines(answer).len(), 0, "the first is still owed");
        one.acknowledge(before);
        eventually("three answers", || one.lines(answer).len() == 3);
        one.acknowledge(before + 3);
        eventually("the last answer", || one.lines(answer).len() == 4);
        let expected = ids.iter().map(|id| format!("{answer} m{id}")).collect::<Vec<_>>();
        assert_eq!(one.lines(answer), expected);
    }
}

pub(crate) fn unacknowledged_message_comes_again<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let publisher = peer(server.options(version, "publisher")).connect();
    let options =
        server.options(version, "one").session_expiry(karere::SessionExpiry::Never).acknowledge(Acknowledge::Manual);
    let one = peer(options).keeping_deliveries().connect();
    let _ = one.subscribe("a", QoS::AtLeastOnce);
    for word in ["first", "second"] {
        assert!(publisher.say(text("a", word, QoS::AtLeastOnce)).is_acknowledged());
    }
    let _ = one.messages(2);
    one.acknowledge(0);
    // Answered, so the server has read what came before; else it might serve the next connection first, and send that again.
    assert!(one.say(text("b", "x", QoS::AtLeastOnce)).is_acknowledged());
    let stale = one.seen.record().deliveries[1].take().expect("kept");
    one.client.reconnect();
    let _ = one.connected(2);
    let again = one.message(2);
    assert_eq!((again.text(), again.duplicate), ("second", true));
    one.client.acknowledge(stale); // of the connection before: void
    one.acknowledge(2);
    assert!(publisher.say(text("a", "third", QoS::AtLeastOnce)).is_acknowledged());
    let third = one.message(3);
    assert_eq!((third.text(), third.duplicate), ("third", false));
}

pub(crate) fn automatic_acknowledgement_follows_the_handler<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let publisher = peer(server.options(version, "publisher")).connect();
    let one = peer(server.options(version, "one")).traced().connect();
    let seen = Arc::clone(&one.seen);
    let answered = Arc::<Mutex<Vec<usize>>>::default();
    let sink = Arc::clone(&answered);
    let route = move |_: &karere::sync::Client, _: &karere::sync::Message| {
        let answers = seen.record().lines.iter().filter(|(_, line)| line.contains("sending PUBACK")).count();
        sink.lock().expect("whole").push(answers);
    };
    one.client.add_route("a", route).expect("legal");
    let _ = one.subscribe("a", QoS::AtLeastOnce);
    for number in 0..3 {
        assert!(publisher.say(text("a", &number.to_string(), QoS::AtLeastOnce)).is_acknowledged());
        eventually("an answer", || one.lines("sending PUBACK").len() == number + 1);
    }
    assert_eq!(*answered.lock().expect("whole"), [0, 1, 2], "never before the handler has returned");
}
