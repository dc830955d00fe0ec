//! PUBLISH: the message, and what surrounds it on the wire (§3.3).

use core::{fmt, time::Duration};

use bytes::Bytes;

use super::{Context, Encode, PacketType, Side, put_field, put_id};
use crate::{
    codec::{Reader, SendBuf, varint, varint_len},
    error::{ProtocolError, Rule},
    id::PacketId,
    properties::{InvalidProperty, Properties, PropertyId, Value},
    qos::QoS,
    topic::{InvalidTopic, Topic},
    version::WireRules,
};

/// An application message (§3.3).
///
/// Cheap to clone: topic, payload and properties are shared. What 3.1 and 3.1.1 cannot carry is refused when such a
/// message is published there.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Publish {
    /// Where the message goes.
    pub topic: Topic,
    /// Any bytes, none included.
    pub payload: Bytes,
    /// How often it may arrive.
    pub qos: QoS,
    /// Whether the server keeps it for later subscribers (§3.3.1.3).
    pub retain: bool,
    /// MQTT 5 properties; empty on older versions.
    pub properties: Properties,
}

impl Publish {
    /// A QoS 0 message, not retained.
    ///
    /// # Errors
    ///
    /// [`InvalidTopic`] when `topic` is empty, too long or has a wildcard in it.
    pub fn new<T>(topic: T, payload: impl Into<Payload>) -> Result<Self, InvalidTopic>
    where
        T: TryInto<Topic>,
        T::Error: Into<InvalidTopic>,
    {
        Ok(Self {
            topic: topic.try_into().map_err(Into::into)?,
            payload: payload.into().0,
            qos: QoS::AtMostOnce,
            retain: false,
            properties: Properties::new(),
        })
    }

    /// Sets the quality of service.
    #[must_use]
    pub const fn qos(mut self, qos: QoS) -> Self {
        self.qos = qos;
        self
    }

    /// Makes it the retained message of its topic; with an empty payload it clears the one that is (§3.3.1.3).
    #[must_use]
    pub const fn retained(mut self) -> Self {
        self.retain = true;
        self
    }

    /// Sets all properties at once (5.0).
    #[must_use]
    pub fn properties(mut self, properties: Properties) -> Self {
        self.properties = properties;
        self
    }

    /// Sets one property, or adds a User Property (5.0).
    ///
    /// # Errors
    ///
    /// [`InvalidProperty`] when the value is of the wrong type or out of range.
    pub fn property(mut self, id: PropertyId, value: Value<'_>) -> Result<Self, InvalidProperty> {
        self.properties.set(id, value)?;
        Ok(self)
    }

    /// Lets the message expire (5.0, §3.3.2.3.3). Whole seconds, rounded up; more than 136 years is never.
    #[must_use]
    pub fn message_expiry(mut self, lifetime: Duration) -> Self {
        let seconds = lifetime.as_secs().saturating_add(u64::from(lifetime.subsec_nanos() > 0));
        match u32::try_from(seconds) {
            Ok(seconds) => self
                .properties
                .set(PropertyId::MessageExpiryInterval, Value::U32(seconds))
                .expect("invariant: any number of seconds is legal"),
            Err(_) => self.properties.remove(PropertyId::MessageExpiryInterval),
        }
        self
    }

    /// A copy that shares nothing with the buffer the message was received in.
    ///
    /// A received message is a slice of the buffer it was read into, and keeps all of it in memory. Whoever keeps small
    /// messages for long keeps these instead.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self {
            topic: Topic::from_bytes(Bytes::copy_from_slice(self.topic.as_bytes())).expect("invariant: was a topic"),
            payload: Bytes::copy_from_slice(&self.payload),
            properties: self.properties.detached(),
            ..*self
        }
    }
}

impl fmt::Debug for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish")
            .field("topic", &self.topic)
            .field("payload", &format_args!("{} bytes", self.payload.len()))
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .field("properties", &self.properties)
            .finish()
    }
}

/// What can be a payload: nothing, text, bytes, or a number, which travels as its text.
#[derive(Clone, Default)]
pub struct Payload(pub(crate) Bytes);

impl From<()> for Payload {
    fn from((): ()) -> Self {
        Self::default()
    }
}

impl<T: Into<Self>> From<Option<T>> for Payload {
    fn from(payload: Option<T>) -> Self {
        payload.map_or_else(Self::default, Into::into)
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

macro_rules! payload_from {
    (owned: $($owned:ty),*; borrowed: $($borrowed:ty),*; number: $($number:ty),*) => {
        $(impl From<$owned> for Payload {
            fn from(owned: $owned) -> Self {
                Self(Bytes::from(owned))
            }
        })*
        $(impl From<$borrowed> for Payload {
            fn from(borrowed: $borrowed) -> Self {
                let bytes: &[u8] = borrowed.as_ref();
                Self(Bytes::copy_from_slice(bytes))
            }
        })*
        $(impl From<$number> for Payload {
            fn from(number: $number) -> Self {
                Self(Bytes::from(number.to_string()))
            }
        })*
    };
}

payload_from! {
    owned: String, Vec<u8>, Box<[u8]>;
    borrowed: &str, &[u8], &String, &Vec<u8>;
    number: i8, i16, i32, i64, i128, isize, u8, u16, u32, u64, u128, usize, f32, f64, bool
}

impl<const N: usize> From<&[u8; N]> for Payload {
    fn from(bytes: &[u8; N]) -> Self {
        Self(Bytes::copy_from_slice(bytes))
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.0.len())
    }
}

/// Whether a packet is sent for the first time (§3.3.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete: DUP is one bit")]
pub enum Attempt {
    /// DUP 0.
    First,
    /// DUP 1: it may have been sent before [MQTT-3.3.1-1].
    Again,
}

/// How a PUBLISH names its topic (§3.3.2.3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete for §3.3.2.3.4")]
pub enum Alias {
    /// By its name.
    None,
    /// By its name, which from now on has this alias.
    Set(u16),
    /// By its alias alone.
    Use(u16),
}

/// A PUBLISH packet as it travels (§3.3).
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PublishPacket {
    /// The topic; `None` when only an alias names it.
    pub topic: Option<Topic>,
    /// The payload.
    pub payload: Bytes,
    /// The quality of service.
    pub qos: QoS,
    /// RETAIN (§3.3.1.3).
    pub retain: bool,
    /// DUP (§3.3.1.1).
    pub attempt: Attempt,
    /// There is one exactly when QoS is above 0 [MQTT-2.2.1-2].
    pub id: Option<PacketId>,
    /// Properties, Topic Alias included.
    pub properties: Properties,
}

impl PublishPacket {
    /// `publish` on its way; `id` exactly when its QoS is above 0.
    pub fn new(publish: Publish, id: Option<PacketId>, attempt: Attempt) -> Self {
        let Publish { topic, payload, qos, retain, properties } = publish;
        Self { topic: Some(topic), payload, qos, retain, attempt, id, properties }
    }

    /// The message, once its topic is known. Topic Alias is taken out: it means nothing outside its connection.
    pub fn into_publish(self, topic: Topic) -> Publish {
        let Self { payload, qos, retain, mut properties, .. } = self;
        if !properties.is_empty() {
            properties.remove(PropertyId::TopicAlias);
        }
        Publish { topic, payload, qos, retain, properties }
    }

    #[inline]
    pub(super) fn decode(flags: u8, mut reader: Reader, context: Context<'_>) -> Result<Self, ProtocolError> {
        let qos = QoS::from_bits(flags >> 1 & 0b11).ok_or_else(|| reader.error(Rule::QoSBits))?;
        let attempt = if flags & 0b1000 == 0 { Attempt::First } else { Attempt::Again };
        if qos == QoS::AtMostOnce && attempt == Attempt::Again {
            return Err(reader.error(Rule::DupWithoutQoS));
        }
        let topic = reader.binary()?;
        let topic = if topic.is_empty() {
            None
        } else {
            Some(Topic::from_bytes(topic).map_err(|why| reader.error(topic_rule(why)))?)
        };
        let id = if qos == QoS::AtMostOnce { None } else { Some(reader.packet_id()?) };
        let properties = context.properties(&mut reader)?;
        if !properties.is_empty() && context.sender == Side::Client && properties.subscription_identifier().is_some() {
            return Err(reader.error(Rule::SubscriptionIdFromClient));
        }
        if topic.is_none() && properties.topic_alias().is_none() {
            return Err(reader.error(Rule::TopicEmpty));
        }
        let payload = reader.rest();
        Ok(Self { topic, payload, qos, retain: flags & 1 == 1, attempt, id, properties })
    }
}

impl fmt::Debug for PublishPacket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishPacket")
            .field("topic", &self.topic)
            .field("payload", &format_args!("{} bytes", self.payload.len()))
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .field("attempt", &self.attempt)
            .field("id", &self.id)
            .field("properties", &self.properties)
            .finish()
    }
}

pub(super) fn topic_rule(why: InvalidTopic) -> Rule {
    match why {
        InvalidTopic::Empty => Rule::TopicEmpty,
        InvalidTopic::Wildcard => Rule::TopicWildcard,
        InvalidTopic::String(why) => Reader::string_rule(why),
    }
}

/// A message about to be written, borrowed from whoever keeps it.
pub(crate) struct Outgoing<'a> {
    pub(crate) publish: &'a Publish,
    pub(crate) id: Option<PacketId>,
    pub(crate) attempt: Attempt,
    pub(crate) alias: Alias,
}

impl Encode for Outgoing<'_> {
    fn first_byte(&self) -> u8 {
        let Publish { qos, retain, .. } = self.publish;
        first_byte(*qos, *retain, self.attempt)
    }

    fn body_len(&self, rules: &WireRules) -> usize {
        let topic = if matches!(self.alias, Alias::Use(_)) { 0 } else { self.publish.topic.as_bytes().len() };
        let id = if self.id.is_some() { 2 } else { 0 };
        let properties = if rules.properties {
            let len = self.properties_len();
            varint_len(len) + len
        } else {
            0
        };
        2 + topic + id + properties + self.publish.payload.len()
    }

    fn encode_body(&self, rules: &WireRules, out: &mut SendBuf) {
        let topic: &[u8] = if matches!(self.alias, Alias::Use(_)) { &[] } else { self.publish.topic.as_bytes() };
        put_field(topic, out);
        if let Some(id) = self.id {
            put_id(id, out);
        }
        if rules.properties {
            let (len, count) = varint(self.properties_len());
            out.put_slice(&len[..count]);
            if let Alias::Set(alias) | Alias::Use(alias) = self.alias {
                let [high, low] = alias.to_be_bytes();
                out.put_slice(&[PropertyId::TopicAlias as u8, high, low]);
            }
            out.put_slice(self.publish.properties.as_bytes());
        }
        out.put_bytes(&self.publish.payload);
    }
}

impl Outgoing<'_> {
    const fn properties_len(&self) -> usize {
        let alias = if matches!(self.alias, Alias::None) { 0 } else { 3 };
        alias + self.publish.properties.as_bytes().len()
    }
}

impl Encode for PublishPacket {
    fn first_byte(&self) -> u8 {
        first_byte(self.qos, self.retain, self.attempt)
    }

    fn body_len(&self, rules: &WireRules) -> usize {
        let topic = self.topic.as_ref().map_or(0, |topic| topic.as_bytes().len());
        let id = if self.id.is_some() { 2 } else { 0 };
        2 + topic + id + super::properties_len(&self.properties, rules) + self.payload.len()
    }

    fn encode_body(&self, rules: &WireRules, out: &mut SendBuf) {
        put_field(self.topic.as_ref().map_or(&[][..], |topic| topic.as_bytes()), out);
        if let Some(id) = self.id {
            put_id(id, out);
        }
        super::put_properties(&self.properties, rules, out);
        out.put_bytes(&self.payload);
    }
}

fn first_byte(qos: QoS, retain: bool, attempt: Attempt) -> u8 {
    let dup = u8::from(attempt == Attempt::Again) << 3;
    (PacketType::Publish as u8) << 4 | dup | qos.level() << 1 | u8::from(retain)
}
