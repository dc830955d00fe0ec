//! Sessions that outlive connections; wills; reconnecting; starting over.

use core::time::Duration;
use std::time::Instant;

use karere::{Cause, CleanStart, Options, Publish, QoS, SessionExpiry, Subscribe, Version};

use crate::common::{
    PATIENCE, eventually,
    peer::{Happening, QOS, peer, text},
    proxy::{Proxy, Way},
    server::{Server, Setup, options},
};

/// Mosquitto 2.0.11 does not save a session that began with Clean Start, so this one never does.
fn kept(options: Options) -> Options {
    options.session_expiry(SessionExpiry::Never).clean_start(CleanStart::Never)
}

pub(crate) fn messages_wait_for_a_session_that_is_away<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let publisher = peer(server.options(version, "publisher")).connect();
    let away = peer(kept(server.options(version, "away"))).connect();
    let _ = away.subscribe("a", QoS::ExactlyOnce);
    away.disconnect();
    for number in 0..20 {
        let qos = if number % 2 == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
        assert!(publisher.say(text("a", &number.to_string(), qos)).is_acknowledged());
    }
    away.client.connect();
    let ack = away.connected(2);
    assert_eq!(ack.session_present, version != Version::V31, "3.1 cannot tell");
    let received = away.messages(20);
    assert_eq!(
        received.iter().map(|message| message.text().parse::<usize>().expect("a number")).collect::<Vec<_>>(),
        (0..20).collect::<Vec<_>>()
    );
    away.client.disconnect_when_drained(PATIENCE).expect("taken"); // acknowledgements included
    assert_eq!(away.disconnected(2), Cause::Requested);
    assert!(publisher.say(text("a", "later", QoS::AtLeastOnce)).is_acknowledged());
    drop(away.stop());

    // Another process with the same identifier takes the session over, if it vouches for it.
    let adopting = kept(server.options(version, "away")).clean_start(CleanStart::Adopt);
    let heir = peer(adopting).connect();
    assert_eq!(heir.message(0).text(), "later");
}

pub(crate) fn session_that_ends_with_its_connection_keeps_nothing<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let one = peer(server.options(version, "one")).connect();
    let _ = one.subscribe("a", QoS::AtLeastOnce);
    one.disconnect();
    let publisher = peer(server.options(version, "publisher")).connect();
    assert!(publisher.say(text("a", "missed", QoS::AtLeastOnce)).is_acknowledged());
    drop(one.stop());
    let again = peer(server.options(version, "one")).connect();
    assert!(!again.connected(1).session_present);
    let _ = again.subscribe("end", QoS::AtLeastOnce);
    assert!(publisher.say(text("a", "missed", QoS::AtLeastOnce)).is_acknowledged());
    assert!(publisher.say(text("end", "x", QoS::AtLeastOnce)).is_acknowledged());
    assert_eq!(again.message(0).topic, "end");
}

fn will(options: Options) -> Options {
    options.will(text("will", "gone", QoS::AtLeastOnce).retained())
}

pub(crate) fn will_is_published_when_the_connection_is_lost<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let proxy = Proxy::start(server.address());
    let watcher = peer(server.options(version, "watcher")).connect();
    let _ = watcher.subscribe("will", QoS::AtLeastOnce);
    let lost = peer(will(options(proxy.address(), version, "lost"))).connect();
    proxy.cut();
    assert!(matches!(lost.disconnected(1), Cause::Transport(_)));
    let message = watcher.message(0);
    assert_eq!((message.text(), message.qos), ("gone", QoS::AtLeastOnce));

    // A process that just drops everything is lost, too.
    let dropped = peer(will(server.options(version, "dropped"))).connect();
    drop(dropped.stop());
    assert_eq!(watcher.message(1).text(), "gone");
    let late = peer(server.options(version, "late")).connect();
    let _ = late.subscribe("will", QoS::AtLeastOnce);
    assert!(late.message(0).retain, "it was to be retained");
}

pub(crate) fn will_is_not_published_after_disconnect<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let watcher = peer(server.options(version, "watcher")).connect();
    let _ = watcher.subscribe("will", QoS::AtLeastOnce);
    let polite = peer(will(server.options(version, "polite"))).connect();
    polite.disconnect();
    drop(polite.stop());
    assert!(watcher.say(text("will", "marker", QoS::AtLeastOnce)).is_acknowledged());
    assert_eq!(watcher.message(0).text(), "marker");
}

pub(crate) fn will_can_be_set_and_cleared_for_the_next_connection<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let proxy = Proxy::start(server.address());
    let watcher = peer(server.options(version, "watcher")).connect();
    let _ = watcher.subscribe("will", QoS::AtLeastOnce);
    let one = peer(will(options(proxy.address(), version, "one"))).connect();
    one.client.set_will(Some(text("will", "changed", QoS::AtLeastOnce))).expect("legal");
    proxy.cut();
    assert_eq!(watcher.message(0).text(), "gone", "of the connection that was lost");
    let _ = one.connected(2);
    one.client.set_will(None).expect("legal");
    proxy.cut();
    assert_eq!(watcher.message(1).text(), "changed");
    let _ = one.connected(3);
    proxy.cut();
    let _ = one.connected(4);
    assert!(watcher.say(text("will", "marker", QoS::AtLeastOnce)).is_acknowledged());
    assert_eq!(watcher.message(2).text(), "marker", "it was taken back");
}

pub(crate) fn reconnects_when_the_server_is_back<S: Server>(version: Version) {
    let mut server = S::start(Setup::default());
    let one = peer(kept(server.options(version, "one"))).traced().connect();
    let _ = one.subscribe("a", QoS::AtLeastOnce);
    server.stop();
    let _ = one.disconnected(1);
    let failed = |happening: &Happening| match happening {
        Happening::ConnectFailed(why) => Some(why.clone()),
        _ => None,
    };
    let why = one.nth(2, "failed attempts", failed);
    assert!(why.contains("refused"), "{why}");
    let _ = one.line("next attempt in");
    let publishing = one.publish(text("a", "kept", QoS::AtLeastOnce));
    assert!(!publishing.is_done());
    server.resume();
    let ack = one.connected(2);
    assert_eq!(ack.session_present, version != Version::V31);
    assert!(publishing.wait(PATIENCE).expect("done").is_acknowledged());
    assert_eq!(one.message(0).text(), "kept");
    assert_eq!(one.count(|happening| matches!(happening, Happening::Disconnected(_))), 1, "told once for each loss");
    let attempts = one.count(|happening| matches!(happening, Happening::Attempt));
    let failures = one.count(|happening| matches!(happening, Happening::ConnectFailed(_)));
    assert_eq!(attempts, failures + 2);
}

pub(crate) fn unacknowledged_publish_is_sent_again_with_dup<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let proxy = Proxy::start(server.address());
    let subscriber = peer(server.options(version, "subscriber")).connect();
    let _ = subscriber.subscribe("a", QoS::ExactlyOnce);
    let one = peer(kept(options(proxy.address(), version, "one"))).traced().connect();
    proxy.hold(Way::ToClient);
    let sent = [QoS::AtLeastOnce, QoS::ExactlyOnce].map(|qos| one.publish(text("a", "x", qos)));
    let ids = sent.each_ref().map(|publishing| publishing.packet_id().expect("sent"));
    let _ = subscriber.messages(1); // QoS 1 has arrived; its PUBACK never comes
    proxy.cut();
    proxy.release();
    for publishing in &sent {
        assert!(publishing.wait(PATIENCE).expect("done").is_acknowledged());
    }
    for (qos, id) in [(1, ids[0]), (2, ids[1])] {
        let first = format!("sending PUBLISH q{qos} m{id} \"a\"");
        let again = format!("sending PUBLISH q{qos} m{id} dup \"a\"");
        assert_eq!((one.lines(&first).len(), one.lines(&again).len()), (1, 1), "QoS {qos}");
    }
    assert!(subscriber.say(text("a", "end", QoS::ExactlyOnce)).is_acknowledged());
    let all = subscriber.seen.wait("the end", |record| {
        record.messages.iter().any(|message| message.text() == "end").then(|| record.messages.clone())
    });
    let count = |qos| all.iter().filter(|message| message.qos == qos && message.text() == "x").count();
    assert_eq!((count(QoS::AtLeastOnce), count(QoS::ExactlyOnce)), (2, 1), "at least once; exactly once");
}

pub(crate) fn unanswered_requests_are_asked_again<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let proxy = Proxy::start(server.address());
    let one = peer(options(proxy.address(), version, "one")).connect();
    proxy.hold(Way::ToServer);
    let subscribing = one.client.subscribe(Subscribe::new("a", QoS::AtLeastOnce).expect("legal")).expect("taken");
    let sent = one.say(text("b", "flushed", QoS::AtMostOnce)); // what was asked before is written
    assert!(sent.is_acknowledged());
    proxy.cut();
    proxy.release();
    let ack = subscribing.wait(PATIENCE).expect("answered on the next connection");
    assert_eq!(ack.reasons[0].granted_qos(), Some(QoS::AtLeastOnce));
    assert!(one.say(text("a", "x", QoS::AtLeastOnce)).is_acknowledged());
    assert_eq!(one.message(0).text(), "x");

    // Who disconnects has no answer to wait for.
    proxy.hold(Way::ToClient);
    let given_up = one.client.subscribe(Subscribe::new("c", QoS::AtLeastOnce).expect("legal")).expect("taken");
    let began = Instant::now();
    one.disconnect();
    assert_eq!(given_up.wait(PATIENCE), Err(karere::sync::WaitError::GivenUp));
    assert!(began.elapsed() < Duration::from_secs(5));
    let told = |happening: &Happening| match happening {
        Happening::Subscribed(subscribed) if subscribed.ack.is_none() => Some(subscribed.token),
        _ => None,
    };
    assert_eq!(one.nth(1, "the end of the request", told), given_up.token());
    proxy.release();
}

pub(crate) fn reinitialised_client_starts_over<S: Server>(version: Version) {
    let server = S::start(Setup::default());
    let one = peer(kept(server.options(version, "one"))).connect();
    let _ = one.subscribe("a", QoS::AtLeastOnce);
    let client = one.client.clone();
    one.disconnect();
    let waiting = QOS.map(|qos| client.publish(text("a", "old", qos)).expect("queued"));
    let (mut driver, mut recorder) = one.stop();

    let other = server.options(version, "other");
    assert!(driver.reinitialise(Some(other.clone().max_in_flight(0)), &mut recorder).is_err());
    assert_eq!(client.queued().0, 3, "wrong options change nothing");
    driver.reinitialise(Some(other), &mut recorder).expect("legal options");
    for (publishing, qos) in waiting.iter().zip(QOS) {
        let outcome = publishing.wait(Duration::from_secs(1)).expect("told");
        assert!(!outcome.is_acknowledged(), "QoS {qos}: {outcome}");
    }
    assert_eq!((client.queued().0, client.client_id().as_str()), (0, "other"));

    let background = driver.spawn(recorder).expect("a thread");
    eventually("the new client is connected", || client.is_connected());
    let publishing = client.publish(Publish::new("a", "new").expect("legal").qos(QoS::AtLeastOnce)).expect("taken");
    assert!(publishing.wait(PATIENCE).expect("done").is_acknowledged());
    assert!(!waiting[0].outcome().expect("told before").is_acknowledged(), "what was told stays told");
    client.disconnect().expect("may be said");
    drop(background);
}
