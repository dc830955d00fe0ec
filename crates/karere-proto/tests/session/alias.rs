//! Topic aliases of what the client sends: within the limit, in wire order, never carried over (§3.3.2.3.4).

use karere_proto::{Packet, PropertyId, Value, Version};

use super::kit::*;

/// Topic and alias of each PUBLISH that was sent.
fn names(talk: &mut Talk) -> Vec<(String, Option<u16>)> {
    let sent = talk.sent();
    let publishes = sent.iter().filter_map(|packet| match packet {
        Packet::Publish(publish) => {
            let topic = publish.topic.as_ref().map_or("", |topic| topic.as_str());
            Some((topic.to_owned(), publish.properties.topic_alias()))
        }
        _ => None,
    });
    publishes.collect()
}

fn connected(maximum: u16) -> Talk {
    Talk::connected_to(config(Version::V5), [(PropertyId::TopicAliasMaximum, Value::U16(maximum))])
}

fn name(topic: &str, alias: impl Into<Option<u16>>) -> (String, Option<u16>) {
    (topic.to_owned(), alias.into())
}

#[test]
fn a_topic_is_named_once_and_then_by_its_alias() {
    let mut talk = connected(5);
    for _ in 0..2 {
        talk.publishes("site/one", Q0);
        talk.publishes("site/two", Q1);
    }
    assert_eq!(names(&mut talk), [name("site/one", 1), name("site/two", 2), name("", 1), name("", 2)]);
}

#[test]
fn no_alias_is_sent_to_a_server_that_takes_none() {
    for mut talk in [connected(0), Talk::connected(Version::V5)] {
        talk.publishes("site/one", Q0);
        talk.publishes("site/one", Q0);
        assert_eq!(names(&mut talk), [name("site/one", None), name("site/one", None)]);
    }
}

#[test]
fn aliases_can_be_turned_off() {
    let mut config = config(Version::V5);
    config.topic_aliases = 0;
    let mut talk = Talk::connected_to(config, [(PropertyId::TopicAliasMaximum, Value::U16(5))]);
    talk.publishes("site/one", Q0);
    assert_eq!(names(&mut talk), [name("site/one", None)]);
}

#[test]
fn what_is_sent_again_carries_its_topic_and_no_alias_of_before() {
    let mut talk = connected(5);
    talk.publishes("site/one", Q1);
    talk.publishes("site/one", Q1);
    assert_eq!(names(&mut talk), [name("site/one", 1), name("", 1)]);
    talk.drops_connection();
    talk.opens();
    talk.server_sends(&present(connack([(PropertyId::TopicAliasMaximum, Value::U16(5))])));
    assert_eq!(names(&mut talk), [name("site/one", None), name("site/one", None)]);
    talk.publishes("site/one", Q1);
    assert_eq!(names(&mut talk), [name("site/one", 1)], "set anew on this connection");
}

#[test]
fn an_alias_is_left_out_where_it_would_make_the_packet_too_large() {
    let limit = 40;
    let properties =
        [(PropertyId::TopicAliasMaximum, Value::U16(5)), (PropertyId::MaximumPacketSize, Value::U32(limit))];
    let mut talk = Talk::connected_to(config(Version::V5), properties);
    let room = limit as usize - 2 - 2 - 1 - "site/one".len();
    let publish = karere_proto::Publish::new("site/one", "x".repeat(room)).unwrap();
    talk.publishes_message(publish);
    assert_eq!(names(&mut talk), [name("site/one", None)]);
}
