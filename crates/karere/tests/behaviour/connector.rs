//! The application connects sockets in place of the client.

use core::time::Duration;
use std::{
    fs::File,
    io::{self, Read},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::{
        fd::OwnedFd,
        unix::net::{UnixDatagram, UnixStream},
    },
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::Instant,
};

use karere::{Address, Endpoint, Options, Proxy, QoS, sync::Ready};

use crate::{
    common::{
        PATIENCE, eventually,
        peer::{Happening, Peer, peer, text},
        server::{Server, Setup},
    },
    development::Development,
};

/// A place that cannot be reached, so that only the connector can be the way.
fn nowhere() -> Options {
    at("mqtt://broker.invalid:7")
}

fn at(url: &str) -> Options {
    let waits = (Duration::from_millis(5), Duration::from_millis(40));
    Options::new(url).expect("a legal URL").client_id("one").reconnect_delay(waits.0, waits.1)
}

/// What a connector was asked for.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Vec<String>>>);

impl Asked {
    fn note(&self, endpoint: &Endpoint) -> usize {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked.push(endpoint.to_string());
        asked.len()
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One end of a pair whose other end is joined to a server, as a tunnel would be.
fn tunnel(to: SocketAddr) -> io::Result<UnixStream> {
    let (near, far) = UnixStream::pair()?;
    let server = TcpStream::connect(to)?;
    let (far, server) = (Arc::new(far), Arc::new(server));
    let (far_again, server_again) = (Arc::clone(&far), Arc::clone(&server));
    thread::spawn(move || {
        let _ = io::copy(&mut &*far, &mut &*server);
        let _ = (far.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
    });
    thread::spawn(move || {
        let _ = io::copy(&mut &*server_again, &mut &*far_again);
        let _ = (far_again.shutdown(Shutdown::Both), server_again.shutdown(Shutdown::Both));
    });
    Ok(near)
}

fn failure(one: &Peer, number: usize) -> String {
    one.nth(number, "a failure", |happening| match happening {
        Happening::ConnectFailed(why) => Some(why.clone()),
        _ => None,
    })
}

fn both_ways(one: &Peer) {
    let _ = one.subscribe("a", QoS::ExactlyOnce);
    let large = "x".repeat(1 << 20); // more than a socket takes at once: a socket that blocks would stop the client
    assert!(one.say(text("a", &large, QoS::ExactlyOnce)).is_acknowledged());
    assert_eq!(one.message(0).payload.len(), large.len());
}

#[test]
fn connector_gives_one_end_of_a_pair_and_is_asked_again_after_a_loss() {
    let server = Development::start(Setup::default());
    let (asked, to) = (Asked::default(), server.address());
    let notes = asked.clone();
    let one = peer(nowhere().connector(move |endpoint| {
        notes.note(endpoint);
        tunnel(to)
    }))
    .connect();
    assert_eq!(one.client.peer(), Some(Address::Given(Endpoint::tcp("broker.invalid", 7))));
    both_ways(&one);
    one.client.reconnect();
    let _ = one.connected(2);
    assert!(one.say(text("b", "again", QoS::AtLeastOnce)).is_acknowledged());
    assert_eq!(asked.all(), ["broker.invalid:7"; 2]);
    one.disconnect();
}

#[test]
fn connector_may_give_streams_of_every_family() {
    let server = Development::start(Setup::default());
    let (path, address) = (server.unix_path(), server.address());
    let one = peer(nowhere().connector(move |_| UnixStream::connect(&path))).connect();
    both_ways(&one);
    one.disconnect();
    let one = peer(nowhere().connector(move |_| TcpStream::connect(address).map(OwnedFd::from))).connect();
    both_ways(&one);
    one.disconnect();
}

#[test]
fn connector_is_asked_for_the_server_whose_turn_it_is() {
    let server = Development::start(Setup::default());
    let (asked, to) = (Asked::default(), server.address());
    let notes = asked.clone();
    let options = nowhere().server("mqtt://[::1]:8").expect("legal").connector(move |endpoint| {
        if notes.note(endpoint) == 1 {
            Err("not this way".into())
        } else {
            tunnel(to).map_err(|error| error.to_string())
        }
    });
    let _one = peer(options).connect();
    assert_eq!(asked.all(), ["broker.invalid:7", "[::1]:8"]);
}

#[test]
fn proxies_and_names_are_left_to_the_connector() {
    let server = Development::start(Setup::default());
    let to = server.address();
    let proxy = Proxy::parse("https://proxy.invalid:9").expect("legal");
    let one = peer(nowhere().proxies(proxy).connector(move |_| tunnel(to))).connect();
    assert_eq!(one.count(|happening| matches!(happening, Happening::ConnectFailed(_))), 0);
}

#[test]
fn connector_that_fails_or_panics_is_told_of_and_asked_again() {
    let server = Development::start(Setup::default());
    let (asked, to) = (Asked::default(), server.address());
    let notes = asked.clone();
    let one = peer(nowhere().connector(move |endpoint| match notes.note(endpoint) {
        1 => Err(io::Error::new(io::ErrorKind::NotFound, "the tunnel is down")),
        2 => panic!("a bug in the application's connector"),
        _ => tunnel(to),
    }))
    .connect();
    assert_eq!(failure(&one, 1), "cannot connect to broker.invalid:7: the application's connector: the tunnel is down");
    assert_eq!(failure(&one, 2), "cannot connect to broker.invalid:7: the application's connector: it panicked");
    assert_eq!(asked.all().len(), 3);
}

#[test]
fn connector_must_give_a_stream_that_is_connected() {
    type Give = fn() -> io::Result<OwnedFd>;
    let gifts: [(Give, &str); 4] = [
        (|| Ok(UnixDatagram::pair()?.0.into()), "a datagram socket; MQTT takes a stream"),
        (|| Ok(File::open("/dev/null")?.into()), "a file descriptor that is no socket"),
        (|| Ok(TcpListener::bind("127.0.0.1:0")?.into()), "a socket that is not connected"),
        (
            || Ok(socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::SEQPACKET, None)?.into()),
            "a socket that is no stream",
        ),
    ];
    for (give, why) in gifts {
        let one = peer(nowhere().connector(move |_| give())).start();
        let said = failure(&one, 2); // it is tried again by policy
        assert!(said.contains("the application's connector: it has returned") && said.contains(why), "{said}");
        assert_eq!(one.count(|happening| matches!(happening, Happening::Opened(_))), 0);
    }
}

#[test]
fn connector_that_takes_long_holds_nothing_up_and_its_late_socket_is_closed() {
    let (ends, late) = mpsc::channel();
    let options = nowhere().connect_timeout(Duration::from_millis(100)).connector(move |_| {
        thread::sleep(Duration::from_millis(300));
        let (near, far) = UnixStream::pair()?;
        ends.send(far).map_err(|_| io::Error::other("the test is over"))?;
        Ok::<_, io::Error>(near)
    });
    let one = peer(options).start();
    let began = Instant::now();
    let _ = one.client.queued(); // the client answers meanwhile
    assert!(began.elapsed() < Duration::from_millis(90));
    let said = failure(&one, 1);
    assert!(said.contains("connector: it has not connected in time"), "{said}");
    let mut far = late.recv_timeout(PATIENCE).expect("the connector goes on by itself");
    far.set_read_timeout(Some(PATIENCE)).expect("settable");
    assert_eq!(far.read(&mut [0; 1]).expect("closed, not kept"), 0);
}

#[test]
fn stopped_client_closes_what_its_connector_gives_later() {
    let ((go, wait), (ends, late)) = (mpsc::channel(), mpsc::channel());
    let wait = Mutex::new(wait);
    let one = peer(nowhere().connector(move |_| {
        let () = wait.lock().unwrap_or_else(PoisonError::into_inner).recv().map_err(io::Error::other)?;
        let (near, far) = UnixStream::pair()?;
        ends.send(far).map_err(|_| io::Error::other("the test is over"))?;
        Ok::<_, io::Error>(near)
    }))
    .start();
    eventually("an attempt", || one.count(|happening| matches!(happening, Happening::Attempt)) == 1);
    one.client.disconnect().expect("may be said");
    let (mut driver, mut recorder) = one.stop();
    driver.turn(Ready::NONE, &mut recorder); // it has heard of the end by now
    go.send(()).expect("the connector waits");
    let mut far = late.recv_timeout(PATIENCE).expect("the connector goes on by itself");
    far.set_read_timeout(Some(PATIENCE)).expect("settable");
    assert_eq!(far.read(&mut [0; 1]).expect("closed, not kept"), 0);
    assert!(!recorder.seen.record().happenings.iter().any(|happening| matches!(happening, Happening::Opened(_))));
}

#[test]
fn what_is_published_while_the_connector_has_no_way_arrives_when_it_has_one() {
    let server = Development::start(Setup::default());
    let (asked, to) = (Asked::default(), server.address());
    let one =
        peer(nowhere().connector(
            move |endpoint| {
                if asked.note(endpoint) < 5 { Err(io::Error::other("not yet")) } else { tunnel(to) }
            },
        ))
        .start();
    assert!(one.say(text("a", "b", QoS::AtLeastOnce)).is_acknowledged());
}

#[cfg(feature = "websocket")]
#[test]
fn websocket_goes_over_what_the_connector_gives() {
    let broker = karere_broker::Broker::default();
    let listener = karere_broker::Server::options(broker).websocket(([127, 0, 0, 1], 0)).websocket_path("/there");
    let listener = listener.start().expect("a free port");
    let to = listener.websocket_addr().expect("listens");
    let one = peer(at("ws://broker.invalid/there").connector(move |_| tunnel(to))).connect();
    both_ways(&one);
}

#[cfg(feature = "tls")]
#[test]
fn tls_goes_over_what_the_connector_gives_with_the_name_of_the_url() {
    use karere::tls::{
        TlsOptions,
        rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
    };

    let made = rcgen::generate_simple_self_signed(["broker.invalid".to_owned()]).expect("made");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(ring::default_provider().into());
    let config = config.with_safe_default_protocol_versions().expect("supported").with_no_client_auth();
    let config = config.with_single_cert(vec![made.cert.der().clone()], key).expect("fits");
    let broker = karere_broker::Broker::default();
    let listener = karere_broker::Server::options(broker).tls(([127, 0, 0, 1], 0), Arc::new(config));
    let listener = listener.start().expect("a free port");
    let to = listener.tls_addr().expect("listens");

    let tls = TlsOptions::new().ca_bytes(made.cert.pem()).build().expect("legal");
    let one = peer(at("mqtts://broker.invalid").tls(tls.clone()).connector(move |_| tunnel(to))).connect();
    both_ways(&one);
    let other = peer(at("mqtts://other.invalid").tls(tls).connector(move |_| tunnel(to))).start();
    let said = failure(&other, 1);
    assert!(said.contains("TLS") && said.contains("other.invalid"), "{said}");
}
