//! How bytes become what happens to a session.

use super::{World, ledger::Kind, server::Open};
use crate::input::Input;
use core::time::Duration;
use karere_proto::{
    Filter, Packet, PacketId, Properties, PropertyId, Publish, QoS, ReasonCode, SendBuf, Value,
    packet::{
        Ack, AckKind, Attempt, Auth, ConnAck, Disconnect, PublishPacket, RetainHandling, SubAck, Subscribe,
        SubscribeOptions, Subscription, UnsubAck, Unsubscribe,
    },
    session::CloseCause,
};

pub(super) const TOPICS: [&str; 4] = ["a", "b/cd", "$SYS/x", "a/very/long/topic/name"];
const FILTERS: [&str; 5] = ["a", "#", "b/+", "$share/g/a", "a/very/long/topic/name/#"];
const REASONS: [ReasonCode; 8] = [
    ReasonCode::Success,
    ReasonCode::UnspecifiedError,
    ReasonCode::PacketIdentifierNotFound,
    ReasonCode::NoMatchingSubscribers,
    ReasonCode::QuotaExceeded,
    ReasonCode::ContinueAuthentication,
    ReasonCode::ReAuthenticate,
    ReasonCode::NotAuthorized,
];

impl World {
    /// Reads one operation and does it.
    pub(super) fn operate(&mut self, input: &mut Input<'_>) {
        match input.below(28) {
            0 => self.opens(),
            1 => self.takes(usize::MAX),
            2 => self.takes(input.below(256)),
            3 => self.commits_all(),
            4 => self.records(),
            5 => self.commits(),
            6 => {
                let connack = self.connack(input);
                self.server_sends(&connack);
            }
            7 => self.server_publishes(input),
            8 => self.server_answers(input),
            9 => self.server_acknowledges(input),
            10 => self.server_says_something(input),
            11 => self.receives(input.some()),
            12 => self.hears(usize::MAX),
            13 => self.hears(1),
            14 | 15 => self.publishes(input),
            16 => self.subscribes(input),
            17 => self.unsubscribes(input),
            18 => self.acknowledges(input),
            19 => self.passes(Duration::from_secs(u64::from(input.byte()))),
            20 => {
                let next = self.session.poll_timeout().unwrap_or(self.now);
                self.passes(next.saturating_duration_since(self.now));
            }
            21 => self.session.handle_closed(CloseCause::Closed),
            22 => self.disconnects(input),
            23 => self.session.drop_messages(),
            24 => self.restarts(),
            25 => self.changes_its_mind(input),
            26 => self.authenticates(input),
            // A client and a server that do what they should.
            _ => {
                self.commits_all();
                self.takes(usize::MAX);
                self.hears(usize::MAX);
            }
        }
    }

    // The server

    fn server_sends(&mut self, packet: &Packet) {
        let mut out = SendBuf::new();
        packet.encode(self.config.connect.version.rules(), &mut out);
        self.receives(&out.to_vec());
    }

    fn connack(&mut self, input: &mut Input<'_>) -> Packet {
        let first = input.byte();
        let reason = if first < 224 { ReasonCode::Success } else { ReasonCode::ServerUnavailable };
        let mut ack = ConnAck::new(reason);
        ack.session_present = first & 1 == 1;
        if first & 4 != 0 {
            // The session is to use aliases often.
            ack.properties.set(PropertyId::TopicAliasMaximum, Value::U16(2)).expect("a legal value");
        }
        if first & 2 != 0 {
            let which = input.u16();
            let small = u16::from(input.byte());
            let choices = [
                (PropertyId::ReceiveMaximum, Value::U16(1 + small % 4)),
                (PropertyId::MaximumPacketSize, Value::U32(1 + u32::from(small))),
                (PropertyId::MaximumQoS, Value::Byte((small & 1) as u8)),
                (PropertyId::RetainAvailable, Value::Byte(0)),
                (PropertyId::TopicAliasMaximum, Value::U16(small)),
                (PropertyId::WildcardSubscriptionAvailable, Value::Byte(0)),
                (PropertyId::SubscriptionIdentifiersAvailable, Value::Byte(0)),
                (PropertyId::SharedSubscriptionAvailable, Value::Byte(0)),
                (PropertyId::ServerKeepAlive, Value::U16(small)),
                (PropertyId::SessionExpiryInterval, Value::U32(u32::from(small))),
                (PropertyId::AssignedClientIdentifier, Value::Str("assigned")),
                (PropertyId::AuthenticationMethod, Value::Str("M")),
                (PropertyId::ResponseInformation, Value::Str("r")),
                (PropertyId::ServerReference, Value::Str("other")),
            ];
            for (bit, (id, value)) in choices.into_iter().enumerate() {
                if which & 1 << bit != 0 {
                    ack.properties.set(id, value).expect("a legal value");
                }
            }
        }
        Packet::ConnAck(ack)
    }

    fn server_publishes(&mut self, input: &mut Input<'_>) {
        let (how, id) = (input.byte(), packet_id(input.byte() & 7));
        let qos = QoS::from_bits(how & 3).unwrap_or_default();
        let topic = TOPICS[usize::from(how >> 2 & 3)];
        let mut publish = Publish::new(topic, topic).expect("a topic").qos(qos);
        let mut by_alias = false;
        if how & 16 != 0 {
            let alias = input.byte();
            by_alias = alias & 128 != 0;
            let alias = (PropertyId::TopicAlias, Value::U16(1 + u16::from(alias & 3)));
            publish = publish.property(alias.0, alias.1).expect("a legal value");
        }
        let acknowledged = qos > QoS::AtMostOnce;
        let attempt = if acknowledged && how & 32 != 0 { Attempt::Again } else { Attempt::First };
        let mut packet = PublishPacket::new(publish, acknowledged.then_some(id), attempt);
        if by_alias && self.config.connect.version.rules().properties {
            packet.topic = None;
        }
        self.server_sends(&Packet::Publish(packet));
    }

    /// The server does what the client waits for.
    fn server_answers(&mut self, input: &mut Input<'_>) {
        let (which, how) = (input.byte(), input.byte());
        let count = self.server.open().len();
        if count == 0 {
            return;
        }
        let open = self.server.open().nth(usize::from(which) % count);
        let (id, open) = open.expect("below the count");
        let id = packet_id_of(id);
        let reason = if how < 192 { ReasonCode::Success } else { ReasonCode::UnspecifiedError };
        let ack = |kind| Packet::Ack(Ack::with_reason(kind, id, reason));
        let packet = match open {
            Open::Publish(QoS::AtLeastOnce) => ack(AckKind::PubAck),
            Open::Publish(_) if how & 1 == 0 => ack(AckKind::PubRec),
            Open::Publish(_) | Open::Release => Packet::Ack(Ack::new(AckKind::PubComp, id)),
            Open::Subscribe(count) => Packet::SubAck(id, SubAck::new(vec![reason; count])),
            Open::Unsubscribe(count) => Packet::UnsubAck(id, UnsubAck::new(vec![reason; count])),
        };
        self.server_sends(&packet);
    }

    /// The server acknowledges something, perhaps what it never got.
    fn server_acknowledges(&mut self, input: &mut Input<'_>) {
        let (how, id) = (input.byte(), input.byte());
        let id = packet_id(id & 15);
        let kind = [AckKind::PubAck, AckKind::PubRec, AckKind::PubRel, AckKind::PubComp][usize::from(how & 3)];
        let reason = REASONS[usize::from(how >> 2 & 7)];
        let packet = match how >> 5 {
            0 => Packet::SubAck(id, SubAck::new(vec![reason])),
            1 => Packet::UnsubAck(id, UnsubAck::new(vec![reason])),
            _ => Packet::Ack(Ack::with_reason(kind, id, reason)),
        };
        self.server_sends(&packet);
    }

    fn server_says_something(&mut self, input: &mut Input<'_>) {
        let how = input.byte();
        let reason = REASONS[usize::from(how >> 2 & 7)];
        let packet = match how & 3 {
            0 | 1 => Packet::PingResp,
            2 => Packet::Disconnect(Disconnect::new(reason)),
            _ => Packet::Auth(Auth::new(reason, method())),
        };
        self.server_sends(&packet);
    }

    // The application

    fn publishes(&mut self, input: &mut Input<'_>) {
        let how = input.byte();
        let qos = QoS::from_bits(how & 3).unwrap_or_default();
        let which = how >> 2 & 3;
        let topic = TOPICS[usize::from(which)];
        // It tells the topic, which on the wire may be an alias.
        let payload = match how >> 5 & 3 {
            0 => vec![],
            1 => vec![which; 5],
            2 => vec![which; usize::from(input.byte())],
            _ => vec![which; usize::from(input.byte()) * 256],
        };
        let mut publish = Publish::new(topic, payload).expect("a topic").qos(qos);
        publish.retain = how & 16 != 0;
        if how & 128 != 0 {
            let (id, value) = input.one_of(&[
                (PropertyId::MessageExpiryInterval, Value::U32(5)),
                (PropertyId::ContentType, Value::Str("text")),
                (PropertyId::UserProperty, Value::Pair("a", "b")),
                (PropertyId::TopicAlias, Value::U16(1)),
                (PropertyId::ReasonString, Value::Str("no")),
            ]);
            publish = publish.property(id, value).expect("a legal value");
        }
        match self.session.publish(self.now, publish) {
            Ok(token) => {
                self.ledger.accepted(token, Kind::Message);
                self.session.packet_id(token);
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }

    fn subscribes(&mut self, input: &mut Input<'_>) {
        let count = input.below(4);
        let mut subscribe = Subscribe::many((0..count).map(|_| {
            let how = input.byte();
            let mut options = SubscribeOptions::new(QoS::from_bits(how & 3).unwrap_or_default());
            options.no_local = how & 4 != 0;
            options.retain_as_published = how & 8 != 0;
            options.retain_handling = if how & 16 == 0 { RetainHandling::Send } else { RetainHandling::DoNotSend };
            Subscription::new(filter(how >> 5), options)
        }));
        if input.byte() & 7 == 7 {
            subscribe.properties.set(PropertyId::SubscriptionIdentifier, Value::U32(7)).expect("a legal value");
        }
        match self.session.subscribe(self.now, subscribe) {
            Ok(token) => self.ledger.accepted(token, Kind::Request),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }

    fn unsubscribes(&mut self, input: &mut Input<'_>) {
        let count = input.below(3);
        let unsubscribe = Unsubscribe::many((0..count).map(|_| filter(input.byte())));
        match self.session.unsubscribe(self.now, unsubscribe) {
            Ok(token) => self.ledger.accepted(token, Kind::Request),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }

    fn acknowledges(&mut self, input: &mut Input<'_>) {
        let (which, how) = (input.byte(), input.byte());
        if self.deliveries.is_empty() {
            return;
        }
        let delivery = self.deliveries.swap_remove(usize::from(which) % self.deliveries.len());
        if how < 192 {
            self.session.acknowledge(delivery);
            return;
        }
        let refused = (delivery.qos() == QoS::ExactlyOnce).then(|| delivery.packet_id()).flatten();
        match self.session.refuse(delivery, REASONS[usize::from(how & 7)]) {
            Ok(()) => refused.into_iter().for_each(|id| self.server.allow(id.get())),
            Err((delivery, error)) => {
                assert!(!error.to_string().is_empty());
                self.deliveries.push(delivery);
            }
        }
    }

    fn disconnects(&mut self, input: &mut Input<'_>) {
        let how = input.byte();
        let mut disconnect =
            Disconnect::new(if how & 1 == 0 { ReasonCode::Success } else { REASONS[usize::from(how >> 5)] });
        if how & 2 != 0 {
            let expiry = Value::U32(u32::from(how >> 4));
            disconnect.properties.set(PropertyId::SessionExpiryInterval, expiry).expect("a legal value");
        }
        if how & 4 != 0 {
            let why = Value::Str("a reason of some length, for people");
            disconnect.properties.set(PropertyId::ReasonString, why).expect("a legal value");
        }
        let result = if how & 8 == 0 {
            self.session.disconnect(disconnect)
        } else {
            self.ledger.drains();
            self.session.disconnect_when_drained(disconnect, self.now + Duration::from_secs(u64::from(input.byte())))
        };
        result.unwrap_or_else(|error| assert!(!error.to_string().is_empty()));
    }

    fn changes_its_mind(&mut self, input: &mut Input<'_>) {
        match input.byte() {
            0..64 => self.session.trace_on(),
            64..128 => self.session.trace_off(),
            how => {
                // Not the limits: the server of this harness looks at those of the beginning.
                let mut config = self.config.clone();
                config.connect.keep_alive = u16::from(how);
                self.session.reconfigure(config.clone()).expect("a legal configuration");
                self.config = config;
            }
        }
    }

    fn authenticates(&mut self, input: &mut Input<'_>) {
        let how = input.byte();
        let mut properties = method();
        let data = [0; 255];
        let data = Value::Bin(&data[..usize::from(how & 0b1110_0000)]);
        properties.set(PropertyId::AuthenticationData, data).expect("a legal value");
        if how & 8 != 0 {
            properties.set(PropertyId::ReceiveMaximum, Value::U16(5)).expect("a legal value");
        }
        let auth = Auth::new(REASONS[usize::from(how & 7)], properties);
        self.session.authenticate(auth).unwrap_or_else(|error| assert!(!error.to_string().is_empty()));
    }
}

fn filter(which: u8) -> Filter {
    Filter::new(FILTERS[usize::from(which) % FILTERS.len()]).expect("a filter")
}

fn method() -> Properties {
    let mut properties = Properties::new();
    properties.set(PropertyId::AuthenticationMethod, Value::Str("M")).expect("a legal value");
    properties
}

fn packet_id(id: u8) -> PacketId {
    packet_id_of(1 + u16::from(id))
}

fn packet_id_of(id: u16) -> PacketId {
    PacketId::new(id).expect("not 0")
}
