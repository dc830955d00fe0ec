//! Deadlines: which there are, and which comes first.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use crate::{connection::ConnectionId, session::SessionId};

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// CONNECT has not come.
    Connect(ConnectionId),
    /// A fault holds something back.
    Fault(ConnectionId),
    /// Nothing was heard from the client [MQTT-3.1.2-22].
    KeepAlive(ConnectionId),
    /// A session without a connection ends (§3.1.2.11.2).
    SessionExpiry(SessionId),
    /// A will that was held back is due (§3.1.3.2.2).
    WillDelay(SessionId),
}

/// All deadlines. Equal ones come in the order of [`Timer`], so that runs repeat.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    queue: BTreeSet<(Instant, Timer)>,
    armed: BTreeMap<Timer, Instant>,
}

impl Timers {
    pub(crate) fn set(&mut self, timer: Timer, deadline: Instant) {
        self.stop(timer);
        self.armed.insert(timer, deadline);
        self.queue.insert((deadline, timer));
    }

    pub(crate) fn stop(&mut self, timer: Timer) {
        if let Some(deadline) = self.armed.remove(&timer) {
            self.queue.remove(&(deadline, timer));
        }
    }

    /// Takes the first deadline out that `now` has reached.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Timer> {
        let &(deadline, timer) = self.queue.first()?;
        if deadline > now {
            return None;
        }
        self.stop(timer);
        Some(timer)
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.queue.first().map(|&(deadline, _)| deadline)
    }
}
