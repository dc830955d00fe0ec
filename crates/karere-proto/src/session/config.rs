//! What a session is told once, and the check that it makes sense.

use core::{fmt, num::NonZeroU16, time::Duration};

use bytes::Bytes;

use crate::{
    packet::{Connect, PacketType, ReceivedTopics},
    properties::{Carrier, InvalidProperty, Properties, PropertyId},
    text::{MAX_FIELD, Utf8String},
    version::{ClientIdRule, Version},
};

/// How long the server keeps the session after its connection (§3.1.2.11.2).
///
/// 3.1 and 3.1.1 know only the two ends: Clean Session 1 is [`SessionExpiry::AtClose`], Clean Session 0 is
/// [`SessionExpiry::Never`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete for §3.1.2.11.2")]
pub enum SessionExpiry {
    /// The session ends with its connection.
    #[default]
    AtClose,
    /// The session ends this long after its connection (5.0). Whole seconds.
    After(Duration),
    /// The session does not end.
    Never,
}

impl SessionExpiry {
    /// The Session Expiry Interval in seconds; `u32::MAX` is never.
    pub fn seconds(self) -> u32 {
        match self {
            Self::AtClose => 0,
            Self::After(time) => u32::try_from(time.as_secs()).unwrap_or(u32::MAX),
            Self::Never => u32::MAX,
        }
    }
}

/// When CONNECT asks for a new session although there may be an old one (§3.1.2.4).
///
/// On 3.1 and 3.1.1 the session's expiry alone decides: one flag there says both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete: every mixture that makes sense")]
pub enum CleanStart {
    /// Always: nothing is ever resumed.
    Always,
    /// Until the first connection is made; every later one resumes.
    #[default]
    FirstOnly,
    /// Never: resumes what this client knows of. A session that the server has but this client knows nothing of is
    /// refused, and the next CONNECT starts clean [MQTT-3.2.2-4].
    Never,
    /// Never, and a session that only the server knows is taken over: the application vouches that it is its own and
    /// that nothing of it was in flight, as after a restart without a store.
    Adopt,
}

/// What becomes of messages in flight when the server has lost the session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete: either they are sent again or they are not")]
pub enum LostSession {
    /// What the server may not have is published again as a new message, under the same token. The receiver may see it
    /// twice.
    #[default]
    Republish,
    /// What the server may not have is reported with outcome unknown.
    Report,
    /// The session goes on all the same, whatever Session Present and Clean Start say: what is in flight is sent again with
    /// DUP under its identifier. That is how paho-mqtt does it; the receiver may see a message twice, and a server may find
    /// fault with a DUP it did not expect. Not with a journal.
    Continue,
}

/// In which order acknowledgements leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete: one order or the other")]
pub enum AckOrder {
    /// In that in which the messages came [MQTT-4.6.0-2, MQTT-4.6.0-3]: one that is not acknowledged holds back those
    /// behind it.
    #[default]
    Received,
    /// In that in which the application gives them, at once. For bindings whose programs leave single messages
    /// unacknowledged, to have them again on the next connection. A server may count on the other order.
    Given,
}

/// When the first packets after CONNECT are sent (§3.1.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete: the answer is waited for or it is not")]
pub enum FirstPackets {
    /// When the server has accepted the connection: then its limits are known, and what it has of the session.
    #[default]
    AfterConnAck,
    /// At once, as far as nothing of an earlier connection is to be sent again first. For bindings whose programs connect,
    /// publish and disconnect without ever reading. What goes out before CONNACK may be more or larger than the server
    /// takes. Not with a journal.
    WithConnect,
}

/// What to do with a PUBACK, SUBACK or UNSUBACK for which nothing was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete: it is an error or it is told")]
pub enum UnexpectedAnswers {
    /// The server has broken the protocol [MQTT-3.8.4-2]: the connection is closed.
    #[default]
    Fail,
    /// It is told as `Event::Unexpected`, and nothing else comes of it.
    Tell,
}

/// Which client identifiers are taken before 5.0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete: the specification is followed or it is not")]
pub enum ClientIdLength {
    /// Those that the version allows: 1 to 23 bytes in 3.1.
    #[default]
    Specified,
    /// Any length that the packet can carry: most servers take longer ones in 3.1 too.
    Any,
}

/// When the subscriptions that were granted are asked for again by the session itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete: never, when needed, always")]
pub enum Resubscribe {
    /// Never: that is the application's business.
    Never,
    /// When the server has lost the session they belonged to.
    #[default]
    WhenLost,
    /// With every connection. Some clusters report a session as present and have lost its subscriptions.
    Always,
}

/// What to do when the server does not speak the configured version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete: another version is tried or it is not")]
pub enum FallBack {
    /// Nothing: the refusal is told, and the next CONNECT says the same.
    #[default]
    Never,
    /// The next CONNECT speaks the next lower version that can say what was configured ([`Config::lowered`]).
    ///
    /// The server does not speak a version when it refuses CONNECT for that reason, and supposedly when it ends the
    /// connection in order after CONNECT and without a single byte, as some old ones do; unless it has accepted the version
    /// before. A version that was accepted stays in use until `Session::reconfigure`. When none is
    /// left to try, or a lower one gets no answer at all, it is the configured version's turn again.
    Downward,
}

/// Room for messages that wait; what does not fit is refused when it is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueLimits {
    /// How many may wait.
    pub messages: usize,
    /// How many bytes of topics, payloads and properties may wait.
    pub bytes: usize,
}

impl QueueLimits {
    /// No limit but memory.
    pub const UNLIMITED: Self = Self { messages: usize::MAX, bytes: usize::MAX };

    /// These limits.
    pub const fn new(messages: usize, bytes: usize) -> Self {
        Self { messages, bytes }
    }
}

/// Whether a session writes a journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete: there is a store or there is none")]
pub enum Journal {
    /// There is no store: nothing is recorded, nothing waits.
    #[default]
    Off,
    /// Every change of the session is recorded, and bytes that must not overtake their record wait for it.
    On,
}

/// What a session is told once.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// What every CONNECT says; `clean_start` and Session Expiry Interval are filled in.
    pub connect: Connect,
    /// When to ask for a new session.
    pub clean_start: CleanStart,
    /// What to do when the server does not speak the version of `connect`.
    pub fall_back: FallBack,
    /// How long the session outlives its connection.
    pub session_expiry: SessionExpiry,
    /// Own limit of unacknowledged QoS 1 and 2 messages; the server's Receive Maximum lowers it. 20 as in paho.
    pub max_in_flight: NonZeroU16,
    /// Room for messages that wait.
    pub queue: QueueLimits,
    /// How long CONNACK may take after the transport is open.
    pub connack_timeout: Duration,
    /// How long a silent server may leave PINGREQ unanswered. The shorter of this and the keep alive counts.
    pub ping_timeout: Duration,
    /// What becomes of messages in flight when the server has lost the session.
    pub lost_session: LostSession,
    /// When granted subscriptions are asked for again.
    pub resubscribe: Resubscribe,
    /// How long the server may leave everything that waits for an acknowledgement unanswered; then the connection is
    /// made anew, and what is in flight is sent again. `None` or zero: as long as it lives.
    pub ack_timeout: Option<Duration>,
    /// The most topic aliases this client uses; 0 is none. The server's Topic Alias Maximum lowers it (§3.2.2.3.8).
    pub topic_aliases: u16,
    /// Whether the session writes a journal.
    pub journal: Journal,
    /// What becomes of received messages whose topic is not UTF-8.
    pub received_topics: ReceivedTopics,
    /// Which client identifiers are taken.
    pub client_id_length: ClientIdLength,
    /// What to do with answers for which nothing was sent.
    pub unexpected_answers: UnexpectedAnswers,
    /// When the first packets are sent.
    pub first_packets: FirstPackets,
    /// In which order acknowledgements leave.
    pub ack_order: AckOrder,
}

impl Config {
    /// Defaults for a client of this version with this identifier.
    pub const fn new(version: Version, client_id: Utf8String) -> Self {
        Self {
            connect: Connect::new(version, client_id),
            clean_start: CleanStart::FirstOnly,
            fall_back: FallBack::Never,
            session_expiry: SessionExpiry::AtClose,
            max_in_flight: NonZeroU16::new(20).expect("invariant: not 0"),
            queue: QueueLimits::UNLIMITED,
            connack_timeout: Duration::from_secs(10),
            ping_timeout: Duration::from_secs(30),
            lost_session: LostSession::Republish,
            resubscribe: Resubscribe::WhenLost,
            ack_timeout: None,
            topic_aliases: 64,
            journal: Journal::Off,
            received_topics: ReceivedTopics::Strict,
            client_id_length: ClientIdLength::Specified,
            unexpected_answers: UnexpectedAnswers::Fail,
            first_packets: FirstPackets::AfterConnAck,
            ack_order: AckOrder::Received,
        }
    }

    /// Checks that a CONNECT like this is legal and says what was meant.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names what is wrong and what to do instead.
    pub fn check(&self) -> Result<(), ConfigError> {
        let connect = &self.connect;
        let rules = connect.version.rules();
        let id_len = connect.client_id.as_bytes().len();
        let temporary = self.session_expiry == SessionExpiry::AtClose;
        match rules.client_id {
            ClientIdRule::Short if id_len == 0 || id_len > 23 && self.client_id_length == ClientIdLength::Specified => {
                return Err(ConfigError::ClientIdLength(id_len));
            }
            ClientIdRule::EmptyIfClean if id_len == 0 && !temporary => return Err(ConfigError::EmptyClientId),
            ClientIdRule::Short | ClientIdRule::EmptyIfClean | ClientIdRule::Any => {}
        }
        if rules.password_needs_user_name && connect.password.is_some() && connect.user_name.is_none() {
            return Err(ConfigError::PasswordWithoutUserName(connect.version));
        }
        if self.journal == Journal::On {
            if self.lost_session == LostSession::Continue {
                return Err(ConfigError::ContinueWithJournal);
            }
            if self.first_packets == FirstPackets::WithConnect {
                return Err(ConfigError::FirstPacketsWithJournal);
            }
        }
        check_len("password", connect.password.as_ref().map_or(0, |password| password.len()))?;
        let not_in_version = |what| Err(ConfigError::NotInVersion(what, connect.version));
        if rules.properties {
            connect.properties.check(Carrier::Packet(PacketType::Connect)).map_err(ConfigError::Property)?;
            if connect.properties.get(PropertyId::SessionExpiryInterval).is_some() {
                return Err(ConfigError::ExpiryTwice);
            }
            if connect.properties.authentication_data().is_some()
                && connect.properties.authentication_method().is_none()
            {
                return Err(ConfigError::AuthenticationDataWithoutMethod);
            }
        } else {
            if !connect.properties.is_empty() {
                return not_in_version("properties of CONNECT");
            }
            if matches!(self.session_expiry, SessionExpiry::After(_)) {
                return not_in_version("a session that expires after a time");
            }
            if self.clean_start == CleanStart::Always && !temporary {
                return not_in_version("a clean start of a session that is to be kept");
            }
        }
        if let Some(will) = &connect.will {
            check_len("will payload", will.payload.len())?;
            if rules.properties {
                will.properties.check(Carrier::Will).map_err(ConfigError::Property)?;
            } else if will.properties != Properties::new() {
                return not_in_version("properties of a will");
            }
        }
        Ok(())
    }

    /// This configuration in a lower version, with what may be left out there left out.
    ///
    /// | here | in a version that cannot say it |
    /// |---|---|
    /// | properties of CONNECT | left out, and with them this client's limits, which the server then does not know |
    /// | properties of the will | left out: no delay, no expiry |
    /// | [`SessionExpiry::After`] | [`SessionExpiry::Never`]: the server may keep the session for longer, never for shorter |
    /// | [`CleanStart::Always`] with a session to keep | [`SessionExpiry::AtClose`]: nothing is resumed either |
    /// | Authentication Method | an error |
    /// | client identifier, user name and password | as they are, or the error of [`Config::check`] |
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when this cannot be said in `version`.
    pub fn lowered(&self, version: Version) -> Result<Self, ConfigError> {
        let mut lowered = self.clone();
        let connect = &mut lowered.connect;
        connect.version = version;
        if !version.rules().properties {
            if connect.properties.authentication_method().is_some() {
                return Err(ConfigError::NotInVersion("Authentication Method", version));
            }
            connect.properties = Properties::new();
            if let Some(will) = &mut connect.will {
                will.properties = Properties::new();
            }
            let temporary = self.session_expiry.seconds() == 0 || self.clean_start == CleanStart::Always;
            lowered.session_expiry = if temporary { SessionExpiry::AtClose } else { SessionExpiry::Never };
        }
        lowered.check()?;
        Ok(lowered)
    }

    /// This configuration with other credentials.
    pub(super) fn with_credentials(
        &self,
        user_name: Option<Utf8String>,
        password: Option<Bytes>,
    ) -> Result<Self, ConfigError> {
        let connect = Connect { user_name, password, ..self.connect.clone() };
        let config = Self { connect, ..self.clone() };
        config.check()?;
        Ok(config)
    }

    /// As it is, with times that are for ever cut to [`LONGEST`] and one that would never let the session rest turned off.
    pub(super) fn bounded(self) -> Self {
        Self {
            connack_timeout: self.connack_timeout.min(LONGEST),
            ping_timeout: self.ping_timeout.min(LONGEST),
            ack_timeout: self.ack_timeout.filter(|timeout| !timeout.is_zero()).map(|timeout| timeout.min(LONGEST)),
            ..self
        }
    }
}

/// 136 years. A deadline that is farther away may be more than an `Instant` can say.
const LONGEST: Duration = Duration::from_secs(u32::MAX as u64);

const fn check_len(what: &'static str, len: usize) -> Result<(), ConfigError> {
    if len > MAX_FIELD { Err(ConfigError::TooLong(what, len)) } else { Ok(()) }
}

/// Why a session cannot be configured like this. The caller's fault; nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// Authentication Data needs an Authentication Method (§3.1.2.11.10).
    AuthenticationDataWithoutMethod,
    /// 3.1 wants a client identifier of 1 to 23 bytes; this one has so many.
    ClientIdLength(usize),
    /// A journal records that a lost session is lost: [`LostSession::Continue`] cannot be had with one.
    ContinueWithJournal,
    /// 3.1.1 takes an empty client identifier only for a session that ends with its connection (v3: [MQTT-3.1.3-7]).
    EmptyClientId,
    /// With a journal nothing leaves before it is known what the server has of the session: not
    /// [`FirstPackets::WithConnect`].
    FirstPacketsWithJournal,
    /// Session Expiry Interval stands in the properties; it has an option of its own.
    ExpiryTwice,
    /// The journal's last message has this number; [`Snapshot::LAST_SEQ`](super::Snapshot::LAST_SEQ) is the highest from which
    /// a session goes on.
    JournalSequence(u64),
    /// This version cannot say that.
    NotInVersion(&'static str, Version),
    /// This version wants a user name beside the password (v3: [MQTT-3.1.2-22]).
    PasswordWithoutUserName(Version),
    /// A property is wrong.
    Property(InvalidProperty),
    /// This field has so many bytes; 65,535 is the limit.
    TooLong(&'static str, usize),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AuthenticationDataWithoutMethod => {
                f.write_str("authentication data without authentication method; set the method too (§3.1.2.11.10)")
            }
            Self::ClientIdLength(len) => {
                write!(f, "client identifier of {len} bytes; MQTT 3.1 wants 1 to 23, use a newer version for others")
            }
            Self::ContinueWithJournal => {
                f.write_str("a lost session cannot go on with a journal; choose to republish or to report")
            }
            Self::EmptyClientId => f.write_str(
                "empty client identifier with a session to keep; give one, or let the session end with its connection \
                 [MQTT-3.1.3-7]",
            ),
            Self::ExpiryTwice => {
                f.write_str("Session Expiry Interval among the properties of CONNECT; use the session expiry option")
            }
            Self::FirstPacketsWithJournal => {
                f.write_str("with a journal nothing is sent before CONNACK; leave the first packets until after it")
            }
            Self::JournalSequence(seq) => {
                write!(f, "the journal's last message has number {seq}, which no client can reach; it is damaged")
            }
            Self::NotInVersion(what, version) => write!(f, "MQTT {version} has no {what}; use 5.0"),
            Self::PasswordWithoutUserName(version) => {
                write!(f, "password without user name; MQTT {version} needs both [MQTT-3.1.2-22]")
            }
            Self::Property(property) => property.fmt(f),
            Self::TooLong(what, len) => write!(f, "{what} of {len} bytes; at most {MAX_FIELD} fit"),
        }
    }
}

impl core::error::Error for ConfigError {}
