//! Keys that are encrypted as PKCS#8 (RFC 5958 §3) with PBES2 (RFC 8018 §6.2).

use core::num::NonZeroU32;

use ring::pbkdf2;
use zeroize::Zeroizing;

use super::{
    Passphrase,
    cipher::{Cipher, Sealed},
    der::{self, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE},
};

/// A key that is encrypted, and how.
pub(super) struct Encrypted<'a> {
    function: pbkdf2::Algorithm,
    iterations: NonZeroU32,
    salt: &'a [u8],
    cipher: Cipher,
    vector: &'a [u8],
    bytes: &'a [u8],
}

/// What an encrypted key may be.
pub(super) enum Reading<'a> {
    Supported(Encrypted<'a>),
    /// It is one, but not in a way that is supported.
    Unsupported,
    /// It is no encrypted key at all.
    Other,
}

/// Reads a key that may be encrypted.
pub(super) fn read(der: &[u8]) -> Reading<'_> {
    let Some(parts) = parts(der) else {
        return Reading::Other;
    };
    encrypted(parts).map_or(Reading::Unsupported, Reading::Supported)
}

/// What every encrypted key has.
struct Parts<'a> {
    algorithm: &'a [u8],
    parameters: &'a [u8],
    bytes: &'a [u8],
}

fn parts(mut der: &[u8]) -> Option<Parts<'_>> {
    let mut key = der::take(&mut der, SEQUENCE)?;
    let mut how = der::take(&mut key, SEQUENCE)?;
    let algorithm = der::take(&mut how, OBJECT_IDENTIFIER)?;
    let bytes = der::take(&mut key, OCTET_STRING)?;
    (der.is_empty() && key.is_empty()).then_some(Parts { algorithm, parameters: how, bytes })
}

fn encrypted(mut parts: Parts<'_>) -> Option<Encrypted<'_>> {
    if parts.algorithm != PBES2 {
        return None;
    }
    let mut both = der::take(&mut parts.parameters, SEQUENCE)?;
    let (mut derivation, mut encryption) = (der::take(&mut both, SEQUENCE)?, der::take(&mut both, SEQUENCE)?);
    let cipher = match der::take(&mut encryption, OBJECT_IDENTIFIER)? {
        AES_128_CBC => Cipher::Aes128,
        AES_192_CBC => Cipher::Aes192,
        AES_256_CBC => Cipher::Aes256,
        DES_EDE3_CBC => Cipher::TripleDes,
        _ => return None,
    };
    let vector = der::take(&mut encryption, OCTET_STRING)?;
    if der::take(&mut derivation, OBJECT_IDENTIFIER)? != PBKDF2 {
        return None;
    }
    let mut derivation = der::take(&mut derivation, SEQUENCE)?;
    let salt = der::take(&mut derivation, OCTET_STRING)?;
    let iterations = number(der::take(&mut derivation, INTEGER)?)?;
    let key_len = der::take(&mut derivation, INTEGER).map(number);
    if key_len.is_some_and(|len| len.map(|len| len.get() as usize) != Some(cipher.key_len())) {
        return None;
    }
    let function = match der::take(&mut derivation, SEQUENCE) {
        None => pbkdf2::PBKDF2_HMAC_SHA1, // the default, which DER does not write
        Some(mut function) => match der::take(&mut function, OBJECT_IDENTIFIER)? {
            HMAC_SHA1 => pbkdf2::PBKDF2_HMAC_SHA1,
            HMAC_SHA256 => pbkdf2::PBKDF2_HMAC_SHA256,
            HMAC_SHA384 => pbkdf2::PBKDF2_HMAC_SHA384,
            HMAC_SHA512 => pbkdf2::PBKDF2_HMAC_SHA512,
            _ => return None,
        },
    };
    Some(Encrypted { function, iterations, salt, cipher, vector, bytes: parts.bytes })
}

const PBES2: &[u8] = b"\x2A\x86\x48\x86\xF7\x0D\x01\x05\x0D";
const PBKDF2: &[u8] = b"\x2A\x86\x48\x86\xF7\x0D\x01\x05\x0C";
const HMAC_SHA1: &[u8] = b"\x2A\x86\x48\x86\xF7\x0D\x02\x07";
const HMAC_SHA256: &[u8] = b"\x2A\x86\x48\x86\xF7\x0D\x02\x09";
const HMAC_SHA384: &[u8] = b"\x2A\x86\x48\x86\xF7\x0D\x02\x0A";
const HMAC_SHA512: &[u8] = b"\x2A\x86\x48\x86\xF7\x0D\x02\x0B";
const AES_128_CBC: &[u8] = b"\x60\x86\x48\x01\x65\x03\x04\x01\x02";
const AES_192_CBC: &[u8] = b"\x60\x86\x48\x01\x65\x03\x04\x01\x16";
const AES_256_CBC: &[u8] = b"\x60\x86\x48\x01\x65\x03\x04\x01\x2A";
const DES_EDE3_CBC: &[u8] = b"\x2A\x86\x48\x86\xF7\x0D\x03\x07";

fn number(big_endian: &[u8]) -> Option<NonZeroU32> {
    let positive = big_endian.first().is_some_and(|first| *first < 0x80) && big_endian.len() <= 4;
    let number = big_endian.iter().fold(0, |number, &byte| number << 8 | u32::from(byte));
    NonZeroU32::new(number).filter(|number| positive && number.get() <= MOST_ITERATIONS)
}

/// A damaged file shall not keep anyone waiting for hours: this takes seconds, and is ten times what is recommended.
const MOST_ITERATIONS: u32 = 10_000_000;

impl Encrypted<'_> {
    /// Opens it; `None` when the passphrase is wrong.
    pub(super) fn open(&self, passphrase: &Passphrase) -> Option<Zeroizing<Vec<u8>>> {
        let mut key = Zeroizing::new(vec![0; self.cipher.key_len()]);
        pbkdf2::derive(self.function, self.iterations, self.salt, passphrase.as_bytes(), &mut key);
        self.cipher.decrypt(&Sealed { key: &key, vector: self.vector, bytes: self.bytes })
    }
}
