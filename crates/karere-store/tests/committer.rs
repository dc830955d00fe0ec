//! Group commit: what queues up is committed together, told in order, tried again, and never lost at the end.
#![cfg(test)]

use std::{
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver, Sender},
    },
    time::{Duration, Instant},
};

use karere_proto::{
    Lsn, Publish, QoS, Session, Utf8String, Version,
    session::{Batch, Config, Journal as Switch, Snapshot},
};
use karere_store::{Committer, Durability, MemoryStore, Progress, Store, StoreError, Write};

/// A store whose disk waits for the test: each commit begins by saying how many records it has, and ends when told.
struct Slow {
    kept: Arc<Mutex<MemoryStore>>,
    begins: Sender<usize>,
    ends: Receiver<Result<(), StoreError>>,
}

impl Store for Slow {
    fn load(&mut self, client: &str) -> Result<Snapshot, StoreError> {
        self.kept.lock().unwrap().load(client)
    }

    fn commit(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        let _ = self.begins.send(writes.iter().map(|write| write.records.len()).sum());
        self.ends.recv().unwrap_or(Ok(()))?;
        self.kept.lock().unwrap().commit(writes)
    }

    fn clients(&mut self) -> Result<Vec<String>, StoreError> {
        self.kept.lock().unwrap().clients()
    }
}

struct Bench {
    /// Gone first: then the disk is quick, and the committer can end.
    end: Sender<Result<(), StoreError>>,
    committer: Committer,
    kept: Arc<Mutex<MemoryStore>>,
    begun: Receiver<usize>,
}

impl Bench {
    fn new() -> Self {
        let kept = Arc::new(Mutex::new(MemoryStore::new()));
        let (begins, begun) = mpsc::channel();
        let (end, ends) = mpsc::channel();
        let committer = Committer::spawn(Slow { kept: Arc::clone(&kept), begins, ends }).unwrap();
        Self { end, committer, kept, begun }
    }

    fn begun(&self) -> usize {
        self.begun.recv_timeout(SOON).expect("a commit begins")
    }

    fn ends(&self) {
        self.end.send(Ok(())).unwrap();
    }
}

const SOON: Duration = Duration::from_secs(10);
const A_WHILE: Duration = Duration::from_millis(60);

/// A session without a connection: each message it takes is one record.
struct Offline(Session);

impl Offline {
    fn new() -> Self {
        let mut config = Config::new(Version::V5, Utf8String::new("a").unwrap());
        config.journal = Switch::On;
        Self(Session::new(Instant::now(), config).unwrap())
    }

    fn batch(&mut self, messages: usize) -> Batch {
        for _ in 0..messages {
            let publish = Publish::new("a", "x").unwrap().qos(QoS::AtLeastOnce);
            self.0.publish(Instant::now(), publish).unwrap();
        }
        self.0.poll_journal().unwrap()
    }
}

fn listener() -> (impl Fn(Progress) + Send + Sync + 'static, Receiver<Progress>) {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    (move |progress| drop(tell.lock().unwrap().send(progress)), told)
}

fn durable(told: &Receiver<Progress>) -> Lsn {
    match told.recv_timeout(SOON).expect("something is told") {
        Progress::Durable(lsn) => lsn,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_queues_up_during_a_sync_is_committed_together() {
    let bench = Bench::new();
    let (listen, told) = listener();
    let (_, journal) = bench.committer.attach("a", Durability::BeforeSend, listen).unwrap();
    let mut session = Offline::new();
    let first = session.batch(1);
    let lsn = first.last;
    journal.submit(first);
    assert_eq!(bench.begun(), 1);
    let mut last = lsn;
    for _ in 0..5 {
        let batch = session.batch(2);
        last = batch.last;
        journal.submit(batch);
    }
    assert!(told.try_recv().is_err(), "nothing is durable before its commit has ended");
    bench.ends();
    assert_eq!(durable(&told), lsn);
    assert_eq!(bench.begun(), 10);
    assert!(told.recv_timeout(A_WHILE).is_err(), "nothing is durable before its commit has ended");
    bench.ends();
    assert_eq!(durable(&told), last);
    assert_eq!(bench.kept.lock().unwrap().load("a").unwrap().queued.len(), 11);
}

#[test]
fn two_clients_share_a_commit_and_each_hears_of_its_own() {
    let bench = Bench::new();
    let ((listen_a, told_a), (listen_b, told_b)) = (listener(), listener());
    let (_, a) = bench.committer.attach("a", Durability::BeforeSend, listen_a).unwrap();
    let (_, b) = bench.committer.attach("b", Durability::BeforeSend, listen_b).unwrap();
    let (mut session_a, mut session_b) = (Offline::new(), Offline::new());
    a.submit(session_a.batch(1));
    assert_eq!(bench.begun(), 1);
    let (batch_a, batch_b) = (session_a.batch(1), session_b.batch(3));
    let (last_a, last_b) = (batch_a.last, batch_b.last);
    a.submit(batch_a);
    b.submit(batch_b);
    bench.ends();
    durable(&told_a);
    assert_eq!(bench.begun(), 4);
    bench.ends();
    assert_eq!((durable(&told_a), durable(&told_b)), (last_a, last_b));
    assert!(last_a != last_b);
}

#[test]
fn eventually_waits_for_its_time_and_then_commits_all_there_is() {
    let bench = Bench::new();
    let (listen, told) = listener();
    let delay = Duration::from_millis(200);
    let (_, journal) = bench.committer.attach("a", Durability::Eventually(delay), listen).unwrap();
    let mut session = Offline::new();
    let began = Instant::now();
    for _ in 0..4 {
        journal.submit(session.batch(1));
    }
    assert_eq!(bench.begun(), 4);
    assert!(began.elapsed() >= delay, "{:?}", began.elapsed());
    bench.ends();
    durable(&told);
    // Who waits for it does not wait for the time to pass.
    let began = Instant::now();
    journal.submit(session.batch(1));
    bench.ends();
    journal.flush().unwrap();
    assert!(began.elapsed() < delay);
}

#[test]
fn what_failed_is_tried_again_before_anything_else() {
    let bench = Bench::new();
    let (listen, told) = listener();
    let (_, journal) = bench.committer.attach("a", Durability::BeforeSend, listen).unwrap();
    let mut session = Offline::new();
    journal.submit(session.batch(2));
    assert_eq!(bench.begun(), 2);
    let second = session.batch(1);
    let last = second.last;
    journal.submit(second);
    bench.end.send(Err(StoreError::DiskFull)).unwrap();
    assert!(matches!(told.recv_timeout(SOON), Ok(Progress::Failing(StoreError::DiskFull))));
    assert_eq!(bench.begun(), 3, "both, in one commit");
    bench.ends();
    assert_eq!(durable(&told), last);
    assert_eq!(bench.kept.lock().unwrap().load("a").unwrap().queued.keys().copied().collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn flush_says_when_it_cannot() {
    let bench = Bench::new();
    let (listen, _told) = listener();
    let (_, journal) = bench.committer.attach("a", Durability::BeforeSend, listen).unwrap();
    journal.submit(Offline::new().batch(1));
    bench.begun();
    bench.end.send(Err(StoreError::DiskFull)).unwrap();
    bench.end.send(Err(StoreError::DiskFull)).unwrap();
    assert!(matches!(journal.flush(), Err(StoreError::DiskFull)));
}

#[test]
fn a_client_is_attached_once_until_it_lets_go() {
    let committer = Committer::spawn(MemoryStore::new()).unwrap();
    let (_, journal) = committer.attach("a", Durability::BeforeSend, |_| {}).unwrap();
    let again = committer.attach("a", Durability::BeforeSend, |_| {});
    assert!(matches!(again, Err(StoreError::ClientInUse(name)) if name == "a"));
    journal.submit(Offline::new().batch(3));
    drop(journal);
    let (snapshot, _journal) = committer.attach("a", Durability::BeforeSend, |_| {}).unwrap();
    assert_eq!(snapshot.queued.len(), 3, "what it has submitted is there");
    assert_eq!(committer.clients().unwrap(), ["a"]);
}

#[test]
fn the_end_commits_what_is_pending() {
    let bench = Bench::new();
    let (_, journal) = bench.committer.attach("a", Durability::Eventually(SOON * 6), |_| {}).unwrap();
    journal.submit(Offline::new().batch(7));
    let Bench { committer, kept, begun, end } = bench;
    drop(end); // from here on the disk is quick
    drop((journal, committer));
    assert_eq!(begun.recv_timeout(SOON), Ok(7));
    assert_eq!(kept.lock().unwrap().load("a").unwrap().queued.len(), 7);
}

/// A store with a bug.
struct Panicking;

impl Store for Panicking {
    fn load(&mut self, _: &str) -> Result<Snapshot, StoreError> {
        Ok(Snapshot::default())
    }

    fn commit(&mut self, _: &[Write]) -> Result<(), StoreError> {
        panic!("a bug in a store")
    }

    fn clients(&mut self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }
}

#[test]
fn nobody_waits_for_a_thread_that_has_ended() {
    let committer = Committer::spawn(Panicking).unwrap();
    let (_, journal) = committer.attach("a", Durability::BeforeSend, |_| {}).unwrap();
    journal.submit(Offline::new().batch(1));
    assert!(matches!(journal.flush(), Err(StoreError::Stopped)));
    assert!(matches!(committer.attach("b", Durability::BeforeSend, |_| {}), Err(StoreError::Stopped)));
}
