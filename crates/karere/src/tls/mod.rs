//! How TLS is spoken: certificates, keys, versions, cipher suites.
//!
//! ```no_run
//! use karere::tls::TlsOptions;
//!
//! # fn main() -> Result<(), karere::tls::TlsError> {
//! let tls = TlsOptions::new()
//!     .ca_file("/etc/broker/ca.pem")
//!     .client_certificate_file("/etc/device/cert.pem")
//!     .client_key_file("/etc/device/key.pem")
//!     .build()?;
//! # Ok(())
//! # }
//! ```
//!
//! Without a CA, those that the platform trusts are trusted. Files are read by [`TlsOptions::build`] and never again:
//! build anew and hand the result to the client when a certificate was renewed.

mod cipher;
mod der;
mod error;
mod key;
mod key_log;
mod legacy_pem;
mod pbes2;
mod pem;
#[cfg(feature = "openssl")]
mod psk;
mod source;
mod suites;
mod verifier;
mod version;

use core::fmt;
use std::{path::PathBuf, sync::Arc};

#[cfg(feature = "openssl")]
pub use karere_link::Psk;
pub use karere_link::Tls;
pub use rustls;
use rustls::{
    ClientConfig, RootCertStore,
    client::{Resumption, WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer},
};

#[cfg(feature = "openssl")]
pub use self::psk::{PreSharedKey, PskOptions};
pub use self::{
    error::TlsError,
    key::Passphrase,
    version::{TlsVersion, UnknownTlsVersion},
};
use self::{
    key::AskPassphrase,
    source::Source,
    verifier::{AnyCertificate, AnyHostName, OrTrustedItself},
};

/// What TLS shall be like; [`TlsOptions::build`] reads and checks everything.
#[derive(Clone, Default)]
#[must_use]
pub struct TlsOptions {
    authorities: Vec<Source>,
    platform: Platform,
    revoked: Vec<Source>,
    certificate: Option<Source>,
    key: Option<Source>,
    passphrase: Option<AskPassphrase>,
    minimum: Option<TlsVersion>,
    maximum: Option<TlsVersion>,
    cipher_suites: Vec<String>,
    alpn: Vec<Vec<u8>>,
    sessions: Sessions,
    key_log: Option<PathBuf>,
    server_name: Option<String>,
    trust: Trust,
    provider: Option<Arc<CryptoProvider>>,
}

/// Whether the platform's CAs are trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Platform {
    #[default]
    WithoutOthers,
    Always,
}

/// Whether sessions are resumed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sessions {
    #[default]
    Resumed,
    New,
}

/// What is asked of a server's certificate; later ones ask less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Trust {
    #[default]
    Verified,
    AnyHostName,
    AnyCertificate,
}

// --- Whom to trust ---------------------------------------------------------------------------------------------------

impl TlsOptions {
    /// TLS 1.2 and 1.3, the platform's CAs, no certificate of the client.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts the CAs in this file: any number of certificates in PEM, or one in DER.
    ///
    /// A server's own certificate may stand here too: then that server is trusted, if the host name is right and it has
    /// not expired.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.authorities.push(Source::File(path.into()));
        self
    }

    /// Trusts the CAs in all files of this directory that hold certificates in PEM, however the files are called;
    /// others are skipped.
    pub fn ca_directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.authorities.push(Source::Directory(path.into()));
        self
    }

    /// Trusts these CAs: any number of certificates in PEM, or one in DER.
    pub fn ca_bytes(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.authorities.push(Source::bytes(bytes.as_ref(), "the bytes given as CA"));
        self
    }

    /// Trusts the platform's CAs, also when others are given. `SSL_CERT_FILE` and `SSL_CERT_DIR` say where they are, if
    /// set.
    pub fn platform_authorities(mut self) -> Self {
        self.platform = Platform::Always;
        self
    }

    /// Refuses what the revocation lists in this file revoke: any number of them in PEM, or one in DER.
    ///
    /// With a list given, every certificate of a chain but the CA's at its end has to be covered by one, and none may
    /// be overdue.
    pub fn revocation_list_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.revoked.push(Source::File(path.into()));
        self
    }

    /// Refuses what these revocation lists revoke; see [`TlsOptions::revocation_list_file`].
    pub fn revocation_list_bytes(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.revoked.push(Source::bytes(bytes.as_ref(), "the bytes given as revocation list"));
        self
    }

    /// Asks for the certificate of `name`, whatever host is dialed: for a tunnel, or a server known by its address
    /// only.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// **Dangerous.** Accepts a certificate of a trusted CA whatever host it is for: whoever holds any such certificate
    /// can pose as the server. The chain, its dates and revocation are verified as always.
    ///
    /// [`TlsOptions::server_name`] is what helps when the server is dialed by another name than its certificate has.
    pub fn danger_accept_any_host_name(mut self) -> Self {
        self.trust = self.trust.max(Trust::AnyHostName);
        self
    }

    /// **Dangerous.** Accepts any certificate at all: whoever is on the way can read and change everything, credentials
    /// included. CAs and revocation lists are not even read.
    ///
    /// [`TlsOptions::ca_file`] with the server's own certificate is what helps with a self-signed one.
    pub fn danger_accept_any_certificate(mut self) -> Self {
        self.trust = Trust::AnyCertificate;
        self
    }
}

// --- Who to be -------------------------------------------------------------------------------------------------------

impl TlsOptions {
    /// Shows this certificate to a server that asks: in PEM, with the CAs above it in order, or one in DER.
    ///
    /// The key is looked for in the same file when none is given.
    pub fn client_certificate_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.certificate = Some(Source::File(path.into()));
        self
    }

    /// Shows this certificate to a server that asks; see [`TlsOptions::client_certificate_file`].
    pub fn client_certificate_bytes(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.certificate = Some(Source::bytes(bytes.as_ref(), "the bytes given as client certificate"));
        self
    }

    /// The key of the client's certificate: PKCS#8, PKCS#1 (RSA) or SEC1 (elliptic curves), in PEM or DER.
    ///
    /// It may be encrypted, as PKCS#8 with PBES2 (PBKDF2, and AES or 3DES in CBC mode), or the older way that has `Proc-Type: 4,ENCRYPTED` in its PEM.
    pub fn client_key_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.key = Some(Source::File(path.into()));
        self
    }

    /// The key of the client's certificate; see [`TlsOptions::client_key_file`].
    pub fn client_key_bytes(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.key = Some(Source::bytes(bytes.as_ref(), "the bytes given as client key"));
        self
    }

    /// What an encrypted key opens with.
    pub fn passphrase(mut self, passphrase: impl Into<Passphrase>) -> Self {
        self.passphrase = Some(AskPassphrase::value(passphrase.into()));
        self
    }

    /// Asks for what an encrypted key opens with, when it is encrypted. An error of `ask` becomes one of the build.
    pub fn passphrase_with(mut self, ask: impl Fn() -> Result<Passphrase, String> + Send + Sync + 'static) -> Self {
        self.passphrase = Some(AskPassphrase::function(ask));
        self
    }
}

// --- How to speak ----------------------------------------------------------------------------------------------------

impl TlsOptions {
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
    /// They are for both versions: with suites of TLS 1.2 alone, 1.3 is not spoken.
    pub fn cipher_suites(mut self, names: &str) -> Self {
        self.cipher_suites.extend(suites::split(names));
        self
    }

    /// Offers this application protocol (ALPN, RFC 7301); call it again for more, most wanted first.
    pub fn alpn(mut self, protocol: impl Into<Vec<u8>>) -> Self {
        self.alpn.push(protocol.into());
        self
    }

    /// Makes a new session for each connection. Resuming one saves a round of certificates and their verification, and
    /// lets the server see that the same client returns.
    pub const fn without_resumption(mut self) -> Self {
        self.sessions = Sessions::New;
        self
    }

    /// **Dangerous.** Appends the keys of all connections to this file, so that captured traffic can be read (the
    /// format of `SSLKEYLOGFILE`). For debugging.
    pub fn danger_key_log_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.key_log = Some(path.into());
        self
    }

    /// Does cryptography with this; the default is [`rustls::crypto::ring`]. The feature `aws-lc-rs` adds
    /// `rustls::crypto::aws_lc_rs`, whose `default_provider()` may stand here.
    pub fn crypto_provider(mut self, provider: impl Into<Arc<CryptoProvider>>) -> Self {
        self.provider = Some(provider.into());
        self
    }
}

// --- Reading and checking --------------------------------------------------------------------------------------------

impl TlsOptions {
    /// Reads all files and checks that everything fits.
    ///
    /// # Errors
    ///
    /// [`TlsError`] says which file or setting is wrong, and what would be right.
    pub fn build(&self) -> Result<Tls, TlsError> {
        let provider = suites::restrict(self.provider(), &self.cipher_suites)?;
        let versions = version::between(self.minimum, self.maximum, &provider)?;
        let verifier: Arc<dyn ServerCertVerifier> = match self.trust {
            Trust::Verified => Arc::new(self.verifier(&provider)?),
            Trust::AnyHostName => Arc::new(AnyHostName::new(self.verifier(&provider)?)),
            Trust::AnyCertificate => Arc::new(AnyCertificate::new(provider.signature_verification_algorithms)),
        };
        let identity = self.identity()?;
        let key_log = self.key_log.as_deref().map(key_log::KeyLogFile::open).transpose()?;
        let tls = Tls::with_verifier(verifier, |verifier| {
            let builder = ClientConfig::builder_with_provider(provider)
                .with_protocol_versions(&versions)
                .map_err(|error| TlsError::Refused(error.to_string()))?
                .dangerous()
                .with_custom_certificate_verifier(verifier);
            let mut config = match identity {
                Some(Identity { chain, key, place }) => {
                    builder.with_client_auth_cert(chain, key).map_err(|error| key::refused(place, &error))?
                }
                None => builder.with_no_client_auth(),
            };
            config.alpn_protocols.clone_from(&self.alpn);
            if self.sessions == Sessions::New {
                config.resumption = Resumption::disabled();
            }
            if let Some(key_log) = key_log {
                config.key_log = Arc::new(key_log);
            }
            Ok(config)
        })?;
        match &self.server_name {
            Some(name) => tls.server_name(name).map_err(|error| TlsError::ServerName(error.why)),
            None => Ok(tls),
        }
    }

    fn provider(&self) -> Arc<CryptoProvider> {
        self.provider.clone().unwrap_or_else(|| Arc::new(rustls::crypto::ring::default_provider()))
    }

    fn verifier(&self, provider: &Arc<CryptoProvider>) -> Result<OrTrustedItself, TlsError> {
        let mut roots = RootCertStore::empty();
        let mut given = Vec::new();
        for source in &self.authorities {
            for found in source.certificates()? {
                roots.add(found.der.clone()).map_err(|error| found.refused(&error))?;
                given.push(found.der);
            }
        }
        if self.authorities.is_empty() || self.platform == Platform::Always {
            add_platform_authorities(&mut roots)?;
        }
        let mut builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        if !self.revoked.is_empty() {
            builder = builder.enforce_revocation_expiration();
            for source in &self.revoked {
                builder = builder.with_crls(source.revocation_lists(provider)?);
            }
        }
        let chains = builder.build().map_err(|error| TlsError::Refused(error.to_string()))?;
        Ok(OrTrustedItself::new(chains, given))
    }

    fn identity(&self) -> Result<Option<Identity>, TlsError> {
        let (certificate, key) = match (&self.certificate, &self.key) {
            (None, None) => return Ok(None),
            (None, Some(_)) => return Err(TlsError::KeyWithoutCertificate),
            (Some(certificate), Some(key)) => (certificate, key),
            (Some(certificate), None) => (certificate, certificate),
        };
        let chain = certificate.certificates()?.into_iter().map(|found| found.der).collect();
        let place = key.place();
        let key = key.private_key(self.passphrase.as_ref())?;
        Ok(Some(Identity { chain, key, place }))
    }
}

struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    /// Where the key came from.
    place: String,
}

/// What the platform has is taken as far as it is usable: among some hundred there may be an odd one.
fn add_platform_authorities(roots: &mut RootCertStore) -> Result<(), TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let (added, _unusable) = roots.add_parsable_certificates(found.certs);
    if added > 0 {
        return Ok(());
    }
    let why = found.errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    Err(TlsError::NoPlatformAuthorities { why })
}

/// Keys and passphrases are not shown.
impl fmt::Debug for TlsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsOptions")
            .field("authorities", &self.authorities)
            .field("platform", &self.platform)
            .field("revoked", &self.revoked)
            .field("certificate", &self.certificate)
            .field("key", &self.key)
            .field("passphrase", &self.passphrase.as_ref().map(|_| "hidden"))
            .field("minimum", &self.minimum)
            .field("maximum", &self.maximum)
            .field("cipher_suites", &self.cipher_suites)
            .field("alpn", &self.alpn.iter().map(|protocol| protocol.escape_ascii().to_string()).collect::<Vec<_>>())
            .field("sessions", &self.sessions)
            .field("key_log", &self.key_log)
            .field("server_name", &self.server_name)
            .field("trust", &self.trust)
            .finish_non_exhaustive()
    }
}
