//! Connections that are lost on the way, and a server that is restarted.

use core::time::Duration;

use karere::{Cause, CleanStart, QoS, Reconnect, SessionExpiry, Version};

use crate::{
    common::{
        PATIENCE,
        peer::{Starting, peer, text},
        proxy::{Proxy, Way},
        server::{Server, Setup},
    },
    ejabberd::Ejabberd,
};

const VERSIONS: [Version; 2] = [Version::V311, Version::V5];

/// A client whose session outlives its connections, by way of `proxy`.
fn kept(server: &Ejabberd, proxy: &Proxy, version: Version, id: &str) -> Starting {
    let options = server.options_by(proxy.address(), version, id).session_expiry(SessionExpiry::Never);
    peer(options)
}

#[test]
fn session_is_resumed_and_what_was_not_acknowledged_is_sent_again() {
    let server = Ejabberd::start(Setup::default());
    let proxy = Proxy::start(server.address());
    for version in VERSIONS {
        let topic = format!("a/{version}");
        let subscriber = kept(&server, &proxy, version, &format!("subscriber {version}")).connect();
        let _ = subscriber.subscribe(&topic, QoS::ExactlyOnce);
        let one = kept(&server, &proxy, version, &format!("one {version}")).traced().connect();
        proxy.hold(Way::ToClient);
        let sent = [QoS::AtLeastOnce, QoS::ExactlyOnce].map(|qos| one.publish(text(&topic, "x", qos)));
        std::thread::sleep(Duration::from_millis(300)); // it has arrived; the answers never do
        proxy.cut();
        proxy.release();
        assert!(one.connected(2).session_present && subscriber.connected(2).session_present);
        for publishing in &sent {
            assert!(publishing.wait(PATIENCE).expect("done").is_acknowledged());
        }
        assert_eq!(one.lines(" dup ").len(), 2, "{version}: both were sent again");
        assert!(one.say(text(&topic, "end", QoS::ExactlyOnce)).is_acknowledged());
        let all = subscriber.seen.wait("the end", |record| {
            record.messages.iter().any(|message| message.text() == "end").then(|| record.messages.clone())
        });
        let count = |qos| all.iter().filter(|message| message.qos == qos && message.text() == "x").count();
        assert!(count(QoS::AtLeastOnce) >= 1, "{version}: at least once");
        assert_eq!(count(QoS::ExactlyOnce), 1, "{version}: exactly once");
        one.disconnect();
        subscriber.disconnect();
    }
}

#[test]
fn will_is_published_when_the_connection_is_lost() {
    let server = Ejabberd::start(Setup::default());
    let proxy = Proxy::start(server.address());
    for version in VERSIONS {
        let topic = format!("will/{version}");
        let watcher = peer(server.options(version, "watcher")).connect();
        let _ = watcher.subscribe(&topic, QoS::AtLeastOnce);
        let will = text(&topic, "gone", QoS::AtLeastOnce).retained();
        let options = server.options_by(proxy.address(), version, "lost").will(will).reconnect(Reconnect::Never);
        let lost = peer(options).connect();
        proxy.cut();
        assert!(matches!(lost.disconnected(1), Cause::Transport(_)));
        let message = watcher.message(0);
        assert_eq!((message.text(), message.qos, message.retain), ("gone", QoS::AtLeastOnce, false));
        let late = peer(server.options(version, "late")).connect();
        let _ = late.subscribe(&topic, QoS::AtLeastOnce);
        assert!(late.message(0).retain, "it was to be retained");
    }
}

/// Ejabberd keeps retained messages on disk, and sessions in memory.
#[test]
fn session_lost_with_the_server_is_made_anew() {
    let mut server = Ejabberd::start(Setup::default());
    let options = server.options(Version::V5, "one").session_expiry(SessionExpiry::Never);
    let one = peer(options.clean_start(CleanStart::FirstOnly)).connect();
    let _ = one.subscribe("a", QoS::AtLeastOnce);
    assert!(one.say(text("kept", "x", QoS::AtLeastOnce).retained()).is_acknowledged());
    server.stop();
    let _ = one.disconnected(1);
    let publishing = one.publish(text("a", "waits", QoS::AtLeastOnce));
    server.resume();
    assert!(!one.connected(2).session_present);
    assert!(publishing.wait(PATIENCE).expect("done").is_acknowledged());
    assert_eq!(one.message(0).text(), "waits", "subscribed again by the client itself");
    let _ = one.subscribe("kept", QoS::AtLeastOnce);
    assert!(one.message(1).retain);
}
