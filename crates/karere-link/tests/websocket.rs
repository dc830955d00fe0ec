//! A link over WebSocket: the handshake comes before CONNECT, goodbyes come behind DISCONNECT, errors reach the application.
#![cfg(test)]
#![cfg(feature = "websocket")]

use std::io::IoSlice;
use std::time::Instant;

use bytes::BytesMut;
use karere_link::{Close, Dial, Event, Link, Policy, Rng, Server, Use, Ways, WebSocketOptions};
use karere_proto::packet::Disconnect;
use karere_proto::session::{CloseCause, Config, Event as SessionEvent};
use karere_proto::{Session, Utf8String, Version};

/// The key of RFC 6455, §1.3, and what a server makes of it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ANSWER: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";
const CONNACK: &[u8] = b"\x82\x05\x20\x03\x00\x00\x00";

struct World {
    now: Instant,
    link: Link,
    session: Session,
}

impl World {
    /// Connected to 10.0.0.1, as far as the socket goes.
    #[expect(clippy::disallowed_methods, reason = "some instant to count from; no test reads the clock again")]
    fn dialed() -> Self {
        let mut ways = Ways::default();
        ways.websocket = WebSocketOptions::new().headers([("Sec-WebSocket-Key", KEY)]);
        let servers = vec![Server::parse("ws://10.0.0.1:9001/broker").unwrap()];
        let link = Link::new(servers, ways, Policy::default(), Rng::new(1));
        let config = Config::new(Version::V5, Utf8String::new("one").unwrap());
        let now = Instant::now();
        let mut world = Self { now, link, session: Session::new(now, config).unwrap() };
        world.link.connect(now);
        world.dial();
        world
    }

    fn online() -> Self {
        let mut world = Self::dialed();
        let _request = world.wire();
        world.receive(&[ANSWER, CONNACK].concat());
        let _connect = world.wire();
        let event = world.session.poll_event(world.now);
        assert!(matches!(event, Some(SessionEvent::Connected(_))), "{event:?}");
        world
    }

    fn dial(&mut self) {
        let connect = |dial| match dial {
            Dial::Connect { attempt, .. } => Some(attempt),
            _ => None,
        };
        let attempt = core::iter::from_fn(|| self.link.poll_dial()).find_map(connect).expect("it dials");
        assert_eq!(self.link.handle_dialed(self.now, attempt, Ok(())), Use::Connection);
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.link.handle_received(self.now, &mut BytesMut::from(bytes)).unwrap();
        self.link.exchange(self.now, &mut self.session);
    }

    /// What leaves, as the socket takes it, and the error that ends it.
    fn write(&mut self) -> (Vec<u8>, Option<String>) {
        self.link.exchange(self.now, &mut self.session);
        let mut wire = Vec::new();
        loop {
            let mut slices = [IoSlice::new(&[]); 4];
            let filled = match self.link.poll_transmit(self.now, &mut slices) {
                Ok(0) => return (wire, None),
                Ok(filled) => filled,
                Err(error) => return (wire, Some(error.to_string())),
            };
            let before = wire.len();
            slices[..filled].iter().for_each(|slice| wire.extend_from_slice(slice));
            self.link.handle_sent(wire.len() - before);
        }
    }

    fn wire(&mut self) -> Vec<u8> {
        let (wire, error) = self.write();
        assert_eq!(error, None);
        wire
    }
}

/// The payload of a short frame with this first byte, and what follows it.
fn payload(frames: &[u8], first: u8) -> (Vec<u8>, &[u8]) {
    assert_eq!(frames[0], first);
    let len = usize::from(frames[1] & 0x7F);
    let mask = &frames[2..6];
    let (payload, rest) = frames[6..].split_at(len);
    (payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect(), rest)
}

#[test]
fn connect_waits_for_the_handshake_and_is_one_frame() {
    let mut world = World::dialed();
    let request = String::from_utf8(world.wire()).unwrap();
    assert!(request.starts_with("GET /broker HTTP/1.1\r\nHost: 10.0.0.1:9001\r\n"), "{request}");
    world.receive(&ANSWER[..ANSWER.len() - 1]);
    assert!(world.wire().is_empty() && world.link.is_handshaking());
    world.receive(&[&ANSWER[ANSWER.len() - 1..], CONNACK].concat());
    let wire = world.wire();
    let (connect, rest) = payload(&wire, 0x82);
    assert_eq!((connect[0], usize::from(connect[1])), (0x10, connect.len() - 2));
    assert_eq!(rest, b"");
}

#[test]
fn goodbye_of_the_websocket_follows_disconnect() {
    let mut world = World::online();
    world.session.disconnect(Disconnect::NORMAL).unwrap();
    let wire = world.wire();
    let (disconnect, rest) = payload(&wire, 0x82);
    assert_eq!(disconnect, b"\xE0\x00");
    let (close, rest) = payload(rest, 0x88);
    assert_eq!((&close[..], rest), (&b"\x03\xE8"[..], &b""[..]));
    world.link.exchange(world.now, &mut world.session);
    assert_eq!(world.link.poll_close(world.now), Some(Close::ShutWrite));
    world.receive(b"\x88\x02\x03\xE8");
    assert_eq!(world.wire(), b"");
}

#[test]
fn disconnect_ahead_of_the_servers_close_is_the_reason_that_is_told() {
    let mut world = World::online();
    world.receive(b"\x82\x04\xE0\x02\x8B\x00\x88\x02\x03\xE9");
    assert!(world.session.poll_event(world.now).is_none(), "the connection has not ended");
    let (wire, error) = world.write();
    assert_eq!(payload(&wire, 0x88), (b"\x03\xE9".to_vec(), &b""[..]));
    world.session.handle_closed(CloseCause::Failed(error.unwrap()));
    let Some(SessionEvent::Disconnected(cause)) = world.session.poll_event(world.now) else {
        panic!("it has ended");
    };
    assert!(cause.to_string().contains("shutting"), "{cause}");
}

#[test]
fn servers_close_is_answered_before_its_reason_is_an_error() {
    let mut world = World::online();
    world.receive(b"\x88\x09\x03\xF0go away");
    let (wire, error) = world.write();
    assert_eq!(payload(&wire, 0x88).0, b"\x03\xF0");
    assert_eq!(error.unwrap(), "WebSocket: the server closed the WebSocket with 1008 (against its policy): go away");
}

#[test]
fn refused_handshake_is_a_failed_attempt_and_the_next_one_asks_anew() {
    let mut world = World::dialed();
    let first = world.wire();
    let mut bytes = BytesMut::from(&b"HTTP/1.1 404 Not Found\r\n\r\n"[..]);
    let error = world.link.handle_received(world.now, &mut bytes).unwrap_err();
    world.link.handle_failed(world.now, error.to_string());
    let failed = core::iter::from_fn(|| world.link.poll_event()).find_map(|event| match event {
        Event::Failed(error) => Some(error.to_string()),
        _ => None,
    });
    let expected = "WebSocket: the server answered 404 Not Found: there is no WebSocket at the path /broker";
    assert!(failed.as_ref().is_some_and(|failed| failed.contains(expected)), "{failed:?}");
    world.now = world.link.poll_timeout().unwrap();
    world.link.handle_timeout(world.now);
    world.dial();
    assert_eq!(world.wire(), first);
}

#[test]
fn pings_are_answered_without_a_word_of_mqtt() {
    let mut world = World::online();
    world.receive(b"\x89\x01?");
    assert_eq!(payload(&world.wire(), 0x8A).0, b"?");
}

#[test]
fn server_that_is_not_one_over_websocket_has_no_layer() {
    let options = WebSocketOptions::new();
    for (url, fits) in [("ws://h", true), ("mqtt://h", false)] {
        assert_eq!(options.layer(&Server::parse(url).unwrap()).is_ok(), fits, "{url}");
    }
}
