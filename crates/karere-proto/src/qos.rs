//! How often a message may arrive: QoS 0, 1 and 2 (§4.3).

use core::fmt;

/// Quality of service of a message or a subscription (§4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the protocol has exactly three; 3 is malformed [MQTT-3.3.1-4]")]
pub enum QoS {
    /// QoS 0: sent once, never acknowledged; may be lost.
    #[default]
    AtMostOnce = 0,
    /// QoS 1: sent until acknowledged; may arrive more than once.
    AtLeastOnce = 1,
    /// QoS 2: arrives exactly once within a session.
    ExactlyOnce = 2,
}

impl QoS {
    /// Reads the two bits of the wire; 3 is forbidden [MQTT-3.3.1-4].
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }

    /// The level as the number of the specification: 0, 1 or 2.
    pub const fn level(self) -> u8 {
        self as u8
    }
}

impl TryFrom<u8> for QoS {
    type Error = InvalidQoS;

    fn try_from(level: u8) -> Result<Self, InvalidQoS> {
        Self::from_bits(level).ok_or(InvalidQoS(level))
    }
}

impl fmt::Display for QoS {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.level())
    }
}

/// A QoS level that is none: MQTT has 0, 1 and 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidQoS(u8);

impl fmt::Display for InvalidQoS {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QoS {} does not exist; use 0, 1 or 2 [MQTT-3.3.1-4]", self.0)
    }
}

impl core::error::Error for InvalidQoS {}
