//! Topic aliases as an application of paho's sets them: in the properties of its messages.
//!
//! The session chooses its own aliases on the wire. What the application says is undone here, so that a message that is
//! sent again on another connection is whole.

use std::collections::HashMap;

use karere_proto::Topic;

/// Valid for the connection: which topic an alias stands for.
#[derive(Debug, Default)]
pub(crate) struct Aliases(HashMap<u16, Topic>);

impl Aliases {
    /// The topic that is meant.
    pub(crate) fn resolve(&mut self, topic: Option<Topic>, alias: Option<u16>) -> Result<Topic, NoTopic> {
        match (topic, alias) {
            (Some(topic), None) => Ok(topic),
            (Some(topic), Some(alias)) => {
                self.0.insert(alias, topic.clone());
                Ok(topic)
            }
            (None, Some(alias)) => self.0.get(&alias).cloned().ok_or(NoTopic::Unknown(alias)),
            (None, None) => Err(NoTopic::Empty),
        }
    }

    /// The connection has ended.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Why there is no topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoTopic {
    /// Neither topic nor alias.
    Empty,
    /// This alias stands for nothing.
    Unknown(u16),
}

impl core::fmt::Display for NoTopic {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Empty => f.write_str("Invalid topic."),
            Self::Unknown(alias) => write!(
                f,
                "Topic alias {alias} stands for no topic on this connection: publish once with both topic and alias."
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str) -> Topic {
        Topic::new(name).expect("legal topic")
    }

    #[test]
    fn an_alias_stands_for_the_topic_it_was_given_last() {
        let mut aliases = Aliases::default();
        assert_eq!(aliases.resolve(None, Some(3)), Err(NoTopic::Unknown(3)));
        assert_eq!(aliases.resolve(Some(topic("a")), Some(3)), Ok(topic("a")));
        assert_eq!(aliases.resolve(None, Some(3)), Ok(topic("a")));
        assert_eq!(aliases.resolve(Some(topic("b")), Some(3)), Ok(topic("b")));
        assert_eq!(aliases.resolve(None, Some(3)), Ok(topic("b")));
        assert_eq!(aliases.resolve(None, Some(4)), Err(NoTopic::Unknown(4)));
    }

    #[test]
    fn an_alias_is_gone_with_its_connection() {
        let mut aliases = Aliases::default();
        assert!(aliases.resolve(Some(topic("a")), Some(1)).is_ok());
        aliases.clear();
        assert_eq!(aliases.resolve(None, Some(1)), Err(NoTopic::Unknown(1)));
    }

    #[test]
    fn no_topic_and_no_alias_is_an_invalid_topic() {
        let error = Aliases::default().resolve(None, None);
        assert_eq!(error.map_err(|why| why.to_string()), Err("Invalid topic.".to_owned()));
    }
}
