//! The loop: what happens next, until all has settled.

use core::{cmp::Ordering, time::Duration};
use std::{
    collections::{BinaryHeap, VecDeque},
    time::Instant,
};

use karere_broker::Broker;
use karere_proto::{
    Lsn, PropertyId, Publish, ReasonCode, Value,
    packet::Disconnect,
    session::{PublishError, Snapshot},
};

use crate::{
    Report,
    client::{Client, Dialed},
    ledger::{Ledger, payload_of, qos_of, topic_name},
    network::{Connection, End, Travel},
    seed::{Dice, Op, Scenario, TOPICS, limited},
    wire::LowIds,
};

/// After so much time without anything going wrong all must have settled.
const PATIENCE: Duration = Duration::from_secs(600);

/// More steps than any run needs.
const MOST_STEPS: u64 = 300_000;

/// Where the steps go.
pub(crate) enum Trace<'a> {
    Off,
    Last(usize, VecDeque<String>),
    All(&'a mut dyn FnMut(&str)),
}

/// Everything there is.
pub(crate) struct World<'a> {
    pub(crate) scenario: Scenario,
    pub(crate) dice: Dice,
    start: Instant,
    /// Time since the start.
    pub(crate) now: Duration,
    pub(crate) broker: Broker,
    pub(crate) clients: Vec<Client>,
    pub(crate) connections: Vec<Connection>,
    /// Each client's.
    pub(crate) ids: Vec<LowIds>,
    agenda: BinaryHeap<Item>,
    planned: u64,
    pub(crate) ledger: Ledger,
    trace: &'a mut Trace<'a>,
    /// Nothing goes wrong any more.
    pub(crate) calm: bool,
    pub(crate) disconnects: u64,
    pub(crate) crashes: u64,
    /// Since when all has settled, and how many connections had ended then.
    settled: Option<(Duration, u64)>,
}

/// What is to happen.
#[derive(Debug)]
pub(crate) enum What {
    Acknowledge { client: usize, life: u32 },
    Arrive { id: usize, end: End },
    Calm,
    Connect { client: usize, life: u32 },
    Dialed { client: usize, life: u32, dialed: Dialed },
    Durable { client: usize, life: u32, count: usize, lsn: Lsn },
    Linger { client: usize, id: usize },
    Op(Op),
    Restart { client: usize, life: u32, snapshot: Box<Snapshot> },
}

#[derive(Debug)]
struct Item {
    due: Duration,
    order: u64,
    what: What,
}

impl<'a> World<'a> {
    #[expect(clippy::disallowed_methods, reason = "virtual time needs one real point to begin at; it shows nowhere")]
    pub(crate) fn new<'b: 'a>(seed: u64, trace: &'a mut Trace<'b>) -> Self {
        todo!()
    }
}
