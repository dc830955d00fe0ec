//! A verifier that remembers whose certificates it refused: rustls says why, but not whose.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::certificate::Parties;

/// Passes everything on to another verifier, and remembers whose certificates that refused last.
///
/// An error of this verifier's own could carry it too, but then the alert to the server would say `certificate_unknown`
/// where `unknown_ca` is what administrators look for.
#[derive(Debug)]
pub(super) struct Witness {
    verifier: Arc<dyn ServerCertVerifier>,
    refused: Mutex<Option<(ServerName<'static>, Shown)>>,
}

/// What a server showed.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) certificates: usize,
    /// Of the server's own certificate.
    pub(super) parties: Parties,
    /// Who issued the last one.
    pub(super) last_issuer: String,
}

impl Witness {
    pub(super) const fn new(verifier: Arc<dyn ServerCertVerifier>) -> Self {
        Self { verifier, refused: Mutex::new(None) }
    }

    /// What the server that was to be `name` showed when it was last refused.
    pub(super) fn shown(&self, name: &ServerName<'_>) -> Option<Shown> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.as_ref().filter(|(refused, _)| refused == name).map(|(_, shown)| shown.clone())
    }

    fn remember(&self, name: &ServerName<'_>, own: &CertificateDer<'_>, others: &[CertificateDer<'_>]) {
        let Some(parties) = Parties::of(own) else {
            return;
        };
        let last_issuer =
            others.last().and_then(|last| Parties::of(last)).map_or_else(|| parties.issuer.clone(), |last| last.issuer);
        let shown = Shown { certificates: 1 + others.len(), parties, last_issuer };
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some((name.to_owned(), shown));
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        if verified.is_err() {
            self.remember(server_name, end_entity, intermediates);
        }
        verified
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.verifier.requires_raw_public_keys()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        self.verifier.root_hint_subjects()
    }
}
