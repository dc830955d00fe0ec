//! Keep alive: PINGREQ when nothing was sent, and the end of a server that does not answer (§3.1.2.10, §3.12).
//!
//! Only sent bytes count for PINGREQ: a busy subscriber must ping too. Any received byte shows that the server lives.

use core::time::Duration;
use std::time::Instant;

use super::{Cause, Phase, Session, Timer, Trace};
use crate::packet::{PINGREQ, Packet};

/// PINGREQ leaves this part of the interval early, so that the gap between two packets never exceeds it.
const MARGIN: u32 = 20;

impl Session {
    /// Starts the clock at CONNECT, the last packet sent: CONNACK may have taken its time.
    pub(super) fn arm_keep_alive(&mut self) {
        if let Some(interval) = self.ping_interval() {
            self.timers.set(Timer::KeepAlive, self.wire.last_sent + interval);
        }
    }

    /// Looks whether a PINGREQ is due; the timer runs from whenever it was armed, not from the last packet, so that
    /// sending costs nothing.
    pub(super) fn keep_alive_due(&mut self, now: Instant) {
        let (Some(interval), Phase::Online) = (self.ping_interval(), &self.phase) else {
            return;
        };
        let due = self.wire.last_sent + interval;
        if now < due {
            self.timers.set(Timer::KeepAlive, due);
            return;
        }
        if self.unsent() > 0 {
            // A packet is being written; the interval counts from its end. A transport that takes nothing while the
            // server says nothing is dead.
            let patience = interval + self.config.ping_timeout;
            let dead = self.wire.last_sent.max(self.wire.last_received) + patience;
            if now >= dead {
                self.close(Cause::KeepAliveTimeout, None);
            } else {
                // The write may end at any moment, and the next PINGREQ is due an interval later.
                self.timers.set(Timer::KeepAlive, dead.min(now + interval));
            }
            return;
        }
        self.traced(|| Trace::Sending(Packet::PingReq));
        self.wire.output.put_slice(&PINGREQ);
        self.timers.set(Timer::KeepAlive, now + interval);
        if !self.timers.is_set(Timer::PingResp) {
            self.timers.set(Timer::PingResp, now + self.ping_timeout());
        }
    }

    /// No PINGRESP came; but a server that sends anything at all lives.
    pub(super) fn ping_overdue(&mut self, now: Instant) {
        let dead = self.wire.last_received + self.ping_timeout();
        if now < dead {
            self.timers.set(Timer::PingResp, dead);
        } else {
            // Without DISCONNECT 0x00, which would delete the will.
            self.close(Cause::KeepAliveTimeout, None);
        }
    }

    /// Starts to watch whether the server acknowledges anything, where that is asked for.
    pub(super) fn arm_stalled(&mut self) {
        self.wire.last_answer = self.now;
        if let Some(timeout) = self.config.ack_timeout {
            self.timers.set(Timer::Stalled, self.now + timeout);
        }
    }

    /// Something is about to wait for an acknowledgement; when nothing did before, patience begins now.
    pub(super) fn note_request(&mut self) {
        if self.state.outbound.slots.is_empty() {
            self.wire.last_answer = self.now;
        }
    }

    /// Looks whether what waits for acknowledgements has made progress.
    pub(super) fn stalled_due(&mut self, now: Instant) {
        let (Some(timeout), Phase::Online) = (self.config.ack_timeout, &self.phase) else {
            return;
        };
        if self.state.outbound.slots.is_empty() {
            self.timers.set(Timer::Stalled, now + timeout);
            return;
        }
        let due = self.wire.last_answer + timeout;
        if now < due {
            self.timers.set(Timer::Stalled, due);
        } else {
            self.close(Cause::AckTimeout, None);
        }
    }

    fn ping_interval(&self) -> Option<Duration> {
        let keep_alive = self.wire.negotiated.keep_alive;
        (!keep_alive.is_zero()).then(|| keep_alive - keep_alive / MARGIN)
    }

    fn ping_timeout(&self) -> Duration {
        self.config.ping_timeout.min(self.wire.negotiated.keep_alive)
    }
}
