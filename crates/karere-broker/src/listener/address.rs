//! Where a server listens, and what is spoken there.

use core::fmt;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// Where a [`Server`](super::Server) listens, and how MQTT travels there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// An IP address and port for WebSocket over TLS.
    #[cfg(all(feature = "tls", feature = "websocket"))]
    SecureWebSocket(SocketAddr),
    /// An IP address and port.
    Tcp(SocketAddr),
    /// An IP address and port for TLS.
    #[cfg(feature = "tls")]
    Tls(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
    /// An IP address and port for WebSocket.
    #[cfg(feature = "websocket")]
    WebSocket(SocketAddr),
}

/// What is bound.
pub(super) enum Place<'a> {
    Ip(SocketAddr),
    File(&'a Path),
}

impl Address {
    pub(super) fn socket(&self) -> Place<'_> {
        match self {
            #[cfg(all(feature = "tls", feature = "websocket"))]
            Self::SecureWebSocket(address) => Place::Ip(*address),
            Self::Tcp(address) => Place::Ip(*address),
            #[cfg(feature = "tls")]
            Self::Tls(address) => Place::Ip(*address),
            Self::Unix(path) => Place::File(path),
            #[cfg(feature = "websocket")]
            Self::WebSocket(address) => Place::Ip(*address),
        }
    }

    #[cfg(feature = "websocket")]
    pub(super) const fn has_websocket(&self) -> bool {
        match self {
            #[cfg(feature = "tls")]
            Self::SecureWebSocket(_) => true,
            #[cfg(feature = "tls")]
            Self::Tls(_) => false,
            Self::Tcp(_) | Self::Unix(_) => false,
            Self::WebSocket(_) => true,
        }
    }

    /// The same with this port; of a Unix socket the same.
    pub(super) fn with_port(&self, port: u16) -> Self {
        let mut new = self.clone();
        match &mut new {
            #[cfg(all(feature = "tls", feature = "websocket"))]
            Self::SecureWebSocket(address) => address.set_port(port),
            Self::Tcp(address) => address.set_port(port),
            #[cfg(feature = "tls")]
            Self::Tls(address) => address.set_port(port),
            Self::Unix(_) => {}
            #[cfg(feature = "websocket")]
            Self::WebSocket(address) => address.set_port(port),
        }
        new
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            #[cfg(all(feature = "tls", feature = "websocket"))]
            Self::SecureWebSocket(address) => write!(f, "address {address} (WebSocket over TLS)"),
            Self::Tcp(address) => write!(f, "TCP address {address}"),
            #[cfg(feature = "tls")]
            Self::Tls(address) => write!(f, "address {address} (TLS)"),
            Self::Unix(path) => write!(f, "Unix socket {}", path.display()),
            #[cfg(feature = "websocket")]
            Self::WebSocket(address) => write!(f, "address {address} (WebSocket)"),
        }
    }
}
