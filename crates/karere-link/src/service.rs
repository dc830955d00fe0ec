//! Domains whose name servers say where their MQTT servers are (SRV records, RFC 2782).

use core::fmt;
use std::io;

use crate::{
    endpoint::Endpoint,
    route::{Rank, Server},
    transport::{Framing, Security, Transport},
};

/// A domain whose name servers say where its MQTT servers are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Domain(Option<Box<str>>);

/// A name is at most 253 characters long, and `_secure-mqtt._tcp.` stands before it.
const LONGEST_DOMAIN: usize = 253 - "_secure-mqtt._tcp.".len();
const LONGEST_LABEL: usize = 63;

impl Domain {
    /// A domain by name, such as `example.com`.
    ///
    /// # Errors
    ///
    /// [`InvalidDomain`] says what is wrong with it.
    pub fn new(name: &str) -> Result<Self, InvalidDomain> {
        Self::read(name).map_err(|why| InvalidDomain { name: name.to_owned(), why: why.to_owned() })
    }

    /// The domain of this machine, which is found out when it is asked for.
    pub const fn local() -> Self {
        Self(None)
    }

    /// Its name; `None` for that of this machine.
    pub fn name(&self) -> Option<&str> {
        self.0.as_deref()
    }

    pub(crate) fn read(name: &str) -> Result<Self, &'static str> {
        let name = name.strip_suffix('.').unwrap_or(name);
        if name.is_empty() {
            return Err("names no domain");
        }
        if !name.is_ascii() {
            return Err("names a domain with letters beyond ASCII; write it as xn--…");
        }
        if name.parse::<core::net::IpAddr>().is_ok() || name.contains([':', '[']) {
            return Err("names an address or a port; SRV records stand under a domain and say the ports");
        }
        if name.len() > LONGEST_DOMAIN || name.split('.').any(|label| label.is_empty() || label.len() > LONGEST_LABEL) {
            return Err("names a domain with an empty part, or one that is too long");
        }
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
            return Err("names a domain with characters that no domain has");
        }
        Ok(Self(Some(name.to_ascii_lowercase().into())))
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name().unwrap_or("this machine's domain"))
    }
}

/// Why a text is no domain.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidDomain {
    /// The text.
    pub name: String,
    /// What is wrong and what would be right.
    pub why: String,
}

impl fmt::Display for InvalidDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.name, self.why)
    }
}

impl core::error::Error for InvalidDomain {}

/// One SRV record: a server of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceRecord {
    /// When it is tried.
    pub rank: Rank,
    /// The host; `.` says that there is decidedly no such service.
    pub target: String,
    /// The port.
    pub port: u16,
}

impl ServiceRecord {
    /// A server of this host and port. A dot at the end of the host is left out, unless it is all there is.
    pub fn new(rank: Rank, target: impl Into<String>, port: u16) -> Self {
        let mut target = target.into();
        if target.len() > 1 && target.ends_with('.') {
            target.pop();
        }
        Self { rank, target, port }
    }
}

/// Why a domain's servers are not known.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServiceProblem {
    /// No name server has given an answer that counts.
    NoAnswer(io::Error),
    /// This machine's domain was asked for, and it has none.
    NoLocalDomain,
    /// The domain has no SRV records for the service, or does not exist.
    NoRecords,
    /// No name is registered for MQTT over WebSocket, so nobody can have records for it.
    NoServiceName,
    /// The domain says that it decidedly has no such service: the target is `.` (RFC 2782).
    NotProvided,
    /// There are records, and none of them names a host and port that can be dialed.
    Unusable,
}

impl ServiceProblem {
    pub(crate) fn timed_out() -> Self {
        Self::NoAnswer(io::Error::new(io::ErrorKind::TimedOut, "the name server did not answer in time"))
    }
}

impl fmt::Display for ServiceProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer(error) => write!(f, "the SRV records cannot be had: {error}"),
            Self::NoLocalDomain => {
                f.write_str("this machine's host name and resolver configuration name no domain; name it in the URL")
            }
            Self::NoRecords => f.write_str("there are no SRV records"),
            Self::NoServiceName => {
                f.write_str("no service name is registered for MQTT over WebSocket; name a host in place of a domain")
            }
            Self::NotProvided => f.write_str("the domain says that it has no such service (SRV target \".\")"),
            Self::Unusable => f.write_str("no SRV record names a host and port that can be dialed"),
        }
    }
}

impl Transport {
    /// What the service is called in SRV records; `None` without a registered name. TLS is asked for under a name of its
    /// own, so that no answer leads from TLS to plain text.
    pub(crate) fn service_name(&self) -> Option<&'static str> {
        match (&self.framing, self.security) {
            (Framing::None, Security::None) => Some("_mqtt._tcp"),
            (Framing::None, Security::Tls) => Some("_secure-mqtt._tcp"),
            (Framing::WebSocket { .. }, _) => None,
        }
    }
}

impl Server {
    /// The servers that stand for this one, which is a domain, by its records. What cannot be dialed is left out: a name
    /// server does not choose what this machine makes of a name.
    pub(crate) fn named(&self, records: Vec<ServiceRecord>) -> Result<Vec<Self>, ServiceProblem> {
        let decidedly_none = match records.as_slice() {
            [] => return Err(ServiceProblem::NoRecords),
            records => records.iter().all(|record| record.target == "."),
        };
        if decidedly_none {
            return Err(ServiceProblem::NotProvided);
        }
        let server = |record: ServiceRecord| self.standing_for(Endpoint::tcp(record.target, record.port), record.rank);
        let usable = |record: &ServiceRecord| record.port > 0 && !matches!(record.target.as_str(), "" | ".");
        let servers = records.into_iter().filter(usable).map(server);
        let servers = servers.filter(|server| server.endpoint.is_plausible()).collect::<Vec<_>>();
        if servers.is_empty() { Err(ServiceProblem::Unusable) } else { Ok(servers) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_names_and_nothing_else() {
        for (text, name) in [("Example.COM", "example.com"), ("example.com.", "example.com"), ("lan", "lan")] {
            assert_eq!(Domain::new(text).expect(text).name(), Some(name));
        }
        let long = "a.".repeat(118) + "a";
        for (text, hint) in [
            ("", "no domain"),
            (".", "no domain"),
            ("a..b", "empty part"),
            ("é.example", "xn--"),
            ("10.0.0.1", "address"),
            ("::1", "address"),
            ("example.com:1883", "ports"),
            ("a b", "characters"),
            (&"a".repeat(64), "too long"),
            (&long, "too long"),
        ] {
            let error = Domain::new(text).expect_err(text).to_string();
            assert!(error.contains(hint), "{error}");
        }
        assert!(Domain::new(&long[2..]).is_ok(), "235 characters are left for it");
    }

    #[test]
    fn records_without_host_or_port_are_left_out() {
        let domain = Server::new(Endpoint::Service(Domain::local()));
        let record = |target: &str, port| ServiceRecord::new(Rank::new(0, 0), target, port);
        let named = domain.named(vec![record("a.", 0), record("a/b", 1), record("", 1), record("b.", 2)]);
        let named = named.expect("one can be dialed");
        assert_eq!(named.iter().map(|server| server.endpoint.to_string()).collect::<Vec<_>>(), ["b:2"]);
        assert!(matches!(domain.named(vec![record("a b", 1)]), Err(ServiceProblem::Unusable)));
        assert!(matches!(domain.named(vec![record(".", 0)]), Err(ServiceProblem::NotProvided)));
        assert!(matches!(domain.named(Vec::new()), Err(ServiceProblem::NoRecords)));
        assert_eq!(domain.named(vec![record(".", 0), record("b", 2)]).map(|named| named.len()).ok(), Some(1));
    }
}
