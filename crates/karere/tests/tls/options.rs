//! Versions, cipher suites, ALPN, sessions, keys in a log.

use std::sync::Arc;

use karere::tls::{Tls, TlsError, TlsOptions, TlsVersion};
use rustls::{HandshakeKind, ProtocolVersion, ServerConfig};

use crate::lab::{Authority, Directory, accepts, connect, params, refusal, server};

fn world() -> (TlsOptions, Arc<ServerConfig>) {
    let authority = Authority::new("CA");
    (TlsOptions::new().ca_bytes(&authority.pem), server(&authority.issue(&params()), &[]))
}

#[test]
fn versions_are_those_that_are_allowed() {
    let (options, server) = world();
    let spoken =
        |options: &TlsOptions| connect(&options.build().unwrap(), &server).unwrap().protocol_version().unwrap();
    assert_eq!(spoken(&options), ProtocolVersion::TLSv1_3);
    assert_eq!(spoken(&options.clone().maximum_version(TlsVersion::Tls12)), ProtocolVersion::TLSv1_2);
    assert_eq!(spoken(&options.clone().minimum_version(TlsVersion::Tls13)), ProtocolVersion::TLSv1_3);
    let empty = options.minimum_version(TlsVersion::Tls13).maximum_version(TlsVersion::Tls12);
    let told = empty.build().expect_err("no version").to_string();
    assert_eq!(told, "there is no version of TLS to speak: the oldest is to be TLS 1.3 and the newest TLS 1.2");
}

#[test]
fn old_versions_are_refused_by_name() {
    let (options, _) = world();
    for (version, name) in [(TlsVersion::Tls10, "TLS 1.0"), (TlsVersion::Tls11, "TLS 1.1")] {
        for options in [options.clone().minimum_version(version), options.clone().maximum_version(version)] {
            let error = options.build().expect_err("not secure");
            assert!(matches!(error, TlsError::VersionTooOld(old) if old == version));
            assert_eq!(
                error.to_string(),
                format!("{name} is not secure and not supported (RFC 8996): use TLS 1.2 or 1.3")
            );
        }
    }
}

#[test]
fn versions_are_read_as_people_write_them() {
    for (text, version) in [
        ("1.2", TlsVersion::Tls12),
        ("TLSv1.3", TlsVersion::Tls13),
        ("tls1.3", TlsVersion::Tls13),
        ("TLS 1.2", TlsVersion::Tls12),
        ("tlsv1", TlsVersion::Tls10),
        ("TLSv1_1", TlsVersion::Tls11),
    ] {
        assert_eq!(text.parse(), Ok(version), "{text}");
    }
    for text in ["", "SSLv3", "2", "1.4", "tls"] {
        assert!(text.parse::<TlsVersion>().is_err(), "{text}");
    }
    assert_eq!(
        "SSLv3".parse::<TlsVersion>().expect_err("none").to_string(),
        "\"SSLv3\" is no version of TLS: write 1.2 or 1.3"
    );
}

#[test]
fn cipher_suites_go_by_their_names_at_iana_and_openssl() {
    let (options, server) = world();
    for (names, version, chosen) in [
        ("TLS_CHACHA20_POLY1305_SHA256", "TLSv1_3", "TLS13_CHACHA20_POLY1305_SHA256"),
        ("ECDHE-ECDSA-AES128-GCM-SHA256", "TLSv1_2", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
        ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "TLSv1_2", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"),
        (
            "ECDHE-RSA-AES256-GCM-SHA384: ecdhe-ecdsa-aes256-gcm-sha384,",
            "TLSv1_2",
            "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        ),
        ("ECDHE-ECDSA-AES128-GCM-SHA256:TLS_AES_128_GCM_SHA256", "TLSv1_3", "TLS13_AES_128_GCM_SHA256"),
    ] {
        let connection = connect(&options.clone().cipher_suites(names).build().unwrap(), &server).unwrap();
        let suite = connection.negotiated_cipher_suite().unwrap();
        assert_eq!(
            format!("{:?} {:?}", connection.protocol_version().unwrap(), suite.suite()),
            format!("{version} {chosen}")
        );
    }
}

#[test]
fn unknown_cipher_suite_is_refused_by_name_and_told_what_there_is() {
    let (options, _) = world();
    for name in ["HIGH", "!aNULL", "AES256-SHA", "ECDHE-RSA-AES128-SHA", "TLS_AES_128_CCM_SHA256"] {
        let told = options.clone().cipher_suites(&format!("TLS_AES_128_GCM_SHA256:{name}")).build();
        let told = told.expect_err("unknown").to_string();
        assert!(
            told.starts_with(&format!("the cipher suite \"{name}\" is unknown or not supported; supported are ")),
            "{told}"
        );
        assert!(
            told.contains("TLS_AES_256_GCM_SHA384, ") && told.contains("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
            "{told}"
        );
    }
    let none = options.minimum_version(TlsVersion::Tls13).cipher_suites("ECDHE-RSA-AES256-GCM-SHA384").build();
    assert_eq!(
        none.expect_err("none of 1.3").to_string(),
        "there is no version of TLS to speak: none of the cipher suites is for TLS 1.3 to TLS 1.3"
    );
}

#[test]
fn application_protocols_are_offered_in_order() {
    let (options, server) = world();
    let mut speaking = ServerConfig::clone(&server);
    speaking.alpn_protocols = vec![b"mqtt".to_vec()];
    let speaking = Arc::new(speaking);
    let options = options.alpn("x-amzn-mqtt-ca").alpn("mqtt");
    assert_eq!(connect(&options.build().unwrap(), &speaking).unwrap().alpn_protocol(), Some(&b"mqtt"[..]));
    accepts(&options, &server);
    let mut foreign = ServerConfig::clone(&server);
    foreign.alpn_protocols = vec![b"h2".to_vec()];
    let why = refusal(&options, &Arc::new(foreign));
    assert!(why.contains("no_application_protocol (120)"), "{why}");
}

#[test]
fn sessions_are_resumed_unless_they_are_not_to_be() {
    let (options, server) = world();
    let kinds = |tls: &Tls| [(); 3].map(|()| connect(tls, &server).unwrap().handshake_kind().unwrap());
    for options in [options.clone(), options.clone().maximum_version(TlsVersion::Tls12)] {
        let resumed = kinds(&options.build().unwrap());
        assert_eq!(resumed, [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed]);
        assert_eq!(kinds(&options.without_resumption().build().unwrap()), [HandshakeKind::Full; 3]);
    }
    let tls = options.build().unwrap();
    let clone = tls.clone();
    connect(&tls, &server).unwrap();
    assert_eq!(connect(&clone, &server).unwrap().handshake_kind(), Some(HandshakeKind::Resumed));
    let anew = options.build().unwrap();
    assert_eq!(connect(&anew, &server).unwrap().handshake_kind(), Some(HandshakeKind::Full));
}

#[test]
fn keys_are_logged_where_the_caller_says() {
    let directory = Directory::new();
    let path = directory.file("keys.log", "# before\n");
    let (options, server) = world();
    accepts(&options.clone().danger_key_log_file(&path), &server);
    accepts(&options.clone().maximum_version(TlsVersion::Tls12).danger_key_log_file(&path), &server);
    let log = std::fs::read_to_string(&path).unwrap();
    let labels = log.lines().map(|line| line.split(' ').next().unwrap()).collect::<Vec<_>>();
    assert_eq!(labels[0], "#");
    for label in ["CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_TRAFFIC_SECRET_0", "CLIENT_RANDOM"] {
        assert!(labels.contains(&label), "{log}");
    }
    let last = log.lines().last().unwrap().split(' ').map(str::len).collect::<Vec<_>>();
    assert_eq!(last, ["CLIENT_RANDOM".len(), 64, 96]);
    let told = options.danger_key_log_file(directory.path()).build().expect_err("a directory").to_string();
    assert!(told.starts_with("cannot open "), "{told}");
}

#[cfg(unix)]
#[test]
fn new_key_log_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = Directory::new();
    let path = directory.path().join("keys.log");
    let (options, _) = world();
    options.danger_key_log_file(&path).build().unwrap();
    assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn name_that_can_stand_in_no_certificate_is_refused() {
    let (options, _) = world();
    let told = options.server_name("bücher.example").build().expect_err("no name").to_string();
    assert!(told.starts_with("\"bücher.example\" can stand in no certificate"), "{told}");
}

#[test]
fn callers_own_provider_is_used() {
    let (options, server) = world();
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites.retain(|suite| suite.suite() == rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
    let options = options.crypto_provider(provider);
    let connection = connect(&options.build().unwrap(), &server).unwrap();
    let suite = connection.negotiated_cipher_suite().unwrap().suite();
    assert_eq!(suite, rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
    let told = options.cipher_suites("TLS_AES_256_GCM_SHA384").build().expect_err("not this provider's").to_string();
    assert!(told.ends_with("supported are TLS_AES_128_GCM_SHA256"), "{told}");
}
