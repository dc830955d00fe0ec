//! Packets that are sent before CONNACK, for programs that never wait for it (§3.1.4).

use karere_proto::{
    PropertyId, Value, Version,
    packet::Disconnect,
    session::{ConfigError, FirstPackets, LostSession},
};

use super::kit::*;

fn early(version: Version) -> Talk {
    Talk::new(early_config(version))
}

fn early_config(version: Version) -> karere_proto::session::Config {
    let mut config = config(version);
    config.first_packets = FirstPackets::WithConnect;
    config
}

fn a_program_may_connect_publish_and_disconnect_without_reading(version: Version) {
    let mut talk = early(version);
    talk.opens();
    talk.publishes("a", Q0);
    talk.publishes("b", Q1);
    talk.subscribes("x");
    talk.disconnects(Disconnect::NORMAL);
    talk.client_says(["PUBLISH q0 a", "PUBLISH q1 1 b", "SUBSCRIBE 2 x", "DISCONNECT"]);
}

fn by_default_everything_waits_for_connack(version: Version) {
    let mut talk = Talk::new(config(version));
    talk.opens();
    talk.publishes("a", Q0);
    talk.publishes("b", Q1);
    talk.subscribes("x");
    talk.client_says([]);
    talk.server_says("CONNACK");
    talk.client_says(["SUBSCRIBE 1 x", "PUBLISH q1 2 b", "PUBLISH q0 a"]);
}

fn what_was_sent_early_is_not_sent_again_and_counts(version: Version) {
    for lost in [LostSession::Republish, LostSession::Continue] {
        let mut config = early_config(version);
        config.max_in_flight = at_most(2);
        config.lost_session = lost;
        let mut talk = Talk::new(config);
        talk.opens();
        talk.publishes("a", Q1);
        talk.publishes("b", Q2);
        talk.publishes("c", Q1);
        talk.subscribes("x");
        talk.client_says(["PUBLISH q1 1 a", "PUBLISH q2 2 b", "SUBSCRIBE 3 x"]);
        talk.server_says("CONNACK");
        talk.client_says([]);
        talk.server_says("PUBACK 1");
        talk.client_says(["PUBLISH q1 4 c"]);
        talk.server_says("PUBREC 2");
        talk.server_says("PUBCOMP 2");
        talk.server_says("SUBACK 3 0x00");
        talk.server_says("PUBACK 4");
        talk.told(["connected", "a 1 acknowledged", "b 2 acknowledged", "x 3 subscribed 0x00", "c 4 acknowledged"]);
    }
}

fn what_an_earlier_connection_left_goes_first(version: Version) {
    let mut talk = early(version);
    talk.opens();
    talk.publishes("a", Q1);
    talk.server_says("CONNACK");
    talk.sent();
    talk.drops_connection();
    talk.opens();
    talk.publishes("b", Q1);
    talk.publishes("c", Q0);
    talk.client_says([]);
    talk.server_says("CONNACK present");
    talk.client_says(["PUBLISH q1 1 dup a", "PUBLISH q1 2 b", "PUBLISH q0 c"]);
}

fn what_waited_before_the_connection_waits_for_connack_in_order(version: Version) {
    let mut talk = early(version);
    talk.publishes("a", Q1);
    talk.opens();
    talk.publishes("b", Q1);
    talk.client_says([]);
    talk.server_says("CONNACK");
    talk.client_says(["PUBLISH q1 1 a", "PUBLISH q1 2 b"]);
}

fn a_refused_connection_keeps_what_was_sent_early(version: Version) {
    let mut talk = early(version);
    talk.opens();
    talk.publishes("a", Q1);
    talk.client_says(["PUBLISH q1 1 a"]);
    talk.server_says("CONNACK 0x87");
    talk.close();
    talk.opens();
    talk.server_says("CONNACK");
    talk.client_says([if version == Version::V31 { "PUBLISH q1 1 dup a" } else { "PUBLISH q1 2 a" }]);
}

#[test]
fn a_smaller_receive_maximum_holds_from_connack_on() {
    let mut talk = early(Version::V5);
    talk.opens();
    for name in ["a", "b", "c"] {
        talk.publishes(name, Q1);
    }
    talk.sent();
    talk.server_sends(&connack([(PropertyId::ReceiveMaximum, Value::U16(2))]));
    talk.publishes("d", Q1);
    talk.client_says([]);
    talk.server_says("PUBACK 1");
    talk.server_says("PUBACK 2");
    talk.client_says(["PUBLISH q1 4 d"]);
}

fn a_journal_forbids_it(version: Version) {
    let mut config = journaled(version);
    config.first_packets = FirstPackets::WithConnect;
    assert_eq!(config.check(), Err(ConfigError::FirstPacketsWithJournal));
}

#[test]
fn another_configured_client_identifier_replaces_an_assigned_one() {
    let mut anonymous = config(Version::V5);
    anonymous.connect.client_id = text("");
    let mut talk = Talk::connected_to(anonymous.clone(), [(PropertyId::AssignedClientIdentifier, Value::Str("given"))]);
    talk.drops_connection();
    talk.session.reconfigure(anonymous.clone()).unwrap();
    assert_eq!(talk.opens().client_id.as_str(), "given", "nothing has changed");
    talk.drops_connection();
    let mut named = anonymous;
    named.connect.client_id = text("mine");
    talk.session.reconfigure(named).unwrap();
    assert_eq!(talk.opens().client_id.as_str(), "mine");
}

every_version! {
    a_journal_forbids_it,
    a_program_may_connect_publish_and_disconnect_without_reading,
    a_refused_connection_keeps_what_was_sent_early,
    by_default_everything_waits_for_connack,
    what_was_sent_early_is_not_sent_again_and_counts,
    what_waited_before_the_connection_waits_for_connack_in_order,
}

since_311! {
    what_an_earlier_connection_left_goes_first,
}
