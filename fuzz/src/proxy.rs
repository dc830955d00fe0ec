//! Can a proxy say anything that opens a way it did not open, takes a byte of what follows, or shows a secret?

use crate::{input::Input, session::clock};
use bytes::BytesMut;
use karere_link::{Endpoint, Layer, Progress, Proxies, Proxy, ProxyKind, ProxyTarget, Transport};
use karere_proto::SendBuf;

/// Kind and flags, target, seed of the pieces, what the proxy answers; or 6, a URL, hosts that need no proxy and a host.
pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mode = input.byte();
    let kind = match mode & 7 {
        0 => ProxyKind::Http,
        1 => ProxyKind::Https,
        2 => ProxyKind::Socks4,
        3 => ProxyKind::Socks4a,
        4 => ProxyKind::Socks5,
        5 => ProxyKind::Socks5h,
        _ => return check_texts(&mut input),
    };
    let mut proxy = Proxy::new(kind, "proxy", 1080);
    let knows_passwords = !matches!(kind, ProxyKind::Socks4 | ProxyKind::Socks4a);
    if mode & 8 != 0 && knows_passwords {
        proxy = proxy.user_name("user").password(PASSWORD);
    }
    let target = match mode >> 4 & 3 {
        0 => ProxyTarget::resolved("broker", ([192, 0, 2, 1], 1883).into()),
        1 => ProxyTarget::resolved("broker", ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 1883).into()),
        _ => ProxyTarget::new(input.text(), input.u16()),
    };
    let endless = mode & 0x40 != 0;
    let seed = input.byte();
    let answer = input.rest();
    let Ok(layer) = proxy.layer(&target) else {
        return;
    };

    let by_byte = Talk::of(layer, answer.chunks(1));
    let open_at = reply_end(kind, mode & 8 != 0, answer);
    match (&by_byte.outcome, open_at) {
        (Ok(Progress::Transparent), Some(end)) => assert_eq!(by_byte.consumed, end, "more or less than the reply"),
        (Ok(Progress::Handshaking) | Err(_), None) => {}
        (outcome, end) => panic!("{outcome:?}, but a plain reading opens it at {end:?}"),
    }
    check_said(kind, &by_byte.said);

    let in_pieces = Talk::of(proxy.layer(&target).expect("as before"), pieces(answer, seed).into_iter());
    match (&in_pieces.outcome, &by_byte.outcome) {
        // Whoever answers what was not asked yet is told so when it comes with the answer before.
        (Err(error), _) if error.contains("speaks before it was asked") => assert!(kind_of_many_answers(kind)),
        (some, other) => {
            assert_eq!(some, other, "the pieces make a difference");
            assert_eq!(in_pieces.said, by_byte.said);
            if *some == Ok(Progress::Transparent) {
                assert_eq!(in_pieces.consumed, by_byte.consumed);
            }
        }
    }

    if endless && by_byte.outcome == Ok(Progress::Handshaking) && !answer.is_empty() {
        let more = &answer[answer.len() - answer.len().min(64)..];
        let again = core::iter::repeat_n(more, 20_000 / more.len());
        let talk = Talk::of(proxy.layer(&target).expect("as before"), core::iter::once(answer).chain(again));
        assert_ne!(talk.outcome, Ok(Progress::Handshaking), "an endless answer is waited for");
    }
}

const PASSWORD: &str = "open-sesame";
const PASSWORD_IN_BASE_64: &str = "b3Blbi1zZXNhbW";
/// Of an answer that is not whole: the limit of HTTP's.
const MOST_KEPT: usize = 16 * 1024;

/// What was said, and what came of it.
struct Talk {
    outcome: Result<Progress, String>,
    consumed: usize,
    said: Vec<Vec<u8>>,
}

impl Talk {
    fn of<'a>(mut layer: Box<dyn Layer>, pieces: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut talk = Self { outcome: Ok(Progress::Handshaking), consumed: 0, said: Vec::new() };
        let mut above = SendBuf::new();
        above.put_slice(b"above");
        let (mut kept, mut output, mut heard) = (BytesMut::new(), BytesMut::new(), 0);
        talk.say(&mut *layer, &mut above);
        let mut after = 0;
        for piece in pieces {
            if talk.outcome == Ok(Progress::Handshaking) {
                kept.extend_from_slice(piece);
                heard += piece.len();
                talk.outcome = layer.open(clock(), &mut kept, &mut output).map_err(|error| error.to_string());
                talk.consumed = heard - kept.len();
                assert!(output.is_empty(), "a handshake carries nothing");
                let shown = format!("{layer:?} {:?}", talk.outcome);
                let told = shown.contains(PASSWORD) || shown.contains(PASSWORD_IN_BASE_64);
                assert!(!told || contains(&kept, b"sesame") || contains(piece, b"sesame"), "{shown}");
            } else {
                after += piece.len();
            }
            match talk.outcome {
                Ok(Progress::Handshaking) => {
                    assert!(kept.len() <= MOST_KEPT, "memory has no bounds");
                    talk.say(&mut *layer, &mut above);
                }
                Ok(Progress::Transparent) if after == 0 => {
                    let mut wire = SendBuf::new();
                    layer.seal(clock(), &mut above, &mut wire).expect("it is out of the way");
                    assert_eq!(wire.to_vec(), b"above", "{layer:?}");
                    above.put_slice(b"above");
                }
                Ok(Progress::Transparent | Progress::Open) => {}
                Err(_) => {}
            }
        }
        assert_ne!(talk.outcome, Ok(Progress::Open), "a proxy is out of the way or it is not");
        talk
    }

    fn say(&mut self, layer: &mut dyn Layer, above: &mut SendBuf) {
        let mut wire = SendBuf::new();
        layer.seal(clock(), above, &mut wire).expect("nothing to complain about");
        assert_eq!(above.to_vec(), b"above", "nothing of what is above may leave");
        if !wire.is_empty() {
            self.said.push(wire.to_vec());
        }
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn kind_of_many_answers(kind: ProxyKind) -> bool {
    matches!(kind, ProxyKind::Socks5 | ProxyKind::Socks5h)
}

/// A target's name cannot make a second request, nor another header.
fn check_said(kind: ProxyKind, said: &[Vec<u8>]) {
    assert!((1..=if kind_of_many_answers(kind) { 3 } else { 1 }).contains(&said.len()));
    if matches!(kind, ProxyKind::Http | ProxyKind::Https) {
        let request = core::str::from_utf8(&said[0]).expect("text");
        let lines = request.strip_suffix("\r\n\r\n").expect("an end").split("\r\n").collect::<Vec<_>>();
        assert!(
            lines[0].starts_with("CONNECT ") && lines[0].ends_with(" HTTP/1.1") && lines[0].split(' ').count() == 3
        );
        assert!(lines[1].starts_with("Host: ") && lines[1].split(' ').count() == 2);
        assert!(lines.len() == 2 || lines.len() == 3 && lines[2].starts_with("Proxy-Authorization: Basic "));
        assert!(!request.replace("\r\n", "").contains(['\r', '\n']));
    }
}

/// Where a reply ends that opens the way, by a plain reading of the specifications.
fn reply_end(kind: ProxyKind, signed_in: bool, answer: &[u8]) -> Option<usize> {
    match kind {
        ProxyKind::Http | ProxyKind::Https => {
            let mut at = 0;
            loop {
                let line = next_line(answer, &mut at)?;
                let status = line.strip_prefix(b"HTTP/1.")?;
                let digit = |at: usize| status.get(at).copied().filter(u8::is_ascii_digit).map(|digit| digit - b'0');
                let (_, kind, tens, ones) = (digit(0)?, digit(2)?, digit(3)?, digit(4)?);
                if status[1] != b' ' || !matches!(status.get(5), None | Some(b' ')) || kind == 0 {
                    return None;
                }
                while !next_line(answer, &mut at)?.is_empty() {}
                match kind {
                    1 if (tens, ones) != (0, 1) => {}
                    2 => return Some(at),
                    _ => return None,
                }
            }
        }
        ProxyKind::Socks4 | ProxyKind::Socks4a => (answer.len() >= 8 && answer[..2] == [0, 90]).then_some(8),
        _ => {
            let (log_in, reply) = match answer {
                [5, 0, reply @ ..] => (2, reply),
                [5, 2, 1, 0, reply @ ..] if signed_in => (4, reply),
                _ => return None,
            };
            let length = match reply {
                [5, 0, _, 1, ..] => 10,
                [5, 0, _, 4, ..] => 22,
                [5, 0, _, 3, length, ..] => 7 + usize::from(*length),
                _ => return None,
            };
            (reply.len() >= length).then_some(log_in + length)
        }
    }
}

fn next_line<'a>(bytes: &'a [u8], at: &mut usize) -> Option<&'a [u8]> {
    let rest = &bytes[*at..];
    let end = rest.iter().position(|&byte| byte == b'\n')?;
    *at += end + 1;
    let line = &rest[..end];
    Some(line.strip_suffix(b"\r").unwrap_or(line))
}

fn pieces(mut stream: &[u8], seed: u8) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let mut state = u32::from(seed);
    while !stream.is_empty() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let length = (1 + (state >> 24) as usize % (1 + usize::from(seed))).min(stream.len());
        let (piece, rest) = stream.split_at(length);
        pieces.push(piece);
        stream = rest;
    }
    pieces
}

/// A URL, hosts that need no proxy, and a host.
fn check_texts(input: &mut Input<'_>) {
    let (url, list, host) = (input.text(), input.text(), input.text());
    match Proxy::parse(&url) {
        Ok(proxy) => {
            let again = Proxy::parse(&proxy.to_string()).unwrap_or_else(|error| panic!("{url:?} is {proxy}: {error}"));
            assert_eq!((again.kind(), again.endpoint()), (proxy.kind(), proxy.endpoint()), "{url:?} is {proxy}");
            check_list(&proxy, &list, &host);
            let _ = proxy.layer(&ProxyTarget::new(host, 1));
        }
        Err(error) => {
            let error = error.to_string();
            // Whatever stands before the last @ may be a password, whoever it was meant for.
            let shown = error.rsplit_once('@').map_or("", |(before, _)| before);
            assert!(shown.is_empty() || shown.ends_with('…'), "{url:?}: {error}");
            let environment = Proxies::from_environment(|name| (name == "ALL_PROXY").then(|| url.clone()));
            assert_eq!(environment.is_err(), !url.trim().is_empty() && Proxy::parse(url.trim()).is_err());
        }
    }
}

fn check_list(proxy: &Proxy, list: &str, host: &str) {
    let direct = |list: &str| {
        let proxies = Proxies::all(proxy.clone()).except(list);
        proxies.proxy_for(&Endpoint::tcp(host, 1883), &Transport::default()).is_none()
    };
    assert!(direct(&format!("{list} *")), "{list:?} and all");
    assert!(!direct(list) || direct(&format!("{list},x")) && direct(&format!("x,{list}")), "{list:?} and another");
    let ordinary = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    if host.bytes().all(ordinary) && host.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric()) {
        assert!(direct(host) && direct(&format!("{host}:1883")) && !direct(&format!("{host}:1")), "{host:?}");
    }
}
