//! A proxy's layer among others.

use std::time::Instant;

use bytes::BytesMut;
use karere_link::{Layer, LayerError, Progress, Proxy, ProxyTarget, Stack};
use karere_proto::SendBuf;

use crate::talk::{now, text};

/// A layer that greets by name, waits to be greeted, and then puts its own letter before every byte: in the order of these
/// on the wire the order of the layers is seen.
#[derive(Debug)]
struct Letter {
    letter: u8,
    said: Said,
    open: Progress,
    /// Half of a pair.
    half: bool,
}

#[derive(Debug, PartialEq)]
enum Said {
    Hello,
    Nothing,
}

fn letter(letter: u8) -> Box<dyn Layer> {
    Box::new(Letter { letter, said: Said::Nothing, open: Progress::Handshaking, half: false })
}

impl Layer for Letter {
    fn name(&self) -> &'static str {
        "letter"
    }

    fn open(&mut self, _: Instant, input: &mut BytesMut, output: &mut BytesMut) -> Result<Progress, LayerError> {
        for byte in input.split() {
            match (self.open, self.half) {
                (Progress::Handshaking, _) => {
                    assert_eq!(byte, self.letter.to_ascii_uppercase(), "{:?}", self.letter.escape_ascii());
                    self.open = Progress::Open;
                }
                (_, false) => {
                    assert_eq!(byte, self.letter, "{:?}", self.letter.escape_ascii());
                    self.half = true;
                }
                (_, true) => {
                    output.extend_from_slice(&[byte]);
                    self.half = false;
                }
            }
        }
        Ok(self.open)
    }

    fn seal(&mut self, _: Instant, plain: &mut SendBuf, wire: &mut SendBuf) -> Result<(), LayerError> {
        if self.said == Said::Nothing {
            self.said = Said::Hello;
            wire.put_slice(&[self.letter.to_ascii_uppercase()]);
        }
        let bytes = plain.to_vec();
        plain.advance(bytes.len());
        wire.put_slice(&sealed(self.letter, &bytes));
        Ok(())
    }

    fn close(&mut self, _: &mut SendBuf) {}
}

fn sealed(letter: u8, bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|&byte| [letter, byte]).collect()
}

fn stack(url: &str, below: &[u8], above: &[u8]) -> Stack {
    let target = ProxyTarget::resolved("h", ([192, 0, 2, 1], 7).into());
    let proxy = Proxy::parse(url).unwrap().layer(&target).unwrap();
    let mut layers = below.iter().copied().map(letter).collect::<Vec<_>>();
    layers.push(proxy);
    layers.extend(above.iter().copied().map(letter));
    Stack::new(layers)
}

/// Sends what may leave.
fn says(stack: &mut Stack, plain: &mut SendBuf) -> Vec<u8> {
    let mut wire = SendBuf::new();
    stack.seal(now(), plain, &mut wire).unwrap();
    wire.to_vec()
}

fn hears(stack: &mut Stack, bytes: &[u8]) -> Vec<u8> {
    let mut output = BytesMut::new();
    stack.open(now(), &mut BytesMut::from(bytes), &mut output).unwrap();
    output.to_vec()
}

const ASK: &[u8] = b"CONNECT h:7 HTTP/1.1\r\nHost: h:7\r\n\r\n";

/// TLS to the server, above an HTTP proxy.
#[test]
fn next_layer_speaks_when_the_way_is_open_and_not_before() {
    let answers = [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), b"T".to_vec(), sealed(b't', b"mqtt")].concat();
    for step in 1..=answers.len() {
        let mut stack = stack("http://p", b"", b"t");
        let mut plain = SendBuf::new();
        plain.put_slice(b"connect");
        assert_eq!(text(&says(&mut stack, &mut plain)), text(ASK));
        assert_eq!(says(&mut stack, &mut plain), []);
        let received = answers.chunks(step).flat_map(|chunk| hears(&mut stack, chunk)).collect::<Vec<_>>();
        assert_eq!(received, b"mqtt", "{step} bytes at a time");
        assert!(stack.is_open());
        assert_eq!(says(&mut stack, &mut plain), [b"T".to_vec(), sealed(b't', b"connect")].concat());
    }
}

/// TLS to the proxy, the proxy, TLS to the server, WebSocket: the longest stack there is.
#[cfg(feature = "tls")]
#[test]
fn https_proxy_has_a_layer_of_its_own_beneath() {
    let mut stack = stack("https://p", b"p", b"tw");
    let mut plain = SendBuf::new();
    plain.put_slice(b"m");
    assert_eq!(says(&mut stack, &mut plain), b"P");
    assert_eq!(says(&mut stack, &mut plain), b"", "the request has to wait for its layer");
    assert_eq!(hears(&mut stack, b"P"), b"");
    assert_eq!(text(&says(&mut stack, &mut plain)), text(&sealed(b'p', ASK)));
    assert_eq!(hears(&mut stack, &sealed(b'p', b"HTTP/1.1 200 OK\r\n\r\n")), b"");
    assert_eq!(says(&mut stack, &mut plain), sealed(b'p', b"T"));
    assert_eq!(hears(&mut stack, &sealed(b'p', b"T")), b"");
    assert_eq!(says(&mut stack, &mut plain), sealed(b'p', &sealed(b't', b"W")));
    assert!(!stack.is_open());
    assert_eq!(hears(&mut stack, &sealed(b'p', &sealed(b't', b"W"))), b"");
    assert!(stack.is_open());
    let mqtt = |bytes: &[u8]| sealed(b'p', &sealed(b't', &sealed(b'w', bytes)));
    assert_eq!(says(&mut stack, &mut plain), mqtt(b"m"));
    assert_eq!(hears(&mut stack, &mqtt(b"answer")), b"answer");
}

/// Everything in one read, as the classic mistake would lose it.
#[test]
fn last_answer_and_all_above_may_come_at_once() {
    for (url, turns) in [
        ("http://p", &[&b"HTTP/1.1 200 OK\r\n\r\n"[..]][..]),
        ("socks4://p", &[b"\0\x5a\0\0\0\0\0\0"]),
        ("socks5://p", &[b"\x05\0", b"\x05\0\0\x03\x02ab\0\0"]),
        ("socks5h://a:b@p", &[b"\x05\x02", b"\x01\0", b"\x05\0\0\x01\0\0\0\0\0\0"]),
    ] {
        let mut stack = stack(url, b"", b"tw");
        let mut plain = SendBuf::new();
        let (last, before) = turns.split_last().unwrap();
        assert_ne!(says(&mut stack, &mut plain), []);
        for answer in before {
            assert_eq!(hears(&mut stack, answer), []);
            assert_ne!(says(&mut stack, &mut plain), []);
        }
        let above = sealed(b't', &[b"W".to_vec(), sealed(b'w', b"mqtt")].concat());
        let glued = [*last, b"T", &above].concat();
        assert_eq!(hears(&mut stack, &glued), b"mqtt", "{url}");
        assert!(stack.is_open());
    }
    // Without another layer the rest is MQTT's.
    let mut bare = stack("socks4://p", b"", b"");
    let mut plain = SendBuf::new();
    plain.put_slice(b"connect");
    let _ = says(&mut bare, &mut plain);
    assert_eq!(hears(&mut bare, b"\0\x5a\0\0\0\0\0\0mqtt"), b"mqtt");
    assert!(bare.is_open() && bare.is_empty(), "the layer is gone: bytes pass without a copy");
    assert_eq!(says(&mut bare, &mut plain), b"connect");
}
