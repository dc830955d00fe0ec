//! Leaving for a better server: nothing new is begun, what was begun is ended, and the session goes along.

use std::time::Instant;

use karere_proto::{
    Packet, PropertyId, ReasonCode, Value, Version,
    packet::{Disconnect, Publish},
    session::{Cause, CloseCause, Config, PublishError, QueueLimits, SessionExpiry},
};

use super::kit::*;

/// The client wants to leave within a minute.
fn wants_to_leave(talk: &mut Talk) -> Instant {
    let deadline = talk.now + SECOND * 60;
    talk.session.leave_when_quiet(talk.now, deadline);
    talk.listen();
    deadline
}

#[track_caller]
fn leaves(talk: &mut Talk) {
    talk.client_says(["DISCONNECT"]);
    assert_eq!(talk.close(), Cause::Moving);
}

#[track_caller]
fn stays(talk: &mut Talk) {
    talk.client_says([]);
    assert!(talk.session.close_request().is_none() && talk.session.is_connected());
}

fn quiet_connection_ends_at_once(version: Version) {
    let mut talk = Talk::connected(version);
    talk.session.leave_when_quiet(talk.now, talk.now + SECOND);
    talk.client_says(["DISCONNECT"]);
    let cause = talk.close();
    assert_eq!(cause, Cause::Moving);
    assert_eq!(cause.to_string(), "the connection was ended to move to a preferred server");
    assert_eq!(cause.reason(), None);
    talk.told([]);
}

fn messages_in_flight_are_ended_first(version: Version) {
    let mut talk = Talk::connected(version);
    talk.publishes("one", Q1);
    talk.publishes("two", Q2);
    talk.client_says(["PUBLISH q1 1 one", "PUBLISH q2 2 two"]);
    wants_to_leave(&mut talk);
    stays(&mut talk);
    talk.server_says("PUBACK 1");
    stays(&mut talk);
    talk.server_says("PUBREC 2");
    talk.client_says(["PUBREL 2"]);
    stays(&mut talk);
    talk.server_says("PUBCOMP 2");
    leaves(&mut talk);
    talk.told(["one 1 acknowledged", "two 2 acknowledged"]);
}

fn requests_are_answered_first(version: Version) {
    let mut talk = Talk::connected(version);
    talk.subscribes("a");
    talk.unsubscribes("b");
    talk.client_says(["SUBSCRIBE 1 a", "UNSUBSCRIBE 2 b"]);
    wants_to_leave(&mut talk);
    stays(&mut talk);
    talk.server_says("SUBACK 1 0x00");
    stays(&mut talk);
    talk.server_says(if version == Version::V5 { "UNSUBACK 2 0x00" } else { "UNSUBACK 2" });
    leaves(&mut talk);
}

fn received_messages_are_answered_first(version: Version) {
    let mut talk = Talk::connected(version);
    talk.server_says("PUBLISH q1 5 one");
    talk.server_says("PUBLISH q2 6 two");
    wants_to_leave(&mut talk);
    stays(&mut talk);
    talk.acknowledges("one");
    talk.client_says(["PUBACK 5"]);
    stays(&mut talk);
    talk.acknowledges("two");
    talk.client_says(["PUBREC 6"]);
    stays(&mut talk);
    talk.server_says("PUBREL 6");
    talk.client_says(["PUBCOMP 6", "DISCONNECT"]);
    assert_eq!(talk.close(), Cause::Moving);
}

fn nothing_new_is_begun_and_what_waits_goes_along(version: Version) {
    let mut talk = Talk::connected(version);
    talk.publishes("old", Q1);
    talk.sent();
    wants_to_leave(&mut talk);
    talk.publishes("new", Q1);
    talk.publishes("exact", Q2);
    talk.subscribes("a");
    talk.unsubscribes("b");
    stays(&mut talk);
    assert_eq!((talk.session.queued().0, talk.session.in_flight()), (2, 1));
    talk.server_says("PUBACK 1");
    leaves(&mut talk);
    talk.told(["old 1 acknowledged"]);
    talk.opens();
    talk.server_says("CONNACK present");
    talk.client_says(["SUBSCRIBE 2 a", "UNSUBSCRIBE 3 b", "PUBLISH q1 4 new", "PUBLISH q2 5 exact"]);
}

fn qos_0_pings_and_answers_go_on(version: Version) {
    let mut talk = Talk::connected(version);
    talk.publishes("held", Q1);
    talk.sent();
    let deadline = talk.now + SECOND * 600;
    talk.session.leave_when_quiet(talk.now, deadline);
    talk.publishes("now", Q0);
    talk.client_says(["PUBLISH q0 now"]);
    talk.server_says("PUBLISH q1 9 in");
    talk.acknowledges("in");
    talk.client_says(["PUBACK 9"]);
    talk.passes(SECOND * 60);
    talk.client_says(["PINGREQ"]);
    talk.server_says("PINGRESP");
    stays(&mut talk);
}

fn messages_of_an_earlier_connection_are_sent_again_before_it_leaves(version: Version) {
    let mut config = config(version);
    config.max_in_flight = at_most(2);
    let mut talk = Talk::connected_with(config);
    for name in ["a", "b"] {
        talk.publishes(name, Q1);
    }
    talk.sent();
    talk.drops_connection();
    talk.reconfigures(|config| config.max_in_flight = at_most(1)).unwrap();
    talk.opens();
    talk.server_says("CONNACK present");
    wants_to_leave(&mut talk);
    talk.publishes("c", Q1);
    talk.client_says(["PUBLISH q1 1 dup a"]);
    talk.server_says("PUBACK 1");
    talk.client_says(["PUBLISH q1 2 dup b"]);
    talk.server_says("PUBACK 2");
    leaves(&mut talk);
    assert_eq!(talk.session.queued().0, 1);
}

fn what_has_arrived_is_told_before_it_leaves(version: Version) {
    let mut talk = Talk::connected(version);
    let mut bytes = bytes::BytesMut::new();
    for _ in 0..2 {
        bytes.extend_from_slice(&if version == Version::V5 {
            [0x30, 5, 0, 1, b'a', 0, b'a']
        } else {
            [0x30, 5, 0, 1, b'a', b'a', b'a']
        });
    }
    bytes.extend_from_slice(&[0x30, 5]); // a third one has begun, and perhaps there is always one
    talk.session.handle_bytes(talk.now, &mut bytes);
    talk.session.leave_when_quiet(talk.now, talk.now + SECOND);
    assert!(talk.session.close_request().is_none());
    talk.listen();
    assert_eq!(talk.tidings(), ["message q0 a", "message q0 a"]);
    leaves(&mut talk);
}

fn when_the_deadline_passes_it_stays_and_goes_on(version: Version) {
    let mut talk = Talk::connected(version);
    talk.publishes("old", Q1);
    talk.sent();
    let deadline = talk.now + SECOND * 5;
    talk.session.leave_when_quiet(talk.now, deadline);
    assert_eq!(talk.session.poll_timeout(), Some(deadline));
    talk.publishes("new", Q1);
    talk.subscribes("a");
    talk.passes(SECOND * 5 - SECOND / 1000);
    stays(&mut talk);
    talk.passes(SECOND / 1000);
    talk.client_says(["SUBSCRIBE 2 a", "PUBLISH q1 3 new"]);
    talk.server_says("PUBACK 1");
    talk.server_says("SUBACK 2 0x00");
    talk.server_says("PUBACK 3");
    stays(&mut talk);
    assert_ne!(talk.session.poll_timeout(), Some(deadline));
}

fn asked_again_it_has_until_the_new_deadline(version: Version) {
    let mut talk = Talk::connected(version);
    talk.publishes("old", Q1);
    talk.sent();
    talk.session.leave_when_quiet(talk.now, talk.now + SECOND);
    talk.session.leave_when_quiet(talk.now, talk.now + SECOND * 9);
    talk.passes(SECOND * 5);
    talk.publishes("new", Q1);
    stays(&mut talk);
    talk.server_says("PUBACK 1");
    leaves(&mut talk);
}

fn only_an_accepted_connection_is_left(version: Version) {
    let mut talk = Talk::new(config(version));
    wants_to_leave(&mut talk);
    assert_eq!(talk.session.poll_timeout(), None);
    talk.opens();
    wants_to_leave(&mut talk);
    talk.server_says("CONNACK");
    talk.told(["connected"]);
    talk.publishes("a", Q1);
    talk.client_says(["PUBLISH q1 1 a"]);
    talk.server_says("PUBACK 1");
    stays(&mut talk);
}

fn next_connection_knows_nothing_of_it(version: Version) {
    let mut talk = Talk::connected(version);
    talk.publishes("old", Q1);
    talk.sent();
    wants_to_leave(&mut talk);
    talk.publishes("new", Q1);
    talk.drops_connection();
    assert_eq!(talk.session.poll_timeout(), None);
    talk.opens();
    talk.server_says("CONNACK present");
    talk.client_says(["PUBLISH q1 1 dup old", "PUBLISH q1 2 new"]);
    talk.server_says("PUBACK 1");
    talk.server_says("PUBACK 2");
    stays(&mut talk);
    // Nor when the old transport was never told to have ended.
    talk.publishes("held", Q1);
    talk.sent();
    wants_to_leave(&mut talk);
    talk.opens();
    talk.server_says("CONNACK present");
    talk.publishes("b", Q1);
    talk.client_says(["PUBLISH q1 3 dup held", "PUBLISH q1 4 b"]);
}

fn connection_that_has_ended_was_not_left(version: Version) {
    let mut talk = Talk::connected(version);
    talk.publishes("a", Q1);
    talk.sent();
    wants_to_leave(&mut talk);
    let mut ack = bytes::BytesMut::from(&[0x40, 2, 0, 1][..]);
    talk.session.handle_bytes(talk.now, &mut ack);
    talk.session.handle_closed(CloseCause::Closed);
    talk.told(["a 1 acknowledged", "disconnected: the server closed the connection"]);
}

fn disconnecting_wins(version: Version) {
    let mut talk = Talk::connected(version);
    talk.publishes("a", Q1);
    talk.sent();
    wants_to_leave(&mut talk);
    talk.disconnects(Disconnect::NORMAL);
    talk.client_says(["DISCONNECT"]);
    assert_eq!(talk.close(), Cause::Requested);
}

fn disconnecting_wins_while_it_leaves(version: Version) {
    let mut talk = Talk::connected(version);
    wants_to_leave(&mut talk);
    talk.client_says(["DISCONNECT"]);
    talk.disconnects(Disconnect::NORMAL);
    talk.client_says([]);
    assert_eq!(talk.close(), Cause::Requested);
}

fn draining_wins(version: Version) {
    for drain_first in [true, false] {
        let mut config = config(version);
        config.max_in_flight = at_most(2);
        let mut talk = Talk::connected_with(config);
        talk.publishes("old", Q1);
        talk.sent();
        let (earlier, later) = (talk.now + SECOND * 10, talk.now + SECOND * 30);
        if !drain_first {
            talk.session.leave_when_quiet(talk.now, earlier);
        }
        for name in ["new", "newer"] {
            talk.publishes(name, Q1);
        }
        talk.session.disconnect_when_drained(Disconnect::NORMAL, later).unwrap();
        if drain_first {
            talk.session.leave_when_quiet(talk.now, earlier);
        }
        assert_eq!(talk.session.poll_timeout(), Some(later));
        talk.client_says(["PUBLISH q1 2 new"]);
        talk.server_says("PUBACK 1");
        talk.server_says("PUBACK 2");
        talk.client_says(["PUBLISH q1 3 newer"]);
        stays(&mut talk);
        talk.server_says("PUBACK 3");
        talk.client_says(["DISCONNECT"]);
        assert_eq!(talk.close(), Cause::Requested);
    }
}

fn draining_that_is_asked_for_while_it_leaves_goes_on_at_the_next_server(version: Version) {
    let mut talk = Talk::connected(version);
    talk.publishes("old", Q1);
    talk.sent();
    wants_to_leave(&mut talk);
    talk.publishes("new", Q1);
    talk.server_says("PUBACK 1");
    talk.session.disconnect_when_drained(Disconnect::NORMAL, talk.now + SECOND * 30).unwrap();
    leaves(&mut talk);
    talk.opens();
    talk.server_says("CONNACK present");
    talk.client_says(["PUBLISH q1 2 new"]);
    talk.server_says("PUBACK 2");
    talk.client_says(["DISCONNECT"]);
    assert_eq!(talk.close(), Cause::Requested);
}

fn session_that_ends_with_its_connection_ends(version: Version) {
    let mut config = config(version);
    config.session_expiry = SessionExpiry::AtClose;
    let mut talk = Talk::connected_with(config);
    talk.publishes("old", Q1);
    talk.sent();
    wants_to_leave(&mut talk);
    talk.publishes("new", Q1);
    talk.server_says("PUBACK 1");
    leaves(&mut talk);
    talk.tidings();
    talk.opens();
    talk.server_says("CONNACK");
    talk.client_says(["PUBLISH q1 2 new"]);
}

fn full_queue_refuses_what_would_wait(version: Version) {
    let mut config = config(version);
    config.queue = QueueLimits::new(1, 1000);
    let mut talk = Talk::connected_with(config);
    talk.publishes("old", Q1);
    talk.sent();
    wants_to_leave(&mut talk);
    talk.publishes("waits", Q1);
    let refused = talk.session.publish(talk.now, message("too-many", Q1));
    assert_eq!(refused, Err(PublishError::QueueFull { messages: 1, bytes: 10 }));
}

fn journal_holds_what_waits(version: Version) {
    let mut talk = Talk::connected_with(journaled(version));
    talk.commits();
    talk.publishes("old", Q1);
    talk.commits();
    talk.sent();
    wants_to_leave(&mut talk);
    talk.publishes("new", Q1);
    talk.server_says("PUBACK 1");
    talk.commits();
    leaves(&mut talk);
    talk.tidings();
    assert!(talk.session.poll_journal().is_none(), "leaving is nothing to record");
    talk.restarts();
    talk.opens();
    talk.server_says("CONNACK present");
    talk.commits();
    assert_eq!(talk.sent().len(), 1, "it was never sent");
}

#[test]
fn expiry_goes_on_while_it_waits() {
    let mut talk = Talk::connected_to(config(Version::V5), [(PropertyId::ReceiveMaximum, Value::U16(9))]);
    talk.publishes("old", Q1);
    talk.sent();
    wants_to_leave(&mut talk);
    let short: Publish = message("short-lived", Q1).message_expiry(SECOND * 2);
    talk.publishes_message(short);
    talk.passes(SECOND * 3);
    talk.told(["short-lived not sent: it expired while it waited"]);
    talk.server_says("PUBACK 1 0x10");
    leaves(&mut talk);
}

#[test]
fn authentication_is_ended_first() {
    let method = [(PropertyId::AuthenticationMethod, Value::Str("M"))];
    let mut config = config(Version::V5);
    config.connect.properties = properties(method);
    let mut talk = Talk::connected_to(config, method);
    talk.session.authenticate(auth(ReasonCode::ReAuthenticate, "M")).unwrap();
    talk.client_says(["AUTH 0x19"]);
    wants_to_leave(&mut talk);
    stays(&mut talk);
    talk.server_sends(&Packet::Auth(auth(ReasonCode::Success, "M")));
    leaves(&mut talk);
}

#[test]
fn server_that_acknowledges_nothing_is_given_up_as_ever() {
    let mut config: Config = config(Version::V5);
    config.ack_timeout = Some(SECOND * 10);
    let mut talk = Talk::connected_with(config);
    talk.publishes("old", Q1);
    talk.sent();
    wants_to_leave(&mut talk);
    talk.passes(SECOND * 10);
    assert_eq!(talk.close(), Cause::AckTimeout);
}

#[test]
fn server_that_says_goodbye_first_is_told() {
    let mut talk = Talk::connected(Version::V5);
    talk.publishes("old", Q1);
    talk.sent();
    wants_to_leave(&mut talk);
    talk.server_says("DISCONNECT 0x8B");
    assert_eq!(talk.close().reason(), Some(ReasonCode::ServerShuttingDown));
}

every_version! {
    quiet_connection_ends_at_once,
    messages_in_flight_are_ended_first,
    requests_are_answered_first,
    received_messages_are_answered_first,
    nothing_new_is_begun_and_what_waits_goes_along,
    qos_0_pings_and_answers_go_on,
    messages_of_an_earlier_connection_are_sent_again_before_it_leaves,
    what_has_arrived_is_told_before_it_leaves,
    when_the_deadline_passes_it_stays_and_goes_on,
    asked_again_it_has_until_the_new_deadline,
    only_an_accepted_connection_is_left,
    next_connection_knows_nothing_of_it,
    connection_that_has_ended_was_not_left,
    disconnecting_wins,
    disconnecting_wins_while_it_leaves,
    draining_wins,
    draining_that_is_asked_for_while_it_leaves_goes_on_at_the_next_server,
    session_that_ends_with_its_connection_ends,
    full_queue_refuses_what_would_wait,
    journal_holds_what_waits,
}
