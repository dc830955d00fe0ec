//! The loop: what happens next, until all has settled.

use core::{cmp::Ordering, time::Duration};
use std::{collections::BinaryHeap, time::Instant};

use karere_broker::{Broker, Fault};
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

/// Takes the steps, when someone looks.
pub(crate) type Listener<'a> = Option<&'a mut dyn FnMut(String)>;

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
    listener: Listener<'a>,
    /// Nothing goes wrong any more.
    pub(crate) calm: bool,
    pub(crate) disconnects: u64,
    pub(crate) crashes: u64,
    /// Until when nothing may happen after all has settled, and how many connections had ended then.
    quiet: Option<(Duration, u64)>,
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
    pub(crate) fn new(seed: u64, listener: Listener<'a>) -> Self {
        let mut dice = Dice::new(seed);
        let scenario = Scenario::draw(&mut dice);
        let count = scenario.clients.len();
        let mut world = Self {
            start: Instant::now(), // virtual time needs one real point to begin at; it shows nowhere
            now: Duration::ZERO,
            broker: Broker::new(scenario.broker.clone()),
            clients: Vec::new(),
            connections: Vec::new(),
            ids: (0..count).map(|_| LowIds::default()).collect(),
            agenda: BinaryHeap::new(),
            planned: 0,
            ledger: Ledger::new(&scenario),
            listener,
            calm: false,
            disconnects: 0,
            crashes: 0,
            quiet: None,
            dice,
            scenario,
        };
        for at in 0..count {
            let client = Client::new(at, &mut world);
            world.clients.push(client);
        }
        world
    }

    /// Runs to the end; an error says what must hold and does not.
    pub(crate) fn run(mut self) -> Result<Report, String> {
        self.note_scenario();
        for (trigger, fault) in self.scenario.faults.clone() {
            self.broker.faults().add(trigger, fault);
        }
        for (due, op) in core::mem::take(&mut self.scenario.ops) {
            self.at(due, What::Op(op));
        }
        self.at(self.scenario.calm, What::Calm);
        for client in 0..self.clients.len() {
            self.start(client);
        }
        loop {
            if let Some(failure) = self.ledger.failure.take() {
                self.note(|| failure.clone());
                return Err(failure);
            }
            self.ledger.clock += 1;
            if self.ledger.clock > MOST_STEPS {
                return Err(format!("{MOST_STEPS} steps were not enough: {}", self.unsettled()));
            }
            self.step();
            if self.now > self.scenario.calm + PATIENCE {
                // Who remembers a session that the server has lost may find fault with it for ever.
                if (0..self.clients.len()).any(|client| self.ledger.is_deceived(client)) {
                    break;
                }
                return Err(format!("it does not settle: {}", self.unsettled()));
            }
            if self.calm && self.is_over() {
                break;
            }
        }
        if let Some(failure) = self.ledger.failure.take() {
            return Err(failure);
        }
        Ok(Report {
            steps: self.ledger.clock,
            messages: self.ledger.messages() as u64,
            deliveries: self.ledger.deliveries,
            connections: self.connections.len() as u64,
            crashes: self.crashes,
            deceived: (0..self.clients.len()).filter(|&client| self.ledger.is_deceived(client)).count() as u64,
            time: self.now,
        })
    }

    // What others ask of it.

    pub(crate) fn instant(&self) -> Instant {
        self.start + self.now
    }

    pub(crate) const fn travel(&self) -> Travel {
        Travel { latency: self.scenario.latency, split_percent: self.scenario.split_percent }
    }

    /// Tells the listener, if there is one.
    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(listener) = &mut self.listener {
            listener(format!("{:>12.6} {}", self.now.as_secs_f64(), line()));
        }
    }

    pub(crate) fn at(&mut self, due: Duration, what: What) {
        self.planned += 1;
        self.agenda.push(Item { due, order: self.planned, what });
    }

    pub(crate) fn later(&mut self, wait: Duration, what: What) {
        self.at(self.now + wait, what);
    }

    pub(crate) fn arrive(&mut self, due: Duration, id: usize, end: End) {
        self.at(due, What::Arrive { id, end });
    }

    /// Puts bytes on their way to one end of a connection.
    pub(crate) fn write(&mut self, id: usize, to: End, bytes: &[u8]) {
        let travel = self.travel();
        let mut due = Vec::new();
        self.connections[id].pipe(to).write(self.now, bytes, travel, &mut self.dice, |at| due.push(at));
        for at in due {
            self.arrive(at, id, to);
        }
    }

    // What happens.

    fn step(&mut self) {
        let planned = self.agenda.peek().map(|item| item.due);
        let since = |at: Instant| at.saturating_duration_since(self.start) + self.scenario.lateness;
        let clients = self.clients.iter().enumerate();
        let client = clients.filter_map(|(at, client)| Some((since(client.timeout()?), at))).min();
        let broker = self.broker.poll_timeout().map(since);
        let next = planned.into_iter().chain(client.map(|(due, _)| due)).chain(broker).min();
        let Some(next) = next else {
            self.now += Duration::from_secs(1); // nobody has a timer; what is stuck now stays so
            return;
        };
        self.now = self.now.max(next);
        if planned == Some(next) {
            if let Some(item) = self.agenda.pop() {
                self.happen(item.what);
            }
        } else if broker == Some(next) {
            let now = self.instant();
            self.broker.handle_timeout(now);
            self.pump_broker();
        } else if let Some((_, client)) = client {
            self.client_timeout(client);
        }
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Acknowledge { client, life } => {
                self.acknowledge(client, life);
                self.pump_client(client);
            }
            What::Arrive { id, end: End::Client } => self.client_reads(id),
            What::Arrive { id, end: End::Broker } => {
                self.broker_reads(id);
                self.pump_broker();
                let client = self.connections[id].client;
                if self.clients[client].connection == Some(id) {
                    self.pump_client(client); // there is room again
                }
            }
            What::Calm => self.become_calm(),
            What::Connect { client, life } => {
                if self.clients[client].life == life && self.clients[client].session.is_some() {
                    self.start(client);
                }
            }
            What::Dialed { client, life, dialed } => self.dialed(client, life, dialed),
            What::Durable { client, life, count, lsn } => self.durable(client, life, count, lsn),
            What::Linger { client, id } => self.lingered(client, id),
            What::Op(op) => self.operate(op),
            What::Restart { client, life, snapshot } => {
                if self.clients[client].life == life {
                    self.restart(client, *snapshot);
                }
            }
        }
    }

    fn durable(&mut self, client: usize, life: u32, count: usize, lsn: Lsn) {
        let this = &mut self.clients[client];
        if this.life != life {
            return;
        }
        if let Err(error) = this.disk.sync(count) {
            return self.ledger.fail(|| format!("client {client}: {error}"));
        }
        if let Some(session) = &mut this.session {
            session.handle_durable(lsn);
        }
        self.note(|| format!("client {client}: record {} is durable", lsn.get()));
        self.pump_client(client);
    }

    fn operate(&mut self, op: Op) {
        let now = self.instant();
        match op {
            Op::Crash(client) => {
                if self.journals(client) && !self.calm {
                    self.crash(client);
                }
            }
            Op::Disconnect(client) => self.disconnect(client),
            Op::Drain(client) => {
                let deadline = now + self.dice.up_to(Duration::from_secs(3));
                if let Some(session) = &mut self.clients[client].session {
                    let drained = session.disconnect_when_drained(Disconnect::NORMAL, deadline);
                    drained.expect("invariant: any client may say that");
                    self.note(|| format!("client {client} disconnects once drained"));
                }
                self.pump_client(client);
            }
            Op::DropMessages(client) => {
                self.ledger.given_up(client);
                if let Some(session) = &mut self.clients[client].session {
                    session.drop_messages();
                    self.note(|| format!("client {client} gives its messages up"));
                }
                self.pump_client(client);
            }
            Op::Forget(client) => {
                let name = self.clients[client].name.clone();
                if self.broker.forget_session(now, &name) {
                    self.note(|| format!("broker forgets the session of client {client}"));
                }
                self.pump_broker();
            }
            Op::Limits => self.change_limits(),
            Op::Publish(client) => self.publish(client),
            Op::Sever(client) => {
                if let Some(id) = self.clients[client].connection {
                    self.sever(id);
                }
            }
            Op::Subscribe(client) => {
                self.subscribe_one(client);
                self.pump_client(client);
            }
            Op::Unsubscribe(client) => {
                self.unsubscribe_one(client);
                self.pump_client(client);
            }
        }
    }

    fn publish(&mut self, client: usize) {
        let now = self.instant();
        let plan = &self.scenario.clients[client];
        let mut pick = self.dice.below(plan.qos_weights.iter().sum());
        let qos = plan
            .qos_weights
            .iter()
            .position(|&weight| {
                pick < weight || {
                    pick -= weight;
                    false
                }
            })
            .unwrap_or(0);
        let len = match self.dice.below(100) {
            0 if plan.socket_buffer > 1000 => 70_000,
            1 if plan.socket_buffer > 1000 => 5000,
            2..10 => self.dice.between(4, 200) as usize,
            _ => self.dice.between(4, 20) as usize,
        };
        let topic = self.dice.below(TOPICS);
        let number = self.ledger.next_number();
        let mut publish = Publish::new(topic_name(client, topic).as_str(), payload_of(number, len))
            .expect("invariant: a legal topic")
            .qos(qos_of(qos));
        if self.dice.chance(10) {
            publish = publish.retained();
        }
        if self.scenario.clients[client].is_v5() && self.dice.chance(10) {
            publish = publish.message_expiry(Duration::from_secs(self.dice.between(1, 5)));
        }
        let Some(session) = &mut self.clients[client].session else {
            return;
        };
        match session.publish(now, publish.clone()) {
            Ok(token) => {
                self.ledger.taken(self.now, client, token.get(), topic, &publish);
                self.note(|| format!("client {client} publishes message {number} as {token:?}: {publish:?}"));
            }
            Err(PublishError::QueueFull { messages, bytes }) => {
                let limits = session.config().queue;
                let properties = publish.properties.as_bytes().len();
                let size = publish.topic.as_str().len() + publish.payload.len() + properties + bytes;
                if messages < limits.messages && size <= limits.bytes {
                    self.ledger.fail(|| format!("client {client}: the queue is full with {messages} messages"));
                }
            }
            Err(_) if self.scenario.limits => {}
            Err(error) => self.ledger.fail(|| format!("client {client} cannot publish: {error}")),
        }
        self.pump_client(client);
    }

    fn disconnect(&mut self, client: usize) {
        let mut disconnect = Disconnect::NORMAL;
        if self.scenario.clients[client].is_v5() {
            match self.dice.below(3) {
                0 => disconnect.reason = ReasonCode::DisconnectWithWillMessage,
                1 => {
                    let ends = disconnect.properties.set(PropertyId::SessionExpiryInterval, Value::U32(0));
                    ends.expect("invariant: legal");
                }
                _ => {}
            }
        }
        if let Some(session) = &mut self.clients[client].session {
            session.disconnect(disconnect).expect("invariant: any client may say that");
            self.note(|| format!("client {client} disconnects"));
        }
        self.pump_client(client);
    }

    /// The network breaks a connection; each side may or may not learn of it.
    fn sever(&mut self, id: usize) {
        let client = self.connections[id].client;
        let watches = self.scenario.clients[client].config.connect.keep_alive > 0;
        for end in [End::Client, End::Broker] {
            let told = self.calm || self.dice.chance(70) || (end == End::Client && !watches);
            let wait = self.dice.up_to(Duration::from_millis(500));
            let waiting = self.connections[id].pipe(end).waiting();
            let pass = self.dice.index(waiting + 1);
            let pipe = self.connections[id].pipe(end);
            pipe.cut(pass);
            if told {
                let due = pipe.end_at(self.now + wait);
                self.arrive(due, id, end);
            }
            self.note(|| {
                let told = if told { "told" } else { "not told" };
                format!("connection {id} breaks: {pass} of {waiting} bytes still reach the {end:?}, which is {told}")
            });
        }
    }

    /// The server starts again with other limits; sessions stay.
    fn change_limits(&mut self) {
        let now = self.instant();
        for (id, connection) in self.connections.iter().enumerate() {
            if connection.broker_open {
                let _ = self.broker.lose(now, crate::broker::connection(id));
            }
        }
        self.pump_broker();
        let config = limited(&mut self.dice, karere_broker::Config::new());
        self.note(|| format!("broker has other limits: {config:?}"));
        self.broker.configure(config);
    }

    fn become_calm(&mut self) {
        self.note(|| "from here on nothing goes wrong".to_owned());
        self.calm = true;
        self.broker.faults().clear();
        // What was lost without a sign is sent again on another connection only.
        let drops = self.scenario.faults.iter().any(|(_, fault)| *fault == Fault::Drop);
        for client in 0..self.clients.len() {
            if let Some(id) = self.clients[client].connection
                && (drops || self.dice.chance(30))
            {
                self.sever(id);
            }
            for _ in 0..self.clients[client].waiting.len() {
                self.acknowledge(client, self.clients[client].life);
            }
            self.pump_client(client);
        }
    }

    fn client_timeout(&mut self, client: usize) {
        let now = self.instant();
        self.note(|| format!("client {client} looks at its timers"));
        self.clients[client].handle_timeout(now);
        self.pump_client(client);
    }

    // The end.

    /// True once all has settled and nothing has happened for some keep alives after that.
    fn is_over(&mut self) -> bool {
        match self.quiet {
            // What faults still hold back must have come.
            None if (self.scenario.faults.is_empty() || self.now > self.scenario.calm + Duration::from_secs(5))
                && self.is_settled() =>
            {
                let longest =
                    self.clients.iter().filter_map(|client| client.session.as_ref()).map(|s| s.negotiated().keep_alive);
                let longest = longest.max().unwrap_or_default();
                self.quiet = Some((self.now + 2 * longest, self.disconnects));
                false
            }
            None => false,
            Some((_, before)) if self.disconnects > before => {
                self.ledger.fail(|| "a connection ended after all had settled".to_owned());
                true
            }
            Some((until, _)) if self.now < until => false,
            Some(_) => {
                if !self.is_settled() {
                    let why = self.unsettled();
                    self.ledger.fail(|| format!("it had settled, and no longer has: {why}"));
                }
                let errors = self.broker.counters().protocol_errors;
                if errors > 0 && !self.scenario.excused.errors {
                    self.ledger.fail(|| format!("the broker found fault with a client {errors} times"));
                }
                true
            }
        }
    }

    fn is_settled(&self) -> bool {
        self.why_unsettled().is_none()
    }

    fn unsettled(&self) -> String {
        self.why_unsettled().unwrap_or_else(|| "it has settled, but goes on".to_owned())
    }

    fn why_unsettled(&self) -> Option<String> {
        for client in &self.clients {
            let name = &client.name;
            if let Some(why) = client.unsettled() {
                return Some(why);
            }
            if client.connection.is_some_and(|id| !self.connections[id].is_sound()) {
                return Some(format!("the connection of {name} is broken"));
            }
            let session = self.broker.session(name);
            if let Some(session) = session
                // A fault may refuse what the broker holds already, and it goes on holding it.
                && session.in_flight + session.queued + if self.scenario.excused.refusals { 0 } else { session.held } > 0
            {
                return Some(format!("the broker is not done with {name}: {session:?}"));
            }
        }
        self.ledger.unsettled()
    }

    fn note_scenario(&mut self) {
        if self.listener.is_none() {
            return;
        }
        for at in 0..self.clients.len() {
            let plan = format!("client {at}: {:?}", self.scenario.clients[at]);
            self.note(|| plan);
        }
        let Scenario { latency, split_percent, low_ids, faults, broker, .. } = &self.scenario;
        let broker = format!(
            "latency {latency:?}, {split_percent} % in pieces, low ids {low_ids}, faults {faults:?}, broker {broker:?}"
        );
        self.note(|| broker);
    }
}

impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Item {}

impl PartialOrd for Item {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Item {
    /// The earliest is the greatest: it leaves the heap first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.due, other.order).cmp(&(self.due, self.order))
    }
}
