//! Deadlines of a session, by purpose.

use std::time::Instant;

/// What a session waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// When to give up waiting for CONNACK (§3.2).
    ConnAck = 0,
    /// When to look whether a PINGREQ is due (§3.1.2.10).
    KeepAlive = 1,
    /// When to give up on a server that does not answer PINGREQ.
    PingResp = 2,
    /// When to look whether the server acknowledges anything.
    Stalled = 3,
    /// When to stop waiting for the queue to drain before DISCONNECT.
    Drain = 4,
    /// When to look for messages that have expired while they waited.
    Expiry = 5,
    /// When to stop waiting for a moment of rest in which to leave for a better server.
    Leave = 6,
}

impl Timer {
    const ALL: [Self; 7] =
        [Self::ConnAck, Self::KeepAlive, Self::PingResp, Self::Stalled, Self::Drain, Self::Expiry, Self::Leave];
    /// Those that are valid for one connection.
    const OF_CONNECTION: [Self; 5] = [Self::ConnAck, Self::KeepAlive, Self::PingResp, Self::Stalled, Self::Leave];
}

/// The deadline of each timer that runs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TimerTable {
    deadlines: [Option<Instant>; Timer::ALL.len()],
}

impl TimerTable {
    pub(super) const fn set(&mut self, timer: Timer, deadline: Instant) {
        self.deadlines[timer as usize] = Some(deadline);
    }

    pub(super) const fn stop(&mut self, timer: Timer) {
        self.deadlines[timer as usize] = None;
    }

    /// Stops those that are valid for one connection.
    pub(super) fn stop_connection(&mut self) {
        for timer in Timer::OF_CONNECTION {
            self.stop(timer);
        }
    }

    pub(super) const fn is_set(&self, timer: Timer) -> bool {
        self.deadlines[timer as usize].is_some()
    }

    /// Takes one timer whose deadline has come; it no longer runs.
    pub(super) fn take_expired(&mut self, now: Instant) -> Option<Timer> {
        let timer = Timer::ALL.into_iter().find(|&timer| self.deadlines[timer as usize].is_some_and(|at| at <= now))?;
        self.stop(timer);
        Some(timer)
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.deadlines.iter().flatten().min().copied()
    }
}
