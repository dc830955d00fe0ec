//! Servers by the SRV records of a domain, over real sockets, with a name server of the tests' own.

#![cfg(test)]
#![cfg(feature = "srv")]

mod name_server;
mod rounds;
mod troubles;

#[expect(dead_code, reason = "the suite uses all of it")]
#[path = "../common/peer.rs"]
mod peer;

use core::{net::SocketAddr, time::Duration};
use std::net::TcpListener;

use karere::Options;
use karere_broker::{Broker, Server};

use self::name_server::NameServer;

/// How long anything may take that is waited for. Nothing takes nearly as long unless it never comes.
const PATIENCE: Duration = Duration::from_secs(20);

const SERVICE: &str = "_mqtt._tcp.example.com";

/// For `mqtt+srv://example.com`; attempts follow each other quickly.
fn options(names: &NameServer) -> Options {
    of("mqtt+srv://example.com", names)
}

fn of(url: &str, names: &NameServer) -> Options {
    Options::new(url)
        .expect("a legal URL")
        .name_server(names.address())
        .client_id("one")
        .reconnect_delay(Duration::from_millis(5), Duration::from_millis(40))
}

/// A broker at a free port.
fn broker() -> (Server, u16) {
    at(([127, 0, 0, 1], 0).into())
}

fn at(address: SocketAddr) -> (Server, u16) {
    let server = Server::options(Broker::default()).tcp(address).start().expect("a free port");
    let port = server.tcp_addr().expect("it listens").port();
    (server, port)
}

/// A port at which nobody listens.
fn nobody() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}

/// The port where a client is connected.
fn port_of(one: &peer::Peer) -> u16 {
    match one.client.peer() {
        Some(karere::Address::Tcp(address)) => address.port(),
        other => panic!("{other:?}"),
    }
}
