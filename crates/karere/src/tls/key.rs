//! Private keys in all their wrappings.

use core::fmt;
use std::sync::Arc;

use rustls::{
    InconsistentKeys,
    pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer},
};
use zeroize::Zeroizing;

use super::{
    TlsError, der, legacy_pem,
    pbes2::{self, Reading},
    pem::Section,
};

/// What a key opens with. It is wiped from memory when it is dropped.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&str> for Passphrase {
    fn from(passphrase: &str) -> Self {
        passphrase.as_bytes().into()
    }
}

impl From<String> for Passphrase {
    fn from(passphrase: String) -> Self {
        passphrase.into_bytes().into()
    }
}

impl From<&[u8]> for Passphrase {
    fn from(passphrase: &[u8]) -> Self {
        passphrase.to_vec().into()
    }
}

impl From<Vec<u8>> for Passphrase {
    fn from(passphrase: Vec<u8>) -> Self {
        Self(Zeroizing::new(passphrase))
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(hidden)")
    }
}

/// How a passphrase is come by.
#[derive(Clone)]
pub(super) struct AskPassphrase(Arc<dyn Fn() -> Result<Passphrase, String> + Send + Sync>);

impl AskPassphrase {
    pub(super) fn value(passphrase: Passphrase) -> Self {
        Self(Arc::new(move || Ok(passphrase.clone())))
    }

    pub(super) fn function(ask: impl Fn() -> Result<Passphrase, String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }
}

fn ask(passphrase: Option<&AskPassphrase>, place: &str) -> Result<Passphrase, TlsError> {
    match passphrase {
        Some(AskPassphrase(ask)) => ask().map_err(|why| TlsError::PassphraseNotTold { why }),
        None => Err(TlsError::PassphraseMissing { place: place.to_owned() }),
    }
}

/// The key of a section of PEM.
pub(super) fn of_section(
    section: &Section,
    place: &str,
    passphrase: Option<&AskPassphrase>,
) -> Result<PrivateKeyDer<'static>, TlsError> {
    if let Some(how) = section.header("DEK-Info") {
        let opened = legacy_pem::open(&section.der, how, &ask(passphrase, place)?).map_err(|error| error.at(place))?;
        let wrong = |_| TlsError::PassphraseWrong { place: place.to_owned() };
        // Wrong passphrases leave proper padding once in 256 times, and then no key.
        return labelled(&section.label, &opened, place).and_then(|key| well_formed(key, place).map_err(wrong));
    }
    match section.label.as_str() {
        "ENCRYPTED PRIVATE KEY" => open_pkcs8(&section.der, place, passphrase),
        label => labelled(label, &section.der, place).and_then(|key| well_formed(key, place)),
    }
}

/// A key in DER.
pub(super) fn of_der(
    bytes: &[u8],
    place: &str,
    passphrase: Option<&AskPassphrase>,
) -> Result<PrivateKeyDer<'static>, TlsError> {
    if !der::is_sequence(bytes) {
        let instead = ": it is neither PEM nor DER".to_owned();
        return Err(TlsError::Missing { place: place.to_owned(), what: "private key", instead });
    }
    if !matches!(pbes2::read(bytes), Reading::Other) {
        return open_pkcs8(bytes, place, passphrase);
    }
    if der::is_pkcs12(bytes) {
        let why = "this is PKCS#12: convert it with `openssl pkcs12 -in FILE -nodes -out FILE.pem`".to_owned();
        return Err(TlsError::Malformed { place: place.to_owned(), why });
    }
    let why = |_| TlsError::UnsupportedKey {
        place: place.to_owned(),
        why: "this is no private key in PKCS#8, PKCS#1 or SEC1".to_owned(),
    };
    PrivateKeyDer::try_from(bytes).map(|key| key.clone_key()).map_err(why)
}

fn labelled(label: &str, der: &[u8], place: &str) -> Result<PrivateKeyDer<'static>, TlsError> {
    let why = match label {
        "PRIVATE KEY" => return Ok(PrivatePkcs8KeyDer::from(der.to_vec()).into()),
        "RSA PRIVATE KEY" => return Ok(PrivatePkcs1KeyDer::from(der.to_vec()).into()),
        "EC PRIVATE KEY" => return Ok(PrivateSec1KeyDer::from(der.to_vec()).into()),
        "OPENSSH PRIVATE KEY" => {
            "this is a key in OpenSSH's own format: convert it with `ssh-keygen -p -m PKCS8 -f FILE`".to_owned()
        }
        label => format!("keys of the kind {label} are not supported: use RSA, P-256, P-384 or Ed25519"),
    };
    Err(TlsError::UnsupportedKey { place: place.to_owned(), why })
}

/// That a key is one sequence; what is in it is the provider's business.
fn well_formed(key: PrivateKeyDer<'static>, place: &str) -> Result<PrivateKeyDer<'static>, TlsError> {
    if der::is_sequence(key.secret_der()) {
        return Ok(key);
    }
    Err(TlsError::Malformed { place: place.to_owned(), why: "the key is damaged".to_owned() })
}

fn open_pkcs8(der: &[u8], place: &str, passphrase: Option<&AskPassphrase>) -> Result<PrivateKeyDer<'static>, TlsError> {
    let Reading::Supported(encrypted) = pbes2::read(der) else {
        let why = "the key is encrypted in a way that is not supported, or damaged: encrypt it with `openssl pkcs8 \
                   -topk8 -v2 aes-256-cbc`";
        return Err(TlsError::UnsupportedKey { place: place.to_owned(), why: why.to_owned() });
    };
    let opened = encrypted.open(&ask(passphrase, place)?);
    // Wrong passphrases leave proper padding once in 256 times, and then no key.
    match opened.filter(|opened| PrivateKeyDer::try_from(&opened[..]).is_ok()) {
        Some(opened) => Ok(PrivatePkcs8KeyDer::from(opened.to_vec()).into()),
        None => Err(TlsError::PassphraseWrong { place: place.to_owned() }),
    }
}

/// What rustls says to a key and a certificate.
pub(super) fn refused(place: String, error: &rustls::Error) -> TlsError {
    match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::KeyOfAnotherCertificate { place },
        rustls::Error::InvalidCertificate(error) => {
            TlsError::Unusable { place, why: format!("the client's certificate is damaged: {error}") }
        }
        error => TlsError::UnsupportedKey {
            place,
            why: format!("the key cannot be used ({error}): use RSA from 2048 bits on, P-256, P-384 or Ed25519"),
        },
    }
}
