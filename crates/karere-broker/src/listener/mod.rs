//! Sockets in front of a broker: the only part with sockets, a thread and a clock.
//!
//! One thread serves all connections. A turn reads what has arrived, hands it to the broker under its lock, takes what the
//! broker has to say, and writes it after the lock is released, with one system call for each connection. A connection
//! that does not take what is written to it is not read either.
//!
//! MQTT travels in TCP and Unix sockets; with the feature `tls` also in TLS, with `websocket` also in a WebSocket, with both
//! in a WebSocket in TLS. The broker and its faults see the bytes of MQTT alone.

mod address;
mod channel;
mod layer;
mod layering;
mod options;
mod reactor;
mod stream;
#[cfg(feature = "tls")]
mod tls;
mod troubles;
#[cfg(feature = "websocket")]
mod upgrade;
#[cfg(feature = "websocket")]
mod websocket;

use core::fmt;
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use mio::Waker;

use crate::{broker::Broker, config::Config};

pub use address::Address;
pub use options::{Options, StartError};
pub use troubles::Trouble;
use troubles::Troubles;
#[cfg(feature = "websocket")]
pub use upgrade::Subprotocol;

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
    troubles: Mutex<Troubles>,
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

    /// The first TCP address of [`local_addrs`](Self::local_addrs), without TLS and WebSocket.
    pub fn tcp_addr(&self) -> Option<SocketAddr> {
        self.first(|address| if let Address::Tcp(address) = address { Some(*address) } else { None })
    }

    /// The first address of [`local_addrs`](Self::local_addrs) with TLS and without WebSocket.
    #[cfg(feature = "tls")]
    pub fn tls_addr(&self) -> Option<SocketAddr> {
        self.first(|address| if let Address::Tls(address) = address { Some(*address) } else { None })
    }

    /// The first address of [`local_addrs`](Self::local_addrs) with WebSocket and without TLS.
    #[cfg(feature = "websocket")]
    pub fn websocket_addr(&self) -> Option<SocketAddr> {
        self.first(|address| if let Address::WebSocket(address) = address { Some(*address) } else { None })
    }

    /// The first address of [`local_addrs`](Self::local_addrs) with WebSocket over TLS.
    #[cfg(all(feature = "tls", feature = "websocket"))]
    pub fn secure_websocket_addr(&self) -> Option<SocketAddr> {
        self.first(|address| if let Address::SecureWebSocket(address) = address { Some(*address) } else { None })
    }

    /// Connections on which TLS or WebSocket went wrong, oldest first; the last 100 of them.
    ///
    /// The broker does not know more of them than that they were opened and lost.
    pub fn troubles(&self) -> Vec<Trouble> {
        self.shared.troubles().list()
    }

    fn first(&self, of_kind: impl Fn(&Address) -> Option<SocketAddr>) -> Option<SocketAddr> {
        self.addresses.iter().find_map(of_kind)
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

    fn troubles(&self) -> MutexGuard<'_, Troubles> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        // Fails only when the kernel has no memory left; then the next event or deadline wakes the thread.
        let _ = self.waker.wake();
    }
}
