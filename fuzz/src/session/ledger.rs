//! Does everything that was accepted end once, and every connection that was opened?

use karere_proto::{
    Token,
    session::{Event, Snapshot},
};
use std::collections::BTreeMap;

/// What the application was promised, and what it was told.
#[derive(Default)]
pub(super) struct Ledger {
    tokens: BTreeMap<Token, (Kind, Told)>,
    opened: usize,
    ended: usize,
    /// How often the end was asked for that comes at a time, with a connection or without.
    drains: usize,
}

/// What a token is the name of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Message,
    Request,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    Nothing,
    Outcome,
}

impl Ledger {
    pub(super) fn accepted(&mut self, token: Token, kind: Kind) {
        assert_eq!(self.tokens.insert(token, (kind, Told::Nothing)), None, "{token:?} was used before");
    }

    pub(super) const fn opened(&mut self) {
        self.opened += 1;
    }

    pub(super) const fn drains(&mut self) {
        self.drains += 1;
    }

    pub(super) fn hears(&mut self, event: &Event) {
        match event {
            Event::Published { token, outcome, .. } => {
                assert!(!outcome.to_string().is_empty());
                self.tell(*token, Kind::Message);
            }
            Event::Subscribed { token, .. } => {
                // Or the session has asked of its own accord, for what was granted before.
                self.tokens.entry(*token).or_insert((Kind::Request, Told::Nothing));
                self.tell(*token, Kind::Request);
            }
            Event::Unsubscribed { token, .. } => self.tell(*token, Kind::Request),
            Event::Disconnected(cause) => {
                assert!(!cause.to_string().is_empty());
                self.ended += 1;
                assert!(self.ended <= self.opened + self.drains, "a connection ended twice");
            }
            _ => {}
        }
    }

    /// Only what is durable is known to the next process; what it was told is known to the disk.
    pub(super) fn restarts(&mut self, snapshot: &Snapshot) {
        let in_flight = snapshot.in_flight.iter().filter(|flow| !flow.given_up).map(|flow| flow.seq);
        let known = snapshot.queued.keys().copied().chain(in_flight);
        self.tokens = known.map(|seq| (Token::from_u64(seq), (Kind::Message, Told::Nothing))).collect();
        self.ended = self.opened;
    }

    /// At the end, when there is no connection and everything was given up. Requests wait for a connection for ever.
    pub(super) fn check_all_told(&self) {
        assert!(self.ended >= self.opened, "the end of a connection was not told");
        for (token, entry) in &self.tokens {
            assert_ne!(*entry, (Kind::Message, Told::Nothing), "{token:?} has no outcome");
        }
    }

    fn tell(&mut self, token: Token, kind: Kind) {
        match self.tokens.get_mut(&token) {
            Some((of, told @ Told::Nothing)) if *of == kind => *told = Told::Outcome,
            entry => panic!("the outcome of {token:?}, a {kind:?}, was not expected: {entry:?}"),
        }
    }
}
