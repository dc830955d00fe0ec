//! Wrong doors: every scheme at every listener that is not for it, and at one that never answers, ends soon with an error
//! that says what did not work.

use core::time::Duration;
use std::{net::TcpListener, time::Instant};

use karere::{Options, sync::Client, tls::TlsOptions};

use crate::{
    certificates::{Authority, params},
    common::server::Setup,
    mosquitto::{Door, Mosquitto},
};

const SCHEMES: [&str; 4] = ["mqtt", "mqtts", "ws", "wss"];

/// The layer that error texts name. Without layers there is only MQTT.
fn layers(scheme: &str) -> &'static [&'static str] {
    match scheme {
        "mqtt" => &[],
        "mqtts" => &["TLS: "],
        "ws" => &["WebSocket: "],
        "wss" => &["TLS: ", "WebSocket: "],
        other => panic!("{other}"),
    }
}

/// The error of a connection, which comes in time.
fn error(scheme: &str, port: u16, authority: &Authority) -> String {
    let tls = TlsOptions::new().ca_bytes(&authority.pem).build().expect("a CA");
    let options = Options::new(&format!("{scheme}://127.0.0.1:{port}")).expect("legal URL").tls(tls);
    let options = options.connect_timeout(Duration::from_secs(1)).connack_timeout(Duration::from_secs(2));
    let (client, mut driver) = Client::new(options).expect("legal");
    let began = Instant::now();
    let error = driver.connect(&mut ()).expect_err("a wrong door");
    let took = began.elapsed();
    assert!(took < Duration::from_millis(3500), "{scheme} took {took:?}: {error}");
    assert!(!client.is_connected());
    eprintln!("  {scheme}: {error} ({took:?})");
    error.to_string()
}

fn authority() -> Authority {
    Authority::new("CA of this test")
}

#[test]
fn schemes_at_doors_of_others_say_what_did_not_work() {
    let authority = authority();
    let pair = || authority.issue(&params(&["127.0.0.1"]));
    let doors = [Door::plain(), Door::tls(pair()), Door::plain().websocket(), Door::tls(pair()).websocket()];
    let names = doors.each_ref().map(Door::scheme);
    assert_eq!(names, SCHEMES);
    let server = Mosquitto::start(doors.into(), Setup::default());
    let mut useless = Vec::new();
    for (number, door) in names.into_iter().enumerate() {
        eprintln!("at the door for {door}:");
        for scheme in SCHEMES.into_iter().filter(|&scheme| scheme != door) {
            let why = error(scheme, server.port(number), &authority);
            // The first layer that the door does not speak; below it everything was in order.
            let expected = match (scheme, door) {
                ("mqtt", "ws") | ("mqtts", "wss") => "answered in HTTP: perhaps this port speaks MQTT over WebSocket",
                // OpenSSL resets the connection, so that there is no answer to judge by.
                ("mqtt", _) => "mqtts://",
                ("ws", _) | ("wss", "mqtts") => "WebSocket: ",
                ("mqtts" | "wss", _) => "TLS: ",
                other => panic!("{other:?}"),
            };
            if !why.contains(expected) {
                useless.push(format!("{scheme} at {door} does not name {expected:?}: {why}"));
            }
        }
    }
    assert!(useless.is_empty(), "{useless:#?}");
}

#[test]
fn server_that_never_answers_is_given_up_in_the_name_of_the_layer_that_waits() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = silent.local_addr().expect("bound").port();
    let authority = authority();
    for scheme in SCHEMES {
        let why = error(scheme, port, &authority);
        let expected = layers(scheme).first().copied().unwrap_or("CONNECT");
        assert!(why.contains(expected) && why.contains("in time"), "{scheme}: {why}");
    }
}
