//! What a broker allows and demands: limits, versions, users.

use core::{
    fmt,
    num::{NonZeroU16, NonZeroU32},
    time::Duration,
};
use std::collections::BTreeMap;

use karere_proto::{QoS, ReasonCode, Version};

use crate::authentication::Authentication;

/// What a [`Broker`](crate::Broker) allows and demands.
///
/// The default allows all that MQTT can express to anyone. What is taken away is announced in CONNACK where the
/// version has a word for it (§3.2.2.3), and enforced in any case.
#[derive(Clone)]
pub struct Config {
    pub(crate) versions: Vec<Version>,
    pub(crate) users: BTreeMap<String, Vec<u8>>,
    pub(crate) authentication: Option<Authentication>,
    pub(crate) redirect: Option<Redirect>,
    pub(crate) response_information: Option<String>,
    pub(crate) maximum_qos: QoS,
    pub(crate) retain_available: bool,
    pub(crate) wildcards_available: bool,
    pub(crate) shared_available: bool,
    pub(crate) subscription_identifiers_available: bool,
    pub(crate) maximum_packet_size: Option<NonZeroU32>,
    pub(crate) receive_maximum: NonZeroU16,
    pub(crate) topic_alias_maximum: u16,
    pub(crate) outbound_topic_aliases: u16,
    pub(crate) server_keep_alive: Option<u16>,
    pub(crate) maximum_session_expiry: Option<u32>,
    pub(crate) maximum_in_flight: NonZeroU16,
    pub(crate) maximum_queued: usize,
    pub(crate) maximum_output: usize,
    pub(crate) queue_qos_0: bool,
    pub(crate) connect_timeout: Duration,
}

/// Where clients are sent instead (§4.11).
#[derive(Clone, Debug)]
pub(crate) struct Redirect {
    pub(crate) reason: ReasonCode,
    pub(crate) server_reference: String,
}

impl Config {
    /// All that MQTT can express, for anyone.
    pub const fn new() -> Self {
        Self {
            versions: Vec::new(),
            users: BTreeMap::new(),
            authentication: None,
            redirect: None,
            response_information: None,
            maximum_qos: QoS::ExactlyOnce,
            retain_available: true,
            wildcards_available: true,
            shared_available: true,
            subscription_identifiers_available: true,
            maximum_packet_size: None,
            receive_maximum: NonZeroU16::MAX,
            topic_alias_maximum: 10,
            outbound_topic_aliases: 0,
            server_keep_alive: None,
            maximum_session_expiry: None,
            maximum_in_flight: NonZeroU16::MAX,
            maximum_queued: 100_000,
            maximum_output: 64 * 1024 * 1024,
            queue_qos_0: false,
            connect_timeout: Duration::from_secs(10),
        }
    }

    /// Speaks these versions only. Others get CONNACK "unsupported protocol version", in the form of the newest version
    /// that is spoken, as a server that never heard of theirs would answer.
    #[must_use]
    pub fn versions(mut self, versions: impl IntoIterator<Item = Version>) -> Self {
        self.versions = versions.into_iter().collect();
        self
    }

    /// Adds a user. From the first one on, clients without a user name are refused, too.
    #[must_use]
    pub fn user(mut self, name: impl Into<String>, password: impl Into<Vec<u8>>) -> Self {
        self.users.insert(name.into(), password.into());
        self
    }

    /// Offers a scripted method of enhanced authentication (§4.12). Clients that name no method are judged by
    /// [`Config::user`] as before.
    #[must_use]
    pub fn authentication(mut self, authentication: Authentication) -> Self {
        self.authentication = Some(authentication);
        self
    }

    /// Refuses every CONNECT and names another server (§4.11). `reason` is
    /// [`UseAnotherServer`](ReasonCode::UseAnotherServer) or [`ServerMoved`](ReasonCode::ServerMoved); 3.1 and 3.1.1
    /// learn "server unavailable" only.
    #[must_use]
    pub fn redirect(mut self, reason: ReasonCode, server_reference: impl Into<String>) -> Self {
        self.redirect = Some(Redirect { reason, server_reference: server_reference.into() });
        self
    }

    /// Response Information for clients that ask for it (§3.2.2.3.15).
    #[must_use]
    pub fn response_information(mut self, information: impl Into<String>) -> Self {
        self.response_information = Some(information.into());
        self
    }

    /// The highest QoS at which messages are taken and sent (§3.2.2.3.4); the default is 2.
    #[must_use]
    pub const fn maximum_qos(mut self, qos: QoS) -> Self {
        self.maximum_qos = qos;
        self
    }

    /// Refuses retained messages (§3.2.2.3.5).
    #[must_use]
    pub const fn without_retain(mut self) -> Self {
        self.retain_available = false;
        self
    }

    /// Refuses filters with wildcards (§3.2.2.3.11).
    #[must_use]
    pub const fn without_wildcard_subscriptions(mut self) -> Self {
        self.wildcards_available = false;
        self
    }

    /// Refuses `$share/…` (§3.2.2.3.13).
    #[must_use]
    pub const fn without_shared_subscriptions(mut self) -> Self {
        self.shared_available = false;
        self
    }

    /// Refuses Subscription Identifiers (§3.2.2.3.12).
    #[must_use]
    pub const fn without_subscription_identifiers(mut self) -> Self {
        self.subscription_identifiers_available = false;
        self
    }

    /// The largest packet taken, in bytes with its fixed header (§3.2.2.3.6).
    #[must_use]
    pub const fn maximum_packet_size(mut self, bytes: NonZeroU32) -> Self {
        self.maximum_packet_size = Some(bytes);
        self
    }

    /// QoS 1 and 2 messages that a client may have unacknowledged (§3.2.2.3.3); the default is 65,535.
    #[must_use]
    pub const fn receive_maximum(mut self, messages: NonZeroU16) -> Self {
        self.receive_maximum = messages;
        self
    }

    /// The highest topic alias taken from a client (§3.2.2.3.8); the default is 10, 0 turns them off.
    #[must_use]
    pub const fn topic_alias_maximum(mut self, aliases: u16) -> Self {
        self.topic_alias_maximum = aliases;
        self
    }

    /// Topics on a connection that are sent by alias, as far as the client allows (§3.1.2.11.5); the default is 0.
    #[must_use]
    pub const fn outbound_topic_aliases(mut self, aliases: u16) -> Self {
        self.outbound_topic_aliases = aliases;
        self
    }

    /// The keep alive that clients of 5.0 must use, in seconds; 0 turns it off (§3.2.2.3.14). Others keep their own.
    #[must_use]
    pub const fn server_keep_alive(mut self, seconds: u16) -> Self {
        self.server_keep_alive = Some(seconds);
        self
    }

    /// The longest that a session is kept without a connection, in seconds (§3.2.2.3.2). Sessions of 3.1 and 3.1.1,
    /// which have no expiry of their own, end then, too. The default is forever.
    #[must_use]
    pub const fn maximum_session_expiry(mut self, seconds: u32) -> Self {
        self.maximum_session_expiry = Some(seconds);
        self
    }

    /// QoS 1 and 2 messages that are sent to a client ahead of its acknowledgements; its Receive Maximum may make it
    /// less. The default is 65,535.
    #[must_use]
    pub const fn maximum_in_flight(mut self, messages: NonZeroU16) -> Self {
        self.maximum_in_flight = messages;
        self
    }

    /// Messages that wait for one session; from there on the oldest is dropped and counted. The default is 100,000.
    #[must_use]
    pub const fn maximum_queued(mut self, messages: usize) -> Self {
        self.maximum_queued = messages;
        self
    }

    /// Bytes that wait for one connection to take them; from there on QoS 0 messages are dropped and counted, others
    /// wait in the queue. The default is 64 MiB.
    #[must_use]
    pub const fn maximum_output(mut self, bytes: usize) -> Self {
        self.maximum_output = bytes;
        self
    }

    /// Keeps QoS 0 messages, too, for sessions without a connection (§4.1). The default drops them.
    #[must_use]
    pub const fn queueing_qos_0(mut self) -> Self {
        self.queue_qos_0 = true;
        self
    }

    /// How long a connection may take to send CONNECT; the default is 10 s.
    #[must_use]
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// True when clients may speak `version`.
    pub(crate) fn speaks(&self, version: Version) -> bool {
        self.versions.is_empty() || self.versions.contains(&version)
    }

    /// The newest version that is spoken.
    pub(crate) fn newest_version(&self) -> Version {
        self.versions.iter().copied().max().unwrap_or_default()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("versions", &self.versions)
            .field("users", &self.users.len()) // names and passwords stay out of logs
            .field("maximum_qos", &self.maximum_qos)
            .field("maximum_packet_size", &self.maximum_packet_size)
            .field("receive_maximum", &self.receive_maximum)
            .finish_non_exhaustive()
    }
}
