//! How TLS is spoken by a key that client and server share, instead of certificates.

use core::fmt;
use std::sync::Arc;

use karere_link::Psk;
use openssl::{
    error::ErrorStack,
    ssl::{SslContext, SslMethod, SslVersion},
};
use zeroize::Zeroizing;

use super::{TlsError, TlsVersion, suites, version};

/// What TLS by a pre-shared key shall be like (RFC 4279; RFC 8446 §2.2). For [`Options::pre_shared_key`].
///
/// Only the key is trusted: there are no CAs, no host names to compare, and a server that shows a certificate is refused.
/// Whoever has the key can pose as either side, so give each client one of its own.
///
/// ```no_run
/// use karere::{Options, tls::{PreSharedKey, PskOptions}};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let key = PreSharedKey::from_hex("8e0a61cb4d9e56f0b0c2a9b0a5f1d077")?;
/// let options = Options::new("mqtts://broker.example")?.pre_shared_key(PskOptions::new("pump-7", key).build()?);
/// # Ok(())
/// # }
/// ```
///
/// [`Options::pre_shared_key`]: crate::Options::pre_shared_key
#[derive(Clone, Debug)]
#[must_use]
pub struct PskOptions {
    identity: String,
    key: PreSharedKey,
    minimum: Option<TlsVersion>,
    maximum: Option<TlsVersion>,
    cipher_suites: Vec<String>,
}

impl PskOptions {
    /// TLS 1.2 and 1.3 with this key, which the server knows by this identity. The identity is no secret: it is sent in
    /// the clear.
    ///
    /// Hints that a server gives about identities are not followed; they stand in the errors of refused handshakes.
    pub fn new(identity: impl Into<String>, key: PreSharedKey) -> Self {
        Self { identity: identity.into(), key, minimum: None, maximum: None, cipher_suites: Vec::new() }
    }

    /// Speaks no older version than this; the default is 1.2, and nothing older is to be had.
    pub const fn minimum_version(mut self, version: TlsVersion) -> Self {
        self.minimum = Some(version);
        self
    }

    /// Speaks no newer version than this; the default is 1.3.
    pub const fn maximum_version(mut self, version: TlsVersion) -> Self {
        self.maximum = Some(version);
        self
    }

    /// Speaks these cipher suites only: names as IANA or OpenSSL writes them, separated by `:`, `,` or spaces.
    ///
    /// They are for both versions: with suites of TLS 1.2 alone, 1.3 is not spoken. By default those that keep recorded
    /// traffic safe when the key leaks later come first (`ECDHE-PSK-…`, `DHE-PSK-…`); those of short tags
    /// (`PSK-AES128-CCM8`) are spoken only when they are named.
    pub fn cipher_suites(mut self, names: &str) -> Self {
        self.cipher_suites.extend(suites::split(names));
        self
    }

    /// Checks that everything fits.
    ///
    /// # Errors
    ///
    /// [`TlsError`] says which setting is wrong, and what would be right.
    pub fn build(&self) -> Result<Psk, TlsError> {
        check_identity(&self.identity)?;
        let range = version::range(self.minimum, self.maximum)?;
        let wanted = named(&self.cipher_suites)?;
        let of = |version| {
            let all = wanted.iter().filter(|suite| suite.version == version && range.contains(&version));
            all.map(|suite| suite.openssl).collect::<Vec<_>>().join(":")
        };
        let (old, new) = (of(TlsVersion::Tls12), of(TlsVersion::Tls13));
        let versions = match (old.is_empty(), new.is_empty()) {
            (true, true) => return Err(version::no_suites(&range)),
            (true, false) => (SslVersion::TLS1_3, SslVersion::TLS1_3),
            (false, true) => (SslVersion::TLS1_2, SslVersion::TLS1_2),
            (false, false) => (SslVersion::TLS1_2, SslVersion::TLS1_3),
        };
        let begin = || {
            let mut context = SslContext::builder(SslMethod::tls_client())?;
            context.set_min_proto_version(Some(versions.0))?;
            context.set_max_proto_version(Some(versions.1))?;
            if !old.is_empty() {
                context.set_cipher_list(&old)?;
            }
            if !new.is_empty() {
                context.set_ciphersuites(&new)?;
            }
            Ok(context)
        };
        let context =
            begin().map_err(|error: ErrorStack| TlsError::Refused(format!("OpenSSL does not take this: {error}")))?;
        Ok(Psk::new(context, self.identity.as_str(), self.key.clone().0))
    }
}

/// A key that client and server share. It is wiped from memory when it is dropped.
#[derive(Clone)]
pub struct PreSharedKey(Secret);

impl PreSharedKey {
    /// These bytes, 1 to 512 of them; 256 with an OpenSSL older than 3.
    ///
    /// # Errors
    ///
    /// [`TlsError::PreSharedKey`] when there are none, or too many.
    pub fn from_bytes(bytes: impl AsRef<[u8]>) -> Result<Self, TlsError> {
        Self::new(Zeroizing::new(bytes.as_ref().to_vec()))
    }

    /// The bytes that these hexadecimal digits stand for, as in a `psk_file` of mosquitto.
    ///
    /// # Errors
    ///
    /// [`TlsError::PreSharedKey`] when there are none, too many, an odd number of them, or something else among them.
    pub fn from_hex(digits: &str) -> Result<Self, TlsError> {
        // The error says where, and not what: it would be a part of the key.
        if let Some(at) = digits.bytes().position(|digit| !digit.is_ascii_hexdigit()) {
            let why = format!("it is to be written in hexadecimal digits, and character {} is none", at + 1);
            return Err(TlsError::PreSharedKey { why });
        }
        if digits.len() % 2 == 1 {
            let why = format!("a byte is two hexadecimal digits, but there are {}", digits.len());
            return Err(TlsError::PreSharedKey { why });
        }
        let mut key = Zeroizing::new(Vec::with_capacity(digits.len() / 2));
        for pair in digits.as_bytes().chunks_exact(2) {
            key.push(value(pair[0]) << 4 | value(pair[1]));
        }
        Self::new(key)
    }

    fn new(bytes: Zeroizing<Vec<u8>>) -> Result<Self, TlsError> {
        let most = limits().key;
        match bytes.len() {
            0 => Err(TlsError::PreSharedKey { why: "it is empty".to_owned() }),
            len if len > most => {
                Err(TlsError::PreSharedKey { why: format!("it has {len} bytes, and OpenSSL takes up to {most}") })
            }
            _ => Ok(Self(Secret(Arc::new(bytes)))),
        }
    }
}

/// The digit is one, which has been checked.
const fn value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

impl fmt::Debug for PreSharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PreSharedKey(hidden)")
    }
}

/// One copy for all connections.
#[derive(Clone)]
struct Secret(Arc<Zeroizing<Vec<u8>>>);

impl AsRef<[u8]> for Secret {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

fn check_identity(identity: &str) -> Result<(), TlsError> {
    let most = limits().identity;
    let why = match identity.len() {
        0 => "it is empty".to_owned(),
        _ if identity.contains('\0') => "it has a zero byte in it, where OpenSSL would end it".to_owned(),
        len if len > most => format!("it has {len} bytes, and OpenSSL takes up to {most}"),
        _ => return Ok(()),
    };
    Err(TlsError::Identity { why })
}

/// How many bytes OpenSSL takes.
struct Limits {
    identity: usize,
    key: usize,
}

/// `PSK_MAX_IDENTITY_LEN` and `PSK_MAX_PSK_LEN` of `openssl/ssl.h`.
fn limits() -> Limits {
    if openssl::version::number() >= 0x3000_0000 {
        Limits { identity: 256, key: 512 }
    } else {
        Limits { identity: 128, key: 256 }
    }
}

/// A cipher suite that needs the key and nothing else. Those with RSA want a certificate too, and those without encryption
/// or with SHA-1 are not for today.
#[derive(Clone, Copy)]
struct Suite {
    version: TlsVersion,
    iana: &'static str,
    openssl: &'static str,
    offered: Offered,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Offered {
    ByDefault,
    WhenNamed,
}

const fn new(name: &'static str) -> Suite {
    Suite { version: TlsVersion::Tls13, iana: name, openssl: name, offered: Offered::ByDefault }
}

const fn old(iana: &'static str, openssl: &'static str) -> Suite {
    Suite { version: TlsVersion::Tls12, iana, openssl, offered: Offered::ByDefault }
}

const fn when_named(iana: &'static str, openssl: &'static str) -> Suite {
    Suite { offered: Offered::WhenNamed, ..old(iana, openssl) }
}

/// Most wanted first. OpenSSL ties a key to SHA-256 in TLS 1.3 (RFC 8446 §4.2.11), so that there is no
/// `TLS_AES_256_GCM_SHA384`: a server might choose it, and could not use the key then.
const SUITES: &[Suite] = &[
    new("TLS_AES_128_GCM_SHA256"),
    new("TLS_CHACHA20_POLY1305_SHA256"),
    old("TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-PSK-CHACHA20-POLY1305"),
    old("TLS_DHE_PSK_WITH_AES_256_GCM_SHA384", "DHE-PSK-AES256-GCM-SHA384"),
    old("TLS_DHE_PSK_WITH_AES_128_GCM_SHA256", "DHE-PSK-AES128-GCM-SHA256"),
    old("TLS_DHE_PSK_WITH_CHACHA20_POLY1305_SHA256", "DHE-PSK-CHACHA20-POLY1305"),
    old("TLS_ECDHE_PSK_WITH_AES_256_CBC_SHA384", "ECDHE-PSK-AES256-CBC-SHA384"),
    old("TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA256", "ECDHE-PSK-AES128-CBC-SHA256"),
    old("TLS_PSK_WITH_AES_256_GCM_SHA384", "PSK-AES256-GCM-SHA384"),
    old("TLS_PSK_WITH_AES_128_GCM_SHA256", "PSK-AES128-GCM-SHA256"),
    old("TLS_PSK_WITH_CHACHA20_POLY1305_SHA256", "PSK-CHACHA20-POLY1305"),
    old("TLS_PSK_WITH_AES_256_CCM", "PSK-AES256-CCM"),
    old("TLS_PSK_WITH_AES_128_CCM", "PSK-AES128-CCM"),
    old("TLS_PSK_WITH_AES_256_CBC_SHA384", "PSK-AES256-CBC-SHA384"),
    old("TLS_PSK_WITH_AES_128_CBC_SHA256", "PSK-AES128-CBC-SHA256"),
    when_named("TLS_PSK_WITH_AES_256_CCM_8", "PSK-AES256-CCM8"),
    when_named("TLS_PSK_WITH_AES_128_CCM_8", "PSK-AES128-CCM8"),
];

/// The suites of these names, in their order; without names, those that are offered by default.
fn named(names: &[String]) -> Result<Vec<Suite>, TlsError> {
    if names.is_empty() {
        return Ok(SUITES.iter().filter(|suite| suite.offered == Offered::ByDefault).copied().collect());
    }
    let find = |name: &String| {
        let is = |suite: &&Suite| suite.iana.eq_ignore_ascii_case(name) || suite.openssl.eq_ignore_ascii_case(name);
        SUITES.iter().find(is).copied().ok_or_else(|| TlsError::CipherSuite {
            name: name.clone(),
            supported: SUITES.iter().map(|suite| suite.iana).collect(),
        })
    };
    names.iter().map(find).collect()
}
