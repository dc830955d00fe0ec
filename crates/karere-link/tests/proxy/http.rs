//! CONNECT, as in RFC 9110, §9.3.6.

use karere_link::{Progress, Proxy, ProxyKind, ProxyTarget};

use crate::talk::{Talk, opens_however_it_is_split};

fn broker() -> ProxyTarget {
    ProxyTarget::new("broker.example", 8883)
}

const ASK: &[u8] = b"CONNECT broker.example:8883 HTTP/1.1\r\nHost: broker.example:8883\r\n\r\n";
const ALICE: &[u8] =
    b"CONNECT broker.example:8883 HTTP/1.1\r\nHost: broker.example:8883\r\nProxy-Authorization: Basic \
                       QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n";

/// The error that an answer to the plain request makes.
fn error(answer: &[u8]) -> String {
    let mut talk = Talk::with("http://proxy:3128", &broker());
    let error = talk.goes(&[(ASK, answer)]).unwrap_err();
    assert!(error.starts_with("HTTP proxy: proxy:3128 "), "{error}");
    error
}

#[test]
fn way_is_open_behind_the_blank_line_of_a_2xx() {
    for answer in [
        &b"HTTP/1.1 200 Connection established\r\n\r\n"[..],
        b"HTTP/1.0 200 OK\r\nServer: x\r\nX: a\r\n b\r\n\r\n",
        b"HTTP/1.1 200\r\n\r\n",
        b"HTTP/1.1 204 \r\n\r\n",
        b"HTTP/1.1 200 OK\n\n",
        // Lengths mean nothing here.
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ] {
        opens_however_it_is_split(|| Talk::with("http://proxy", &broker()), &[(ASK, answer)]);
        if cfg!(feature = "tls") {
            opens_however_it_is_split(|| Talk::with("https://proxy", &broker()), &[(ASK, answer)]);
        }
    }
}

#[test]
fn credentials_are_told_as_in_rfc_7617() {
    opens_however_it_is_split(
        || Talk::with("http://Aladdin:open%20sesame@proxy", &broker()),
        &[(ALICE, b"HTTP/1.1 200 OK\r\n\r\n")],
    );
}

#[test]
fn hosts_are_told_as_a_url_would_write_them() {
    for (host, told) in [
        ("broker.example", "broker.example:7"),
        ("127.0.0.1", "127.0.0.1:7"),
        ("::1", "[::1]:7"),
        ("2001:DB8:0::1", "[2001:db8::1]:7"),
        ("a_b-c.d.", "a_b-c.d.:7"),
    ] {
        let mut talk = Talk::with("http://proxy", &ProxyTarget::new(host, 7));
        let expected = format!("CONNECT {told} HTTP/1.1\r\nHost: {told}\r\n\r\n");
        assert_eq!(String::from_utf8(talk.says()).unwrap(), expected);
    }
}

#[test]
fn name_is_told_even_when_its_address_is_known() {
    let target = ProxyTarget::resolved("broker.example", ([192, 0, 2, 1], 8883).into());
    let _ = Talk::with("http://proxy", &target).goes(&[(ASK, b"")]);
}

#[test]
fn name_that_is_none_is_not_put_into_a_request() {
    let proxy = Proxy::new(ProxyKind::Http, "proxy", 1);
    let long = "a".repeat(256);
    for host in ["a\r\nX: y", "a b", "", "a/b", "a@b", "bücher.example", "a:1", "fe80::1%eth0", "a\0", &long] {
        let error = proxy.layer(&ProxyTarget::new(host, 7)).unwrap_err().to_string();
        assert!(error.contains("cannot be told") && !error.contains(['\r', '\n']), "{error}");
    }
}

#[test]
fn every_refusal_has_a_cause_and_a_cure() {
    for (code, cause) in [
        (101, "does not open the way to broker.example:8883 (status 101)"),
        (302, "elsewhere (302)"),
        (400, "does not understand the request for broker.example:8883 (400)"),
        (401, "CONNECT is turned off"),
        (403, "forbids the way to broker.example:8883 (403); have it allow CONNECT"),
        (404, "it is a web server"),
        (405, "it is a web server"),
        (408, "in time (408)"),
        (418, "(status 418)"),
        (429, "so many connections (429)"),
        (500, "an error of its own (500)"),
        (501, "CONNECT is turned off"),
        (502, "cannot reach broker.example:8883 (502)"),
        (503, "overloaded"),
        (504, "no answer from broker.example:8883 in time (504)"),
        (599, "(status 599)"),
    ] {
        // Told at the end of the first line: a body may follow, or nothing at all.
        let error = error(format!("HTTP/1.1 {code} Whatever\r\n").as_bytes());
        assert!(error.contains(cause), "{code}: {error}");
        assert!(!error.contains("Whatever"), "what the proxy says may be anything: {error}");
    }
}

#[test]
fn who_is_not_let_in_is_told_what_the_proxy_offers() {
    let offers = |header: &str| error(format!("HTTP/1.1 407 No\r\nX: Digest\r\n{header}\r\n\r\n").as_bytes());
    let basic = offers("Proxy-Authenticate: Basic realm=\"a, Kerberos b\"");
    assert!(basic.contains("(407, it offers Basic); give the proxy's URL a user name"), "{basic}");
    let several = offers(
        "proxy-authenticate: NTLM TlRM==\r\nPROXY-AUTHENTICATE:Digest realm=\"\\\", x y\", nonce = \"z\", qop=auth, \
         bAsIc realm=x\r\nProxy-Authenticate: NTLM",
    );
    assert!(several.contains("it offers NTLM, Digest, bAsIc)"), "{several}");
    let windows = offers("Proxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM");
    assert!(
        windows.contains("karere does not have (407, it offers Negotiate, NTLM); have it offer Basic"),
        "{windows}"
    );
    let nothing = offers("Proxy-Authenticate: =, \"x\",,\r\nnonsense");
    assert!(nothing.contains("it offers nothing"), "{nothing}");
    let much = (0..500).map(|n| format!("Proxy-Authenticate: s{n}, {}\r\n", "x".repeat(n % 50))).collect::<Vec<_>>();
    let much = offers(much[..200].concat().trim_end());
    assert!(much.len() < 300, "{much}");
}

#[test]
fn wrong_password_is_told_apart_from_none() {
    let mut talk = Talk::with("http://Aladdin:open%20sesame@proxy", &broker());
    let answer = b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\n\r\n";
    let error = talk.goes(&[(ALICE, answer)]).unwrap_err();
    assert!(error.contains("does not accept the user name and password"), "{error}");
}

#[test]
fn what_is_no_http_is_told_by_its_first_bytes() {
    for (answer, cause) in [
        (&b"\x15\x03\x01\x00\x02\x02\x16"[..], "0x15; that may be TLS, so perhaps write https://"),
        (b"\x05\xff", "0x05; that may be SOCKS 5"),
        (b"\x20\x02\x00\x05", "0x20; see whether host and port"),
        (b"HTTP/2 200 OK\r\n", "does not answer in HTTP/1.1"),
        (b"HTTPS", "does not answer in HTTP/1.1"),
        (b"HTTP/1.1 20 OK\r\n", "does not answer in HTTP/1.1"),
        (b"HTTP/1.1 2000 OK\r\n", "does not answer in HTTP/1.1"),
        (b"HTTP/1.1  200 OK\r\n", "does not answer in HTTP/1.1"),
        (b"HTTP/1.1 +20 OK\r\n", "does not answer in HTTP/1.1"),
        (b"HTTP/1.\r\n", "does not answer in HTTP/1.1"),
        (b"HTTP/1.1 200OK\r\n", "does not answer in HTTP/1.1"),
        (b"\r\n", "0x0d"),
    ] {
        let error = error(answer);
        assert!(error.contains(cause), "{error}");
    }
}

#[test]
fn progress_of_an_error_is_the_same_however_it_is_split() {
    let answer = b"HTTP/1.1 100 Wait\r\n\r\nHTTP/1.1 407 No\r\nProxy-Authenticate: Digest\r\n\r\n";
    let whole = error(answer);
    for split in 1..answer.len() {
        let mut talk = Talk::with("http://proxy:3128", &broker());
        assert_eq!(talk.goes(&[(ASK, &answer[..split])]), Ok(Progress::Handshaking));
        assert_eq!(talk.hears(&answer[split..]), Err(whole.clone()));
    }
}
