//! Certificates of every kind, a server in memory, and files for a test.

use std::{
    fs,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Instant,
};

use bytes::BytesMut;
use karere::tls::{Tls, TlsOptions};
use karere_proto::SendBuf;
use rcgen::{CertificateParams, DnType, Issuer, KeyPair, SerialNumber, date_time_ymd};
use rustls::{
    RootCertStore, ServerConfig, ServerConnection,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
    sign::{CertifiedKey, SingleCertAndKey},
};

pub(crate) const HOST: &str = "broker.example";

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// A certificate and its key.
pub(crate) struct Pair {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) certificate_pem: String,
    pub(crate) key: KeyPair,
}

impl Pair {
    fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }
}

/// What a server's certificate is made from; changed by tests that want a fault.
pub(crate) fn params() -> CertificateParams {
    let mut params = CertificateParams::new([HOST.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, HOST);
    params
}

pub(crate) fn self_signed(params: &CertificateParams) -> Pair {
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    Pair { certificate_pem: certificate.pem(), certificate: certificate.der().clone(), key }
}

/// A CA.
pub(crate) struct Authority {
    pub(crate) pem: String,
    pub(crate) der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        Self::of(authority_params(name), KeyPair::generate().unwrap())
    }

    fn of(params: CertificateParams, key: KeyPair) -> Self {
        let certificate = params.self_signed(&key).unwrap();
        Self { pem: certificate.pem(), der: certificate.der().clone(), issuer: Issuer::new(params, key) }
    }

    /// A CA that this one has signed.
    pub(crate) fn below(&self, name: &str) -> Self {
        let (params, key) = (authority_params(name), KeyPair::generate().unwrap());
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Self { pem: certificate.pem(), der: certificate.der().clone(), issuer: Issuer::new(params, key) }
    }

    pub(crate) fn issue(&self, params: &CertificateParams) -> Pair {
        self.issue_for(params, KeyPair::generate().unwrap())
    }

    pub(crate) fn issue_for(&self, params: &CertificateParams, key: KeyPair) -> Pair {
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Pair { certificate_pem: certificate.pem(), certificate: certificate.der().clone(), key }
    }

    /// A list of these serial numbers, to be renewed in `year`.
    pub(crate) fn revoke(&self, serials: &[u64], year: i32) -> rcgen::CertificateRevocationList {
        let revoked = serials.iter().map(|&serial| rcgen::RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: date_time_ymd(2000, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        rcgen::CertificateRevocationListParams {
            this_update: date_time_ymd(1999, 1, 1),
            next_update: date_time_ymd(year, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        }
        .signed_by(&self.issuer)
        .unwrap()
    }
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// A server that shows these certificates.
pub(crate) fn server(pair: &Pair, intermediates: &[&Authority]) -> Arc<ServerConfig> {
    let mut chain = vec![pair.certificate.clone()];
    chain.extend(intermediates.iter().map(|authority| authority.der.clone()));
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_no_client_auth().with_single_cert(chain, pair.key_der()).unwrap())
}

/// A server that shows a certificate and signs with a key, whether or not they fit.
pub(crate) fn server_showing(certificate: CertificateDer<'static>, key: &KeyPair) -> Arc<ServerConfig> {
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let key = provider().key_provider.load_private_key(key).unwrap();
    let shown = SingleCertAndKey::from(CertifiedKey::new(vec![certificate], key));
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_no_client_auth().with_cert_resolver(Arc::new(shown)))
}

/// A server that lets clients of this CA in.
pub(crate) fn server_for_clients_of(pair: &Pair, clients: &Authority) -> Arc<ServerConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(clients.der.clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build().unwrap();
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_client_cert_verifier(verifier);
    Arc::new(builder.with_single_cert(vec![pair.certificate.clone()], pair.key_der()).unwrap())
}

/// Connects to [`HOST`], passes a word each way, and returns what the server knows of the connection.
pub(crate) fn connect(tls: &Tls, server: &Arc<ServerConfig>) -> Result<ServerConnection, String> {
    connect_to(HOST, tls, server)
}

pub(crate) fn connect_to(host: &str, tls: &Tls, server: &Arc<ServerConfig>) -> Result<ServerConnection, String> {
    let now = Instant::now();
    let mut layer = tls.layer(host).map_err(|error| error.to_string())?;
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    let (mut plain, mut got) = (SendBuf::new(), BytesMut::new());
    plain.put_slice(b"ping");
    server.writer().write_all(b"pong").unwrap();
    for _ in 0..6 {
        let mut wire = SendBuf::new();
        layer.seal(now, &mut plain, &mut wire).map_err(|error| error.to_string())?;
        let up = wire.to_vec();
        let mut unread = &up[..];
        while !unread.is_empty() {
            server.read_tls(&mut unread).unwrap();
            let _error_goes_to_the_client_as_an_alert = server.process_new_packets();
        }
        let mut down = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut down).unwrap();
        }
        layer.open(now, &mut BytesMut::from(&down[..]), &mut got).map_err(|error| error.to_string())?;
    }
    let mut word = [0; 4];
    server.reader().read_exact(&mut word).unwrap();
    assert_eq!((&word, &got[..]), (b"ping", &b"pong"[..]));
    Ok(server)
}

/// Why it does not connect.
pub(crate) fn refusal(options: &TlsOptions, server: &Arc<ServerConfig>) -> String {
    connect(&options.build().unwrap(), server).expect_err("refused")
}

pub(crate) fn accepts(options: &TlsOptions, server: &Arc<ServerConfig>) {
    if let Err(why) = connect(&options.build().unwrap(), server) {
        panic!("not accepted: {why}");
    }
}

/// Files that go with the test.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("karere-tls-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, contents).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
