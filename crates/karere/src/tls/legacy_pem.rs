//! Keys that OpenSSL encrypted the way of old, with `Proc-Type` and `DEK-Info` in their PEM (RFC 1421 §4.6.1.3).

use md5::{Digest, Md5};
use zeroize::Zeroizing;

use super::{
    Passphrase, TlsError,
    cipher::{Cipher, Sealed},
};

/// Why a key was not opened.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Closed {
    Unsupported(String),
    WrongPassphrase,
}

impl Closed {
    pub(super) fn at(self, place: &str) -> TlsError {
        let place = place.to_owned();
        match self {
            Self::Unsupported(why) => TlsError::UnsupportedKey { place, why },
            Self::WrongPassphrase => TlsError::PassphraseWrong { place },
        }
    }
}

/// Opens what is encrypted as `DEK-Info` says: a cipher, a comma, and its initialisation vector.
pub(super) fn open(encrypted: &[u8], how: &str, passphrase: &Passphrase) -> Result<Zeroizing<Vec<u8>>, Closed> {
    let unsupported = || {
        let how = how.escape_debug();
        Closed::Unsupported(format!(
            "the key is encrypted with \"{how}\", which is not supported: encrypt it with \
             `openssl pkcs8 -topk8 -v2 aes-256-cbc`"
        ))
    };
    let (cipher, vector) = how.split_once(',').ok_or_else(unsupported)?;
    let vector = hex(vector.trim()).ok_or_else(unsupported)?;
    let salt = vector.first_chunk::<8>().ok_or_else(unsupported)?;
    let cipher = match cipher.trim() {
        "AES-128-CBC" => Cipher::Aes128,
        "AES-192-CBC" => Cipher::Aes192,
        "AES-256-CBC" => Cipher::Aes256,
        "DES-EDE3-CBC" => Cipher::TripleDes,
        _ => return Err(unsupported()),
    };
    let key = derive(cipher.key_len(), salt, passphrase);
    cipher.decrypt(&Sealed { key: &key, vector: &vector, bytes: encrypted }).ok_or(Closed::WrongPassphrase)
}

/// OpenSSL's `EVP_BytesToKey` with MD5 and one round.
fn derive(len: usize, salt: &[u8; 8], passphrase: &Passphrase) -> Zeroizing<Vec<u8>> {
    let mut key = Zeroizing::new(vec![0; len]);
    let mut block = Zeroizing::new([0; 16]);
    for (index, part) in key.chunks_mut(16).enumerate() {
        let mut digest = Md5::new();
        if index > 0 {
            digest.update(&block[..]);
        }
        digest.update(passphrase.as_bytes());
        digest.update(salt);
        block.copy_from_slice(&digest.finalize());
        part.copy_from_slice(&block[..part.len()]);
    }
    key
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |&digit: &u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(pair.first()?)? << 4 | digit(pair.get(1)?)?)).collect()
}
