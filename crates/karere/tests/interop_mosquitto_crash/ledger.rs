//! What was promised and what came of it, kept in a process that is not killed.

use std::collections::{BTreeMap, BTreeSet};

use karere::QoS;

use super::qos_of;

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Numbers by token, of messages that were reported as durable.
    tokens: BTreeMap<u64, u64>,
    durable: BTreeSet<u64>,
    done: BTreeSet<u64>,
    /// What the client was given and has begun to acknowledge: it may be on the disk, or come again.
    keeping: BTreeSet<u64>,
    /// And has reported as kept.
    kept: BTreeSet<u64>,
    got: u64,
    /// How often the observer saw what the client published.
    seen: BTreeMap<u64, u64>,
    /// What the server has taken for the client.
    offered: BTreeSet<u64>,
    pub(crate) found: Found,
}

/// What must not be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Reported as durable, and never arrived.
    pub(crate) lost: Vec<u64>,
    /// Reported as done, and owed again by the next process.
    pub(crate) sent_again: Vec<u64>,
    /// Published at QoS 2, and arrived twice.
    pub(crate) doubled_out: Vec<u64>,
    /// Kept at QoS 2, and delivered again.
    pub(crate) doubled_in: Vec<u64>,
    /// Taken by the server, and never acknowledged by the client.
    pub(crate) lost_in: Vec<u64>,
}

impl Ledger {
    /// A line that the client has told.
    pub(crate) fn hear(&mut self, line: &str) {
        let mut words = line.split(' ');
        let what = words.next().unwrap_or_default();
        let mut number = || words.next().unwrap().parse::<u64>().unwrap();
        match what {
            "owed" => {
                let number = number();
                if self.done.contains(&number) {
                    self.found.sent_again.push(number);
                }
            }
            "durable" => {
                let (number, token) = (number(), number());
                self.durable.insert(number);
                self.tokens.insert(token, number);
            }
            "done" => {
                // Some are done before their line says that they are durable: those do not count.
                let token = number();
                self.done.extend(self.tokens.get(&token));
            }
            "got" => {
                let number = number();
                self.got += 1;
                if qos_of(number) == QoS::ExactlyOnce && self.kept.contains(&number) {
                    self.found.doubled_in.push(number);
                }
            }
            "keeping" => drop(self.keeping.insert(number())),
            "kept" => drop(self.kept.insert(number())),
            other => assert!(matches!(other, "subscribed" | "idle"), "{line}"),
        }
    }

    /// The observer saw a message of the client.
    pub(crate) fn see(&mut self, number: u64) {
        *self.seen.entry(number).or_default() += 1;
    }

    /// The server has taken a message for the client.
    pub(crate) fn offer(&mut self, number: u64) {
        self.offered.insert(number);
    }

    /// True when all has arrived that has to.
    pub(crate) fn is_complete(&self) -> bool {
        self.durable.iter().all(|number| self.seen.contains_key(number)) && self.offered.is_subset(&self.keeping)
    }

    /// What must not be, all in all.
    pub(crate) fn close(&mut self) -> Found {
        let mut found = core::mem::take(&mut self.found);
        found.lost = self.durable.iter().copied().filter(|number| !self.seen.contains_key(number)).collect();
        let twice = self.seen.iter().filter(|&(&number, &times)| times > 1 && qos_of(number) == QoS::ExactlyOnce);
        found.doubled_out = twice.map(|(&number, _)| number).collect();
        found.lost_in = self.offered.difference(&self.keeping).copied().collect();
        found
    }

    pub(crate) fn summary(&self) -> String {
        let Self { durable, done, kept, keeping, got, seen, offered, .. } = self;
        let twice = seen.values().filter(|&&times| times > 1).count();
        format!(
            "{} durable, {} done, {} seen ({twice} more than once), {} offered, {} acknowledged, {} kept, {got} delivered",
            durable.len(),
            done.len(),
            seen.len(),
            offered.len(),
            keeping.len(),
            kept.len()
        )
    }
}

#[test]
fn the_ledger_finds_each_kind_of_mistake() {
    let mut ledger = Ledger::default();
    for line in ["durable 1 10", "durable 2 11", "done 11", "owed 2", "owed 1", "keeping 4", "got 4", "kept 4", "got 4"]
    {
        ledger.hear(line);
    }
    for number in [2, 2, 3, 3] {
        ledger.see(number);
    }
    ledger.offer(4);
    ledger.offer(5);
    let found = ledger.close();
    assert_eq!(
        found,
        Found { lost: vec![1], sent_again: vec![2], doubled_out: vec![2], doubled_in: vec![4], lost_in: vec![5] }
    );
}
