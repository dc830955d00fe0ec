//! A 5.0 session with every property set both ways, against mosquitto, and against the development broker beside it.

use core::{fmt::Write as _, num::NonZeroU16};
use std::process::{Child, Command, Stdio};

use karere::{Cause, Outcome, Properties, QoS, ReasonCode, Reconnect, Version, session::CloseCause};
use karere_broker::Config;

use crate::{
    common::{
        PATIENCE,
        peer::{peer, text},
        server::{Server, Setup},
    },
    development::Development,
    every_property::{self, Answers},
    mosquitto::Mosquitto,
    tap::Tap,
};

const MOSQUITTO: Answers = Answers {
    connack: |ack| {
        let said = &ack.properties;
        assert_eq!((said.receive_maximum(), said.topic_alias_maximum()), (Some(20), Some(10)));
        assert_eq!(said.iter().count(), 2, "{said:?}: what CONNACK leaves out is as CONNECT asked, or allowed");
    },
    adds_user_properties: |_| false,
    not_subscribed: ReasonCode::NoSubscriptionExisted,
    nobody_at_qos_1: ReasonCode::NoMatchingSubscribers,
};

const DEVELOPMENT: Answers = Answers {
    connack: |ack| {
        let said = &ack.properties;
        assert_eq!((said.receive_maximum(), said.topic_alias_maximum()), (Some(30), Some(10)));
        assert_eq!(said.response_information(), Some("answers/"));
        assert_eq!(said.iter().count(), 3, "{said:?}");
    },
    ..MOSQUITTO
};

fn mosquitto() -> Mosquitto {
    Mosquitto::start(Setup::default())
}

/// It gives Response Information and uses the client's topic aliases, which mosquitto does not.
fn development() -> Development {
    let receive_maximum = NonZeroU16::new(30).expect("not 0");
    let config = Config::new().response_information("answers/").outbound_topic_aliases(9);
    Development::of(config.receive_maximum(receive_maximum))
}

#[test]
fn v5_session_with_every_property_set_passes_both_ways() {
    every_property::passes_both_ways(&mosquitto(), &MOSQUITTO);
}

#[test]
fn v5_session_with_every_property_set_passes_both_ways_by_the_development_broker() {
    every_property::passes_both_ways(&development(), &DEVELOPMENT);
}

#[test]
fn delayed_will_waits_for_its_client() {
    every_property::delayed_will_waits_for_its_client(&mosquitto(), &MOSQUITTO);
}

#[test]
fn delayed_will_waits_for_its_client_by_the_development_broker() {
    every_property::delayed_will_waits_for_its_client(&development(), &DEVELOPMENT);
}

#[test]
fn client_that_is_taken_over_by_another_is_told_so_if_the_server_has_a_word_for_it() {
    let cause = every_property::cause_of_takeover(&development());
    assert!(matches!(cause, Cause::Server(_)), "{cause}");
    assert_eq!(cause.reason(), Some(ReasonCode::SessionTakenOver));
    // Mosquitto 2.0.11 closes without DISCONNECT.
    let cause = every_property::cause_of_takeover(&mosquitto());
    match cause.reason() {
        None => assert_eq!(cause, Cause::Transport(CloseCause::Closed)),
        Some(reason) => assert_eq!(reason, ReasonCode::SessionTakenOver),
    }
}

#[test]
fn servers_disconnect_is_told_with_its_reason() {
    let server = mosquitto();
    let tap = Tap::start(server.address());
    let starting = peer(server.options(Version::V5, "one").reconnect(Reconnect::Never));
    starting.client.set_endpoint(tap.endpoint());
    let one = starting.connect();
    tap.say(b"\x30\x05\x00\x02a#\x00"); // PUBLISH to a wildcard, which the client itself would never send
    let cause = one.disconnected(1);
    assert!(matches!(cause, Cause::Server(_)), "{cause}");
    assert_eq!(cause.reason(), Some(ReasonCode::ProtocolError));
}

/// PUBREC says it, and PUBCOMP has no word for it.
#[test]
fn reason_in_pubrec_is_told() {
    let server = development();
    let one = peer(server.options(Version::V5, "one")).traced().connect();
    let outcome = one.say(text("nobody/listens", "x", QoS::ExactlyOnce));
    let line = one.line("received PUBREC");
    assert!(line.contains(ReasonCode::NoMatchingSubscribers.name()), "{line}");
    let reason = if let Outcome::Acknowledged { reason, .. } = outcome { Some(reason) } else { None };
    assert_eq!(reason, Some(ReasonCode::NoMatchingSubscribers));
}

/// Programs of mosquitto's own, with a codec that is not ours.
fn program(variable: &str, server: &Mosquitto) -> Command {
    let program = std::env::var_os(variable).unwrap_or_else(|| {
        panic!("set {variable} to its path, or run `cargo xtask test --only interop`, which finds it")
    });
    let mut command = Command::new(program);
    let port = server.address().port().to_string();
    command.args(["-V", "5", "-h", "127.0.0.1", "-p", &port, "-q", "2"]).stdin(Stdio::null()).stderr(Stdio::inherit());
    command
}

fn said(child: Child) -> String {
    let output = child.wait_with_output().expect("ours");
    assert!(output.status.success(), "{}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn another_client_reads_the_same_properties() {
    let server = mosquitto();
    let one = peer(server.options(Version::V5, "one")).connect();
    // It comes as retained message, so that nothing depends on who is there first.
    assert!(one.say(every_property::message("seen/by/others", "all of it").retained()).is_acknowledged());
    let format = "%t|%p|%q|%r|%F|%C|%R|%D|%P";
    let patience = PATIENCE.as_secs().to_string();
    let mut sub = program("KARERE_MOSQUITTO_SUB", &server);
    sub.args(["-t", "seen/by/others", "-C", "1", "-W", &patience, "-F", format]).stdout(Stdio::piped());
    let line = said(sub.spawn().expect("mosquitto_sub can be started"));
    let correlation = "\0\u{fffd}\u{7}\0";
    let user = "name:value : name:another a name:before the others by the alphabet";
    assert_eq!(
        line,
        format!("seen/by/others|all of it|1|1|1|text/plain; charset=utf-8, ünï ✓|answers/here|{correlation}|{user}\n")
    );
}

#[test]
fn properties_of_another_client_arrive() {
    let server = mosquitto();
    let one = peer(server.options(Version::V5, "one")).connect();
    let _ = one.subscribe("from/others", QoS::ExactlyOnce);
    let mut publisher = program("KARERE_MOSQUITTO_PUB", &server);
    publisher.args(["-t", "from/others", "-m", "all of it ✓"]);
    for property in [
        &["payload-format-indicator", "1"][..],
        &["message-expiry-interval", "90"],
        &["content-type", "text/plain; ünï"],
        &["response-topic", "answers/here"],
        &["correlation-data", "which request"],
        &["user-property", "name", "value"],
        &["user-property", "", ""],
        &["user-property", "name", "another"],
    ] {
        publisher.args(["-D", "publish"]).args(property);
    }
    let _ = said(publisher.stdout(Stdio::null()).spawn().expect("mosquitto_pub can be started"));
    let message = one.message(0);
    assert_eq!((message.text(), message.qos), ("all of it ✓", QoS::ExactlyOnce));
    assert_eq!(
        described(&message.properties),
        "payload is text, 90 s or less, text/plain; ünï, answers/here, which request, name=value, =, name=another"
    );
}

fn described(properties: &Properties) -> String {
    let mut text = String::new();
    if properties.payload_is_text() == Some(true) {
        text.push_str("payload is text");
    }
    if properties.message_expiry().is_some_and(|left| (80..=90).contains(&left.as_secs())) {
        text.push_str(", 90 s or less");
    }
    for value in [properties.content_type(), properties.response_topic()].into_iter().flatten() {
        write!(text, ", {value}").expect("a string");
    }
    let correlation = properties.correlation_data().map(String::from_utf8_lossy);
    write!(text, ", {}", correlation.unwrap_or_default()).expect("a string");
    for (name, value) in properties.user() {
        write!(text, ", {name}={value}").expect("a string");
    }
    text
}
