//! Where does a proxy have to go, and in which words is it told?

use core::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use super::NameLookup;
use crate::{endpoint::Endpoint, layer::LayerError};

/// The server that a proxy shall open a way to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyTarget {
    /// Its name or IP address (IPv6 without brackets).
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What its name was resolved to, for a proxy that has to be told: [`NameLookup::Here`].
    pub address: Option<IpAddr>,
}

impl ProxyTarget {
    /// A server whose name, if it is one, the proxy resolves.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port, address: None }
    }

    /// A server at this address; `host` is what people call it.
    pub fn resolved(host: impl Into<String>, address: SocketAddr) -> Self {
        Self { host: host.into(), port: address.port(), address: Some(address.ip()) }
    }
}

/// From a proxy to a target; it words what goes wrong on it.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub(super) layer: &'static str,
    proxy: String,
    pub(super) target: ProxyTarget,
}

/// What a proxy is told, legal in all of their languages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Destination {
    pub(super) host: Host,
    pub(super) port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    Ip(IpAddr),
    /// 1 to 255 letters, digits, `-`, `.` and `_`.
    Name(String),
}

impl Way {
    /// The way through `proxy` to `target`.
    pub(super) fn new(layer: &'static str, proxy: &Endpoint, target: &ProxyTarget) -> Self {
        Self { layer, proxy: proxy.to_string(), target: target.clone() }
    }

    /// `why` goes on after the proxy's name.
    pub(super) fn fail(&self, why: impl fmt::Display) -> LayerError {
        LayerError::new(self.layer, format!("{} {why}", self.proxy))
    }

    /// The proxy has said something before it was its turn.
    pub(super) fn out_of_turn(&self) -> LayerError {
        self.fail("speaks before it was asked: it is no proxy, or one of another kind")
    }

    /// The proxy's first byte is none of its protocol.
    pub(super) fn foreign(&self, first: u8) -> LayerError {
        let layer = self.layer;
        let guess = match first {
            b'H' => "that is HTTP, so perhaps write http:// for this proxy",
            0x15 | 0x16 => "that may be TLS, so perhaps write https:// for this proxy",
            4 => "that may be SOCKS 4, so perhaps write socks4:// for this proxy",
            5 => "that may be SOCKS 5, so perhaps write socks5h:// for this proxy",
            _ => "see whether host and port are the proxy's",
        };
        self.fail(format_args!("does not answer as a {layer}, its first byte is 0x{first:02x}; {guess}"))
    }

    /// What the proxy is told.
    pub(super) fn destination(&self, lookup: NameLookup) -> Result<Destination, LayerError> {
        let ProxyTarget { host, port, address } = &self.target;
        let literal = host.parse::<IpAddr>().ok();
        let told = match lookup {
            NameLookup::Here => address.or(literal),
            NameLookup::AtProxy => literal,
        };
        let host = match (told, lookup) {
            (Some(ip), _) => Host::Ip(ip),
            (None, NameLookup::Here) => {
                return Err(self.fail(format_args!("has to be told an address, and {self} was not resolved")));
            }
            (None, NameLookup::AtProxy) => match name_problem(host) {
                None => Host::Name(host.clone()),
                Some(problem) => return Err(self.fail(format_args!("cannot be told {host:?}: {problem}"))),
            },
        };
        Ok(Destination { host, port: *port })
    }
}

/// Where it leads.
impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ProxyTarget { host, port, address } = &self.target;
        let brackets = if host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{}{}{}:{port}", brackets.0, host.escape_debug(), brackets.1)?;
        match address {
            Some(address) if address.to_string() != *host => write!(f, " ({address})"),
            _ => Ok(()),
        }
    }
}

/// A name goes into lines and fields of other languages: what has a meaning there must not be in it.
fn name_problem(name: &str) -> Option<&'static str> {
    match name {
        "" => Some("it is empty"),
        _ if name.len() > 255 => Some("it is longer than 255 bytes"),
        _ if !name.is_ascii() => Some("write names with other letters than ASCII's in their form xn--…"),
        _ if name.contains('%') => Some("a zone means nothing on another machine"),
        _ if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) => None,
        _ => Some("it has characters that no host name has"),
    }
}
