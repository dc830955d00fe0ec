//! What a seed chooses: versions, limits, faults, the application's habits, and when things go wrong.

use core::{
    num::{NonZeroU16, NonZeroU32},
    time::Duration,
};

use karere_broker::{Direction, Fault, Trigger};
use karere_link::Rng;
use karere_proto::{
    PacketType, PropertyId, QoS, ReasonCode, Utf8String, Value, Version,
    session::{CleanStart, Config, Journal, LostSession, QueueLimits, Resubscribe, SessionExpiry},
};

/// Topics each client publishes to.
pub(crate) const TOPICS: u64 = 3;

/// A source of choices.
#[derive(Debug)]
pub(crate) struct Dice(Rng);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let _ = rng.next(); // neighbouring seeds share nothing
        Self(Rng::new(rng.next()))
    }

    /// A number below `limit`; 0 when that is 0.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        if limit == 0 { 0 } else { self.0.below(limit) }
    }

    /// An index below `limit`, which is not 0.
    pub(crate) fn index(&mut self, limit: usize) -> usize {
        usize::try_from(self.below(limit as u64)).expect("invariant: below a usize")
    }

    pub(crate) fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    /// True in `percent` of cases.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.index(of.len())].clone()
    }

    pub(crate) fn up_to(&mut self, longest: Duration) -> Duration {
        Duration::from_micros(self.below(u64::try_from(longest.as_micros()).unwrap_or(u64::MAX) + 1))
    }
}

/// How a client reaches the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The simulation moves the session's bytes.
    Direct,
    /// `karere_link::Link` does.
    Link,
}

/// When a client acknowledges what it receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Habit {
    /// At once.
    Prompt,
    /// Later, in any order; some are refused where the version can.
    Slow { longest: Duration, refused_percent: u64 },
}

/// A subscription that may be made: everything, all topics of one publisher, or one topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    All,
    Publisher(usize),
    Topic(usize, u64),
}

impl Wish {
    pub(crate) fn filter(self) -> String {
        match self {
            Self::All => "#".to_owned(),
            Self::Publisher(publisher) => format!("p{publisher}/+"),
            Self::Topic(publisher, topic) => format!("p{publisher}/t{topic}"),
        }
    }

    pub(crate) fn matches(self, publisher: usize, topic: u64) -> bool {
        match self {
            Self::All => true,
            Self::Publisher(wanted) => wanted == publisher,
            Self::Topic(wanted, name) => (wanted, name) == (publisher, topic),
        }
    }
}

#[derive(Debug)]
pub(crate) struct ClientPlan {
    pub(crate) config: Config,
    pub(crate) reach: Reach,
    pub(crate) habit: Habit,
    pub(crate) wishes: Vec<(Wish, QoS)>,
    /// How often each QoS is chosen.
    pub(crate) qos_weights: [u64; 3],
    /// Percent of writes to the disk that the process does not outlive for long.
    pub(crate) crash_percent: u64,
    /// Of a write to the disk.
    pub(crate) disk_delay: Duration,
    /// Bytes the transport takes at once.
    pub(crate) socket_buffer: usize,
}

impl ClientPlan {
    pub(crate) fn version(&self) -> Version {
        self.config.connect.version
    }

    pub(crate) fn is_v5(&self) -> bool {
        self.version() == Version::V5
    }
}

/// What happens, besides what follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Crash(usize),
    Disconnect(usize),
    Drain(usize),
    DropMessages(usize),
    Forget(usize),
    Limits,
    Publish(usize),
    Sever(usize),
    Subscribe(usize),
    Unsubscribe(usize),
}

/// All that a seed chooses beforehand.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) clients: Vec<ClientPlan>,
    pub(crate) broker: karere_broker::Config,
    /// The broker has limits that can make a client give a message up.
    pub(crate) limits: bool,
    pub(crate) faults: Vec<(Trigger, Fault)>,
    /// What the faults excuse.
    pub(crate) excused: Excused,
    pub(crate) ops: Vec<(Duration, Op)>,
    /// When nothing goes wrong any more.
    pub(crate) calm: Duration,
    pub(crate) latency: Duration,
    /// Percent of writes that travel in pieces.
    pub(crate) split_percent: u64,
    /// How late timers are looked at.
    pub(crate) lateness: Duration,
    /// The broker's packet identifiers are put on the wire as the lowest free ones.
    pub(crate) low_ids: bool,
}

/// What a scripted fault excuses: a correct client may then do, or suffer, these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Excused {
    /// A PUBLISH may be lost or come late on a living connection: those behind it come first.
    pub(crate) disorder: bool,
    /// A PUBLISH may come twice on one connection.
    pub(crate) doubled: bool,
    /// One side may find that the other breaks the protocol.
    pub(crate) errors: bool,
    /// The broker may refuse messages and subscriptions.
    pub(crate) refusals: bool,
}

impl Scenario {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let count = dice.pick(&[1usize, 2, 2, 2, 3]);
        let versions: &[Version] =
            if dice.chance(40) { &[Version::V5] } else { &[Version::V31, Version::V311, Version::V5] };
        let mut clients = (0..count).map(|at| client(dice, versions, at, count)).collect::<Vec<_>>();
        let all_v5 = clients.iter().all(ClientPlan::is_v5);
        let some_v31_kept = clients
            .iter()
            .any(|plan| plan.version() == Version::V31 && plan.config.session_expiry != SessionExpiry::AtClose);
        let (broker, limits) = broker(dice, &clients, Permit { limits: all_v5, expiry: !some_v31_kept });
        let calm = Duration::from_secs(dice.between(2, 30));
        let mut ops = Vec::new();
        let mut add = |dice: &mut Dice, most: u64, op: Op| {
            for _ in 0..dice.below(most + 1) {
                ops.push((dice.up_to(calm), op));
            }
        };
        let rough = dice.chance(80);
        for (at, plan) in clients.iter().enumerate() {
            add(dice, 40, Op::Publish(at));
            add(dice, 2, Op::Subscribe(at));
            add(dice, 2, Op::Unsubscribe(at));
            if rough {
                add(dice, 5, Op::Sever(at));
                add(dice, 1, Op::Disconnect(at));
                if dice.chance(10) {
                    add(dice, 1, Op::Drain(at));
                }
                if dice.chance(15) {
                    add(dice, 1, Op::DropMessages(at));
                }
                if dice.chance(25) && plan.version() != Version::V31 {
                    add(dice, 2, Op::Forget(at));
                }
                if plan.config.journal == Journal::On {
                    add(dice, 3, Op::Crash(at));
                }
            }
        }
        if all_v5 && dice.chance(25) {
            add(dice, 2, Op::Limits);
        }
        ops.sort_by_key(|&(at, _)| at);
        let (faults, excused) = if dice.chance(40) { faults(dice, all_v5) } else { Default::default() };
        let cramped = clients.iter().any(|plan| plan.socket_buffer < 1000);
        let limits = limits || ops.iter().any(|&(_, op)| op == Op::Limits);
        // An alias that was set in a lost PUBLISH would name another topic later.
        let broker = if excused.disorder { broker.outbound_topic_aliases(0) } else { broker };
        for plan in &mut clients {
            if excused.disorder {
                plan.config.topic_aliases = 0;
            }
            if plan.disk_delay > calm / 4 {
                plan.disk_delay = calm / 4;
            }
        }
        Self {
            clients,
            broker,
            limits,
            excused,
            ops,
            calm,
            latency: Duration::from_micros(if cramped { 500 } else { dice.pick(&[10, 5000, 200_000]) }),
            split_percent: dice.pick(&[0, 5, 50]),
            lateness: dice.pick(&[Duration::ZERO, Duration::from_millis(3)]),
            // A doubled PUBREL makes two PUBCOMPs; the second could hit the next message of that identifier.
            low_ids: !excused.doubled && !excused.errors && dice.chance(70),
            faults,
        }
    }
}

/// What a broker may be told to do although some clients cannot learn of it.
struct Permit {
    limits: bool,
    expiry: bool,
}

fn client(dice: &mut Dice, versions: &[Version], at: usize, count: usize) -> ClientPlan {
    let version = dice.pick(versions);
    let v5 = version == Version::V5;
    let name = Utf8String::new(&format!("client-{at}")).expect("invariant: plain text");
    let mut config = Config::new(version, name);
    config.connect.keep_alive = dice.pick(&[0, 1, 3, 10, 60]);
    config.session_expiry = if v5 {
        let seconds = dice.between(1, 40);
        dice.pick(&[
            SessionExpiry::AtClose,
            SessionExpiry::After(Duration::from_secs(seconds)),
            SessionExpiry::Never,
            SessionExpiry::Never,
        ])
    } else {
        dice.pick(&[SessionExpiry::AtClose, SessionExpiry::Never, SessionExpiry::Never])
    };
    if v5 {
        config.clean_start = dice.pick(&[
            CleanStart::Always,
            CleanStart::FirstOnly,
            CleanStart::FirstOnly,
            CleanStart::Never,
            CleanStart::Adopt,
        ]);
        if dice.chance(50) {
            let own = dice.pick(&[1, 2, 3, 10]);
            config.connect.properties.set(PropertyId::ReceiveMaximum, Value::U16(own)).expect("invariant: not 0");
        }
        if dice.chance(30) {
            config.connect.properties.set(PropertyId::TopicAliasMaximum, Value::U16(2)).expect("invariant: legal");
        }
    }
    config.max_in_flight = NonZeroU16::new(dice.pick(&[1, 2, 3, 5, 20])).expect("invariant: not 0");
    config.queue = match dice.below(4) {
        0 => QueueLimits::new(dice.index(6), usize::MAX),
        1 => QueueLimits::new(usize::MAX, dice.index(500)),
        _ => QueueLimits::UNLIMITED,
    };
    config.connack_timeout = Duration::from_millis(dice.between(1500, 10_000));
    config.ping_timeout = Duration::from_millis(dice.between(1000, 5000));
    config.resubscribe = dice.pick(&[Resubscribe::Never, Resubscribe::WhenLost, Resubscribe::Always]);
    config.ack_timeout = dice.pick(&[None, None, Some(Duration::from_secs(3))]);
    config.topic_aliases = dice.pick(&[0, 1, 2, 64]);
    config.lost_session = dice.pick(&[LostSession::Republish, LostSession::Republish, LostSession::Report]);
    config.journal = dice.pick(&[Journal::On, Journal::Off]);
    let habit = if dice.chance(50) {
        Habit::Prompt
    } else {
        let refused_percent = if v5 && dice.chance(30) { 10 } else { 0 };
        Habit::Slow { longest: Duration::from_millis(dice.pick(&[10, 500, 5000])), refused_percent }
    };
    let mut wishes = Vec::<(Wish, QoS)>::new();
    for _ in 0..dice.between(if count == 1 { 1 } else { 0 }, 3) {
        let wish = match dice.below(3) {
            0 => Wish::All,
            1 => Wish::Publisher(dice.index(count)),
            _ => Wish::Topic(dice.index(count), dice.below(TOPICS)),
        };
        if wishes.iter().all(|&(known, _)| known != wish) {
            wishes.push((wish, dice.pick(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce, QoS::ExactlyOnce])));
        }
    }
    ClientPlan {
        config,
        reach: dice.pick(&[Reach::Direct, Reach::Link]),
        habit,
        wishes,
        qos_weights: dice.pick(&[[1, 1, 1], [0, 1, 0], [0, 0, 1], [1, 3, 3], [0, 1, 2]]),
        crash_percent: dice.pick(&[0, 0, 1, 5]),
        disk_delay: Duration::from_micros(dice.pick(&[0, 100, 20_000, 1_000_000])),
        socket_buffer: dice.pick(&[7, 64, 1000, 1 << 20, 1 << 20]),
    }
}

fn broker(dice: &mut Dice, clients: &[ClientPlan], permit: Permit) -> (karere_broker::Config, bool) {
    let mut config = karere_broker::Config::new();
    // Older versions cannot be told the Receive Maximum, but they are held to it.
    let unaware = clients.iter().filter(|plan| !plan.is_v5()).map(|plan| plan.config.max_in_flight.get()).max();
    if dice.chance(60) {
        let receive_maximum = dice.pick(&[1, 2, 3, 7]).max(unaware.unwrap_or(1));
        config = config.receive_maximum(NonZeroU16::new(receive_maximum).expect("invariant: not 0"));
    }
    if dice.chance(30) {
        config = config.maximum_in_flight(NonZeroU16::new(dice.pick(&[1, 2, 5])).expect("invariant: not 0"));
    }
    if permit.expiry && dice.chance(20) {
        config = config.maximum_session_expiry(dice.pick(&[1, 5]));
    }
    if dice.chance(15) {
        config = config.server_keep_alive(dice.pick(&[1, 5]));
    }
    if dice.chance(50) {
        config = config.topic_alias_maximum(dice.pick(&[0, 1, 2]));
    }
    if dice.chance(30) {
        config = config.outbound_topic_aliases(3);
    }
    let mut limits = false;
    if permit.limits && dice.chance(20) {
        limits = true;
        config = limited(dice, config);
    }
    (config, limits)
}

/// Smaller limits, in a way that only 5.0 can announce.
pub(crate) fn limited(dice: &mut Dice, config: karere_broker::Config) -> karere_broker::Config {
    let config = config.receive_maximum(NonZeroU16::new(dice.pick(&[1, 2, 5, 65_535])).expect("invariant: not 0"));
    match dice.below(5) {
        0 => config.maximum_qos(dice.pick(&[QoS::AtMostOnce, QoS::AtLeastOnce])),
        1 => config.maximum_qos(QoS::AtLeastOnce),
        2 => config.without_retain(),
        3 => config.maximum_packet_size(NonZeroU32::new(dice.pick(&[60, 120])).expect("invariant: not 0")),
        _ => config,
    }
}

fn faults(dice: &mut Dice, all_v5: bool) -> (Vec<(Trigger, Fault)>, Excused) {
    use PacketType as P;
    let mut faults = Vec::new();
    let mut excused = Excused::default();
    for _ in 0..dice.between(1, 3) {
        let pause = Duration::from_millis(dice.pick(&[1, 300, 4000]));
        let to_client =
            dice.pick(&[P::Publish, P::PubAck, P::PubRec, P::PubRel, P::PubComp, P::SubAck, P::UnsubAck, P::PingResp]);
        let from_client = dice.pick(&[
            P::Connect,
            P::Publish,
            P::PubAck,
            P::PubRec,
            P::PubRel,
            P::PubComp,
            P::Subscribe,
            P::Unsubscribe,
            P::PingReq,
            P::Disconnect,
        ]);
        let outward = dice.chance(50);
        let packet = if outward { to_client } else { from_client };
        let trigger = if outward { Trigger::to_client(packet) } else { Trigger::from_client(packet) };
        let trigger = trigger.nth(dice.between(1, 12));
        let fault = match dice.below(8) {
            0 => {
                excused.disorder |= packet == P::Publish;
                excused.errors |= packet == P::Connect; // what follows comes first then
                Fault::Drop
            }
            1 => {
                // Only what answers something may be overtaken.
                if matches!(packet, P::Publish | P::Connect | P::Subscribe | P::Unsubscribe | P::Disconnect) {
                    continue;
                }
                Fault::Delay(pause)
            }
            2 if packet == P::Connect => continue,
            2 => Fault::Stall(pause),
            3 => {
                excused.doubled |= packet == P::Publish;
                excused.errors = true;
                Fault::Duplicate
            }
            4 => Fault::Split { size: dice.pick(&[1, 3, 50]), pause: Duration::from_millis(1) },
            5 => Fault::CloseBefore,
            6 => Fault::CloseAfter,
            _ if all_v5 && !outward && matches!(packet, P::Connect | P::Subscribe | P::Publish) => {
                excused.refusals = true;
                excused.disorder |= packet == P::Publish;
                Fault::Answer(if packet == P::Connect { ReasonCode::ServerBusy } else { ReasonCode::QuotaExceeded })
            }
            _ => {
                let way = if outward { Direction::ToClient } else { Direction::FromClient };
                faults.push((Trigger::any(way).nth(dice.between(1, 4)), Fault::CloseAtByte(dice.between(1, 2000))));
                continue;
            }
        };
        faults.push((trigger, fault));
    }
    (faults, excused)
}
