//! SOCKS 5: RFC 1928, and RFC 1929 for user name and password.

use karere_link::{NameLookup, Progress, Proxy, ProxyKind, ProxyTarget};

use crate::talk::{Talk, opens_however_it_is_split};

fn broker() -> ProxyTarget {
    ProxyTarget::new("broker.example", 1883)
}

fn resolved() -> ProxyTarget {
    ProxyTarget::resolved("broker.example", ([192, 0, 2, 1], 1883).into())
}

const GREETING: &[u8] = b"\x05\x01\x00";
const BOTH: &[u8] = b"\x05\x02\x00\x02";
const NOBODY: &[u8] = b"\x05\x00";
const PASSWORD: &[u8] = b"\x05\x02";
const ASK_NAME: &[u8] = b"\x05\x01\x00\x03\x0ebroker.example\x07\x5b";
const ASK_V4: &[u8] = b"\x05\x01\x00\x01\xc0\x00\x02\x01\x07\x5b";
const OPENED: &[u8] = b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00";

#[test]
fn name_is_told_when_the_proxy_resolves_it() {
    for scheme in ["socks5h", "socks"] {
        let url = format!("{scheme}://proxy");
        assert_eq!(Proxy::parse(&url).unwrap().name_lookup(), NameLookup::AtProxy);
        for target in [broker(), resolved()] {
            opens_however_it_is_split(|| Talk::with(&url, &target), &[(GREETING, NOBODY), (ASK_NAME, OPENED)]);
        }
    }
}

#[test]
fn address_is_told_when_names_are_resolved_here() {
    opens_however_it_is_split(|| Talk::with("socks5://proxy", &resolved()), &[(GREETING, NOBODY), (ASK_V4, OPENED)]);
    let v6 = ProxyTarget::resolved("broker.example", "[2001:db8::7]:1883".parse().unwrap());
    let ask_v6 = b"\x05\x01\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\x07\x5b";
    opens_however_it_is_split(|| Talk::with("socks5://proxy", &v6), &[(GREETING, NOBODY), (ask_v6, OPENED)]);
    let literal = ProxyTarget::new("2001:db8::7", 1883);
    opens_however_it_is_split(|| Talk::with("socks5h://proxy", &literal), &[(GREETING, NOBODY), (ask_v6, OPENED)]);
    let error = Proxy::parse("socks5://proxy").unwrap().layer(&broker()).unwrap_err().to_string();
    assert!(error.contains("was not resolved"), "{error}");
}

#[test]
fn bound_address_of_each_kind_is_consumed_to_its_last_byte() {
    let long = [&b"\x05\x00\x00\x03\xff"[..], &[b'x'; 255], b"\x00\x01"].concat();
    for reply in [
        OPENED,
        b"\x05\x00\x00\x04\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x07\x5b",
        b"\x05\x00\x00\x03\x05proxy\x07\x5b",
        b"\x05\x00\x00\x03\x00\x07\x5b",
        b"\x05\x00\xee\x01\x05\x05\x05\x05\x05\x05",
        &long,
    ] {
        opens_however_it_is_split(
            || Talk::with("socks5h://proxy", &broker()),
            &[(GREETING, NOBODY), (ASK_NAME, reply)],
        );
    }
}

#[test]
fn user_name_and_password_are_told_when_the_proxy_wants_them() {
    let log_in = b"\x01\x05al:ce\x07s@cr/t!";
    opens_however_it_is_split(
        || Talk::with("socks5h://al%3Ace:s%40cr%2Ft!@proxy", &broker()),
        &[(BOTH, PASSWORD), (log_in, b"\x01\x00"), (ASK_NAME, OPENED)],
    );
    opens_however_it_is_split(
        || Talk::with("socks5h://al%3Ace:s%40cr%2Ft!@proxy", &broker()),
        &[(BOTH, NOBODY), (ASK_NAME, OPENED)],
    );
    opens_however_it_is_split(
        || Talk::with("socks5h://bob@proxy", &broker()),
        &[(BOTH, PASSWORD), (b"\x01\x03bob\x00", b"\x01\x00"), (ASK_NAME, OPENED)],
    );
    let longest = Proxy::new(ProxyKind::Socks5h, "proxy", 1).user_name("u".repeat(255)).password("p".repeat(255));
    let log_in = [&b"\x01\xff"[..], &[b'u'; 255], b"\xff", &[b'p'; 255]].concat();
    opens_however_it_is_split(
        || Talk::of(&longest, &broker()),
        &[(BOTH, PASSWORD), (&log_in, b"\x01\x00"), (ASK_NAME, OPENED)],
    );
}

#[test]
fn who_is_not_let_in_is_told_what_to_do() {
    let plain = |method| Talk::with("socks5h://proxy", &broker()).goes(&[(GREETING, &[5, method])]).unwrap_err();
    let named = |method| Talk::with("socks5h://a:secret@proxy", &broker()).goes(&[(BOTH, &[5, method])]).unwrap_err();
    assert!(plain(255).contains("SOCKS5 proxy: proxy:1080 wants to know who is asking; give"), "{}", plain(255));
    assert!(named(255).contains("takes neither user name and password nor nobody's"), "{}", named(255));
    for method in [1, 2, 3, 128, 254] {
        assert!(plain(method).contains(&format!("was not offered (method {method})")), "{}", plain(method));
    }
    for method in [1, 3, 128, 254] {
        assert!(named(method).contains(&format!("was not offered (method {method})")), "{}", named(method));
    }
    for status in 1..=255 {
        let mut talk = Talk::with("socks5h://a:secret@proxy", &broker());
        let turns: [(&[u8], &[u8]); 2] = [(BOTH, PASSWORD), (b"\x01\x01a\x06secret", &[1, status])];
        let error = talk.goes(&turns).unwrap_err();
        assert!(error.contains("does not accept the user name and password"), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn every_code_has_a_cause() {
    let error = |scheme: &str, code| {
        let ask = if scheme == "socks5" { ASK_V4 } else { ASK_NAME };
        let mut talk = Talk::with(&format!("{scheme}://proxy"), &resolved());
        talk.goes(&[(GREETING, NOBODY), (ask, &[5, code])]).unwrap_err()
    };
    for (code, cause) in [
        (1, "general failure"),
        (2, "forbids the way to broker.example:1883 (192.0.2.1) (2); have its rules allow"),
        (3, "cannot reach the network of broker.example:1883"),
        (4, "host unreachable"),
        (5, "was refused by broker.example:1883"),
        (6, "no answer from broker.example:1883 (192.0.2.1) in time (6)"),
        (7, "does not know CONNECT (7)"),
    ] {
        assert!(error("socks5", code).contains(cause), "{}", error("socks5", code));
    }
    assert!(error("socks5h", 8).contains("does not resolve names (8); write socks5://"), "{}", error("socks5h", 8));
    assert!(error("socks5", 8).contains("addresses of this kind (8); write socks5h://"), "{}", error("socks5", 8));
    for code in 9..=255 {
        assert!(error("socks5", code).contains(&format!("(unknown code {code})")));
    }
}

#[test]
fn wrong_version_is_told_at_once_in_each_answer() {
    let turns: [(&[u8], &[u8], u8); 3] =
        [(BOTH, PASSWORD, 5), (b"\x01\x01a\x01b", b"\x01\x00", 1), (ASK_NAME, OPENED, 5)];
    for (at, (said, _, version)) in turns.iter().enumerate() {
        for first in (0..=255).filter(|first| first != version) {
            let mut script = turns[..at].iter().map(|&(said, heard, _)| (said, heard)).collect::<Vec<_>>();
            let wrong = [first];
            script.push((said, &wrong));
            let error = Talk::with("socks5h://a:b@proxy", &broker()).goes(&script).unwrap_err();
            assert!(error.contains(&format!("its first byte is 0x{first:02x}")), "{error}");
        }
    }
    let error = Talk::with("socks5://proxy", &resolved()).goes(&[(GREETING, b"HTTP/1.1 400")]).unwrap_err();
    assert!(error.contains("that is HTTP, so perhaps write http://"), "{error}");
}

#[test]
fn bound_address_of_an_unknown_kind_has_no_end() {
    for kind in (0..=255).filter(|kind| ![1, 3, 4].contains(kind)) {
        let mut talk = Talk::with("socks5h://proxy", &broker());
        let error = talk.goes(&[(GREETING, NOBODY), (ASK_NAME, &[5, 0, 0, kind])]).unwrap_err();
        assert!(error.contains(&format!("a kind that there is not (0x{kind:02x})")), "{error}");
    }
}

#[test]
fn what_it_cannot_say_is_refused_before_anything_is_sent() {
    let proxy = || Proxy::new(ProxyKind::Socks5h, "proxy", 1);
    let secret = "secret".repeat(43);
    for (proxy, host) in [
        (proxy().user_name("u".repeat(256)), "h"),
        (proxy().password(&secret), "h"),
        (proxy(), &*"a".repeat(256)),
        (proxy(), ""),
        (proxy(), "fe80::1%eth0"),
    ] {
        let error = proxy.layer(&ProxyTarget::new(host, 1)).unwrap_err().to_string();
        assert!(error.starts_with("SOCKS5 proxy: proxy:1 ") && !error.contains("secret"), "{error}");
    }
    let longest = ProxyTarget::new("a".repeat(255), 1);
    assert_eq!(Talk::of(&proxy(), &longest).goes(&[(GREETING, b"")]), Ok(Progress::Handshaking));
}
