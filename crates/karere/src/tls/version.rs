//! Versions of TLS.

use core::{fmt, ops::RangeInclusive, str::FromStr};

use rustls::{SupportedProtocolVersion, crypto::CryptoProvider};

use super::TlsError;

/// A version of TLS. The older two are here to be refused by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.0: not secure, refused.
    Tls10,
    /// TLS 1.1: not secure, refused.
    Tls11,
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls10 => "TLS 1.0",
            Self::Tls11 => "TLS 1.1",
            Self::Tls12 => "TLS 1.2",
            Self::Tls13 => "TLS 1.3",
        })
    }
}

/// Reads `1.2`, `tls1.2`, `TLSv1.2` and the like.
impl FromStr for TlsVersion {
    type Err = UnknownTlsVersion;

    fn from_str(text: &str) -> Result<Self, UnknownTlsVersion> {
        let lower = text.trim().to_ascii_lowercase();
        let number = lower.strip_prefix("tls").unwrap_or(&lower).trim_start_matches([' ', 'v']);
        match number {
            "1" | "1.0" | "1_0" => Ok(Self::Tls10),
            "1.1" | "1_1" => Ok(Self::Tls11),
            "1.2" | "1_2" => Ok(Self::Tls12),
            "1.3" | "1_3" => Ok(Self::Tls13),
            _ => Err(UnknownTlsVersion(text.to_owned())),
        }
    }
}

/// What was to be a version of TLS is none.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownTlsVersion(String);

impl fmt::Display for UnknownTlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" is no version of TLS: write 1.2 or 1.3", self.0.escape_debug())
    }
}

impl core::error::Error for UnknownTlsVersion {}

/// The versions of a range for which `provider` has cipher suites.
pub(super) fn between(
    minimum: Option<TlsVersion>,
    maximum: Option<TlsVersion>,
    provider: &CryptoProvider,
) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
    let range = range(minimum, maximum)?;
    let both = [(TlsVersion::Tls12, &rustls::version::TLS12), (TlsVersion::Tls13, &rustls::version::TLS13)];
    let wanted = both.into_iter().filter(|(version, _)| range.contains(version));
    let has_suites =
        |version: &SupportedProtocolVersion| provider.cipher_suites.iter().any(|suite| suite.version() == version);
    let spoken = wanted.map(|(_, version)| version).filter(|version| has_suites(version)).collect::<Vec<_>>();
    if spoken.is_empty() {
        return Err(no_suites(&range));
    }
    Ok(spoken)
}

/// The versions from one to another, each of them secure.
pub(super) fn range(
    minimum: Option<TlsVersion>,
    maximum: Option<TlsVersion>,
) -> Result<RangeInclusive<TlsVersion>, TlsError> {
    if let Some(&old) = [minimum, maximum].iter().flatten().find(|&&version| version < TlsVersion::Tls12) {
        return Err(TlsError::VersionTooOld(old));
    }
    let range = minimum.unwrap_or(TlsVersion::Tls12)..=maximum.unwrap_or(TlsVersion::Tls13);
    if range.is_empty() {
        let why = format!("the oldest is to be {} and the newest {}", range.start(), range.end());
        return Err(TlsError::NoVersion { why });
    }
    Ok(range)
}

/// What to say when no cipher suite is for these versions.
pub(super) fn no_suites(range: &RangeInclusive<TlsVersion>) -> TlsError {
    let why = format!("none of the cipher suites is for {} to {}", range.start(), range.end());
    TlsError::NoVersion { why }
}
