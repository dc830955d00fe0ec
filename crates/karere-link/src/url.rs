//! URLs of servers.

use core::fmt;
use std::path::PathBuf;

use crate::{
    endpoint::{Endpoint, InvalidUrl, percent_decode, place},
    service::Domain,
    transport::{Framing, Security, Transport},
};

/// What a URL says: where the server is, how it is spoken to, and perhaps who is asking.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Url {
    /// Where the server is.
    pub endpoint: Endpoint,
    /// How MQTT travels there.
    pub transport: Transport,
    /// The user name before `@`, percent-decoded.
    pub user_name: Option<String>,
    /// The password before `@`, percent-decoded.
    pub password: Option<String>,
    /// The client identifier of `?client_id=`, percent-decoded.
    pub client_id: Option<String>,
}

/// What stands where the host does.
#[derive(Clone, Copy)]
enum Named {
    Domain,
    Host,
}

/// What a scheme stands for.
struct Scheme {
    name: &'static str,
    port: u16,
    security: Security,
    /// Whether a path follows the authority.
    framing: fn(&str) -> Result<Framing, &'static str>,
}

const SCHEMES: &[Scheme] = &[
    Scheme { name: "mqtt", port: 1883, security: Security::None, framing: stream },
    Scheme { name: "tcp", port: 1883, security: Security::None, framing: stream },
    Scheme { name: "mqtts", port: 8883, security: Security::Tls, framing: stream },
    Scheme { name: "ssl", port: 8883, security: Security::Tls, framing: stream },
    Scheme { name: "ws", port: 80, security: Security::None, framing: websocket },
    Scheme { name: "wss", port: 443, security: Security::Tls, framing: websocket },
];

fn stream(path: &str) -> Result<Framing, &'static str> {
    if matches!(path, "" | "/") { Ok(Framing::None) } else { Err("has a path, which MQTT over TCP does not use") }
}

fn websocket(path: &str) -> Result<Framing, &'static str> {
    let path = match path {
        "" => "/mqtt".to_owned(),
        path if path.starts_with('?') => format!("/mqtt{path}"),
        path => path.to_owned(),
    };
    if path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        Ok(Framing::WebSocket { path })
    } else {
        Err("has a path with characters that must be percent-encoded")
    }
}

impl Url {
    /// Reads `SCHEME://[user[:password]@]host[:port]`, or `unix:///path`. An IPv6 address stands in brackets.
    ///
    /// | scheme | how | port unless given |
    /// |---|---|---|
    /// | `mqtt`, `tcp` | TCP | 1883 |
    /// | `mqtts`, `ssl` | TLS | 8883 |
    /// | `ws` | WebSocket, at the path that follows, `/mqtt` unless given | 80 |
    /// | `wss` | WebSocket over TLS, likewise | 443 |
    /// | `mqtt+srv`, `mqtts+srv` | as `mqtt` and `mqtts`, at the servers that the domain's SRV records name; without a domain, that of this machine; feature `srv` | |
    /// | `unix` | a Unix domain socket | |
    ///
    /// `?client_id=…` gives the client identifier, except with `ws` and `wss`, where a query is the server's.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`] says what is wrong and what would be right.
    pub fn parse(url: &str) -> Result<Self, InvalidUrl> {
        let fail = |why: &str| Err(InvalidUrl::new(url, why));
        let Some((scheme, rest)) = url.split_once("://") else {
            return fail("has no scheme; write mqtt://HOST[:PORT], mqtts://…, ws://…, wss://… or unix:///PATH");
        };
        if scheme == "unix" {
            if rest.is_empty() {
                return fail("names no path; write unix:///PATH");
            }
            return Ok(Self {
                endpoint: Endpoint::Unix(PathBuf::from(rest)),
                transport: Transport::default(),
                user_name: None,
                password: None,
                client_id: None,
            });
        }
        let (scheme, named) = match scheme.strip_suffix("+srv") {
            Some("ws" | "wss") => {
                return fail(
                    "asks for SRV records of MQTT over WebSocket, for which no name is registered; name a host",
                );
            }
            Some(_) if cfg!(not(feature = "srv")) => {
                return fail("asks for SRV records, which this build does not; turn the feature `srv` on");
            }
            Some(scheme) => (scheme, Named::Domain),
            None => (scheme, Named::Host),
        };
        let Some(scheme) = SCHEMES.iter().find(|known| known.name == scheme) else {
            return fail("has an unknown scheme; mqtt, mqtts, ws, wss, tcp, ssl and unix are known");
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, mut path) = rest.split_at(end);
        let mut client_id = None;
        if scheme.port == 1883 || scheme.port == 8883 {
            let (before, query) = path.split_once('?').unwrap_or((path, ""));
            path = before;
            match query.split_once('=') {
                None if query.is_empty() => {}
                Some(("client_id" | "clientId", id)) => match percent_decode(id) {
                    Some(id) => client_id = Some(id),
                    None => return fail("has a client identifier with a broken percent-encoding"),
                },
                _ => return fail("has a query that is not client_id=…"),
            }
        }
        let framing = match (scheme.framing)(path) {
            Ok(framing) => framing,
            Err(why) => return fail(why),
        };
        let transport = Transport { security: scheme.security, framing };
        if let Some(missing) = transport.missing() {
            return fail(missing);
        }
        let (credentials, place_text) = match authority.rsplit_once('@') {
            Some((credentials, place)) => (Some(credentials), place),
            None => (None, authority),
        };
        let endpoint = match (named, place_text) {
            (Named::Host, place_text) => place(place_text, scheme.port),
            (Named::Domain, "") => Ok(Endpoint::Service(Domain::local())),
            (Named::Domain, name) => Domain::read(name).map(Endpoint::Service),
        };
        let endpoint = match endpoint {
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
        Ok(Self { endpoint, transport, user_name, password, client_id })
    }
}

/// The path of a WebSocket may be a signed one: what follows `?` is as secret as a password.
impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Url")
            .field("endpoint", &self.endpoint)
            .field("transport", &self.transport)
            .field("user_name", &self.user_name)
            .field("password", &self.password.as_ref().map(|_| "(hidden)"))
            .field("client_id", &self.client_id)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Endpoint {
        Endpoint::tcp(host, port)
    }

    #[cfg(all(feature = "tls", feature = "websocket"))]
    #[test]
    fn schemes_name_transport_and_port() {
        let websocket = |path: &str| Framing::WebSocket { path: path.to_owned() };
        for (url, endpoint, security, framing) in [
            ("mqtts://h", tcp("h", 8883), Security::Tls, Framing::None),
            ("ssl://h:1/", tcp("h", 1), Security::Tls, Framing::None),
            ("ws://h", tcp("h", 80), Security::None, websocket("/mqtt")),
            ("ws://h/", tcp("h", 80), Security::None, websocket("/")),
            ("ws://[::1]:8080/a/b?c=d", tcp("::1", 8080), Security::None, websocket("/a/b?c=d")),
            ("wss://u:p@h?token=1", tcp("h", 443), Security::Tls, websocket("/mqtt?token=1")),
        ] {
            let parsed = Url::parse(url).expect(url);
            assert_eq!(parsed.endpoint, endpoint, "{url}");
            assert_eq!(parsed.transport, Transport { security, framing }, "{url}");
        }
    }

    #[test]
    fn queries_are_as_secret_as_passwords() {
        for url in ["wss://h/a b?token=secret", "mqtt://h?secret", "wss://u:p@h:0/x?token=secret", "x://h?secret"] {
            let error = Url::parse(url).expect_err(url).to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[cfg(feature = "srv")]
    #[test]
    fn domains_stand_for_the_servers_of_their_records() {
        for (url, name) in [
            ("mqtt+srv://Example.com", Some("example.com")),
            ("mqtt+srv://u:p@example.com./", Some("example.com")),
            ("mqtt+srv://", None),
            ("mqtt+srv://u@?client_id=x", None),
        ] {
            let Endpoint::Service(domain) = Url::parse(url).expect(url).endpoint else { panic!("{url}") };
            assert_eq!(domain.name(), name, "{url}");
        }
        for (url, hint) in [
            ("mqtt+srv://example.com:1883", "say the ports"),
            ("mqtt+srv://10.0.0.1", "address"),
            ("mqtt+srv://[::1]", "address"),
            ("mqtt+srv://a..b", "empty part"),
            ("ws+srv://example.com", "name a host"),
            ("wss+srv://example.com", "name a host"),
            ("http+srv://example.com", "unknown scheme"),
            ("mqtt+srv://u:secret@a b", "characters"),
        ] {
            let error = Url::parse(url).expect_err(url).to_string();
            assert!(error.contains(hint) && !error.contains("secret"), "{error}");
        }
    }

    #[cfg(all(feature = "srv", feature = "tls"))]
    #[test]
    fn domains_are_spoken_to_over_tls_when_the_scheme_says_so() {
        let url = Url::parse("mqtts+srv://example.com").expect("legal");
        assert_eq!(url.transport.security, Security::Tls);
    }

    #[test]
    fn client_identifier_may_stand_in_the_query() {
        let parsed = Url::parse("mqtt://h?client_id=pump%207").expect("legal");
        assert_eq!(parsed.client_id.as_deref(), Some("pump 7"));
        assert_eq!(Url::parse("mqtt://h/?clientId=x").expect("legal").client_id.as_deref(), Some("x"));
        for url in ["mqtt://h?x=1", "mqtt://h?client_id=%", "mqtt://h?client_id"] {
            assert!(Url::parse(url).is_err(), "{url}");
        }
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
            "mqtts://h/path",
            "ws://h/a b",
            "ws://h/#x",
            "http://h",
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
