//! The broker behind TLS.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

use karere_broker::{Broker, Server, listener::Address};
use karere_proto::{Packet, QoS, Version};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
    server::WebPkiClientVerifier,
};

use crate::{
    client::{Client, dial, dial_to, eventually},
    transport::{self, Trickle, impatient},
};

pub(crate) const ANY_PORT: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// A certificate for 127.0.0.1 and its key.
pub(crate) struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    pub(crate) fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("made");
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
        Self { certificate: made.cert.into(), key }
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("a certificate");
        Arc::new(roots)
    }

    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        let config = server_config().with_no_client_auth();
        Arc::new(config.with_single_cert(vec![self.certificate.clone()], self.key.clone_key()).expect("fits"))
    }

    fn client(&self) -> Arc<ClientConfig> {
        Arc::new(client_config().with_root_certificates(self.roots()).with_no_client_auth())
    }

    /// Speaks TLS on a stream that is connected.
    pub(crate) fn secure<S: Read + Write>(&self, stream: S) -> StreamOwned<ClientConnection, S> {
        secure(stream, self.client())
    }
}

fn secure<S: Read + Write>(stream: S, config: Arc<ClientConfig>) -> StreamOwned<ClientConnection, S> {
    let name = ServerName::from(std::net::IpAddr::from(Ipv4Addr::LOCALHOST));
    StreamOwned::new(ClientConnection::new(config, name).expect("configured"), stream)
}

fn serve(identity: &Identity) -> Server {
    Server::options(Broker::default()).tls(ANY_PORT, identity.server()).start().expect("started")
}

fn address(server: &Server) -> SocketAddr {
    server.tls_addr().expect("listens for TLS")
}

/// The only thing that went wrong.
pub(crate) fn trouble(server: &Server) -> String {
    eventually("something goes wrong", || !server.troubles().is_empty());
    let troubles = server.troubles();
    assert_eq!(troubles.len(), 1, "{troubles:?}");
    troubles[0].why.clone()
}

/// Lets the broker say something to the first connection that it knows.
fn inject_into_the_first(server: &Server) {
    let inject = |broker: &mut Broker| {
        let id = broker.connections().next().map(|(id, _)| id)?;
        broker.inject(id, "early").ok()
    };
    eventually("the connection is known", || server.with(inject).is_some());
}

/// Others are served, whatever went wrong.
fn still_serves(server: &Server, identity: &Identity) {
    Client::connect(identity.secure(dial_to(address(server))), Version::V5, "another");
}

#[test]
fn messages_travel_and_clients_are_many() {
    let identity = Identity::new();
    let server = serve(&identity);
    transport::messages_travel(&server, |server| identity.secure(dial_to(address(server))));
    transport::many_are_served(&server, |server| identity.secure(dial_to(address(server))));
}

#[test]
fn faults_are_done_to_mqtt() {
    let identity = Identity::new();
    transport::faults_are_done(&serve(&identity), |server| identity.secure(dial_to(address(server))));
}

#[test]
fn stopping_is_told() {
    let identity = Identity::new();
    transport::stopping_is_told(serve(&identity), |server| identity.secure(dial_to(address(server))));
}

#[test]
fn who_does_not_read_is_not_read() {
    let identity = Identity::new();
    let dial = |server: &Server| identity.secure(dial_to(address(server)));
    transport::who_does_not_read_is_not_read(&serve(&identity), dial, |stream| &stream.sock);
}

#[test]
fn bytes_may_come_one_by_one() {
    let identity = Identity::new();
    let server = serve(&identity);
    let mut client = Client::connect(identity.secure(Trickle(dial_to(address(&server)))), Version::V5, "a");
    client.subscribe_at("t", QoS::ExactlyOnce);
    assert_eq!(client.echo(QoS::ExactlyOnce, vec![7; 1000].into()), vec![7; 1000]);
}

#[test]
fn tls_1_2_is_spoken() {
    let identity = Identity::new();
    let server = serve(&identity);
    let config = ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_protocol_versions(&[&rustls::version::TLS12])
        .expect("supported");
    let config = Arc::new(config.with_root_certificates(identity.roots()).with_no_client_auth());
    let mut client = Client::connect(secure(dial_to(address(&server)), config), Version::V311, "a");
    client.subscribe_at("t", QoS::ExactlyOnce);
    assert_eq!(client.echo(QoS::ExactlyOnce, vec![7; 100_000].into()), vec![7; 100_000]);
}

#[test]
fn tcp_is_served_beside_tls_and_all_addresses_are_named() {
    let identity = Identity::new();
    let server = Server::options(Broker::default())
        .tls(ANY_PORT, identity.server())
        .tcp(ANY_PORT)
        .tls(ANY_PORT, identity.server())
        .start()
        .expect("started");
    let [Address::Tls(first), Address::Tcp(plain), Address::Tls(second)] = *server.local_addrs() else {
        panic!("{:?}", server.local_addrs());
    };
    assert_eq!(server.tls_addr(), Some(first));
    assert_eq!(server.tcp_addr(), Some(plain));
    let mut subscriber = Client::connect(dial(&server), Version::V5, "plain");
    subscriber.subscribe("t");
    let mut publisher = Client::connect(identity.secure(dial_to(second)), Version::V5, "secure");
    publisher.publish(karere_proto::PacketId::FIRST, "across");
    assert_eq!(subscriber.received_payload(), "across");
}

#[test]
fn plain_mqtt_at_the_port_of_tls_ends_and_is_noted() {
    let identity = Identity::new();
    let server = serve(&identity);
    let mut socket = dial_to(address(&server));
    socket.write_all(b"\x10\x0D\x00\x04MQTT\x04\x02\x00\x3C\x00\x01a").expect("written");
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).expect("closed orderly");
    assert_eq!(answer.first(), Some(&21), "an alert");
    assert!(trouble(&server).starts_with("TLS: "), "{}", trouble(&server));
    still_serves(&server, &identity);
}

#[test]
fn tls_at_the_port_of_plain_mqtt_ends() {
    let identity = Identity::new();
    let server = Server::options(Broker::default()).tcp(ANY_PORT).start().expect("started");
    let mut stream = identity.secure(dial(&server));
    let error = stream.write_all(b"x").expect_err("no TLS there");
    assert!(matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData), "{error}");
    assert_eq!(server.with(|broker| broker.counters().accepted), 0);
    Client::connect(dial(&server), Version::V5, "another");
}

#[test]
fn a_certificate_that_the_client_does_not_trust_is_noted() {
    let identity = Identity::new();
    let server = serve(&identity);
    let mut stream = Identity::new().secure(dial_to(address(&server)));
    stream.write_all(b"x").expect_err("not trusted");
    assert!(trouble(&server).contains("alert"), "{}", trouble(&server));
    still_serves(&server, &identity);
}

#[test]
fn certificates_of_clients_are_asked_for_as_configured() {
    let identity = Identity::new();
    let of_client = Identity::new();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(of_client.roots(), rustls::crypto::ring::default_provider().into())
            .build()
            .expect("built");
    let config = server_config().with_client_cert_verifier(verifier);
    let config = config.with_single_cert(vec![identity.certificate.clone()], identity.key.clone_key()).expect("fits");
    let server = Server::options(Broker::default()).tls(ANY_PORT, Arc::new(config)).start().expect("started");

    let mut without = identity.secure(dial_to(address(&server)));
    let _ = without.write_all(b"x"); // TLS 1.3 tells with the next read
    without.read(&mut [0; 10]).expect_err("refused");
    assert!(trouble(&server).contains("certificate"), "{}", trouble(&server));

    let with = client_config().with_root_certificates(identity.roots());
    let with = with.with_client_auth_cert(vec![of_client.certificate.clone()], of_client.key.clone_key());
    Client::connect(secure(dial_to(address(&server)), Arc::new(with.expect("fits"))), Version::V5, "with");
}

#[test]
fn a_record_that_was_tampered_with_ends_the_connection() {
    let identity = Identity::new();
    let server = serve(&identity);
    let mut client = Client::connect(identity.secure(dial_to(address(&server))), Version::V5, "a");
    // Application data of 32 bytes that no key has sealed.
    client.socket.sock.write_all(&[&[23, 3, 3, 0, 32][..], &[0xA5; 32]].concat()).expect("written");
    client.socket.read(&mut [0; 10]).expect_err("an alert");
    assert!(trouble(&server).starts_with("TLS: "), "{}", trouble(&server));
    eventually("the connection ends", || server.with(|broker| broker.connections().count()) == 0);
    still_serves(&server, &identity);
}

#[test]
fn close_notify_is_answered() {
    let identity = Identity::new();
    let server = serve(&identity);
    let mut client = Client::connect(identity.secure(dial_to(address(&server))), Version::V5, "a");
    client.socket.conn.send_close_notify();
    client.socket.flush().expect("flushed");
    assert_eq!(client.receive(), None); // an end without close_notify would be an error
    eventually("the connection ends", || server.with(|broker| broker.connections().count()) == 0);
    assert_eq!(server.troubles(), []);
}

#[test]
fn unfinished_handshakes_end() {
    let identity = Identity::new();
    let server = Server::options(impatient()).tls(ANY_PORT, identity.server()).start().expect("started");
    transport::unfinished_handshakes_end(address(&server), b"");
    transport::unfinished_handshakes_end(address(&server), &[22, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3]);
    let troubles = server.troubles();
    assert_eq!(troubles.len(), 2);
    assert!(troubles.iter().all(|trouble| trouble.why.contains("not over")), "{troubles:?}");
    // What waits for the end of the handshake does not keep it open.
    let mut silent = dial_to(address(&server));
    inject_into_the_first(&server);
    silent.read_to_end(&mut Vec::new()).expect("closed in time");
    assert_eq!(server.troubles().len(), 3);
    // After the handshake the same time counts for CONNECT.
    let mut stream = identity.secure(dial_to(address(&server)));
    stream.flush().expect("flushed");
    assert_eq!(stream.read(&mut [0; 10]).expect("closed orderly"), 0);
}

#[test]
fn a_client_that_is_refused_still_learns_why() {
    let identity = Identity::new();
    let server = serve(&identity);
    let mut client = Client::connect(identity.secure(dial_to(address(&server))), Version::V5, "a");
    for _ in 0..1000 {
        client.send(&Packet::PingReq);
    }
    // A second CONNECT is a protocol error.
    let second = karere_proto::packet::Connect::new(Version::V5, karere_proto::Utf8String::new("a").expect("legal"));
    client.send(&Packet::Connect(Box::new(second)));
    for _ in 0..1000 {
        assert_eq!(client.receive(), Some(Packet::PingResp));
    }
    assert!(matches!(client.receive(), Some(Packet::Disconnect(_))));
    assert_eq!(client.receive(), None);
}

#[test]
fn what_is_injected_in_a_handshake_waits_for_its_end() {
    let identity = Identity::new();
    let server = serve(&identity);
    let socket = dial_to(address(&server));
    inject_into_the_first(&server);
    thread::sleep(Duration::from_millis(20));
    let mut stream: StreamOwned<_, TcpStream> = identity.secure(socket);
    let mut early = [0; 5];
    stream.read_exact(&mut early).expect("comes");
    assert_eq!(&early, b"early");
}

/// With ring, whichever providers the build has.
fn server_config() -> rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier> {
    let provider = rustls::crypto::ring::default_provider().into();
    ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("supported")
}

fn client_config() -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    let provider = rustls::crypto::ring::default_provider().into();
    ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("supported")
}
