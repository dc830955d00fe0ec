//! Messages that the application cannot keep where the version has no negative acknowledgement: the connection is dropped
//! without DISCONNECT, and what it still owed an answer for comes again (§4.13; v3: [MQTT-4.8.0-2]).

use karere_proto::{
    Packet, ReasonCode, Version,
    session::{Cause, CloseCause, CommandError, Event},
};

use super::kit::*;

/// The application gives the connection up; nothing is said to the server.
fn abandons(talk: &mut Talk) {
    talk.session.handle_closed(CloseCause::Abandoned);
    let heard = talk.take_heard();
    let last = heard.last();
    assert!(
        matches!(last, Some(Heard::Other(Event::Disconnected(Cause::Transport(CloseCause::Abandoned))))),
        "{last:?}"
    );
    assert_eq!(talk.sent(), [] as [Packet; 0], "no DISCONNECT");
}

fn is_taken_back(talk: &mut Talk) {
    talk.opens();
    talk.server_says("CONNACK present");
    talk.take_heard();
    talk.client_says([]);
}

fn message_that_was_not_kept_comes_again_on_the_next_connection(version: Version) {
    for (first, again, heard, answer) in [
        ("PUBLISH q1 7 a", "PUBLISH q1 7 dup a", "message q1 dup a", "PUBACK 7"),
        ("PUBLISH q2 7 a", "PUBLISH q2 7 dup a", "message q2 dup a", "PUBREC 7"),
    ] {
        let mut talk = Talk::connected(version);
        talk.server_says(first);
        let cannot_keep = talk.delivery("a");
        abandons(&mut talk);
        drop(cannot_keep);
        is_taken_back(&mut talk);
        talk.server_says(again);
        talk.told([heard]);
        talk.client_says([]);
        talk.acknowledges("a");
        talk.client_says([answer]);
        assert!(talk.session.is_connected());
    }
}

fn message_that_comes_again_is_delivered_once_from_then_on(version: Version) {
    let mut talk = Talk::connected(version);
    talk.server_says("PUBLISH q2 7 a");
    let first = talk.delivery("a");
    abandons(&mut talk);
    is_taken_back(&mut talk);
    talk.server_says("PUBLISH q2 7 dup a");
    talk.server_says("PUBLISH q2 7 dup a");
    talk.told(["message q2 dup a"]);
    talk.session.acknowledge(first); // of the connection that was given up: void
    talk.client_says([]);
    talk.resumes(); // this one broke by itself
    talk.server_says("PUBLISH q2 7 dup a");
    talk.told([]);
    talk.acknowledges("a");
    talk.client_says(["PUBREC 7"]);
    talk.server_says("PUBREL 7");
    talk.client_says(["PUBCOMP 7"]);
}

/// The driver acknowledges what a handler took only after it has seen the end of the connection.
fn message_that_was_kept_after_all_does_not_come_again(version: Version) {
    let mut talk = Talk::connected(version);
    talk.server_says("PUBLISH q2 7 a");
    talk.server_says("PUBLISH q2 8 b");
    talk.acknowledges("a");
    abandons(&mut talk);
    talk.acknowledges("b");
    is_taken_back(&mut talk);
    talk.server_says("PUBLISH q2 7 dup a");
    talk.server_says("PUBLISH q2 8 dup b");
    talk.told([]);
    talk.client_says(["PUBREC 7", "PUBREC 8"]);
}

/// Only what the abandoned connection brought: the rest is being worked on, and was given up by nobody.
fn message_of_an_earlier_connection_that_broke_by_itself_is_still_the_applications(version: Version) {
    let mut talk = Talk::connected(version);
    talk.server_says("PUBLISH q2 7 a");
    talk.resumes();
    abandons(&mut talk);
    is_taken_back(&mut talk);
    talk.server_says("PUBLISH q2 7 dup a");
    talk.told([]);
    talk.acknowledges("a");
    talk.client_says(["PUBREC 7"]);
}

fn released_identifier_is_forgotten_all_the_same(version: Version) {
    let mut talk = Talk::connected(version);
    talk.server_says("PUBLISH q2 7 a");
    abandons(&mut talk);
    is_taken_back(&mut talk);
    talk.server_says("PUBREL 7");
    talk.client_says(["PUBCOMP 7"]);
    talk.server_says("PUBLISH q2 7 b");
    talk.told(["message q2 b"]);
}

/// A new process knows of what was acknowledged and of nothing else.
fn message_that_was_not_kept_comes_again_after_a_restart(version: Version) {
    let mut talk = Talk::connected_with(journaled(version));
    talk.server_says("PUBLISH q2 7 a");
    talk.server_says("PUBLISH q1 8 b");
    talk.told(["message q2 a", "message q1 b"]);
    talk.returns(Return::Restart);
    talk.server_says("PUBLISH q2 7 dup a");
    talk.server_says("PUBLISH q1 8 dup b");
    talk.told(["message q2 dup a", "message q1 dup b"]);
}

fn refusing_before_5_says_what_to_do_instead(version: Version) {
    for line in ["PUBLISH q1 7 a", "PUBLISH q2 7 a"] {
        let mut talk = Talk::connected(version);
        talk.server_says(line);
        let delivery = talk.delivery("a");
        let (_, why) = talk.session.refuse(delivery, ReasonCode::QuotaExceeded).unwrap_err();
        assert_eq!(why, CommandError::RefusalNotInVersion(version));
        let text = why.to_string();
        for part in [&version.to_string(), "unacknowledged", "without DISCONNECT", "sends it again"] {
            assert!(text.contains(part), "{text}");
        }
        talk.client_says([]);
        assert!(talk.session.is_connected(), "the connection is the application's to drop");
    }
}

every_version! {
    message_of_an_earlier_connection_that_broke_by_itself_is_still_the_applications,
    message_that_comes_again_is_delivered_once_from_then_on,
    message_that_was_kept_after_all_does_not_come_again,
    message_that_was_not_kept_comes_again_after_a_restart,
    message_that_was_not_kept_comes_again_on_the_next_connection,
    released_identifier_is_forgotten_all_the_same,
}

before_5! {
    refusing_before_5_says_what_to_do_instead,
}
