//! The program that is killed: it publishes and receives, and tells the ledger what it was promised, as it is promised.

use std::{
    io::Write as _,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use karere::{
    Acknowledge, Delivery, FirstConnection, Options, Publish, QoS, SessionExpiry, Subscribe, Token,
    session::{Record, Snapshot},
    store::{Committer, RedbStore, Store, StoreError, Write},
    sync::{Callbacks, Client, Keep, Publishing},
};

use super::{Break, PATIENCE, qos_of};

/// What the parent process says, by the environment.
pub(crate) struct Orders {
    pub(crate) port: u16,
    pub(crate) file: String,
    pub(crate) broken: Break,
    /// The first number that is free.
    pub(crate) first: u64,
    pub(crate) last_life: LastLife,
}

/// What this life is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LastLife {
    /// To be killed while it works.
    No,
    /// To end what the others have begun.
    Yes,
}

/// A line for the ledger; it is whole or not there, for it is shorter than a pipe takes at once.
fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("@{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

pub(crate) fn run(orders: &Orders) {
    let mut store = RedbStore::open(&orders.file).expect("the store opens after every kill");
    let kept = store.load("crash").expect("the store can be read after every kill");
    for publish in kept.queued.values().map(|queued| &queued.publish) {
        tell(&format!("owed {}", number_of(publish)));
    }
    for publish in kept.in_flight.iter().filter(|flow| !flow.given_up).filter_map(|flow| flow.publish.as_ref()) {
        tell(&format!("owed {}", number_of(publish)));
    }
    let committer = match orders.broken {
        Break::Nothing => Committer::spawn(store),
        Break::Gate => Committer::spawn(Late { store, last: Vec::new() }),
        Break::Received => Committer::spawn(Forgetful(store)),
    };
    let options = Options::tcp("127.0.0.1", orders.port)
        .client_id("crash")
        .session_expiry(SessionExpiry::Never)
        .acknowledge(Acknowledge::Manual)
        .first_connection(FirstConnection::Retry)
        .reconnect_delay(Duration::from_millis(5), Duration::from_millis(40));
    let (client, driver) = Client::with_store(options, &Keep::new(committer.unwrap())).unwrap();
    let (arrived, arrivals) = mpsc::channel::<(u64, Delivery)>();
    let arrived = Mutex::new(arrived);
    let handler = Callbacks::new()
        .on_published(|_, published| tell(&format!("done {}", published.token.get())))
        .on_message(move |_, message| {
            let number = number_of(message);
            tell(&format!("got {number}"));
            if let Some(delivery) = message.take_delivery() {
                let _ = arrived.lock().unwrap().send((number, delivery));
            }
        });
    let running = driver.spawn(handler).unwrap();
    let subscribe = Subscribe::new("in/#", QoS::ExactlyOnce).unwrap();
    client.subscribe(subscribe).unwrap().wait(PATIENCE).unwrap();
    tell("subscribed");
    let keeper = client.clone();
    let idle = Arc::new(Mutex::new(()));
    let busy = Arc::clone(&idle);
    thread::spawn(move || {
        while let Ok(first) = arrivals.recv() {
            let _busy = busy.lock().unwrap();
            let mut numbers = Vec::new();
            for (number, delivery) in core::iter::once(first).chain(arrivals.try_iter()) {
                tell(&format!("keeping {number}"));
                keeper.acknowledge(delivery);
                numbers.push(number);
            }
            keeper.wait_durable(PATIENCE).unwrap();
            for number in numbers {
                tell(&format!("kept {number}"));
            }
        }
    });
    if orders.last_life == LastLife::No {
        publish_until_killed(&client, orders.first);
    }
    // What comes at the end comes soon: the server is on this machine.
    let mut quiet = 0;
    while quiet < 30 {
        thread::sleep(Duration::from_millis(20));
        let _idle = idle.lock().unwrap();
        quiet = if client.queued().0 + client.in_flight() == 0 && client.is_connected() { quiet + 1 } else { 0 };
    }
    client.disconnect().unwrap();
    client.wait_until_disconnected(PATIENCE).unwrap();
    drop(running);
    tell("idle");
}

fn publish_until_killed(client: &Client, first: u64) {
    for number in first.. {
        let mut taken: Vec<(u64, Publishing)> = Vec::new();
        for number in [number * 8, number * 8 + 1, number * 8 + 2, number * 8 + 3] {
            let publish = Publish::new(format!("out/{}", number % 3), number.to_string()).unwrap();
            taken.push((number, client.publish(publish.qos(qos_of(number))).unwrap()));
        }
        for (number, publishing) in taken {
            publishing.wait_durable(PATIENCE).unwrap();
            let token: Token = publishing.token();
            tell(&format!("durable {number} {}", token.get()));
        }
        while client.queued().0 > 40 {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

fn number_of(publish: &Publish) -> u64 {
    core::str::from_utf8(&publish.payload).unwrap().parse().unwrap()
}

/// Says that records are durable when the next ones come: as if the gate were not there.
struct Late {
    store: RedbStore,
    last: Vec<Write>,
}

impl Store for Late {
    fn load(&mut self, client: &str) -> Result<Snapshot, StoreError> {
        self.store.load(client)
    }

    fn commit(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        let last = core::mem::replace(&mut self.last, writes.to_vec());
        if last.is_empty() { Ok(()) } else { self.store.commit(&last) }
    }

    fn clients(&mut self) -> Result<Vec<String>, StoreError> {
        self.store.clients()
    }
}

/// Loses which QoS 2 messages were received.
struct Forgetful(RedbStore);

impl Store for Forgetful {
    fn load(&mut self, client: &str) -> Result<Snapshot, StoreError> {
        self.0.load(client)
    }

    fn commit(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        let mut writes = writes.to_vec();
        for write in &mut writes {
            write.records.retain(|raw| !matches!(Record::decode(raw.clone()), Ok(Record::Received { .. })));
        }
        self.0.commit(&writes)
    }

    fn clients(&mut self) -> Result<Vec<String>, StoreError> {
        self.0.clients()
    }
}
