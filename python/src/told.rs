//! What happened, as it waits for Python.

use bytes::Bytes;
use karere_proto::{PacketType, Properties, Publish};

/// One event.
#[derive(Debug)]
pub(crate) enum Told {
    Auth { code: u8, properties: Properties },
    ConnAck { accepted: bool, session_present: bool, code: u8, properties: Properties, short: bool },
    Disconnected { cause: Cause, code: Option<u8>, properties: Option<Properties>, text: String },
    Log { level: u8, text: String },
    Message(Box<Received>),
    Published { mid: u16, code: u8, properties: Properties, outcome: u8, packet: PacketType },
    SubAck { mid: u16, codes: Vec<u8>, properties: Properties },
    UnsubAck { mid: u16, codes: Vec<u8>, properties: Properties },
}

/// A message that came.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) publish: Publish,
    /// The topic as it came, when it is not UTF-8.
    pub(crate) undecoded: Option<Bytes>,
    pub(crate) dup: bool,
    /// 0 at QoS 0.
    pub(crate) mid: u16,
    /// Which of those that came; 0 at QoS 0.
    pub(crate) serial: u64,
    /// Whether this version has properties.
    pub(crate) has_properties: bool,
}

/// Kinds of events, in front of their tuples.
pub(crate) mod kind {
    pub(crate) const CONNACK: u8 = 1;
    pub(crate) const PUBLISHED: u8 = 2;
    pub(crate) const SUBACK: u8 = 3;
    pub(crate) const UNSUBACK: u8 = 4;
    pub(crate) const DISCONNECTED: u8 = 5;
    pub(crate) const AUTH: u8 = 6;
    pub(crate) const LOG: u8 = 7;
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Cause {
    Requested = 0,
    Lost = 1,
    KeepAlive = 2,
    Protocol = 3,
    Refused = 4,
    Server = 5,
    TimedOut = 6,
}

/// How a message ended: the last field of PUBLISHED.
pub(crate) mod outcome {
    pub(crate) const ACKNOWLEDGED: u8 = 0;
    pub(crate) const REFUSED: u8 = 1;
    pub(crate) const NOT_SENT: u8 = 2;
    pub(crate) const UNKNOWN: u8 = 3;
}
