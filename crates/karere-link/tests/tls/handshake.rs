//! How the handshake ends, and what is told when it fails.

use std::sync::Arc;

use karere_link::{Progress, Tls};
use rustls::{AlertDescription, ClientConfig, Error, HandshakeKind};

use crate::lab::{self, Authority, BOTH, Connection};

#[test]
fn server_that_stops_in_the_middle_leaves_the_layer_handshaking() {
    let authority = Authority::new("CA");
    let tls = Tls::from(lab::client(&authority, &BOTH));
    let server = Arc::new(lab::server(&authority));
    let mut whole = Connection::new(&tls, &server);
    let hello = whole.sealed();
    whole.server_takes(&hello);
    let flight = whole.server_says();
    for len in [0, 1, 4, 5, 6, flight.len() / 2, flight.len() - 1] {
        let mut connection = Connection::new(&tls, &server);
        let hello = connection.sealed();
        connection.server_takes(&hello);
        let flight = connection.server_says();
        connection.receive(&flight[..len.min(flight.len() - 1)]).unwrap();
        assert_eq!(connection.progress, Progress::Handshaking, "after {len} bytes");
        connection.plain.put_slice(b"mqtt");
        let _ = connection.sealed();
        assert_eq!(connection.plain.len(), 4);
    }
}

#[test]
fn second_connection_resumes_the_first_ones_session() {
    for version in BOTH {
        let authority = Authority::new("CA");
        let tls = Tls::from(lab::client(&authority, &[version]));
        let server = Arc::new(lab::server(&authority));
        let kinds = [(); 2].map(|()| {
            let mut connection = Connection::new(&tls.clone(), &server);
            connection.plain.put_slice(b"x");
            connection.talk().unwrap();
            assert_eq!(connection.server_got, b"x");
            connection.server.handshake_kind()
        });
        assert_eq!(kinds, [Some(HandshakeKind::Full), Some(HandshakeKind::Resumed)], "{version:?}");
    }
}

#[test]
fn resumption_works_with_an_explaining_verifier_too() {
    let authority = Authority::new("CA");
    let tls = lab::explaining_client(&authority);
    let server = Arc::new(lab::server(&authority));
    let kinds = [(); 2].map(|()| {
        let mut connection = Connection::new(&tls, &server);
        connection.talk().unwrap();
        connection.server.handshake_kind()
    });
    assert_eq!(kinds, [Some(HandshakeKind::Full), Some(HandshakeKind::Resumed)]);
}

#[test]
fn server_learns_why_its_certificate_was_refused() {
    let tls = lab::explaining_client(&Authority::new("Ours"));
    let mut connection = Connection::new(&tls, &Arc::new(lab::server(&Authority::new("Theirs"))));
    let error = connection.talk().unwrap_err().to_string();
    assert!(error.contains("(CN=broker.example), which CN=Theirs issued"), "{error}");
    assert!(error.contains("sent no intermediate one, and wanted is that of CN=Theirs"), "{error}");
    connection.plain.put_slice(b"mqtt");
    let alert = connection.sealed();
    assert!(connection.plain.is_empty(), "nothing keeps a driver busy");
    connection.server_takes(&alert);
    assert_eq!(connection.server_failed, Some(Error::AlertReceived(AlertDescription::UnknownCA)));
    assert!(connection.server_got.is_empty());
}

#[test]
fn callers_own_configuration_is_explained_without_names() {
    let tls = Tls::from(Arc::new(lab::client(&Authority::new("Ours"), &BOTH)));
    let mut connection = Connection::new(&tls, &Arc::new(lab::server(&Authority::new("Theirs"))));
    let error = connection.talk().unwrap_err().to_string();
    assert_eq!(error, "TLS: nobody who is trusted has signed the server's certificate: give the certificate of its CA");
}

#[test]
fn certificate_for_another_host_says_which_it_has_and_which_was_wanted() {
    let authority = Authority::new("CA");
    let tls = lab::explaining_client(&authority).server_name("other.example").unwrap();
    let mut connection = Connection::new(&tls, &Arc::new(lab::server(&authority)));
    let error = connection.talk().unwrap_err().to_string();
    assert!(error.contains("is for \"broker.example\", not for \"other.example\""), "{error}");
}

#[test]
fn client_without_a_certificate_learns_that_the_server_wants_one() {
    let authority = Authority::new("CA");
    for version in BOTH {
        let tls = Tls::from(lab::client(&authority, &[version]));
        let server = lab::server_that_asks_for_a_certificate(&authority, &[version]);
        let mut connection = Connection::new(&tls, &Arc::new(server));
        let error = connection.talk().unwrap_err().to_string();
        assert!(error.contains("with the alert certificate_required (116): it wants a client certificate"), "{error}");
    }
}

#[test]
fn client_with_a_certificate_of_an_unknown_ca_learns_that() {
    let (authority, other) = (Authority::new("CA"), Authority::new("Other"));
    for version in BOTH {
        let (certificate, key) = other.issue("device");
        let config = ClientConfig::builder_with_provider(lab::provider())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(authority.roots())
            .with_client_auth_cert(vec![certificate], key)
            .unwrap();
        let server = lab::server_that_asks_for_a_certificate(&authority, &[version]);
        let mut connection = Connection::new(&config.into(), &Arc::new(server));
        let error = connection.talk().unwrap_err().to_string();
        assert!(error.contains("unknown_ca (48): it does not trust who issued the client certificate"), "{error}");
    }
}

#[test]
fn versions_without_overlap_are_told() {
    let authority = Authority::new("CA");
    let tls = Tls::from(lab::client(&authority, &[&rustls::version::TLS13]));
    let server = lab::server_that_asks_for_a_certificate(&authority, &[&rustls::version::TLS12]);
    let mut connection = Connection::new(&tls, &Arc::new(server));
    let error = connection.talk().unwrap_err().to_string();
    assert!(error.contains("protocol_version (70): it speaks none of the versions"), "{error}");
}

#[test]
fn cipher_suites_without_overlap_are_told() {
    let authority = Authority::new("CA");
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites = vec![rustls::crypto::ring::cipher_suite::TLS13_AES_256_GCM_SHA384];
    let config = ClientConfig::builder_with_provider(Arc::new(provider.clone()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(authority.roots())
        .with_no_client_auth();
    provider.cipher_suites = vec![rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256];
    let (certificate, key) = authority.issue(lab::HOST);
    let server = rustls::ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let mut connection = Connection::new(&config.into(), &Arc::new(server));
    let error = connection.talk().unwrap_err().to_string();
    assert!(error.contains("handshake_failure (40)") && error.contains("no cipher suite is in common"), "{error}");
}

#[test]
fn proxy_is_asked_for_its_own_name_and_offered_no_protocol() {
    let authority = Authority::new("CA");
    let mut config = lab::client(&authority, &BOTH);
    config.alpn_protocols = vec![b"mqtt".to_vec()];
    let tls = Tls::from(config).server_name("other.example").unwrap();
    let mut server = lab::server(&authority);
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    let server = Arc::new(server);
    let mut connection = Connection::new(&tls, &server);
    connection.layer = tls.proxy_layer(lab::HOST).unwrap();
    connection.talk().unwrap();
    assert_eq!((connection.progress, connection.server.alpn_protocol()), (Progress::Open, None));
    assert!(Connection::new(&tls, &server).talk().is_err());
}

#[test]
fn debug_shows_no_keys() {
    let tls = lab::explaining_client(&Authority::new("CA")).server_name("a.example").unwrap();
    assert_eq!(format!("{tls:?}"), "Tls { client_certificate: false, server_name: Some(DnsName(\"a.example\")), .. }");
}
