//! Looking for a better server while a lesser one serves, and going back to it.

use core::time::Duration;
use std::{collections::VecDeque, time::Instant};

use karere_proto::Session;

use crate::{
    backoff::{Jitter, Rng},
    dialer::{Dialed, Dialer, Orders, Pace},
    route::{Route, Server},
};

/// How long what is in flight may take to be acknowledged before the move is put off.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a connection stands between a lesser server and a better one.
#[derive(Debug)]
pub(super) enum FailBack {
    /// There is no better server, or it is not wanted.
    Off,
    /// The better ones are asked at this time.
    Resting { until: Instant, every: Duration },
    /// They are being dialed, one after the other; the socket is dropped again.
    Probing { dialer: Dialer, others: VecDeque<Server>, every: Duration },
    /// One has answered: the session is to leave.
    Answered { every: Duration },
    /// The session has been asked to leave when nothing is in flight, until then.
    Leaving { until: Instant, every: Duration },
}

impl FailBack {
    /// Looks for a better server after `every`, and again as often.
    pub(super) fn after(now: Instant, every: Option<Duration>, jitter: Jitter, rng: &mut Rng) -> Self {
        let Some(every) = every else {
            return Self::Off;
        };
        // Up to a quarter more, drawn once: a thousand clients that lost a server together do not come back together.
        let every = match jitter {
            Jitter::None => every,
            Jitter::Uniform => {
                let spread = u64::try_from(every.as_nanos() / 4).unwrap_or(u64::MAX - 1);
                every + Duration::from_nanos(rng.below(spread + 1))
            }
        };
        Self::Resting { until: now + every, every }
    }

    pub(super) const fn dialer(&mut self) -> Option<&mut Dialer> {
        match self {
            Self::Probing { dialer, .. } => Some(dialer),
            _ => None,
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Off | Self::Answered { .. } => None,
            Self::Resting { until, .. } | Self::Leaving { until, .. } => Some(*until),
            Self::Probing { dialer, .. } => dialer.poll_timeout(),
        }
    }

    pub(super) fn handle_timeout(
        &mut self,
        now: Instant,
        pace: Pace,
        route: &Route,
        rng: &mut Rng,
        orders: &mut Orders,
    ) {
        match self {
            Self::Resting { every, .. } => {
                let every = *every;
                self.probe(now, pace, route.better(rng), every, orders);
            }
            // The session was not quiet in time, and goes on here.
            Self::Leaving { every, .. } => *self = Self::Resting { until: now + *every, every: *every },
            Self::Probing { dialer, .. } => {
                if let Some(dialed) = dialer.handle_timeout(now, orders) {
                    self.handle_dialed(now, pace, &dialed, orders);
                }
            }
            Self::Off | Self::Answered { .. } => {}
        }
    }

    /// A better server has answered, or does not.
    pub(super) fn handle_dialed(&mut self, now: Instant, pace: Pace, dialed: &Dialed, orders: &mut Orders) {
        if let Self::Probing { others, every, .. } = self {
            let every = *every;
            if dialed.is_ok() {
                *self = Self::Answered { every };
            } else {
                let others = core::mem::take(others);
                self.probe(now, pace, others, every, orders);
            }
        }
    }

    /// Asks the session to leave, once.
    pub(super) fn act_on(&mut self, now: Instant, session: &mut Session) {
        if let Self::Answered { every } = self {
            let until = now + PATIENCE;
            session.leave_when_quiet(now, until);
            *self = Self::Leaving { until, every: *every };
        }
    }

    pub(super) fn abandon(&mut self, orders: &mut Orders) {
        if let Self::Probing { dialer, .. } = self {
            dialer.abandon(orders);
        }
        *self = Self::Off;
    }

    fn probe(&mut self, now: Instant, pace: Pace, mut servers: VecDeque<Server>, every: Duration, orders: &mut Orders) {
        *self = match servers.pop_front() {
            Some(server) => {
                let dialer = Dialer::new(now, &server.endpoint, pace, orders);
                Self::Probing { dialer, others: servers, every }
            }
            None => Self::Resting { until: now + every, every },
        };
    }
}
