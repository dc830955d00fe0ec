//! Bytes through TLS, in any pieces.

use std::{io::Write as _, sync::Arc};

use bytes::Bytes;
use karere_link::{Progress, Stack, Tls};
use karere_proto::SendBuf;

use crate::lab::{self, Authority, BOTH, Connection};

fn opened(version: &'static rustls::SupportedProtocolVersion, step: usize) -> Connection {
    let authority = Authority::new("CA");
    let tls = Tls::from(lab::client(&authority, &[version]));
    let mut connection = Connection::new(&tls, &Arc::new(lab::server(&authority)));
    connection.step = step;
    connection.talk().unwrap();
    assert_eq!(connection.progress, Progress::Open);
    connection
}

#[test]
fn what_arrives_does_not_depend_on_how_it_was_cut() {
    let large = (0..40_000u32).map(|number| number as u8).collect::<Vec<_>>();
    for version in BOTH {
        for step in [1, 2, 3, 5, 6, 7, 64, 1000, 4095, 4096, 4097, 16_384, 20_000, usize::MAX] {
            let mut connection = opened(version, step);
            connection.server_sends(b"one").unwrap();
            connection.server_sends(&large).unwrap();
            assert!(connection.client_got[..3] == *b"one" && connection.client_got[3..] == large, "{step}");
        }
    }
}

#[test]
fn many_small_records_in_one_piece_all_arrive() {
    for version in BOTH {
        let mut connection = opened(version, usize::MAX);
        let mut records = Vec::new();
        for number in 0..200u8 {
            connection.server.writer().write_all(&[number; 3]).unwrap();
            records.extend(connection.server_says());
        }
        connection.receive(&records).unwrap();
        assert!(connection.client_got[..] == (0..200u8).flat_map(|number| [number; 3]).collect::<Vec<_>>());
    }
}

#[test]
fn five_mebibytes_pass_both_ways() {
    let large = Bytes::from((0..5 * 1024 * 1024u32).map(|number| (number % 251) as u8).collect::<Vec<_>>());
    for version in BOTH {
        let mut connection = opened(version, 65_536);
        connection.plain.put_slice(b"head");
        connection.plain.put_bytes(&large);
        connection.plain.put_slice(b"tail");
        let before = connection.plain.position();
        connection.talk().unwrap();
        assert_eq!((connection.plain.len(), connection.plain.position()), (0, before));
        assert!(connection.server_got == [b"head", &large[..], b"tail"].concat());
        connection.server_sends(&large).unwrap();
        assert!(connection.client_got[..] == large[..]);
    }
}

#[test]
fn nothing_of_mqtt_leaves_before_the_handshake_is_over() {
    let authority = Authority::new("CA");
    let tls = Tls::from(lab::client(&authority, &BOTH));
    let mut connection = Connection::new(&tls, &Arc::new(lab::server(&authority)));
    connection.plain.put_slice(b"secret");
    let hello = connection.sealed();
    assert!(hello.starts_with(b"\x16\x03\x01"), "ClientHello");
    assert_eq!(connection.plain.len(), 6);
    assert!(connection.sealed().is_empty(), "it is said once");
    connection.server_takes(&hello);
    connection.talk().unwrap();
    assert_eq!(connection.server_got, b"secret");
}

#[test]
fn nothing_to_say_says_nothing() {
    let mut connection = opened(BOTH[1], usize::MAX);
    connection.plain.put_slice(b"");
    assert!(connection.sealed().is_empty());
}

#[test]
fn goodbye_of_the_client_reaches_the_server_behind_its_last_bytes() {
    for version in BOTH {
        let mut connection = opened(version, usize::MAX);
        connection.plain.put_slice(b"disconnect");
        let mut wire = SendBuf::new();
        wire.put_slice(&connection.sealed());
        connection.layer.close(&mut wire);
        connection.server_takes(&wire.to_vec());
        assert_eq!(connection.server_got, b"disconnect");
        assert!(connection.server.process_new_packets().unwrap().peer_has_closed());
        let mut again = SendBuf::new();
        connection.layer.close(&mut again);
        assert!(again.is_empty(), "goodbye is said once");
        // What the server had sent meanwhile still arrives.
        connection.server_sends(b"late").unwrap();
        assert_eq!(&connection.client_got[..], b"late");
    }
}

#[test]
fn goodbye_of_the_server_is_answered_and_ends_what_may_leave() {
    for version in BOTH {
        for step in [1, usize::MAX] {
            let mut connection = opened(version, step);
            connection.server_sends(b"last").unwrap();
            connection.server.send_close_notify();
            let mut goodbye = connection.server_says();
            goodbye.extend_from_slice(b"nonsense behind it");
            connection.receive(&goodbye).unwrap();
            assert_eq!((&connection.client_got[..], connection.progress), (&b"last"[..], Progress::Open));
            connection.plain.put_slice(b"too late");
            let answer = connection.sealed();
            connection.server_takes(&answer);
            assert!(connection.server_got.is_empty() && connection.plain.is_empty());
            assert!(connection.server.process_new_packets().unwrap().peer_has_closed());
        }
    }
}

#[test]
fn layer_in_a_stack_opens_it() {
    let authority = Authority::new("CA");
    let tls = Tls::from(lab::client(&authority, &BOTH));
    let mut connection = Connection::new(&tls, &Arc::new(lab::server(&authority)));
    let mut stack = Stack::new(vec![tls.layer(lab::HOST).unwrap()]);
    let (now, mut plain, mut output) = (lab::clock(), SendBuf::new(), bytes::BytesMut::new());
    plain.put_slice(b"connect");
    for _ in 0..4 {
        let mut wire = SendBuf::new();
        stack.seal(now, &mut plain, &mut wire).unwrap();
        connection.server_takes(&wire.to_vec());
        let down = connection.server_says();
        stack.open(now, &mut bytes::BytesMut::from(&down[..]), &mut output).unwrap();
    }
    assert!(stack.is_open() && plain.is_empty());
    assert_eq!(connection.server_got, b"connect");
}
