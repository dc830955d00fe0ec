use rustls::{ClientConfig, RootCertStore};

use super::*;
use crate::clock;

fn layer() -> TlsLayer {
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("has versions")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    TlsLayer::new(&config.into(), "broker.example").expect("a name")
}

fn receive(layer: &mut TlsLayer, bytes: &[u8]) -> Result<Progress, LayerError> {
    layer.open(clock(), &mut BytesMut::from(bytes), &mut BytesMut::new())
}

#[test]
fn hosts_become_names_and_addresses() {
    for (host, name) in [
        ("broker.example", "broker.example"),
        ("my_broker", "my_broker"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%25eth0]", "fe80::1"),
    ] {
        assert_eq!(server_name(host).expect("a name").to_str(), name, "{host}");
    }
    assert!(matches!(server_name("fe80::1%eth0"), Ok(ServerName::IpAddress(_))));
}

#[test]
fn host_that_can_stand_in_no_certificate_is_refused_with_the_reason() {
    for (host, why) in [
        ("", "\"\" can stand in no certificate: it is empty"),
        ("bücher.example", "write it in Punycode (xn--…)"),
        ("a b", "a name consists of letters, digits"),
        ("a%eth0", "a name consists of letters, digits"),
        ("/run/broker.sock", "a name consists of letters, digits"),
        ("a\nb", "\"a\\nb\" can stand in no certificate"),
    ] {
        let error = server_name(host).expect_err(host).to_string();
        assert!(error.starts_with("TLS: ") && error.contains(why), "{error}");
    }
}

#[test]
fn server_that_speaks_no_tls_is_told_by_its_first_byte() {
    for (answer, what) in [
        (&b"\x20\x02\x00\x01"[..], "(it answered with \" \\x02\\x00\\x01\"), but MQTT without TLS: use mqtt://"),
        (b"\x20", "MQTT without TLS"),
        (b"\xE0\x01\x82", "MQTT without TLS, it seems"),
        (b"HTTP/1.1 400 Bad Request\r\n", "(it answered with \"HTTP/1.1 400 Bad\"), but HTTP without TLS"),
        (b"H", "HTTP without TLS"),
        (b"Hello", "something else"),
        (b"SSH-2.0-OpenSSH_9.2", "something else: check host and port"),
        (b"\0", "something else"),
    ] {
        let error = receive(&mut layer(), answer).expect_err("no TLS").to_string();
        assert!(error.contains(what), "{error}");
    }
}

#[test]
fn end_of_the_stream_in_the_handshake_says_what_may_be_wrong() {
    let silent = layer();
    let why = silent.ended_early();
    assert!(why.contains("perhaps this port does not speak it"), "{why}");
    let mut began = layer();
    assert_eq!(receive(&mut began, b"\x16\x03\x03").expect("may be TLS"), Progress::Handshaking);
    let why = began.ended_early();
    assert!(why.contains("in the middle of the handshake"), "{why}");
}

#[test]
fn debug_shows_no_keys() {
    let shown = format!("{:?}", layer());
    assert_eq!(shown, "TlsLayer { name: DnsName(\"broker.example\"), handshaking: true, end: Open, .. }");
}
