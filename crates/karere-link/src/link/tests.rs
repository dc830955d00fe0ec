//! A link with scripted layers: handshakes, positions, errors, goodbyes.

use karere_proto::{
    Publish, SendBuf, Utf8String, Version,
    packet::Disconnect,
    session::{Config, Event as SessionEvent},
};

use super::*;
use crate::{
    clock,
    layer::{Layer, Progress},
    stack::Stack,
};

/// Greets, waits for a greeting, and puts a length before each flush.
#[derive(Debug, Default)]
struct Framing {
    said: bool,
    greeted: bool,
    fails_to_seal: bool,
}

impl Layer for Framing {
    fn open(&mut self, _: Instant, input: &mut BytesMut, output: &mut BytesMut) -> Result<Progress, LayerError> {
        if !self.greeted {
            if input.is_empty() {
                return Ok(Progress::Handshaking);
            }
            if input[0] != b'!' {
                return Err(LayerError::new("framing", "was not greeted"));
            }
            let _ = input.split_to(1);
            self.greeted = true;
        }
        output.unsplit(input.split());
        Ok(Progress::Open)
    }

    fn seal(&mut self, _: Instant, plain: &mut SendBuf, wire: &mut SendBuf) -> Result<(), LayerError> {
        if self.fails_to_seal {
            return Err(LayerError::new("framing", "lost its key"));
        }
        if !self.said {
            self.said = true;
            wire.put_slice(b"?");
        }
        let bytes = plain.to_vec();
        if !bytes.is_empty() {
            wire.put_slice(&[u8::try_from(bytes.len()).expect("small")]);
            wire.put_slice(&bytes);
            plain.advance(bytes.len());
        }
        Ok(())
    }

    fn name(&self) -> &'static str {
        "framing"
    }

    fn close(&mut self, wire: &mut SendBuf) {
        wire.put_slice(b"bye");
    }
}

struct World {
    now: Instant,
    link: Link,
    session: Session,
}

impl World {
    /// Dialed, with the layer's handshake before it.
    fn dialed(layer: Framing) -> Self {
        Self::dialed_through(Box::new(layer))
    }

    fn dialed_through(layer: Box<dyn Layer>) -> Self {
        let now = clock();
        let mut link =
            Link::new(vec![Server::new(Endpoint::Unix("/x".into()))], Ways::default(), Policy::default(), Rng::new(1));
        link.connect(now);
        let Some(Dial::Connect { attempt, .. }) = link.poll_dial() else {
            panic!("a path is dialed");
        };
        assert_eq!(link.handle_dialed(now, attempt, Ok(())), Use::Connection);
        link.pipe.stack = Stack::new(vec![layer]);
        let config = Config::new(Version::V5, Utf8String::new("one").expect("legal"));
        Self { now, link, session: Session::new(now, config).expect("legal") }
    }

    /// With a session that is connected.
    fn online() -> Self {
        let mut world = Self::dialed(Framing::default());
        world.receive(b"!");
        let _connect = world.wire();
        world.receive(b"\x20\x03\x00\x00\x00");
        assert!(matches!(world.session.poll_event(world.now), Some(SessionEvent::Connected(_))));
        world
    }

    fn exchange(&mut self) {
        self.link.exchange(self.now, &mut self.session);
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.link.handle_received(self.now, &mut BytesMut::from(bytes)).expect("greeted");
        self.exchange();
    }

    /// What waits for the socket; it is not taken.
    fn peek(&mut self) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 8];
        let count = self.link.poll_transmit(self.now, &mut slices).expect("sealed");
        slices[..count].iter().flat_map(|slice| slice.to_vec()).collect()
    }

    /// What waits for the socket, which takes it.
    fn wire(&mut self) -> Vec<u8> {
        let wire = self.peek();
        self.link.handle_sent(wire.len());
        wire
    }
}

#[test]
fn nothing_of_mqtt_leaves_before_the_layers_are_open() {
    let mut world = World::dialed(Framing::default());
    world.exchange();
    assert!(world.link.is_handshaking() && world.session.is_offline());
    assert_eq!(world.wire(), b"?");
    world.receive(b"!");
    assert!(!world.link.is_handshaking() && !world.session.is_offline());
    let wire = world.wire();
    assert_eq!((usize::from(wire[0]), wire[1]), (wire.len() - 1, 0x10), "CONNECT in one frame");
}

#[test]
fn bytes_count_as_written_when_the_whole_frame_that_carries_them_is() {
    let mut world = World::online();
    let token = world.session.publish(world.now, Publish::new("a", "x").expect("legal")).expect("taken");
    world.exchange();
    let frame = world.peek().len();
    for taken in 1..frame {
        world.link.handle_sent(1);
        world.exchange();
        assert!(world.session.poll_event(world.now).is_none(), "{taken} of {frame} bytes");
    }
    world.link.handle_sent(1);
    world.exchange();
    let Some(SessionEvent::Published { token: told, outcome, .. }) = world.session.poll_event(world.now) else {
        panic!("it is written");
    };
    assert!(told == token && outcome.is_acknowledged());
}

#[test]
fn qos_0_that_leaves_with_disconnect_is_done_when_it_has_left() {
    let mut world = World::online();
    let _token = world.session.publish(world.now, Publish::new("a", "x").expect("legal")).expect("taken");
    world.session.disconnect(Disconnect::NORMAL).expect("may be said");
    world.exchange();
    let _ = world.wire();
    world.exchange();
    let event = world.session.poll_event(world.now);
    assert!(matches!(event, Some(SessionEvent::Published { outcome, .. }) if outcome.is_acknowledged()));
}

#[test]
fn goodbyes_of_the_layers_follow_disconnect() {
    let mut world = World::online();
    world.session.disconnect(Disconnect::NORMAL).expect("may be said");
    world.exchange();
    assert_eq!(world.link.poll_close(world.now), None);
    assert_eq!(world.wire(), b"\x02\xE0\x00bye");
    assert_eq!(world.link.poll_close(world.now), Some(Close::ShutWrite));
}

#[test]
fn failed_handshake_is_a_failed_attempt_and_says_which_layer() {
    let mut world = World::dialed(Framing::default());
    let error = world.link.handle_received(world.now, &mut BytesMut::from(&b"no"[..])).expect_err("not greeted");
    world.link.handle_failed(world.now, error.to_string());
    let failed = core::iter::from_fn(|| world.link.poll_event()).find_map(|event| match event {
        Event::Failed(error) => Some(error.to_string()),
        _ => None,
    });
    assert_eq!(failed.as_deref(), Some("cannot connect to /x: framing: was not greeted"));
    assert!(world.link.poll_timeout().is_some(), "the next attempt");
}

#[test]
fn handshake_that_takes_too_long_is_given_up() {
    let mut world = World::dialed(Framing::default());
    let deadline = world.link.poll_timeout().expect("a deadline");
    assert_eq!(deadline - world.now, Policy::default().connect_timeout);
    world.link.handle_timeout(deadline);
    assert!(!world.link.is_handshaking());
    let failed = core::iter::from_fn(|| world.link.poll_event()).any(|event| {
        matches!(event, Event::Failed(DialError { problem: DialProblem::Layer(why), .. }) if why.contains("in time"))
    });
    assert!(failed);
}

#[test]
fn layer_that_cannot_seal_is_an_error_of_the_connection() {
    let mut world = World::dialed(Framing { fails_to_seal: true, ..Framing::default() });
    let mut slices = [IoSlice::new(&[]); 8];
    let error = world.link.poll_transmit(world.now, &mut slices).expect_err("no key");
    assert_eq!(error.to_string(), "framing: lost its key");
}

#[test]
fn layer_that_cannot_say_goodbye_is_dropped_at_once() {
    let mut world = World::online();
    world.link.pipe.stack = Stack::new(vec![Box::new(Framing { fails_to_seal: true, ..Framing::default() })]);
    world.session.disconnect(Disconnect::NORMAL).expect("may be said");
    world.exchange();
    assert_eq!(world.link.poll_close(world.now), Some(Close::Drop));
}

/// Asks once, and is out of the way when it is answered.
#[derive(Debug, Default)]
struct Proxy {
    asked: bool,
}

impl Layer for Proxy {
    fn open(&mut self, _: Instant, input: &mut BytesMut, _: &mut BytesMut) -> Result<Progress, LayerError> {
        if input.is_empty() {
            return Ok(Progress::Handshaking);
        }
        let _ = input.split_to(1);
        Ok(Progress::Transparent)
    }

    fn seal(&mut self, _: Instant, _: &mut SendBuf, wire: &mut SendBuf) -> Result<(), LayerError> {
        if !core::mem::replace(&mut self.asked, true) {
            wire.put_slice(b"let me through");
        }
        Ok(())
    }

    fn name(&self) -> &'static str {
        "proxy"
    }

    fn close(&mut self, _: &mut SendBuf) {}
}

#[test]
fn what_was_said_to_a_proxy_does_not_count_as_written_by_the_session() {
    let mut world = World::dialed_through(Box::new(Proxy::default()));
    assert_eq!(world.wire(), b"let me through");
    world.receive(b"!");
    let connect = world.wire();
    assert_eq!(connect.first(), Some(&0x10), "CONNECT");
    world.receive(b"\x20\x03\x00\x00\x00");
    assert!(matches!(world.session.poll_event(world.now), Some(SessionEvent::Connected(_))));
    let token = world.session.publish(world.now, Publish::new("a", "b").expect("legal")).expect("taken");
    world.exchange();
    assert!(world.session.poll_event(world.now).is_none(), "it has not left");
    let publish = world.peek();
    world.link.handle_sent(publish.len() - 1);
    world.exchange();
    assert!(world.session.poll_event(world.now).is_none(), "not all of it");
    world.link.handle_sent(1);
    world.exchange();
    let told = world.session.poll_event(world.now);
    assert!(matches!(told, Some(SessionEvent::Published { token: of, .. }) if of == token), "{told:?}");
}

#[test]
fn a_server_of_something_else_is_told_by_its_first_bytes() {
    for (answer, what) in [(&b"HTTP/1.1 400 Bad Request"[..], "ws://"), (b"\x15\x03\x01\x00\x02\x02\x46", "mqtts://")] {
        let mut link =
            Link::new(vec![Server::new(Endpoint::Unix("/x".into()))], Ways::default(), Policy::default(), Rng::new(1));
        let now = clock();
        link.connect(now);
        let Some(Dial::Connect { attempt, .. }) = link.poll_dial() else { panic!("a path is dialed") };
        assert_eq!(link.handle_dialed(now, attempt, Ok(())), Use::Connection);
        let error = link.handle_received(now, &mut BytesMut::from(answer)).expect_err("no MQTT").to_string();
        assert!(error.contains(what), "{error}");
    }
}
