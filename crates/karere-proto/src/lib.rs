//! MQTT 3.1, 3.1.1 and 5.0 without I/O: packets, properties, sessions.
//!
//! This crate knows what MQTT says. It never sees a socket, a clock, a file or a thread: bytes and time come in as
//! arguments, and bytes, events, journal records and deadlines are asked for.

mod codec;
mod error;
mod id;
pub mod packet;
pub mod properties;
mod qos;
mod reason;
pub mod session;
mod text;
pub mod topic;
mod version;

pub use codec::{Frame, FrameLimits, Lsn, MAX_VARINT, SendBuf, next_frame};
pub use error::{ProtocolError, Rule};
pub use id::{PacketId, Token};
pub use packet::{Packet, PacketType, Publish, Side};
pub use properties::{Carrier, InvalidProperty, Properties, PropertyId, Value};
pub use qos::{InvalidQoS, QoS};
pub use reason::ReasonCode;
pub use session::Session;
pub use text::{InvalidString, MAX_FIELD, Utf8String};
pub use topic::{Filter, InvalidFilter, InvalidTopic, Topic};
pub use version::{ClientIdRule, Version, WireRules};
