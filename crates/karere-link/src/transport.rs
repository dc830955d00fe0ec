//! How a server is spoken to: security, framing, proxies; and the layers that follow from it.

use core::{fmt, net::SocketAddr};

use crate::{endpoint::Endpoint, layer::LayerError, route::Server, stack::Stack};

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
    /// What the opening of a WebSocket says.
    #[cfg(feature = "websocket")]
    pub websocket: crate::websocket::WebSocketOptions,
}

impl Ways {
    /// True when the socket goes to the server itself.
    pub(crate) const fn is_direct(&self, _server: &Server) -> bool {
        true
    }

    /// Where the socket goes.
    pub(crate) fn dialed(&self, server: &Server) -> Endpoint {
        server.endpoint.clone()
    }

    /// The name to look up before a proxy is dialed that wants an address.
    pub(crate) const fn to_locate(&self, _server: &Server) -> Option<(String, u16)> {
        None
    }

    /// The address among those of the server that the proxy can be told.
    pub(crate) fn choose(&self, _server: &Server, addresses: &[SocketAddr]) -> Option<SocketAddr> {
        addresses.first().copied()
    }

    /// The layers between a socket and MQTT at this server.
    pub(crate) fn stack(&self, _server: &Server, _located: Option<SocketAddr>) -> Result<Stack, LayerError> {
        Ok(Stack::new(Vec::new()))
    }
}
