//! Does a WebSocket make of any bytes what RFC 6455 says, whatever the pieces they arrive in?

use crate::{input::Input, session::clock};
use bytes::BytesMut;
use karere_link::{Layer, Progress, Server, WebSocketOptions};
use karere_proto::SendBuf;

/// Flags, seed of the pieces, stream. Most streams follow a right answer, since few would find one.
pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let flags = input.byte();
    let seed = input.byte();
    let rest = input.rest();
    let answered = flags & 1 == 0;
    let limits =
        if flags & 2 == 0 { Limits { head: 16_384, message: 268_435_460 } } else { Limits { head: 200, message: 300 } };
    let stream = if answered { [ANSWER, rest].concat() } else { rest.to_vec() };

    let whole = Conversation::of([&stream[..]], limits);
    if answered {
        assert_eq!(whole.refused, None);
        whole.compare(&Expected::of(rest, limits));
    }
    assert_eq!(whole, Conversation::of(pieces(&stream, seed), limits), "the pieces make a difference");
    if answered {
        check_sealing(rest, limits);
    }
}

#[derive(Clone, Copy)]
struct Limits {
    head: usize,
    message: u64,
}

/// The key of RFC 6455, §1.3, and what a server makes of it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ANSWER: &[u8] = b"HTTP/1.1 101 Hi\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";

/// What a layer made of a stream.
#[derive(Debug, PartialEq)]
struct Conversation {
    open: bool,
    output: Vec<u8>,
    /// Frames that are said at the end: first byte and payload of each.
    said: Vec<(u8, Vec<u8>)>,
    /// Why the handshake failed. What the answer's body says may not have come.
    refused: Option<String>,
    /// What is said after the goodbye.
    ended: Option<String>,
}

impl Conversation {
    fn of<'a>(stream: impl IntoIterator<Item = &'a [u8]>, limits: Limits) -> Self {
        let (mut layer, _request) = layer(limits);
        let mut conversation = Self { open: false, output: Vec::new(), said: Vec::new(), refused: None, ended: None };
        let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
        for piece in stream {
            input.extend_from_slice(piece);
            match layer.open(clock(), &mut input, &mut output) {
                Ok(Progress::Handshaking) => {
                    assert!(!conversation.open && input.len() <= limits.head, "{} bytes are held", input.len());
                }
                Ok(Progress::Open) => {
                    conversation.open = true;
                    assert!(input.len() < 127 + 14, "{} bytes are held", input.len());
                }
                Ok(Progress::Transparent) => panic!("a WebSocket stays"),
                Err(error) => {
                    assert!(!conversation.open, "the goodbye comes first: {error}");
                    let why = error.to_string();
                    let why = why.split_once(" (it says: ").map_or(why.as_str(), |(why, _)| why);
                    conversation.refused = Some(why.to_owned());
                    return conversation;
                }
            }
        }
        conversation.output = output.to_vec();
        let (said, error) = say(&mut layer, &mut SendBuf::new());
        assert_eq!(error, None);
        conversation.said = unmasked(&said);
        let (silence, error) = say(&mut layer, &mut SendBuf::new());
        assert!(silence.is_empty());
        conversation.ended = error;
        conversation
    }

    fn compare(&self, expected: &Expected) {
        assert!(self.open);
        assert!(self.output == expected.output, "payload");
        match &expected.close {
            Some(payload) => {
                assert_eq!(self.said, [(0x88, payload.clone())], "{:?}", self.ended);
                assert!(self.ended.is_some());
            }
            None => {
                let pong = expected.ping.iter().map(|ping| (0x8A, ping.clone())).collect::<Vec<_>>();
                assert_eq!((&self.said, &self.ended), (&pong, &None));
            }
        }
    }
}

/// What a plain reading of RFC 6455 makes of frames.
#[derive(Default)]
struct Expected {
    output: Vec<u8>,
    ping: Option<Vec<u8>>,
    /// The payload of our Close frame.
    close: Option<Vec<u8>>,
}

impl Expected {
    fn of(mut stream: &[u8], limits: Limits) -> Self {
        let mut expected = Self::default();
        let mut message: Option<u64> = None;
        while let Some((first, second, len, header)) = header(stream) {
            let payload = &stream[header..];
            let whole = usize::try_from(len).ok().and_then(|len| payload.get(..len));
            let (opcode, last) = (first & 0x0F, first & 0x80 != 0);
            let wrong = match opcode {
                3..=7 | 11.. => Some(1002),
                _ if second & 0x80 != 0 || first & 0x70 != 0 => Some(1002),
                8..=10 if !last || len > 125 => Some(1002),
                1 => Some(1003),
                0 if message.is_none() => Some(1002),
                2 if message.is_some() => Some(1002),
                0 | 2 if message.unwrap_or(0).saturating_add(len) > limits.message => Some(1009),
                _ => None,
            };
            if let Some(code) = wrong {
                expected.close = Some(u16::to_be_bytes(code).to_vec());
                return expected;
            }
            if opcode < 8 {
                expected.output.extend_from_slice(whole.unwrap_or(payload));
                message = (!last).then_some(message.unwrap_or(0) + len);
            }
            let Some(whole) = whole else {
                return expected;
            };
            match opcode {
                8 => {
                    expected.close = Some(answer(whole));
                    return expected;
                }
                9 => expected.ping = Some(whole.to_vec()),
                _ => {}
            }
            stream = &payload[whole.len()..];
        }
        expected
    }
}

/// First and second byte, length of payload and of header; `None` when it is not there in full.
fn header(bytes: &[u8]) -> Option<(u8, u8, u64, usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    let (len, end) = match second & 0x7F {
        126 => (u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
        127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?), 10),
        len => (u64::from(len), 2),
    };
    let end = if second & 0x80 == 0 { end } else { end + 4 };
    (bytes.len() >= end).then_some((first, second, len, end))
}

/// How a Close frame is answered (RFC 6455, §5.5.1, §7.4, §8.1).
fn answer(payload: &[u8]) -> Vec<u8> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return if payload.is_empty() { Vec::new() } else { 1002_u16.to_be_bytes().to_vec() };
    };
    let answer = match u16::from_be_bytes(*code) {
        _ if core::str::from_utf8(reason).is_err() => 1007,
        code @ (1000..=1003 | 1007..=1013 | 3000..=4999) => code,
        _ => 1002,
    };
    answer.to_be_bytes().to_vec()
}

/// What is sealed at once is one frame, and the same bytes.
fn check_sealing(bytes: &[u8], limits: Limits) {
    let (mut layer, request) = layer(limits);
    assert!(request.starts_with("GET /mqtt HTTP/1.1\r\n") && request.ends_with("\r\n\r\n"));
    layer.open(clock(), &mut BytesMut::from(ANSWER), &mut BytesMut::new()).expect("a right answer");
    let mut plain = SendBuf::new();
    let large = bytes::Bytes::from(bytes.repeat(10));
    plain.put_slice(bytes);
    plain.put_bytes(&large);
    plain.put_slice(bytes);
    let expected = plain.to_vec();
    let (said, error) = say(&mut layer, &mut plain);
    assert!(error.is_none() && plain.is_empty());
    let frames = unmasked(&said);
    match frames.as_slice() {
        [] => assert!(expected.is_empty()),
        [(0x82, payload)] => assert!(*payload == expected),
        _ => panic!("{} frames", frames.len()),
    }
}

fn layer(limits: Limits) -> (Box<dyn Layer>, String) {
    let options = WebSocketOptions::new().headers([("Sec-WebSocket-Key", KEY)]);
    let options = options.head_limit(limits.head).message_limit(limits.message);
    let mut layer = options.layer(&Server::parse("ws://h").expect("a URL")).expect("a legal request");
    let (request, error) = say(&mut layer, &mut SendBuf::new());
    assert_eq!(error, None);
    (layer, String::from_utf8(request).expect("text"))
}

fn say(layer: &mut Box<dyn Layer>, plain: &mut SendBuf) -> (Vec<u8>, Option<String>) {
    let mut wire = SendBuf::new();
    let error = layer.seal(clock(), plain, &mut wire).err();
    (wire.to_vec(), error.map(|error| error.to_string()))
}

/// Frames as a client has to write them: first byte and payload of each.
fn unmasked(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let (first, second, len, end) = header(bytes).expect("a whole header");
        assert_eq!(second & 0x80, 0x80, "a client masks");
        let (head, rest) = bytes.split_at(end);
        let (payload, rest) = rest.split_at(usize::try_from(len).expect("a whole frame"));
        let mask = &head[end - 4..];
        frames.push((first, payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect()));
        bytes = rest;
    }
    frames
}

/// Pieces of 1 to 32 bytes, as long as the seed says; one at a time with 0.
fn pieces(mut stream: &[u8], seed: u8) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let mut state = u32::from(seed);
    while !stream.is_empty() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let length = (1 + (state >> 24) as usize % (1 + usize::from(seed & 31))).min(stream.len());
        let (piece, rest) = stream.split_at(length);
        pieces.push(piece);
        stream = rest;
    }
    pieces
}
