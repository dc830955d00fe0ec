//! What must hold: every message, token, identifier and acknowledgement is accounted for, outside the code under test.
//!
//! * **QoS 1** at least once and **QoS 2** exactly once: what the server has accepted is *owed* to every session that
//!   has held a matching subscription since before the message first left its publisher. It is paid when the application
//!   has acknowledged it (with a store: when that is durable). A second delivery at QoS 2 is excused once for each time
//!   the publisher had to publish it anew because its session was lost, for each crash of the receiver before it was
//!   durable that the message had been dealt with, and for each refusal. A receiver's session that the server lost is
//!   owed nothing any more.
//! * **Order**: first deliveries of one publisher, topic and QoS come in the order of publishing.
//! * **The wire**, at the client's socket: identifiers unique while in use, window, DUP, re-sends in order and before
//!   new messages, acknowledgements in order and not before the application, nothing gated before its record.
//! * **Tokens** end exactly once, and with an outcome that is true.

mod socket;

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use karere_proto::{
    Publish, QoS, Version,
    session::{Journal, LostSession, NotSent, Outcome, Resubscribe, Snapshot},
};

use self::socket::Aliases;
use crate::{
    disk::Disk,
    seed::{ClientPlan, Excused, Scenario, Wish},
    wire::{self, Raw},
};

/// A message by its number, which is in its payload.
pub(crate) type Number = usize;

#[derive(Debug)]
pub(crate) struct Ledger {
    /// Steps of the simulation so far: the order of all that happens.
    pub(crate) clock: u64,
    /// What was found first.
    pub(crate) failure: Option<String>,
    messages: Vec<Message>,
    peers: Vec<Peer>,
    excused: Excused,
    limits: bool,
    pub(crate) deliveries: u64,
}

#[derive(Debug)]
struct Message {
    publisher: usize,
    topic: u64,
    qos: u8,
    retain: bool,
    len: usize,
    taken: u64,
    first_left: Option<u64>,
    /// The publisher's generation in which it left last, and its place among those that did.
    left_in: Option<(u32, u64)>,
    /// It may be dropped on the way when its time has run out.
    expires: Option<Duration>,
    /// The server acknowledged it with success.
    accepted: bool,
    /// The application gave it up.
    given_up: bool,
    /// For each client.
    receipts: Vec<Receipt>,
}

#[derive(Clone, Debug)]
struct Receipt {
    owed: bool,
    delivered: bool,
    times: u32,
    allowed: u32,
    /// QoS 2 deliveries that the application has not dealt with, and the records by which it has with some.
    open: u32,
    records: Vec<u64>,
    paid: Paid,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Paid {
    No,
    /// Once this record of the client's present life is durable.
    With(u64),
    Yes,
}

/// One client, seen from outside.
#[derive(Debug)]
struct Peer {
    plan: Facts,
    open: BTreeMap<u64, Pending>,
    by_token: BTreeMap<u64, Number>,
    /// Connections so far.
    connection: u32,
    online: bool,
    /// Sessions at the server that the client has learned of.
    generation: u32,
    /// When the last connection ended that was online in this generation, the present one not counted.
    was_online_until: u64,
    /// Sessions the server has made for this client, and the one the client believes in.
    server_session: u32,
    believed_session: u32,
    /// What it believed in before it learned of the present one, and the record of its journal that says so.
    learned: Option<(u32, u64)>,
    /// The news that its session was lost never reached it: neither side can know, so nothing is promised.
    deceived: bool,
    in_use: BTreeMap<u16, Use>,
    window: u16,
    aliases: Aliases,
    /// Requests that were answered, those included that the session makes by itself.
    answered: BTreeSet<u64>,
    sent: u64,
    last_again: u64,
    last_new: Option<Number>,
    pubacks: VecDeque<u16>,
    pubrecs: VecDeque<u16>,
    inbound: BTreeMap<(u8, u16), Number>,
    active: Vec<(Wish, u64)>,
    latest: BTreeMap<(usize, u64, u8, u8), Number>,
    at_broker: BTreeMap<(usize, u16), Number>,
}

#[derive(Debug)]
struct Facts {
    version: Version,
    temporary: bool,
    max_in_flight: u16,
    reports: bool,
    journal: bool,
    resubscribes: bool,
    queue: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pending {
    Message(Number),
    Request,
}

/// What a CONNACK says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Announced {
    pub(crate) receive_maximum: u16,
    pub(crate) topic_alias_maximum: u16,
}

/// What a packet identifier is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Message { number: Number, stage: Stage, connection: u32 },
    Request,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Published,
    Released,
    /// PUBREC came, but after a crash the client may not remember it.
    Either,
}

impl Ledger {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        Self {
            clock: 1,
            failure: None,
            messages: Vec::new(),
            peers: scenario.clients.iter().map(Peer::new).collect(),
            excused: scenario.excused,
            limits: scenario.limits,
            deliveries: 0,
        }
    }

    /// Notes a violation; the first one counts.
    pub(crate) fn fail(&mut self, what: impl FnOnce() -> String) {
        if self.failure.is_none() {
            self.failure = Some(what());
        }
    }

    pub(crate) fn messages(&self) -> usize {
        self.messages.len()
    }

    // The publishing side.

    /// A new message, not published yet: its number goes into its payload.
    pub(crate) fn next_number(&self) -> Number {
        self.messages.len()
    }

    /// The session took it.
    pub(crate) fn taken(&mut self, now: Duration, client: usize, token: u64, topic: u64, publish: &Publish) {
        let number = self.messages.len();
        let receipt = Receipt {
            owed: false,
            delivered: false,
            times: 0,
            allowed: 1,
            open: 0,
            records: Vec::new(),
            paid: Paid::No,
        };
        self.messages.push(Message {
            publisher: client,
            topic,
            qos: publish.qos.level(),
            retain: publish.retain,
            len: publish.payload.len(),
            taken: self.clock,
            first_left: None,
            left_in: None,
            expires: publish.properties.message_expiry().map(|lifetime| now + lifetime),
            accepted: false,
            given_up: false,
            receipts: vec![receipt; self.peers.len()],
        });
        self.open(client, token, Pending::Message(number));
        self.peers[client].by_token.insert(token, number);
    }

    pub(crate) fn requested(&mut self, client: usize, token: u64) {
        self.open(client, token, Pending::Request);
    }

    fn open(&mut self, client: usize, token: u64, pending: Pending) {
        if self.peers[client].open.insert(token, pending).is_some() {
            self.fail(|| format!("client {client}: token {token} was given out twice"));
        }
    }

    /// The application gives everything up.
    pub(crate) fn given_up(&mut self, client: usize) {
        for message in self.messages.iter_mut().filter(|message| message.publisher == client) {
            message.given_up = true;
        }
    }

    /// A message has its outcome.
    pub(crate) fn published(&mut self, now: Duration, client: usize, token: u64, outcome: &Outcome) {
        let Some(Pending::Message(number)) = self.peers[client].open.remove(&token) else {
            return self.fail(|| format!("client {client}: token {token} ended that was not open: {outcome}"));
        };
        let message = &self.messages[number];
        let facts = &self.peers[client].plan;
        let wrong = match outcome {
            Outcome::Acknowledged { .. } if message.qos == 0 => {
                message.first_left.is_none().then_some("was written, they say, but never left")
            }
            Outcome::Acknowledged { .. } => {
                (!message.accepted).then_some("is acknowledged, but the server never accepted it")
            }
            Outcome::Refused { .. } => (!self.excused.refusals).then_some("was refused by nobody"),
            Outcome::NotSent(_) if message.first_left.is_some() => Some("was not sent, they say, but has left"),
            Outcome::NotSent(NotSent::GivenUp) => (!message.given_up).then_some("was given up by nobody"),
            Outcome::NotSent(NotSent::Expired) => {
                message.expires.is_none_or(|expires| expires > now).then_some("expired before its time")
            }
            Outcome::NotSent(_) => (!self.limits).then_some("was not sent for a limit that nobody set"),
            Outcome::Unknown => {
                let expired = message.expires.is_some_and(|expires| expires <= now);
                (message.qos > 0 && !message.given_up && !facts.reports && !self.limits && !expired)
                    .then_some("ended as unknown, which policy Republish rules out")
            }
            _ => Some("has an outcome that this simulation does not know"),
        };
        if let Some(wrong) = wrong {
            return self.fail(|| format!("client {client}: message {number} {wrong} ({outcome})"));
        }
        if *outcome == Outcome::Unknown && !message.given_up && message.qos == 1 {
            self.peers[client].in_use.retain(|_, used| used.number() != Some(number));
        }
    }

    /// A request has its answer.
    pub(crate) fn answered(&mut self, client: usize, token: u64) {
        let peer = &mut self.peers[client];
        let asked = match peer.open.remove(&token) {
            Some(Pending::Request) => true,
            Some(Pending::Message(_)) => false,
            None => peer.plan.resubscribes,
        };
        if !peer.answered.insert(token) || !asked {
            self.fail(|| format!("client {client}: request {token} was answered that was not open"));
        }
    }

    pub(crate) fn subscribed(&mut self, client: usize, wish: Wish) {
        let clock = self.clock;
        let active = &mut self.peers[client].active;
        if active.iter().all(|&(known, _)| known != wish) {
            active.push((wish, clock));
        }
    }

    pub(crate) fn unsubscribing(&mut self, client: usize, wish: Wish) {
        self.peers[client].active.retain(|&(known, _)| known != wish);
    }

    /// What waits must stay within the limits; what a lost session gives back comes on top.
    pub(crate) fn check_queue(&mut self, client: usize, waiting: usize) {
        let facts = &self.peers[client].plan;
        let most = facts.queue.saturating_add(usize::from(facts.max_in_flight));
        if waiting > most {
            self.fail(|| format!("client {client}: {waiting} messages wait, the limit is {most}"));
        }
    }

    // Connections and lives.

    pub(crate) fn opened(&mut self, client: usize) {
        let peer = &mut self.peers[client];
        peer.connection += 1;
        peer.online = false;
        peer.last_again = 0;
        peer.aliases = Aliases::default();
        peer.pubacks.clear();
        peer.pubrecs.clear();
        peer.in_use.retain(|_, used| *used != Use::Request);
    }

    /// CONNACK of success came.
    ///
    /// `record` is the last of the journal so far: a crash that loses it loses the news of a new session.
    pub(crate) fn connected(&mut self, client: usize, present: bool, announced: Announced, record: u64) {
        let peer = &mut self.peers[client];
        peer.online = true;
        peer.window = announced.receive_maximum.min(peer.plan.max_in_flight);
        peer.aliases.maximum = announced.topic_alias_maximum;
        if self.limits {
            peer.active.clear(); // what is asked for again may be granted at QoS 0
        }
        let resumed = if peer.plan.version == Version::V31 { !peer.plan.temporary } else { present };
        if !resumed {
            peer.generation += 1;
            peer.was_online_until = 0;
            peer.last_new = None;
            peer.in_use.clear();
        } else if peer.believed_session != peer.server_session && peer.believed_session > 0 {
            peer.deceived = true;
            let doubtful = peer.in_use.values().filter_map(|used| used.number()).collect::<Vec<_>>();
            for number in doubtful {
                self.messages[number].allow_one_more();
            }
        }
        let peer = &mut self.peers[client];
        peer.learned = (!resumed).then_some((peer.believed_session, record));
        peer.believed_session = peer.server_session;
    }

    /// True when a client was never told that its session was lost.
    pub(crate) fn is_deceived(&self, client: usize) -> bool {
        self.peers[client].deceived
    }

    pub(crate) fn closed(&mut self, client: usize) {
        let peer = &mut self.peers[client];
        if peer.online {
            peer.online = false;
            peer.was_online_until = self.clock;
        }
    }

    /// The server began a session for this client: the old one is owed nothing any more.
    pub(crate) fn new_server_session(&mut self, client: usize) {
        let peer = &mut self.peers[client];
        peer.server_session += 1;
        peer.active.clear();
        for message in &mut self.messages {
            message.receipts[client].owed = false;
        }
    }

    /// The client's process died; `snapshot` is what it finds on the disk.
    pub(crate) fn crashed(&mut self, client: usize, disk: &Disk, snapshot: &Snapshot) {
        self.closed(client);
        let peer = &mut self.peers[client];
        let remembered = snapshot
            .queued
            .keys()
            .copied()
            .chain(snapshot.in_flight.iter().filter(|flow| !flow.given_up).map(|flow| flow.seq));
        let remembered = remembered.collect::<Vec<_>>();
        if let Some((before, record)) = peer.learned.take()
            && peer.plan.journal
            && !disk.survived(record)
        {
            // It goes on where the session before ended, and remembers what was in flight then.
            peer.believed_session = before;
            peer.generation += 1;
            peer.was_online_until = self.clock;
            peer.in_use.clear();
        }
        for used in peer.in_use.values_mut() {
            if let Use::Message { stage: stage @ Stage::Released, .. } = used {
                *stage = Stage::Either;
            }
        }
        peer.answered.clear();
        let before = core::mem::take(&mut peer.open);
        let mut failure = None;
        for (token, pending) in before {
            if let Pending::Message(number) = pending
                && self.messages[number].qos > 0
                && !remembered.contains(&token)
                && token <= snapshot.last_seq
                && !self.messages[number].accepted
            {
                failure = Some(format!(
                    "client {client}: message {number} was durable, and the crash lost it before the server had it"
                ));
            }
        }
        for token in remembered {
            match peer.by_token.get(&token) {
                Some(&number) => {
                    peer.open.insert(token, Pending::Message(number));
                }
                None => failure = Some(format!("client {client}: the journal has message {token}, which never was")),
            }
        }
        for message in &mut self.messages {
            let receipt = &mut message.receipts[client];
            receipt.paid = match receipt.paid {
                Paid::Yes => Paid::Yes,
                Paid::With(record) if disk.survived(record) => Paid::Yes,
                Paid::With(_) | Paid::No => Paid::No,
            };
            let lost = receipt.records.drain(..).filter(|&record| !disk.survived(record)).count();
            receipt.allowed += core::mem::take(&mut receipt.open) + lost as u32;
        }
        if let Some(failure) = failure {
            self.fail(|| failure);
        }
    }

    // The receiving side.

    /// The application was given a message; says which.
    pub(crate) fn delivered(&mut self, client: usize, publish: &Publish, id: Option<u16>) -> Option<Number> {
        self.deliveries += 1;
        let number = number_in(&publish.payload);
        let Some(message) = number.and_then(|number| self.messages.get_mut(number)) else {
            self.fail(|| format!("client {client}: {publish:?} is nobody's message"));
            return None;
        };
        let number = number.unwrap_or(0);
        let peer = &mut self.peers[client];
        let qos = publish.qos.level();
        if let Some(id) = id {
            if publish.retain {
                peer.inbound.remove(&(qos, id));
            } else {
                peer.inbound.insert((qos, id), number);
            }
        }
        let topic = topic_name(message.publisher, message.topic);
        let intact = publish.payload[..] == payload_of(number, message.len)[..];
        if publish.topic.as_str() != topic || !intact || qos > message.qos || message.first_left.is_none() {
            self.fail(|| format!("client {client}: message {number} came as {publish:?}"));
            return Some(number);
        }
        let receipt = &mut message.receipts[client];
        if publish.retain {
            return None; // kept by the server; it may come with every subscription
        }
        receipt.times += u32::from(qos != 1);
        receipt.open += u32::from(qos == 2);
        let excused = qos == 0 && (self.excused.doubled || message.qos > 0) || qos == 2 && peer.deceived;
        if qos != 1 && receipt.times > receipt.allowed && !excused {
            let (times, allowed) = (receipt.times, receipt.allowed);
            self.fail(|| {
                format!("client {client}: message {number} came {times} times at QoS {qos}, {allowed} are allowed")
            });
            return Some(number);
        }
        let first = !receipt.delivered;
        receipt.delivered = true;
        let class = (message.publisher, message.topic, message.qos, qos);
        let latest = peer.latest.get(&class).copied();
        let subscribed = peer.active.iter().any(|&(wish, since)| {
            wish.matches(message.publisher, message.topic) && message.first_left.is_some_and(|left| since < left)
        });
        // One that expires may be dropped by the broker the first time and pass when it is sent again.
        let orderly = !self.excused.disorder && !peer.deceived && subscribed && message.expires.is_none();
        if first && orderly && latest.is_some_and(|latest| latest > number) {
            self.fail(|| format!("client {client}: message {number} came first after message {latest:?}"));
            return Some(number);
        }
        peer.latest.insert(class, latest.map_or(number, |latest| latest.max(number)));
        Some(number)
    }

    /// The application is done with a message, from a record of the journal on if there is one.
    pub(crate) fn acknowledged(&mut self, client: usize, number: Number, qos: QoS, record: Option<u64>) {
        let receipt = &mut self.messages[number].receipts[client];
        if qos == QoS::ExactlyOnce {
            receipt.open = receipt.open.saturating_sub(1);
            receipt.records.extend(record);
        }
        receipt.paid = match (record, receipt.paid) {
            (_, Paid::Yes) | (None, _) => Paid::Yes,
            (Some(record), Paid::No) => Paid::With(record),
            (Some(_), earlier @ Paid::With(_)) => earlier,
        };
    }

    /// The application does not take a message, which may therefore come again.
    pub(crate) fn refused(&mut self, client: usize, number: Number) {
        let receipt = &mut self.messages[number].receipts[client];
        receipt.paid = Paid::Yes;
        receipt.open = receipt.open.saturating_sub(1);
        receipt.allowed += 1;
    }

    // The broker's side.

    /// A whole packet has reached the broker.
    pub(crate) fn reached_broker(&mut self, client: usize, connection: usize, raw: Raw<'_>) {
        let peer = &mut self.peers[client];
        if raw.kind() == wire::PUBLISH
            && let (Some(id), Some(number)) = (raw.id(), number_in(raw.payload(peer.plan.version == Version::V5)))
        {
            peer.at_broker.insert((connection, id), number);
        }
    }

    /// A whole packet has left the broker.
    pub(crate) fn left_broker(&mut self, client: usize, connection: usize, raw: Raw<'_>) {
        if !matches!(raw.kind(), wire::PUBACK | wire::PUBREC) || raw.reason() >= 0x80 {
            return;
        }
        let Some(&number) = raw.id().and_then(|id| self.peers[client].at_broker.get(&(connection, id))) else {
            return;
        };
        let Some(message) = self.messages.get_mut(number) else {
            return;
        };
        message.accepted = true;
        if message.expires.is_some() {
            return; // the broker may drop it
        }
        for (peer, receipt) in self.peers.iter().zip(&mut message.receipts) {
            receipt.owed |= peer.active.iter().any(|&(wish, since)| {
                wish.matches(message.publisher, message.topic) && message.first_left.is_some_and(|left| since < left)
            });
        }
    }

    // The end.

    /// Tokens that have not ended, and messages that are owed, in words; `None` when all is settled.
    pub(crate) fn unsettled(&self) -> Option<String> {
        for (client, peer) in self.peers.iter().enumerate() {
            if let Some((token, pending)) = peer.open.first_key_value() {
                return Some(format!("client {client}: token {token} has not ended ({pending:?})"));
            }
        }
        for (number, message) in self.messages.iter().enumerate() {
            for (client, receipt) in message.receipts.iter().enumerate() {
                if receipt.owed && receipt.paid == Paid::No && !self.peers[client].deceived {
                    return Some(format!(
                        "client {client}: message {number}, which the server accepted at QoS {}, never came",
                        message.qos
                    ));
                }
            }
        }
        None
    }
}

impl Message {
    fn allow_one_more(&mut self) {
        for receipt in &mut self.receipts {
            receipt.allowed += 1;
        }
    }

    fn is(&self, raw: Raw<'_>, topic: &[u8], version: Version) -> bool {
        raw.qos() == self.qos
            && raw.retain() == self.retain
            && topic == topic_name(self.publisher, self.topic).as_bytes()
            && raw.payload(version == Version::V5).len() == self.len
    }
}

impl Peer {
    fn new(plan: &ClientPlan) -> Self {
        let config = &plan.config;
        Self {
            plan: Facts {
                version: plan.version(),
                temporary: config.session_expiry.seconds() == 0,
                max_in_flight: config.max_in_flight.get(),
                reports: config.lost_session == LostSession::Report,
                journal: config.journal == Journal::On,
                resubscribes: config.resubscribe != Resubscribe::Never,
                queue: config.queue.messages,
            },
            open: BTreeMap::new(),
            by_token: BTreeMap::new(),
            connection: 0,
            online: false,
            generation: 0,
            was_online_until: 0,
            server_session: 0,
            believed_session: 0,
            learned: None,
            deceived: false,
            in_use: BTreeMap::new(),
            window: 0,
            aliases: Aliases::default(),
            answered: BTreeSet::new(),
            sent: 0,
            last_again: 0,
            last_new: None,
            pubacks: VecDeque::new(),
            pubrecs: VecDeque::new(),
            inbound: BTreeMap::new(),
            active: Vec::new(),
            latest: BTreeMap::new(),
            at_broker: BTreeMap::new(),
        }
    }
}

impl Use {
    const fn number(&self) -> Option<Number> {
        match self {
            Self::Message { number, .. } => Some(*number),
            Self::Request => None,
        }
    }

    const fn is_of(&self, present: u32) -> bool {
        matches!(self, Self::Message { connection, .. } if *connection == present)
    }
}

pub(crate) fn topic_name(publisher: usize, topic: u64) -> String {
    Wish::Topic(publisher, topic).filter()
}

/// A payload that tells which message it is.
pub(crate) fn payload_of(number: Number, len: usize) -> Vec<u8> {
    let mut payload = vec![number as u8; len.max(4)];
    payload[..4].copy_from_slice(&(number as u32).to_be_bytes());
    payload
}

fn number_in(payload: &[u8]) -> Option<Number> {
    Some(u32::from_be_bytes(*payload.first_chunk()?) as usize)
}

pub(crate) const fn qos_of(level: usize) -> QoS {
    match level {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    }
}
