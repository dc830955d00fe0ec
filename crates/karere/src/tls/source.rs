//! Where certificates, keys and revocation lists come from, and what is found there.

use core::fmt;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    CertRevocationListError, RootCertStore,
    client::{VerifierBuilderError, WebPkiServerVerifier},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer},
};
use zeroize::Zeroizing;

use super::{
    TlsError,
    der::{self, Element},
    key::{self, AskPassphrase},
    pem::{self, Section},
};

/// Where something comes from.
#[derive(Clone)]
pub(super) enum Source {
    Bytes { bytes: Arc<Zeroizing<Vec<u8>>>, place: &'static str },
    Directory(PathBuf),
    File(PathBuf),
}

/// A certificate and where it was found.
pub(super) struct Found {
    pub(super) der: CertificateDer<'static>,
    place: String,
}

impl Found {
    pub(super) fn refused(&self, error: &rustls::Error) -> TlsError {
        TlsError::Unusable {
            place: self.place.clone(),
            why: format!("this certificate cannot be used as a CA's: {error}"),
        }
    }
}

impl Source {
    pub(super) fn bytes(bytes: &[u8], place: &'static str) -> Self {
        Self::Bytes { bytes: Arc::new(Zeroizing::new(bytes.to_vec())), place }
    }

    /// How messages call it.
    pub(super) fn place(&self) -> String {
        match self {
            Self::Bytes { place, .. } => (*place).to_owned(),
            Self::Directory(path) | Self::File(path) => path.display().to_string(),
        }
    }

    /// The certificates in it, at least one.
    pub(super) fn certificates(&self) -> Result<Vec<Found>, TlsError> {
        let (found, instead) = match self {
            Self::Directory(path) => (of_directory(path)?, String::new()),
            Self::Bytes { .. } | Self::File(_) => of_text(&self.read()?, &self.place())?,
        };
        if found.is_empty() {
            return Err(TlsError::Missing { place: self.place(), what: "certificate", instead });
        }
        Ok(found)
    }

    /// The first private key in it, opened.
    pub(super) fn private_key(&self, passphrase: Option<&AskPassphrase>) -> Result<PrivateKeyDer<'static>, TlsError> {
        let bytes = self.read()?;
        let place = self.place();
        if !pem::is_pem(&bytes) {
            return key::of_der(&bytes, &place, passphrase);
        }
        let sections = sections(&bytes, &place)?;
        let Some(section) = sections.iter().find(|section| section.label.ends_with("PRIVATE KEY")) else {
            let instead = instead(&sections);
            return Err(TlsError::Missing { place, what: "private key", instead });
        };
        key::of_section(section, &at(&place, section.line), passphrase)
    }

    /// The revocation lists in it, at least one, each readable.
    pub(super) fn revocation_lists(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
        let bytes = self.read()?;
        let place = self.place();
        let found = if pem::is_pem(&bytes) {
            let sections = sections(&bytes, &place)?;
            let lists = sections.iter().filter(|section| section.label == "X509 CRL");
            let lists = lists.map(|section| (at(&place, section.line), section.der.to_vec())).collect::<Vec<_>>();
            if lists.is_empty() {
                let instead = instead(&sections);
                return Err(TlsError::Missing { place, what: "revocation list", instead });
            }
            lists
        } else {
            vec![(place, bytes.to_vec())]
        };
        found.into_iter().map(|(place, der)| usable(der.into(), place, provider)).collect()
    }

    fn read(&self) -> Result<Zeroizing<Vec<u8>>, TlsError> {
        match self {
            Self::Bytes { bytes, .. } => Ok(Zeroizing::clone(bytes)),
            Self::Directory(path) | Self::File(path) => read(path),
        }
    }
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let unreadable = |source| TlsError::Unreadable { path: path.to_owned(), source };
    fs::read(path).map(Zeroizing::new).map_err(unreadable)
}

fn at(place: &str, line: usize) -> String {
    format!("{place}, line {line}")
}

fn sections(bytes: &[u8], place: &str) -> Result<Vec<Section>, TlsError> {
    pem::sections(bytes).map_err(|broken| TlsError::Malformed { place: at(place, broken.line), why: broken.why })
}

/// What a file holds that does not hold what was looked for.
fn instead(sections: &[Section]) -> String {
    let labels = sections.iter().map(|section| section.label.as_str()).collect::<Vec<_>>();
    if labels.is_empty() { String::new() } else { format!(", only {}", labels.join(", ")) }
}

fn of_text(bytes: &[u8], place: &str) -> Result<(Vec<Found>, String), TlsError> {
    if pem::is_pem(bytes) {
        let sections = sections(bytes, place)?;
        let found = sections.iter().filter_map(|section| {
            let whole = &section.der[..];
            let der = match section.label.as_str() {
                "CERTIFICATE" | "X509 CERTIFICATE" => whole,
                // OpenSSL's own: what it trusts the certificate for comes behind it.
                "TRUSTED CERTIFICATE" => {
                    &whole[..Element::first(whole).map_or(0, |first| whole.len() - first.rest.len())]
                }
                _ => return None,
            };
            Some(Found { der: CertificateDer::from(der.to_vec()), place: at(place, section.line) })
        });
        return Ok((found.collect(), instead(&sections)));
    }
    if !der::is_sequence(bytes) {
        return Ok((Vec::new(), ": it is neither PEM nor DER".to_owned()));
    }
    if der::is_pkcs12(bytes) {
        let why = "this is PKCS#12: convert it with `openssl pkcs12 -in FILE -nodes -out FILE.pem`".to_owned();
        return Err(TlsError::Malformed { place: place.to_owned(), why });
    }
    Ok((vec![Found { der: CertificateDer::from(bytes.to_vec()), place: place.to_owned() }], String::new()))
}

/// The certificates of all files of a directory. One that is linked to under several names counts once.
fn of_directory(path: &Path) -> Result<Vec<Found>, TlsError> {
    let unreadable = |source| TlsError::Unreadable { path: path.to_owned(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        files.push(entry.map_err(unreadable)?.path());
    }
    files.sort();
    let mut all = Vec::new();
    for file in files.iter().filter(|file| file.is_file()) {
        let bytes = read(file)?;
        if pem::is_pem(&bytes) {
            all.extend(of_text(&bytes, &file.display().to_string())?.0);
        }
    }
    all.sort_by(|one: &Found, other| one.der.as_ref().cmp(other.der.as_ref()));
    all.dedup_by(|one, other| one.der == other.der);
    Ok(all)
}

/// rustls reads revocation lists only when it builds a verifier.
fn usable(
    list: CertificateRevocationListDer<'static>,
    place: String,
    provider: &Arc<CryptoProvider>,
) -> Result<CertificateRevocationListDer<'static>, TlsError> {
    let no_roots = Arc::new(RootCertStore { roots: vec![anybody()] });
    let builder = WebPkiServerVerifier::builder_with_provider(no_roots, Arc::clone(provider)).with_crls([list.clone()]);
    match builder.build() {
        Err(VerifierBuilderError::InvalidCrl(CertRevocationListError::ParseError)) => {
            Err(TlsError::Unusable { place, why: "this is no revocation list, or a damaged one".to_owned() })
        }
        Err(VerifierBuilderError::InvalidCrl(error)) => {
            Err(TlsError::Unusable { place, why: format!("this revocation list cannot be used: {error:?}") })
        }
        _ => Ok(list),
    }
}

/// A verifier wants one root at least.
fn anybody() -> rustls::pki_types::TrustAnchor<'static> {
    rustls::pki_types::TrustAnchor {
        subject: Vec::new().into(),
        subject_public_key_info: Vec::new().into(),
        name_constraints: None,
    }
}

/// Bytes may be a key.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes { bytes, .. } => write!(f, "Bytes({})", bytes.len()),
            Self::Directory(path) => f.debug_tuple("Directory").field(path).finish(),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}
