//! What a caller asked for and cannot have: refused at the call, nothing changed, no packet identifier used.

use core::fmt;

use crate::{
    id::PacketId,
    properties::{InvalidProperty, PropertyId},
    qos::QoS,
    reason::ReasonCode,
    version::Version,
};

/// Why a message was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublishError {
    /// The packet identifier that was asked for names something that is not done (§2.2.1).
    IdInUse(PacketId),
    /// This version has no such thing.
    NotInVersion(&'static str, Version),
    /// A property is wrong.
    Property(InvalidProperty),
    /// A property that belongs to one connection: it means nothing when an application sets it.
    PropertyOfConnection(PropertyId),
    /// The server takes no message of this QoS [MQTT-3.2.2-11].
    QoSNotSupported {
        /// The QoS of the message.
        asked: QoS,
        /// The highest the server takes.
        maximum: QoS,
    },
    /// The queue has no room for it; the message was not taken. Wait for outcomes, or raise the limits.
    QueueFull {
        /// Messages that wait.
        messages: usize,
        /// Bytes that wait.
        bytes: usize,
    },
    /// The server keeps no retained messages [MQTT-3.2.2-14].
    RetainNotSupported,
    /// The packet would be larger than the server or the protocol takes [MQTT-3.2.2-15].
    TooLarge {
        /// Bytes of the packet.
        size: usize,
        /// Bytes that are taken.
        maximum: u32,
    },
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IdInUse(id) => write!(f, "packet identifier {id} is in use; wait for its outcome, or take another"),
            Self::NotInVersion(what, version) => write!(f, "MQTT {version} has no {what}; use 5.0"),
            Self::Property(property) => property.fmt(f),
            Self::PropertyOfConnection(id) => {
                write!(f, "property {id} belongs to one connection; leave it out of messages [MQTT-3.3.4-6]")
            }
            Self::QoSNotSupported { asked, maximum } => {
                write!(f, "QoS {asked} is above the server's Maximum QoS {maximum} [MQTT-3.2.2-11]")
            }
            Self::QueueFull { messages, bytes } => {
                write!(f, "the queue is full with {messages} messages, {bytes} bytes; the message was not taken")
            }
            Self::RetainNotSupported => f.write_str("the server keeps no retained messages [MQTT-3.2.2-14]"),
            Self::TooLarge { size, maximum } => {
                write!(f, "a packet of {size} bytes is above the maximum of {maximum} [MQTT-3.2.2-15]")
            }
        }
    }
}

impl core::error::Error for PublishError {}

/// Why a SUBSCRIBE or UNSUBSCRIBE was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubscribeError {
    /// There is no filter in it [MQTT-3.8.3-2].
    Empty,
    /// The packet identifier that was asked for names something that is not done (§2.2.1).
    IdInUse(PacketId),
    /// No Local on a shared subscription [MQTT-3.8.3-4].
    NoLocalShared,
    /// This version has no such thing.
    NotInVersion(&'static str, Version),
    /// The server said in CONNACK that it does not serve this (§3.2.2.3.11 to §3.2.2.3.13).
    NotSupported(&'static str),
    /// A property is wrong.
    Property(InvalidProperty),
    /// The packet would be larger than the server or the protocol takes [MQTT-3.2.2-15].
    TooLarge {
        /// Bytes of the packet.
        size: usize,
        /// Bytes that are taken.
        maximum: u32,
    },
}

impl fmt::Display for SubscribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("no topic filter given; name at least one [MQTT-3.8.3-2]"),
            Self::IdInUse(id) => write!(f, "packet identifier {id} is in use; wait for its outcome, or take another"),
            Self::NoLocalShared => f.write_str("No Local on a shared subscription [MQTT-3.8.3-4]"),
            Self::NotInVersion(what, version) => write!(f, "MQTT {version} has no {what}; use 5.0"),
            Self::NotSupported(what) => write!(f, "the server does not serve {what}"),
            Self::Property(property) => property.fmt(f),
            Self::TooLarge { size, maximum } => {
                write!(f, "a packet of {size} bytes is above the maximum of {maximum} [MQTT-3.2.2-15]")
            }
        }
    }
}

impl core::error::Error for SubscribeError {}

/// Why a DISCONNECT, AUTH or negative acknowledgement cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommandError {
    /// No authentication method was named in CONNECT [MQTT-4.12.0-7], or another one was [MQTT-4.12.1-1].
    AuthenticationMethod,
    /// A session that was to end with its connection cannot be kept by DISCONNECT (§3.14.2.2.2).
    ExpiryFromZero,
    /// There is no connection on which to say it.
    NotConnected,
    /// This version has no such thing.
    NotInVersion(&'static str, Version),
    /// A property is wrong.
    Property(InvalidProperty),
    /// A client may not send this reason code here.
    Reason(ReasonCode),
    /// This version has no negative acknowledgement. Leave the message unacknowledged and drop the connection without
    /// DISCONNECT: on the next one the server sends it again (v3: [MQTT-4.8.0-2]).
    RefusalNotInVersion(Version),
    /// The packet would be larger than the server takes [MQTT-3.2.2-15].
    TooLarge {
        /// Bytes of the packet.
        size: usize,
        /// Bytes that are taken.
        maximum: u32,
    },
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AuthenticationMethod => {
                f.write_str("the authentication method must be the one that CONNECT named [MQTT-4.12.1-1]")
            }
            Self::ExpiryFromZero => f.write_str(
                "DISCONNECT cannot keep a session that CONNECT said would end with its connection (§3.14.2.2.2)",
            ),
            Self::NotConnected => f.write_str("there is no connection"),
            Self::NotInVersion(what, version) => write!(f, "MQTT {version} has no {what}; use 5.0"),
            Self::Property(property) => property.fmt(f),
            Self::Reason(reason) => write!(f, "a client may not send {reason} here"),
            Self::RefusalNotInVersion(version) => write!(
                f,
                "MQTT {version} has no negative acknowledgement; leave the message unacknowledged and drop the connection \
                 without DISCONNECT, to reconnect: the server sends it again [MQTT-4.8.0-2]"
            ),
            Self::TooLarge { size, maximum } => {
                write!(f, "a packet of {size} bytes is above the maximum of {maximum} [MQTT-3.2.2-15]")
            }
        }
    }
}

impl core::error::Error for CommandError {}
