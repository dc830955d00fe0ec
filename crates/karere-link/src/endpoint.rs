//! Where a server is: URLs, hosts, ports, paths.

use core::{
    fmt,
    net::{Ipv6Addr, SocketAddr},
};
use std::path::PathBuf;

use crate::service::Domain;

/// Where a server is, by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// Wherever the name servers of a domain say, in SRV records (RFC 2782). Such an endpoint stands for the servers that
    /// they name, by the priorities and weights that they give.
    Service(Domain),
    /// A TCP port of a host, which is a name or an IP address (IPv6 without brackets).
    Tcp {
        /// The host.
        host: String,
        /// The port.
        port: u16,
    },
    /// A Unix domain socket.
    Unix(PathBuf),
}

impl Endpoint {
    /// A TCP port of a host: a name or an IP address (IPv6 without brackets).
    pub fn tcp(host: impl Into<String>, port: u16) -> Self {
        Self::Tcp { host: host.into(), port }
    }

    /// Where a server stands when nothing is said.
    pub(crate) fn local() -> Self {
        Self::tcp("localhost", 1883)
    }

    /// True for a place on the network whose name can be one: what a server refers to is not trusted to be.
    pub(crate) fn is_plausible(&self) -> bool {
        match self {
            Self::Tcp { host, .. } => host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:%".contains(&byte)),
            Self::Service(_) | Self::Unix(_) => false,
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(domain) => domain.fmt(f),
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Where a server is, ready to dial.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// A socket of the application's connector, which was asked for this place.
    Given(Endpoint),
    /// An IP address and port.
    Tcp(SocketAddr),
    /// A Unix domain socket.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(endpoint) => write!(f, "{endpoint} by the connector"),
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// The port of MQTT over TCP.
pub(crate) const MQTT_PORT: u16 = 1883;

/// Reads `host[:port]`, an IPv6 address in brackets; or says what is wrong.
pub(crate) fn place(text: &str, default_port: u16) -> Result<Endpoint, &'static str> {
    let (host, port) = match text.strip_prefix('[') {
        Some(bracketed) => match bracketed.split_once(']') {
            Some((host, _)) if !is_ipv6(host) => return Err("has brackets around what is no IPv6 address"),
            Some((host, "")) => (host, None),
            Some((host, after)) => (host, Some(after.strip_prefix(':').unwrap_or("?"))),
            None => return Err("has an opening bracket without a closing one"),
        },
        None => match text.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err("has an IPv6 address without brackets; write [ADDRESS]:PORT");
            }
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    if host.is_empty() {
        return Err("names no host");
    }
    match port.map(parse_port) {
        None => Ok(Endpoint::tcp(host, default_port)),
        Some(Some(port)) => Ok(Endpoint::tcp(host, port)),
        Some(None) => Err("has a port that is not 1 to 65535"),
    }
}

/// Secrets never reach an error's text, not even when the scheme before them was forgotten.
pub(crate) fn without_password(url: &str) -> String {
    let Some(at) = url.rfind('@') else {
        return without_query(url);
    };
    let (before, after) = url.split_at(at);
    let after = without_query(after);
    let scheme = before.split_once("://").map(|(scheme, _)| scheme);
    match scheme.filter(|scheme| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
        Some(scheme) => format!("{scheme}://…{after}"),
        None => format!("…{after}"),
    }
}

/// A query may be a signature.
fn without_query(url: &str) -> String {
    url.split_once('?').map_or_else(|| url.to_owned(), |(before, _)| format!("{before}?…"))
}

/// True for an IPv6 address, perhaps with a zone: `fe80::1%eth0`.
fn is_ipv6(host: &str) -> bool {
    host.split_once('%').map_or(host, |(address, _)| address).parse::<Ipv6Addr>().is_ok()
}

/// Digits only: a sign is none.
fn parse_port(port: &str) -> Option<u16> {
    let digits = Some(port).filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok().filter(|&port| port > 0)
}

pub(crate) fn percent_decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'%' {
            let digit = |at: usize| char::from(*after.get(at)?).to_digit(16);
            decoded.push(u8::try_from(digit(0)? << 4 | digit(1)?).ok()?);
            rest = &after[2..];
        } else {
            decoded.push(byte);
            rest = after;
        }
    }
    String::from_utf8(decoded).ok()
}

/// Why a text is no URL of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidUrl {
    /// The text, its credentials left out.
    pub url: String,
    /// What is wrong and what would be right.
    pub why: String,
}

impl InvalidUrl {
    /// Credentials of `url` are left out.
    pub(crate) fn new(url: &str, why: &str) -> Self {
        Self { url: without_password(url), why: why.to_owned() }
    }
}

impl fmt::Display for InvalidUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "URL {:?} {}", self.url, self.why)
    }
}

impl core::error::Error for InvalidUrl {}
