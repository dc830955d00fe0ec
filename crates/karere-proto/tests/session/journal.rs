//! The journal and the gate: what may leave before its record is durable, and what a restart goes on with.

use karere_proto::{
    Session, Version,
    session::{ConfigError, Record, Snapshot},
};

use super::kit::*;

fn records(talk: &Talk) -> Vec<Record> {
    talk.disk.iter().map(|bytes| Record::decode(bytes.clone()).unwrap()).collect()
}

fn connected(version: Version) -> Talk {
    let mut talk = Talk::connected_with(journaled(version));
    talk.commits();
    talk
}

fn publish_waits_for_its_record(version: Version) {
    for qos in [Q1, Q2] {
        let mut talk = connected(version);
        talk.publishes("a", qos);
        talk.client_says([]);
        assert!(!talk.session.wants_write());
        talk.commits();
        assert!(talk.session.wants_write());
        assert_eq!(talk.said(), [format!("PUBLISH q{qos} 1 a")]);
        let record = &records(&talk)[talk.disk.len() - 2..];
        assert!(matches!(record, [Record::Enqueued { seq: 1, .. }, Record::Sent { seq: 1, .. }]), "{record:?}");
    }
}

fn pubrel_waits_for_its_record(version: Version) {
    let mut talk = connected(version);
    talk.publishes("a", Q2);
    talk.commits();
    talk.client_says(["PUBLISH q2 1 a"]);
    talk.server_says("PUBREC 1");
    talk.client_says([]);
    talk.commits();
    talk.client_says(["PUBREL 1"]);
    assert!(matches!(records(&talk).last(), Some(Record::Released { .. })));
}

fn pubrec_waits_for_its_record(version: Version) {
    let mut talk = connected(version);
    talk.server_says("PUBLISH q2 7 x");
    talk.commits();
    assert!(
        !records(&talk).iter().any(|record| matches!(record, Record::Received { .. })),
        "not the application's yet"
    );
    talk.acknowledges("x");
    talk.client_says([]);
    talk.commits();
    talk.client_says(["PUBREC 7"]);
    assert!(matches!(records(&talk).last(), Some(Record::Received { .. })));
}

fn repeated_pubrec_waits_for_the_record_too(version: Version) {
    let mut talk = connected(version);
    talk.server_says("PUBLISH q2 7 x");
    talk.acknowledges("x");
    talk.server_says("PUBLISH q2 7 dup x");
    talk.client_says([]);
    talk.commits();
    talk.client_says(["PUBREC 7", "PUBREC 7"]);
}

fn qos_0_and_pubacks_and_pings_wait_for_no_record(version: Version) {
    let mut talk = connected(version);
    talk.publishes("a", Q0);
    talk.server_says("PUBLISH q1 7 x");
    talk.acknowledges("x");
    talk.subscribes("y");
    talk.client_says(["PUBLISH q0 a", "PUBACK 7", "SUBSCRIBE 1 y"]);
    talk.passes(SECOND * 60);
    talk.client_says(["PINGREQ"]);
}

/// Else a crash would still hold the identifier and swallow the message that the server uses it for next.
fn pubcomp_waits_for_its_record(version: Version) {
    let mut talk = connected(version);
    talk.server_says("PUBLISH q2 7 x");
    talk.acknowledges("x");
    talk.commits();
    talk.client_says(["PUBREC 7"]);
    talk.server_says("PUBREL 7");
    talk.client_says([]);
    talk.commits();
    talk.client_says(["PUBCOMP 7"]);
}

/// Else a crash would resume the new session with what was held of the old one.
fn nothing_reaches_a_new_session_before_the_old_one_is_forgotten(version: Version) {
    let mut talk = Talk::connected_with(journaled(version));
    talk.commits();
    talk.loses_session();
    talk.subscribes("a");
    talk.client_says([]);
    talk.commits();
    talk.client_says(["SUBSCRIBE 1 a"]);
}

fn order_is_order_behind_a_gate(version: Version) {
    let mut talk = connected(version);
    talk.publishes("a", Q0);
    talk.publishes("b", Q1);
    talk.publishes("c", Q0);
    talk.server_says("PUBLISH q1 7 x");
    talk.acknowledges("x");
    talk.client_says(["PUBLISH q0 a"]);
    talk.commits();
    talk.client_says(["PUBLISH q1 1 b", "PUBLISH q0 c", "PUBACK 7"]);
}

fn each_gate_opens_with_its_own_record(version: Version) {
    let mut talk = connected(version);
    talk.publishes("a", Q1);
    let first = talk.session.poll_journal().unwrap();
    talk.publishes("b", Q2);
    let second = talk.session.poll_journal().unwrap();
    talk.publishes("c", Q1);
    assert!(talk.session.journal_position().0 > second.last);
    talk.client_says([]);
    talk.session.handle_durable(first.last);
    talk.client_says(["PUBLISH q1 1 a"]);
    assert_eq!(talk.session.journal_position().1, first.last);
    talk.session.handle_durable(second.last);
    talk.client_says(["PUBLISH q2 2 b"]);
    talk.session.handle_durable(first.last); // late news
    talk.client_says([]);
    talk.commits();
    talk.client_says(["PUBLISH q1 3 c"]);
}

fn disconnect_waits_in_its_place(version: Version) {
    let mut talk = connected(version);
    talk.publishes("a", Q1);
    talk.disconnects(karere_proto::packet::Disconnect::NORMAL);
    talk.client_says([]);
    assert_eq!(talk.session.is_flushed(), karere_proto::session::Flushed::No);
    talk.commits();
    talk.client_says(["PUBLISH q1 1 a", "DISCONNECT"]);
}

fn resumption_waits_for_the_records_of_what_is_sent_again(version: Version) {
    let mut talk = connected(version);
    talk.publishes("a", Q1);
    talk.client_says([]);
    talk.drops_connection();
    talk.opens();
    talk.server_says("CONNACK present");
    talk.client_says([]);
    talk.commits();
    talk.client_says(["PUBLISH q1 1 dup a"]);
}

fn lost_connection_takes_its_gated_bytes_along(version: Version) {
    let mut talk = connected(version);
    talk.publishes("a", Q1);
    talk.drops_connection();
    talk.opens(); // CONNECT does not wait behind the old gate
    talk.commits();
    talk.client_says([]);
    talk.server_says("CONNACK present");
    talk.commits();
    talk.client_says(["PUBLISH q1 1 dup a"]);
}

fn without_a_journal_nothing_waits_and_nothing_is_recorded(version: Version) {
    let mut talk = Talk::connected(version);
    talk.publishes("a", Q2);
    talk.server_says("PUBREC 1");
    talk.client_says(["PUBLISH q2 1 a", "PUBREL 1"]);
    assert_eq!(talk.session.poll_journal(), None);
}

fn batches_are_handed_out_once_and_in_order(version: Version) {
    let mut talk = connected(version);
    talk.publishes("a", Q1);
    talk.publishes("b", Q1);
    let batch = talk.session.poll_journal().unwrap();
    assert_eq!(batch.records.len(), 4);
    assert_eq!(batch.last, talk.session.journal_position().0);
    assert_eq!(talk.session.poll_journal(), None);
}

fn restarted_session_goes_on_where_the_records_end(version: Version) {
    let mut talk = connected(version);
    for (name, qos) in [("a", Q1), ("b", Q2), ("c", Q2), ("d", Q1)] {
        talk.publishes(name, qos);
    }
    talk.publishes("never", Q0);
    talk.subscribes("x");
    talk.commits();
    talk.sent();
    talk.server_says("PUBACK 1");
    talk.server_says("PUBREC 3");
    talk.server_says("PUBLISH q2 9 h");
    talk.acknowledges("h");
    talk.server_says("SUBACK 5 0x02");
    talk.drops_connection();
    talk.publishes("e", Q1);
    talk.commits();

    talk.tidings();
    let snapshot = talk.restarts();
    assert_eq!(snapshot.queued.len(), 1);
    assert_eq!(snapshot.in_flight.len(), 3);
    assert_eq!(snapshot.received, [id(9)]);
    assert_eq!(talk.session.subscriptions().count(), 1);
    assert_eq!((talk.session.in_flight(), talk.session.queued().0), (3, 1));
    let connect = talk.opens();
    assert!(!connect.clean_start, "it knows of the session");
    talk.server_says("CONNACK present");
    talk.commits();
    let connected = if version == Version::V31 { "connected" } else { "connected present" };
    talk.told([connected]);
    talk.client_says(["PUBREL 3", "PUBLISH q2 2 dup b", "PUBLISH q1 4 dup d", "PUBLISH q1 5 e"]);
    talk.server_says("PUBLISH q2 9 dup h");
    talk.client_says(["PUBREC 9"]);
    talk.server_says("PUBCOMP 3");
    talk.server_says("PUBACK 5");
    talk.told(["c 3 acknowledged", "e 5 acknowledged"]);
}

fn tokens_are_not_used_again_after_a_restart(version: Version) {
    let mut talk = connected(version);
    let before = talk.publishes("a", Q1);
    talk.returns(Return::Restart);
    let after = talk.publishes("b", Q1);
    assert!(after > before);
}

fn journal_that_has_counted_too_far_is_refused(version: Version) {
    let restored = |seq| {
        let record = Record::Enqueued { seq, publish: message("a", Q1), expires: None }.encode();
        let snapshot = Snapshot::from_records([record]).expect("it reads back");
        Session::restore(beginning(), journaled(version), snapshot)
    };
    for seq in [Snapshot::LAST_SEQ + 1, u64::MAX - 1, u64::MAX] {
        let refused = restored(seq).expect_err("nobody has sent so many messages");
        assert_eq!(refused, ConfigError::JournalSequence(seq));
        assert!(refused.to_string().contains(&seq.to_string()), "{refused}");
    }
    let mut session = restored(Snapshot::LAST_SEQ).expect("the last from which it goes on");
    let token = session.publish(beginning(), message("b", Q1)).expect("taken");
    assert_eq!(token.get(), Snapshot::LAST_SEQ + 1);
}

#[test]
fn process_without_records_starts_clean() {
    let mut talk = Talk::new(journaled(Version::V5));
    assert!(talk.opens().clean_start);
    talk.server_says("CONNACK"); // a crash before this is durable
    let mut talk = Talk::new(journaled(Version::V5));
    assert!(talk.opens().clean_start);
}

fn messages_that_were_never_sent_and_have_an_outcome_do_not_come_back(version: Version) {
    let mut talk = Talk::new(journaled(version));
    talk.publishes("a", Q1);
    talk.publishes("b", Q2);
    talk.session.drop_messages();
    talk.told(["a given up", "b given up"]);
    talk.publishes("c", Q1);
    talk.commits();
    let snapshot = talk.restarts();
    assert_eq!(snapshot.queued.keys().collect::<Vec<_>>(), [&3]);
    talk.opens();
    talk.server_says("CONNACK");
    talk.commits();
    talk.client_says(["PUBLISH q1 1 c"]);
}

fn acknowledged_messages_do_not_come_back(version: Version) {
    let mut talk = connected(version);
    talk.publishes("a", Q1);
    talk.publishes("b", Q2);
    talk.commits();
    talk.sent();
    talk.server_says("PUBACK 1");
    talk.server_says("PUBREC 2");
    talk.server_says("PUBCOMP 2");
    talk.returns(Return::Restart);
    talk.commits();
    talk.client_says([]);
}

fn given_up_messages_keep_their_identifiers_over_a_restart(version: Version) {
    let mut talk = connected(version);
    talk.publishes("a", Q2);
    talk.publishes("b", Q1);
    talk.commits();
    talk.client_says(["PUBLISH q2 1 a", "PUBLISH q1 2 b"]);
    talk.session.drop_messages();
    talk.told(["a 1 unknown", "b 2 unknown"]);
    talk.returns(Return::Restart);
    talk.commits();
    talk.sent();
    talk.publishes("c", Q2);
    talk.publishes("d", Q2);
    talk.commits();
    let said = talk.said();
    let fresh = said.iter().filter(|line| line.ends_with(" c") || line.ends_with(" d")).collect::<Vec<_>>();
    assert_eq!(fresh, ["PUBLISH q2 3 c", "PUBLISH q2 4 d"], "the server may hold 1 and take it for a repetition");
    talk.server_says("PUBREC 1");
    talk.server_says("PUBCOMP 1");
    talk.told([]);
}

every_version! {
    acknowledged_messages_do_not_come_back,
    batches_are_handed_out_once_and_in_order,
    disconnect_waits_in_its_place,
    each_gate_opens_with_its_own_record,
    given_up_messages_keep_their_identifiers_over_a_restart,
    journal_that_has_counted_too_far_is_refused,
    lost_connection_takes_its_gated_bytes_along,
    messages_that_were_never_sent_and_have_an_outcome_do_not_come_back,
    order_is_order_behind_a_gate,
    pubcomp_waits_for_its_record,
    publish_waits_for_its_record,
    pubrec_waits_for_its_record,
    pubrel_waits_for_its_record,
    qos_0_and_pubacks_and_pings_wait_for_no_record,
    repeated_pubrec_waits_for_the_record_too,
    restarted_session_goes_on_where_the_records_end,
    resumption_waits_for_the_records_of_what_is_sent_again,
    tokens_are_not_used_again_after_a_restart,
    without_a_journal_nothing_waits_and_nothing_is_recorded,
}

since_311! {
    nothing_reaches_a_new_session_before_the_old_one_is_forgotten,
}
