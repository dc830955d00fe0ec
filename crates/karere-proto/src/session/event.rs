//! What a session tells.

use core::fmt;

use bytes::Bytes;

use super::error::PublishError;
use crate::{
    error::ProtocolError,
    id::{PacketId, Token},
    packet::{Attempt, Auth, ConnAck, Disconnect, Packet, Publish, SubAck, UnsubAck},
    properties::Properties,
    qos::QoS,
    reason::ReasonCode,
    version::Version,
};

/// Something the application may want to know.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A step of enhanced authentication; answer with `Session::authenticate` (§4.12).
    Auth(Auth),
    /// The server accepted the connection. Not told for a refusal: that is [`Cause::Refused`].
    Connected(ConnAck),
    /// The connection has ended. Told once for each that was opened; and with [`Cause::Requested`] when the time to drain
    /// ran out between two connections.
    Disconnected(Cause),
    /// A message has arrived. Acknowledge it when it is dealt with.
    Message {
        /// The message.
        publish: Publish,
        /// What to acknowledge it with.
        delivery: Delivery,
        /// Whether the server says that it may have sent it before; not a way to find duplicates (§3.3.1.1).
        attempt: Attempt,
    },
    /// As [`Event::Message`], of a message whose topic is not UTF-8 (with `Config::received_topics`).
    Undecodable {
        /// The topic as it came.
        topic: Bytes,
        /// The message, under a topic that shows what came.
        publish: Publish,
        /// What to acknowledge it with.
        delivery: Delivery,
        /// Whether the server says that it may have sent it before.
        attempt: Attempt,
    },
    /// A published message has its outcome; the last that is told of this token.
    Published {
        /// What `Session::publish` returned.
        token: Token,
        /// The packet identifier it was last sent with; none at QoS 0 and for what was never sent.
        id: Option<PacketId>,
        /// How it ended.
        outcome: Outcome,
    },
    /// A SUBSCRIBE has its answer, or will have none.
    Subscribed {
        /// What `Session::subscribe` returned.
        token: Token,
        /// The packet identifier it was last sent with.
        id: Option<PacketId>,
        /// One reason code for each filter; `None` when there will be no answer: the application ended the connection
        /// before it came, or the server to which the session is connected now does not take the request, for instance
        /// for what its version cannot say.
        ack: Option<SubAck>,
    },
    /// An answer for which nothing was sent (with `Config::unexpected_answers`).
    Unexpected(Packet),
    /// An UNSUBSCRIBE has its answer, or will have none.
    Unsubscribed {
        /// What `Session::unsubscribe` returned.
        token: Token,
        /// The packet identifier it was last sent with.
        id: Option<PacketId>,
        /// The answer; `None` when there will be none, as with [`Event::Subscribed`].
        ack: Option<UnsubAck>,
    },
}

/// How a published message ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The server has it: PUBACK or PUBCOMP; at QoS 0 it was written to the socket.
    ///
    /// At QoS 2 PUBCOMP ends the message, and what PUBREC said is told unless PUBCOMP says something itself. A process that
    /// was restarted in between has forgotten PUBREC's words: success.
    Acknowledged {
        /// Success, or [`ReasonCode::NoMatchingSubscribers`].
        reason: ReasonCode,
        /// What the server added (5.0).
        properties: Properties,
    },
    /// The server refused it with a reason code of 0x80 or above (5.0).
    Refused {
        /// Why.
        reason: ReasonCode,
        /// What the server added.
        properties: Properties,
    },
    /// It was never sent.
    NotSent(NotSent),
    /// It was sent, and whether the server has it cannot be known.
    Unknown,
}

impl Outcome {
    pub(super) const fn success() -> Self {
        Self::Acknowledged { reason: ReasonCode::Success, properties: Properties::new() }
    }

    /// True when the server has the message (at QoS 0: the socket).
    pub const fn is_acknowledged(&self) -> bool {
        matches!(self, Self::Acknowledged { .. })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Acknowledged { reason, .. } => write!(f, "acknowledged: {}", reason.name()),
            Self::Refused { reason, properties } => {
                write!(f, "refused: {reason}")?;
                properties.reason_string().map_or(Ok(()), |why| write!(f, ": {why}"))
            }
            Self::NotSent(why) => write!(f, "not sent: {why}"),
            Self::Unknown => f.write_str("unknown: it was sent, but the session was lost before the answer"),
        }
    }
}

/// Why an accepted message was never sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotSent {
    /// Its Message Expiry Interval ran out while it waited (§3.3.2.3.3).
    Expired,
    /// The application gave it up.
    GivenUp,
    /// The server to which the session is connected now does not take it.
    Refused(PublishError),
}

impl fmt::Display for NotSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired => f.write_str("it expired while it waited"),
            Self::GivenUp => f.write_str("given up by the application"),
            Self::Refused(why) => why.fmt(f),
        }
    }
}

/// Permission to acknowledge one received message.
///
/// Acknowledgements leave in the order in which the messages came, whatever the order in which these are handed back
/// [MQTT-4.6.0-2]. One that is never handed back holds back those behind it; the server sends the message again on the
/// next connection, at QoS 2 only after this side has abandoned the connection. One from an earlier connection does no harm.
#[must_use = "a message that is not acknowledged is sent again and holds back the acknowledgements behind it"]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Delivery {
    pub(super) number: u64,
    pub(super) epoch: u32,
    /// None at QoS 0: there is nothing to acknowledge.
    pub(super) id: Option<PacketId>,
    pub(super) qos: QoS,
}

impl Delivery {
    /// The packet identifier the server gave the message; none at QoS 0.
    pub const fn packet_id(&self) -> Option<PacketId> {
        self.id
    }

    /// The quality of service at which it came.
    pub const fn qos(&self) -> QoS {
        self.qos
    }
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The server answered PINGREQ but not what waited for its acknowledgement, for longer than was allowed.
    AckTimeout,
    /// No CONNACK came in time (§3.2).
    ConnAckTimeout,
    /// The server did not answer PINGREQ, or took no bytes, for too long (§3.1.2.10).
    KeepAliveTimeout,
    /// All that was begun has ended, and the session goes on at a better server (`Session::leave_when_quiet`).
    Moving,
    /// The server does not speak the version of CONNECT, or seems not to: the next CONNECT speaks another
    /// ([`FallBack::Downward`](super::FallBack::Downward)). Dial again at once.
    OtherVersion {
        /// Its refusal; none when it closed the connection without a word.
        refused: Option<ConnAck>,
        /// What the next CONNECT speaks.
        next: Version,
    },
    /// The server broke the protocol.
    Protocol(ProtocolError),
    /// The server answered CONNECT with a refusal (§3.2.2.2).
    Refused(ConnAck),
    /// The application asked for it.
    Requested,
    /// The server sent DISCONNECT (5.0, §3.14).
    Server(Disconnect),
    /// The transport ended.
    Transport(CloseCause),
}

impl Cause {
    /// The reason code the server gave, if it gave one.
    pub const fn reason(&self) -> Option<ReasonCode> {
        match self {
            Self::Refused(ack) | Self::OtherVersion { refused: Some(ack), .. } => Some(ack.reason),
            Self::Server(disconnect) => Some(disconnect.reason),
            _ => None,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AckTimeout => f.write_str("the server acknowledged nothing for longer than allowed"),
            Self::ConnAckTimeout => f.write_str("the server did not answer CONNECT in time"),
            Self::KeepAliveTimeout => f.write_str("the server was silent for longer than the keep alive allows"),
            Self::Moving => f.write_str("the connection was ended to move to a preferred server"),
            Self::OtherVersion { next, .. } => {
                f.write_str("the server does not speak MQTT ")?;
                match next.next() {
                    Some(refused) => write!(f, "{refused}; trying {next}"),
                    None => write!(f, "as asked; trying {next}"),
                }
            }
            Self::Protocol(error) => error.fmt(f),
            Self::Refused(ack) => {
                write!(f, "the server refused the connection: {}", ack.reason)?;
                ack.properties.reason_string().map_or(Ok(()), |why| write!(f, ": {why}"))
            }
            Self::Requested => f.write_str("disconnected by the application"),
            Self::Server(disconnect) => {
                write!(f, "the server closed the connection: {}", disconnect.reason)?;
                disconnect.properties.reason_string().map_or(Ok(()), |why| write!(f, ": {why}"))
            }
            Self::Transport(cause) => cause.fmt(f),
        }
    }
}

impl core::error::Error for Cause {}

/// How a transport ended, as its driver saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseCause {
    /// The driver dropped it, to connect anew or to stop.
    Abandoned,
    /// The other side closed it.
    Closed,
    /// Reading or writing failed.
    Failed(String),
}

impl fmt::Display for CloseCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Abandoned => f.write_str("the connection was given up by this side"),
            Self::Closed => f.write_str("the server closed the connection"),
            Self::Failed(why) => write!(f, "the connection failed: {why}"),
        }
    }
}

/// How a session wants its transport closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete: there is something left to say or there is not")]
pub enum CloseRequest {
    /// Once what was queued last has left.
    AfterFlush,
    /// At once: there is nothing to say, or nobody who would hear it.
    AtOnce,
}

/// Whether a session has handed out all its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete: it has or it has not")]
pub enum Flushed {
    /// Bytes wait, perhaps for a record to become durable.
    No,
    /// None wait.
    Yes,
}

/// One packet that passed, for a log: it is shown without payloads and secrets.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trace {
    /// The server sent it.
    Received(Packet),
    /// It was queued for sending; topics in it are whole even where an alias is sent.
    Sending(Packet),
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Received(packet) => write!(f, "received {packet}"),
            Self::Sending(packet) => write!(f, "sending {packet}"),
        }
    }
}
