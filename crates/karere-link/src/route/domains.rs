//! Domains on a route: the servers that stand for them, and which of those are better than the present one.

use core::net::SocketAddr;
use std::{collections::VecDeque, sync::Arc};

use super::{Rank, Route, Server, drawn};
use crate::{backoff::Rng, endpoint::Endpoint};

/// What the name servers of a domain have said last.
#[derive(Debug)]
pub(super) struct Known {
    domain: Server,
    servers: Vec<Server>,
    /// Where those of them were that have been dialed: who cannot ask for records cannot ask for addresses either.
    addresses: Vec<(Endpoint, Vec<SocketAddr>)>,
}

impl Server {
    /// A server at `endpoint` that stands for this one, which is a domain: spoken to in the same way, as the same client.
    pub(crate) fn standing_for(&self, endpoint: Endpoint, rank: Rank) -> Self {
        Self { endpoint, rank, domain: Some(Arc::new(self.clone())), ..self.clone() }
    }
}

impl Route {
    /// Notes which servers stand for the domain that it is the turn of.
    pub(crate) fn learn(&mut self, servers: Vec<Server>) {
        let domain = &self.current;
        let before = self.known.iter_mut().find(|known| known.domain == *domain);
        let mut addresses = before.map_or_else(Vec::new, |known| core::mem::take(&mut known.addresses));
        addresses.retain(|(endpoint, _)| servers.iter().any(|server| server.endpoint == *endpoint));
        self.forget();
        self.known.push(Known { domain: self.current.clone(), servers, addresses });
    }

    /// Notes the addresses of the present server, if it stands for a domain.
    pub(crate) fn learn_addresses(&mut self, found: &[SocketAddr]) {
        let Some(domain) = self.current.domain.clone() else {
            return;
        };
        if let Some(known) = self.known.iter_mut().find(|known| known.domain == *domain) {
            known.addresses.retain(|(endpoint, _)| *endpoint != self.current.endpoint);
            known.addresses.push((self.current.endpoint.clone(), found.to_vec()));
        }
    }

    /// The addresses that the present server had last, if it stands for a domain.
    pub(crate) fn known_addresses(&self) -> Option<&[SocketAddr]> {
        let domain = self.current.domain.as_deref()?;
        let known = self.known.iter().find(|known| known.domain == *domain)?;
        let (_, addresses) = known.addresses.iter().find(|(endpoint, _)| *endpoint == self.current.endpoint)?;
        Some(addresses)
    }

    /// Forgets which servers stood for the domain that it is the turn of.
    pub(crate) fn forget(&mut self) {
        let domain = &self.current;
        self.known.retain(|known| known.domain != *domain);
    }

    /// True when it is known which servers stand for the domain that it is the turn of, or stood for it.
    pub(crate) fn knows(&self) -> bool {
        !self.of(&self.current).is_empty()
    }

    /// Goes to the first of the servers that stand for the domain that it is the turn of. Those that have sent the client
    /// away since the last stable connection come last in the round; false when nobody else is left: then it is time to
    /// wait.
    pub(crate) fn enter(&mut self, rng: &mut Rng) -> bool {
        let servers = self.places(drawn(self.of(&self.current), rng));
        let (behind, fresh) =
            servers.into_iter().partition::<VecDeque<_>, _>(|server| self.visited.contains(&server.endpoint));
        for server in fresh.into_iter().rev() {
            self.left.push_front(server);
        }
        self.left.extend(behind);
        self.advance() && !self.visited.contains(&self.current.endpoint)
    }

    /// Servers of a better priority than the present one, in the order in which to try them. A domain is as good as its
    /// own rank says; among its servers their ranks decide. Of domains, those that were known last.
    pub(crate) fn better(&self, rng: &mut Rng) -> VecDeque<Server> {
        let mut better = VecDeque::new();
        for server in drawn(&self.servers, rng).into_iter().filter(|server| server.rank.priority < self.priority()) {
            match server.endpoint {
                Endpoint::Service(_) => better.extend(drawn(self.of(&server), rng)),
                Endpoint::Tcp { .. } | Endpoint::Unix(_) => better.push_back(server),
            }
        }
        let siblings = drawn(self.siblings(), rng).into_iter();
        better.extend(siblings.filter(|server| server.rank.priority < self.current.rank.priority));
        better
    }

    /// True when there is a server of a better priority than the present one.
    pub(crate) fn has_better(&self) -> bool {
        let better = |server: &Server| match server.endpoint {
            Endpoint::Service(_) => !self.of(server).is_empty(),
            Endpoint::Tcp { .. } | Endpoint::Unix(_) => true,
        };
        self.servers.iter().filter(|server| server.rank.priority < self.priority()).any(better)
            || self.siblings().iter().any(|server| server.rank.priority < self.current.rank.priority)
    }

    /// The priority among the configured servers: of the domain, if the present server stands for one.
    fn priority(&self) -> u16 {
        self.current.domain.as_ref().map_or(self.current.rank, |domain| domain.rank).priority
    }

    /// The servers that stand for the same domain as the present one.
    fn siblings(&self) -> &[Server] {
        self.current.domain.as_ref().map_or(&[], |domain| self.of(domain))
    }

    /// The servers that were known last for a domain.
    fn of(&self, domain: &Server) -> &[Server] {
        self.known.iter().find(|known| known.domain == *domain).map_or(&[], |known| &known.servers)
    }
}
