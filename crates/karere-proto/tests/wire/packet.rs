//! Packets in words, and the packets they stand for.

use bytes::Bytes;
use karere_proto::{
    Filter, Packet, PacketId, Properties, PropertyId, Publish, QoS, ReasonCode, Utf8String, Version,
    packet::{
        Ack, AckKind, Attempt, Auth, ConnAck, Connect, Disconnect, PublishPacket, RetainHandling, SubAck, Subscribe,
        SubscribeOptions, Subscription, UnsubAck, Unsubscribe, Will,
    },
};

/// A packet in words: its name and its fields in order.
#[derive(Clone, Debug)]
pub(crate) struct Description {
    pub(crate) name: String,
    fields: Vec<(String, Value)>,
    place: String,
}

/// What a field is set to.
#[derive(Clone, Debug)]
enum Value {
    Number(u32),
    Text(String),
    Bytes(Vec<u8>),
    Pair(String, String),
}

impl Description {
    pub(crate) fn parse(text: &str, place: &str) -> Self {
        let mut words = Words { rest: text.trim(), place };
        let name = words.until(|character| character == ' ').to_owned();
        let mut fields = Vec::new();
        while let Some(field) = words.field() {
            fields.push(field);
        }
        Self { name, fields, place: place.to_owned() }
    }

    /// The names of the fields.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|(name, _)| name.as_str())
    }

    /// The packet that the words describe, made with the crate's constructors.
    pub(crate) fn build(&self, version: Version) -> Packet {
        match self.name.as_str() {
            "CONNECT" => Packet::Connect(Box::new(self.connect(version))),
            "CONNACK" => {
                let mut ack = ConnAck::new(self.reason());
                ack.session_present = self.flag("session_present");
                ack.properties = self.properties("");
                Packet::ConnAck(ack)
            }
            "PUBLISH" => Packet::Publish(self.publish()),
            "PUBACK" => self.ack(AckKind::PubAck),
            "PUBREC" => self.ack(AckKind::PubRec),
            "PUBREL" => self.ack(AckKind::PubRel),
            "PUBCOMP" => self.ack(AckKind::PubComp),
            "SUBSCRIBE" => {
                let subscribe = Subscribe::many(self.subscriptions()).properties(self.properties(""));
                Packet::Subscribe(self.packet_id(), subscribe)
            }
            "SUBACK" => {
                let mut ack = SubAck::new(self.reasons());
                ack.properties = self.properties("");
                Packet::SubAck(self.packet_id(), ack)
            }
            "UNSUBSCRIBE" => {
                let filters = self.texts("filter").map(|filter| Filter::new(filter).expect("legal filter"));
                let unsubscribe = Unsubscribe::many(filters).properties(self.properties(""));
                Packet::Unsubscribe(self.packet_id(), unsubscribe)
            }
            "UNSUBACK" => {
                let mut ack = UnsubAck::new(self.reasons());
                ack.properties = self.properties("");
                Packet::UnsubAck(self.packet_id(), ack)
            }
            "PINGREQ" => Packet::PingReq,
            "PINGRESP" => Packet::PingResp,
            "DISCONNECT" => Packet::Disconnect(Disconnect::new(self.reason()).properties(self.properties(""))),
            "AUTH" => Packet::Auth(Auth::new(self.reason(), self.properties(""))),
            name => panic!("{}: {name} is no packet", self.place),
        }
    }

    fn connect(&self, version: Version) -> Connect {
        let text = |name| self.texts(name).next().map(|text| Utf8String::new(text).expect("legal string"));
        let mut connect = Connect::new(version, text("client_id").expect("CONNECT has a client_id"));
        connect.clean_start = self.flag("clean_start");
        connect.keep_alive = u16::try_from(self.number("keep_alive")).expect("keep_alive of two bytes");
        connect.properties = self.properties("");
        connect.user_name = text("user_name");
        connect.password = self.bytes("password");
        connect.will = self.texts("will.topic").next().map(|topic| {
            let mut publish = Publish::new(topic, self.bytes("will.payload").unwrap_or_default()).expect("legal topic");
            publish.qos = self.qos("will.qos");
            publish.retain = self.flag("will.retain");
            Will::from(publish.properties(self.properties("will.")))
        });
        connect
    }

    fn publish(&self) -> PublishPacket {
        let topic = self.texts("topic").next();
        let mut publish = Publish::new(topic.unwrap_or("any"), self.bytes("payload")).expect("legal topic");
        publish.qos = self.qos("qos");
        publish.retain = self.flag("retain");
        let publish = publish.properties(self.properties(""));
        let id = self.value("id").map(|_| self.packet_id());
        let attempt = if self.flag("dup") { Attempt::Again } else { Attempt::First };
        let mut packet = PublishPacket::new(publish, id, attempt);
        if topic.is_none() {
            packet.topic = None;
        }
        packet
    }

    fn ack(&self, kind: AckKind) -> Packet {
        let mut ack = Ack::with_reason(kind, self.packet_id(), self.reason());
        ack.properties = self.properties("");
        Packet::Ack(ack)
    }

    fn subscriptions(&self) -> Vec<Subscription> {
        let mut subscriptions: Vec<Subscription> = Vec::new();
        for (name, value) in &self.fields {
            if let ("filter", Value::Text(filter)) = (name.as_str(), value) {
                subscriptions.push(Subscription::new(Filter::new(filter).expect("legal filter"), QoS::AtMostOnce));
            } else if let (Some(last), Value::Number(number)) = (subscriptions.last_mut(), value) {
                let options: &mut SubscribeOptions = &mut last.options;
                match name.as_str() {
                    "qos" => options.qos = self.level(*number),
                    "no_local" => options.no_local = *number == 1,
                    "retain_as_published" => options.retain_as_published = *number == 1,
                    "retain_handling" => {
                        options.retain_handling = match number {
                            1 => RetainHandling::SendIfNew,
                            2 => RetainHandling::DoNotSend,
                            _ => panic!("{}: retain_handling {number}", self.place),
                        }
                    }
                    _ => panic!("{}: {name} is no option", self.place),
                }
            }
        }
        subscriptions
    }

    /// The properties among the fields whose names begin with `prefix`: those in capitals.
    fn properties(&self, prefix: &str) -> Properties {
        let mut properties = Properties::new();
        for (name, value) in &self.fields {
            if let Some(name) = name.strip_prefix(prefix)
                && name.starts_with(|character: char| character.is_ascii_uppercase())
            {
                self.set(&mut properties, name, value);
            }
        }
        properties
    }

    fn set(&self, properties: &mut Properties, name: &str, value: &Value) {
        use karere_proto::Value as Wire;
        let id = PropertyId::ALL.iter().copied().find(|id| id.name().replace(' ', "") == name);
        let id = id.unwrap_or_else(|| panic!("{}: {name} is no property", self.place));
        let result = match value {
            Value::Text(text) => properties.set(id, Wire::Str(text)),
            Value::Bytes(bytes) => properties.set(id, Wire::Bin(bytes)),
            Value::Pair(name, value) => properties.set(id, Wire::Pair(name, value)),
            Value::Number(number) if id == PropertyId::SubscriptionIdentifier => {
                properties.add_subscription_identifier(*number)
            }
            // Of the three widths a property takes the one that is its own.
            Value::Number(number) => properties
                .set(id, Wire::U32(*number))
                .or_else(|_| properties.set(id, Wire::U16(u16::try_from(*number).unwrap_or_default())))
                .or_else(|_| properties.set(id, Wire::Byte(u8::try_from(*number).unwrap_or_default()))),
        };
        result.unwrap_or_else(|error| panic!("{}: {error}", self.place));
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(there, _)| there == name).map(|(_, value)| value)
    }

    fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        self.fields.iter().filter_map(move |field| match field {
            (there, Value::Text(text)) if there == name => Some(text.as_str()),
            _ => None,
        })
    }

    fn bytes(&self, name: &str) -> Option<Bytes> {
        match self.value(name)? {
            Value::Bytes(bytes) => Some(Bytes::from(bytes.clone())),
            value => panic!("{}: {name} is bytes, not {value:?}", self.place),
        }
    }

    fn number(&self, name: &str) -> u32 {
        match self.value(name) {
            Some(Value::Number(number)) => *number,
            None => 0,
            Some(value) => panic!("{}: {name} is a number, not {value:?}", self.place),
        }
    }

    fn flag(&self, name: &str) -> bool {
        match self.number(name) {
            0 => false,
            1 => true,
            number => panic!("{}: {name} is 0 or 1, not {number}", self.place),
        }
    }

    fn qos(&self, name: &str) -> QoS {
        self.level(self.number(name))
    }

    fn level(&self, number: u32) -> QoS {
        let level = u8::try_from(number).ok().and_then(QoS::from_bits);
        level.unwrap_or_else(|| panic!("{}: QoS {number}", self.place))
    }

    fn packet_id(&self) -> PacketId {
        let id = u16::try_from(self.number("id")).ok().and_then(PacketId::new);
        id.unwrap_or_else(|| panic!("{}: id is 1 to 65535", self.place))
    }

    fn reason(&self) -> ReasonCode {
        self.reasons().first().copied().unwrap_or(ReasonCode::Success)
    }

    fn reasons(&self) -> Vec<ReasonCode> {
        let numbers = self.fields.iter().filter_map(|field| match field {
            (name, Value::Number(number)) if name == "reason" => u8::try_from(*number).ok(),
            _ => None,
        });
        numbers.map(|byte| ReasonCode::from_byte(byte).expect("a reason code")).collect()
    }
}

/// What is left of a description.
struct Words<'a> {
    rest: &'a str,
    place: &'a str,
}

impl<'a> Words<'a> {
    fn field(&mut self) -> Option<(String, Value)> {
        self.rest = self.rest.trim_start();
        if self.rest.is_empty() {
            return None;
        }
        let name = self.until(|character| character == '=').to_owned();
        self.skip('=');
        let value = match self.rest.chars().next() {
            Some('"') => {
                let text = self.text();
                if self.rest.starts_with(':') {
                    self.skip(':');
                    Value::Pair(text, self.text())
                } else {
                    Value::Text(text)
                }
            }
            Some('<') => {
                self.skip('<');
                let inner = self.until(|character| character == '>');
                self.skip('>');
                Value::Bytes(super::bytes(inner, self.place))
            }
            _ => {
                let word = self.until(|character| character == ' ');
                let number = match word.strip_prefix("0x") {
                    Some(hex) => u32::from_str_radix(hex, 16),
                    None => word.parse(),
                };
                Value::Number(number.unwrap_or_else(|_| panic!("{}: {name}={word}", self.place)))
            }
        };
        Some((name, value))
    }

    /// A quoted text, and how many times.
    fn text(&mut self) -> String {
        self.skip('"');
        let mut text = String::new();
        loop {
            let character = self.next();
            text.push(match character {
                '"' => break,
                '\\' => match self.next() {
                    'u' => {
                        self.skip('{');
                        let hex = self.until(|character| character == '}');
                        self.skip('}');
                        let scalar = u32::from_str_radix(hex, 16).ok().and_then(char::from_u32);
                        scalar.unwrap_or_else(|| panic!("{}: \\u{{{hex}}} is no character", self.place))
                    }
                    escaped => escaped,
                },
                character => character,
            });
        }
        if self.rest.starts_with('*') {
            self.skip('*');
            let times = self.until(|character| !character.is_ascii_digit());
            text = text.repeat(super::number(times, self.place) as usize);
        }
        text
    }

    fn until(&mut self, end: impl Fn(char) -> bool) -> &'a str {
        let at = self.rest.find(end).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(at);
        self.rest = rest;
        word
    }

    fn skip(&mut self, expected: char) {
        let character = self.next();
        assert_eq!(character, expected, "{}: {expected} expected before {}", self.place, self.rest);
    }

    fn next(&mut self) -> char {
        let mut characters = self.rest.chars();
        let character = characters.next().unwrap_or_else(|| panic!("{}: ends too early", self.place));
        self.rest = characters.as_str();
        character
    }
}
