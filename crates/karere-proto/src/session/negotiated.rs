//! What both ends agreed on: CONNECT and CONNACK together, with each version's defaults filled in.
//!
//! This is the second of the two places where versions differ. Session code asks [`Negotiated`], never the version.

use core::time::Duration;

use super::{
    config::Config,
    error::{PublishError, SubscribeError},
};
use crate::{
    packet::{
        Alias, Attempt, ConnAck, MAX_PACKET, PacketType, Publish, Subscribe, Unsubscribe, publish::Outgoing, size,
    },
    properties::{Carrier, PropertyId},
    qos::QoS,
    version::{Version, WireRules},
};

/// What is in force on a connection; before CONNACK, what the version alone allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Negotiated {
    /// The version spoken.
    pub version: Version,
    /// QoS 1 and 2 messages the server takes unacknowledged (§3.2.2.3.3).
    pub receive_maximum: u16,
    /// The largest packet the server takes, in bytes (§3.2.2.3.6).
    pub maximum_packet_size: u32,
    /// The highest QoS the server takes (§3.2.2.3.4).
    pub maximum_qos: QoS,
    /// Whether the server keeps retained messages (§3.2.2.3.5).
    pub retain_available: bool,
    /// Whether filters may have wildcards (§3.2.2.3.11).
    pub wildcard_subscription_available: bool,
    /// Whether SUBSCRIBE may carry a Subscription Identifier (§3.2.2.3.12).
    pub subscription_identifiers_available: bool,
    /// Whether shared subscriptions are served (§3.2.2.3.13). 3.1 and 3.1.1 cannot tell: true.
    pub shared_subscription_available: bool,
    /// The highest topic alias the server takes; 0 is none (§3.2.2.3.8).
    pub topic_alias_maximum: u16,
    /// Keep alive in force; zero is off (§3.2.2.3.14).
    pub keep_alive: Duration,
    /// Seconds the session outlives its connection; `u32::MAX` is never (§3.2.2.3.2).
    pub session_expiry: u32,
    /// Whether an unexpected Session Present ends the connection [MQTT-3.2.2-4]; 3.1.1 leaves it to the client.
    pub strict_session_present: bool,
    /// Whether CONNACK tells if a session is present at all (not in 3.1).
    pub tells_session_present: bool,
    /// Whether this client may send DISCONNECT with a reason when it closes.
    pub says_why: bool,
    /// The largest packet this client takes.
    pub own_maximum_packet_size: u32,
    /// QoS 1 and 2 messages this client takes unacknowledged.
    pub own_receive_maximum: u16,
    /// The highest topic alias this client takes.
    pub own_topic_alias_maximum: u16,
}

impl Negotiated {
    /// What is known before CONNACK: own limits, and the most the version allows for the server's.
    pub(super) fn before_connack(config: &Config) -> Self {
        let connect = &config.connect;
        let v5 = connect.version >= Version::V5;
        Self {
            version: connect.version,
            receive_maximum: u16::MAX,
            maximum_packet_size: MAX_PACKET,
            maximum_qos: QoS::ExactlyOnce,
            retain_available: true,
            wildcard_subscription_available: true,
            subscription_identifiers_available: true,
            shared_subscription_available: true,
            topic_alias_maximum: 0,
            keep_alive: Duration::from_secs(u64::from(connect.keep_alive)),
            session_expiry: config.session_expiry.seconds(),
            strict_session_present: v5,
            tells_session_present: connect.version >= Version::V311,
            says_why: v5,
            own_maximum_packet_size: connect.properties.maximum_packet_size().unwrap_or(u32::MAX),
            own_receive_maximum: connect.properties.receive_maximum().unwrap_or(u16::MAX),
            own_topic_alias_maximum: connect.properties.topic_alias_maximum().unwrap_or(0),
        }
    }

    /// What is in force after `ack`, where this was known before. Only this CONNACK counts; nothing of an earlier
    /// connection does, nor what was configured since CONNECT.
    pub(super) fn after_connack(&self, ack: &ConnAck) -> Self {
        let own = *self;
        let server = &ack.properties;
        Self {
            receive_maximum: server.receive_maximum().unwrap_or(own.receive_maximum),
            maximum_packet_size: server.maximum_packet_size().unwrap_or(MAX_PACKET).min(MAX_PACKET),
            maximum_qos: server.maximum_qos().unwrap_or(own.maximum_qos),
            retain_available: server.retain_available().unwrap_or(true),
            wildcard_subscription_available: server.wildcard_subscription_available().unwrap_or(true),
            subscription_identifiers_available: server.subscription_identifiers_available().unwrap_or(true),
            shared_subscription_available: server.shared_subscription_available().unwrap_or(true),
            topic_alias_maximum: server.topic_alias_maximum().unwrap_or(0),
            keep_alive: server
                .server_keep_alive()
                .map_or(own.keep_alive, |seconds| Duration::from_secs(u64::from(seconds))),
            session_expiry: server.session_expiry_interval().unwrap_or(own.session_expiry),
            ..own
        }
    }

    pub(super) const fn rules(&self) -> &'static WireRules {
        self.version.rules()
    }

    /// Checks that the server takes this message.
    pub(super) fn check_publish(&self, publish: &Publish) -> Result<(), PublishError> {
        if !publish.properties.is_empty() {
            if !self.rules().properties {
                return Err(PublishError::NotInVersion("properties", self.version));
            }
            let carrier = Carrier::Packet(PacketType::Publish);
            publish.properties.check(carrier).map_err(PublishError::Property)?;
            for id in [PropertyId::SubscriptionIdentifier, PropertyId::TopicAlias] {
                if publish.properties.get(id).is_some() {
                    // [MQTT-3.3.4-6]; aliases are the session's own business.
                    return Err(PublishError::PropertyOfConnection(id));
                }
            }
        }
        if publish.qos > self.maximum_qos {
            return Err(PublishError::QoSNotSupported { asked: publish.qos, maximum: self.maximum_qos });
        }
        if publish.retain && !self.retain_available {
            return Err(PublishError::RetainNotSupported);
        }
        let id = (publish.qos > QoS::AtMostOnce).then_some(crate::PacketId::FIRST);
        let size = size(&Outgoing { publish, id, attempt: Attempt::First, alias: Alias::None }, self.rules());
        if size > self.maximum_packet_size as usize {
            return Err(PublishError::TooLarge { size, maximum: self.maximum_packet_size });
        }
        Ok(())
    }

    /// Checks that the server takes this SUBSCRIBE.
    pub(super) fn check_subscribe(&self, subscribe: &Subscribe) -> Result<(), SubscribeError> {
        if subscribe.subscriptions.is_empty() {
            return Err(SubscribeError::Empty);
        }
        if !self.rules().properties && !subscribe.properties.is_empty() {
            return Err(SubscribeError::NotInVersion("properties", self.version));
        }
        subscribe.properties.check(Carrier::Packet(PacketType::Subscribe)).map_err(SubscribeError::Property)?;
        if subscribe.properties.subscription_identifier().is_some() && !self.subscription_identifiers_available {
            return Err(SubscribeError::NotSupported("Subscription Identifiers"));
        }
        for subscription in &subscribe.subscriptions {
            if !self.rules().subscribe_options && !subscription.options.qos_only() {
                return Err(SubscribeError::NotInVersion("subscription options", self.version));
            }
            let shared = subscription.filter.share().is_some();
            if shared && subscription.options.no_local {
                return Err(SubscribeError::NoLocalShared);
            }
            if shared && !self.shared_subscription_available {
                return Err(SubscribeError::NotSupported("shared subscriptions"));
            }
            if subscription.filter.has_wildcard() && !self.wildcard_subscription_available {
                return Err(SubscribeError::NotSupported("wildcards in topic filters"));
            }
        }
        self.check_size(size(&(crate::PacketId::FIRST, subscribe), self.rules()))
    }

    /// Checks that the server takes this UNSUBSCRIBE.
    pub(super) fn check_unsubscribe(&self, unsubscribe: &Unsubscribe) -> Result<(), SubscribeError> {
        if unsubscribe.filters.is_empty() {
            return Err(SubscribeError::Empty);
        }
        if !self.rules().properties && !unsubscribe.properties.is_empty() {
            return Err(SubscribeError::NotInVersion("properties", self.version));
        }
        unsubscribe.properties.check(Carrier::Packet(PacketType::Unsubscribe)).map_err(SubscribeError::Property)?;
        self.check_size(size(&(crate::PacketId::FIRST, unsubscribe), self.rules()))
    }

    const fn check_size(&self, size: usize) -> Result<(), SubscribeError> {
        if size > self.maximum_packet_size as usize {
            Err(SubscribeError::TooLarge { size, maximum: self.maximum_packet_size })
        } else {
            Ok(())
        }
    }
}
