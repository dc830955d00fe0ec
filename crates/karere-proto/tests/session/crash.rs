//! Random conversations with a server that keeps its word, over connections that break, by a client whose process dies
//! after any record: only what was on the disk survives, and still every promise must hold.
//!
//! `KARERE_SEED=17 cargo test -p karere-proto --test session crash` replays one conversation.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    time::Instant,
};

use bytes::{Bytes, BytesMut};
use karere_proto::{
    FrameLimits, Packet, PacketId, PropertyId, QoS, ReasonCode, SendBuf, Session, Side, Token, Value, Version,
    next_frame,
    packet::{Ack, AckKind, Attempt, ConnAck, PublishPacket},
    session::{Batch, CloseCause, Config, Delivery, Event, Outcome, Record, Snapshot},
};

use super::kit::*;

const STEPS: usize = 400;

#[test]
fn promises_hold_over_broken_connections_and_crashes() {
    let replay = std::env::var("KARERE_SEED").ok().map(|seed| seed.parse::<u64>().unwrap());
    let mut totals = Totals::default();
    for seed in replay.map_or(0..2_000, |seed| seed..seed + 1) {
        let world = std::panic::catch_unwind(|| World::converse(seed));
        match world {
            Ok(world) => totals.add(&world),
            Err(panic) => {
                println!("replay with KARERE_SEED={seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    if replay.is_none() {
        totals.check();
    }
}

/// What happened in all conversations: they must not pass by saying nothing.
#[derive(Default)]
struct Totals {
    arrived: usize,
    repeated: usize,
    delivered: usize,
    crashes: usize,
    losses: usize,
}

impl Totals {
    fn add(&mut self, world: &World) {
        self.arrived += world.server.arrived.len();
        self.repeated += world.repeated;
        self.delivered += world.delivered.len();
        self.crashes += world.crashes;
        self.losses += world.losses;
    }

    fn check(&self) {
        let Self { arrived, repeated, delivered, crashes, losses } = self;
        assert!(*arrived > 10_000 && *delivered > 10_000, "{arrived} messages out, {delivered} in");
        assert!(*repeated > 1_000 && *crashes > 1_000 && *losses > 100, "{repeated}, {crashes}, {losses}");
    }
}

/// A server that follows the specification, and notes what it sees.
#[derive(Default)]
struct Server {
    has_session: bool,
    /// Sessions it has begun.
    sessions: usize,
    /// QoS 2 identifiers of the client, and which message each is.
    held: HashMap<PacketId, String>,
    /// Messages it took, with the session in which it took them.
    arrived: Vec<(String, QoS, usize)>,
    /// Messages for the client, oldest first.
    outgoing: Vec<Outgoing>,
    last_id: u16,
    /// Identifiers that count against its Receive Maximum on this connection.
    unanswered: BTreeSet<PacketId>,
    receive_maximum: u16,
}

struct Outgoing {
    name: String,
    qos: QoS,
    id: PacketId,
    released: bool,
}

struct World {
    dice: Dice,
    version: Version,
    now: Instant,
    session: Session,
    connected: bool,
    server: Server,
    to_server: VecDeque<Packet>,
    to_client: VecDeque<Packet>,
    transport: SendBuf,
    sent: u64,

    /// Records that are on the disk, and those that are on their way.
    disk: Vec<Bytes>,
    writing: VecDeque<Batch>,
    /// What the records on the disk allow to leave.
    may_publish: HashSet<(PacketId, String)>,
    may_release: HashSet<PacketId>,
    may_receive: HashSet<PacketId>,
    names_by_seq: HashMap<u64, String>,

    deliveries: Vec<(String, Delivery)>,
    /// Messages of the server that the application did not take.
    rejected: HashSet<String>,
    /// Messages the client took, by name: those of QoS 1 and 2 that survive, and the tokens that are open.
    accepted: BTreeMap<String, QoS>,
    open: HashMap<Token, String>,
    ended: HashSet<String>,
    /// Refused or given up: may arrive, need not.
    let_go: HashSet<String>,
    published: usize,
    /// Messages of the server: how often each was told to this process; all that were ever told.
    told_now: HashMap<String, usize>,
    delivered: HashSet<String>,
    kept_for_good: HashSet<String>,
    served: HashMap<String, PacketId>,
    lost_with_session: HashSet<String>,
    repeated: usize,
    crashes: usize,
    losses: usize,
}

impl World {
    fn converse(seed: u64) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0x5851_F42D_4C95_7F2D));
        let version = Version::ALL[dice.below(3)];
        let now = beginning();
        let mut config = journaled(version);
        config.max_in_flight = at_most(1 + dice.below(6) as u16);
        let mut world = Self {
            dice,
            version,
            now,
            session: Session::new(now, config).unwrap(),
            connected: false,
            server: Server::default(),
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            transport: SendBuf::new(),
            sent: 0,
            disk: Vec::new(),
            writing: VecDeque::new(),
            may_publish: HashSet::new(),
            may_release: HashSet::new(),
            may_receive: HashSet::new(),
            names_by_seq: HashMap::new(),
            deliveries: Vec::new(),
            rejected: HashSet::new(),
            accepted: BTreeMap::new(),
            open: HashMap::new(),
            ended: HashSet::new(),
            let_go: HashSet::new(),
            published: 0,
            told_now: HashMap::new(),
            delivered: HashSet::new(),
            kept_for_good: HashSet::new(),
            served: HashMap::new(),
            lost_with_session: HashSet::new(),
            repeated: 0,
            crashes: 0,
            losses: 0,
        };
        for _ in 0..STEPS {
            world.step();
            world.settle();
        }
        world.come_to_rest();
        world.check_the_end();
        world
    }

    fn step(&mut self) {
        match self.dice.below(100) {
            0..16 => self.publish(),
            16..28 => self.server_publishes(),
            28..44 => self.acknowledge(),
            44..58 => self.commit(),
            58..75 => self.server_receives(),
            75..93 => self.client_receives(),
            93..95 => self.drop_connection(),
            95..97 => self.connect(),
            97 => self.crash(),
            98 if !self.connected && self.version != Version::V31 => self.lose_session(),
            99 if self.dice.once_in(5) => self.give_up(),
            _ => self.connect(),
        }
    }

    // The client and its application

    fn publish(&mut self) {
        self.published += 1;
        let qos = [Q0, Q1, Q1, Q2, Q2][self.dice.below(5)];
        let name = format!("m{:06}", self.published);
        let token = self.session.publish(self.now, message(&name, qos)).unwrap();
        self.names_by_seq.insert(token.get(), name.clone());
        assert!(self.open.insert(token, name.clone()).is_none(), "a token is used twice");
        if qos > Q0 {
            self.accepted.insert(name, qos);
        }
    }

    fn acknowledge(&mut self) {
        if self.deliveries.is_empty() {
            return;
        }
        let at = self.dice.below(self.deliveries.len());
        let (name, delivery) = self.deliveries.remove(at);
        if self.version == Version::V5 && self.dice.once_in(12) {
            self.rejected.insert(name);
            self.session.refuse(delivery, ReasonCode::QuotaExceeded).unwrap();
        } else {
            self.session.acknowledge(delivery);
        }
    }

    fn give_up(&mut self) {
        self.let_go.extend(self.open.values().cloned());
        self.session.drop_messages();
    }

    /// Everything that happens by itself after a step.
    fn settle(&mut self) {
        while let Some(event) = self.session.poll_event(self.now) {
            self.hear(event);
        }
        if let Some(batch) = self.session.poll_journal() {
            self.writing.push_back(batch);
        }
        assert!(self.session.close_request().is_none(), "the client broke off: {:?}", self.session);
        if self.connected && !self.dice.once_in(3) {
            self.write();
        }
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Message { publish, delivery, .. } => {
                let name = publish.topic.as_str().to_owned();
                let told = self.told_now.entry(name.clone()).or_default();
                *told += 1;
                let again = *told > 1 && !self.rejected.contains(&name);
                assert!(publish.qos == Q1 || !again, "{name} was delivered twice");
                assert!(!self.kept_for_good.contains(&name), "{name} was delivered again though it was durable");
                self.delivered.insert(name.clone());
                self.deliveries.push((name, delivery));
            }
            Event::Published { token, outcome, .. } => {
                let name = self.open.remove(&token);
                let name = name.unwrap_or_else(|| panic!("{token:?} has an outcome twice: {outcome:?}"));
                match outcome {
                    Outcome::Acknowledged { .. } => {}
                    Outcome::Refused { .. } | Outcome::NotSent(_) | Outcome::Unknown => {
                        self.let_go.insert(name.clone());
                    }
                    other => panic!("{name}: {other:?}"),
                }
                self.ended.insert(name);
            }
            Event::Connected(_) | Event::Disconnected(_) => {}
            other => panic!("unexpected: {other:?}"),
        }
    }

    /// What may leave leaves; it must not be behind its record.
    fn write(&mut self) {
        self.session.poll_bytes(&mut self.transport);
        let bytes = self.transport.to_vec();
        self.transport.advance(bytes.len());
        self.sent += bytes.len() as u64;
        self.session.handle_sent(self.now, self.sent);
        let mut bytes = BytesMut::from(&bytes[..]);
        let rules = self.version.rules();
        while let Some(frame) = next_frame(&mut bytes, FrameLimits::new(rules, Side::Client)).unwrap() {
            let packet = Packet::decode(frame, rules, Side::Client).unwrap();
            self.check_gate(&packet);
            self.to_server.push_back(packet);
        }
        assert!(bytes.is_empty(), "a gate stands within a packet");
    }

    fn check_gate(&mut self, packet: &Packet) {
        match packet {
            Packet::Publish(publish) => {
                let Some(id) = publish.id else { return };
                let name = topic(publish);
                assert!(self.may_publish.contains(&(id, name.clone())), "{} before its record", line(packet));
                let done = self.ended.contains(&name) && !self.let_go.contains(&name);
                assert!(!done, "{} although it was completed", line(packet));
                self.repeated += usize::from(publish.attempt == Attempt::Again);
            }
            Packet::Ack(ack) if ack.reason == ReasonCode::Success => match ack.kind {
                AckKind::PubRel => assert!(self.may_release.contains(&ack.id), "{} before its record", line(packet)),
                AckKind::PubRec => assert!(self.may_receive.contains(&ack.id), "{} before its record", line(packet)),
                AckKind::PubAck | AckKind::PubComp => {}
            },
            _ => {}
        }
    }

    // The disk

    fn commit(&mut self) {
        if let Some(batch) = self.writing.pop_front() {
            for record in batch.records {
                self.is_on_disk(record);
            }
            self.session.handle_durable(batch.last);
        }
    }

    fn is_on_disk(&mut self, bytes: Bytes) {
        match Record::decode(bytes.clone()).unwrap() {
            Record::Sent { seq, id } => {
                self.may_release.remove(&id);
                self.may_publish.insert((id, self.names_by_seq[&seq].clone()));
            }
            Record::Released { id } => {
                self.may_release.insert(id);
            }
            Record::Received { id } => {
                self.may_receive.insert(id);
            }
            _ => {}
        }
        self.disk.push(bytes);
    }

    /// The process dies. Of what was being written, any part may have reached the disk.
    fn crash(&mut self) {
        self.crashes += 1;
        let writing = core::mem::take(&mut self.writing).into_iter().flat_map(|batch| batch.records);
        let writing = writing.collect::<Vec<_>>();
        let reached = self.dice.below(writing.len() + 1);
        for record in writing.into_iter().take(reached) {
            self.is_on_disk(record);
        }
        self.break_wires();
        let snapshot = Snapshot::from_records(self.disk.iter().cloned()).unwrap();
        let config: Config = self.session.config().clone();
        self.session = Session::restore(self.now, config, snapshot.clone()).unwrap();

        // What this process knows is what the records say; what they do not say was never promised, and never left.
        self.names_by_seq.retain(|&seq, _| seq <= snapshot.last_seq);
        let known = self.names_by_seq.values().cloned().collect::<HashSet<_>>();
        self.accepted.retain(|name, _| known.contains(name));
        let in_flight = snapshot.in_flight.iter().filter(|flow| !flow.given_up).map(|flow| flow.seq);
        let open = snapshot.queued.keys().copied().chain(in_flight);
        self.open = open.map(|seq| (Token::from_u64(seq), self.names_by_seq[&seq].clone())).collect();
        self.ended = known.difference(&self.open.values().cloned().collect()).cloned().collect();
        self.told_now.clear();
        self.deliveries.clear();
        let held = snapshot.received.iter().collect::<HashSet<_>>();
        self.kept_for_good =
            self.served.iter().filter(|(_, id)| held.contains(id)).map(|(name, _)| name.clone()).collect();
    }

    // The connection

    fn connect(&mut self) {
        if self.connected {
            return;
        }
        self.session.handle_opened(self.now);
        self.connected = true;
        self.transport = SendBuf::new();
        self.sent = 0;
        self.write();
        let Some(Packet::Connect(connect)) = self.to_server.pop_front() else { panic!("CONNECT must come first") };
        if connect.clean_start {
            self.forget_session();
        }
        let mut ack = ConnAck::new(ReasonCode::Success);
        ack.session_present = self.server.has_session;
        self.server.receive_maximum = u16::MAX;
        if self.version == Version::V5 {
            self.server.receive_maximum = 1 + self.dice.below(5) as u16;
            let maximum = Value::U16(self.server.receive_maximum);
            ack.properties = properties([(PropertyId::ReceiveMaximum, maximum)]);
        }
        self.server.unanswered.clear();
        if !self.server.has_session {
            self.server.has_session = true;
            self.server.sessions += 1;
        }
        self.to_client.push_back(Packet::ConnAck(ack));
        for message in &self.server.outgoing {
            self.to_client.push_back(message.packet(Attempt::Again));
        }
        self.client_receives();
        self.settle();
        // A server cannot be asked which session it means: that the old one is gone must be known before the next crash.
        while !self.writing.is_empty() {
            self.commit();
        }
    }

    fn drop_connection(&mut self) {
        if self.connected {
            self.session.handle_closed(CloseCause::Closed);
            self.break_wires();
        }
    }

    /// Of what was on its way to the server, any part may arrive; nothing arrives here.
    fn break_wires(&mut self) {
        let arriving = self.dice.below(self.to_server.len() + 1);
        for _ in 0..arriving {
            self.server_receives();
        }
        self.to_server.clear();
        self.to_client.clear();
        self.connected = false;
    }

    fn lose_session(&mut self) {
        self.losses += usize::from(self.server.has_session);
        self.forget_session();
    }

    fn forget_session(&mut self) {
        self.server.has_session = false;
        self.server.held.clear();
        self.lost_with_session.extend(self.server.outgoing.drain(..).map(|message| message.name));
    }

    fn client_receives(&mut self) {
        if let Some(packet) = self.to_client.pop_front() {
            let mut out = SendBuf::new();
            packet.encode(self.version.rules(), &mut out);
            if let Packet::Ack(ack) = &packet {
                let ends = matches!(ack.kind, AckKind::PubAck | AckKind::PubComp) || ack.reason.is_failure();
                if ends {
                    self.server.unanswered.remove(&ack.id);
                }
            }
            self.session.handle_bytes(self.now, &mut BytesMut::from(&out.to_vec()[..]));
        }
    }

    // The server

    fn server_publishes(&mut self) {
        if !self.server.has_session || self.server.outgoing.len() > 20 {
            return;
        }
        self.server.last_id += 1;
        let qos = [Q1, Q2, Q2][self.dice.below(3)];
        let name = format!("s{:06}", self.server.last_id);
        let message = Outgoing { name: name.clone(), qos, id: id(self.server.last_id), released: false };
        if self.connected {
            self.to_client.push_back(message.packet(Attempt::First));
        }
        self.served.insert(name, message.id);
        self.server.outgoing.push(message);
    }

    fn server_receives(&mut self) {
        let Some(packet) = self.to_server.pop_front() else { return };
        let refuses = self.version == Version::V5 && self.dice.once_in(15);
        let server = &mut self.server;
        let answer = |kind, id, reason| Packet::Ack(Ack::with_reason(kind, id, reason));
        let success = ReasonCode::Success;
        match packet {
            Packet::Publish(publish) => {
                let name = topic(&publish);
                let Some(id) = publish.id else { return };
                server.unanswered.insert(id);
                let window = server.unanswered.len();
                assert!(window <= usize::from(server.receive_maximum), "{window} messages are unanswered");
                if let Some(held) = server.held.get(&id) {
                    assert_eq!(held, &name, "identifier {id} is used again while the server holds it");
                    assert_eq!(publish.attempt, Attempt::Again, "{name} comes again without DUP");
                    self.to_client.push_back(answer(AckKind::PubRec, id, success));
                    return;
                }
                let kind = if publish.qos == Q1 { AckKind::PubAck } else { AckKind::PubRec };
                if refuses {
                    self.to_client.push_back(answer(kind, id, ReasonCode::QuotaExceeded));
                    self.let_go.insert(name);
                    return;
                }
                if publish.qos == Q2 {
                    server.held.insert(id, name.clone());
                }
                server.arrived.push((name, publish.qos, server.sessions));
                self.to_client.push_back(answer(kind, id, success));
            }
            Packet::Ack(Ack { kind: AckKind::PubRel, id, .. }) => {
                let known = server.held.remove(&id).is_some();
                let reason = if known { success } else { ReasonCode::PacketIdentifierNotFound };
                self.to_client.push_back(answer(AckKind::PubComp, id, reason));
            }
            Packet::Ack(ack) => {
                let at = server.outgoing.iter().position(|message| message.id == ack.id);
                let at = at.unwrap_or_else(|| panic!("{ack:?} fits nothing"));
                let message = &mut server.outgoing[at];
                let fits = match ack.kind {
                    AckKind::PubAck => message.qos == Q1,
                    AckKind::PubRec => message.qos == Q2,
                    AckKind::PubComp => message.released,
                    AckKind::PubRel => false,
                };
                assert!(fits, "{ack:?} does not fit {}", message.name);
                if ack.kind == AckKind::PubRec && !ack.reason.is_failure() {
                    message.released = true;
                    self.to_client.push_back(answer(AckKind::PubRel, ack.id, success));
                } else {
                    server.outgoing.remove(at);
                }
            }
            other => panic!("unexpected: {}", line(&other)),
        }
    }

    // The end

    /// No more faults: everything is said, written and acknowledged until nothing is left.
    fn come_to_rest(&mut self) {
        for _ in 0..10_000 {
            self.connect();
            self.acknowledge();
            self.commit();
            self.server_receives();
            self.client_receives();
            self.settle();
            let quiet = self.to_server.is_empty() && self.to_client.is_empty() && self.writing.is_empty();
            if quiet && self.deliveries.is_empty() && self.session.is_drained() && self.server.outgoing.is_empty() {
                return;
            }
        }
        panic!("it does not come to rest: {:?}", self.session);
    }

    fn check_the_end(&self) {
        assert!(self.open.is_empty(), "without an outcome: {:?}", self.open);
        assert_eq!((self.session.in_flight(), self.session.queued()), (0, (0, 0)));
        let mut seen = HashMap::<&str, Vec<usize>>::new();
        let mut newest = HashMap::<QoS, &str>::new();
        for (name, qos, session) in &self.server.arrived {
            assert!(self.accepted.contains_key(name), "{name} arrived though no record of it survived");
            let before = seen.entry(name).or_default();
            if before.is_empty() {
                // One that the server refused before may come again if the refusal was lost.
                let last = if self.let_go.contains(name) { None } else { newest.insert(*qos, name) };
                assert!(last.is_none_or(|last| last < name.as_str()), "{name} overtaken by {last:?}");
            }
            assert!(*qos == Q1 || !before.contains(session), "{name} arrived twice at QoS 2");
            before.push(*session);
        }
        for name in self.accepted.keys() {
            let arrived = seen.contains_key(name.as_str());
            assert!(arrived || self.let_go.contains(name), "{name} was accepted, survived, and is lost");
        }
        for name in self.served.keys() {
            let delivered = self.delivered.contains(name);
            assert!(delivered || self.lost_with_session.contains(name), "{name} was never delivered");
        }
    }
}

impl Outgoing {
    fn packet(&self, attempt: Attempt) -> Packet {
        if self.released {
            Packet::Ack(Ack::new(AckKind::PubRel, self.id))
        } else {
            Packet::Publish(PublishPacket::new(message(&self.name, self.qos), Some(self.id), attempt))
        }
    }
}

fn topic(publish: &PublishPacket) -> String {
    publish.topic.as_ref().map(|topic| topic.as_str().to_owned()).unwrap_or_default()
}
