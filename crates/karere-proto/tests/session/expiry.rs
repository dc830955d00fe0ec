//! Messages that expire: counted down while they wait, dropped with their outcome, never dropped once sent (§3.3.2.3.3).

use std::time::{Duration, SystemTime};

use karere_proto::{
    Packet, Session, Version,
    session::{LostSession, Snapshot},
};

use super::kit::*;

const SECOND: Duration = Duration::from_secs(1);

/// The Message Expiry Interval of each PUBLISH that was sent, in seconds.
fn lifetimes(talk: &mut Talk) -> Vec<u64> {
    let sent = talk.sent();
    let publishes = sent.iter().filter_map(|packet| match packet {
        Packet::Publish(publish) => publish.properties.message_expiry(),
        _ => None,
    });
    publishes.map(|left| left.as_secs()).collect()
}

#[test]
fn what_a_message_waited_it_has_not_any_more_when_it_leaves() {
    let mut talk = Talk::new(config(Version::V5));
    talk.publishes_message(message("a", Q1).message_expiry(10 * SECOND));
    talk.publishes_message(message("b", Q0).message_expiry(10 * SECOND));
    talk.passes(3 * SECOND + SECOND / 2);
    talk.opens();
    talk.server_says("CONNACK");
    assert_eq!(lifetimes(&mut talk), [7, 7]);
}

#[test]
fn a_message_that_leaves_at_once_has_all_its_lifetime() {
    let mut talk = Talk::connected(Version::V5);
    talk.publishes_message(message("a", Q1).message_expiry(10 * SECOND));
    assert_eq!(lifetimes(&mut talk), [10]);
}

#[test]
fn an_expired_message_is_dropped_and_its_outcome_told_in_time() {
    let mut talk = Talk::new(config(Version::V5));
    talk.publishes_message(message("a", Q1).message_expiry(2 * SECOND));
    talk.publishes_message(message("b", Q0).message_expiry(2 * SECOND));
    talk.publishes("c", Q1);
    talk.passes(3 * SECOND);
    talk.told(["a not sent: it expired while it waited", "b not sent: it expired while it waited"]);
    assert_eq!(talk.session.queued(), (1, 2));
    talk.opens();
    talk.server_says("CONNACK");
    talk.told(["connected"]);
    talk.client_says(["PUBLISH q1 1 c"]);
}

#[test]
fn a_message_sent_once_does_not_expire() {
    for qos in [Q1, Q2] {
        let mut talk = Talk::connected(Version::V5);
        talk.publishes_message(message("a", qos).message_expiry(2 * SECOND));
        assert_eq!(lifetimes(&mut talk), [2]);
        talk.drops_connection();
        talk.passes(10 * SECOND);
        talk.told([]);
        talk.opens();
        talk.server_says("CONNACK present");
        assert_eq!(lifetimes(&mut talk), [1], "sent again, and not with a lifetime it has not");
    }
}

#[test]
fn a_message_that_is_being_released_does_not_expire() {
    let mut talk = Talk::connected(Version::V5);
    talk.publishes_message(message("a", Q2).message_expiry(2 * SECOND));
    talk.server_says("PUBREC 1");
    talk.client_says(["PUBLISH q2 1 a", "PUBREL 1"]);
    talk.passes(10 * SECOND);
    talk.resumes();
    talk.client_says(["PUBREL 1"]);
    talk.passes(10 * SECOND);
    talk.told([]);
    talk.server_says("PUBCOMP 1");
    talk.told(["a 1 acknowledged"]);
}

#[test]
fn a_message_published_again_for_a_lost_session_goes_on_counting_down() {
    let mut config = config(Version::V5);
    config.lost_session = LostSession::Republish;
    let mut talk = Talk::connected_with(config);
    talk.publishes_message(message("a", Q1).message_expiry(10 * SECOND));
    talk.publishes_message(message("b", Q1).message_expiry(2 * SECOND));
    talk.sent();
    talk.drops_connection();
    talk.passes(4 * SECOND);
    talk.opens();
    talk.server_says("CONNACK");
    assert_eq!(lifetimes(&mut talk), [6]);
    talk.told(["connected", "b unknown"]); // it was sent once: the server that lost the session may have passed it on
}

/// What the process was restarted with, and what was sent then, when the wall clock shows `after` more than before.
fn restarted_after(after: Option<Duration>) -> (Talk, Snapshot) {
    let noon = SystemTime::UNIX_EPOCH + 1_000_000 * SECOND;
    let mut talk = Talk::new(journaled(Version::V5));
    talk.session.set_wall_clock(talk.now, noon);
    talk.publishes_message(message("a", Q1).message_expiry(60 * SECOND));
    talk.publishes_message(message("b", Q1));
    talk.commits();
    let snapshot = Snapshot::from_records(talk.disk.iter().cloned()).unwrap();
    let config = talk.session.config().clone();
    talk.session = match after {
        Some(after) => Session::restore_at(talk.now, noon + after, config, snapshot.clone()).unwrap(),
        None => Session::restore(talk.now, config, snapshot.clone()).unwrap(),
    };
    (talk, snapshot)
}

#[test]
fn what_the_process_was_down_counts_too() {
    let (mut talk, snapshot) = restarted_after(Some(20 * SECOND));
    let deadlines = snapshot.queued.values().map(|queued| queued.expires).collect::<Vec<_>>();
    assert_eq!(deadlines, [Some(SystemTime::UNIX_EPOCH + 1_000_060 * SECOND), None]);
    talk.opens();
    talk.server_says("CONNACK");
    talk.commits();
    assert_eq!(lifetimes(&mut talk), [40]);
}

#[test]
fn a_message_that_expired_while_the_process_was_down_is_told_and_not_sent() {
    let (mut talk, _) = restarted_after(Some(61 * SECOND));
    talk.passes(SECOND);
    let told = talk.tidings();
    assert!(matches!(&told[..], [one] if one.ends_with("not sent: it expired while it waited")), "{told:?}");
    talk.opens();
    talk.server_says("CONNACK");
    talk.commits();
    talk.client_says(["PUBLISH q1 1 b"]);
}

#[test]
fn a_wall_clock_that_is_wrong_or_missing_gives_no_more_than_the_whole_lifetime() {
    for after in [None, Some(Duration::ZERO)] {
        let (mut talk, _) = restarted_after(after);
        talk.opens();
        talk.server_says("CONNACK");
        talk.commits();
        assert_eq!(lifetimes(&mut talk), [60]);
    }
    let (mut talk, snapshot) = restarted_after(None);
    let config = talk.session.config().clone();
    talk.session = Session::restore_at(talk.now, SystemTime::UNIX_EPOCH, config, snapshot).unwrap(); // not set yet
    talk.opens();
    talk.server_says("CONNACK");
    talk.commits();
    assert_eq!(lifetimes(&mut talk), [60]);
}
