//! How the tests speak: a session, a scripted server, and a clock that only the test moves.
//!
//! Packets and events are written as lines. A message is named by its topic, which is also its payload:
//!
//! ```text
//! CONNECT clean | CONNECT resume          PUBLISH q0 a | PUBLISH q1 7 a | PUBLISH q2 7 dup a | PUBLISH q1 7 retain a
//! CONNACK | CONNACK present | CONNACK 0x87   PUBACK 7 | PUBACK 7 0x80 | PUBREC, PUBREL, PUBCOMP alike
//! SUBSCRIBE 7 a/# b | SUBACK 7 0x01 0x80     UNSUBSCRIBE 7 a/# | UNSUBACK 7 0x00
//! PINGREQ | PINGRESP                         DISCONNECT | DISCONNECT 0x82        AUTH 0x18
//! ```

use std::{
    collections::{HashMap, VecDeque},
    num::NonZeroU16,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use karere_proto::{
    Filter, FrameLimits, Packet, PacketId, Properties, PropertyId, Publish, QoS, ReasonCode, Rule, SendBuf, Session,
    Side, Token, Utf8String, Value, Version, next_frame,
    packet::{
        Ack, AckKind, Attempt, Auth, ConnAck, Connect, Disconnect, PublishPacket, SubAck, Subscribe, Subscription,
        UnsubAck, Unsubscribe,
    },
    session::{
        Cause, CloseCause, Config, ConfigError, Delivery, Event, Journal, NotSent, Outcome, SessionExpiry, Snapshot,
    },
};

/// Instantiates each behaviour for every version.
macro_rules! every_version {
    ($($behaviour:ident),* $(,)?) => {
        $(mod $behaviour {
            #[test]
            fn v31() {
                super::$behaviour(karere_proto::Version::V31);
            }
            #[test]
            fn v311() {
                super::$behaviour(karere_proto::Version::V311);
            }
            #[test]
            fn v5() {
                super::$behaviour(karere_proto::Version::V5);
            }
        })*
    };
}

/// Instantiates each behaviour for the versions that tell whether a session is present.
macro_rules! since_311 {
    ($($behaviour:ident),* $(,)?) => {
        $(mod $behaviour {
            #[test]
            fn v311() {
                super::$behaviour(karere_proto::Version::V311);
            }
            #[test]
            fn v5() {
                super::$behaviour(karere_proto::Version::V5);
            }
        })*
    };
}

/// Instantiates each behaviour for the versions without properties and reason codes.
macro_rules! before_5 {
    ($($behaviour:ident),* $(,)?) => {
        $(mod $behaviour {
            #[test]
            fn v31() {
                super::$behaviour(karere_proto::Version::V31);
            }
            #[test]
            fn v311() {
                super::$behaviour(karere_proto::Version::V311);
            }
        })*
    };
}

pub(crate) const Q0: QoS = QoS::AtMostOnce;
pub(crate) const Q1: QoS = QoS::AtLeastOnce;
pub(crate) const Q2: QoS = QoS::ExactlyOnce;

/// A second, to count in.
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// How a client comes back to a server that kept its session.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Return {
    /// The same process, on a new connection.
    Reconnect,
    /// A new process that knows what the journal says.
    Restart,
}

impl Return {
    pub(crate) const BOTH: [Self; 2] = [Self::Reconnect, Self::Restart];
}

/// A session that outlives its connections, and the defaults for all else.
pub(crate) fn config(version: Version) -> Config {
    let mut config = Config::new(version, text("client"));
    config.session_expiry = SessionExpiry::Never;
    config
}

/// [`config`] with a journal.
pub(crate) fn journaled(version: Version) -> Config {
    let mut config = config(version);
    config.journal = Journal::On;
    config
}

pub(crate) fn text(text: &str) -> Utf8String {
    Utf8String::new(text).unwrap()
}

/// A message that carries its own name.
pub(crate) fn message(name: &str, qos: QoS) -> Publish {
    Publish::new(name, name).unwrap().qos(qos)
}

pub(crate) fn id(id: u16) -> PacketId {
    PacketId::new(id).unwrap()
}

pub(crate) fn at_most(messages: u16) -> NonZeroU16 {
    NonZeroU16::new(messages).unwrap()
}

pub(crate) fn properties<const N: usize>(list: [(PropertyId, Value<'_>); N]) -> Properties {
    let mut properties = Properties::new();
    for (id, value) in list {
        properties.set(id, value).unwrap();
    }
    properties
}

/// A CONNACK of success with these properties.
pub(crate) fn connack<const N: usize>(list: [(PropertyId, Value<'_>); N]) -> Packet {
    let mut ack = ConnAck::new(ReasonCode::Success);
    ack.properties = properties(list);
    Packet::ConnAck(ack)
}

/// The same server, which has the session.
pub(crate) fn present(packet: Packet) -> Packet {
    let Packet::ConnAck(mut ack) = packet else { panic!("not a CONNACK: {packet:?}") };
    ack.session_present = true;
    Packet::ConnAck(ack)
}

#[expect(clippy::disallowed_methods, reason = "some instant to count from; no test reads the clock again")]
pub(crate) fn beginning() -> Instant {
    Instant::now()
}

/// A session and the server it talks to.
pub(crate) struct Talk {
    pub(crate) session: Session,
    pub(crate) now: Instant,
    /// Every record that is on the disk.
    pub(crate) disk: Vec<Bytes>,
    version: Version,
    /// What the transport holds and has not sent.
    transport: SendBuf,
    /// What the transport has sent of this connection.
    sent: u64,
    /// What the server has received and not looked at.
    received: BytesMut,
    /// What was accepted, by token.
    names: HashMap<Token, String>,
    heard: VecDeque<Heard>,
    deliveries: Vec<(String, Delivery)>,
}

/// What the application was told.
#[derive(Debug)]
pub(crate) enum Heard {
    /// Its delivery lies with those that can be acknowledged.
    Message {
        publish: Publish,
        attempt: Attempt,
    },
    Other(Event),
}

impl Talk {
    pub(crate) fn new(config: Config) -> Self {
        Self::restored(config, Snapshot::default())
    }

    pub(crate) fn restored(config: Config, snapshot: Snapshot) -> Self {
        let now = beginning();
        Self {
            version: config.connect.version,
            session: Session::restore(now, config, snapshot).unwrap(),
            now,
            disk: Vec::new(),
            transport: SendBuf::new(),
            sent: 0,
            received: BytesMut::new(),
            names: HashMap::new(),
            heard: VecDeque::new(),
            deliveries: Vec::new(),
        }
    }

    /// A client that has just been accepted.
    pub(crate) fn connected(version: Version) -> Self {
        Self::connected_with(config(version))
    }

    pub(crate) fn connected_with(config: Config) -> Self {
        let mut talk = Self::new(config);
        talk.opens();
        talk.server_says("CONNACK");
        talk.told(["connected"]);
        talk
    }

    /// A client that has just been accepted by a server with these properties; where the version has none, without.
    pub(crate) fn connected_to<const N: usize>(config: Config, list: [(PropertyId, Value<'_>); N]) -> Self {
        let mut talk = Self::new(config);
        talk.opens();
        talk.server_sends(&connack(list));
        talk.told(["connected"]);
        talk
    }

    // The connection

    /// The transport is up and the client has sent its CONNECT.
    pub(crate) fn opens(&mut self) -> Connect {
        self.session.handle_opened(self.now);
        self.transport = SendBuf::new();
        self.sent = 0;
        self.received.clear();
        match <[Packet; 1]>::try_from(self.sent()) {
            Ok([Packet::Connect(connect)]) => {
                self.version = connect.version; // what the server answers in
                *connect
            }
            other => panic!("the first packet must be CONNECT, and nothing else: {other:?}"),
        }
    }

    /// The transport breaks.
    pub(crate) fn drops_connection(&mut self) {
        self.session.handle_closed(CloseCause::Closed);
        self.listen();
        let last = self.heard.pop_back();
        assert!(matches!(last, Some(Heard::Other(Event::Disconnected(_)))), "the end must be told last: {last:?}");
    }

    /// The transport breaks, and the server that kept the session takes the client back.
    pub(crate) fn resumes(&mut self) {
        self.drops_connection();
        self.opens();
        self.server_says("CONNACK present");
        self.is_told_connected();
    }

    /// The transport breaks, and the server has forgotten the session.
    pub(crate) fn loses_session(&mut self) {
        self.drops_connection();
        self.opens();
        self.server_says("CONNACK");
        self.is_told_connected();
    }

    /// The client comes back to a server that kept the session; what was told before is kept for [`Talk::told`].
    pub(crate) fn returns(&mut self, how: Return) {
        match how {
            Return::Reconnect => self.resumes(),
            Return::Restart => {
                self.commits();
                self.restarts();
                self.opens();
                self.server_says("CONNACK present");
                self.is_told_connected();
            }
        }
    }

    /// The process ends; another goes on with what is on the disk.
    pub(crate) fn restarts(&mut self) -> Snapshot {
        let snapshot = Snapshot::from_records(self.disk.iter().cloned()).unwrap();
        self.session = Session::restore(self.now, self.session.config().clone(), snapshot.clone()).unwrap();
        self.deliveries.clear();
        snapshot
    }

    fn is_told_connected(&mut self) {
        let at = self.heard.iter().position(|heard| matches!(heard, Heard::Other(Event::Connected(_))));
        self.heard.remove(at.expect("the connection must be told"));
    }

    // The server

    pub(crate) fn server_says(&mut self, line: &str) {
        self.server_sends(&parse(line));
    }

    pub(crate) fn server_sends(&mut self, packet: &Packet) {
        let mut out = SendBuf::new();
        packet.encode(self.version.rules(), &mut out);
        self.server_sends_bytes(&out.to_vec());
    }

    pub(crate) fn server_sends_bytes(&mut self, bytes: &[u8]) {
        self.session.handle_bytes(self.now, &mut BytesMut::from(bytes));
        self.listen();
    }

    /// Everything the client sends now; the transport takes all of it.
    pub(crate) fn sent(&mut self) -> Vec<Packet> {
        loop {
            self.session.poll_bytes(&mut self.transport);
            let waiting = self.transport.open_len();
            if waiting == 0 {
                break;
            }
            self.transport_takes(waiting);
        }
        self.arrived()
    }

    /// The transport takes `count` bytes of what waits for it.
    pub(crate) fn transport_takes(&mut self, count: usize) {
        self.session.poll_bytes(&mut self.transport);
        let bytes = self.transport.to_vec();
        self.received.extend_from_slice(&bytes[..count]);
        self.transport.advance(count);
        self.sent += count as u64;
        self.session.handle_sent(self.now, self.sent);
        self.listen();
    }

    /// The whole packets that have reached the server since it last looked.
    pub(crate) fn arrived(&mut self) -> Vec<Packet> {
        let rules = self.version.rules();
        let mut packets = Vec::new();
        while let Some(frame) = next_frame(&mut self.received, FrameLimits::new(rules, Side::Client)).unwrap() {
            packets.push(Packet::decode(frame, rules, Side::Client).unwrap());
        }
        packets
    }

    /// Everything the client sends now, as lines.
    pub(crate) fn said(&mut self) -> Vec<String> {
        self.sent().iter().map(line).collect()
    }

    /// The client sends exactly this now.
    #[track_caller]
    pub(crate) fn client_says<const N: usize>(&mut self, expected: [&str; N]) {
        assert_eq!(self.said(), expected);
    }

    /// The client breaks the connection off for `rule`, saying so where the version can.
    #[track_caller]
    pub(crate) fn client_closes_for(&mut self, rule: Rule) {
        let goodbye = format!("DISCONNECT 0x{:02X}", rule.reason().as_byte());
        let expected = if self.version == Version::V5 { vec![goodbye] } else { Vec::new() };
        assert_eq!(self.said(), expected);
        match self.close() {
            Cause::Protocol(error) => assert_eq!(error.rule, rule, "{error}"),
            other => panic!("closed because {other}"),
        }
        assert!(!format!("{rule}").is_empty());
    }

    /// The client wants the connection closed; the transport does so. Says why.
    #[track_caller]
    pub(crate) fn close(&mut self) -> Cause {
        assert!(self.session.close_request().is_some(), "the client goes on; it told {:?}", self.heard);
        self.session.handle_closed(CloseCause::Closed);
        self.listen();
        assert!(self.session.is_offline());
        match self.heard.pop_back() {
            Some(Heard::Other(Event::Disconnected(cause))) => cause,
            other => panic!("the end must be told last: {other:?}"),
        }
    }

    // The application

    pub(crate) fn publishes(&mut self, name: &str, qos: QoS) -> Token {
        self.publishes_message(message(name, qos))
    }

    pub(crate) fn publishes_message(&mut self, publish: Publish) -> Token {
        let name = publish.topic.as_str().to_owned();
        let token = self.session.publish(self.now, publish).unwrap();
        self.names.insert(token, name);
        token
    }

    pub(crate) fn subscribes(&mut self, filter: &str) -> Token {
        self.subscribes_with(Subscribe::new(filter, Q2).unwrap())
    }

    pub(crate) fn subscribes_with(&mut self, subscribe: Subscribe) -> Token {
        let filters = subscribe.subscriptions.iter().map(|one| one.filter.as_str()).collect::<Vec<_>>().join(" ");
        let token = self.session.subscribe(self.now, subscribe).unwrap();
        self.names.insert(token, filters);
        token
    }

    pub(crate) fn unsubscribes(&mut self, filter: &str) -> Token {
        let token = self.session.unsubscribe(self.now, Unsubscribe::new(filter).unwrap()).unwrap();
        self.names.insert(token, filter.to_owned());
        token
    }

    /// The application is done with the oldest unacknowledged message of this name.
    pub(crate) fn acknowledges(&mut self, name: &str) {
        let delivery = self.delivery(name);
        self.session.acknowledge(delivery);
        self.listen();
    }

    pub(crate) fn refuses(&mut self, name: &str, reason: ReasonCode) {
        let delivery = self.delivery(name);
        self.session.refuse(delivery, reason).unwrap();
        self.listen();
    }

    pub(crate) fn delivery(&mut self, name: &str) -> Delivery {
        let at = self.deliveries.iter().position(|(there, _)| there == name);
        self.deliveries.remove(at.unwrap_or_else(|| panic!("no message {name:?} was delivered"))).1
    }

    /// The next CONNECT shall say something else.
    pub(crate) fn reconfigures(&mut self, change: impl FnOnce(&mut Config)) -> Result<(), ConfigError> {
        let mut config = self.session.config().clone();
        change(&mut config);
        self.session.reconfigure(config)
    }

    /// Lets the tests call what was accepted by this name.
    pub(crate) fn calls(&mut self, token: Token, name: &str) {
        self.names.insert(token, name.to_owned());
    }

    pub(crate) fn disconnects(&mut self, disconnect: Disconnect) {
        self.session.disconnect(disconnect).unwrap();
        self.listen();
    }

    /// The application was told exactly this since it last asked.
    #[track_caller]
    pub(crate) fn told<const N: usize>(&mut self, expected: [&str; N]) {
        assert_eq!(self.tidings(), expected);
    }

    /// What the application was told since it last asked.
    pub(crate) fn tidings(&mut self) -> Vec<String> {
        let heard = self.take_heard();
        heard.iter().map(|heard| self.tiding(heard)).collect()
    }

    pub(crate) fn take_heard(&mut self) -> Vec<Heard> {
        self.listen();
        self.heard.drain(..).collect()
    }

    /// Asks the session for all that happened, and keeps what is to be acknowledged.
    pub(crate) fn listen(&mut self) {
        while let Some(event) = self.session.poll_event(self.now) {
            self.heard.push_back(match event {
                Event::Message { publish, delivery, attempt, .. } => {
                    self.deliveries.push((publish.topic.as_str().to_owned(), delivery));
                    Heard::Message { publish, attempt }
                }
                other => Heard::Other(other),
            });
        }
    }

    fn tiding(&self, heard: &Heard) -> String {
        let event = match heard {
            Heard::Message { publish, attempt } => {
                let again = if *attempt == Attempt::Again { " dup" } else { "" };
                return format!("message q{}{again} {}", publish.qos, publish.topic);
            }
            Heard::Other(event) => event,
        };
        let name = |token: &Token| self.names.get(token).cloned().unwrap_or_else(|| format!("{token:?}"));
        let number = |id: &Option<PacketId>| id.map_or_else(String::new, |id| format!(" {id}"));
        match event {
            Event::Connected(ack) if ack.session_present => "connected present".to_owned(),
            Event::Connected(_) => "connected".to_owned(),
            Event::Disconnected(cause) => format!("disconnected: {cause}"),
            Event::Published { token, id, outcome } => {
                let outcome = match outcome {
                    Outcome::Acknowledged { reason, .. } => format!("acknowledged{}", code(*reason)),
                    Outcome::Refused { reason, .. } => format!("refused{}", code(*reason)),
                    Outcome::NotSent(NotSent::GivenUp) => "given up".to_owned(),
                    Outcome::NotSent(why) => format!("not sent: {why}"),
                    Outcome::Unknown => "unknown".to_owned(),
                    other => format!("{other:?}"),
                };
                format!("{}{} {outcome}", name(token), number(id))
            }
            Event::Subscribed { token, id, ack } => {
                let ack = ack.as_ref().map_or_else(|| " no answer".to_owned(), |ack| codes(&ack.reasons));
                format!("{}{} subscribed{ack}", name(token), number(id))
            }
            Event::Unsubscribed { token, id, ack } => {
                let ack = ack.as_ref().map_or_else(|| " no answer".to_owned(), |ack| codes(&ack.reasons));
                format!("{}{} unsubscribed{ack}", name(token), number(id))
            }
            Event::Auth(auth) => format!("auth 0x{:02X}", auth.reason.as_byte()),
            other => format!("{other:?}"),
        }
    }

    // The clock and the disk

    /// Time passes; timers go off when they are due. Nobody sends anything meanwhile.
    pub(crate) fn passes(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.session.poll_timeout().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.session.handle_timeout(self.now);
            let next = self.session.poll_timeout();
            assert!(next.is_none_or(|next| next > self.now), "a timer that has gone off must not be due again");
        }
        self.now = end;
        self.listen();
    }

    /// Everything that waits for the disk gets there.
    pub(crate) fn commits(&mut self) {
        while let Some(batch) = self.session.poll_journal() {
            self.disk.extend(batch.records);
            self.session.handle_durable(batch.last);
        }
    }
}

fn code(reason: ReasonCode) -> String {
    if reason == ReasonCode::Success { String::new() } else { format!(" 0x{:02X}", reason.as_byte()) }
}

fn codes(reasons: &[ReasonCode]) -> String {
    reasons.iter().map(|reason| format!(" 0x{:02X}", reason.as_byte())).collect()
}

/// A packet as a line.
pub(crate) fn line(packet: &Packet) -> String {
    match packet {
        Packet::Connect(connect) => format!("CONNECT {}", if connect.clean_start { "clean" } else { "resume" }),
        Packet::ConnAck(ack) => {
            format!("CONNACK{}{}", if ack.session_present { " present" } else { "" }, code(ack.reason))
        }
        Packet::Publish(publish) => {
            let number = publish.id.map_or_else(String::new, |id| format!(" {id}"));
            let dup = if publish.attempt == Attempt::Again { " dup" } else { "" };
            let retain = if publish.retain { " retain" } else { "" };
            let topic = publish.topic.as_ref().map_or("", |topic| topic.as_str());
            format!("PUBLISH q{}{number}{dup}{retain} {topic}", publish.qos)
        }
        Packet::Ack(ack) => format!("{} {}{}", ack.kind.packet_type(), ack.id, code(ack.reason)),
        Packet::Subscribe(id, subscribe) => {
            let filters = subscribe.subscriptions.iter().map(|one| format!(" {}", one.filter));
            format!("SUBSCRIBE {id}{}", filters.collect::<String>())
        }
        Packet::SubAck(id, ack) => format!("SUBACK {id}{}", codes(&ack.reasons)),
        Packet::Unsubscribe(id, unsubscribe) => {
            let filters = unsubscribe.filters.iter().map(|filter| format!(" {filter}"));
            format!("UNSUBSCRIBE {id}{}", filters.collect::<String>())
        }
        Packet::UnsubAck(id, ack) => format!("UNSUBACK {id}{}", codes(&ack.reasons)),
        Packet::PingReq | Packet::PingResp => packet.packet_type().to_string(),
        Packet::Disconnect(disconnect) => format!("DISCONNECT{}", code(disconnect.reason)),
        Packet::Auth(auth) => format!("AUTH 0x{:02X}", auth.reason.as_byte()),
    }
}

/// A line as a packet.
pub(crate) fn parse(line: &str) -> Packet {
    let mut words = line.split(' ').collect::<VecDeque<_>>();
    let kind = words.pop_front().unwrap();
    let mut number = || id(words.pop_front().unwrap().parse().unwrap());
    match kind {
        "CONNACK" => {
            let session_present = words.front() == Some(&"present");
            let reason = words.iter().find_map(|word| reason(word)).unwrap_or(ReasonCode::Success);
            let mut ack = ConnAck::new(reason);
            ack.session_present = session_present;
            Packet::ConnAck(ack)
        }
        "PUBLISH" => parse_publish(words),
        "PUBACK" => parse_ack(AckKind::PubAck, words),
        "PUBREC" => parse_ack(AckKind::PubRec, words),
        "PUBREL" => parse_ack(AckKind::PubRel, words),
        "PUBCOMP" => parse_ack(AckKind::PubComp, words),
        "SUBACK" => Packet::SubAck(number(), SubAck::new(words.iter().filter_map(|word| reason(word)).collect())),
        "UNSUBACK" => Packet::UnsubAck(number(), UnsubAck::new(words.iter().filter_map(|word| reason(word)).collect())),
        "SUBSCRIBE" => {
            let id = number();
            let filters = words.iter().map(|filter| Subscription::new(Filter::new(filter).unwrap(), Q2));
            Packet::Subscribe(id, Subscribe::many(filters))
        }
        "UNSUBSCRIBE" => {
            let id = number();
            Packet::Unsubscribe(id, Unsubscribe::many(words.iter().map(|filter| Filter::new(filter).unwrap())))
        }
        "PINGREQ" => Packet::PingReq,
        "PINGRESP" => Packet::PingResp,
        "DISCONNECT" => Packet::Disconnect(Disconnect::new(
            words.front().and_then(|word| reason(word)).unwrap_or(ReasonCode::Success),
        )),
        "CONNECT" => Packet::Connect(Box::new(Connect::new(Version::V5, text("client")))),
        other => panic!("no such packet: {other}"),
    }
}

fn parse_publish(mut words: VecDeque<&str>) -> Packet {
    let qos = QoS::try_from(words.pop_front().unwrap().strip_prefix('q').unwrap().parse::<u8>().unwrap()).unwrap();
    let id = (qos > Q0).then(|| id(words.pop_front().unwrap().parse().unwrap()));
    let topic = words.pop_back().unwrap();
    let attempt = if words.contains(&"dup") { Attempt::Again } else { Attempt::First };
    let mut publish = message(topic, qos);
    publish.retain = words.contains(&"retain");
    Packet::Publish(PublishPacket::new(publish, id, attempt))
}

fn parse_ack(kind: AckKind, mut words: VecDeque<&str>) -> Packet {
    let id = id(words.pop_front().unwrap().parse().unwrap());
    let reason = words.pop_front().map_or(ReasonCode::Success, |word| reason(word).unwrap());
    Packet::Ack(Ack::with_reason(kind, id, reason))
}

fn reason(word: &str) -> Option<ReasonCode> {
    let byte = u8::from_str_radix(word.strip_prefix("0x")?, 16).unwrap();
    Some(ReasonCode::from_byte(byte).unwrap())
}

/// A step of authentication with this method.
pub(crate) fn auth(reason: ReasonCode, method: &str) -> Auth {
    Auth::new(reason, properties([(PropertyId::AuthenticationMethod, Value::Str(method))]))
}

/// Random numbers that are the same for the same seed (splitmix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// 0 to `limit`, `limit` not included.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// True once in `times`.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}
