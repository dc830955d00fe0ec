//! Reaching one endpoint: its addresses, dialed one beside the other until the first one answers (RFC 8305).

use core::{net::SocketAddr, time::Duration};
use std::{collections::VecDeque, io, time::Instant};

use crate::{
    connector::Connector,
    endpoint::{Address, Endpoint},
    problem::{DialProblem, Failure},
    route::Server,
    service::Domain,
};

/// Names one thing a driver was asked to do. A link never gives the same twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt(u64);

/// What a driver shall do to reach the server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dial {
    /// Ask the application where to go and who to be; answer with [`crate::Link::handle_refreshed`].
    Refresh {
        /// To answer with.
        attempt: Attempt,
        /// What is known so far.
        server: Server,
    },
    /// Find the addresses of a host; answer with [`crate::Link::handle_resolved`].
    Resolve {
        /// To answer with.
        attempt: Attempt,
        /// The name.
        host: String,
        /// The port they shall have.
        port: u16,
    },
    /// Ask a domain's name servers for its SRV records; answer with [`crate::Link::handle_services`].
    Services {
        /// To answer with.
        attempt: Attempt,
        /// The name of the service, to stand before the domain: `_mqtt._tcp` or `_secure-mqtt._tcp`.
        service: &'static str,
        /// Whose.
        domain: Domain,
    },
    /// Let the application connect a socket; answer with [`crate::Link::handle_dialed`].
    Obtain {
        /// To answer with.
        attempt: Attempt,
        /// How.
        connector: Connector,
        /// Where to.
        endpoint: Endpoint,
    },
    /// Connect a new socket, beside those that are being connected; answer with [`crate::Link::handle_dialed`].
    Connect {
        /// To answer with.
        attempt: Attempt,
        /// Where to.
        address: Address,
    },
    /// Drop the socket of this attempt, if there is one: it took too long, or another one was faster.
    Abandon(Attempt),
}

/// What a link asks of its driver.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    queue: VecDeque<Dial>,
    last: u64,
}

impl Orders {
    pub(crate) const fn attempt(&mut self) -> Attempt {
        self.last += 1;
        Attempt(self.last)
    }

    pub(crate) fn push(&mut self, dial: Dial) {
        self.queue.push_back(dial);
    }

    pub(crate) fn pop(&mut self) -> Option<Dial> {
        self.queue.pop_front()
    }

    /// Takes an order back that the driver has not seen; else asks it to drop what came of it.
    pub(crate) fn abandon(&mut self, attempt: Attempt) {
        let before = self.queue.len();
        self.queue.retain(|dial| match dial {
            Dial::Refresh { attempt: of, .. }
            | Dial::Services { attempt: of, .. }
            | Dial::Obtain { attempt: of, .. }
            | Dial::Resolve { attempt: of, .. }
            | Dial::Connect { attempt: of, .. } => *of != attempt,
            Dial::Abandon(_) => true,
        });
        if self.queue.len() == before {
            self.push(Dial::Abandon(attempt));
        }
    }
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// From one address to the next beside it.
    pub(crate) delay: Duration,
    /// For a name's addresses, and for each address.
    pub(crate) timeout: Duration,
}

/// How dialing has ended: with the attempt that won, or not at all.
pub(crate) type Dialed = Result<Attempt, DialProblem>;

/// Reaches one endpoint.
#[derive(Debug)]
pub(crate) struct Dialer {
    pace: Pace,
    resolving: Option<(Attempt, Instant)>,
    /// What the name's addresses were, for when nobody says what they are.
    known: Vec<SocketAddr>,
    untried: VecDeque<Address>,
    trying: Vec<Trial>,
    /// When the next address may be dialed beside those that have not answered; then also when to look at them again,
    /// for loops that watch only the newest socket.
    next_start: Instant,
    failures: Vec<Failure>,
}

#[derive(Debug)]
struct Trial {
    attempt: Attempt,
    address: Address,
    deadline: Instant,
}

impl Dialer {
    /// Begins to reach `endpoint`.
    pub(crate) fn new(now: Instant, endpoint: &Endpoint, pace: Pace, orders: &mut Orders) -> Self {
        let (untried, resolving) = match endpoint {
            // A route goes to the servers of a domain, never to the domain: there is nothing to dial here.
            Endpoint::Service(_) => (VecDeque::new(), None),
            Endpoint::Unix(path) => (VecDeque::from([Address::Unix(path.clone())]), None),
            Endpoint::Tcp { host, port } => match host.parse() {
                Ok(ip) => (VecDeque::from([Address::Tcp(SocketAddr::new(ip, *port))]), None),
                Err(_) => {
                    let attempt = orders.attempt();
                    orders.push(Dial::Resolve { attempt, host: host.clone(), port: *port });
                    (VecDeque::new(), Some((attempt, now + pace.timeout)))
                }
            },
        };
        let mut dialer = Self {
            pace,
            resolving,
            known: Vec::new(),
            untried,
            trying: Vec::new(),
            next_start: now,
            failures: Vec::new(),
        };
        dialer.start_next(now, orders);
        dialer
    }

    /// As it is, and it dials these addresses when the name cannot be resolved.
    pub(crate) fn with_known(mut self, addresses: Vec<SocketAddr>) -> Self {
        self.known = addresses;
        self
    }

    /// The addresses of the host, or why there are none.
    pub(crate) fn handle_resolved(
        &mut self,
        now: Instant,
        attempt: Attempt,
        outcome: io::Result<Vec<SocketAddr>>,
        orders: &mut Orders,
    ) -> Option<Dialed> {
        self.resolving.take_if(|(asked, _)| *asked == attempt)?; // else the answer comes too late
        match outcome {
            Ok(addresses) if addresses.is_empty() => Some(Err(DialProblem::NoAddress)),
            Ok(addresses) => {
                self.untried = interleaved(addresses);
                self.start_next(now, orders);
                None
            }
            Err(error) => self.unresolved(now, error, orders),
        }
    }

    /// The name cannot be resolved: its addresses are what they were, or not known.
    fn unresolved(&mut self, now: Instant, error: io::Error, orders: &mut Orders) -> Option<Dialed> {
        if self.known.is_empty() {
            return Some(Err(DialProblem::Resolve(error)));
        }
        self.untried = interleaved(core::mem::take(&mut self.known));
        self.start_next(now, orders)
    }

    /// A socket is connected, or why it is not.
    pub(crate) fn handle_dialed(
        &mut self,
        now: Instant,
        attempt: Attempt,
        outcome: io::Result<()>,
        orders: &mut Orders,
    ) -> Option<Dialed> {
        let at = self.trying.iter().position(|trial| trial.attempt == attempt)?;
        let trial = self.trying.swap_remove(at);
        match outcome {
            Ok(()) => {
                self.abandon(orders);
                Some(Ok(attempt))
            }
            Err(error) => {
                self.failures.push(Failure { address: trial.address, error });
                self.next_start = now; // RFC 8305, section 5: a failure does not wait for the delay
                self.start_next(now, orders)
            }
        }
    }

    /// Acts on a deadline that has come.
    pub(crate) fn handle_timeout(&mut self, now: Instant, orders: &mut Orders) -> Option<Dialed> {
        if let Some((attempt, _)) = self.resolving.take_if(|(_, deadline)| *deadline <= now) {
            orders.abandon(attempt);
            let timeout = io::Error::new(io::ErrorKind::TimedOut, "the name server did not answer in time");
            return self.unresolved(now, timeout, orders);
        }
        for trial in self.trying.extract_if(.., |trial| trial.deadline <= now) {
            orders.abandon(trial.attempt);
            let error = io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
            self.failures.push(Failure { address: trial.address, error });
        }
        self.start_next(now, orders)
    }

    /// True while this is the question for the addresses.
    pub(crate) fn is_resolving(&self, attempt: Attempt) -> bool {
        self.resolving.is_some_and(|(asked, _)| asked == attempt)
    }

    /// When to call [`Dialer::handle_timeout`] at the latest.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let looks = !self.untried.is_empty() || self.trying.len() != 1;
        let next = Some(self.next_start).filter(|_| looks && self.resolving.is_none());
        let trials = self.trying.iter().map(|trial| trial.deadline);
        trials.chain(next).chain(self.resolving.map(|(_, deadline)| deadline)).min()
    }

    /// Gives up everything that has not ended.
    pub(crate) fn abandon(&mut self, orders: &mut Orders) {
        if let Some((attempt, _)) = self.resolving.take() {
            orders.abandon(attempt);
        }
        for trial in self.trying.drain(..) {
            orders.abandon(trial.attempt);
        }
        self.untried.clear();
    }

    /// Dials the next address, if it is time; tells when none is left.
    fn start_next(&mut self, now: Instant, orders: &mut Orders) -> Option<Dialed> {
        if self.resolving.is_some() {
            return None;
        }
        if self.trying.is_empty() || self.next_start <= now {
            self.next_start = now + self.pace.delay;
            match self.untried.pop_front() {
                Some(address) => {
                    let attempt = orders.attempt();
                    orders.push(Dial::Connect { attempt, address: address.clone() });
                    self.trying.push(Trial { attempt, address, deadline: now + self.pace.timeout });
                }
                None if self.trying.is_empty() => {
                    return Some(Err(DialProblem::Refused(core::mem::take(&mut self.failures))));
                }
                None => {}
            }
        }
        None
    }
}

/// The families take turns, the one that the resolver prefers first (RFC 8305, section 4). An address is tried once.
fn interleaved(addresses: Vec<SocketAddr>) -> VecDeque<Address> {
    let preferred = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let mut seen = std::collections::HashSet::with_capacity(addresses.len());
    let (mut first, mut second) = addresses
        .into_iter()
        .filter(|address| seen.insert(*address))
        .partition::<VecDeque<_>, _>(|address| address.is_ipv6() == preferred);
    let mut order = VecDeque::with_capacity(first.len() + second.len());
    while !(first.is_empty() && second.is_empty()) {
        order.extend(first.pop_front().into_iter().chain(second.pop_front()).map(Address::Tcp));
    }
    order
}
