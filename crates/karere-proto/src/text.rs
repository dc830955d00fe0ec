//! UTF-8 Encoded Strings (§1.5.4).

use core::{fmt, ops::Deref};

use bytes::Bytes;

/// The longest string and the longest Binary Data MQTT can carry, in bytes (§1.5.4, §1.5.6).
pub const MAX_FIELD: usize = 65_535;

/// A string as MQTT carries it: at most 65,535 bytes of well-formed UTF-8 without U+0000 (§1.5.4).
///
/// Cheap to clone; a received one is a slice of the buffer it was read into.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Utf8String(Bytes);

impl Utf8String {
    /// Checks and copies `text`.
    ///
    /// # Errors
    ///
    /// [`InvalidString`] when it is longer than 65,535 bytes or has U+0000 in it.
    pub fn new(text: &str) -> Result<Self, InvalidString> {
        check(text.as_bytes())?;
        Ok(Self(Bytes::copy_from_slice(text.as_bytes())))
    }

    /// Checks `bytes` and takes them without a copy.
    ///
    /// # Errors
    ///
    /// [`InvalidString`] when they are not such a string.
    #[inline]
    pub fn from_bytes(bytes: Bytes) -> Result<Self, InvalidString> {
        check(&bytes)?;
        if core::str::from_utf8(&bytes).is_err() {
            return Err(InvalidString::NotUtf8);
        }
        Ok(Self(bytes))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        // Checking again costs a few nanoseconds for the lengths MQTT sees; trusting would take `unsafe`.
        core::str::from_utf8(&self.0).expect("invariant: checked when made")
    }

    /// The bytes of the text.
    pub const fn as_bytes(&self) -> &Bytes {
        &self.0
    }
}

fn check(bytes: &[u8]) -> Result<(), InvalidString> {
    if bytes.len() > MAX_FIELD {
        Err(InvalidString::TooLong(bytes.len()))
    } else if bytes.contains(&0) {
        Err(InvalidString::Nul)
    } else {
        Ok(())
    }
}

impl Deref for Utf8String {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl TryFrom<&str> for Utf8String {
    type Error = InvalidString;

    fn try_from(text: &str) -> Result<Self, InvalidString> {
        Self::new(text)
    }
}

impl TryFrom<String> for Utf8String {
    type Error = InvalidString;

    fn try_from(text: String) -> Result<Self, InvalidString> {
        check(text.as_bytes())?;
        Ok(Self(Bytes::from(text)))
    }
}

impl fmt::Debug for Utf8String {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Utf8String {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a text cannot be a string of MQTT (§1.5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidString {
    /// It contains U+0000 [MQTT-1.5.4-2].
    Nul,
    /// It is not well-formed UTF-8 [MQTT-1.5.4-1].
    NotUtf8,
    /// It has this many bytes; 65,535 is the limit.
    TooLong(usize),
}

impl fmt::Display for InvalidString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nul => f.write_str("contains U+0000, which MQTT forbids [MQTT-1.5.4-2]"),
            Self::NotUtf8 => f.write_str("is not well-formed UTF-8 [MQTT-1.5.4-1]"),
            Self::TooLong(length) => write!(f, "is {length} bytes long; at most {MAX_FIELD} fit (§1.5.4)"),
        }
    }
}

impl core::error::Error for InvalidString {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_order_mark_is_kept() {
        let text = Utf8String::new("\u{FEFF}a").expect("legal");
        assert_eq!(text.as_bytes().as_ref(), b"\xEF\xBB\xBFa");
        assert_ne!(text, Utf8String::new("a").expect("legal"));
    }

    #[test]
    fn nul_overlong_and_surrogates_are_refused() {
        assert_eq!(Utf8String::new("a\0"), Err(InvalidString::Nul));
        for bad in [&b"\xC0\x80"[..], b"\xED\xA0\x80", b"\xED\xBF\xBF", b"\xF5\x80\x80\x80", b"\x80", b"\xE0\x80\x80"] {
            assert_eq!(Utf8String::from_bytes(Bytes::from_static(bad)), Err(InvalidString::NotUtf8), "{bad:x?}");
        }
    }

    #[test]
    fn strings_of_65535_bytes_fit_and_longer_ones_do_not() {
        assert!(Utf8String::new(&"x".repeat(65_535)).is_ok());
        assert_eq!(Utf8String::new(&"x".repeat(65_536)), Err(InvalidString::TooLong(65_536)));
    }
}
