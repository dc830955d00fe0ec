//! A name server that says what a test wants: over UDP, on a free port of 127.0.0.1.
//!
//! Written by hand (RFC 1035, RFC 2782), so that the client's resolver is not tried against itself.

use core::net::SocketAddr;
use std::{
    collections::HashMap,
    net::UdpSocket,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

const A: u16 = 1;
const SRV: u16 = 33;

/// Answers until it is dropped.
#[derive(Debug)]
pub(crate) struct NameServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    zone: Mutex<Zone>,
    done: AtomicBool,
}

#[derive(Debug, Default)]
struct Zone {
    /// By name and type: the data of each record. A name without any does not exist; one without those of a type is empty.
    records: HashMap<String, HashMap<u16, Vec<Vec<u8>>>>,
    manner: Manner,
    asked: Vec<String>,
}

/// How it answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Manner {
    #[default]
    Properly,
    /// With SERVFAIL.
    Broken,
    /// Not at all.
    Silent,
}

impl NameServer {
    pub(crate) fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        socket.set_read_timeout(Some(Duration::from_millis(20))).expect("settable");
        let address = socket.local_addr().expect("bound");
        let shared = Arc::<Shared>::default();
        let for_thread = Arc::clone(&shared);
        let thread = thread::spawn(move || serve(&socket, &for_thread));
        Self { address, shared, thread: Some(thread) }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets the SRV records of a name: priority, weight, port, target.
    pub(crate) fn srv(&self, name: &str, records: &[(u16, u16, u16, &str)]) {
        let data = |&(priority, weight, port, target): &(u16, u16, u16, &str)| {
            let mut data = [priority, weight, port].map(u16::to_be_bytes).concat();
            data.extend(labels(target));
            data
        };
        self.set(name, SRV, records.iter().map(data).collect());
    }

    /// Says that a host is 127.0.0.1.
    pub(crate) fn here(&self, name: &str) {
        self.set(name, A, vec![vec![127, 0, 0, 1]]);
    }

    pub(crate) fn be(&self, manner: Manner) {
        self.zone().manner = manner;
    }

    /// What was asked so far, such as `SRV _mqtt._tcp.example.com`.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.zone().asked.clone()
    }

    fn set(&self, name: &str, kind: u16, data: Vec<Vec<u8>>) {
        self.zone().records.entry(name.to_owned()).or_default().insert(kind, data);
    }

    fn zone(&self) -> MutexGuard<'_, Zone> {
        self.shared.zone.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.shared.done.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(socket: &UdpSocket, shared: &Shared) {
    let mut buffer = [0; 1500];
    while !shared.done.load(Ordering::SeqCst) {
        let Ok((length, client)) = socket.recv_from(&mut buffer) else {
            continue; // nothing came in time
        };
        let mut zone = shared.zone.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = zone.answer(&buffer[..length]) {
            let _ = socket.send_to(&answer, client);
        }
    }
}

impl Zone {
    /// The answer to a message with one question (RFC 1035, §4.1).
    fn answer(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        const HEADER: usize = 12;
        let mut name = Vec::new();
        let mut at = HEADER;
        while let length @ 1.. = usize::from(*message.get(at)?) {
            name.push(core::str::from_utf8(message.get(at + 1..at + 1 + length)?).ok()?.to_ascii_lowercase());
            at += 1 + length;
        }
        let name = name.join(".");
        let question = message.get(HEADER..at + 5)?;
        let kind = u16::from_be_bytes([message[at + 1], message[at + 2]]);
        let verb = match kind {
            A => "A".to_owned(),
            SRV => "SRV".to_owned(),
            other => format!("TYPE{other}"),
        };
        self.asked.push(format!("{verb} {name}"));
        let there = self.records.get(&name);
        let records = there.and_then(|kinds| kinds.get(&kind)).map_or(&[][..], Vec::as_slice);
        const NXDOMAIN: u8 = 3;
        const SERVFAIL: u8 = 2;
        let (code, records) = match (self.manner, there) {
            (Manner::Silent, _) => return None,
            (Manner::Broken, _) => (SERVFAIL, &[][..]),
            (Manner::Properly, None) => (NXDOMAIN, records),
            (Manner::Properly, Some(_)) => (0, records),
        };
        let mut answer = message[..2].to_vec();
        answer.extend([0x85, 0x80 | code]); // a response, of authority, recursion desired and available
        for count in [1, u16::try_from(records.len()).ok()?, 0, 0] {
            answer.extend(count.to_be_bytes());
        }
        answer.extend(question);
        for data in records {
            answer.extend([0xC0, 0x0C]); // the name of the question
            answer.extend(kind.to_be_bytes());
            answer.extend(1_u16.to_be_bytes()); // the Internet
            answer.extend(60_u32.to_be_bytes()); // seconds to live
            answer.extend(u16::try_from(data.len()).ok()?.to_be_bytes());
            answer.extend(data);
        }
        Some(answer)
    }
}

/// A name in labels; `.` is the root.
fn labels(name: &str) -> Vec<u8> {
    let mut labels = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        labels.push(u8::try_from(label.len()).expect("short"));
        labels.extend(label.as_bytes());
    }
    labels.push(0);
    labels
}
