//! Where a server is to listen, and what it says when it cannot.

use core::fmt;
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{Arc, Mutex, atomic::AtomicBool},
    thread::Builder,
};

#[cfg(feature = "websocket")]
use super::upgrade::{Rules, Subprotocol};
use super::{Server, Shared, address::Address, layering::Layering, reactor::Reactor, troubles::Troubles};
use crate::broker::Broker;

/// Where a [`Server`] is to listen.
#[must_use]
pub struct Options {
    broker: Broker,
    listeners: Vec<Listener>,
    #[cfg(feature = "websocket")]
    websocket: Rules,
}

struct Listener {
    address: Address,
    #[cfg(feature = "tls")]
    tls: Option<Arc<rustls::ServerConfig>>,
}

impl Options {
    pub(super) const fn new(broker: Broker) -> Self {
        Self {
            broker,
            listeners: Vec::new(),
            #[cfg(feature = "websocket")]
            websocket: Rules::new(),
        }
    }

    /// Listens on a TCP address; port 0 is any free one.
    pub fn tcp(self, address: impl Into<SocketAddr>) -> Self {
        self.listener(Address::Tcp(address.into()))
    }

    /// Listens on a Unix socket. A file left behind by one that nobody listens on any more is replaced; the new one is
    /// removed at the end.
    pub fn unix(self, path: impl Into<PathBuf>) -> Self {
        self.listener(Address::Unix(path.into()))
    }

    /// Listens for TLS on a TCP address; port 0 is any free one.
    ///
    /// Early data is refused, whatever `config` says. Certificates of clients are asked for and checked as it says; the
    /// broker does not see them.
    #[cfg(feature = "tls")]
    pub fn tls(self, address: impl Into<SocketAddr>, config: Arc<rustls::ServerConfig>) -> Self {
        self.secure_listener(Address::Tls(address.into()), &config)
    }

    /// Listens for WebSocket on a TCP address; port 0 is any free one.
    ///
    /// A frame, or a message of several, may hold up to 64 MiB; MQTT packets may begin and end anywhere in them.
    #[cfg(feature = "websocket")]
    pub fn websocket(self, address: impl Into<SocketAddr>) -> Self {
        self.listener(Address::WebSocket(address.into()))
    }

    /// Listens for WebSocket over TLS on a TCP address; port 0 is any free one. What [`tls`](Self::tls) and
    /// [`websocket`](Self::websocket) say holds here, too.
    #[cfg(all(feature = "tls", feature = "websocket"))]
    pub fn secure_websocket(self, address: impl Into<SocketAddr>, config: Arc<rustls::ServerConfig>) -> Self {
        self.secure_listener(Address::SecureWebSocket(address.into()), &config)
    }

    /// The only path at which there is a WebSocket, such as `/mqtt`, on all listeners; a query behind it is ignored. Others
    /// are answered with 404. By default any path will do.
    #[cfg(feature = "websocket")]
    pub fn websocket_path(mut self, path: impl Into<String>) -> Self {
        self.websocket.path = Some(path.into());
        self
    }

    /// Which sub-protocol all WebSocket listeners select.
    #[cfg(feature = "websocket")]
    pub fn websocket_subprotocol(mut self, subprotocol: Subprotocol) -> Self {
        self.websocket.subprotocol = subprotocol;
        self
    }

    /// Binds the addresses, a free port of 127.0.0.1 if there are none, and starts the thread.
    ///
    /// # Errors
    ///
    /// [`StartError`] names the address that cannot be listened on, and why; none is listened on then.
    pub fn start(mut self) -> Result<Server, StartError> {
        if self.listeners.is_empty() {
            self = self.tcp((Ipv4Addr::LOCALHOST, 0));
        }
        #[cfg(feature = "websocket")]
        let rules = Arc::new(self.websocket);
        let set_up = |source| StartError { address: None, source };
        let mut reactor = Reactor::new().map_err(set_up)?;
        let mut addresses = Vec::with_capacity(self.listeners.len());
        for listener in self.listeners {
            let layering = Layering {
                #[cfg(feature = "tls")]
                tls: listener.tls,
                #[cfg(feature = "websocket")]
                websocket: listener.address.has_websocket().then(|| Arc::clone(&rules)),
            };
            let bound = reactor.listen(&listener.address, layering);
            addresses.push(bound.map_err(|source| StartError { address: Some(listener.address), source })?);
        }
        let waker = reactor.waker().map_err(set_up)?;
        let shared = Arc::new(Shared {
            broker: Mutex::new(self.broker),
            troubles: Mutex::new(Troubles::default()),
            waker,
            stop: AtomicBool::new(false),
        });
        let for_thread = Arc::clone(&shared);
        let thread =
            Builder::new().name("karere-broker".into()).spawn(move || reactor.run(&for_thread)).map_err(set_up)?;
        Ok(Server { shared, addresses, thread: Some(thread) })
    }

    fn listener(mut self, address: Address) -> Self {
        self.listeners.push(Listener {
            address,
            #[cfg(feature = "tls")]
            tls: None,
        });
        self
    }

    #[cfg(feature = "tls")]
    fn secure_listener(mut self, address: Address, config: &rustls::ServerConfig) -> Self {
        let mut config = config.clone();
        config.max_early_data_size = 0; // nobody reads it, and CONNECT could be in it
        self.listeners.push(Listener { address, tls: Some(Arc::new(config)) });
        self
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses = self.listeners.iter().map(|listener| &listener.address).collect::<Vec<_>>();
        f.debug_struct("Options").field("broker", &self.broker).field("addresses", &addresses).finish_non_exhaustive()
    }
}

/// Why a [`Server`] could not start.
#[derive(Debug)]
#[non_exhaustive]
pub struct StartError {
    /// The address that could not be listened on; `None` when the failure is none of theirs.
    pub address: Option<Address>,
    /// What the system said.
    pub source: io::Error,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Some(address) => write!(f, "cannot listen on {address}"),
            None => f.write_str("cannot start the thread that serves connections"),
        }
    }
}

impl core::error::Error for StartError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&self.source)
    }
}
