//! Topic names and topic filters (§4.7).

mod filter;
mod tree;

use core::fmt;

use bytes::Bytes;

pub use filter::{Filter, InvalidFilter, matches};
pub use tree::FilterTree;

use crate::text::{InvalidString, MAX_FIELD, Utf8String};

/// A Topic Name: 1 to 65,535 bytes of UTF-8 without wildcards and U+0000 (§4.7.1, §4.7.3).
///
/// Cheap to clone. Case counts, levels may be empty, nothing is normalised.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(Utf8String);

impl Topic {
    /// Checks and copies `name`.
    ///
    /// # Errors
    ///
    /// [`InvalidTopic`] says what is wrong with it.
    pub fn new(name: impl AsRef<str>) -> Result<Self, InvalidTopic> {
        let name = name.as_ref();
        check_name(name.as_bytes())?;
        Ok(Self(Utf8String::new(name).map_err(InvalidTopic::String)?))
    }

    /// Checks `bytes` and takes them without a copy.
    ///
    /// # Errors
    ///
    /// [`InvalidTopic`] says what is wrong with them.
    #[inline]
    pub fn from_bytes(bytes: Bytes) -> Result<Self, InvalidTopic> {
        check_name(&bytes)?;
        Ok(Self(Utf8String::from_bytes(bytes).map_err(InvalidTopic::String)?))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The bytes of the name.
    pub const fn as_bytes(&self) -> &Bytes {
        self.0.as_bytes()
    }

    /// True for names a server keeps for itself, such as `$SYS/…` (§4.7.2).
    pub fn is_reserved(&self) -> bool {
        self.as_bytes().first() == Some(&b'$')
    }
}

pub(crate) fn check_name(bytes: &[u8]) -> Result<(), InvalidTopic> {
    if bytes.is_empty() {
        return Err(InvalidTopic::Empty);
    }
    if bytes.len() > MAX_FIELD {
        return Err(InvalidTopic::String(InvalidString::TooLong(bytes.len())));
    }
    // No early exit: the loop becomes vector code, and topics are short.
    if bytes.iter().fold(false, |found, &byte| found | (byte == b'+') | (byte == b'#')) {
        return Err(InvalidTopic::Wildcard);
    }
    Ok(())
}

impl AsRef<str> for Topic {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl TryFrom<&str> for Topic {
    type Error = InvalidTopic;

    fn try_from(name: &str) -> Result<Self, InvalidTopic> {
        Self::new(name)
    }
}

impl TryFrom<String> for Topic {
    type Error = InvalidTopic;

    fn try_from(name: String) -> Result<Self, InvalidTopic> {
        Self::from_bytes(Bytes::from(name))
    }
}

impl TryFrom<&Self> for Topic {
    type Error = InvalidTopic;

    fn try_from(topic: &Self) -> Result<Self, InvalidTopic> {
        Ok(topic.clone())
    }
}

impl From<core::convert::Infallible> for InvalidTopic {
    fn from(never: core::convert::Infallible) -> Self {
        match never {}
    }
}

impl PartialEq<str> for Topic {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for Topic {
    fn eq(&self, other: &&str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a text cannot be a topic name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidTopic {
    /// It is empty [MQTT-4.7.3-1].
    Empty,
    /// It is no string of MQTT.
    String(InvalidString),
    /// It contains `+` or `#`, which only topic filters may [MQTT-4.7.0-1].
    Wildcard,
}

impl fmt::Display for InvalidTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("topic name is empty [MQTT-4.7.3-1]"),
            Self::String(string) => write!(f, "topic name {string}"),
            Self::Wildcard => f.write_str(
                "topic name contains + or #; only topic filters may, to publish name one topic [MQTT-4.7.0-1]",
            ),
        }
    }
}

impl core::error::Error for InvalidTopic {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_wildcards_nul_or_nothing_are_refused() {
        assert_eq!(Topic::new(""), Err(InvalidTopic::Empty));
        assert_eq!(Topic::new("a/+"), Err(InvalidTopic::Wildcard));
        assert_eq!(Topic::new("#"), Err(InvalidTopic::Wildcard));
        assert_eq!(Topic::new("a\0b"), Err(InvalidTopic::String(InvalidString::Nul)));
        assert!(Topic::new("x".repeat(65_535)).is_ok());
        assert!(Topic::new("x".repeat(65_536)).is_err());
    }

    #[test]
    fn empty_levels_case_and_spaces_are_kept() {
        for name in ["/", "/a", "a//b", "a/", "a b", "A", "$SYS/x", "\u{FEFF}a"] {
            assert_eq!(Topic::new(name).expect("legal").as_str(), name);
        }
    }
}
