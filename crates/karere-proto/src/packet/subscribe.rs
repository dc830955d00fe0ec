//! SUBSCRIBE, UNSUBSCRIBE and their acknowledgements (§3.8 to §3.11).

use super::{Context, Encode, PacketType, properties_len, put_field, put_id, put_properties};
use crate::{
    codec::{Reader, SendBuf},
    error::{ProtocolError, Rule},
    id::PacketId,
    properties::Properties,
    qos::QoS,
    reason::ReasonCode,
    topic::{Filter, InvalidFilter},
    version::WireRules,
};

/// When the server sends retained messages for a subscription (§3.8.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "complete: 3 is forbidden")]
pub enum RetainHandling {
    /// At every SUBSCRIBE.
    #[default]
    Send = 0,
    /// Only if the subscription did not exist.
    SendIfNew = 1,
    /// Never.
    DoNotSend = 2,
}

/// How a subscription is served (§3.8.3.1). All but the QoS needs 5.0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct SubscribeOptions {
    /// The highest QoS at which messages come.
    pub qos: QoS,
    /// Do not send back what this client published.
    pub no_local: bool,
    /// Keep RETAIN as it was published.
    pub retain_as_published: bool,
    /// When retained messages are sent.
    pub retain_handling: RetainHandling,
}

impl SubscribeOptions {
    /// Options with this highest QoS and nothing else.
    pub const fn new(qos: QoS) -> Self {
        Self { qos, no_local: false, retain_as_published: false, retain_handling: RetainHandling::Send }
    }

    /// Do not send back what this client published (5.0).
    #[must_use]
    pub const fn no_local(mut self) -> Self {
        self.no_local = true;
        self
    }

    /// Keep RETAIN as it was published (5.0).
    #[must_use]
    pub const fn retain_as_published(mut self) -> Self {
        self.retain_as_published = true;
        self
    }

    /// When retained messages are sent (5.0).
    #[must_use]
    pub const fn retain_handling(mut self, handling: RetainHandling) -> Self {
        self.retain_handling = handling;
        self
    }

    /// True when 3.1 and 3.1.1 can say the same.
    pub const fn qos_only(self) -> bool {
        !self.no_local && !self.retain_as_published && matches!(self.retain_handling, RetainHandling::Send)
    }

    /// The options byte (§3.8.3.1).
    pub const fn as_byte(self) -> u8 {
        self.qos.level()
            | (self.no_local as u8) << 2
            | (self.retain_as_published as u8) << 3
            | (self.retain_handling as u8) << 4
    }

    /// Reads an options byte; a reserved bit or value is an error.
    ///
    /// # Errors
    ///
    /// The rule that was broken.
    pub const fn from_byte(byte: u8) -> Result<Self, Rule> {
        let (Some(qos), true) = (QoS::from_bits(byte & 0b11), byte & 0b1100_0000 == 0) else {
            return Err(Rule::SubscribeOptions);
        };
        let retain_handling = match byte >> 4 & 0b11 {
            0 => RetainHandling::Send,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DoNotSend,
            _ => return Err(Rule::SubscribeOptions),
        };
        Ok(Self { qos, no_local: byte & 0b100 != 0, retain_as_published: byte & 0b1000 != 0, retain_handling })
    }
}

impl From<QoS> for SubscribeOptions {
    fn from(qos: QoS) -> Self {
        Self::new(qos)
    }
}

/// One filter of a SUBSCRIBE with its options.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Subscription {
    /// What is subscribed to.
    pub filter: Filter,
    /// How it is served.
    pub options: SubscribeOptions,
}

impl Subscription {
    /// A filter with its options, or with its highest QoS alone.
    pub fn new(filter: Filter, options: impl Into<SubscribeOptions>) -> Self {
        Self { filter, options: options.into() }
    }
}

/// A request for messages: one or more filters (§3.8).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Subscribe {
    /// At least one [MQTT-3.8.3-2]; the same filter twice is legal, the last one holds.
    pub subscriptions: Vec<Subscription>,
    /// MQTT 5 properties.
    pub properties: Properties,
}

impl Subscribe {
    /// One filter.
    ///
    /// # Errors
    ///
    /// [`InvalidFilter`] says what is wrong with it.
    pub fn new<F>(filter: F, options: impl Into<SubscribeOptions>) -> Result<Self, InvalidFilter>
    where
        F: TryInto<Filter>,
        F::Error: Into<InvalidFilter>,
    {
        Ok(Self::many([Subscription::new(filter.try_into().map_err(Into::into)?, options)]))
    }

    /// Any number of filters; none is refused when it is sent.
    pub fn many(subscriptions: impl IntoIterator<Item = Subscription>) -> Self {
        Self { subscriptions: subscriptions.into_iter().collect(), properties: Properties::new() }
    }

    /// Adds a filter.
    ///
    /// # Errors
    ///
    /// [`InvalidFilter`] says what is wrong with it.
    pub fn and<F>(mut self, filter: F, options: impl Into<SubscribeOptions>) -> Result<Self, InvalidFilter>
    where
        F: TryInto<Filter>,
        F::Error: Into<InvalidFilter>,
    {
        self.subscriptions.push(Subscription::new(filter.try_into().map_err(Into::into)?, options));
        Ok(self)
    }

    /// Sets the properties (5.0).
    #[must_use]
    pub fn properties(mut self, properties: Properties) -> Self {
        self.properties = properties;
        self
    }

    pub(super) fn decode(reader: &mut Reader, context: Context<'_>) -> Result<(PacketId, Self), ProtocolError> {
        let id = reader.packet_id()?;
        let properties = context.properties(reader)?;
        let mut subscriptions = Vec::new();
        while reader.remaining() > 0 {
            let filter = filter(reader)?;
            let byte = reader.u8()?;
            if !context.rules.subscribe_options && byte & !0b11 != 0 {
                return Err(reader.error(Rule::SubscribeOptions));
            }
            let options = SubscribeOptions::from_byte(byte).map_err(|rule| reader.error(rule))?;
            if options.no_local && filter.share().is_some() {
                return Err(reader.error(Rule::NoLocalShared));
            }
            subscriptions.push(Subscription { filter, options });
        }
        if subscriptions.is_empty() {
            return Err(reader.error(Rule::SubscribeEmpty));
        }
        Ok((id, Self { subscriptions, properties }))
    }
}

impl Encode for (PacketId, &Subscribe) {
    fn first_byte(&self) -> u8 {
        PacketType::Subscribe.first_byte()
    }

    fn body_len(&self, rules: &WireRules) -> usize {
        let filters = self.1.subscriptions.iter().map(|subscription| 2 + subscription.filter.as_bytes().len() + 1);
        2 + properties_len(&self.1.properties, rules) + filters.sum::<usize>()
    }

    fn encode_body(&self, rules: &WireRules, out: &mut SendBuf) {
        put_id(self.0, out);
        put_properties(&self.1.properties, rules, out);
        for Subscription { filter, options } in &self.1.subscriptions {
            put_field(filter.as_bytes(), out);
            let mask = if rules.subscribe_options { 0xFF } else { 0b11 };
            out.put_slice(&[options.as_byte() & mask]);
        }
    }
}

/// The answer to a SUBSCRIBE: one code for each filter, in order [MQTT-3.9.3-1].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubAck {
    /// The granted QoS, or why not.
    pub reasons: Vec<ReasonCode>,
    /// MQTT 5 properties.
    pub properties: Properties,
}

impl SubAck {
    /// An answer without properties.
    pub const fn new(reasons: Vec<ReasonCode>) -> Self {
        Self { reasons, properties: Properties::new() }
    }

    pub(super) fn decode(reader: &mut Reader, context: Context<'_>) -> Result<(PacketId, Self), ProtocolError> {
        let id = reader.packet_id()?;
        let properties = context.properties(reader)?;
        let mut reasons = Vec::with_capacity(reader.remaining());
        while reader.remaining() > 0 {
            let reason = context.reason(reader)?;
            // v3: 0x80 is the one failure, and 3.1 has none [MQTT-3.9.3-2].
            let known = context.rules.ack_reasons
                || !reason.is_failure()
                || context.rules.suback_failure && reason == ReasonCode::UnspecifiedError;
            if !known {
                return Err(reader.error(Rule::ReasonCodeNotAllowed));
            }
            reasons.push(reason);
        }
        if reasons.is_empty() {
            return Err(reader.error(Rule::Truncated));
        }
        Ok((id, Self { reasons, properties }))
    }
}

impl Encode for (PacketId, &SubAck) {
    fn first_byte(&self) -> u8 {
        PacketType::SubAck.first_byte()
    }

    fn body_len(&self, rules: &WireRules) -> usize {
        2 + properties_len(&self.1.properties, rules) + self.1.reasons.len()
    }

    fn encode_body(&self, rules: &WireRules, out: &mut SendBuf) {
        put_id(self.0, out);
        put_properties(&self.1.properties, rules, out);
        for reason in &self.1.reasons {
            let reason = if reason.is_failure() && !rules.ack_reasons { ReasonCode::UnspecifiedError } else { *reason };
            out.put_slice(&[reason.as_byte()]);
        }
    }
}

/// A request to end subscriptions (§3.10).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unsubscribe {
    /// At least one [MQTT-3.10.3-2], each written exactly as it was subscribed [MQTT-3.10.4-1].
    pub filters: Vec<Filter>,
    /// MQTT 5 properties.
    pub properties: Properties,
}

impl Unsubscribe {
    /// One filter.
    ///
    /// # Errors
    ///
    /// [`InvalidFilter`] says what is wrong with it.
    pub fn new<F>(filter: F) -> Result<Self, InvalidFilter>
    where
        F: TryInto<Filter>,
        F::Error: Into<InvalidFilter>,
    {
        Ok(Self::many([filter.try_into().map_err(Into::into)?]))
    }

    /// Any number of filters; none is refused when it is sent.
    pub fn many(filters: impl IntoIterator<Item = Filter>) -> Self {
        Self { filters: filters.into_iter().collect(), properties: Properties::new() }
    }

    /// Sets the properties (5.0).
    #[must_use]
    pub fn properties(mut self, properties: Properties) -> Self {
        self.properties = properties;
        self
    }

    pub(super) fn decode(reader: &mut Reader, context: Context<'_>) -> Result<(PacketId, Self), ProtocolError> {
        let id = reader.packet_id()?;
        let properties = context.properties(reader)?;
        let mut filters = Vec::new();
        while reader.remaining() > 0 {
            filters.push(filter(reader)?);
        }
        if filters.is_empty() {
            return Err(reader.error(Rule::UnsubscribeEmpty));
        }
        Ok((id, Self { filters, properties }))
    }
}

impl Encode for (PacketId, &Unsubscribe) {
    fn first_byte(&self) -> u8 {
        PacketType::Unsubscribe.first_byte()
    }

    fn body_len(&self, rules: &WireRules) -> usize {
        let filters = self.1.filters.iter().map(|filter| 2 + filter.as_bytes().len());
        2 + properties_len(&self.1.properties, rules) + filters.sum::<usize>()
    }

    fn encode_body(&self, rules: &WireRules, out: &mut SendBuf) {
        put_id(self.0, out);
        put_properties(&self.1.properties, rules, out);
        for filter in &self.1.filters {
            put_field(filter.as_bytes(), out);
        }
    }
}

/// The answer to an UNSUBSCRIBE (§3.11).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnsubAck {
    /// One code for each filter, in order; empty on 3.1 and 3.1.1, which have none.
    pub reasons: Vec<ReasonCode>,
    /// MQTT 5 properties.
    pub properties: Properties,
}

impl UnsubAck {
    /// An answer without properties.
    pub const fn new(reasons: Vec<ReasonCode>) -> Self {
        Self { reasons, properties: Properties::new() }
    }

    pub(super) fn decode(reader: &mut Reader, context: Context<'_>) -> Result<(PacketId, Self), ProtocolError> {
        let id = reader.packet_id()?;
        let mut ack = Self::new(Vec::new());
        if context.rules.ack_reasons {
            ack.properties = context.properties(reader)?;
            while reader.remaining() > 0 {
                ack.reasons.push(context.reason(reader)?);
            }
            if ack.reasons.is_empty() {
                return Err(reader.error(Rule::Truncated));
            }
        }
        Ok((id, ack))
    }
}

impl Encode for (PacketId, &UnsubAck) {
    fn first_byte(&self) -> u8 {
        PacketType::UnsubAck.first_byte()
    }

    fn body_len(&self, rules: &WireRules) -> usize {
        let reasons = if rules.ack_reasons { self.1.reasons.len() } else { 0 };
        2 + properties_len(&self.1.properties, rules) + reasons
    }

    fn encode_body(&self, rules: &WireRules, out: &mut SendBuf) {
        put_id(self.0, out);
        put_properties(&self.1.properties, rules, out);
        if rules.ack_reasons {
            for reason in &self.1.reasons {
                out.put_slice(&[reason.as_byte()]);
            }
        }
    }
}

fn filter(reader: &mut Reader) -> Result<Filter, ProtocolError> {
    let bytes = reader.binary()?;
    Filter::from_bytes(bytes).map_err(|why| {
        reader.error(match why {
            InvalidFilter::String(why) => Reader::string_rule(why),
            InvalidFilter::Empty
            | InvalidFilter::HashInLevel
            | InvalidFilter::HashNotLast
            | InvalidFilter::PlusInLevel
            | InvalidFilter::Share => Rule::FilterInvalid,
        })
    })
}
