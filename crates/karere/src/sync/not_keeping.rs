//! A client without a store: nothing is kept, nothing waits.

use std::time::Instant;

use karere_proto::{Publish, session::Event};

use super::shared::{Core, Shared};

#[expect(clippy::unused_self, clippy::missing_const_for_fn, reason = "as with the feature `store`")]
impl Core {
    pub(super) fn hand_in(&mut self) {}

    pub(super) fn look_at_the_clock(&mut self, _: Instant, _: &Publish) {}

    pub(super) fn poll_event(&mut self, now: Instant) -> Option<Event> {
        self.session.poll_event(now)
    }

    pub(super) fn wants_telling(&self) -> bool {
        self.session.wants_telling()
    }

    pub(super) fn waits_for_store(&self) -> bool {
        false
    }
}

impl Shared {
    #[expect(clippy::unused_self, reason = "as with the feature `store`")]
    pub(super) fn finish_keeping(&self) {}
}
