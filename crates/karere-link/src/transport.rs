//! How a server is spoken to: security, framing, proxies; and the layers that follow from it.

use core::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use crate::{
    connector::Connector,
    endpoint::Endpoint,
    layer::{Layer, LayerError},
    proxy::{NameLookup, Proxies, Proxy, ProxyTarget},
    route::Server,
    stack::Stack,
};

/// Whether bytes are encrypted on their way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "complete: they are or they are not")]
pub enum Security {
    /// They are not: anyone on the way reads them.
    #[default]
    None,
    /// By TLS.
    Tls,
}

/// What MQTT's bytes are put into.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Framing {
    /// Nothing: the stream is MQTT's.
    #[default]
    None,
    /// Frames of a WebSocket ([MQTT-6.0.0-1]).
    WebSocket {
        /// The path of the resource, with its query.
        path: String,
    },
}

/// A query may be a signature: it is a secret.
impl fmt::Debug for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::WebSocket { path } => {
                let shown =
                    path.split_once('?').map_or_else(|| path.clone(), |(before, _)| format!("{before}?(hidden)"));
                f.debug_struct("WebSocket").field("path", &shown).finish()
            }
        }
    }
}

/// How MQTT travels to a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Transport {
    /// Whether it is encrypted.
    pub security: Security,
    /// What it is put into.
    pub framing: Framing,
}

impl Transport {
    /// What this build lacks for it, and how to have it.
    pub(crate) fn missing(&self) -> Option<&'static str> {
        if self.security == Security::Tls && cfg!(not(feature = "tls")) {
            return Some("asks for TLS, which this build does not have; turn the feature `tls` on");
        }
        if self.framing != Framing::None && cfg!(not(feature = "websocket")) {
            return Some("asks for WebSocket, which this build does not have; turn the feature `websocket` on");
        }
        None
    }
}

/// How servers are reached and spoken to: what all of them have in common.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Ways {
    /// How TLS is spoken; without it no server is reached that wants it.
    #[cfg(feature = "tls")]
    pub tls: Option<crate::tls::Tls>,
    /// With it, TLS with servers is by this key and not by certificates. Proxies are still spoken to by `tls`.
    #[cfg(feature = "openssl")]
    pub psk: Option<crate::tls::Psk>,
    /// What the opening of a WebSocket says.
    #[cfg(feature = "websocket")]
    pub websocket: crate::websocket::WebSocketOptions,
    /// Through which proxies.
    pub proxies: Proxies,
    /// Who connects sockets in place of the driver. Then there are no proxies, and no names of servers are resolved.
    pub connector: Option<Connector>,
}

impl Ways {
    /// True when TLS by certificates is spoken with this server, or with the proxy before it.
    pub fn wants_tls(&self, server: &Server) -> bool {
        let proxy = self.proxy(server).and_then(Proxy::tls_host);
        #[cfg(feature = "openssl")]
        let by_certificate = self.psk.is_none();
        #[cfg(not(feature = "openssl"))]
        let by_certificate = true;
        by_certificate && server.transport.security == Security::Tls || proxy.is_some()
    }

    /// True when the socket goes to the server itself, as far as we know.
    pub(crate) fn is_direct(&self, server: &Server) -> bool {
        self.connector.is_none() && self.proxy(server).is_none()
    }

    /// Where the socket goes.
    pub(crate) fn dialed(&self, server: &Server) -> Endpoint {
        self.proxy(server).map_or_else(|| server.endpoint.clone(), Proxy::endpoint)
    }

    /// The name to look up before a proxy is dialed that wants an address.
    pub(crate) fn to_locate(&self, server: &Server) -> Option<(String, u16)> {
        let proxy = self.proxy(server).filter(|proxy| proxy.name_lookup() == NameLookup::Here)?;
        match &server.endpoint {
            // An address needs no looking up.
            Endpoint::Tcp { host, port } if host.parse::<IpAddr>().is_err() => {
                debug_assert!(proxy.tls_host().is_none(), "who looks names up here is a SOCKS proxy");
                Some((host.clone(), *port))
            }
            _ => None,
        }
    }

    /// The address among those of the server that the proxy can be told.
    pub(crate) fn choose(&self, server: &Server, addresses: &[SocketAddr]) -> Option<SocketAddr> {
        let proxy = self.proxy(server);
        addresses.iter().find(|address| proxy.is_none_or(|proxy| proxy.takes(address.ip()))).copied()
    }

    /// The layers between a socket and MQTT at this server, as in this table (socket side first):
    ///
    /// | server | through | layers |
    /// |---|---|---|
    /// | `mqtt://h` | | |
    /// | `mqtts://h` | | TLS with h |
    /// | `wss://h` | | TLS with h, WebSocket |
    /// | `mqtts://h` | `http://p` | CONNECT h, TLS with h |
    /// | `wss://h` | `https://p` | TLS with p, CONNECT h, TLS with h, WebSocket |
    /// | `mqtt://h` | `socks5://p` | SOCKS h |
    pub(crate) fn stack(&self, server: &Server, located: Option<SocketAddr>) -> Result<Stack, LayerError> {
        let mut layers = Vec::new();
        let Endpoint::Tcp { host, port } = &server.endpoint else {
            return Ok(Stack::new(layers));
        };
        if let Some(proxy) = self.proxy(server) {
            if let Some(proxy_host) = proxy.tls_host() {
                layers.push(self.tls_to_proxy(proxy_host)?);
            }
            let target = match located {
                Some(address) => ProxyTarget::resolved(host.clone(), address),
                None => ProxyTarget::new(host.clone(), *port),
            };
            layers.push(proxy.layer(&target)?);
        }
        if server.transport.security == Security::Tls {
            layers.push(self.tls(host)?);
        }
        if let Framing::WebSocket { path } = &server.transport.framing {
            layers.push(self.websocket(host, *port, path, server.transport.security)?);
        }
        Ok(Stack::new(layers))
    }

    fn proxy(&self, server: &Server) -> Option<&Proxy> {
        let proxies = Some(&self.proxies).filter(|_| self.connector.is_none());
        proxies?.proxy_for(&server.endpoint, &server.transport)
    }

    #[cfg(feature = "tls")]
    fn tls(&self, host: &str) -> Result<Box<dyn Layer>, LayerError> {
        #[cfg(feature = "openssl")]
        if let Some(psk) = &self.psk {
            return psk.layer(host);
        }
        self.tls.as_ref().ok_or_else(no_tls)?.layer(host)
    }

    #[cfg(feature = "tls")]
    fn tls_to_proxy(&self, host: &str) -> Result<Box<dyn Layer>, LayerError> {
        self.tls.as_ref().ok_or_else(no_tls)?.proxy_layer(host)
    }

    #[cfg(not(feature = "tls"))]
    fn tls_to_proxy(&self, host: &str) -> Result<Box<dyn Layer>, LayerError> {
        self.tls(host)
    }

    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unused_self, reason = "as with the feature")]
    fn tls(&self, _host: &str) -> Result<Box<dyn Layer>, LayerError> {
        Err(LayerError::new("TLS", "this build does not have it; turn the feature `tls` on"))
    }

    #[cfg(feature = "websocket")]
    fn websocket(&self, host: &str, port: u16, path: &str, security: Security) -> Result<Box<dyn Layer>, LayerError> {
        let target = crate::websocket::Target { host, port, path, security };
        Ok(Box::new(crate::websocket::WebSocketLayer::new(&self.websocket, &target)?))
    }

    #[cfg(not(feature = "websocket"))]
    #[expect(clippy::unused_self, reason = "as with the feature")]
    fn websocket(&self, _host: &str, _port: u16, _path: &str, _: Security) -> Result<Box<dyn Layer>, LayerError> {
        Err(LayerError::new("WebSocket", "this build does not have it; turn the feature `websocket` on"))
    }
}

#[cfg(feature = "tls")]
fn no_tls() -> LayerError {
    LayerError::new("TLS", "no configuration was given; set one with `Options::tls`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(url: &str, proxy: Option<&str>) -> Vec<&'static str> {
        let mut ways = Ways::default();
        if let Some(proxy) = proxy {
            ways.proxies = Proxies::all(Proxy::parse(proxy).expect("legal"));
        }
        #[cfg(feature = "tls")]
        {
            let provider = rustls::crypto::ring::default_provider().into();
            let builder = rustls::ClientConfig::builder_with_provider(provider);
            let builder = builder.with_safe_default_protocol_versions().expect("supported");
            let config = builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
            ways.tls = Some(config.into());
        }
        let server = Server::parse(url).expect("legal");
        ways.stack(&server, None).expect("can be built").names()
    }

    #[cfg(all(feature = "tls", feature = "websocket"))]
    #[test]
    fn layers_stand_in_the_order_of_the_table() {
        for (url, proxy, layers) in [
            ("mqtt://h", None, &[][..]),
            ("mqtts://h", None, &["TLS"]),
            ("ws://h", None, &["WebSocket"]),
            ("wss://h", None, &["TLS", "WebSocket"]),
            ("mqtts://h", Some("http://p"), &["HTTP proxy", "TLS"]),
            ("wss://h", Some("https://p"), &["TLS", "HTTP proxy", "TLS", "WebSocket"]),
            ("mqtt://h", Some("socks5h://p"), &["SOCKS5 proxy"]),
            ("unix:///x", Some("socks5h://p"), &[]),
        ] {
            assert_eq!(names(url, proxy), layers, "{url} through {proxy:?}");
        }
    }

    #[cfg(feature = "openssl")]
    #[test]
    fn pre_shared_keys_are_for_servers_and_certificates_for_proxies() {
        let context = openssl::ssl::SslContext::builder(openssl::ssl::SslMethod::tls_client()).expect("OpenSSL");
        let psk = Some(crate::tls::Psk::new(context, "me", *b"key"));
        let ways = Ways { psk: psk.clone(), ..Ways::default() };
        let server = Server::parse("mqtts://h").expect("legal");
        let stack = ways.stack(&server, None).expect("needs no certificates");
        assert!(!ways.wants_tls(&server) && format!("{stack:?}").contains("PskLayer"), "{stack:?}");
        let ways = Ways { psk, proxies: Proxies::all(Proxy::parse("https://p").expect("legal")), ..Ways::default() };
        assert!(ways.wants_tls(&server));
        let error = ways.stack(&server, None).expect_err("the proxy's certificate is to be checked");
        assert!(error.to_string().contains("no configuration was given"), "{error}");
    }

    #[test]
    fn names_are_looked_up_here_for_proxies_that_cannot() {
        let server = |url| Server::parse(url).expect("legal");
        for (proxy, url, name) in [
            ("socks4://p", "mqtt://h:7", Some(("h".to_owned(), 7))),
            ("socks5://p", "mqtt://h", Some(("h".to_owned(), 1883))),
            ("socks5://p", "mqtt://10.0.0.1", None),
            ("socks5h://p", "mqtt://h", None),
            ("socks4a://p", "mqtt://h", None),
            ("http://p", "mqtt://h", None),
        ] {
            let ways = Ways { proxies: Proxies::all(Proxy::parse(proxy).expect("legal")), ..Ways::default() };
            assert_eq!(ways.to_locate(&server(url)), name, "{url} through {proxy}");
            assert!(!ways.is_direct(&server(url)));
        }
        let both = ["[::1]:1883", "10.0.0.1:1883"].map(|address| address.parse().expect("an address"));
        let ways = Ways { proxies: Proxies::all(Proxy::parse("socks4://p").expect("legal")), ..Ways::default() };
        assert_eq!(ways.choose(&server("mqtt://h"), &both), Some(both[1]), "SOCKS 4 knows no IPv6");
    }
}
