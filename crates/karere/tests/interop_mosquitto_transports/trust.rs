//! Whom the client trusts, and whom the server lets in.

use core::time::Duration;
use std::time::Instant;

use karere::{
    Options,
    sync::{Client, ConnectError},
    tls::TlsOptions,
};
use rcgen::{CertificateParams, date_time_ymd};

use crate::{
    certificates::{Authority, params},
    common::server::Setup,
    mosquitto::{Door, Mosquitto},
};

/// Connects with these options; the error's text if that fails, which it shall do soon.
fn connect(url: &str, tls: &TlsOptions) -> Result<(), String> {
    let options = Options::new(url).expect("legal URL").connect_timeout(Duration::from_secs(5));
    let (client, mut driver) = Client::new(options.tls(tls.build().expect("all fits"))).expect("legal");
    let began = Instant::now();
    let outcome = driver.connect(&mut ()).map(|_| ()).map_err(|error: ConnectError| error.to_string());
    assert!(began.elapsed() < Duration::from_secs(3), "an error is told at once: {outcome:?}");
    assert_eq!(client.is_connected(), outcome.is_ok());
    outcome
}

/// A server that shows this certificate, at both kinds of door.
struct Showing {
    server: Mosquitto,
    authority: Authority,
}

impl Showing {
    fn of(params: &CertificateParams) -> Self {
        let authority = Authority::new("Theirs");
        let door = || Door::tls(authority.issue(params));
        let server = Mosquitto::start(vec![door(), door().websocket()], Setup::default());
        Self { server, authority }
    }

    fn urls(&self, host: &str) -> [String; 2] {
        [format!("mqtts://{host}:{}", self.server.port(0)), format!("wss://{host}:{}", self.server.port(1))]
    }

    fn trusting(&self) -> TlsOptions {
        TlsOptions::new().ca_bytes(&self.authority.pem)
    }

    #[track_caller]
    fn accepts(&self, tls: &TlsOptions) {
        for url in self.urls("127.0.0.1") {
            assert_eq!(connect(&url, tls), Ok(()), "{url}");
        }
    }

    #[track_caller]
    fn refused(&self, tls: &TlsOptions, parts: &[&str]) {
        for url in self.urls("127.0.0.1") {
            let why = connect(&url, tls).expect_err(&url);
            for part in ["cannot connect to 127.0.0.1:", "TLS: "].iter().chain(parts) {
                assert!(why.contains(part), "{why}\nlacks: {part}");
            }
        }
    }
}

const HERE: &[&str] = &["127.0.0.1"];

#[test]
fn certificate_of_a_trusted_ca_is_accepted_by_address_and_by_name() {
    let there = Showing::of(&params(&["localhost", "127.0.0.1"]));
    there.accepts(&there.trusting());
    for url in there.urls("localhost") {
        assert_eq!(connect(&url, &there.trusting()), Ok(()), "{url}");
    }
}

#[test]
fn certificate_of_another_ca_is_refused_and_any_host_name_does_not_help() {
    let there = Showing::of(&params(HERE));
    let ours = TlsOptions::new().ca_bytes(Authority::new("Ours").pem);
    let parts = &["(CN=127.0.0.1)", "CN=Theirs issued"];
    there.refused(&ours, parts);
    there.refused(&ours.clone().danger_accept_any_host_name(), parts);
    there.accepts(&ours.danger_accept_any_certificate());
}

#[test]
fn certificate_of_another_host_is_refused_and_any_host_name_accepts_it() {
    let there = Showing::of(&params(&["broker.example"]));
    there.refused(&there.trusting(), &["is for \"broker.example\"", "not for \"127.0.0.1\""]);
    there.accepts(&there.trusting().danger_accept_any_host_name());
    there.accepts(&there.trusting().danger_accept_any_certificate());
    there.accepts(&there.trusting().server_name("broker.example"));
    there.refused(&there.trusting().server_name("other.example"), &["not for \"other.example\""]);
}

#[test]
fn expired_certificate_is_refused_and_any_host_name_does_not_help() {
    let mut expired = params(HERE);
    expired.not_before = date_time_ymd(2000, 1, 1);
    expired.not_after = date_time_ymd(2001, 2, 3);
    let there = Showing::of(&expired);
    let parts = &["expired at 2001-02-03"];
    there.refused(&there.trusting(), parts);
    there.refused(&there.trusting().danger_accept_any_host_name(), parts);
    there.accepts(&there.trusting().danger_accept_any_certificate());
}

#[test]
fn server_that_wants_a_certificate_lets_in_who_has_one_of_its_ca_and_others_are_told() {
    let authority = Authority::new("Theirs");
    let (clients, strangers) = (Authority::new("Clients"), Authority::new("Strangers"));
    let door = || Door { clients_of: Some(clients.pem.clone()), ..Door::tls(authority.issue(&params(HERE))) };
    let server = Mosquitto::start(vec![door(), door().websocket()], Setup::default());
    let trusting = TlsOptions::new().ca_bytes(&authority.pem);
    let with = |by: &Authority| {
        let pair = by.issue(&params(&["client.example"]));
        trusting.clone().client_certificate_bytes(pair.certificate).client_key_bytes(pair.key)
    };
    for url in [format!("mqtts://127.0.0.1:{}", server.port(0)), format!("wss://127.0.0.1:{}", server.port(1))] {
        for version in [karere::tls::TlsVersion::Tls12, karere::tls::TlsVersion::Tls13] {
            let only = |tls: TlsOptions| tls.minimum_version(version).maximum_version(version);
            assert_eq!(connect(&url, &only(with(&clients))), Ok(()), "{url}");
            // With 1.3 the client's handshake is over before the server says so.
            let none = connect(&url, &only(trusting.clone())).expect_err("no certificate");
            let wrong = connect(&url, &only(with(&strangers))).expect_err("another CA's");
            eprintln!("{url} {version:?}:\n  {none}\n  {wrong}");
            for why in [&none, &wrong] {
                assert!(why.contains("TLS: "), "{why}");
                assert!(why.contains("client's certificate") || why.contains("client certificate"), "{why}");
            }
            assert_ne!(none, wrong);
        }
    }
}
