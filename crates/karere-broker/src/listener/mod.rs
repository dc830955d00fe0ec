//! TCP and Unix sockets in front of a broker: the only part with sockets, a thread and a clock.
//!
//! One thread serves all connections. A turn reads what has arrived, hands it to the broker under its lock, takes what the
//! broker has to say, and writes it after the lock is released, with one system call for each connection. A connection
//! that does not take what is written to it is not read either.

mod reactor;
mod stream;

use core::fmt;
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{Builder, JoinHandle},
};

use mio::Waker;

use crate::{broker::Broker, config::Config};
use reactor::Reactor;

/// A broker behind sockets. Ends, and closes all connections, when it is stopped or dropped.
#[must_use = "the broker ends when this is dropped"]
pub struct Server {
    shared: Arc<Shared>,
    addresses: Vec<Address>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread and the [`Server`] share.
struct Shared {
    broker: Mutex<Broker>,
    waker: Waker,
    stop: AtomicBool,
}

impl Server {
    /// Serves a new broker on a free TCP port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// [`StartError`] when there is no port or no thread to be had.
    pub fn start(config: Config) -> Result<Self, StartError> {
        Options::new(Broker::new(config)).start()
    }

    /// Serves `broker` on the addresses that are added to the answer.
    pub const fn options(broker: Broker) -> Options {
        Options::new(broker)
    }

    /// Calls `with` with the broker, between two turns of the thread; what it leaves to be sent is sent at once.
    ///
    /// Do not stay in there: nobody is served meanwhile.
    pub fn with<T>(&self, with: impl FnOnce(&mut Broker) -> T) -> T {
        let answer = with(&mut self.shared.lock());
        self.shared.wake();
        answer
    }

    /// Tells all clients that the server shuts down, closes their connections, and ends the thread. The broker is given
    /// back with its sessions and retained messages.
    pub fn stop(mut self) -> Broker {
        self.join();
        core::mem::take(&mut *self.shared.lock())
    }

    /// Where it listens, in the order in which the addresses were added; ports are real ones.
    pub fn local_addrs(&self) -> &[Address] {
        &self.addresses
    }

    /// The first TCP address of [`local_addrs`](Self::local_addrs).
    pub fn tcp_addr(&self) -> Option<SocketAddr> {
        self.addresses.iter().find_map(|address| match address {
            Address::Tcp(address) => Some(*address),
            Address::Unix(_) => None,
        })
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.shared.stop.store(true, Ordering::Release);
            self.shared.wake();
            // A panic has been printed by the thread itself; here there is nothing left to do about it.
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.join();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Broker> {
        // A test that panics in `with` shall not take the others' broker away.
        self.broker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        // Fails only when the kernel has no memory left; then the next event or deadline wakes the thread.
        let _ = self.waker.wake();
    }
}

/// Where a [`Server`] is to listen.
#[derive(Debug)]
#[must_use]
pub struct Options {
    broker: Broker,
    addresses: Vec<Address>,
}

impl Options {
    const fn new(broker: Broker) -> Self {
        Self { broker, addresses: Vec::new() }
    }

    /// Listens on a TCP address; port 0 is any free one.
    pub fn tcp(mut self, address: impl Into<SocketAddr>) -> Self {
        self.addresses.push(Address::Tcp(address.into()));
        self
    }

    /// Listens on a Unix socket. A file left behind by one that nobody listens on any more is replaced; the new one is
    /// removed at the end.
    pub fn unix(mut self, path: impl Into<PathBuf>) -> Self {
        self.addresses.push(Address::Unix(path.into()));
        self
    }

    /// Binds the addresses, a free port of 127.0.0.1 if there are none, and starts the thread.
    ///
    /// # Errors
    ///
    /// [`StartError`] names the address that cannot be listened on, and why; none is listened on then.
    pub fn start(mut self) -> Result<Server, StartError> {
        if self.addresses.is_empty() {
            self.addresses.push(Address::Tcp((Ipv4Addr::LOCALHOST, 0).into()));
        }
        let set_up = |source| StartError { address: None, source };
        let mut reactor = Reactor::new().map_err(set_up)?;
        let mut addresses = Vec::with_capacity(self.addresses.len());
        for address in self.addresses {
            let bound = reactor.listen(&address);
            addresses.push(bound.map_err(|source| StartError { address: Some(address), source })?);
        }
        let waker = reactor.waker().map_err(set_up)?;
        let shared = Arc::new(Shared { broker: Mutex::new(self.broker), waker, stop: AtomicBool::new(false) });
        let for_thread = Arc::clone(&shared);
        let thread =
            Builder::new().name("karere-broker".into()).spawn(move || reactor.run(&for_thread)).map_err(set_up)?;
        Ok(Server { shared, addresses, thread: Some(thread) })
    }
}

/// Where a [`Server`] listens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// An IP address and port.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "TCP address {address}"),
            Self::Unix(path) => write!(f, "Unix socket {}", path.display()),
        }
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
