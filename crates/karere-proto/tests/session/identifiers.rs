//! Packet identifiers: one pool, its whole range, never 0, never one that is busy.

use karere_proto::{Packet, Version};

use super::kit::*;

fn one_pool_serves_publish_subscribe_and_unsubscribe(version: Version) {
    let mut talk = Talk::connected(version);
    talk.publishes("a", Q1);
    talk.subscribes("x");
    talk.publishes("b", Q2);
    talk.unsubscribes("x");
    talk.client_says(["PUBLISH q1 1 a", "SUBSCRIBE 2 x", "PUBLISH q2 3 b", "UNSUBSCRIBE 4 x"]);
}

fn equal_identifiers_of_the_server_do_not_clash(version: Version) {
    let mut talk = Talk::connected(version);
    talk.publishes("a", Q2);
    talk.server_says("PUBLISH q2 1 x");
    talk.acknowledges("x");
    talk.server_says("PUBREC 1");
    talk.client_says(["PUBLISH q2 1 a", "PUBREC 1", "PUBREL 1"]);
    talk.server_says("PUBREL 1");
    talk.server_says("PUBCOMP 1");
    talk.client_says(["PUBCOMP 1"]);
    talk.told(["message q2 x", "a 1 acknowledged"]);
}

fn identifiers_wrap_past_those_that_are_busy_and_past_0(version: Version) {
    let mut talk = Talk::connected(version);
    talk.publishes("first", Q2);
    talk.server_says("PUBREC 1");
    talk.client_says(["PUBLISH q2 1 first", "PUBREL 1"]);
    for number in 2..=u16::MAX {
        talk.publishes("next", Q1);
        talk.client_says([&format!("PUBLISH q1 {number} next")]);
        talk.server_says(&format!("PUBACK {number}"));
    }
    talk.publishes("after", Q1);
    talk.client_says(["PUBLISH q1 2 after"]);
}

fn with_every_identifier_busy_all_wait_and_none_is_0(version: Version) {
    let mut config = config(version);
    config.max_in_flight = at_most(u16::MAX);
    let mut talk = Talk::connected_with(config);
    let mut used = Vec::new();
    for _ in 0..u16::MAX - 1 {
        talk.publishes("a", Q1);
        used.extend(talk.sent().iter().filter_map(number_of));
    }
    talk.subscribes("x");
    used.extend(talk.sent().iter().filter_map(number_of));
    used.sort_unstable();
    assert!(used.into_iter().eq(1..=u16::MAX), "each identifier once, 0 never");
    talk.publishes("waits", Q1);
    talk.subscribes("y");
    talk.unsubscribes("x");
    talk.publishes("passes", Q0);
    talk.client_says(["PUBLISH q0 passes"]);
    assert_eq!(talk.session.queued().0, 1);
    talk.server_says("PUBACK 777");
    talk.server_says("PUBACK 778");
    talk.server_says("PUBACK 779");
    let mut said = talk.said();
    said.sort();
    assert_eq!(said.len(), 3, "{said:?}");
    assert_eq!(said[0].split(' ').next(), Some("PUBLISH"));
    assert_eq!(said[1].split(' ').next(), Some("SUBSCRIBE"));
    assert_eq!(said[2].split(' ').next(), Some("UNSUBSCRIBE"));
}

fn identifiers_in_flight_are_not_used_after_a_return(version: Version) {
    for back in Return::BOTH {
        let mut talk = Talk::connected_with(journaled(version));
        talk.publishes("a", Q1);
        talk.publishes("b", Q2);
        talk.publishes("c", Q2);
        talk.commits();
        talk.sent();
        talk.server_says("PUBREC 2");
        talk.server_says("PUBACK 1");
        talk.returns(back);
        talk.commits();
        talk.client_says(["PUBREL 2", "PUBLISH q2 3 dup c"]);
        let mut fresh = Vec::new();
        for _ in 0..4 {
            talk.publishes("new", Q1);
            talk.commits();
            fresh.extend(talk.sent().iter().filter_map(number_of));
        }
        assert!(!fresh.contains(&2) && !fresh.contains(&3), "{back:?}: {fresh:?}");
    }
}

fn number_of(packet: &Packet) -> Option<u16> {
    match packet {
        Packet::Publish(publish) => publish.id,
        Packet::Subscribe(id, _) | Packet::Unsubscribe(id, _) => Some(*id),
        _ => None,
    }
    .map(karere_proto::PacketId::get)
}

every_version! {
    equal_identifiers_of_the_server_do_not_clash,
    identifiers_in_flight_are_not_used_after_a_return,
    identifiers_wrap_past_those_that_are_busy_and_past_0,
    one_pool_serves_publish_subscribe_and_unsubscribe,
    with_every_identifier_busy_all_wait_and_none_is_0,
}
