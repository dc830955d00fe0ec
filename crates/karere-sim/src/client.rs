//! The client's side of the world: a session, what drives it, and an application with habits.

use core::{net::SocketAddr, time::Duration};
use std::{collections::BTreeMap, io, io::IoSlice};

use bytes::{Bytes, BytesMut};
use karere_link::{Attempt, Close, Dial, Endpoint, Jitter, Link, Policy, Rng, Server, Use, Ways};
use karere_proto::{
    QoS, SendBuf, Session, Token,
    session::{Cause, CloseCause, CloseRequest, Config, Delivery, Flushed, Journal},
};

use crate::{
    disk::Disk,
    ledger::Number,
    network::{Arrival, Connection, End},
    seed::{Dice, Op, Reach, Wish},
    wire::{self, Raw},
    world::{What, World},
};

/// Crashes right after a write that one run may have.
const MOST_CRASHES: u64 = 10;

/// One client and its application.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) name: String,
    config: Config,
    /// `None` while the process is dead.
    pub(crate) session: Option<Session>,
    driver: Driver,
    /// The connection whose socket it holds.
    pub(crate) connection: Option<usize>,
    pub(crate) disk: Disk,
    /// Which life it is; deadlines of an earlier one are void.
    pub(crate) life: u32,
    /// Messages that the application has not dealt with.
    pub(crate) waiting: Vec<(Delivery, Option<Number>)>,
    pub(crate) wishes: Vec<Wanted>,
    pub(crate) subscribing: BTreeMap<Token, Vec<(usize, u32)>>,
    pub(crate) unsubscribing: BTreeMap<Token, usize>,
    pub(crate) last_cause: Option<Cause>,
}

/// A subscription that the application may want.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) wish: Wish,
    pub(crate) qos: QoS,
    pub(crate) wanted: bool,
    /// UNSUBSCRIBEs without an answer.
    pub(crate) leaving: u32,
    /// UNSUBSCRIBEs so far: the answer to an earlier SUBSCRIBE may come after that to a later UNSUBSCRIBE.
    pub(crate) left: u32,
}

#[derive(Debug)]
enum Driver {
    Direct {
        /// Taken from the session, not taken by the network.
        out: SendBuf,
        written: u64,
        /// It has been told when to close at the latest.
        lingers: bool,
    },
    Link(Box<Link>),
}

impl Driver {
    fn new(reach: Reach, dice: &mut Dice) -> Self {
        match reach {
            Reach::Direct => Self::Direct { out: SendBuf::new(), written: 0, lingers: false },
            Reach::Link => {
                let mut policy = Policy::default();
                policy.minimum_delay = Duration::from_millis(100);
                policy.maximum_delay = Duration::from_secs(4);
                policy.jitter = dice.pick(&[Jitter::Uniform, Jitter::None]);
                let host = dice.pick(&["127.0.0.1", "broker.example"]).to_owned();
                let endpoint = Endpoint::Tcp { host, port: 1883 };
                Self::Link(Box::new(Link::new(
                    vec![Server::new(endpoint)],
                    Ways::default(),
                    policy,
                    Rng::new(dice.below(u64::MAX)),
                )))
            }
        }
    }
}

impl Client {
    pub(crate) fn new(at: usize, world: &mut World<'_>) -> Self {
        let plan = &world.scenario.clients[at];
        let config = plan.config.clone();
        let wanted = |&(wish, qos): &(Wish, QoS)| Wanted { wish, qos, wanted: true, leaving: 0, left: 0 };
        Self {
            name: config.connect.client_id.as_str().to_owned(),
            session: Some(Session::new(world.instant(), config.clone()).expect("invariant: a legal configuration")),
            config,
            driver: Driver::new(plan.reach, &mut world.dice),
            connection: None,
            disk: Disk::default(),
            life: 0,
            waiting: Vec::new(),
            wishes: plan.wishes.iter().map(wanted).collect(),
            subscribing: BTreeMap::new(),
            unsubscribing: BTreeMap::new(),
            last_cause: None,
        }
    }

    /// Whether a CONNECT asks for a new session.
    #[expect(clippy::unused_self, reason = "reads as a question to the client")]
    pub(crate) fn asks_clean(&self, connect: &[u8]) -> bool {
        let head = connect.iter().skip(1).position(|&byte| byte & 0x80 == 0).map_or(0, |at| at + 2);
        let name = usize::from(u16::from_be_bytes([connect[head], connect[head + 1]]));
        connect[head + 2 + name + 1] & 2 != 0
    }

    /// When something is due.
    pub(crate) fn timeout(&self) -> Option<std::time::Instant> {
        let session = self.session.as_ref()?;
        let link = match &self.driver {
            Driver::Direct { .. } => None,
            Driver::Link(link) => link.poll_timeout(),
        };
        session.poll_timeout().into_iter().chain(link).min()
    }

    pub(crate) fn handle_timeout(&mut self, now: std::time::Instant) {
        if let Driver::Link(link) = &mut self.driver {
            link.handle_timeout(now);
        }
        if let Some(session) = &mut self.session {
            session.handle_timeout(now);
        }
    }

    /// Why it cannot rest yet.
    pub(crate) fn unsettled(&self) -> Option<String> {
        let name = &self.name;
        let Some(session) = &self.session else {
            return Some(format!("{name} is dead"));
        };
        if !session.is_connected() {
            return Some(format!("{name} is not connected"));
        }
        if !self.waiting.is_empty() {
            return Some(format!("{name} has {} messages to acknowledge", self.waiting.len()));
        }
        if !session.is_drained() || !self.subscribing.is_empty() || !self.unsubscribing.is_empty() {
            let (queued, in_flight) = (session.queued().0, session.in_flight());
            let requests = self.subscribing.len() + self.unsubscribing.len();
            return Some(format!(
                "{name} is not drained: {queued} queued, {in_flight} in flight, {requests} requests open"
            ));
        }
        None
    }
}

impl World<'_> {
    /// Begins to connect.
    pub(crate) fn start(&mut self, client: usize) {
        let now = self.instant();
        match &mut self.clients[client].driver {
            Driver::Direct { .. } => self.open_directly(client),
            Driver::Link(link) => link.connect(now),
        }
        self.pump_client(client);
    }

    fn open_directly(&mut self, client: usize) {
        let offline = |session: &Session| session.is_offline();
        let this = &self.clients[client];
        if this.connection.is_some() || !this.session.as_ref().is_some_and(offline) {
            return;
        }
        if !self.calm && self.dice.chance(10) {
            let wait = self.dice.up_to(Duration::from_secs(2));
            return self.later(wait, What::Connect { client, life: self.clients[client].life });
        }
        self.open_connection(client);
        let now = self.instant();
        let this = &mut self.clients[client];
        if let (Driver::Direct { out, written, lingers }, Some(session)) = (&mut this.driver, &mut this.session) {
            out.clear();
            (*written, *lingers) = (0, false);
            session.handle_opened(now);
        }
    }

    fn open_connection(&mut self, client: usize) {
        let id = self.connections.len();
        self.note(|| format!("client {client} opens connection {id}"));
        self.connections.push(Connection::new(client));
        let now = self.instant();
        self.broker.handle_opened(now, crate::broker::connection(id));
        self.clients[client].connection = Some(id);
        self.ledger.opened(client);
    }

    /// The address or the server answers what the link asked.
    pub(crate) fn dialed(&mut self, client: usize, life: u32, what: Dialed) {
        let now = self.instant();
        let fails = !self.calm && self.dice.chance(10);
        let this = &mut self.clients[client];
        if this.life != life || this.session.is_none() {
            return;
        }
        let Driver::Link(link) = &mut this.driver else {
            return;
        };
        let refused = || Err(io::ErrorKind::ConnectionRefused.into());
        match what {
            Dialed::Resolved(attempt) if fails => {
                link.handle_resolved(now, attempt, Err(io::ErrorKind::NotFound.into()));
            }
            Dialed::Resolved(attempt) => {
                let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
                link.handle_resolved(now, attempt, Ok(vec![address(1), address(2)]));
            }
            Dialed::Connected(attempt) if fails => {
                let _ = link.handle_dialed(now, attempt, refused());
            }
            Dialed::Connected(attempt) => {
                if this.connection.is_none() && link.handle_dialed(now, attempt, Ok(())) == Use::Connection {
                    self.open_connection(client);
                }
            }
        }
        self.pump_client(client);
    }

    /// Something arrived at the client's end of a connection.
    pub(crate) fn client_reads(&mut self, id: usize) {
        let client = self.connections[id].client;
        while let Some(arrival) = self.connections[id].to_client.read(self.now) {
            if !self.connections[id].client_open {
                continue;
            }
            match arrival {
                Arrival::Bytes(bytes) => self.client_gets(client, id, bytes),
                Arrival::End => {
                    self.note(|| format!("client {client} sees the end of connection {id}"));
                    self.client_lost(client, CloseCause::Closed);
                }
            }
        }
    }

    fn client_gets(&mut self, client: usize, id: usize, mut bytes: Bytes) {
        // One packet at a time where the client may stop reading at any of them: what it has not read does not count.
        let careful = self.scenario.excused.errors;
        while !bytes.is_empty() {
            let live = self.clients[client]
                .session
                .as_ref()
                .is_some_and(|session| session.close_request().is_none() && !session.is_offline());
            let tap = &mut self.connections[id].reached_client;
            let mut given = bytes.clone();
            let before = tap.len();
            tap.extend_from_slice(&bytes);
            let mut packets = Vec::new();
            while let Some(len) = wire::packet_len(tap)
                && (packets.is_empty() || !careful)
            {
                packets.push(tap.split_to(len));
            }
            if careful && let Some(packet) = packets.first() {
                given.truncate(packet.len() - before);
                tap.clear();
            }
            bytes = bytes.split_off(given.len());
            for packet in &packets {
                self.note(|| format!("client {client} gets {}{}", Raw(packet), if live { "" } else { ", too late" }));
                if live {
                    self.ledger.reached(client, Raw(packet));
                }
            }
            let now = self.instant();
            let this = &mut self.clients[client];
            let Some(session) = &mut this.session else {
                return;
            };
            let mut given = BytesMut::from(&given[..]);
            match &mut this.driver {
                Driver::Direct { .. } => session.handle_bytes(now, &mut given),
                Driver::Link(link) => link.handle_received(now, &mut given).expect("invariant: there are no layers"),
            }
            self.pump_client(client);
            if self.clients[client].connection != Some(id) {
                return;
            }
        }
    }

    /// Does everything the session and its driver ask for.
    pub(crate) fn pump_client(&mut self, client: usize) {
        for _ in 0..10_000 {
            let mut moved = self.exchange(client);
            moved |= self.tell(client);
            moved |= self.journal(client);
            moved |= self.exchange(client);
            moved |= self.dial(client);
            moved |= self.transmit(client);
            moved |= self.close_if_asked(client);
            if !moved {
                let waiting = self.clients[client].session.as_ref().map_or(0, |session| session.queued().0);
                return self.ledger.check_queue(client, waiting);
            }
        }
        self.ledger.fail(|| format!("client {client} never comes to rest"));
    }

    fn exchange(&mut self, client: usize) -> bool {
        let now = self.instant();
        let this = &mut self.clients[client];
        let Some(session) = &mut this.session else {
            return false;
        };
        match &mut this.driver {
            Driver::Direct { out, .. } => {
                let before = out.position();
                if this.connection.is_some() {
                    session.poll_bytes(out);
                }
                out.position() > before
            }
            Driver::Link(link) => {
                link.exchange(now, session);
                while link.poll_event().is_some() {}
                false
            }
        }
    }

    fn tell(&mut self, client: usize) -> bool {
        let mut told = false;
        let now = self.instant();
        while let Some(event) = self.clients[client].session.as_mut().and_then(|session| session.poll_event(now)) {
            told = true;
            self.application(client, event);
        }
        told
    }

    fn journal(&mut self, client: usize) -> bool {
        let Some(batch) = self.clients[client].session.as_mut().and_then(Session::poll_journal) else {
            return false;
        };
        let plan = &self.scenario.clients[client];
        let (delay, crash_percent) = (self.dice.up_to(plan.disk_delay), plan.crash_percent);
        if !self.calm && self.crashes < MOST_CRASHES && self.dice.chance(crash_percent) {
            let wait = self.dice.up_to(delay * 2);
            self.later(wait, What::Op(Op::Crash(client)));
        }
        let this = &mut self.clients[client];
        let (lsn, life) = (batch.last, this.life);
        let count = this.disk.write(batch);
        let due = this.disk.due(self.now, delay);
        self.at(due, What::Durable { client, life, count, lsn });
        true
    }

    fn dial(&mut self, client: usize) -> bool {
        let life = self.clients[client].life;
        let Driver::Link(link) = &mut self.clients[client].driver else {
            return false;
        };
        let dialed = match link.poll_dial() {
            None => return false,
            Some(Dial::Resolve { attempt, .. }) => Dialed::Resolved(attempt),
            Some(Dial::Connect { attempt, .. }) => Dialed::Connected(attempt),
            Some(Dial::Abandon(_)) => return true, // what comes of it is not used
            Some(other) => panic!("a driver that does not know {other:?}"),
        };
        let wait = self.dice.up_to(Duration::from_millis(300));
        self.later(wait, What::Dialed { client, life, dialed });
        true
    }

    /// Hands bytes to the network, as many as it takes.
    fn transmit(&mut self, client: usize) -> bool {
        let now = self.instant();
        let Some(id) = self.clients[client].connection else {
            return false;
        };
        let most = self.scenario.clients[client].socket_buffer;
        let room = most.saturating_sub(self.connections[id].to_broker.waiting());
        if room == 0 {
            return false;
        }
        let this = &mut self.clients[client];
        let mut bytes = Vec::new();
        let mut slices = [IoSlice::new(&[]); 4];
        let filled = match &mut this.driver {
            Driver::Direct { out, .. } => out.slices(&mut slices),
            Driver::Link(link) => link.poll_transmit(now, &mut slices).expect("invariant: there are no layers"),
        };
        for slice in &slices[..filled] {
            let len = slice.len().min(room - bytes.len());
            bytes.extend_from_slice(&slice[..len]);
        }
        if bytes.is_empty() {
            return false;
        }
        match &mut this.driver {
            Driver::Direct { out, written, .. } => {
                out.advance(bytes.len());
                *written += bytes.len() as u64;
            }
            Driver::Link(link) => link.handle_sent(bytes.len()),
        }
        self.connections[id].left_client.extend_from_slice(&bytes);
        while let Some(len) = wire::packet_len(&self.connections[id].left_client) {
            let packet = self.connections[id].left_client.split_to(len);
            self.note(|| format!("client {client} → broker on connection {id}: {}", Raw(&packet)));
            let this = &self.clients[client];
            self.ledger.left(client, Raw(&packet), &this.disk);
        }
        self.write(id, End::Broker, &bytes);
        let this = &mut self.clients[client];
        if let (Driver::Direct { written, .. }, Some(session)) = (&this.driver, &mut this.session) {
            session.handle_sent(now, *written);
        }
        true
    }

    fn close_if_asked(&mut self, client: usize) -> bool {
        let now = self.instant();
        let this = &mut self.clients[client];
        let (Some(id), Some(session)) = (this.connection, &mut this.session) else {
            return false;
        };
        match &mut this.driver {
            Driver::Direct { out, lingers, .. } => match session.close_request() {
                None => false,
                Some(CloseRequest::AfterFlush) if session.is_flushed() == Flushed::No || !out.is_empty() => {
                    if !core::mem::replace(lingers, true) {
                        self.later(Duration::from_secs(1), What::Linger { client, id });
                    }
                    false
                }
                Some(CloseRequest::AfterFlush | CloseRequest::AtOnce) => {
                    self.client_lost(client, CloseCause::Abandoned);
                    true
                }
            },
            Driver::Link(link) => match link.poll_close(now) {
                None => false,
                Some(Close::ShutWrite) => {
                    let travel = self.travel();
                    if let Some(due) = self.connections[id].to_broker.close(self.now, travel, &mut self.dice) {
                        self.arrive(due, id, End::Broker);
                    }
                    true
                }
                Some(Close::Drop) => {
                    self.client_lost(client, CloseCause::Abandoned);
                    true
                }
            },
        }
    }

    /// A direct client has waited long enough for its last words to leave.
    pub(crate) fn lingered(&mut self, client: usize, id: usize) {
        let this = &self.clients[client];
        if this.connection == Some(id) && this.session.as_ref().is_some_and(|session| session.close_request().is_some())
        {
            self.client_lost(client, CloseCause::Abandoned);
        }
    }

    /// The client's socket is gone, by its own hand or not.
    pub(crate) fn client_lost(&mut self, client: usize, cause: CloseCause) {
        let now = self.instant();
        let this = &mut self.clients[client];
        let Some(id) = this.connection else {
            return;
        };
        let Some(session) = &mut this.session else {
            return;
        };
        if let Driver::Link(link) = &mut this.driver {
            link.exchange(now, session);
        }
        this.last_cause = None;
        session.handle_closed(cause);
        self.tell(client);
        self.clients[client].connection = None;
        self.drop_socket(id);
        let this = &mut self.clients[client];
        let requested = this.last_cause == Some(Cause::Requested);
        let life = this.life;
        match &mut this.driver {
            Driver::Direct { out, .. } => {
                out.clear();
                if !requested {
                    let wait = self.dice.up_to(Duration::from_secs(1));
                    self.later(wait, What::Connect { client, life });
                }
            }
            Driver::Link(link) => {
                let cause = this.last_cause.clone().unwrap_or(Cause::Transport(CloseCause::Abandoned));
                link.handle_lost(now, &cause);
            }
        }
        if requested {
            let wait = self.dice.up_to(Duration::from_secs(4));
            self.later(wait, What::Connect { client, life });
        }
    }

    /// The client's end of a connection is closed; what has left still travels.
    pub(crate) fn drop_socket(&mut self, id: usize) {
        let travel = self.travel();
        let connection = &mut self.connections[id];
        if core::mem::replace(&mut connection.client_open, false) {
            connection.to_client.cut(0);
            if let Some(due) = connection.to_broker.close(self.now, travel, &mut self.dice) {
                self.arrive(due, id, End::Broker);
            }
        }
    }

    // Life and death.

    /// The process dies: of what is not durable, some survives.
    pub(crate) fn crash(&mut self, client: usize) {
        if self.clients[client].session.is_none() {
            return;
        }
        let survivors = self.dice.index(self.clients[client].disk.at_risk() + 1);
        if let Some(id) = self.clients[client].connection.take() {
            let pass = self.dice.index(self.connections[id].to_broker.waiting() + 1);
            let noticed = self.dice.chance(70);
            let connection = &mut self.connections[id];
            connection.client_open = false;
            connection.to_client.cut(0);
            connection.to_broker.cut(pass);
            if noticed {
                let due = connection.to_broker.end_at(self.now);
                self.arrive(due, id, End::Broker);
            }
        }
        let this = &mut self.clients[client];
        this.session = None;
        this.life += 1;
        this.waiting.clear();
        this.subscribing.clear();
        this.unsubscribing.clear();
        for wanted in &mut this.wishes {
            wanted.leaving = 0;
        }
        let life = this.life;
        match this.disk.crash(survivors) {
            Ok(snapshot) => {
                self.ledger.crashed(client, &this.disk, &snapshot);
                self.note(|| format!("client {client} crashes; the disk has {snapshot:?}"));
                self.crashes += 1;
                let wait = self.dice.up_to(Duration::from_secs(3));
                self.later(wait, What::Restart { client, life, snapshot: Box::new(snapshot) });
            }
            Err(error) => self.ledger.fail(|| format!("client {client}: {error}")),
        }
    }

    pub(crate) fn restart(&mut self, client: usize, snapshot: karere_proto::session::Snapshot) {
        let now = self.instant();
        self.note(|| format!("client {client} starts again"));
        let driver = Driver::new(self.scenario.clients[client].reach, &mut self.dice);
        let this = &mut self.clients[client];
        this.driver = driver;
        let session = Session::restore(now, this.config.clone(), snapshot);
        this.session = Some(session.expect("invariant: a legal configuration"));
        // What it wanted is asked for again: the process does not know what became of it.
        let wanted = this.wishes.iter().enumerate().filter(|(_, wanted)| wanted.wanted).map(|(at, _)| at);
        let wanted = wanted.collect::<Vec<_>>();
        self.subscribe(client, &wanted);
        self.start(client);
    }

    /// True when it has a journal.
    pub(crate) fn journals(&self, client: usize) -> bool {
        self.clients[client].config.journal == Journal::On
    }
}

/// What a link asked for and got.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Dialed {
    Connected(Attempt),
    Resolved(Attempt),
}
