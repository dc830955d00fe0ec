//! SUBSCRIBE and UNSUBSCRIBE: pairing, and what a lost connection does to them.

use karere_proto::{
    Filter, Rule, Version,
    packet::{Disconnect, Subscribe, Unsubscribe},
};

use super::kit::*;

fn suback_is_paired_with_its_subscribe(version: Version) {
    let mut talk = Talk::connected(version);
    let two = Subscribe::new("a/#", Q1).unwrap().and("b", Q2).unwrap();
    talk.subscribes_with(two);
    talk.subscribes("c");
    talk.client_says(["SUBSCRIBE 1 a/# b", "SUBSCRIBE 2 c"]);
    talk.server_says("SUBACK 2 0x00");
    talk.server_says("SUBACK 1 0x01 0x02");
    talk.told(["c 2 subscribed 0x00", "a/# b 1 subscribed 0x01 0x02"]);
    let granted = talk.session.subscriptions().map(|(filter, _)| filter.to_string()).collect::<Vec<_>>();
    assert_eq!(granted, ["a/#", "b", "c"]);
}

fn failure_of_one_filter_leaves_the_others(version: Version) {
    let mut talk = Talk::connected(version);
    talk.subscribes_with(Subscribe::new("a", Q1).unwrap().and("b", Q2).unwrap());
    talk.server_says("SUBACK 1 0x80 0x01");
    talk.told(["a b 1 subscribed 0x80 0x01"]);
    let granted = talk.session.subscriptions().map(|(filter, _)| filter.to_string()).collect::<Vec<_>>();
    assert_eq!(granted, ["b"]);
}

fn unsuback_ends_the_subscription(version: Version) {
    let mut talk = Talk::connected(version);
    talk.subscribes("a");
    talk.server_says("SUBACK 1 0x02");
    talk.unsubscribes("a");
    talk.client_says(["SUBSCRIBE 1 a", "UNSUBSCRIBE 2 a"]);
    talk.server_says("UNSUBACK 2 0x11");
    let codes = if version == Version::V5 { " 0x11" } else { "" };
    assert_eq!(talk.tidings(), ["a 1 subscribed 0x02".to_owned(), format!("a 2 unsubscribed{codes}")]);
    assert_eq!(talk.session.subscriptions().count(), 0);
}

fn messages_may_come_before_suback_and_after_unsuback(version: Version) {
    let mut talk = Talk::connected(version);
    talk.subscribes("a");
    talk.server_says("PUBLISH q1 7 a");
    talk.server_says("SUBACK 1 0x02");
    talk.unsubscribes("a");
    talk.server_says("UNSUBACK 2 0x00");
    talk.server_says("PUBLISH q1 8 a");
    talk.acknowledges("a");
    talk.acknowledges("a");
    talk.client_says(["SUBSCRIBE 1 a", "UNSUBSCRIBE 2 a", "PUBACK 7", "PUBACK 8"]);
}

fn answers_to_nothing_or_to_another_kind_close(version: Version) {
    for (answer, rule) in [
        ("SUBACK 9 0x00", Rule::SubAckUnknown),
        ("UNSUBACK 9 0x00", Rule::UnsubAckUnknown),
        ("SUBACK 2 0x00", Rule::SubAckUnknown),
        ("UNSUBACK 1 0x00", Rule::UnsubAckUnknown),
        ("SUBACK 3 0x00", Rule::SubAckUnknown),
        ("UNSUBACK 3 0x00", Rule::UnsubAckUnknown),
    ] {
        let mut talk = Talk::connected(version);
        talk.subscribes("a");
        talk.unsubscribes("b");
        talk.publishes("c", Q1);
        talk.sent();
        talk.server_says(answer);
        talk.client_closes_for(rule);
        talk.told([]);
    }
}

fn wrong_number_of_codes_closes(version: Version) {
    for codes in ["0x00", "0x00 0x01 0x02"] {
        let mut talk = Talk::connected(version);
        talk.subscribes_with(Subscribe::new("a", Q1).unwrap().and("b", Q2).unwrap());
        talk.sent();
        talk.server_says(&format!("SUBACK 1 {codes}"));
        talk.client_closes_for(Rule::SubAckCount);
    }
}

#[test]
fn wrong_number_of_unsuback_codes_closes() {
    for codes in ["0x00", "0x00 0x00 0x00"] {
        let mut talk = Talk::connected(Version::V5);
        let two = Unsubscribe::many(["a", "b"].map(|filter| Filter::new(filter).unwrap()));
        talk.session.unsubscribe(talk.now, two).unwrap();
        talk.sent();
        talk.server_says(&format!("UNSUBACK 1 {codes}"));
        talk.client_closes_for(Rule::UnsubAckCount);
    }
}

fn suback_codes_that_do_not_exist_close(version: Version) {
    let mut talk = Talk::connected(version);
    talk.subscribes("a");
    talk.sent();
    let bytes: &[u8] = if version == Version::V5 { &[0x90, 4, 0, 1, 0, 3] } else { &[0x90, 3, 0, 1, 3] };
    talk.server_sends_bytes(bytes);
    talk.client_closes_for(Rule::ReasonCodeNotAllowed);
}

fn requests_wait_for_a_connection(version: Version) {
    let mut talk = Talk::new(config(version));
    talk.subscribes("a");
    talk.unsubscribes("b");
    talk.opens();
    talk.client_says([]);
    talk.server_says("CONNACK");
    talk.client_says(["SUBSCRIBE 1 a", "UNSUBSCRIBE 2 b"]);
}

fn unanswered_requests_are_repeated_under_new_identifiers(version: Version) {
    let mut talk = Talk::connected(version);
    talk.subscribes("a");
    talk.unsubscribes("b");
    talk.client_says(["SUBSCRIBE 1 a", "UNSUBSCRIBE 2 b"]);
    talk.drops_connection();
    talk.told([]);
    talk.subscribes("c");
    talk.opens();
    talk.server_says("CONNACK present");
    talk.client_says(["SUBSCRIBE 3 a", "UNSUBSCRIBE 4 b", "SUBSCRIBE 5 c"]);
    talk.server_says("SUBACK 3 0x00");
    talk.server_says("UNSUBACK 4 0x00");
    talk.server_says("SUBACK 5 0x00");
    let told = talk.tidings();
    assert_eq!(told.len(), 4, "{told:?}");
}

fn identifiers_of_unanswered_requests_are_free_after_the_connection(version: Version) {
    let mut talk = Talk::connected(version);
    talk.subscribes("a");
    talk.sent();
    talk.drops_connection();
    assert!(talk.session.packet_id(karere_proto::Token::from_u64(1)).is_none());
    talk.opens();
    talk.server_says("CONNACK present");
    talk.client_says(["SUBSCRIBE 2 a"]);
    talk.server_says("SUBACK 1 0x00"); // the old one is not awaited any more
    talk.client_closes_for(Rule::SubAckUnknown);
}

fn own_disconnect_ends_unanswered_requests(version: Version) {
    let mut talk = Talk::connected(version);
    talk.subscribes("a");
    talk.unsubscribes("b");
    talk.sent();
    talk.disconnects(Disconnect::NORMAL);
    talk.sent();
    talk.close();
    talk.told(["a 1 subscribed no answer", "b 2 unsubscribed no answer"]);
    talk.opens();
    talk.server_says("CONNACK present");
    talk.client_says([]);
}

fn requests_survive_the_loss_of_the_session(version: Version) {
    let mut talk = Talk::connected(version);
    talk.publishes("p", Q1);
    talk.subscribes("a");
    talk.sent();
    talk.drops_connection();
    talk.opens();
    talk.server_says("CONNACK");
    let said = talk.said();
    assert!(said.contains(&"SUBSCRIBE 3 a".to_owned()), "{said:?}");
}

every_version! {
    answers_to_nothing_or_to_another_kind_close,
    identifiers_of_unanswered_requests_are_free_after_the_connection,
    messages_may_come_before_suback_and_after_unsuback,
    own_disconnect_ends_unanswered_requests,
    requests_survive_the_loss_of_the_session,
    requests_wait_for_a_connection,
    suback_codes_that_do_not_exist_close,
    suback_is_paired_with_its_subscribe,
    unanswered_requests_are_repeated_under_new_identifiers,
    unsuback_ends_the_subscription,
    wrong_number_of_codes_closes,
}

since_311! {
    failure_of_one_filter_leaves_the_others,
}
