//! Retained messages: the last one of each topic (§3.3.1.3).

use std::{collections::BTreeMap, time::Instant};

use karere_proto::{Filter, Topic};

use crate::message::Message;

/// The retained message of each topic that has one.
#[derive(Debug, Default)]
pub(crate) struct Retained {
    messages: BTreeMap<Topic, Message>,
}

impl Retained {
    /// Keeps `message`, or clears its topic when the payload is empty [MQTT-3.3.1-6].
    pub(crate) fn store(&mut self, message: &Message) {
        let message = message.detached();
        if message.publish.payload.is_empty() {
            self.messages.remove(&message.publish.topic);
        } else {
            self.messages.insert(message.publish.topic.clone(), message);
        }
    }

    /// The messages that match `filter`, by topic; those that expired are dropped.
    pub(crate) fn matching(&mut self, now: Instant, filter: &Filter) -> Vec<Message> {
        self.messages.retain(|_, message| !message.is_expired(now));
        if filter.has_wildcard() {
            let matching = self.messages.values().filter(|message| filter.matches(message.publish.topic.as_str()));
            return matching.cloned().collect();
        }
        let topic = Topic::new(filter.pattern()).ok();
        topic.and_then(|topic| self.messages.get(&topic)).cloned().into_iter().collect()
    }

    pub(crate) fn get(&self, now: Instant, topic: &Topic) -> Option<&Message> {
        self.messages.get(topic).filter(|message| !message.is_expired(now))
    }

    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }
}
