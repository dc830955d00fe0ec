//! The broker behind TCP and Unix sockets.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use karere_broker::{Config, Fault, Server, Trigger, listener::Address};
use karere_proto::{
    Packet, PacketId, PacketType, Publish, ReasonCode, SendBuf, Utf8String, Version,
    packet::{Ack, AckKind, Attempt, Connect, PublishPacket},
};

use crate::client::{Client, PATIENCE, dial, eventually, start};

#[test]
fn messages_of_any_size_travel_between_versions() {
    let server = start();
    let mut subscribers = Version::ALL.map(|version| Client::connect(dial(&server), version, version.rules().name));
    for subscriber in &mut subscribers {
        subscriber.subscribe("t");
    }
    let mut publisher = Client::connect(dial(&server), Version::V311, "p");
    for size in [0, 1, 5_000, 300_000] {
        publisher.publish(PacketId::FIRST, vec![7; size]);
        assert_eq!(publisher.receive(), Some(Packet::Ack(Ack::new(AckKind::PubAck, PacketId::FIRST))));
        for subscriber in &mut subscribers {
            assert_eq!(subscriber.received_payload().len(), size);
        }
    }
}

#[test]
fn ten_thousand_messages_come_in_order() {
    let server = start();
    let mut subscriber = Client::connect(dial(&server), Version::V5, "s");
    subscriber.subscribe("t");
    let mut publisher = Client::connect(dial(&server), Version::V5, "p");
    let sender = thread::spawn(move || {
        let mut id = PacketId::FIRST;
        for n in 0..10_000u32 {
            publisher.publish(id, n.to_string());
            id = id.next();
        }
        for _ in 0..10_000 {
            assert!(matches!(publisher.receive(), Some(Packet::Ack(_))));
        }
    });
    for n in 0..10_000u32 {
        assert_eq!(subscriber.received_payload(), n.to_string());
    }
    sender.join().expect("sent");
    assert_eq!(server.with(|broker| broker.counters().messages_in), [0, 10_000, 0]);
}

#[test]
fn what_a_test_does_to_the_broker_is_sent_at_once() {
    let server = start();
    let mut client = Client::connect(dial(&server), Version::V5, "a");
    client.subscribe("t");
    let message = Publish::new("t", "from the test").expect("legal");
    assert_eq!(server.with(|broker| broker.publish(Instant::now(), message)), 1);
    assert_eq!(client.received_payload(), "from the test");
}

#[test]
fn split_packets_come_in_separate_reads() {
    let server = start();
    let split = Fault::Split { size: 1, pause: Duration::from_millis(20) };
    server.with(|broker| broker.faults().add(Trigger::to_client(PacketType::PingResp), split));
    let mut client = Client::connect(dial(&server), Version::V311, "a");
    client.send(&Packet::PingReq);
    let mut buffer = [0; 10];
    assert_eq!(client.socket.read(&mut buffer).expect("in time"), 1);
    assert_eq!(client.socket.read(&mut buffer).expect("in time"), 1);
}

#[test]
fn deadlines_are_kept_without_traffic() {
    let server = Server::start(Config::new().connect_timeout(Duration::from_millis(50))).expect("started");
    let mut silent = dial(&server);
    assert_eq!(silent.read(&mut [0; 10]).expect("in time"), 0);
}

#[test]
fn a_client_that_goes_on_sending_still_learns_why_it_was_closed() {
    let server = start();
    let mut client = Client::connect(dial(&server), Version::V5, "a");
    let second_connect = Connect::new(Version::V5, Utf8String::new("a").expect("legal"));
    client.send(&Packet::Connect(Box::new(second_connect)));
    for _ in 0..1000 {
        client.send(&Packet::PingReq);
    }
    assert!(matches!(client.receive(), Some(Packet::Disconnect(why)) if why.reason == ReasonCode::ProtocolError));
    assert_eq!(client.receive(), None);
}

#[test]
fn closed_sockets_are_noticed() {
    let server = start();
    let client = Client::connect(dial(&server), Version::V5, "a");
    assert!(server.with(|broker| broker.connection_of("a")).is_some());
    drop(client);
    eventually("the connection ends", || server.with(|broker| broker.connections().count()) == 0);
    assert_eq!(server.with(|broker| broker.counters().lost), 1);
}

#[test]
fn who_does_not_read_is_not_read() {
    let server = start();
    let mut client = Client::connect(dial(&server), Version::V311, "a");
    client.subscribe("t");
    client.socket.set_nonblocking(true).expect("set");
    let publish = Publish::new("t", vec![7; 100_000]).expect("legal");
    let mut out = SendBuf::new();
    for _ in 0..500 {
        Packet::Publish(PublishPacket::new(publish.clone(), None, Attempt::First))
            .encode(client.version.rules(), &mut out);
    }
    // All of it comes back to the one who does not read it, until nothing more is taken.
    let mut blocked_since = None;
    while blocked_since.is_none_or(|since: Instant| since.elapsed() < Duration::from_millis(300)) {
        let bytes = out.to_vec();
        match client.socket.write(&bytes) {
            Ok(written) => {
                out.advance(written);
                blocked_since = None;
                assert!(!out.is_empty(), "50 MB were taken from a client that reads nothing");
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                blocked_since.get_or_insert_with(Instant::now);
                thread::sleep(Duration::from_millis(5));
            }
            Err(error) => panic!("{error}"),
        }
    }
    // Once it reads, everything comes.
    client.socket.set_nonblocking(false).expect("set");
    let mut writer = client.socket.try_clone().expect("cloned");
    let rest = out.to_vec();
    let writing = thread::spawn(move || writer.write_all(&rest).expect("written"));
    for _ in 0..500 {
        assert_eq!(client.received_payload().len(), 100_000);
    }
    writing.join().expect("written");
}

#[test]
fn stopping_tells_the_clients_and_ends_everything() {
    let path = std::env::temp_dir().join(format!("karere-broker-{}", std::process::id()));
    let server = Server::options(karere_broker::Broker::default())
        .tcp((Ipv4Addr::LOCALHOST, 0))
        .unix(&path)
        .start()
        .expect("started");
    let address = server.tcp_addr().expect("listens on TCP");
    let mut v5 = Client::connect(dial(&server), Version::V5, "5");
    let mut v311 = Client::connect(dial(&server), Version::V311, "3");
    let _silent = dial(&server);
    let broker = server.stop();
    assert!(matches!(v5.receive(), Some(Packet::Disconnect(why)) if why.reason == ReasonCode::ServerShuttingDown));
    assert_eq!(v5.receive(), None);
    assert_eq!(v311.receive(), None);
    assert_eq!(broker.connections().count(), 0);
    assert!(!path.exists(), "the socket's file is gone");
    assert!(TcpStream::connect(address).is_err(), "nobody listens");

    // What was kept can be served again, at the same place.
    assert!(broker.session("3").is_some());
    let server = Server::options(broker).tcp(address).start().expect("the port is free");
    let again = Client::connect(dial(&server), Version::V311, "3");
    drop((again, server));
    assert!(TcpStream::connect(address).is_err(), "dropping stops, too");
}

#[cfg(unix)]
#[test]
fn unix_sockets_serve_and_replace_what_was_left_behind() {
    use std::os::unix::net::{UnixListener, UnixStream};

    let path = std::env::temp_dir().join(format!("karere-broker-left-{}", std::process::id()));
    drop(UnixListener::bind(&path).expect("bound")); // leaves the file
    let options = || Server::options(karere_broker::Broker::default()).unix(&path);
    let server = options().start().expect("started");
    assert_eq!(server.local_addrs(), [Address::Unix(path.clone())]);
    assert_eq!(server.tcp_addr(), None);
    let stream = UnixStream::connect(&path).expect("connected");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    let mut client = Client::connect(stream, Version::V5, "a");
    client.subscribe("t");
    client.publish(PacketId::FIRST, "m");
    assert_eq!(client.received_payload(), "m");
    assert!(options().start().is_err(), "one that is served is not taken away");
    drop(UnixStream::connect(&path).expect("still served"));
}

#[test]
fn an_address_in_use_is_named() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bound");
    let address = taken.local_addr().expect("bound");
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let error = Server::options(karere_broker::Broker::default()).tcp(free).tcp(address).start().expect_err("in use");
    assert_eq!(error.to_string(), format!("cannot listen on TCP address {address}"));
    assert_eq!(error.address, Some(Address::Tcp(address)));
    assert_eq!(error.source.kind(), ErrorKind::AddrInUse);
}
