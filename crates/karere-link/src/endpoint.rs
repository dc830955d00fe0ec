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

impl Endpoint {
    /// A TCP port of a host: a name or an IP address (IPv6 without brackets).
    pub fn tcp(host: impl Into<String>, port: u16) -> Self {
        Self::Tcp { host: host.into(), port }
    }

    /// Where a server stands when nothing is said.
    pub(crate) fn local() -> Self {
        Self::tcp("localhost", 1883)
    }

    /// The servers that this one refers to: `name[:port]`, separated by spaces, IPv6 in brackets (§4.11). The port is this
    /// server's unless given. What is none is left out, and so is every place that is not reached over the network: a
    /// server does not choose this machine's sockets.
    pub(crate) fn referred(&self, references: &str) -> Vec<Self> {
        let own_port = match self {
            Self::Tcp { port, .. } => *port,
            Self::Unix(_) => MQTT_PORT,
        };
        let read = |reference: &str| match Url::parse(reference) {
            Ok(url) => Some(url.endpoint),
            Err(_) => place(reference, own_port).ok(),
        };
        let on_network = |endpoint: &Self| match endpoint {
            Self::Tcp { host, .. } => host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:%".contains(&byte)),
            Self::Unix(_) => false,
        };
        references.split_ascii_whitespace().filter_map(read).filter(on_network).collect()
    }
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
        let fail = |why: &str| Err(InvalidUrl::new(url, why));
        let Some((scheme, rest)) = url.split_once("://") else {
            return fail("has no scheme; write mqtt://HOST[:PORT] or unix:///PATH");
        };
        match scheme {
            "mqtt" | "tcp" => {}
            "unix" => {
                if rest.is_empty() {
                    return fail("names no path; write unix:///PATH");
                }
                let endpoint = Endpoint::Unix(PathBuf::from(rest));
                return Ok(Self { endpoint, user_name: None, password: None });
            }
            "mqtts" | "ssl" | "ws" | "wss" => return fail("asks for a transport this build does not have"),
            _ => return fail("has an unknown scheme; mqtt, tcp and unix are known"),
        }
        let authority = match rest.split_once('/') {
            None => rest,
            Some((authority, "")) => authority,
            Some(_) => return fail("has a path, which MQTT over TCP does not use"),
        };
        let (credentials, place_text) = match authority.rsplit_once('@') {
            Some((credentials, place)) => (Some(credentials), place),
            None => (None, authority),
        };
        let endpoint = match place(place_text, MQTT_PORT) {
            Ok(endpoint) => endpoint,
            Err(why) => return fail(why),
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
        Ok(Self { endpoint, user_name, password })
    }
}

/// The port of MQTT over TCP.
const MQTT_PORT: u16 = 1883;

/// Reads `host[:port]`, an IPv6 address in brackets; or says what is wrong.
fn place(text: &str, default_port: u16) -> Result<Endpoint, &'static str> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Endpoint {
        Endpoint::tcp(host, port)
    }

    #[test]
    fn references_are_places_on_the_network_with_this_servers_port_unless_they_name_one() {
        let from = tcp("h", 8000);
        assert_eq!(
            from.referred("a  b:2\t[::1] [::2]:3 mqtt://u@d:4"),
            [tcp("a", 8000), tcp("b", 2), tcp("::1", 8000), tcp("::2", 3), tcp("d", 4)]
        );
        assert_eq!(from.referred(" b:0 ::1 [x] unix:///run/x :7 http://z wss://z "), []);
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
