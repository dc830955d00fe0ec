//! Pre-shared keys, as mosquitto has them in its `psk_file`.

use core::time::Duration;
use std::time::Instant;

use karere::{
    Options, Publish, QoS,
    sync::Client,
    tls::{PreSharedKey, Psk, PskOptions, TlsVersion},
};

use crate::{
    common::{peer::peer, server::Setup},
    mosquitto::{Door, Mosquitto},
};

/// A `psk_file`.
pub(crate) const KEYS: &str =
    "pump-7:8e0a61cb4d9e56f0b0c2a9b0a5f1d077\npump-8:A5F1D077\npump-9:00a5f1d077\nPumpe \u{fc}:01\n";

/// The key of this identity.
pub(crate) fn key_of(identity: &str) -> Psk {
    let line = KEYS.lines().find_map(|line| line.split_once(':').filter(|(name, _)| *name == identity));
    options(identity, line.expect("it has a key").1).build().expect("all fits")
}

fn options(identity: &str, key: &str) -> PskOptions {
    PskOptions::new(identity, PreSharedKey::from_hex(key).expect("digits"))
}

fn server() -> Mosquitto {
    Mosquitto::start(vec![Door::psk(KEYS), Door::plain()], Setup::default())
}

fn through(server: &Mosquitto, psk: Psk) -> Options {
    Options::new(&format!("mqtts://127.0.0.1:{}", server.port(0))).expect("legal URL").pre_shared_key(psk)
}

/// The error of a connection, which comes at once.
fn error(options: Options) -> String {
    let (client, mut driver) = Client::new(options.connect_timeout(Duration::from_secs(5))).expect("legal");
    let began = Instant::now();
    let error = driver.connect(&mut ()).expect_err("a wrong key").to_string();
    assert!(began.elapsed() < Duration::from_secs(3), "{error}");
    assert!(!client.is_connected());
    eprintln!("{error}");
    error
}

const VERSIONS: [TlsVersion; 2] = [TlsVersion::Tls12, TlsVersion::Tls13];

#[test]
fn key_lets_in_with_both_versions_of_tls_and_anonymous_clients_stay_out() {
    let server = server();
    for version in VERSIONS {
        for (identity, key) in KEYS.lines().filter_map(|line| line.split_once(':')) {
            let psk =
                options(identity, key).minimum_version(version).maximum_version(version).build().expect("all fits");
            // The listener allows no anonymous clients: the identity is the user name.
            let one = peer(through(&server, psk)).connect();
            for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
                assert!(one.say(Publish::new("a", "b").expect("legal").qos(qos)).is_acknowledged());
            }
            one.disconnect();
        }
    }
}

#[test]
fn wrong_key_and_wrong_identity_are_refused_and_told() {
    let server = server();
    for version in VERSIONS {
        let told = |identity, key| {
            let psk = options(identity, key).minimum_version(version).maximum_version(version).build();
            error(through(&server, psk.expect("all fits")))
        };
        let wrong = told("pump-7", "8e0a61cb4d9e56f0b0c2a9b0a5f1d078");
        assert!(wrong.contains("TLS: ") && wrong.contains("the pre-shared key was refused"), "{wrong}");
        let unknown = told("pump-77", "A5F1D077");
        assert!(unknown.contains("it refused the identity") && unknown.contains("\"pump-77\""), "{unknown}");
        assert_eq!(wrong.contains("a hint"), version == TlsVersion::Tls12, "hints are of 1.2: {wrong}");
    }
}

/// Libwebsockets, as mosquitto 2.0 uses it, has TLS with a certificate only: the listener takes the keys and speaks none.
#[test]
fn websocket_door_with_keys_speaks_no_tls_and_that_is_told() {
    let server = Mosquitto::start(vec![Door::psk(KEYS).websocket(), Door::plain()], Setup::default());
    let url = format!("wss://127.0.0.1:{}", server.port(0));
    let why = error(Options::new(&url).expect("legal URL").pre_shared_key(key_of("pump-7")));
    assert!(why.contains("TLS: "), "{why}");
}

#[test]
fn key_at_the_doors_of_others_says_what_did_not_work() {
    let server = server();
    let plain = Options::new(&format!("mqtts://127.0.0.1:{}", server.port(1))).expect("legal URL");
    let why = error(plain.pre_shared_key(key_of("pump-7")));
    assert!(why.contains("TLS: ") && why.contains("does not speak"), "{why}");
    let authority = crate::certificates::Authority::new("Theirs");
    let pair = authority.issue(&crate::certificates::params(&["127.0.0.1"]));
    let server = Mosquitto::start(vec![Door::tls(pair)], Setup::default());
    let why = error(through(&server, key_of("pump-7")));
    assert!(why.contains("showed a certificate and did not use the pre-shared key"), "{why}");
}

#[test]
fn certificates_at_the_door_for_keys_say_what_did_not_work() {
    let server = server();
    let tls = karere::tls::TlsOptions::new().danger_accept_any_certificate().build().expect("all fits");
    let url = format!("mqtts://127.0.0.1:{}", server.port(0));
    let why = error(Options::new(&url).expect("legal URL").tls(tls));
    assert!(why.contains("handshake_failure (40)"), "{why}");
}
