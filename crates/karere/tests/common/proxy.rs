//! A TCP proxy that can hold bytes back and cut connections in the middle of a packet.

use core::net::SocketAddr;
use std::{
    collections::VecDeque,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    ToServer,
    ToClient,
}

/// Cut a connection when this many bytes have gone that way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut(pub(crate) Way, pub(crate) u64);

/// Passes bytes between clients and a server; ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// For the connections to come, one each.
    cuts: VecDeque<Cut>,
    /// Ways on which nothing passes for now.
    held: Vec<Way>,
    open: Vec<TcpStream>,
    peers: Vec<SocketAddr>,
    done: bool,
}

impl Proxy {
    pub(crate) fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let shared = Arc::<Shared>::default();
        let for_thread = Arc::clone(&shared);
        let thread = thread::spawn(move || serve(&listener, upstream, &for_thread));
        Self { address, shared, thread: Some(thread) }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts the next connections, one each; those after them live.
    pub(crate) fn plan(&self, cuts: impl IntoIterator<Item = Cut>) {
        self.shared.lock().cuts.extend(cuts);
    }

    /// Cuts that are still to be done.
    pub(crate) fn cuts_left(&self) -> usize {
        self.shared.lock().cuts.len()
    }

    /// Lets nothing pass that way until [`Proxy::release`].
    pub(crate) fn hold(&self, way: Way) {
        self.shared.lock().held.push(way);
    }

    pub(crate) fn release(&self) {
        self.shared.lock().held.clear();
        self.shared.changed.notify_all();
    }

    /// Cuts all connections now. What is held back is lost.
    pub(crate) fn cut(&self) {
        for stream in self.shared.lock().open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.shared.changed.notify_all();
    }

    /// Where clients came from, in order.
    pub(crate) fn peers(&self) -> Vec<SocketAddr> {
        self.shared.lock().peers.clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.lock().done = true;
        self.cut();
        let _ = TcpStream::connect(self.address); // wakes it
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn serve(listener: &TcpListener, upstream: SocketAddr, shared: &Arc<Shared>) {
    let mut threads = Vec::new();
    while let Ok((client, peer)) = listener.accept() {
        let cut = {
            let mut state = shared.lock();
            if state.done {
                break;
            }
            state.peers.push(peer);
            state.cuts.pop_front()
        };
        let Ok(server) = TcpStream::connect(upstream) else {
            continue; // the client sees its connection end
        };
        for stream in [&client, &server] {
            let _ = stream.set_nodelay(true);
            shared.lock().open.push(stream.try_clone().expect("a descriptor"));
        }
        for way in [Way::ToServer, Way::ToClient] {
            let (client, server) = (client.try_clone().expect("descriptor"), server.try_clone().expect("descriptor"));
            let (from, to) = if way == Way::ToServer { (client, server) } else { (server, client) };
            let limit = cut.filter(|cut| cut.0 == way).map(|cut| cut.1);
            let shared = Arc::clone(shared);
            threads.push(thread::spawn(move || pass(from, to, way, limit, &shared)));
        }
    }
    for thread in threads {
        let _ = thread.join();
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, way: Way, limit: Option<u64>, shared: &Shared) {
    let mut buffer = vec![0; 64 * 1024];
    let mut left = limit.unwrap_or(u64::MAX);
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let mut state = shared.lock();
        while state.held.contains(&way) && !state.done {
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        drop(state);
        let allowed = count.min(usize::try_from(left).unwrap_or(usize::MAX));
        if to.write_all(&buffer[..allowed]).is_err() {
            break;
        }
        left -= allowed as u64;
        if left == 0 {
            let _ = from.shutdown(Shutdown::Both);
            break;
        }
    }
    let _ = to.shutdown(if limit.is_some() && left == 0 { Shutdown::Both } else { Shutdown::Write });
}
