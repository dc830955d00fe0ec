//! Which servers of a domain a client goes to, and when.

use core::time::Duration;
use std::thread;

use karere::{Cause, Credentials, Domain, Endpoint, Options, QoS, Server, Transport, Utf8String};

use crate::{
    PATIENCE, SERVICE, at, broker,
    name_server::{Manner, NameServer},
    nobody, of, options,
    peer::{Happening, peer, text},
    port_of,
};

#[test]
fn servers_of_a_domain_are_tried_by_priority() {
    let names = NameServer::start();
    let (_broker, port) = broker();
    names.srv(SERVICE, &[(20, 0, port, "second.example.com"), (10, 0, nobody(), "first.example.com")]);
    names.here("first.example.com");
    names.here("second.example.com");
    let one = peer(options(&names).reconnect_delay(PATIENCE, PATIENCE)).connect();
    assert_eq!(port_of(&one), port);
    assert_eq!(one.count(|happening| matches!(happening, Happening::Attempt)), 2, "without a wait between them");
    let asked = names.asked();
    let place = |question: &str| asked.iter().position(|asked| asked == question);
    assert_eq!(place("SRV _mqtt._tcp.example.com"), Some(0), "{asked:?}");
    let (first, second) = (place("A first.example.com"), place("A second.example.com"));
    assert!(first.is_some() && first < second, "{asked:?}");
    assert!(one.say(text("a", "b", QoS::ExactlyOnce)).is_acknowledged());
}

#[test]
fn clients_are_spread_over_equals_by_weight() {
    const CLIENTS: usize = 60;
    let names = NameServer::start();
    let brokers = [broker(), broker()];
    names.srv(SERVICE, &[(5, 100, brokers[0].1, "h.example.com"), (5, 400, brokers[1].1, "h.example.com")]);
    names.here("h.example.com");
    let at_first = (0..CLIENTS)
        .filter(|number| port_of(&peer(options(&names).client_id(number.to_string())).connect()) == brokers[0].1)
        .count();
    // A fifth of 60 are 12; none at all, or half of them, come once in 600,000 times.
    assert!((1..30).contains(&at_first), "{at_first} of {CLIENTS}");
}

#[test]
fn records_are_asked_for_anew_in_each_round() {
    let names = NameServer::start();
    let (first, port) = broker();
    names.here("h.example.com");
    names.srv(SERVICE, &[(0, 0, nobody(), "h.example.com")]);
    let one = peer(options(&names)).start();
    one.nth(2, "a second round", |happening| matches!(happening, Happening::ConnectFailed(_)).then_some(()));
    names.srv(SERVICE, &[(0, 0, port, "h.example.com")]);
    let _ = one.connected(1);
    let (_second, other) = broker();
    names.srv(SERVICE, &[(0, 0, other, "h.example.com")]);
    first.stop();
    let _ = one.connected(2);
    assert_eq!(port_of(&one), other);
}

#[test]
fn client_goes_back_to_a_better_server_of_the_domain() {
    let names = NameServer::start();
    let (better, (_lesser, lesser_port)) = (nobody(), broker());
    names.here("h.example.com");
    names.srv(SERVICE, &[(1, 0, better, "h.example.com"), (2, 0, lesser_port, "h.example.com")]);
    let one = peer(options(&names).fail_back(Some(Duration::from_secs(1)))).connect();
    assert_eq!(port_of(&one), lesser_port);
    let (_better, _) = at(([127, 0, 0, 1], better).into());
    let _ = one.connected(2);
    assert_eq!(one.disconnected(1), Cause::Moving);
    assert_eq!(port_of(&one), better);
}

#[test]
fn records_and_addresses_that_were_known_serve_while_the_name_server_is_away() {
    for manner in [Manner::Silent, Manner::Broken] {
        let names = NameServer::start();
        let (_broker, port) = broker();
        names.here("h.example.com");
        names.srv(SERVICE, &[(0, 0, port, "h.example.com")]);
        let one = peer(options(&names).connect_timeout(Duration::from_millis(300))).traced().connect();
        names.be(manner);
        one.client.reconnect();
        let _ = one.connected(2);
        assert_eq!(port_of(&one), port);
        let line = one.line("the servers named before are tried");
        assert!(line.contains("example.com"), "{line}");
    }
}

#[test]
fn name_server_that_is_away_for_a_moment_costs_no_attempt() {
    let names = NameServer::start();
    let (_broker, port) = broker();
    names.here("h.example.com");
    names.srv(SERVICE, &[(0, 0, port, "h.example.com")]);
    names.be(Manner::Silent);
    let one = peer(options(&names)).start();
    thread::sleep(Duration::from_secs(2));
    names.be(Manner::Properly);
    let _ = one.connected(1);
    assert_eq!(one.count(|happening| matches!(happening, Happening::ConnectFailed(_))), 0);
    assert!(names.asked().iter().filter(|asked| asked.starts_with("SRV")).count() >= 2);
}

#[test]
fn domain_can_be_named_while_the_client_runs() {
    let names = NameServer::start();
    let (_broker, port) = broker();
    names.here("h.example.com");
    names.srv(SERVICE, &[(0, 0, port, "h.example.com")]);
    names.srv("_mqtt._tcp.example.org", &[(0, 0, port, "h.example.com")]);
    let domain = |name: &str| Endpoint::Service(Domain::new(name).expect("legal"));
    let options = Options::tcp("127.0.0.1", nobody()).name_server(names.address()).client_id("one");
    let one = peer(options.reconnect_delay(Duration::from_millis(5), Duration::from_millis(40))).start();
    one.client.set_endpoint(domain("example.com"));
    one.client.reconnect();
    let _ = one.connected(1);
    let who = Credentials::new(Utf8String::new("me").ok(), None);
    let server = Server::new(domain("example.org")).transport(Transport::default()).credentials(who);
    one.client.set_servers(vec![server]).expect("no TLS is wanted");
    one.client.reconnect();
    let _ = one.connected(2);
    assert!(names.asked().contains(&"SRV _mqtt._tcp.example.org".to_owned()));
}

#[test]
fn name_server_is_asked_about_every_host() {
    let names = NameServer::start();
    let (_broker, port) = broker();
    names.here("broker.example.com");
    let one = peer(of(&format!("mqtt://broker.example.com:{port}"), &names)).connect();
    assert_eq!(port_of(&one), port);
    assert!(names.asked().contains(&"A broker.example.com".to_owned()));
}

#[cfg(feature = "tls")]
#[test]
fn tls_is_asked_for_under_a_name_of_its_own_and_spoken_with_the_target() {
    use std::sync::Arc;

    use karere::tls::{
        TlsOptions,
        rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
    };

    let names = NameServer::start();
    names.here("h.example.com");
    for (certified, accepted) in [("h.example.com", true), ("example.com", false)] {
        let made = rcgen::generate_simple_self_signed([certified.to_owned()]).expect("made");
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
        let config = ServerConfig::builder_with_provider(ring::default_provider().into());
        let config = config.with_safe_default_protocol_versions().expect("supported").with_no_client_auth();
        let config = config.with_single_cert(vec![made.cert.der().clone()], key).expect("fits");
        let listener = karere_broker::Server::options(karere_broker::Broker::default());
        let listener = listener.tls(([127, 0, 0, 1], 0), Arc::new(config)).start().expect("a free port");
        let port = listener.tls_addr().expect("listens").port();
        // Who asks for TLS is not led to where there is none.
        names.srv(SERVICE, &[(0, 0, nobody(), "h.example.com")]);
        names.srv("_secure-mqtt._tcp.example.com", &[(0, 0, port, "h.example.com")]);
        let tls = TlsOptions::new().ca_bytes(made.cert.pem()).build().expect("legal");
        let one = peer(of("mqtts+srv://example.com", &names).tls(tls)).start();
        if accepted {
            let _ = one.connected(1);
            assert_eq!(port_of(&one), port);
        } else {
            let said = one.nth(1, "a failure", |happening| match happening {
                Happening::ConnectFailed(why) => Some(why.clone()),
                _ => None,
            });
            assert!(said.contains("TLS") && said.contains("h.example.com"), "{said}");
        }
    }
    assert!(names.asked().iter().all(|asked| asked != "SRV _mqtt._tcp.example.com"), "{:?}", names.asked());
}
