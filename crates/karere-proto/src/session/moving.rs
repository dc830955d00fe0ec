//! Leaving for a better server: nothing new is begun, what was begun is ended, then DISCONNECT.

use std::time::Instant;

use super::{Cause, Phase, Session, Timer};
use crate::packet::Disconnect;

impl Session {
    /// Ends the connection with DISCONNECT and [`Cause::Moving`] at the first moment in which nothing is in flight and
    /// nothing is to be answered, in either direction. The session goes along, as it does when a connection is lost.
    ///
    /// Until then no new message of QoS 1 or 2 and no new SUBSCRIBE or UNSUBSCRIBE is begun: they wait for the next server,
    /// within the limits of the queue. When there was no such moment at `deadline`, the connection stays and all goes on.
    ///
    /// Without a connection, or while it drains, there is nothing to do. [`Session::disconnect`] and
    /// [`Session::disconnect_when_drained`] take the place of this; a connection that ends otherwise ends it too.
    pub fn leave_when_quiet(&mut self, now: Instant, deadline: Instant) {
        self.now = now;
        if !matches!(self.phase, Phase::Online) || self.state.outbound.drain.is_some() {
            return;
        }
        self.wire.leaves = true;
        self.timers.set(Timer::Leave, deadline);
        // What has arrived is told first: at QoS 0 nobody would send it again.
        if self.wire.input.is_empty() {
            self.check_leaving();
        }
    }

    /// Leaves if it may. All that has arrived must have been told.
    pub(super) fn check_leaving(&mut self) {
        let lasts = matches!(self.phase, Phase::Online) && self.wire.ended.is_none();
        if self.wire.leaves && lasts && self.is_quiet() && !self.wire.re_authenticates {
            self.close(Cause::Moving, Some(Disconnect::NORMAL));
        }
    }

    /// Gives up leaving: what has waited meanwhile is begun.
    pub(super) fn stay(&mut self) {
        if core::mem::replace(&mut self.wire.leaves, false) {
            self.timers.stop(Timer::Leave);
            self.pump();
        }
    }

    /// True when nothing is in flight and nothing is to be answered, in either direction.
    pub(super) fn is_quiet(&self) -> bool {
        self.state.outbound.slots.is_empty() && self.wire.deliveries.is_answered()
    }
}
