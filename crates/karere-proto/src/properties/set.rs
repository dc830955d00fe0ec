//! A validated, encoded set of properties.

use core::{fmt, time::Duration};

use bytes::Bytes;

use super::{Carrier, Kind, PropertyId, Value, check_text, check_value};
use crate::{
    codec::{Reader, SendBuf, varint, varint_len},
    error::{ProtocolError, Rule},
    text::{InvalidString, MAX_FIELD},
};

/// A set of properties, validated and still encoded.
///
/// Order is kept; User Properties may repeat (§3.3.2.3.7). Cheap to clone.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties(Bytes);

impl Properties {
    /// No properties.
    pub const fn new() -> Self {
        Self(Bytes::new())
    }

    /// Adds a property at the end; one that may stand only once replaces what was there.
    ///
    /// # Errors
    ///
    /// [`InvalidProperty`] when the value is of the wrong type or out of range; the set is left as it was.
    pub fn set(&mut self, id: PropertyId, value: Value<'_>) -> Result<(), InvalidProperty> {
        let mut encoded = if id == PropertyId::UserProperty {
            let mut encoded = Vec::with_capacity(self.0.len() + 16);
            encoded.extend_from_slice(&self.0);
            encoded
        } else {
            self.without(id)
        };
        encode_one(id, value, &mut encoded)?;
        self.0 = Bytes::from(encoded);
        Ok(())
    }

    /// Adds one more Subscription Identifier, as a server does for each subscription that matched (§3.3.2.3.8).
    ///
    /// # Errors
    ///
    /// [`InvalidProperty`] unless it is 1 to 268,435,455.
    pub fn add_subscription_identifier(&mut self, identifier: u32) -> Result<(), InvalidProperty> {
        let mut encoded = self.0.to_vec();
        encode_one(PropertyId::SubscriptionIdentifier, Value::U32(identifier), &mut encoded)?;
        self.0 = Bytes::from(encoded);
        Ok(())
    }

    /// Takes a property out, all of them if it is there more than once.
    pub fn remove(&mut self, id: PropertyId) {
        if self.get(id).is_some() {
            self.0 = Bytes::from(self.without(id));
        }
    }

    /// Checks that `carrier` may have each property, and each as often as it is there.
    ///
    /// # Errors
    ///
    /// [`InvalidProperty`] names the first that may not be there.
    pub fn check(&self, carrier: Carrier) -> Result<(), InvalidProperty> {
        let mut seen = 0u64;
        for (id, _) in self {
            if !id.allowed_in(carrier) {
                return Err(InvalidProperty::NotAllowed(id, carrier));
            }
            if seen & (1 << id as u8) != 0 && !id.repeatable_in(carrier) {
                return Err(InvalidProperty::Repeated(id));
            }
            seen |= 1 << id as u8;
        }
        Ok(())
    }

    /// The first value of a property.
    pub fn get(&self, id: PropertyId) -> Option<Value<'_>> {
        self.iter().find(|&(there, _)| there == id).map(|(_, value)| value)
    }

    /// All properties in order.
    pub fn iter(&self) -> Iter<'_> {
        Iter { rest: &self.0 }
    }

    /// True when there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The encoded set, without its length.
    pub const fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// A copy that shares nothing with the buffer it was received in.
    pub(crate) fn detached(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }

    /// Reads a set from its encoded form without length, as [`Properties::as_bytes`] gave it.
    ///
    /// # Errors
    ///
    /// [`Rule`] when it is no such set, or `carrier` may not have it.
    pub fn from_bytes(encoded: Bytes, carrier: Carrier) -> Result<Self, Rule> {
        validate(&encoded, carrier).map_err(|(_, rule)| rule)?;
        Ok(Self(encoded))
    }

    /// Bytes this set takes in a packet, its length included.
    pub(crate) const fn encoded_len(&self) -> usize {
        varint_len(self.0.len()) + self.0.len()
    }

    pub(crate) fn encode(&self, out: &mut SendBuf) {
        let (len, count) = varint(self.0.len());
        out.put_slice(&len[..count]);
        out.put_slice(&self.0);
    }

    pub(crate) fn decode(reader: &mut Reader, carrier: Carrier) -> Result<Self, ProtocolError> {
        let len = reader.varint()? as usize;
        if len == 0 {
            return Ok(Self::new());
        }
        let encoded = reader.take(len)?;
        match validate(&encoded, carrier) {
            Ok(()) => Ok(Self(encoded)),
            Err((offset, rule)) => Err(reader.error_within(len, offset, rule)),
        }
    }

    fn without(&self, id: PropertyId) -> Vec<u8> {
        let mut kept = Vec::with_capacity(self.0.len() + 16);
        let mut rest = self.0.as_ref();
        while let Some((there, _, after)) = read_one(rest) {
            if there != id {
                kept.extend_from_slice(&rest[..rest.len() - after.len()]);
            }
            rest = after;
        }
        kept
    }

    fn u32(&self, id: PropertyId) -> Option<u32> {
        match self.get(id) {
            Some(Value::U32(value)) => Some(value),
            _ => None,
        }
    }

    fn u16(&self, id: PropertyId) -> Option<u16> {
        match self.get(id) {
            Some(Value::U16(value)) => Some(value),
            _ => None,
        }
    }

    fn flag(&self, id: PropertyId) -> Option<bool> {
        match self.get(id) {
            Some(Value::Byte(value)) => Some(value == 1),
            _ => None,
        }
    }

    fn str(&self, id: PropertyId) -> Option<&str> {
        match self.get(id) {
            Some(Value::Str(value)) => Some(value),
            _ => None,
        }
    }

    fn bin(&self, id: PropertyId) -> Option<&[u8]> {
        match self.get(id) {
            Some(Value::Bin(value)) => Some(value),
            _ => None,
        }
    }
}

macro_rules! getters {
    ($($(#[$doc:meta])* $method:ident $get:ident $id:ident $type:ty;)*) => {
        impl Properties {
            $($(#[$doc])* pub fn $method(&self) -> Option<$type> {
                self.$get(PropertyId::$id)
            })*
        }
    };
}

getters! {
    /// Whether the payload is UTF-8 text (§3.3.2.3.2).
    payload_is_text flag PayloadFormatIndicator bool;
    /// MIME type or the like of the payload (§3.3.2.3.9).
    content_type str ContentType &str;
    /// Where to publish the response to a request (§3.3.2.3.5).
    response_topic str ResponseTopic &str;
    /// What tells the requester which request a response answers (§3.3.2.3.6).
    correlation_data bin CorrelationData &[u8];
    /// The first Subscription Identifier (§3.3.2.3.8).
    subscription_identifier u32 SubscriptionIdentifier u32;
    /// The client identifier the server made up (§3.2.2.3.7).
    assigned_client_identifier str AssignedClientIdentifier &str;
    /// The keep alive in force, in seconds (§3.2.2.3.14).
    server_keep_alive u16 ServerKeepAlive u16;
    /// The method of enhanced authentication (§3.1.2.11.9).
    authentication_method str AuthenticationMethod &str;
    /// The data of enhanced authentication (§3.1.2.11.10).
    authentication_data bin AuthenticationData &[u8];
    /// A base for response topics (§3.2.2.3.15).
    response_information str ResponseInformation &str;
    /// Servers to use instead (§4.11).
    server_reference str ServerReference &str;
    /// A text for people, not to be parsed (§3.2.2.3.9).
    reason_string str ReasonString &str;
    /// QoS 1 and 2 messages that may be unacknowledged at once (§3.1.2.11.3).
    receive_maximum u16 ReceiveMaximum u16;
    /// The highest topic alias that is accepted (§3.1.2.11.5).
    topic_alias_maximum u16 TopicAliasMaximum u16;
    /// The topic alias (§3.3.2.3.4).
    topic_alias u16 TopicAlias u16;
    /// Whether retained messages exist (§3.2.2.3.5).
    retain_available flag RetainAvailable bool;
    /// The largest packet that is accepted, in bytes (§3.1.2.11.4).
    maximum_packet_size u32 MaximumPacketSize u32;
    /// Whether filters may have wildcards (§3.2.2.3.11).
    wildcard_subscription_available flag WildcardSubscriptionAvailable bool;
    /// Whether SUBSCRIBE may carry a Subscription Identifier (§3.2.2.3.12).
    subscription_identifiers_available flag SubscriptionIdentifiersAvailable bool;
    /// Whether shared subscriptions exist (§3.2.2.3.13).
    shared_subscription_available flag SharedSubscriptionAvailable bool;
    /// Whether failures may be explained in other packets than CONNACK and DISCONNECT (§3.1.2.11.7).
    request_problem_information flag RequestProblemInformation bool;
    /// Whether Response Information is asked for (§3.1.2.11.6).
    request_response_information flag RequestResponseInformation bool;
    /// Session Expiry Interval in seconds; `u32::MAX` is never (§3.1.2.11.2).
    session_expiry_interval u32 SessionExpiryInterval u32;
}

impl Properties {
    /// The lifetime the message has left (§3.3.2.3.3).
    pub fn message_expiry(&self) -> Option<Duration> {
        self.u32(PropertyId::MessageExpiryInterval).map(|seconds| Duration::from_secs(u64::from(seconds)))
    }

    /// How long the server holds the will back (§3.1.3.2.2).
    pub fn will_delay(&self) -> Option<Duration> {
        self.u32(PropertyId::WillDelayInterval).map(|seconds| Duration::from_secs(u64::from(seconds)))
    }

    /// The highest QoS the server takes (§3.2.2.3.4).
    pub fn maximum_qos(&self) -> Option<crate::QoS> {
        match self.get(PropertyId::MaximumQoS) {
            Some(Value::Byte(level)) => crate::QoS::from_bits(level),
            _ => None,
        }
    }

    /// All Subscription Identifiers (§3.3.2.3.8).
    pub fn subscription_identifiers(&self) -> impl Iterator<Item = u32> {
        self.iter().filter_map(|property| match property {
            (PropertyId::SubscriptionIdentifier, Value::U32(identifier)) => Some(identifier),
            _ => None,
        })
    }

    /// All User Properties, name and value, in order (§3.3.2.3.7).
    pub fn user(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter().filter_map(|property| match property {
            (PropertyId::UserProperty, Value::Pair(name, value)) => Some((name, value)),
            _ => None,
        })
    }
}

impl<'a> IntoIterator for &'a Properties {
    type IntoIter = Iter<'a>;
    type Item = (PropertyId, Value<'a>);

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Goes through a set of properties in order.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Iter<'a> {
    type Item = (PropertyId, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (id, value, rest) = read_one(self.rest)?;
        self.rest = rest;
        Some((id, value))
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (id, value) in self {
            match value {
                // May be a secret or a payload: length only.
                Value::Bin(bytes) => map.entry(&id, &format_args!("{} bytes", bytes.len())),
                Value::Byte(value) => map.entry(&id, &value),
                Value::U16(value) => map.entry(&id, &value),
                Value::U32(value) => map.entry(&id, &value),
                Value::Str(value) => map.entry(&id, &value),
                Value::Pair(name, value) => map.entry(&id, &(name, value)),
            };
        }
        map.finish()
    }
}

/// Why a property cannot be set or sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidProperty {
    /// The packet may not carry it (§2.2.2.2).
    NotAllowed(PropertyId, Carrier),
    /// It may stand only once.
    Repeated(PropertyId),
    /// Its text is no string of MQTT.
    String(PropertyId, InvalidString),
    /// Its binary data has this many bytes; 65,535 is the limit.
    TooLong(PropertyId, usize),
    /// The value is of another type than the property's.
    Type(PropertyId),
    /// The value is out of range.
    Value(PropertyId),
}

impl fmt::Display for InvalidProperty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAllowed(id, carrier) => write!(f, "property {id} may not stand in {carrier} (§2.2.2.2)"),
            Self::Repeated(id) => write!(f, "property {id} may stand only once (§2.2.2.2)"),
            Self::String(id, why) => write!(f, "property {id} {why}"),
            Self::TooLong(id, length) => {
                write!(f, "property {id} is {length} bytes long; at most {MAX_FIELD} fit (§1.5.6)")
            }
            Self::Type(id) => write!(f, "property {id} is of another type (§2.2.2.2)"),
            Self::Value(id) => write!(f, "property {id} has a value out of its range"),
        }
    }
}

impl core::error::Error for InvalidProperty {}

fn encode_one(id: PropertyId, value: Value<'_>, out: &mut Vec<u8>) -> Result<(), InvalidProperty> {
    if !value.fits(id.kind()) {
        return Err(InvalidProperty::Type(id));
    }
    check_value(id, value).map_err(|_| InvalidProperty::Value(id))?;
    let text = |text| check_text(text).map_err(|why| InvalidProperty::String(id, why));
    match value {
        Value::Str(value) => text(value)?,
        Value::Pair(name, value) => {
            text(name)?;
            text(value)?;
        }
        Value::Bin(value) if value.len() > MAX_FIELD => return Err(InvalidProperty::TooLong(id, value.len())),
        Value::Bin(_) | Value::Byte(_) | Value::U16(_) | Value::U32(_) => {}
    }
    let field = |out: &mut Vec<u8>, bytes: &[u8]| {
        let len = u16::try_from(bytes.len()).expect("invariant: checked above");
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(bytes);
    };
    out.push(id as u8);
    match value {
        Value::Byte(value) => out.push(value),
        Value::U16(value) => out.extend_from_slice(&value.to_be_bytes()),
        Value::U32(value) if id.kind() == Kind::Var => {
            let (bytes, count) = varint(value as usize);
            out.extend_from_slice(&bytes[..count]);
        }
        Value::U32(value) => out.extend_from_slice(&value.to_be_bytes()),
        Value::Str(value) => field(out, value.as_bytes()),
        Value::Bin(value) => field(out, value),
        Value::Pair(name, value) => {
            field(out, name.as_bytes());
            field(out, value.as_bytes());
        }
    }
    Ok(())
}

/// Checks a whole encoded set; on failure says at which byte.
fn validate(encoded: &[u8], carrier: Carrier) -> Result<(), (usize, Rule)> {
    let mut seen = 0u64;
    let mut rest = encoded;
    while !rest.is_empty() {
        let at = encoded.len() - rest.len();
        let (id, value, after) = parse_one(rest).map_err(|rule| (at, rule))?;
        if !id.allowed_in(carrier) {
            return Err((at, Rule::PropertyNotAllowed));
        }
        if seen & (1 << id as u8) != 0 && !id.repeatable_in(carrier) {
            return Err((at, Rule::PropertyRepeated));
        }
        seen |= 1 << id as u8;
        check_value(id, value).map_err(|rule| (at, rule))?;
        rest = after;
    }
    Ok(())
}

/// The first property of a validated set, and what follows it.
fn read_one(encoded: &[u8]) -> Option<(PropertyId, Value<'_>, &[u8])> {
    if encoded.is_empty() { None } else { parse_one(encoded).ok() }
}

fn parse_one(encoded: &[u8]) -> Result<(PropertyId, Value<'_>, &[u8]), Rule> {
    // The identifier is a Variable Byte Integer, but all there are fit one byte; longer ones are unknown or padded.
    let (&byte, rest) = encoded.split_first().ok_or(Rule::Truncated)?;
    let id = PropertyId::from_byte(byte).ok_or(Rule::PropertyUnknown)?;
    let (value, rest) = match id.kind() {
        Kind::Byte => split::<1>(rest).map(|([byte], rest)| (Value::Byte(byte), rest))?,
        Kind::U16 => split::<2>(rest).map(|(bytes, rest)| (Value::U16(u16::from_be_bytes(bytes)), rest))?,
        Kind::U32 => split::<4>(rest).map(|(bytes, rest)| (Value::U32(u32::from_be_bytes(bytes)), rest))?,
        Kind::Var => {
            let mut value = 0;
            let mut at = 0;
            loop {
                let &byte = rest.get(at).ok_or(Rule::Truncated)?;
                value |= u32::from(byte & 0x7F) << (7 * at);
                at += 1;
                match byte {
                    0 if at > 1 => return Err(Rule::PaddedLength),
                    0..=0x7F => break (Value::U32(value), &rest[at..]),
                    _ if at == 4 => return Err(Rule::RemainingLength),
                    _ => {}
                }
            }
        }
        Kind::Str => string(rest).map(|(text, rest)| (Value::Str(text), rest))?,
        Kind::Bin => field(rest).map(|(bytes, rest)| (Value::Bin(bytes), rest))?,
        Kind::Pair => {
            let (name, rest) = string(rest)?;
            let (value, rest) = string(rest)?;
            (Value::Pair(name, value), rest)
        }
    };
    Ok((id, value, rest))
}

fn split<const N: usize>(bytes: &[u8]) -> Result<([u8; N], &[u8]), Rule> {
    bytes.split_first_chunk::<N>().map(|(head, rest)| (*head, rest)).ok_or(Rule::Truncated)
}

fn field(bytes: &[u8]) -> Result<(&[u8], &[u8]), Rule> {
    let (len, rest) = split::<2>(bytes)?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(len))).ok_or(Rule::Truncated)
}

fn string(bytes: &[u8]) -> Result<(&str, &[u8]), Rule> {
    let (text, rest) = field(bytes)?;
    let text = core::str::from_utf8(text).map_err(|_| Rule::Utf8)?;
    if text.as_bytes().contains(&0) { Err(Rule::NulCharacter) } else { Ok((text, rest)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::PacketType;

    const PUBLISH: Carrier = Carrier::Packet(PacketType::Publish);
    const CONNACK: Carrier = Carrier::Packet(PacketType::ConnAck);

    fn broken(encoded: &'static [u8], carrier: Carrier) -> Rule {
        Properties::from_bytes(Bytes::from_static(encoded), carrier).expect_err("illegal")
    }

    #[test]
    fn user_properties_repeat_and_keep_their_order() {
        let mut properties = Properties::new();
        for (name, value) in [("a", "1"), ("b", "2"), ("a", "1")] {
            properties.set(PropertyId::UserProperty, Value::Pair(name, value)).expect("legal");
        }
        assert_eq!(properties.user().collect::<Vec<_>>(), [("a", "1"), ("b", "2"), ("a", "1")]);
        assert_eq!(properties.check(PUBLISH), Ok(()));
    }

    #[test]
    fn a_single_use_property_set_again_is_replaced() {
        let mut properties = Properties::new();
        properties.set(PropertyId::ContentType, Value::Str("a")).expect("legal");
        properties.set(PropertyId::MessageExpiryInterval, Value::U32(7)).expect("legal");
        properties.set(PropertyId::ContentType, Value::Str("b")).expect("legal");
        assert_eq!(properties.content_type(), Some("b"));
        assert_eq!(properties.iter().count(), 2);
        properties.remove(PropertyId::ContentType);
        assert_eq!(properties.content_type(), None);
        assert_eq!(properties.message_expiry(), Some(Duration::from_secs(7)));
    }

    #[test]
    fn illegal_sets_are_refused_with_their_rule() {
        assert_eq!(broken(&[0x7F, 0], PUBLISH), Rule::PropertyUnknown);
        assert_eq!(broken(&[0x21, 0, 1], PUBLISH), Rule::PropertyNotAllowed);
        assert_eq!(broken(&[0x01, 1, 0x01, 1], PUBLISH), Rule::PropertyRepeated);
        assert_eq!(broken(&[0x01, 2], PUBLISH), Rule::PropertyValue);
        assert_eq!(broken(&[0x23, 0, 0], PUBLISH), Rule::TopicAliasRange);
        assert_eq!(broken(&[0x0B, 0], PUBLISH), Rule::PropertyValue);
        assert_eq!(broken(&[0x21, 0, 0], CONNACK), Rule::PropertyValue);
        assert_eq!(broken(&[0x27, 0, 0, 0, 0], CONNACK), Rule::PropertyValue);
        assert_eq!(broken(&[0x24, 2], CONNACK), Rule::PropertyValue);
        assert_eq!(broken(&[0x03, 0, 5, b'a'], PUBLISH), Rule::Truncated);
        assert_eq!(broken(&[0x03, 0, 1, 0], PUBLISH), Rule::NulCharacter);
        assert_eq!(broken(&[0x26, 0, 1, 0xFF, 0, 0], PUBLISH), Rule::Utf8);
        assert_eq!(broken(&[0x08, 0, 1, b'#'], PUBLISH), Rule::PropertyValue);
        assert_eq!(broken(&[0x0B, 0x80, 0x00], PUBLISH), Rule::PaddedLength);
    }

    #[test]
    fn several_subscription_identifiers_are_legal_in_publish_only() {
        let two = Bytes::from_static(&[0x0B, 1, 0x0B, 1]);
        let properties = Properties::from_bytes(two.clone(), PUBLISH).expect("legal");
        assert_eq!(properties.subscription_identifiers().collect::<Vec<_>>(), [1, 1]);
        let subscribe = Carrier::Packet(PacketType::Subscribe);
        assert_eq!(Properties::from_bytes(two, subscribe), Err(Rule::PropertyRepeated));
    }

    #[test]
    fn values_out_of_range_cannot_be_set() {
        let mut properties = Properties::new();
        for (id, value) in [
            (PropertyId::ReceiveMaximum, Value::U16(0)),
            (PropertyId::PayloadFormatIndicator, Value::Byte(2)),
            (PropertyId::SubscriptionIdentifier, Value::U32(268_435_456)),
            (PropertyId::ResponseTopic, Value::Str("a/#")),
            (PropertyId::TopicAlias, Value::U16(0)),
        ] {
            assert_eq!(properties.set(id, value), Err(InvalidProperty::Value(id)));
        }
        let mistyped = properties.set(PropertyId::ContentType, Value::U16(1));
        assert_eq!(mistyped, Err(InvalidProperty::Type(PropertyId::ContentType)));
        assert!(properties.is_empty());
    }
}
