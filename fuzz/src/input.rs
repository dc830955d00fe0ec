//! How bytes become numbers, choices and texts.

use bytes::Bytes;
use karere_proto::{Side, Version};

/// Bytes that are eaten from the front; when they are used up, everything is 0.
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        first
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from(self.u16()) << 16 | u32::from(self.u16())
    }

    /// A number below `limit`, which is 1 to 256.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit
    }

    pub(crate) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// As many bytes as the next one says.
    pub(crate) fn some(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte()).min(self.0.len());
        let (some, rest) = self.0.split_at(length);
        self.0 = rest;
        some
    }

    /// As [`Input::some`], with everything that is not UTF-8 replaced.
    pub(crate) fn text(&mut self) -> String {
        String::from_utf8_lossy(self.some()).into_owned()
    }

    pub(crate) fn bytes(&mut self) -> Bytes {
        Bytes::copy_from_slice(self.some())
    }

    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What a first byte says: a version, who sends, and three bits that are free. `cargo xtask fuzz` writes its seeds so.
pub(crate) struct Mode {
    pub(crate) version: Version,
    pub(crate) sender: Side,
    pub(crate) flags: u8,
}

impl Mode {
    pub(crate) fn new(byte: u8) -> Self {
        let version = Version::ALL[usize::from(byte & 0b11) % 3];
        let sender = if byte & 0b100 == 0 { Side::Client } else { Side::Server };
        Self { version, sender, flags: byte >> 5 }
    }
}
