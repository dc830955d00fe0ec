//! A server, somebody who sees what it passes on, and a store whose disk waits for the test.

use std::{
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use karere::{
    Options, Outcome, Publish, QoS, Subscribe,
    session::Snapshot,
    store::{Committer, MemoryStore, Store, StoreError, Write},
    sync::{Background, Callbacks, Client, Driver, Keep},
};
use karere_broker::{Broker, Config, Server as Listener};

/// How long anything may take that is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// How long something that must not come is waited for.
pub(crate) const A_WHILE: Duration = Duration::from_millis(60);

pub(crate) struct Server(Listener);

impl Server {
    pub(crate) fn start() -> Self {
        let broker = Broker::new(Config::new());
        Self(Listener::options(broker).tcp(([127, 0, 0, 1], 0)).start().expect("a free port"))
    }

    pub(crate) fn options(&self, id: &str) -> Options {
        let address = self.0.tcp_addr().expect("it listens on TCP");
        Options::tcp(address.ip().to_string(), address.port()).client_id(id)
    }

    /// Sees every message with a number.
    pub(crate) fn observer(&self) -> Observer {
        let (tell, seen) = mpsc::channel();
        let tell = Mutex::new(tell);
        let (client, driver) = Client::new(self.options("observer")).unwrap();
        let seeing = Callbacks::new().on_message(move |_, message| {
            let number = String::from_utf8(message.payload.to_vec()).unwrap().parse::<u64>().unwrap();
            let _ = tell.lock().unwrap().send(number);
        });
        let running = driver.spawn(seeing).unwrap();
        client.subscribe(Subscribe::new("t/#", QoS::ExactlyOnce).unwrap()).unwrap().wait(PATIENCE).unwrap();
        Observer { seen, _running: Box::new(running) }
    }
}

pub(crate) struct Observer {
    seen: Receiver<u64>,
    _running: Box<dyn Send>,
}

impl Observer {
    pub(crate) fn take(&self, count: usize) -> Vec<u64> {
        (0..count).map(|_| self.seen.recv_timeout(PATIENCE).expect("a message")).collect()
    }

    pub(crate) fn nothing_more(&self) {
        let more = self.seen.recv_timeout(A_WHILE);
        assert!(more.is_err(), "message {more:?}");
    }
}

pub(crate) fn offline(id: &str) -> Options {
    Options::tcp("127.0.0.1", 1).client_id(id)
}

pub(crate) fn message(number: u64, qos: QoS) -> Publish {
    Publish::new(format!("t/{number}"), number.to_string()).unwrap().qos(qos)
}

pub(crate) fn background(driver: Driver) -> Background<Callbacks> {
    driver.spawn(Callbacks::new()).unwrap()
}

/// Runs it for the rest of the test, and gives each outcome.
pub(crate) fn outcomes(driver: Driver) -> Receiver<Outcome> {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let running = driver.spawn(Callbacks::new().on_published(move |_, published| {
        drop(tell.lock().unwrap().send(published.outcome.clone()));
    }));
    std::mem::forget(running.unwrap());
    told
}

/// Runs it for the rest of the test, and says of each connection whether it resumed a session.
pub(crate) fn session_present(driver: Driver) -> Receiver<bool> {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let running = driver.spawn(Callbacks::new().on_connected(move |_, ack| {
        let _ = tell.lock().unwrap().send(ack.session_present);
    }));
    std::mem::forget(running.unwrap());
    told
}

pub(crate) fn eventually(what: &str, mut ready: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !ready() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

pub(crate) fn keep(store: impl Store + 'static) -> Keep {
    Keep::new(Committer::spawn(store).unwrap())
}

/// A store that can be looked into, and whose commits end when the test says so.
pub(crate) struct Bench {
    /// Gone first: then the disk is quick, and the committer can end.
    end: Option<Sender<Result<(), StoreError>>>,
    begun: Receiver<()>,
    committer: Committer,
    kept: Arc<Mutex<MemoryStore>>,
}

struct Slow {
    kept: Arc<Mutex<MemoryStore>>,
    begins: Sender<()>,
    ends: Receiver<Result<(), StoreError>>,
}

impl Store for Slow {
    fn load(&mut self, client: &str) -> Result<Snapshot, StoreError> {
        self.kept.lock().unwrap().load(client)
    }

    fn commit(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        let _ = self.begins.send(());
        // A test that has failed does not say so any more: the client that it drops waits for its last commit.
        self.ends.recv_timeout(2 * PATIENCE).unwrap_or(Ok(()))?;
        self.kept.lock().unwrap().commit(writes)
    }

    fn clients(&mut self) -> Result<Vec<String>, StoreError> {
        self.kept.lock().unwrap().clients()
    }
}

impl Bench {
    pub(crate) fn slow() -> Self {
        let kept = Arc::new(Mutex::new(MemoryStore::new()));
        let (begins, begun) = mpsc::channel();
        let (end, ends) = mpsc::channel();
        let committer = Committer::spawn(Slow { kept: Arc::clone(&kept), begins, ends }).unwrap();
        Self { end: Some(end), begun, committer, kept }
    }

    pub(crate) fn quick() -> Self {
        let mut bench = Self::slow();
        bench.is_quick();
        bench
    }

    pub(crate) fn keep(&self) -> Keep {
        Keep::new(self.committer.clone())
    }

    pub(crate) fn kept(&self, client: &str) -> Snapshot {
        self.kept.lock().unwrap().load(client).unwrap()
    }

    /// A commit has begun, and waits.
    pub(crate) fn begun(&self) {
        self.begun.recv_timeout(PATIENCE).expect("a commit begins");
    }

    pub(crate) fn ends(&self) {
        self.end.as_ref().unwrap().send(Ok(())).unwrap();
    }

    pub(crate) fn fails(&self, error: StoreError) {
        self.end.as_ref().unwrap().send(Err(error)).unwrap();
    }

    /// From now on no commit waits.
    pub(crate) fn is_quick(&mut self) {
        self.end = None;
    }

    /// Lets commits pass until something has come about and no commit is under way.
    pub(crate) fn let_pass_until(&self, mut ready: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !ready() || self.begun.recv_timeout(A_WHILE).map(|()| self.ends()).is_ok() {
            assert!(Instant::now() < deadline, "waited in vain");
            if self.begun.recv_timeout(Duration::from_millis(1)).is_ok() {
                self.ends();
            }
        }
    }
}
