//! What went wrong below MQTT, for people who wonder why a client does not get in.

use core::fmt;
use std::collections::VecDeque;

use super::address::Address;
use crate::connection::ConnectionId;

/// A connection on which TLS or WebSocket went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trouble {
    /// Where it came in.
    pub address: Address,
    /// Which it was.
    pub connection: ConnectionId,
    /// What went wrong; a text for people.
    pub why: String,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: {}", self.connection, self.address, self.why)
    }
}

/// The last of them.
#[derive(Default)]
pub(super) struct Troubles {
    kept: VecDeque<Trouble>,
}

/// Enough to look at, little enough to forget about.
const MOST: usize = 100;

impl Troubles {
    pub(super) fn add(&mut self, trouble: Trouble) {
        if self.kept.len() == MOST {
            self.kept.pop_front();
        }
        self.kept.push_back(trouble);
    }

    pub(super) fn list(&self) -> Vec<Trouble> {
        self.kept.iter().cloned().collect()
    }
}
