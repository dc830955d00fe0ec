//! The client through real proxies: over TCP, TLS, WebSocket, and all of them together.

use core::time::Duration;
use std::sync::{Arc, Mutex};

use karere::{
    Options, Proxies, Proxy, Publish, QoS, Subscribe,
    sync::{Client, Handler, Message},
    tls::{Tls, TlsOptions, rustls},
};
use karere_broker::{Broker, Config, Server};

use crate::real::{Program, RealProxy, User};

const PATIENCE: Duration = Duration::from_secs(20);
const ALICE: User = User { name: "alice", password: "sesame" };

/// A broker on every kind of listener, and what TLS with it takes.
struct Lab {
    server: Server,
    tls: Tls,
}

fn lab() -> Lab {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = made.signing_key.serialize_der().try_into().expect("a key");
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("supported")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("they belong together");
    let config = Arc::new(config);
    let free = ([127, 0, 0, 1], 0);
    let server = Server::options(Broker::new(Config::new()))
        .tcp(free)
        .tls(free, Arc::clone(&config))
        .websocket(free)
        .secure_websocket(free, config)
        .start()
        .expect("free ports");
    let tls = TlsOptions::new().ca_bytes(made.cert.pem()).build().expect("a certificate to trust");
    Lab { server, tls }
}

impl Lab {
    fn urls(&self) -> [String; 4] {
        let port = |address: Option<core::net::SocketAddr>| address.expect("it listens").port();
        [
            format!("mqtt://localhost:{}", port(self.server.tcp_addr())),
            format!("mqtts://localhost:{}", port(self.server.tls_addr())),
            format!("ws://localhost:{}", port(self.server.websocket_addr())),
            format!("wss://localhost:{}", port(self.server.secure_websocket_addr())),
        ]
    }

    fn options(&self, url: &str, proxy: &str) -> Options {
        let proxies = Proxies::all(Proxy::parse(proxy).expect("legal"));
        Options::new(url).expect("legal").tls(self.tls.clone()).proxies(proxies).connect_timeout(PATIENCE)
    }
}

#[derive(Default)]
struct Received(Arc<Mutex<Vec<bytes::Bytes>>>);

impl Handler for Received {
    fn on_message(&mut self, _: &Client, message: &Message) {
        self.0.lock().expect("whole").push(bytes::Bytes::copy_from_slice(&message.payload));
    }
}

/// A message of each QoS and one of 300 KiB there and back, through the proxy.
fn passes(options: Options, what: &str) {
    let (client, driver) = Client::new(options).expect("legal");
    let received = Received::default();
    let seen = Arc::clone(&received.0);
    let background = driver.spawn(received).expect("a thread");
    client.wait_until_connected(PATIENCE).unwrap_or_else(|error| panic!("{what}: {error}"));
    let subscribing = client.subscribe(Subscribe::new("a", QoS::ExactlyOnce).expect("legal")).expect("taken");
    subscribing.wait(PATIENCE).expect("granted");
    let large = (0..300 * 1024_u32).map(|at| at.to_le_bytes()[at as usize % 3]).collect::<Vec<_>>();
    let messages =
        [(b"zero".to_vec(), QoS::AtMostOnce), (b"one".to_vec(), QoS::AtLeastOnce), (large, QoS::ExactlyOnce)];
    for (payload, qos) in messages.clone() {
        let publishing = client.publish(Publish::new("a", payload).expect("legal").qos(qos)).expect("taken");
        assert!(publishing.wait(PATIENCE).expect("done").is_acknowledged(), "{what}");
    }
    let begun = std::time::Instant::now();
    while seen.lock().expect("whole").len() < messages.len() {
        assert!(begun.elapsed() < PATIENCE, "{what}: waited in vain");
        std::thread::sleep(Duration::from_millis(5));
    }
    let expected = messages.map(|(payload, _)| payload);
    assert!(
        seen.lock().expect("whole").iter().map(|payload| &payload[..]).eq(expected.iter().map(|payload| &payload[..]))
    );
    client.disconnect().expect("may be said");
    client.wait_until_disconnected(PATIENCE).expect("gone");
    drop(background);
}

/// Why the first attempt fails.
fn fails(options: Options) -> String {
    let (_client, mut driver) = Client::new(options).expect("legal");
    driver.connect(&mut ()).expect_err("a way that is closed").to_string()
}

#[test]
fn every_transport_passes_through_every_proxy() {
    let lab = lab();
    for (program, schemes) in [
        (Program::Microsocks(None), &["socks5", "socks5h"][..]),
        (Program::Tinyproxy(None), &["http"]),
        (Program::Dante, &["socks4", "socks5", "socks5h"]),
    ] {
        let proxy = RealProxy::start(program);
        for scheme in schemes {
            for url in lab.urls() {
                passes(lab.options(&url, &proxy.url(scheme, "")), &format!("{url} over {scheme}"));
            }
        }
    }
}

#[test]
fn proxies_that_want_a_password_get_it_and_a_wrong_one_is_told() {
    let lab = lab();
    for (program, scheme, layer) in [
        (Program::Microsocks(Some(ALICE)), "socks5h", "SOCKS5 proxy"),
        (Program::Tinyproxy(Some(ALICE)), "http", "HTTP proxy"),
    ] {
        let proxy = RealProxy::start(program);
        for url in lab.urls() {
            passes(lab.options(&url, &proxy.url(scheme, "alice:sesame@")), &url);
        }
        let why = fails(lab.options(&lab.urls()[1], &proxy.url(scheme, "alice:secret@")));
        assert!(why.contains(layer) && !why.contains("secret"), "{why}");
    }
}

#[test]
fn proxies_of_the_environment_are_used_but_for_those_it_leaves_out() {
    let lab = lab();
    let proxy = RealProxy::start(Program::Microsocks(None));
    let url = proxy.url("socks5h", "");
    let environment = |no_proxy: &'static str| {
        let url = url.clone();
        Proxies::from_environment(move |name| match name {
            "mqtt_proxy" => Some(url.clone()),
            "no_proxy" => Some(no_proxy.to_owned()),
            _ => None,
        })
        .expect("legal")
    };
    let direct = lab.urls()[0].clone();
    let options = || Options::new(&direct).expect("legal");
    passes(options().proxies(environment("")), "by the environment");
    drop(proxy);
    passes(options().proxies(environment("localhost")), "around the proxy, which is gone");
    let why = fails(options().proxies(environment("")));
    assert!(why.contains("refused"), "{why}");
}
