//! The broker behind WebSocket over TLS.

use std::{
    io::{Read, Write},
    net::SocketAddr,
};

use bytes::Bytes;
use karere_broker::{Broker, Server, listener::Address};
use karere_proto::{QoS, Version};
use tungstenite::Message;

use crate::{
    client::{Client, dial, dial_to, eventually},
    tls::{ANY_PORT, Identity, trouble},
    transport::{self, Trickle, impatient},
    websocket::Framed,
};

fn serve(identity: &Identity) -> Server {
    Server::options(Broker::default()).secure_websocket(ANY_PORT, identity.server()).start().expect("started")
}

fn address(server: &Server) -> SocketAddr {
    server.secure_websocket_addr().expect("listens for WebSocket over TLS")
}

#[test]
fn messages_travel_and_clients_are_many() {
    let identity = Identity::new();
    let server = serve(&identity);
    let dial = |server: &Server| Framed::new(identity.secure(dial_to(address(server))));
    transport::messages_travel(&server, dial);
    transport::many_are_served(&server, dial);
}

#[test]
fn faults_are_done_to_mqtt() {
    let identity = Identity::new();
    let dial = |server: &Server| Framed::new(identity.secure(dial_to(address(server))));
    transport::faults_are_done(&serve(&identity), dial);
}

#[test]
fn stopping_is_told() {
    let identity = Identity::new();
    let dial = |server: &Server| Framed::new(identity.secure(dial_to(address(server))));
    transport::stopping_is_told(serve(&identity), dial);
}

#[test]
fn who_does_not_read_is_not_read() {
    let identity = Identity::new();
    let dial = |server: &Server| Framed::new(identity.secure(dial_to(address(server))));
    transport::who_does_not_read_is_not_read(&serve(&identity), dial, |framed| &framed.socket.get_ref().sock);
}

#[test]
fn bytes_may_come_one_by_one() {
    let identity = Identity::new();
    let server = serve(&identity);
    let stream = Framed::new(identity.secure(Trickle(dial_to(address(&server)))));
    let mut client = Client::connect(stream, Version::V5, "a");
    client.subscribe_at("t", QoS::ExactlyOnce);
    assert_eq!(client.echo(QoS::ExactlyOnce, vec![7; 1000].into()), vec![7; 1000]);
}

#[test]
fn both_kinds_of_last_words_are_said() {
    let identity = Identity::new();
    let server = serve(&identity);
    let mut client = Client::connect(Framed::new(identity.secure(dial_to(address(&server)))), Version::V5, "a");
    client.socket.socket.send(Message::Binary(Bytes::from_static(&[0xE0, 0]))).expect("sent");
    assert!(matches!(client.socket.socket.read(), Ok(Message::Close(Some(_)))));
    // Behind the closing frame comes close_notify: without it the end would be an error of TLS.
    let tls = client.socket.socket.get_mut();
    assert_eq!(tls.read(&mut [0; 10]).expect("orderly"), 0);
}

#[test]
fn plain_websocket_and_refused_requests_end_and_are_noted() {
    let identity = Identity::new();
    let server = serve(&identity);
    let mut plain = dial_to(address(&server));
    plain.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").expect("written");
    plain.read_to_end(&mut Vec::new()).expect("closed orderly");
    assert!(trouble(&server).starts_with("TLS: "), "{}", trouble(&server));

    let server = serve(&identity);
    let mut refused = identity.secure(dial_to(address(&server)));
    refused.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").expect("written");
    let mut answer = String::new();
    refused.read_to_string(&mut answer).expect("closed orderly");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(trouble(&server).starts_with("WebSocket: "), "{}", trouble(&server));
}

#[test]
fn unfinished_handshakes_end() {
    let identity = Identity::new();
    let server = Server::options(impatient()).secure_websocket(ANY_PORT, identity.server()).start().expect("started");
    transport::unfinished_handshakes_end(address(&server), b"");
    let mut half = identity.secure(dial_to(address(&server)));
    half.write_all(b"GET / HTTP/1.1\r\n").expect("written");
    assert_eq!(half.read(&mut [0; 10]).expect("closed orderly"), 0);
    eventually("both are noted", || server.troubles().len() == 2);
}

#[test]
fn all_kinds_of_listeners_meet_at_one_broker_and_stop_together() {
    let identity = Identity::new();
    let path = std::env::temp_dir().join(format!("karere-broker-all-{}", std::process::id()));
    let server = Server::options(Broker::default())
        .secure_websocket(ANY_PORT, identity.server())
        .websocket(ANY_PORT)
        .tls(ANY_PORT, identity.server())
        .unix(&path)
        .tcp(ANY_PORT)
        .start()
        .expect("started");
    assert!(matches!(
        server.local_addrs(),
        [Address::SecureWebSocket(_), Address::WebSocket(_), Address::Tls(_), Address::Unix(_), Address::Tcp(_)]
    ));
    let (tls, websocket) = (server.tls_addr().expect("listens"), server.websocket_addr().expect("listens"));
    let mut plain = Client::connect(dial(&server), Version::V5, "tcp");
    let mut secure = Client::connect(identity.secure(dial_to(tls)), Version::V5, "tls");
    let mut framed = Client::connect(Framed::new(dial_to(websocket)), Version::V5, "ws");
    let mut both = Client::connect(Framed::new(identity.secure(dial_to(address(&server)))), Version::V5, "wss");
    plain.subscribe("t");
    secure.subscribe("t");
    framed.subscribe("t");
    both.subscribe("t");
    let message = karere_proto::Publish::new("t", "to all").expect("legal");
    assert_eq!(server.with(|broker| broker.publish(std::time::Instant::now(), message)), 4);
    assert_eq!(plain.received_payload(), "to all");
    assert_eq!(secure.received_payload(), "to all");
    assert_eq!(framed.received_payload(), "to all");
    assert_eq!(both.received_payload(), "to all");
    let addresses = server.local_addrs().to_vec();
    drop(server.stop());
    assert!(plain.receive().is_some() && plain.receive().is_none());
    assert!(secure.receive().is_some() && secure.receive().is_none());
    assert!(framed.receive().is_some() && framed.receive().is_none());
    assert!(both.receive().is_some() && both.receive().is_none());
    for address in addresses {
        if let Address::Tcp(address)
        | Address::Tls(address)
        | Address::WebSocket(address)
        | Address::SecureWebSocket(address) = address
        {
            assert!(std::net::TcpStream::connect(address).is_err(), "nobody listens");
        }
    }
    assert!(!path.exists());
}
