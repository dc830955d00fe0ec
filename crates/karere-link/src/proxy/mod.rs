//! Which proxies are there, how are they written, and what does the link have to know of one?

mod http;
mod no_proxy;
mod proxies;
mod socks4;
mod socks5;
mod target;

use core::{fmt, net::IpAddr};

pub use proxies::{InvalidVariable, Proxies};
pub use target::ProxyTarget;

use crate::{
    endpoint::{Endpoint, InvalidUrl, percent_decode, place},
    layer::{Layer, LayerError},
};
use http::HttpConnect;
use socks4::Socks4;
use socks5::Socks5;
use target::Way;

/// A proxy: where it is, what it speaks, who to be there.
///
/// The link dials [`Proxy::endpoint`], speaks TLS to it when there is a [`Proxy::tls_host`], and puts [`Proxy::layer`]
/// above that; what belongs to the server comes above.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    kind: ProxyKind,
    host: String,
    port: u16,
    user_name: Option<String>,
    password: Option<String>,
}

/// What a proxy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProxyKind {
    /// HTTP, by CONNECT (RFC 9110, §9.3.6). The proxy resolves names.
    Http,
    /// The same, over TLS to the proxy.
    Https,
    /// SOCKS 4: IPv4 only, and this machine resolves names.
    Socks4,
    /// SOCKS 4a: IPv4 only, and the proxy resolves names.
    Socks4a,
    /// SOCKS 5 (RFC 1928); this machine resolves names.
    Socks5,
    /// SOCKS 5; the proxy resolves names.
    Socks5h,
}

impl ProxyKind {
    /// 8080 for HTTP, as in PySocks and so in paho-mqtt; 443 for HTTP over TLS and 1080 for SOCKS, as everywhere.
    ///
    /// Nobody agrees about HTTP: curl takes 1080, Go and Python's urllib 80. URLs had better name the port.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 8080,
            Self::Https => 443,
            Self::Socks4 | Self::Socks4a | Self::Socks5 | Self::Socks5h => 1080,
        }
    }

    /// The scheme of its URLs.
    const fn scheme(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Socks4 => "socks4",
            Self::Socks4a => "socks4a",
            Self::Socks5 => "socks5",
            Self::Socks5h => "socks5h",
        }
    }

    /// The layer, as people call it.
    const fn layer(self) -> &'static str {
        match self {
            Self::Http | Self::Https => "HTTP proxy",
            Self::Socks4 | Self::Socks4a => "SOCKS4 proxy",
            Self::Socks5 | Self::Socks5h => "SOCKS5 proxy",
        }
    }
}

/// Who finds the address of the server's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "complete: one of the two must")]
pub enum NameLookup {
    /// The proxy: it is told the name.
    AtProxy,
    /// This machine: the proxy is told an address.
    Here,
}

impl Proxy {
    /// A proxy of this kind at a host, which is a name or an IP address (IPv6 without brackets).
    pub fn new(kind: ProxyKind, host: impl Into<String>, port: u16) -> Self {
        Self { kind, host: host.into(), port, user_name: None, password: None }
    }

    /// Reads `SCHEME://[user[:password]@]host[:port]`. An IPv6 address stands in brackets; user name and password are
    /// percent-decoded.
    ///
    /// | scheme | proxy | names are resolved | port unless given |
    /// |---|---|---|---|
    /// | `http`, or no scheme at all | [`ProxyKind::Http`] | by the proxy | 8080 |
    /// | `https` | [`ProxyKind::Https`] | by the proxy | 443 |
    /// | `socks4` | [`ProxyKind::Socks4`] | here | 1080 |
    /// | `socks4a` | [`ProxyKind::Socks4a`] | by the proxy | 1080 |
    /// | `socks5` | [`ProxyKind::Socks5`] | here | 1080 |
    /// | `socks5h`, `socks` | [`ProxyKind::Socks5h`] | by the proxy | 1080 |
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`] says what is wrong and what would be right.
    pub fn parse(url: &str) -> Result<Self, InvalidUrl> {
        let fail = |why: &str| Err(InvalidUrl::new(&without_misplaced_password(url), why));
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let kind = match scheme.to_ascii_lowercase().as_str() {
            "http" => ProxyKind::Http,
            "https" => ProxyKind::Https,
            "socks4" => ProxyKind::Socks4,
            "socks4a" => ProxyKind::Socks4a,
            "socks5" => ProxyKind::Socks5,
            "socks" | "socks5h" => ProxyKind::Socks5h,
            _ => return fail("has a scheme of no proxy; http, https, socks4, socks4a, socks5 and socks5h are known"),
        };
        let authority = match rest.split_once('/') {
            None => rest,
            Some((authority, "")) => authority,
            Some(_) => return fail("has a path, which a proxy has no use for; is a / in the password, write %2F"),
        };
        let (credentials, place_text) = match authority.rsplit_once('@') {
            Some((credentials, place)) => (credentials, place),
            None => ("", authority),
        };
        let endpoint = match place(place_text, kind.default_port()) {
            Ok(endpoint) if endpoint.is_plausible() => endpoint,
            Ok(_) => return fail("names a host with characters that no host name has"),
            Err(why) => return fail(why),
        };
        let Endpoint::Tcp { host, port } = endpoint else {
            return fail("names no host");
        };
        let (user_name, password) = match credentials.split_once(':') {
            Some((user_name, password)) => (Some(user_name), Some(password)),
            None => (Some(credentials).filter(|user_name| !user_name.is_empty()), None),
        };
        let mut proxy = Self::new(kind, host, port);
        for (text, decoded) in [(user_name, &mut proxy.user_name), (password, &mut proxy.password)] {
            *decoded = text.and_then(percent_decode);
            if decoded.is_none() && text.is_some() {
                return fail("has a user name or password with a broken percent-encoding");
            }
        }
        match proxy.problem() {
            None => Ok(proxy),
            Some(problem) => fail(&format!("has {problem}")),
        }
    }

    /// As it is, for a user of this name.
    #[must_use]
    pub fn user_name(mut self, user_name: impl Into<String>) -> Self {
        self.user_name = Some(user_name.into());
        self
    }

    /// As it is, with this password.
    #[must_use]
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// What it speaks.
    pub const fn kind(&self) -> ProxyKind {
        self.kind
    }

    /// Where to dial.
    pub fn endpoint(&self) -> Endpoint {
        Endpoint::tcp(self.host.clone(), self.port)
    }

    /// The name whose certificate the proxy has to show when it is spoken to over TLS; `None` when it is not.
    pub fn tls_host(&self) -> Option<&str> {
        (self.kind == ProxyKind::Https).then_some(self.host.as_str())
    }

    /// Who finds the address of the server's name. When that is here, [`Proxy::layer`] wants a
    /// [`ProxyTarget::resolved`].
    pub const fn name_lookup(&self) -> NameLookup {
        match self.kind {
            ProxyKind::Socks4 | ProxyKind::Socks5 => NameLookup::Here,
            ProxyKind::Http | ProxyKind::Https | ProxyKind::Socks4a | ProxyKind::Socks5h => NameLookup::AtProxy,
        }
    }

    /// False for an address that it cannot be told: SOCKS 4 knows IPv4 only.
    pub const fn takes(&self, address: IpAddr) -> bool {
        match self.kind {
            ProxyKind::Socks4 | ProxyKind::Socks4a => address.is_ipv4(),
            ProxyKind::Http | ProxyKind::Https | ProxyKind::Socks5 | ProxyKind::Socks5h => true,
        }
    }

    /// The layer that asks the proxy for a way to `target`: the lowest one, but for TLS to the proxy itself.
    ///
    /// Once the proxy has opened the way it is [`Transparent`](crate::Progress::Transparent), and has not touched a byte
    /// behind the proxy's reply.
    ///
    /// # Errors
    ///
    /// [`LayerError`] when this proxy cannot be asked for that: nothing was sent.
    pub fn layer(&self, target: &ProxyTarget) -> Result<Box<dyn Layer>, LayerError> {
        let way = Way::new(self.kind.layer(), &self.endpoint(), target);
        if let Some(problem) = self.problem() {
            return Err(way.fail(format_args!("is given {problem}")));
        }
        let destination = way.destination(self.name_lookup())?;
        let credentials = self.credentials();
        Ok(match self.kind {
            ProxyKind::Http | ProxyKind::Https => Box::new(HttpConnect::new(way, &destination, credentials)),
            ProxyKind::Socks4 | ProxyKind::Socks4a => Box::new(Socks4::new(way, &destination, credentials)?),
            ProxyKind::Socks5 | ProxyKind::Socks5h => Box::new(Socks5::new(way, &destination, credentials)),
        })
    }

    fn credentials(&self) -> Option<Credentials<'_>> {
        let named = self.user_name.is_some() || self.password.is_some();
        named.then(|| Credentials {
            user_name: self.user_name.as_deref().unwrap_or_default(),
            password: self.password.as_deref().unwrap_or_default(),
        })
    }

    /// What its protocol has no way to say, or this build no way to do; goes on after "it has".
    fn problem(&self) -> Option<&'static str> {
        let credentials = self.credentials().unwrap_or(Credentials { user_name: "", password: "" });
        let too_long = |text: &str| text.len() > 255;
        match self.kind {
            ProxyKind::Https if cfg!(not(feature = "tls")) => {
                Some("TLS in its way, which this build does not have; turn the feature `tls` on")
            }
            ProxyKind::Http | ProxyKind::Https if credentials.user_name.contains(':') => {
                Some("a user name with a colon, which HTTP has no way to tell (RFC 7617, §2)")
            }
            ProxyKind::Socks4 | ProxyKind::Socks4a if self.password.is_some() => {
                Some("a password, which SOCKS 4 does not know; leave it out, or use SOCKS 5")
            }
            ProxyKind::Socks4 | ProxyKind::Socks4a if credentials.user_name.contains('\0') => {
                Some("a user name with a null character, which SOCKS 4 has no way to tell")
            }
            ProxyKind::Socks4 | ProxyKind::Socks4a if too_long(credentials.user_name) => {
                Some("a user name of more than 255 bytes")
            }
            ProxyKind::Socks5 | ProxyKind::Socks5h if too_long(credentials.user_name) => {
                Some("a user name of more than 255 bytes, which SOCKS 5 has no way to tell (RFC 1929)")
            }
            ProxyKind::Socks5 | ProxyKind::Socks5h if too_long(credentials.password) => {
                Some("a password of more than 255 bytes, which SOCKS 5 has no way to tell (RFC 1929)")
            }
            _ => None,
        }
    }
}

/// Who to be at the proxy. No `Debug`: there is a secret in it.
#[derive(Clone, Copy)]
struct Credentials<'a> {
    user_name: &'a str,
    password: &'a str,
}

/// Without an `@`, what stands where a port should may be a password. What stands before an `@` is left out anyway.
fn without_misplaced_password(url: &str) -> String {
    let place_at = url.find("://").map_or(0, |at| at + 3);
    let (scheme, place) = url.split_at(place_at);
    let colon_from = place.rfind(']').unwrap_or(0);
    match place[colon_from..].split_once(':') {
        Some((before, after))
            if !url.contains('@') && !after.trim_end_matches('/').bytes().all(|b| b.is_ascii_digit()) =>
        {
            format!("{scheme}{}{before}:…", &place[..colon_from])
        }
        _ => url.to_owned(),
    }
}

/// Its URL, without user name and password.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.kind.scheme(), self.endpoint())
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("kind", &self.kind)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("user_name", &self.user_name)
            .field("password", &self.password.as_ref().map(|_| "(hidden)"))
            .finish()
    }
}
