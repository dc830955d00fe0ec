//! Where a server is: URLs, hosts, ports, paths.

use core::{
    fmt,
    net::{Ipv6Addr, SocketAddr},
};
use std::path::PathBuf;

/// Where a server is, by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
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

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
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
    /// An IP address and port.
    Tcp(SocketAddr),
    /// A Unix domain socket.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// What a URL says: where the server is, and perhaps who is asking.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Url {
    /// Where the server is.
    pub endpoint: Endpoint,
    /// The user name before `@`, percent-decoded.
    pub user_name: Option<String>,
    /// The password before `@`, percent-decoded.
    pub password: Option<String>,
}

impl Url {
    /// Reads `mqtt://[user[:password]@]host[:port]`, `tcp://…` (the same) or `unix:///path`. The port is 1883 unless
    /// given; an IPv6 address stands in brackets.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`] says what is wrong and what would be right.
    pub fn parse(url: &str) -> Result<Self, InvalidUrl> {
        let fail = |why: &str| Err(InvalidUrl { url: without_password(url), why: why.to_owned() });
        let Some((scheme, rest)) = url.split_once("://") else {
            return fail("has no scheme; write mqtt://HOST[:PORT] or unix:///PATH");
        };
        let default_port = match scheme {
            "mqtt" | "tcp" => 1883,
            "unix" => {
                if rest.is_empty() {
                    return fail("names no path; write unix:///PATH");
                }
                let endpoint = Endpoint::Unix(PathBuf::from(rest));
                return Ok(Self { endpoint, user_name: None, password: None });
            }
            "mqtts" | "ssl" | "ws" | "wss" => return fail("asks for a transport this build does not have"),
            _ => return fail("has an unknown scheme; mqtt, tcp and unix are known"),
        };
        let authority = match rest.split_once('/') {
            None => rest,
            Some((authority, "")) => authority,
            Some(_) => return fail("has a path, which MQTT over TCP does not use"),
        };
        let (credentials, place) = match authority.rsplit_once('@') {
            Some((credentials, place)) => (Some(credentials), place),
            None => (None, authority),
        };
        let (host, port) = match place.strip_prefix('[') {
            Some(bracketed) => match bracketed.split_once(']') {
                Some((host, _)) if !is_ipv6(host) => return fail("has brackets around what is no IPv6 address"),
                Some((host, after)) => {
                    (host, after.strip_prefix(':').or(if after.is_empty() { None } else { Some("?") }))
                }
                None => return fail("has an opening bracket without a closing one"),
            },
            None => match place.split_once(':') {
                Some((_, port)) if port.contains(':') => {
                    return fail("has an IPv6 address without brackets; write [ADDRESS]:PORT");
                }
                Some((host, port)) => (host, Some(port)),
                None => (place, None),
            },
        };
        if host.is_empty() {
            return fail("names no host");
        }
        let port = match port.map(parse_port) {
            None => default_port,
            Some(Some(port)) => port,
            Some(None) => return fail("has a port that is not 1 to 65535"),
        };
        let (user_name, password) = match credentials {
            None => (None, None),
            Some(credentials) => {
                let (user, password) = match credentials.split_once(':') {
                    Some((user, password)) => (user, Some(password)),
                    None => (credentials, None),
                };
                match (percent_decode(user), password.map(percent_decode)) {
                    (Some(user), None) => (Some(user), None),
                    (Some(user), Some(Some(password))) => (Some(user), Some(password)),
                    _ => return fail("has a user name or password with a broken percent-encoding"),
                }
            }
        };
        Ok(Self { endpoint: Endpoint::Tcp { host: host.to_owned(), port }, user_name, password })
    }
}

/// Secrets never reach an error's text, not even when the scheme before them was forgotten.
fn without_password(url: &str) -> String {
    let Some(at) = url.rfind('@') else {
        return url.to_owned();
    };
    let (before, after) = url.split_at(at);
    let scheme = before.split_once("://").map(|(scheme, _)| scheme);
    match scheme.filter(|scheme| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
        Some(scheme) => format!("{scheme}://…{after}"),
        None => format!("…{after}"),
    }
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

fn percent_decode(text: &str) -> Option<String> {
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

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Url")
            .field("endpoint", &self.endpoint)
            .field("user_name", &self.user_name)
            .field("password", &self.password.as_ref().map(|_| "(hidden)"))
            .finish()
    }
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

impl fmt::Display for InvalidUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "URL {:?} {}", self.url, self.why)
    }
}

impl core::error::Error for InvalidUrl {}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Endpoint {
        Endpoint::Tcp { host: host.into(), port }
    }

    #[test]
    fn urls_name_host_port_and_credentials() {
        for (url, endpoint, user, password) in [
            ("mqtt://h", tcp("h", 1883), None, None),
            ("tcp://h:7/", tcp("h", 7), None, None),
            ("mqtt://[::1]:1884", tcp("::1", 1884), None, None),
            ("mqtt://[::1]", tcp("::1", 1883), None, None),
            ("mqtt://[fe80::1%eth0]:1", tcp("fe80::1%eth0", 1), None, None),
            ("mqtt://u@h", tcp("h", 1883), Some("u"), None),
            ("mqtt://u%40x:p%3A%2F@h:1", tcp("h", 1), Some("u@x"), Some("p:/")),
            ("mqtt://u:@h", tcp("h", 1883), Some("u"), Some("")),
            ("unix:///run/m.sock", Endpoint::Unix("/run/m.sock".into()), None, None),
        ] {
            let parsed = Url::parse(url).expect(url);
            assert_eq!(parsed.endpoint, endpoint, "{url}");
            assert_eq!((parsed.user_name.as_deref(), parsed.password.as_deref()), (user, password), "{url}");
        }
    }

    #[test]
    fn nonsense_is_refused_and_no_password_is_repeated() {
        for url in [
            "h:1883",
            "http://h",
            "mqtt://",
            "mqtt://h:0",
            "mqtt://h:65536",
            "mqtt://h:x",
            "mqtt://h:+1",
            "mqtt://[h]",
            "mqtt://[[a]",
            "mqtt://::1",
            "mqtt://[::1",
            "mqtt://[::1]x",
            "mqtt://h/path",
            "unix://",
            "mqtt://u:%zz@h",
            "mqtt://u:%+1@h",
            "wss://h",
        ] {
            let error = Url::parse(url).expect_err(url).to_string();
            assert!(!error.contains("%zz"), "{error}");
        }
        let error = Url::parse("mqtt://user:secret@h:0").expect_err("bad port").to_string();
        assert!(!error.contains("secret") && error.contains("@h:0"), "{error}");
        for url in ["user:secret@h", "user:secret@h://", "user:secret://x@h", "mqtt:user:secret@h"] {
            let error = Url::parse(url).expect_err(url).to_string();
            assert!(!error.contains("secret") && error.contains("@h"), "{error}");
        }
    }
}
