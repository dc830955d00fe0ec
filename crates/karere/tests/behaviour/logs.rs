//! What the client says about itself, and what it keeps to itself.

use std::sync::{Arc, Mutex};

use karere::{Level, QoS, Version};

use crate::{
    common::{
        eventually,
        peer::{peer, text},
        server::{Server, Setup},
    },
    development::Development,
};

#[test]
fn lines_tell_of_connections_and_packets_but_not_of_payloads_and_secrets() {
    let server = Development::start(Setup { user: Some(("alice", "sesame-password")), ..Setup::default() });
    let options = server.options(Version::V5, "one").credentials("alice", "sesame-password").will(text(
        "will",
        "will-payload",
        QoS::AtMostOnce,
    ));
    let one = peer(options).traced().connect();
    let _ = one.subscribe("a", QoS::ExactlyOnce);
    assert!(one.say(text("a", "secret-payload", QoS::ExactlyOnce)).is_acknowledged());
    let _ = one.message(0);
    one.disconnect();
    let _ = one.line("disconnected from");
    for expected in [
        "connecting to 127.0.0.1",
        "sending CONNECT 5.0 client \"one\"",
        "received CONNACK Success",
        "connected to 127.0.0.1",
        "sending SUBSCRIBE m1 \"a\" q2",
        "received SUBACK m1",
        "sending PUBLISH q2 m2 \"a\" (14 bytes)",
        "received PUBREC m2",
        "sending PUBREL m2",
        "received PUBCOMP m2",
        "received PUBLISH q2 m1 \"a\" (14 bytes)",
        "sending DISCONNECT",
    ] {
        assert_ne!(one.lines(expected), [""; 0], "{expected}");
    }
    for secret in ["sesame-password", "secret-payload", "will-payload"] {
        assert_eq!(one.lines(secret), [""; 0]);
    }
    let client = one.client.clone();
    let debugged = format!("{client:?} {:?}", one.stop().0);
    for secret in ["sesame-password", "secret-payload", "will-payload"] {
        assert!(!debugged.contains(secret), "{debugged}");
    }
}

#[test]
fn closure_gets_lines_of_its_level_and_above_and_may_change_itself() {
    let mut server = Development::start(Setup::default());
    let one = peer(server.options(Version::V5, "one"));
    let lines = Arc::<Mutex<Vec<(Level, String)>>>::default();
    let sink = Arc::clone(&lines);
    let client = one.client.clone();
    let log = move |level, line: &str| {
        sink.lock().expect("whole").push((level, line.to_owned()));
        if level == Level::Warning {
            client.log_to(None);
        }
    };
    one.client.log_to(Some((Level::Info, Arc::new(log))));
    let one = one.connect();
    server.stop();
    let _ = one.disconnected(1);
    eventually("a line about the loss", || lines.lock().expect("whole").len() >= 2);
    let lines = lines.lock().expect("whole").clone();
    let levels = lines.iter().map(|line| line.0).collect::<Vec<_>>();
    assert_eq!(levels, [Level::Info, Level::Warning], "{lines:?}");
    assert!(Level::Debug < Level::Info && Level::Info < Level::Warning && Level::Warning < Level::Error);
    assert_eq!(Level::Warning.to_string(), "WARNING");
}
