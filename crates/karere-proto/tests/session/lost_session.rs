//! The server has no session any more: what was in flight has an outcome or goes out anew (chapter "Words and promises").

use karere_proto::{Version, session::LostSession};

use super::kit::*;

fn unacknowledged_messages_are_published_as_new_ones(version: Version) {
    let mut talk = Talk::connected(version);
    let a = talk.publishes("a", Q1);
    talk.publishes("b", Q2);
    talk.publishes("c", Q2);
    talk.server_says("PUBREC 2");
    talk.sent();
    talk.drops_connection();
    talk.publishes("d", Q1);
    talk.opens();
    talk.server_says("CONNACK");
    talk.told(["connected", "b 2 acknowledged"]);
    talk.client_says(["PUBLISH q1 4 a", "PUBLISH q2 5 c", "PUBLISH q1 6 d"]);
    assert_eq!(talk.session.packet_id(a), Some(id(4)), "under the same token");
    talk.server_says("PUBACK 4");
    talk.server_says("PUBREC 5");
    talk.server_says("PUBCOMP 5");
    talk.server_says("PUBACK 6");
    talk.told(["a 4 acknowledged", "c 5 acknowledged", "d 6 acknowledged"]);
}

fn policy_report_tells_that_the_outcome_is_unknown(version: Version) {
    let mut config = config(version);
    config.lost_session = LostSession::Report;
    let mut talk = Talk::connected_with(config);
    talk.publishes("a", Q1);
    talk.publishes("b", Q2);
    talk.publishes("c", Q2);
    talk.server_says("PUBREC 2");
    talk.sent();
    talk.drops_connection();
    talk.publishes("d", Q1);
    talk.opens();
    talk.server_says("CONNACK");
    let mut told = talk.tidings();
    told.sort();
    assert_eq!(told, ["a 1 unknown", "b 2 acknowledged", "c 3 unknown", "connected"]);
    talk.client_says(["PUBLISH q1 4 d"]);
    assert_eq!(talk.session.in_flight(), 1);
}

fn republished_messages_keep_to_the_window_and_their_order(version: Version) {
    let mut config = config(version);
    config.max_in_flight = at_most(2);
    let mut talk = Talk::connected_with(config);
    for name in ["a", "b", "c", "d"] {
        talk.publishes(name, Q1);
    }
    talk.server_says("PUBACK 1");
    talk.sent();
    talk.loses_session();
    talk.client_says(["PUBLISH q1 4 b", "PUBLISH q1 5 c"]);
    talk.server_says("PUBACK 4");
    talk.client_says(["PUBLISH q1 6 d"]);
}

fn dropped_messages_are_not_published_anew(version: Version) {
    let mut talk = Talk::connected(version);
    talk.publishes("a", Q1);
    talk.publishes("b", Q2);
    talk.sent();
    talk.session.drop_messages();
    talk.told(["a 1 unknown", "b 2 unknown"]);
    talk.loses_session();
    talk.client_says([]);
    talk.told([]);
    assert_eq!(talk.session.in_flight(), 0);
}

fn what_was_sent_before_its_session_was_lost_never_counts_as_not_sent(version: Version) {
    let mut config = config(version);
    config.max_in_flight = at_most(2);
    let mut talk = Talk::connected_with(config.clone());
    talk.publishes("a", Q1);
    talk.publishes("b", Q2);
    talk.publishes("c", Q1);
    talk.sent();
    talk.drops_connection();
    config.max_in_flight = at_most(1);
    talk.session.reconfigure(config).expect("legal");
    talk.opens();
    talk.server_says("CONNACK");
    talk.client_says(["PUBLISH q1 3 a"]);
    talk.told(["connected"]);
    talk.session.drop_messages();
    talk.told(["a 3 unknown", "b unknown", "c given up"]);
}

fn what_was_sent_before_is_remembered_over_a_restart(version: Version) {
    let mut config = journaled(version);
    config.max_in_flight = at_most(2);
    let mut talk = Talk::connected_with(config.clone());
    for name in ["a", "b", "c"] {
        talk.publishes(name, Q1);
    }
    talk.commits();
    talk.sent();
    talk.drops_connection();
    config.max_in_flight = at_most(1);
    talk.session.reconfigure(config).expect("legal");
    talk.opens();
    talk.server_says("CONNACK");
    talk.returns(Return::Restart);
    talk.session.drop_messages();
    talk.told(["connected present", "a 3 unknown", "b unknown", "c given up"]);
}

fn held_identifiers_are_cleared(version: Version) {
    for back in [false, true] {
        let mut talk = Talk::connected_with(journaled(version));
        talk.server_says("PUBLISH q2 5 old");
        if back {
            talk.acknowledges("old");
            talk.commits();
            talk.client_says(["PUBREC 5"]);
        }
        talk.loses_session();
        talk.told(["message q2 old"]);
        talk.server_says("PUBLISH q2 5 new");
        talk.told(["message q2 new"]);
        talk.acknowledges("new");
        talk.commits();
        talk.client_says(["PUBREC 5"]);
        talk.server_says("PUBREL 5");
        talk.commits();
        talk.client_says(["PUBCOMP 5"]);
    }
}

fn late_acknowledgement_of_a_lost_session_does_not_hit_a_new_message(version: Version) {
    let mut talk = Talk::connected(version);
    talk.server_says("PUBLISH q2 5 old");
    talk.server_says("PUBLISH q1 6 older");
    talk.loses_session();
    talk.server_says("PUBLISH q2 5 new");
    talk.server_says("PUBLISH q1 6 newer");
    talk.acknowledges("old");
    talk.acknowledges("older");
    talk.client_says([]);
    talk.acknowledges("new");
    talk.acknowledges("newer");
    let mut said = talk.said();
    said.sort();
    assert_eq!(said, ["PUBACK 6", "PUBREC 5"]);
}

fn messages_in_flight_survive_the_loss_of_a_session_and_the_process(version: Version) {
    let mut talk = Talk::connected_with(journaled(version));
    talk.publishes("a", Q1);
    talk.publishes("b", Q2);
    talk.publishes("c", Q2);
    talk.commits();
    talk.sent();
    talk.server_says("PUBREC 2");
    talk.loses_session();
    talk.commits();
    talk.client_says(["PUBLISH q1 4 a", "PUBLISH q2 5 c"]);
    talk.returns(Return::Restart);
    talk.client_says(["PUBLISH q1 4 dup a", "PUBLISH q2 5 dup c"]);
}

since_311! {
    dropped_messages_are_not_published_anew,
    held_identifiers_are_cleared,
    late_acknowledgement_of_a_lost_session_does_not_hit_a_new_message,
    what_was_sent_before_is_remembered_over_a_restart,
    what_was_sent_before_its_session_was_lost_never_counts_as_not_sent,
    messages_in_flight_survive_the_loss_of_a_session_and_the_process,
    policy_report_tells_that_the_outcome_is_unknown,
    republished_messages_keep_to_the_window_and_their_order,
    unacknowledged_messages_are_published_as_new_ones,
}
