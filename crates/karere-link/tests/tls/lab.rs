//! A client's layer and a server, and a wire between them that can be cut into pieces.

use std::{
    io::{IoSlice, Read as _, Write as _},
    sync::Arc,
    time::Instant,
};

use bytes::BytesMut;
use karere_link::{Layer, LayerError, Progress, Tls};
use karere_proto::SendBuf;
use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion,
    client::WebPkiServerVerifier,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
};

pub(crate) const HOST: &str = "broker.example";

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

pub(crate) const BOTH: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];

#[expect(clippy::disallowed_methods, reason = "virtual time needs one real point to begin at")]
pub(crate) fn clock() -> Instant {
    Instant::now()
}

/// A CA.
pub(crate) struct Authority {
    pub(crate) certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    pub(crate) fn issue(&self, name: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        (certificate, PrivatePkcs8KeyDer::from(key.serialize_der()).into())
    }

    pub(crate) fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        Arc::new(roots)
    }
}

pub(crate) fn client(authority: &Authority, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(authority.roots())
        .with_no_client_auth()
}

pub(crate) fn explaining_client(authority: &Authority) -> Tls {
    let verifier = WebPkiServerVerifier::builder_with_provider(authority.roots(), provider()).build().unwrap();
    Tls::with_verifier(verifier, |verifier| {
        let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        Ok::<_, rustls::Error>(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
    })
    .unwrap()
}

pub(crate) fn server(authority: &Authority) -> ServerConfig {
    let (certificate, key) = authority.issue(HOST);
    ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap()
}

pub(crate) fn server_that_asks_for_a_certificate(
    authority: &Authority,
    versions: &[&'static SupportedProtocolVersion],
) -> ServerConfig {
    let (certificate, key) = authority.issue(HOST);
    let verifier = WebPkiClientVerifier::builder_with_provider(authority.roots(), provider()).build().unwrap();
    ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate], key)
        .unwrap()
}

/// One connection. Bytes of the server reach the client `step` at a time.
pub(crate) struct Connection {
    pub(crate) layer: Box<dyn Layer>,
    pub(crate) server: ServerConnection,
    pub(crate) step: usize,
    pub(crate) progress: Progress,
    /// What the client has to send.
    pub(crate) plain: SendBuf,
    pub(crate) client_got: BytesMut,
    pub(crate) server_got: Vec<u8>,
    pub(crate) server_failed: Option<rustls::Error>,
    now: Instant,
}

impl Connection {
    pub(crate) fn new(tls: &Tls, server: &Arc<ServerConfig>) -> Self {
        Self {
            layer: tls.layer(HOST).unwrap(),
            server: ServerConnection::new(Arc::clone(server)).unwrap(),
            step: usize::MAX,
            progress: Progress::Handshaking,
            plain: SendBuf::new(),
            client_got: BytesMut::new(),
            server_got: Vec::new(),
            server_failed: None,
            now: clock(),
        }
    }

    /// What the client's layer says next.
    pub(crate) fn sealed(&mut self) -> Vec<u8> {
        let mut wire = SendBuf::new();
        self.layer.seal(self.now, &mut self.plain, &mut wire).unwrap();
        wire.to_vec()
    }

    /// Hands the layer bytes in pieces of `step`.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Result<(), LayerError> {
        let mut input = BytesMut::new();
        for piece in bytes.chunks(self.step) {
            input.extend_from_slice(piece);
            self.progress = self.layer.open(self.now, &mut input, &mut self.client_got)?;
            assert!(input.is_empty(), "what is not a whole record is kept inside");
        }
        Ok(())
    }

    pub(crate) fn server_takes(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.server_failed.is_none() {
            if self.server.read_tls(&mut bytes).unwrap() == 0 {
                break;
            }
            match self.server.process_new_packets() {
                Ok(state) => {
                    let mut got = vec![0; state.plaintext_bytes_to_read()];
                    self.server.reader().read_exact(&mut got).unwrap();
                    self.server_got.extend_from_slice(&got);
                }
                Err(error) => self.server_failed = Some(error),
            }
        }
    }

    pub(crate) fn server_says(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.server.wants_write() {
            self.server.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    /// Both sides talk until neither has more to say.
    pub(crate) fn talk(&mut self) -> Result<(), LayerError> {
        loop {
            let up = self.sealed();
            self.server_takes(&up);
            let down = self.server_says();
            if up.is_empty() && down.is_empty() {
                return Ok(());
            }
            self.receive(&down)?;
        }
    }

    pub(crate) fn server_sends(&mut self, mut bytes: &[u8]) -> Result<(), LayerError> {
        while !bytes.is_empty() {
            let taken = self.server.writer().write_vectored(&[IoSlice::new(bytes)]).unwrap();
            bytes = &bytes[taken..];
            let down = self.server_says();
            self.receive(&down)?;
        }
        Ok(())
    }
}
