//! Deadlines that outlive the process: what the wall clock says at an instant.

use std::time::{Instant, SystemTime};

use super::queue::lifetime;
use crate::packet::Publish;

/// An instant, and the time of day then, if it is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    now: Instant,
    wall: Option<SystemTime>,
}

impl Clock {
    pub(super) const fn new(now: Instant, wall: Option<SystemTime>) -> Self {
        Self { now, wall }
    }

    /// The time of day at an instant that lies ahead.
    pub(super) fn wall_at(self, at: Instant) -> Option<SystemTime> {
        // One that the wall clock cannot say is as good as never.
        self.wall?.checked_add(at.saturating_duration_since(self.now))
    }

    /// When a message of an earlier process expires. A wall clock that was set back, or does not run yet, gives it no more
    /// than its whole lifetime again.
    pub(super) fn expiry(self, publish: &Publish, deadline: Option<SystemTime>) -> Option<Instant> {
        let whole = lifetime(publish)?;
        let left = match (self.wall, deadline) {
            (Some(wall), Some(deadline)) => deadline.duration_since(wall).unwrap_or_default().min(whole),
            (None, _) | (_, None) => whole,
        };
        Some(self.now + left)
    }
}
