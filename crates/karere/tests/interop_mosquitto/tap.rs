//! A way to the server that keeps what the clients on it said.

use core::net::SocketAddr;
use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

use karere::Endpoint;

/// Passes bytes on; ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Tap {
    address: SocketAddr,
    heard: Arc<Mutex<Heard>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Heard {
    bytes: Vec<u8>,
    open: Vec<TcpStream>,
    done: bool,
}

impl Tap {
    pub(crate) fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let heard = Arc::<Mutex<Heard>>::default();
        let for_thread = Arc::clone(&heard);
        let thread = thread::spawn(move || serve(&listener, upstream, &for_thread));
        Self { address, heard, thread: Some(thread) }
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::Tcp { host: self.address.ip().to_string(), port: self.address.port() }
    }

    /// How often clients have said `text`.
    pub(crate) fn count(&self, text: &str) -> usize {
        lock(&self.heard).bytes.windows(text.len()).filter(|&window| window == text.as_bytes()).count()
    }

    /// Says something to the server in place of the client that connected last.
    pub(crate) fn say(&self, bytes: &[u8]) {
        let heard = lock(&self.heard);
        let mut server = heard.open.last().expect("a connection");
        server.write_all(bytes).expect("it is open");
    }

    /// Cuts all connections now.
    pub(crate) fn cut(&self) {
        for stream in lock(&self.heard).open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        lock(&self.heard).done = true;
        self.cut();
        let _ = TcpStream::connect(self.address); // wakes it
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(listener: &TcpListener, upstream: SocketAddr, heard: &Arc<Mutex<Heard>>) {
    let mut threads = Vec::new();
    while let Ok((client, _)) = listener.accept() {
        if lock(heard).done {
            break;
        }
        let Ok(server) = TcpStream::connect(upstream) else {
            continue; // the client sees its connection end
        };
        for stream in [&client, &server] {
            let _ = stream.set_nodelay(true);
            lock(heard).open.push(stream.try_clone().expect("a descriptor"));
        }
        let (from, to) = (client.try_clone().expect("a descriptor"), server.try_clone().expect("a descriptor"));
        let for_thread = Arc::clone(heard);
        threads.push(thread::spawn(move || pass(from, to, |bytes| lock(&for_thread).bytes.extend_from_slice(bytes))));
        threads.push(thread::spawn(move || pass(server, client, |_| {})));
    }
    for thread in threads {
        let _ = thread.join();
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, note: impl Fn(&[u8])) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        note(&buffer[..count]);
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
