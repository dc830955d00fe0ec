//! Does a session keep its promises, whatever application, server, transport and disk do to it, and in whatever order?
//!
//! The bytes are a configuration and then a list of operations. A server that misbehaves is as welcome as one that does
//! not; what is checked is the client alone.

mod configuration;
mod ledger;
mod operations;
mod server;

use crate::input::Input;
use bytes::{Bytes, BytesMut};
use karere_proto::{
    Lsn, SendBuf, Session,
    session::{CloseCause, Config, Delivery, Event, Journal, Record, Snapshot},
};
use ledger::Ledger;
use server::Server;
use std::{
    collections::VecDeque,
    sync::OnceLock,
    time::{Duration, Instant},
};

/// Configuration, then operations.
pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let config = configuration::read(&mut input);
    let Ok(session) = Session::new(clock(), config.clone()) else {
        return;
    };
    let mut world = World::new(session, config);
    while !input.is_empty() {
        world.operate(&mut input);
    }
    world.end();
}

/// The moment at which everything begins; nobody reads the clock again.
pub(crate) fn clock() -> Instant {
    static CLOCK: OnceLock<Instant> = OnceLock::new();
    *CLOCK.get_or_init(Instant::now)
}

/// A session, and everything around it.
struct World {
    session: Session,
    config: Config,
    now: Instant,
    server: Server,
    ledger: Ledger,
    deliveries: Vec<Delivery>,
    /// Bytes that have left the session and not the transport.
    waiting: usize,
    /// Bytes of this connection that have left the transport.
    sent: u64,
    disk: Disk,
}

/// Records that are durable, and records that will be.
#[derive(Default)]
struct Disk {
    durable: Vec<Bytes>,
    pending: VecDeque<(Lsn, Vec<Bytes>)>,
}

impl World {
    fn new(session: Session, config: Config) -> Self {
        let server = Server::new(&config);
        Self {
            session,
            config,
            now: clock(),
            server,
            ledger: Ledger::default(),
            deliveries: Vec::new(),
            waiting: 0,
            sent: 0,
            disk: Disk::default(),
        }
    }

    // The transport

    fn opens(&mut self) {
        self.session.handle_opened(self.now);
        self.ledger.opened();
        self.waiting = 0;
        self.sent = 0;
        self.server.opened();
        self.sends();
    }

    /// Fetches what may leave, and has the server look at it.
    fn sends(&mut self) {
        let mut out = SendBuf::new();
        self.session.poll_bytes(&mut out);
        assert!(out.is_empty() || !self.session.is_offline(), "bytes without a connection");
        self.server.reads(&out.to_vec());
        self.waiting += out.len();
        assert!(!self.session.wants_write());
    }

    /// The transport takes `count` bytes at most.
    fn takes(&mut self, count: usize) {
        self.sends();
        let count = count.min(self.waiting);
        self.waiting -= count;
        self.sent += count as u64;
        self.session.handle_sent(self.now, self.sent);
    }

    fn receives(&mut self, bytes: &[u8]) {
        if self.session.is_offline() {
            return;
        }
        self.server.says(bytes);
        self.session.handle_bytes(self.now, &mut BytesMut::from(bytes));
    }

    // The disk

    fn records(&mut self) {
        if let Some(batch) = self.session.poll_journal() {
            assert_eq!(self.config.journal, Journal::On, "records without a journal");
            self.disk.pending.push_back((batch.last, batch.records));
        }
    }

    fn commits(&mut self) {
        if let Some((last, records)) = self.disk.pending.pop_front() {
            for record in &records {
                self.server.records(&Record::decode(record.clone()).expect("a record reads back"));
            }
            self.disk.durable.extend(records);
            self.session.handle_durable(last);
        }
    }

    fn commits_all(&mut self) {
        self.records();
        while !self.disk.pending.is_empty() {
            self.commits();
        }
    }

    /// What all records say, durable or not, is what the session knows.
    fn check_records(&mut self) {
        self.records();
        if self.config.journal == Journal::Off {
            return;
        }
        let pending = self.disk.pending.iter().flat_map(|(_, records)| records);
        let snapshot = snapshot(self.disk.durable.iter().chain(pending));
        assert_eq!(snapshot.in_flight.len(), self.session.in_flight(), "{snapshot:?}");
        assert!(snapshot.queued.len() <= self.session.queued().0, "{snapshot:?}");
        let wanted = self.session.subscriptions().map(|(filter, options)| (filter.clone(), options)).collect();
        assert_eq!(snapshot.wanted, wanted);
    }

    /// The process ends, and another goes on with what is durable.
    fn restarts(&mut self) {
        if self.config.journal == Journal::Off {
            return;
        }
        self.check_records();
        let snapshot = snapshot(&self.disk.durable);
        self.ledger.restarts(&snapshot);
        self.server.restarts(&snapshot);
        self.disk.pending.clear();
        self.deliveries.clear();
        self.session = Session::restore(self.now, self.config.clone(), snapshot).expect("was legal before");
    }

    // The application

    fn hears(&mut self, most: usize) {
        for _ in 0..most {
            let Some(event) = self.session.poll_event(self.now) else {
                break;
            };
            match event {
                Event::Message { delivery, publish, .. } => {
                    self.server.delivered(&delivery, &publish);
                    self.deliveries.push(delivery);
                }
                event => {
                    if let Event::Connected(_) = event {
                        self.server.connected();
                    }
                    self.ledger.hears(&event);
                }
            }
        }
        while self.session.poll_trace().is_some() {}
    }

    fn passes(&mut self, time: Duration) {
        self.now = self.now.checked_add(time).unwrap_or(self.now);
        self.session.handle_timeout(self.now);
        assert!(self.session.poll_timeout().is_none_or(|at| at > self.now), "a deadline that has come is kept");
    }

    /// The connection ends, and everything that waits is given up: then every message has had its outcome.
    fn end(mut self) {
        self.sends();
        self.hears(usize::MAX);
        self.session.handle_closed(CloseCause::Closed);
        self.hears(usize::MAX);
        assert!(self.session.is_offline());
        self.check_records();
        self.session.drop_messages();
        self.hears(usize::MAX);
        assert_eq!(self.session.queued(), (0, 0));
        assert!(self.session.poll_event(self.now).is_none());
        self.check_records();
        self.ledger.check_all_told();
    }
}

fn snapshot<'a>(records: impl IntoIterator<Item = &'a Bytes>) -> Snapshot {
    Snapshot::from_records(records.into_iter().cloned()).expect("records read back")
}
