//! Proxies that mean harm, or are none.

use bytes::BytesMut;
use karere_link::{Progress, Proxy, ProxyTarget, Stack};
use karere_proto::SendBuf;

use crate::talk::{Talk, now};

const ALL: [&str; 6] =
    ["https://a:secret@p", "http://a:secret@p", "socks4://a@p", "socks4a://a@p", "socks5://a:secret@p", "socks5h://p"];

/// Without TLS there is no https.
fn all() -> &'static [&'static str] {
    if cfg!(feature = "tls") { &ALL } else { &ALL[1..] }
}

fn target() -> ProxyTarget {
    ProxyTarget::resolved("h", ([192, 0, 2, 1], 7).into())
}

#[test]
fn proxy_that_never_answers_is_waited_for() {
    for &url in all() {
        let mut talk = Talk::with(url, &target());
        assert_ne!(talk.says(), [], "{url}");
        for _ in 0..3 {
            assert_eq!(talk.hears(b""), Ok(Progress::Handshaking), "{url}");
            assert_eq!(talk.says(), [], "{url}: nothing is said twice");
        }
    }
}

#[test]
fn proxy_that_speaks_first_is_none() {
    for &url in all() {
        let mut talk = Talk::with(url, &target());
        assert_eq!(talk.hears(b""), Ok(Progress::Handshaking));
        let error = talk.hears(b"HTTP/1.1 200 OK\r\n\r\n").unwrap_err();
        assert!(error.contains("speaks before it was asked"), "{error}");
    }
    // Nor may it answer what it has not been told yet.
    let mut talk = Talk::with("socks5h://p", &target());
    let _ = talk.says();
    let error = talk.hears(b"\x05\x00\x05\x00\x00\x01\0\0\0\0\0\0").unwrap_err();
    assert!(error.contains("speaks before it was asked"), "{error}");
}

#[test]
fn endless_answers_end_and_take_no_memory() {
    const LIMIT: usize = 16 * 1024;
    for (begin, more) in [
        (&b"HTTP/1.1 200 OK\r\n"[..], &b"X: y\r\n"[..]),
        (b"HTTP/1.1 200 OK\r\n", b"x"),
        (b"HTTP/1.1 200 ", b"x"),
        (b"HTTP/1.1 407 No\r\n", b"Proxy-Authenticate: Basic realm=\"x\"\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ] {
        let mut stack = Stack::new(vec![Proxy::parse("http://p").unwrap().layer(&target()).unwrap()]);
        let mut wire = SendBuf::new();
        stack.seal(now(), &mut SendBuf::new(), &mut wire).unwrap();
        let mut output = BytesMut::new();
        let mut sent = 0;
        let mut piece = begin;
        let error = loop {
            match stack.open(now(), &mut BytesMut::from(piece), &mut output) {
                Ok(()) => assert!(!stack.is_open() && output.is_empty()),
                Err(error) => break error.to_string(),
            }
            sent += piece.len();
            piece = more;
            assert!(sent <= LIMIT, "it goes on for ever");
        };
        assert!(sent > LIMIT - more.len(), "{sent}");
        assert!(error.contains("more than 16384 bytes"), "{error}");
    }
    // All at once too, and the same is said.
    let mut talk = Talk::with("http://p", &target());
    let _ = talk.says();
    let error = talk.hears(&[&b"HTTP/1.1 200 OK\r\n"[..], &vec![b'x'; LIMIT], b"\r\n\r\n"].concat()).unwrap_err();
    assert!(error.contains("more than 16384 bytes"), "{error}");
}

#[test]
fn unconsumed_bytes_stay_few_however_many_come() {
    let mut talk = Talk::with("http://p", &target());
    let _ = talk.says();
    assert_eq!(talk.hears(b"HTTP/1.1 200 OK\r\n"), Ok(Progress::Handshaking));
    for _ in 0..100 {
        assert_eq!(talk.hears(b"header: with a value of some length\r\nhalf"), Ok(Progress::Handshaking));
        assert_eq!(&talk.input[..], b"half", "whole lines are consumed, half ones kept");
        assert_eq!(talk.hears(b"\r\n"), Ok(Progress::Handshaking));
        assert!(talk.input.is_empty());
    }
}

/// A longest answer that is legal is taken, one byte more is not.
#[test]
fn header_may_be_as_long_as_the_limit() {
    for (more, opens) in [(0, true), (1, false)] {
        let (begin, end) = (b"HTTP/1.1 200 OK\r\nX: ", b"\r\n\r\n");
        let filling = vec![b'x'; 16 * 1024 - begin.len() - end.len() + more];
        let answer = [&begin[..], &filling, end].concat();
        for chunk in [1, 1000, answer.len()] {
            let mut talk = Talk::with("http://p", &target());
            let _ = talk.says();
            let results = answer.chunks(chunk).map(|chunk| talk.hears(chunk)).collect::<Vec<_>>();
            let opened = results.contains(&Ok(Progress::Transparent));
            assert_eq!(opened, opens);
        }
    }
}

/// The layer is not told of an end: the link sees that the handshake was not over.
#[test]
fn answer_that_breaks_off_leaves_the_stack_closed() {
    for (url, half) in
        [("http://p", &b"HTTP/1.1 200 OK\r\n"[..]), ("socks4://p", b"\0\x5a\0"), ("socks5h://p", b"\x05")]
    {
        let mut stack = Stack::new(vec![Proxy::parse(url).unwrap().layer(&target()).unwrap()]);
        let (mut plain, mut wire, mut output) = (SendBuf::new(), SendBuf::new(), BytesMut::new());
        plain.put_slice(b"mqtt");
        stack.seal(now(), &mut plain, &mut wire).unwrap();
        stack.open(now(), &mut BytesMut::from(half), &mut output).unwrap();
        assert!(!stack.is_open() && output.is_empty(), "{url}");
        wire.clear();
        stack.close(now(), &mut wire).unwrap();
        assert_eq!((wire.to_vec(), plain.to_vec()), (vec![], b"mqtt".to_vec()), "{url}");
    }
}

#[test]
fn secrets_stay_out_of_debug() {
    for &url in all() {
        let proxy = Proxy::parse(url).unwrap();
        let talk = Talk::of(&proxy, &target());
        let shown = format!("{proxy:?} {proxy} {:?} {}", karere_link::Proxies::all(proxy.clone()), talk.debug());
        // Nor as it is sent: "a:secret" in base 64, or either as bytes.
        for secret in ["secret", "YTpzZWNyZXQ", "115, 101, 99", "89, 84, 112"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
