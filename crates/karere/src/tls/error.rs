//! What is wrong with options for TLS, and what would be right.

use core::fmt;
use std::{io, path::PathBuf};

use super::TlsVersion;

/// What is wrong with options for TLS.
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// A file or directory cannot be read, or not be written to.
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What was read is not what it should be.
    Malformed {
        /// Which file or bytes, and the line if it is known.
        place: String,
        /// What is wrong.
        why: String,
    },
    /// There is nothing of the kind that is needed.
    Missing {
        /// Which file or bytes.
        place: String,
        /// What is needed.
        what: &'static str,
        /// What there is instead.
        instead: String,
    },
    /// A certificate or a revocation list cannot be used.
    Unusable {
        /// Which file or bytes, and the line if it is known.
        place: String,
        /// Why.
        why: String,
    },
    /// The platform has no CAs.
    NoPlatformAuthorities {
        /// What was told while looking for them.
        why: String,
    },
    /// There is a key for the client, but no certificate.
    KeyWithoutCertificate,
    /// The client's key is not that of its certificate.
    KeyOfAnotherCertificate {
        /// Where the key is.
        place: String,
    },
    /// The client's key is of a kind that cannot be used.
    UnsupportedKey {
        /// Where the key is.
        place: String,
        /// Why.
        why: String,
    },
    /// The client's key is encrypted, and there is no passphrase.
    PassphraseMissing {
        /// Where the key is.
        place: String,
    },
    /// The client's key is encrypted, and not with this passphrase.
    PassphraseWrong {
        /// Where the key is.
        place: String,
    },
    /// The passphrase could not be asked for.
    PassphraseNotTold {
        /// What the function said.
        why: String,
    },
    /// A version of TLS that is no longer secure.
    VersionTooOld(TlsVersion),
    /// No version of TLS is left.
    NoVersion {
        /// Why.
        why: String,
    },
    /// A cipher suite that is unknown, or not supported.
    CipherSuite {
        /// As it was given.
        name: String,
        /// Those that are supported, as IANA writes them.
        supported: Vec<&'static str>,
    },
    /// The identity of a pre-shared key cannot be one.
    #[cfg(feature = "openssl")]
    Identity {
        /// Why.
        why: String,
    },
    /// A pre-shared key cannot be one.
    #[cfg(feature = "openssl")]
    PreSharedKey {
        /// Why; nothing of the key.
        why: String,
    },
    /// The name of the server can stand in no certificate.
    ServerName(String),
    /// The settings do not fit each other.
    Refused(String),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, source } => write!(f, "cannot open {}: {source}", path.display()),
            Self::Malformed { place, why } | Self::Unusable { place, why } => write!(f, "{place}: {why}"),
            Self::Missing { place, what, instead } => write!(f, "{place}: there is no {what} here{instead}"),
            Self::NoPlatformAuthorities { why } => {
                let colon = if why.is_empty() { "" } else { ": " };
                write!(
                    f,
                    "this machine has no certificates of CAs{colon}{why}; install them (Debian: the package \
                     ca-certificates), set SSL_CERT_FILE, or give a CA"
                )
            }
            Self::KeyWithoutCertificate => {
                f.write_str("there is a key for the client but no certificate: give both, or neither")
            }
            Self::KeyOfAnotherCertificate { place } => {
                write!(f, "{place}: this is not the key of the client's certificate: the first one in its file counts")
            }
            Self::UnsupportedKey { place, why } => write!(f, "{place}: {why}"),
            Self::PassphraseMissing { place } => write!(f, "{place}: the key is encrypted: give its passphrase"),
            Self::PassphraseWrong { place } => write!(f, "{place}: the key does not open with this passphrase"),
            Self::PassphraseNotTold { why } => write!(f, "the passphrase of the key was not told: {why}"),
            Self::VersionTooOld(version) => {
                write!(f, "{version} is not secure and not supported (RFC 8996): use TLS 1.2 or 1.3")
            }
            Self::NoVersion { why } => write!(f, "there is no version of TLS to speak: {why}"),
            Self::CipherSuite { name, supported } => {
                write!(
                    f,
                    "the cipher suite \"{}\" is unknown or not supported; supported are {}",
                    name.escape_debug(),
                    supported.join(", ")
                )
            }
            #[cfg(feature = "openssl")]
            Self::Identity { why } => write!(f, "the identity of the pre-shared key cannot be used: {why}"),
            #[cfg(feature = "openssl")]
            Self::PreSharedKey { why } => write!(f, "the pre-shared key cannot be used: {why}"),
            Self::ServerName(why) | Self::Refused(why) => f.write_str(why),
        }
    }
}

impl core::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } => Some(source),
            _ => None,
        }
    }
}
