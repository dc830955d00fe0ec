//! Asking which servers stand for a domain, before the round goes on with them.

use std::time::Instant;

use super::{Event, Link, Phase};
use crate::{
    class::Class,
    dialer::{Attempt, Dial},
    problem::{DialError, DialProblem},
    service::{Domain, ServiceProblem, ServiceRecord},
};

impl Link {
    /// The SRV records of the domain, or why there are none.
    pub fn handle_services(
        &mut self,
        now: Instant,
        attempt: Attempt,
        outcome: Result<Vec<ServiceRecord>, ServiceProblem>,
    ) {
        if !matches!(self.phase, Phase::Asking { attempt: asked, .. } if asked == attempt) {
            return; // given up meanwhile
        }
        self.phase = Phase::Idle;
        self.services(now, outcome);
    }

    pub(super) fn ask_services(&mut self, now: Instant, domain: Domain) {
        let Some(service) = self.route.current().transport.service_name() else {
            return self.fail(now, DialProblem::Services(ServiceProblem::NoServiceName));
        };
        let attempt = self.orders.attempt();
        self.orders.push(Dial::Services { attempt, service, domain });
        self.phase = Phase::Asking { attempt, deadline: now + self.policy.connect_timeout };
    }

    pub(super) fn services_timed_out(&mut self, now: Instant) {
        self.enter(Phase::Idle);
        self.services(now, Err(ServiceProblem::timed_out()));
    }

    /// Goes on with the servers of a domain: those that it has, or had when its name server last answered.
    fn services(&mut self, now: Instant, outcome: Result<Vec<ServiceRecord>, ServiceProblem>) {
        match outcome.and_then(|records| self.route.current().named(records)) {
            Ok(servers) => self.route.learn(servers),
            Err(problem @ ServiceProblem::NoAnswer(_)) if self.route.knows() => {
                let endpoint = self.endpoint().clone();
                self.events.push_back(Event::Outdated(DialError { endpoint, problem: DialProblem::Services(problem) }));
            }
            Err(problem) => {
                self.route.forget();
                return self.fail(now, DialProblem::Services(problem));
            }
        }
        if self.route.enter(&mut self.rng) {
            self.attempt(now);
        } else {
            self.wait(now, Class::Elsewhere);
        }
    }
}
