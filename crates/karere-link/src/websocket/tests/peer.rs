//! The server is tungstenite's, over the same kind of buffers.

use std::{
    cell::RefCell,
    io::{self, Read, Write},
    rc::Rc,
};

use tungstenite::{
    Message, WebSocket,
    handshake::server::{Request, Response},
    http::{self, HeaderValue},
    protocol::WebSocketConfig,
};

use super::*;

/// Both directions of a connection; reading from an empty one would block.
#[derive(Clone, Default)]
struct Line(Rc<RefCell<[Vec<u8>; 2]>>);

const TO_SERVER: usize = 0;
const TO_CLIENT: usize = 1;

impl Line {
    fn drain(&self, direction: usize) -> Vec<u8> {
        core::mem::take(&mut self.0.borrow_mut()[direction])
    }

    fn put(&self, direction: usize, bytes: &[u8]) {
        self.0.borrow_mut()[direction].extend_from_slice(bytes);
    }
}

impl Read for Line {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let waiting = &mut self.0.borrow_mut()[TO_SERVER];
        let len = room.len().min(waiting.len());
        if len == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        room[..len].copy_from_slice(&waiting[..len]);
        waiting.drain(..len);
        Ok(len)
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(TO_CLIENT, bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A client and a server that have shaken hands.
fn connected() -> (World, Line, WebSocket<Line>) {
    let mut world = World::fresh();
    let line = Line::default();
    line.put(TO_SERVER, &world.said().expect("a request"));
    #[expect(clippy::result_large_err, reason = "tungstenite's signature")]
    let select = |request: &Request, mut response: Response| {
        assert_eq!(request.uri().path(), "/mqtt");
        assert_eq!(request.headers()["Sec-WebSocket-Protocol"], "mqtt");
        response.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("mqtt"));
        Ok(response)
    };
    let config = WebSocketConfig::default().max_frame_size(None);
    let server = tungstenite::accept_hdr_with_config(line.clone(), select, Some(config)).expect("a handshake");
    assert_eq!(world.hear(&line.drain(TO_CLIENT)), Ok(Progress::Open));
    (world, line, server)
}

const SIZES: [usize; 7] = [0, 1, 125, 126, 65_535, 65_536, 5 << 20];

#[test]
fn payloads_of_all_sizes_arrive_both_ways() {
    let (mut world, line, mut server) = connected();
    for size in SIZES {
        let payload = numbered(size);
        server.send(Message::binary(payload.clone())).expect("sent");
        for piece in line.drain(TO_CLIENT).chunks(16_384 + 1) {
            assert_eq!(world.hear(piece), Ok(Progress::Open));
        }
        assert!(world.output.split() == payload, "{size} bytes to the client");

        world.plain.put_slice(&payload);
        line.put(TO_SERVER, &world.said().expect("a frame"));
        if size == 0 {
            continue; // no frame without bytes
        }
        let Message::Binary(came) = server.read().expect("a message") else {
            panic!("a binary one");
        };
        assert!(came == payload, "{size} bytes to the server");
    }
}

#[test]
fn pings_and_goodbyes_are_understood() {
    let (mut world, line, mut server) = connected();
    server.send(Message::Ping("?".into())).expect("sent");
    world.hear(&line.drain(TO_CLIENT)).expect("a ping");
    line.put(TO_SERVER, &world.said().expect("a pong"));
    assert_eq!(server.read().expect("a pong"), Message::Pong("?".into()));

    let mut wire = SendBuf::new();
    world.layer.close(&mut wire);
    line.put(TO_SERVER, &wire.to_vec());
    let Message::Close(Some(close)) = server.read().expect("a goodbye") else {
        panic!("a goodbye with a code");
    };
    assert_eq!(close.code, CloseCode::Normal);
    assert!(matches!(server.read(), Err(tungstenite::Error::ConnectionClosed)), "it has answered");
    assert_eq!(world.hear(&line.drain(TO_CLIENT)), Ok(Progress::Open));
    assert!(matches!(world.layer.phase, Phase::Closed));
}

#[test]
fn servers_goodbye_is_answered() {
    let (mut world, line, mut server) = connected();
    server.close(None).expect("sent");
    world.hear(&line.drain(TO_CLIENT)).expect("a goodbye");
    line.put(TO_SERVER, &world.said().expect("its answer"));
    assert_eq!(server.read().expect("its answer"), Message::Close(None));
    assert!(matches!(server.read(), Err(tungstenite::Error::ConnectionClosed)));
}

#[test]
fn servers_refusal_is_told() {
    let mut world = World::fresh();
    let line = Line::default();
    line.put(TO_SERVER, &world.said().expect("a request"));
    #[expect(clippy::result_large_err, reason = "tungstenite's signature")]
    let refuse = |_: &Request, _: Response| {
        let refusal = http::Response::builder().status(403).body(Some("not from there\n".to_owned()));
        Err(refusal.expect("legal"))
    };
    assert!(tungstenite::accept_hdr(line.clone(), refuse).is_err());
    let error = world.hear(&line.drain(TO_CLIENT)).expect_err("refused");
    assert!(error.contains("answered 403 Forbidden") && error.ends_with("(it says: not from there)"), "{error}");
}
