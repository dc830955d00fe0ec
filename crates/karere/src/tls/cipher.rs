//! Ciphers that keys are encrypted with.

use aes::{Aes128, Aes192, Aes256};
use cbc::cipher::{BlockCipherDecrypt, BlockModeDecrypt, InnerIvInit, KeyInit, block_padding::Pkcs7};
use des::TdesEde3;
use zeroize::Zeroizing;

/// A cipher in CBC mode, with padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cipher {
    Aes128,
    Aes192,
    Aes256,
    TripleDes,
}

impl Cipher {
    /// How many bytes its key has.
    pub(super) const fn key_len(self) -> usize {
        match self {
            Self::Aes128 => 16,
            Self::Aes192 | Self::TripleDes => 24,
            Self::Aes256 => 32,
        }
    }

    /// `None` when key or vector have the wrong length, or the padding is wrong: most likely because the key is.
    pub(super) fn decrypt(self, sealed: &Sealed<'_>) -> Option<Zeroizing<Vec<u8>>> {
        match self {
            Self::Aes128 => decrypt::<Aes128>(sealed),
            Self::Aes192 => decrypt::<Aes192>(sealed),
            Self::Aes256 => decrypt::<Aes256>(sealed),
            Self::TripleDes => decrypt::<TdesEde3>(sealed),
        }
    }
}

/// What is encrypted, and with what.
pub(super) struct Sealed<'a> {
    pub(super) key: &'a [u8],
    pub(super) vector: &'a [u8],
    pub(super) bytes: &'a [u8],
}

fn decrypt<C: BlockCipherDecrypt + KeyInit>(sealed: &Sealed<'_>) -> Option<Zeroizing<Vec<u8>>> {
    let cipher = C::new_from_slice(sealed.key).ok()?;
    let cipher = cbc::Decryptor::inner_iv_slice_init(cipher, sealed.vector).ok()?;
    let mut buffer = Zeroizing::new(sealed.bytes.to_vec());
    let len = cipher.decrypt_padded::<Pkcs7>(&mut buffer).ok()?.len();
    buffer.truncate(len);
    Some(buffer)
}
