//! Packet identifiers that the application chooses: bindings whose interface names a message before it is sent.

use karere_proto::{
    Publish, Token, Version,
    packet::{Disconnect, Subscribe, Unsubscribe},
    session::{LostSession, PublishError, SubscribeError},
};

use super::kit::*;

impl Talk {
    fn publishes_as(&mut self, name: &str, qos: karere_proto::QoS, number: u16) -> Token {
        let token = self.session.publish_with_id(self.now, message(name, qos), id(number)).unwrap();
        self.calls(token, name);
        token
    }

    fn refuses_publish_as(&mut self, number: u16) {
        let refused = self.session.publish_with_id(self.now, message("again", Q1), id(number));
        assert_eq!(refused, Err(PublishError::IdInUse(id(number))));
    }
}

fn a_message_is_sent_with_the_identifier_that_was_chosen(version: Version) {
    let mut talk = Talk::connected(version);
    talk.publishes_as("a", Q1, 7);
    talk.publishes_as("b", Q2, 65_535);
    talk.client_says(["PUBLISH q1 7 a", "PUBLISH q2 65535 b"]);
    talk.server_says("PUBACK 7");
    talk.server_says("PUBREC 65535");
    talk.client_says(["PUBREL 65535"]);
    talk.server_says("PUBCOMP 65535");
    talk.told(["a 7 acknowledged", "b 65535 acknowledged"]);
}

fn it_keeps_it_while_it_waits_and_when_it_is_sent_again(version: Version) {
    let mut config = config(version);
    config.max_in_flight = at_most(1);
    let mut talk = Talk::connected_with(config);
    talk.publishes_as("a", Q1, 9);
    talk.publishes_as("b", Q1, 3);
    talk.client_says(["PUBLISH q1 9 a"]);
    talk.resumes();
    talk.client_says(["PUBLISH q1 9 dup a"]);
    talk.server_says("PUBACK 9");
    talk.client_says(["PUBLISH q1 3 b"]);
    talk.server_says("PUBACK 3");
    talk.told(["a 9 acknowledged", "b 3 acknowledged"]);
}

fn an_identifier_in_use_is_refused_and_never_given_to_another(version: Version) {
    let mut config = config(version);
    config.max_in_flight = at_most(1);
    let mut talk = Talk::connected_with(config);
    talk.publishes_as("a", Q1, 1);
    talk.refuses_publish_as(1);
    talk.publishes_as("waits", Q1, 2);
    talk.refuses_publish_as(2);
    talk.publishes("b", Q1);
    talk.subscribes("x");
    talk.client_says(["PUBLISH q1 1 a", "SUBSCRIBE 3 x"]);
    talk.refuses_publish_as(3);
    talk.server_says("PUBACK 1");
    talk.client_says(["PUBLISH q1 2 waits"]);
    talk.server_says("PUBACK 2");
    talk.client_says(["PUBLISH q1 4 b"]);
    talk.publishes_as("a", Q1, 1);
    talk.publishes_as("waits", Q1, 2);
    talk.told(["a 1 acknowledged", "waits 2 acknowledged"]);
}

fn an_identifier_is_free_again_when_its_message_is_given_up_while_it_waits(version: Version) {
    let mut config = config(version);
    config.max_in_flight = at_most(1);
    let mut talk = Talk::connected_with(config);
    talk.publishes_as("a", Q1, 1);
    talk.publishes_as("b", Q1, 2);
    talk.session.drop_messages();
    talk.refuses_publish_as(1); // the server may still answer it
    talk.publishes_as("c", Q1, 2);
}

fn at_qos_0_no_identifier_is_used(version: Version) {
    let mut talk = Talk::connected(version);
    talk.publishes_as("a", Q1, 5);
    talk.publishes_as("b", Q0, 5);
    talk.client_says(["PUBLISH q1 5 a", "PUBLISH q0 b"]);
}

fn requests_keep_theirs_too_also_when_they_are_asked_again(version: Version) {
    let mut talk = Talk::new(config(version));
    let subscribe = Subscribe::new("x", Q1).unwrap();
    let unsubscribe = Unsubscribe::new("y").unwrap();
    talk.session.subscribe_with_id(talk.now, subscribe.clone(), id(40)).unwrap();
    talk.session.unsubscribe_with_id(talk.now, unsubscribe.clone(), id(41)).unwrap();
    for number in [40, 41] {
        talk.refuses_publish_as(number);
        let refused = talk.session.subscribe_with_id(talk.now, subscribe.clone(), id(number));
        assert_eq!(refused, Err(SubscribeError::IdInUse(id(number))));
        let refused = talk.session.unsubscribe_with_id(talk.now, unsubscribe.clone(), id(number));
        assert_eq!(refused, Err(SubscribeError::IdInUse(id(number))));
    }
    talk.opens();
    talk.server_says("CONNACK");
    talk.client_says(["SUBSCRIBE 40 x", "UNSUBSCRIBE 41 y"]);
    talk.drops_connection();
    talk.refuses_publish_as(40);
    talk.opens();
    talk.server_says("CONNACK");
    talk.told(["connected", "connected"]);
    talk.client_says(["SUBSCRIBE 40 x", "UNSUBSCRIBE 41 y"]);
    talk.server_says("SUBACK 40 0x01");
    talk.publishes_as("a", Q1, 40);
}

fn all_identifiers_may_be_chosen_by_what_waits(version: Version) {
    let mut talk = Talk::new(config(version));
    for number in 1..=u16::MAX {
        talk.publishes_as("a", Q1, number);
    }
    talk.opens();
    talk.server_says("CONNACK");
    assert_eq!(talk.said().len(), 20, "the window");
    talk.server_says("PUBACK 1");
    talk.client_says(["PUBLISH q1 21 a"]);
}

fn published_anew_for_a_lost_session_it_gets_another(version: Version) {
    let mut talk = Talk::connected(version);
    talk.publishes_as("a", Q1, 7);
    talk.sent();
    talk.loses_session();
    talk.client_says(["PUBLISH q1 1 a"]);
}

fn waiting_messages_of_qos_0_can_be_dropped_alone(version: Version) {
    let mut talk = Talk::new(config(version));
    talk.publishes("a", Q0);
    talk.publishes_as("b", Q1, 1);
    talk.publishes("c", Q0);
    talk.session.drop_waiting_qos0();
    talk.told(["a given up", "c given up"]);
    assert_eq!(talk.session.queued(), (1, 2));
    talk.opens();
    talk.server_says("CONNACK");
    talk.client_says(["PUBLISH q1 1 b"]);
}

fn a_lost_session_can_go_on_as_if_it_were_kept(version: Version) {
    let mut config = config(version);
    config.lost_session = LostSession::Continue;
    let mut talk = Talk::connected_with(config);
    talk.publishes("a", Q1);
    talk.publishes("b", Q2);
    talk.publishes("c", Q2);
    talk.server_says("PUBREC 3");
    talk.server_says("PUBLISH q2 9 x");
    talk.acknowledges("x");
    talk.sent();
    talk.loses_session();
    talk.client_says(["PUBREL 3", "PUBLISH q1 1 dup a", "PUBLISH q2 2 dup b"]);
    talk.server_says("PUBACK 1");
    talk.server_says("PUBREC 2");
    talk.server_says("PUBCOMP 2");
    talk.server_says("PUBCOMP 3");
    talk.server_says("PUBLISH q2 9 y"); // of the new session: not the message that was held
    talk.told(["message q2 x", "a 1 acknowledged", "b 2 acknowledged", "c 3 acknowledged", "message q2 y"]);
}

fn also_when_every_connection_asks_for_a_new_session(version: Version) {
    let mut config = config(version);
    config.session_expiry = karere_proto::session::SessionExpiry::AtClose;
    config.clean_start = karere_proto::session::CleanStart::Always;
    config.lost_session = LostSession::Continue;
    let mut talk = Talk::connected_with(config);
    talk.publishes("a", Q1);
    talk.sent();
    talk.loses_session();
    talk.client_says(["PUBLISH q1 1 dup a"]);
}

fn it_cannot_go_on_with_a_journal(version: Version) {
    let mut config = journaled(version);
    config.lost_session = LostSession::Continue;
    assert_eq!(config.check(), Err(karere_proto::session::ConfigError::ContinueWithJournal));
}

fn a_farewell_ends_requests_under_their_chosen_identifiers(version: Version) {
    let mut talk = Talk::connected(version);
    talk.session.subscribe_with_id(talk.now, Subscribe::new("x", Q1).unwrap(), id(4)).unwrap();
    talk.disconnects(Disconnect::NORMAL);
    talk.sent();
    talk.close();
    talk.publishes_message(Publish::new("a", "a").unwrap());
    talk.session.publish_with_id(talk.now, message("b", Q1), id(4)).unwrap();
}

every_version! {
    a_farewell_ends_requests_under_their_chosen_identifiers,
    a_message_is_sent_with_the_identifier_that_was_chosen,
    all_identifiers_may_be_chosen_by_what_waits,
    also_when_every_connection_asks_for_a_new_session,
    an_identifier_in_use_is_refused_and_never_given_to_another,
    an_identifier_is_free_again_when_its_message_is_given_up_while_it_waits,
    at_qos_0_no_identifier_is_used,
    it_cannot_go_on_with_a_journal,
    it_keeps_it_while_it_waits_and_when_it_is_sent_again,
    requests_keep_theirs_too_also_when_they_are_asked_again,
    waiting_messages_of_qos_0_can_be_dropped_alone,
}

since_311! {
    a_lost_session_can_go_on_as_if_it_were_kept,
    published_anew_for_a_lost_session_it_gets_another,
}
