//! The layers alone, over plain blocking sockets.

use core::{net::SocketAddr, time::Duration};
use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Instant,
};

use bytes::BytesMut;
use karere_link::{NameLookup, Proxy, ProxyTarget, Stack};
use karere_proto::SendBuf;

use crate::{
    echo,
    real::{Program, RealProxy, User},
};

const ALICE: User = User { name: "alice", password: "sesame" };

/// Goes to `host` through the proxy at `url`, and exchanges some words with the server; or the layer's error.
fn talk(url: &str, host: &str, address: SocketAddr) -> Result<(), String> {
    let proxy = Proxy::parse(url).expect("a proxy's URL");
    let target = match proxy.name_lookup() {
        NameLookup::AtProxy => ProxyTarget::new(host, address.port()),
        NameLookup::Here => ProxyTarget::resolved(host, address),
    };
    let mut stack = Stack::new(vec![proxy.layer(&target).expect("it can be asked")]);
    let mut socket = TcpStream::connect(proxy.endpoint().to_string()).expect("it listens");
    socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
    let words = (0..10_000).flat_map(u32::to_be_bytes).collect::<Vec<_>>();
    let (mut plain, mut received) = (SendBuf::new(), BytesMut::new());
    plain.put_slice(&words);
    let expected = [echo::GREETING, &words].concat();
    while received.len() < expected.len() {
        let mut wire = SendBuf::new();
        stack.seal(Instant::now(), &mut plain, &mut wire).expect("sealed");
        socket.write_all(&wire.to_vec()).expect("sent");
        let mut buffer = [0; 4096];
        let length = match socket.read(&mut buffer) {
            Ok(0) => return Err(format!("closed, the way being open: {}", stack.is_open())),
            Ok(length) => length,
            Err(error) => return Err(error.to_string()),
        };
        let mut bytes = BytesMut::from(&buffer[..length]);
        stack.open(Instant::now(), &mut bytes, &mut received).map_err(|error| error.to_string())?;
    }
    assert_eq!(received, expected, "{url}");
    Ok(())
}

#[test]
fn microsocks_opens_ways() {
    let (proxy, server) = (RealProxy::start(Program::Microsocks(None)), echo::start());
    for scheme in ["socks5", "socks5h", "socks"] {
        talk(&proxy.url(scheme, ""), "localhost", server).expect(scheme);
        talk(&proxy.url(scheme, ""), "127.0.0.1", server).expect(scheme);
    }
    let error = talk(&proxy.url("socks5", ""), "localhost", echo::nobody()).expect_err("nobody is there");
    assert!(error.contains("was refused by localhost:"), "{error}");
    let error = talk(&proxy.url("socks5h", ""), "no.such.name.invalid", server).expect_err("there is no such name");
    assert!(error.starts_with("SOCKS5 proxy: "), "{error}");
}

#[test]
fn microsocks_wants_to_know_who_is_asking() {
    let (proxy, server) = (RealProxy::start(Program::Microsocks(Some(ALICE))), echo::start());
    talk(&proxy.url("socks5h", "alice:sesame@"), "localhost", server).expect("the right password");
    let error = talk(&proxy.url("socks5h", "alice:secret@"), "localhost", server).expect_err("a wrong password");
    assert!(error.contains("does not accept the user name and password") && !error.contains("secret"), "{error}");
    let error = talk(&proxy.url("socks5h", ""), "localhost", server).expect_err("nobody's");
    assert!(error.contains("wants to know who is asking"), "{error}");
}

#[test]
fn dante_opens_ways_in_each_version() {
    let (proxy, server) = (RealProxy::start(Program::Dante), echo::start());
    for scheme in ["socks4", "socks4a", "socks5", "socks5h"] {
        // Dante 1.4.2 does not see the name of 4a and goes to 0.0.0.1, for curl too.
        if scheme != "socks4a" {
            talk(&proxy.url(scheme, ""), "localhost", server).expect(scheme);
        }
        talk(&proxy.url(scheme, ""), "127.0.0.1", server).expect(scheme);
        let error = talk(&proxy.url(scheme, ""), "127.0.0.1", echo::nobody()).expect_err("nobody is there");
        let cause = if scheme.starts_with("socks4") { "cannot open it (91)" } else { "was refused by 127.0.0.1:" };
        assert!(error.contains(cause), "{error}");
    }
    talk(&proxy.url("socks4", "alice@"), "localhost", server).expect("any user name");
    talk(&proxy.url("socks5h", "alice:sesame@"), "localhost", server).expect("it need not be asked");
}

#[test]
fn tinyproxy_opens_ways() {
    let (proxy, server) = (RealProxy::start(Program::Tinyproxy(None)), echo::start());
    for host in ["localhost", "127.0.0.1"] {
        talk(&proxy.url("http", ""), host, server).expect(host);
        talk(&proxy.url("http", "alice:sesame@"), host, server).expect("it need not be asked");
    }
    let error = talk(&proxy.url("http", ""), "localhost", echo::nobody()).expect_err("nobody is there");
    assert!(error.starts_with("HTTP proxy: ") && error.contains("(50"), "{error}");
}

#[test]
fn tinyproxy_wants_to_know_who_is_asking() {
    let (proxy, server) = (RealProxy::start(Program::Tinyproxy(Some(ALICE))), echo::start());
    talk(&proxy.url("http", "alice:sesame@"), "localhost", server).expect("the right password");
    let error = talk(&proxy.url("http", ""), "localhost", server).expect_err("nobody's");
    assert!(error.contains("(407, it offers Basic); give the proxy's URL"), "{error}");
    let error = talk(&proxy.url("http", "alice:secret@"), "localhost", server).expect_err("a wrong password");
    assert!(error.starts_with("HTTP proxy: ") && !error.contains("secret"), "{error}");
}

/// What the link sees of it: an error of the layer, or an end before the way is open. Of what never ends a line tinyproxy
/// awaits the rest: against that the link has a timeout.
#[test]
fn proxies_of_another_kind_are_told() {
    let (dante, microsocks) = (RealProxy::start(Program::Dante), RealProxy::start(Program::Microsocks(None)));
    let server = echo::start();
    for url in [dante.url("http", ""), microsocks.url("http", ""), microsocks.url("socks4a", "")] {
        let error = talk(&url, "localhost", server).expect_err("another kind");
        let told = error.contains("does not answer as a") || error == "closed, the way being open: false";
        assert!(told || error.contains("reset"), "{url}: {error}");
    }
}
