//! Names for things in flight: packet identifiers and tokens.

use core::{
    fmt,
    hash::{BuildHasherDefault, Hasher},
    num::NonZeroU16,
};
use std::collections::HashMap;

/// Packet Identifier, 1 to 65,535 (§2.2.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketId(NonZeroU16);

impl PacketId {
    /// The first identifier a session uses.
    pub const FIRST: Self = Self(NonZeroU16::MIN);

    /// Wraps `id`; 0 is no identifier [MQTT-2.2.1-3].
    pub const fn new(id: u16) -> Option<Self> {
        match NonZeroU16::new(id) {
            Some(id) => Some(Self(id)),
            None => None,
        }
    }

    /// The number on the wire.
    pub const fn get(self) -> u16 {
        self.0.get()
    }

    /// The identifier after this one; 1 follows 65,535.
    pub const fn next(self) -> Self {
        match self.0.checked_add(1) {
            Some(next) => Self(next),
            None => Self::FIRST,
        }
    }
}

impl fmt::Debug for PacketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for PacketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Names one accepted publish, subscribe or unsubscribe until its outcome is told.
///
/// Unlike a packet identifier it exists from the moment of acceptance and is never used again in the life of a session.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(u64);

impl Token {
    /// Rebuilds a token from [`Token::get`], for bindings that carry it as a number.
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// The token as a number; later tokens are larger.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Never overflows: a session begins at [`Snapshot::LAST_SEQ`](crate::session::Snapshot::LAST_SEQ) at most.
    pub(crate) const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", self.0)
    }
}

/// A map by packet identifier. The hash is one multiplication: identifiers come from a counter, not from an attacker.
pub(crate) type IdMap<V> = HashMap<PacketId, V, BuildHasherDefault<IdHasher>>;

#[derive(Clone, Copy, Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u16(&mut self, id: u16) {
        self.write_u64(u64::from(id));
    }

    fn write_u64(&mut self, number: u64) {
        // Fibonacci hashing: the top bits, which select the control byte, depend on all of the input.
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_wrap_from_65535_to_1() {
        assert_eq!(PacketId::new(65_535).map(PacketId::next), Some(PacketId::FIRST));
        assert_eq!(PacketId::FIRST.next().get(), 2);
        assert_eq!(PacketId::new(0), None);
    }

    #[test]
    fn id_map_keeps_every_identifier_apart() {
        let mut map = IdMap::default();
        for id in (1..=u16::MAX).filter_map(PacketId::new) {
            map.insert(id, id.get());
        }
        assert_eq!(map.len(), 65_535);
        assert!((1..=u16::MAX).filter_map(PacketId::new).all(|id| map[&id] == id.get()));
    }
}
