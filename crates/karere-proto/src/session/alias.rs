//! Topic aliases for what this client sends: chosen by itself, in wire order, gone with the connection (§3.3.2.3.4).

use std::collections::HashMap;

use crate::{packet::Alias, topic::Topic};

/// A name this short is no longer than the property that would stand for it.
const NOT_WORTH_IT: usize = 3;

/// Valid for the connection: which topic has which alias. When all are taken, one that was not used lately gets a new
/// topic.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    maximum: u16,
    by_topic: HashMap<Topic, u16>,
    /// Alias n is entry n - 1.
    entries: Vec<Entry>,
    /// Where the search for a victim goes on.
    hand: usize,
}

#[derive(Debug)]
struct Entry {
    topic: Topic,
    used: bool,
}

impl Aliases {
    pub(super) fn new(maximum: u16) -> Self {
        Self { maximum, ..Self::default() }
    }

    /// How to name `topic` in the packet that is written next.
    pub(super) fn name(&mut self, topic: &Topic) -> Alias {
        if self.maximum == 0 || topic.as_bytes().len() <= NOT_WORTH_IT {
            return Alias::None;
        }
        if let Some(&alias) = self.by_topic.get(topic) {
            self.entries[usize::from(alias) - 1].used = true;
            return Alias::Use(alias);
        }
        // Held for the life of the connection: the buffer it came in, if it came in one, must not be.
        let topic = Topic::from_bytes(bytes::Bytes::copy_from_slice(topic.as_bytes())).expect("invariant: was a topic");
        let entry = Entry { topic: topic.clone(), used: true };
        let at = if self.entries.len() < usize::from(self.maximum) {
            self.entries.push(entry);
            self.entries.len() - 1
        } else {
            let at = self.victim();
            let old = core::mem::replace(&mut self.entries[at], entry);
            self.by_topic.remove(&old.topic);
            at
        };
        let alias = u16::try_from(at + 1).expect("invariant: at most the maximum");
        self.by_topic.insert(topic, alias);
        Alias::Set(alias)
    }

    /// The first entry from the hand on that was not used since the hand passed it last.
    fn victim(&mut self) -> usize {
        loop {
            let at = self.hand;
            self.hand = (at + 1) % self.entries.len();
            if !core::mem::replace(&mut self.entries[at].used, false) {
                return at;
            }
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
    fn a_topic_is_named_once_and_then_by_its_alias() {
        let mut aliases = Aliases::new(2);
        assert_eq!(aliases.name(&topic("site/1")), Alias::Set(1));
        assert_eq!(aliases.name(&topic("site/2")), Alias::Set(2));
        assert_eq!(aliases.name(&topic("site/1")), Alias::Use(1));
        assert_eq!(aliases.name(&topic("site/2")), Alias::Use(2));
    }

    #[test]
    fn when_all_are_taken_the_one_not_used_lately_is_set_anew() {
        let mut aliases = Aliases::new(2);
        aliases.name(&topic("site/1"));
        aliases.name(&topic("site/2"));
        assert_eq!(aliases.name(&topic("site/3")), Alias::Set(1));
        aliases.name(&topic("site/3"));
        assert_eq!(aliases.name(&topic("site/4")), Alias::Set(2), "site/3 was used since");
        assert_eq!(aliases.name(&topic("site/3")), Alias::Use(1));
        assert!(matches!(aliases.name(&topic("site/1")), Alias::Set(_)), "its alias went to another topic");
    }

    #[test]
    fn no_alias_is_used_where_none_is_allowed_or_gains_anything() {
        assert_eq!(Aliases::new(0).name(&topic("site/1")), Alias::None);
        assert_eq!(Aliases::new(9).name(&topic("a/b")), Alias::None);
    }

    #[test]
    fn aliases_stay_within_the_maximum_under_any_traffic() {
        let mut aliases = Aliases::new(7);
        for number in 0..1000u32 {
            let name = topic(&format!("site/{}", number.wrapping_mul(2_654_435_761) % 23));
            match aliases.name(&name) {
                Alias::Set(alias) | Alias::Use(alias) => assert!((1..=7).contains(&alias)),
                Alias::None => panic!("an alias is to be had"),
            }
            assert_eq!(aliases.by_topic.len(), aliases.entries.len());
        }
    }
}
