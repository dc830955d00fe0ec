//! Whole clients with a pre-shared key: on every way to a server, and at servers that do not do what they should.

use core::time::Duration;
use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, mpsc},
    thread,
    time::Instant,
};

use karere::{
    Options, Proxy, Publish, QoS, Subscribe,
    sync::{Callbacks, Client},
    tls::TlsOptions,
};
use karere_broker::{Broker, Config, Server};
use openssl::ssl::{Ssl, SslContext, SslStream};
use rcgen::CertificateParams;
use rustls::{ServerConnection, StreamOwned};

use crate::{
    lab::{Authority, server},
    psk::{self, IDENTITY, context, context_for},
};

const PATIENCE: Duration = Duration::from_secs(20);

/// Serves each connection on a thread of its own; its port.
fn listen(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let serve = Arc::clone(&serve);
            thread::spawn(move || serve(socket));
        }
    });
    port
}

/// Reads and writes may be had by turns, from one thread.
fn patient_for_little(socket: &TcpStream) {
    socket.set_read_timeout(Some(Duration::from_millis(2))).unwrap();
    socket.set_nodelay(true).unwrap();
}

/// Passes bytes between the two until one of them ends.
fn join(one: &mut (impl Read + Write), other: &mut (impl Read + Write)) {
    let mut room = vec![0; 1 << 16];
    while pass(one, other, &mut room) && pass(other, one, &mut room) {}
}

/// What there is at the moment; false at the end.
fn pass(from: &mut impl Read, to: &mut impl Write, room: &mut [u8]) -> bool {
    match from.read(room) {
        Ok(0) => false,
        Ok(len) => to.write_all(&room[..len]).is_ok(),
        Err(error) => matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
    }
}

/// Takes TLS by a pre-shared key off the connections to a server.
fn terminator(keys: SslContext, server: SocketAddr) -> u16 {
    listen(move |socket| {
        let mut stream = SslStream::new(Ssl::new(&keys).unwrap(), socket).unwrap();
        if stream.accept().is_ok() {
            let mut server = TcpStream::connect(server).unwrap();
            patient_for_little(stream.get_ref());
            patient_for_little(&server);
            join(&mut stream, &mut server);
        }
    })
}

/// Opens a way for an HTTP proxy's CONNECT to any port of this machine, and goes it. `socket` is what is beneath `stream`.
fn serve_connect(stream: &mut (impl Read + Write), socket: &TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let port = head.split([' ', ':']).nth(2).unwrap().parse().unwrap();
    let mut onward = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    stream.flush().unwrap();
    patient_for_little(socket);
    patient_for_little(&onward);
    join(stream, &mut onward);
}

/// Publishes at each QoS, and gets everything back.
fn round_trip(options: Options) {
    let (client, driver) = Client::new(options.connect_timeout(PATIENCE)).unwrap();
    let (tell, told) = mpsc::channel();
    let background = driver
        .spawn(Callbacks::new().on_message(move |_, message| tell.send(message.payload.to_vec()).unwrap()))
        .unwrap();
    client.connect();
    client.wait_until_connected(PATIENCE).unwrap();
    client.subscribe(Subscribe::new("a", QoS::ExactlyOnce).unwrap()).unwrap().wait(PATIENCE).unwrap();
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        for len in [0, 1, 65_536, 1 << 20] {
            let payload = (0..len).map(|at| (at ^ at >> 8) as u8).collect::<Vec<_>>();
            let publishing = client.publish(Publish::new("a", payload.clone()).unwrap().qos(qos)).unwrap();
            assert!(publishing.wait(PATIENCE).unwrap().is_acknowledged());
            assert!(told.recv_timeout(PATIENCE).unwrap() == payload, "{len} bytes at QoS {qos}");
        }
    }
    client.disconnect().unwrap();
    client.wait_until_disconnected(PATIENCE).unwrap();
    let _ = background.stop();
}

fn keys() -> SslContext {
    context().build()
}

fn options(scheme: &str, port: u16) -> Options {
    Options::new(&format!("{scheme}://127.0.0.1:{port}")).unwrap().pre_shared_key(psk::options().build().unwrap())
}

fn broker() -> Server {
    let any = ([127, 0, 0, 1], 0);
    Server::options(Broker::new(Config::default())).tcp(any).websocket(any).start().unwrap()
}

#[test]
fn messages_pass_by_a_pre_shared_key_with_and_without_websocket() {
    let broker = broker();
    for (scheme, server) in [("mqtts", broker.tcp_addr()), ("wss", broker.websocket_addr())] {
        round_trip(options(scheme, terminator(keys(), server.unwrap())));
    }
}

#[test]
fn messages_pass_by_a_pre_shared_key_through_proxies() {
    let broker = broker();
    let port = terminator(keys(), broker.websocket_addr().unwrap());
    let http = listen(|mut socket| {
        let beneath = socket.try_clone().unwrap();
        serve_connect(&mut socket, &beneath);
    });
    round_trip(options("wss", port).proxies(Proxy::parse(&format!("http://127.0.0.1:{http}")).unwrap()));

    // The proxy shows a certificate: that is what `Options::tls` is for beside a key.
    let authority = Authority::new("CA of the proxy");
    let config = server(&authority.issue(&CertificateParams::new(["127.0.0.1".to_owned()]).unwrap()), &[]);
    let https = listen(move |socket| {
        let beneath = socket.try_clone().unwrap();
        let tls = ServerConnection::new(Arc::clone(&config)).unwrap();
        serve_connect(&mut StreamOwned::new(tls, socket), &beneath);
    });
    let tls = TlsOptions::new().ca_bytes(&authority.pem).build().unwrap();
    let proxy = Proxy::parse(&format!("https://127.0.0.1:{https}")).unwrap();
    for scheme in ["mqtts", "wss"] {
        let server = if scheme == "wss" { broker.websocket_addr() } else { broker.tcp_addr() };
        let port = terminator(keys(), server.unwrap());
        round_trip(options(scheme, port).tls(tls.clone()).proxies(proxy.clone()));
    }
}

/// The error of a client at a server that does with each connection as it is told.
fn client_error(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> String {
    let port = listen(serve);
    let options = options("mqtts", port).connect_timeout(Duration::from_millis(500));
    let (client, mut driver) = Client::new(options).unwrap();
    let began = Instant::now();
    let error = driver.connect(&mut ()).expect_err("no server").to_string();
    assert!(began.elapsed() < Duration::from_secs(3), "{error}");
    assert!(!client.is_connected());
    error
}

#[test]
fn server_that_stops_in_the_handshake_is_given_up_in_time() {
    let silent = client_error(|socket| {
        thread::sleep(Duration::from_secs(10));
        drop(socket);
    });
    assert!(silent.contains("TLS") && silent.contains("in time"), "{silent}");
    let halfway = client_error(|mut socket| {
        let _ = socket.read(&mut [0; 1024]).unwrap();
        socket.write_all(b"\x16\x03\x03\0\x40\x02\0").unwrap();
        thread::sleep(Duration::from_secs(10));
    });
    assert!(halfway.contains("TLS") && halfway.contains("in time"), "{halfway}");
}

#[test]
fn server_that_speaks_no_tls_or_hangs_up_is_told_to_the_application() {
    let plain = client_error(|mut socket| {
        let _ = socket.read(&mut [0; 1024]).unwrap();
        socket.write_all(b"\x20\x02\x00\x01").unwrap();
        thread::sleep(Duration::from_secs(1));
    });
    assert!(plain.contains("TLS: the server does not speak TLS here") && plain.contains("mqtt://"), "{plain}");
    let gone = client_error(|mut socket| {
        let _ = socket.read(&mut [0; 1024]).unwrap();
    });
    assert!(gone.contains("without an answer to TLS") && gone.contains("pre-shared keys"), "{gone}");
}

#[test]
fn acceptor_of_openssl_with_another_key_refuses_the_client() {
    let server = context_for(IDENTITY, b"another").build();
    let why = client_error(move |socket| {
        let mut stream = SslStream::new(Ssl::new(&server).unwrap(), socket).unwrap();
        assert!(stream.accept().is_err());
        // It reads until the client has gone, so that its alert is not lost to a reset.
        let _ = io::copy(stream.get_mut(), &mut io::sink());
    });
    assert!(why.contains("cannot connect to 127.0.0.1:") && why.contains("the pre-shared key was refused"), "{why}");
}
