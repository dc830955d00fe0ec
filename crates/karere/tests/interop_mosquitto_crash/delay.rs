//! A network between the program and its server: slow enough that a kill takes away what was on its way.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use super::tap::Tap;

/// A way to the server. What it carries when it is cut never arrives.
#[derive(Clone)]
pub(crate) struct Delay {
    pub(crate) port: u16,
    /// Connections of an earlier life carry nothing any more.
    life: Arc<AtomicU64>,
    pub(crate) tap: Arc<Mutex<Tap>>,
}

const EACH_READ: Duration = Duration::from_millis(4);

impl Delay {
    pub(crate) fn to(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let delay = Self { port: listener.local_addr().unwrap().port(), life: Arc::default(), tap: Arc::default() };
        let way = delay.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(("127.0.0.1", server))) else {
                    continue;
                };
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                let life = way.life.load(Ordering::SeqCst);
                way.carry(life, client.try_clone().unwrap(), server.try_clone().unwrap(), |_| {});
                let (tap, mut sent) = (Arc::clone(&way.tap), Vec::new());
                way.carry(life, server, client, move |bytes| {
                    sent.extend_from_slice(bytes);
                    tap.lock().unwrap().read(&mut sent);
                });
            }
        });
        delay
    }

    /// Nothing that is on its way arrives.
    pub(crate) fn cut(&self) {
        self.life.fetch_add(1, Ordering::SeqCst);
    }

    fn carry(&self, life: u64, mut from: TcpStream, mut to: TcpStream, mut see: impl FnMut(&[u8]) + Send + 'static) {
        let current = Arc::clone(&self.life);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            let mut open = true;
            while let Ok(count @ 1..) = from.read(&mut bytes) {
                see(&bytes[..count]);
                if open {
                    thread::sleep(EACH_READ);
                    open = current.load(Ordering::SeqCst) == life && to.write_all(&bytes[..count]).is_ok();
                }
                if !open {
                    // What was said before the end is still seen.
                    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
                }
            }
            let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
        });
    }
}
