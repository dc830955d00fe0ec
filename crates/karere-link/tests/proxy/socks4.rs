//! SOCKS 4 and 4a.

use karere_link::{NameLookup, Progress, Proxy, ProxyKind, ProxyTarget};

use crate::talk::{Talk, opens_however_it_is_split};

fn broker() -> ProxyTarget {
    ProxyTarget::new("broker.example", 1883)
}

fn resolved() -> ProxyTarget {
    ProxyTarget::resolved("broker.example", ([192, 0, 2, 1], 1883).into())
}

const GRANTED: &[u8] = b"\x00\x5a\x01\xbb\xc0\x00\x02\x05";

#[test]
fn address_is_told_when_names_are_resolved_here() {
    let asked = b"\x04\x01\x07\x5b\xc0\x00\x02\x01\x00";
    opens_however_it_is_split(|| Talk::with("socks4://proxy", &resolved()), &[(asked, GRANTED)]);
    let literal = ProxyTarget::new("192.0.2.1", 1883);
    opens_however_it_is_split(|| Talk::with("socks4://proxy", &literal), &[(asked, GRANTED)]);
    opens_however_it_is_split(|| Talk::with("socks4a://proxy", &literal), &[(asked, GRANTED)]);
}

#[test]
fn name_is_told_when_the_proxy_resolves_it() {
    let asked = b"\x04\x01\x07\x5b\x00\x00\x00\x01\x00broker.example\x00";
    opens_however_it_is_split(|| Talk::with("socks4a://proxy", &broker()), &[(asked, GRANTED)]);
    opens_however_it_is_split(|| Talk::with("socks4a://proxy", &resolved()), &[(asked, GRANTED)]);
}

#[test]
fn user_name_is_told() {
    let asked = b"\x04\x01\x07\x5b\x00\x00\x00\x01al ice\x00broker.example\x00";
    opens_however_it_is_split(|| Talk::with("socks4a://al%20ice@proxy", &broker()), &[(asked, GRANTED)]);
}

#[test]
fn every_code_has_a_cause() {
    for (code, cause) in [
        (91, "refuses the way to broker.example:1883 (192.0.2.1), or cannot open it (91)"),
        (92, "cannot reach identd"),
        (93, "another user by identd"),
    ] {
        let error = Talk::with("socks4://proxy", &resolved()).goes(&[(ASKED, &[0, code])]).unwrap_err();
        assert!(error.starts_with("SOCKS4 proxy: proxy:1080 ") && error.contains(cause), "{error}");
    }
    for code in (0..=255).filter(|code| !(90..=93).contains(code)) {
        let error = Talk::with("socks4://proxy", &resolved()).goes(&[(ASKED, &[0, code])]).unwrap_err();
        assert!(error.contains(&format!("(unknown code {code})")), "{error}");
    }
}

const ASKED: &[u8] = b"\x04\x01\x07\x5b\xc0\x00\x02\x01\x00";

#[test]
fn wrong_first_byte_is_told_at_once() {
    for first in 1..=255 {
        let error = Talk::with("socks4://proxy", &resolved()).goes(&[(ASKED, &[first])]).unwrap_err();
        assert!(error.contains(&format!("its first byte is 0x{first:02x}")), "{error}");
    }
}

#[test]
fn ipv6_is_refused_before_anything_is_sent() {
    let v6 = ProxyTarget::resolved("broker.example", "[2001:db8::1]:1883".parse().unwrap());
    let error = Proxy::parse("socks4://proxy").unwrap().layer(&v6).unwrap_err().to_string();
    assert!(error.contains("SOCKS 4 knows no IPv6") && error.contains("2001:db8::1"), "{error}");
    for scheme in ["socks4", "socks4a"] {
        let proxy = Proxy::parse(&format!("{scheme}://proxy")).unwrap();
        let _ = proxy.layer(&ProxyTarget::new("::1", 1)).unwrap_err();
        assert!(!proxy.takes("::1".parse().unwrap()) && proxy.takes("127.0.0.1".parse().unwrap()));
    }
}

#[test]
fn name_that_was_not_resolved_is_refused_before_anything_is_sent() {
    let proxy = Proxy::parse("socks4://proxy").unwrap();
    assert_eq!(proxy.name_lookup(), NameLookup::Here);
    let error = proxy.layer(&broker()).unwrap_err().to_string();
    assert!(error.contains("has to be told an address, and broker.example:1883 was not resolved"), "{error}");
}

#[test]
fn what_it_cannot_say_is_refused_before_anything_is_sent() {
    let proxy = || Proxy::new(ProxyKind::Socks4a, "proxy", 1);
    for proxy in [proxy().password("secret"), proxy().user_name("a\0b"), proxy().user_name("a".repeat(256))] {
        let error = proxy.layer(&broker()).unwrap_err().to_string();
        assert!(error.contains("proxy:1 is given a ") && !error.contains("secret"), "{error}");
    }
}

#[test]
fn half_a_reply_opens_nothing() {
    let mut talk = Talk::with("socks4://proxy", &resolved());
    assert_eq!(talk.goes(&[(ASKED, &GRANTED[..7])]), Ok(Progress::Handshaking));
    assert_eq!(talk.says(), []);
}
