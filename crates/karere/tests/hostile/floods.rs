//! Peers whose handshake has no end, and which send it as fast as they can.

use crate::{
    case::{Case, side_by_side},
    peer::Kind,
};

/// More than a client may keep by mistake.
const FLOOD: u64 = 256 << 20;

/// `beginning`, and then `piece` again and again.
fn flood(name: &str, kind: Kind, beginning: &'static [u8], piece: &'static [u8]) -> Case {
    Case::new(name, kind, move |meeting| {
        meeting.before_last_answer()?;
        std::io::Write::write_all(&mut meeting.stream, beginning)?;
        meeting.push(piece, FLOOD)?;
        meeting.wait_for_the_end()
    })
}

#[test]
fn head_without_end_is_refused_at_the_limit() {
    let accepting = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nX: ";
    let cases = vec![
        flood("one endless line", Kind::Http, b"HTTP/1.1 200 OK\r\nX: ", b"x"),
        flood("endless lines", Kind::Http, b"HTTP/1.1 200 OK\r\n", b"Via: another\r\n"),
        flood("endless schemes", Kind::Http, b"HTTP/1.1 407 Who?\r\n", b"Proxy-Authenticate: a, b, c\r\n"),
        flood("endless reason", Kind::Http, b"HTTP/1.1 200 ", b"well "),
        flood("endless answers on the way", Kind::Http, b"", b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n"),
        flood("one endless line", Kind::WebSocket, accepting, b"x"),
        flood("endless lines", Kind::WebSocket, accepting, b"y\r\nX: "),
        flood("endless reason", Kind::WebSocket, b"HTTP/1.1 101 ", b"well "),
    ];
    side_by_side(cases, |case, outcome| {
        outcome.failed_with(&[&format!("{}: ", case.kind().layer()), "16384 bytes"]);
    });
}

#[test]
fn body_without_end_is_not_waited_for() {
    let cases = vec![
        flood("no way", Kind::Http, b"HTTP/1.1 403 No\r\n\r\n", b"It is forbidden."),
        flood("no WebSocket", Kind::WebSocket, b"HTTP/1.1 403 No\r\n\r\n", b"It is forbidden."),
    ];
    side_by_side(cases, |case, outcome| {
        outcome.failed_with(&[&format!("{}: ", case.kind().layer()), "403"]);
    });
}

#[test]
fn what_floods_in_behind_a_proxys_answer_is_the_servers_and_no_mqtt() {
    let [http, socks4, socks5] = [Kind::Http, Kind::Socks4, Kind::Socks5];
    let cases = vec![
        flood("zeros", http, b"HTTP/1.1 200 OK\r\n\r\n", &[0]),
        flood("zeros", socks4, &[0, 90, 0, 0, 0, 0, 0, 0], &[0]),
        flood("zeros", socks5, &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0], &[0]),
        flood("a long name, and zeros", socks5, &[5, 0, 0, 3, 255], &[0]),
    ];
    side_by_side(cases, |_, outcome| {
        outcome.failed_with(&["received a packet of a packet type this version does not have"]);
    });
}

#[test]
fn garbage_without_end_is_refused_by_its_first_bytes() {
    let cases = Kind::ALL.map(|kind| flood("garbage", kind, b"", &[0xA5, 0x0F, 0x5A]));
    side_by_side(cases.into(), |case, outcome| {
        outcome.failed_with(&[&format!("{}: ", case.kind().layer())]);
    });
}

#[test]
fn records_of_tls_without_end_of_the_handshake_are_refused() {
    let tls = Kind::Tls;
    let cases = vec![
        flood("a message of 16 MiB", tls, &[22, 3, 3, 0, 4, 2, 255, 255, 255], RECORD),
        flood("a message of 64 KiB in crumbs", tls, &[22, 3, 3, 0, 4, 2, 0, 255, 255], &[22, 3, 3, 0, 1, 0]),
        flood("messages of nothing", tls, b"", &[22, 3, 3, 0, 0]),
        flood("changes of cipher", tls, b"", &[20, 3, 3, 0, 1, 1]),
        flood("warnings", tls, b"", &[21, 3, 3, 0, 2, 1, 90]),
        flood("data before its time", tls, b"", RECORD_OF_DATA),
        flood("records that are too long", tls, b"", &[22, 3, 3, 255, 255]),
        flood("a garbage handshake", tls, &[22], b"garbage"),
    ];
    side_by_side(cases, |_, outcome| {
        outcome.failed_with(&["TLS: "]);
    });
}

/// 16 KiB of a handshake's message.
const RECORD: &[u8] = &{
    let mut record = [1; 5 + 0x4000];
    [record[0], record[1], record[2], record[3], record[4]] = [22, 3, 3, 0x40, 0];
    record
};

const RECORD_OF_DATA: &[u8] = &{
    let mut record = [1; 5 + 0x4000];
    [record[0], record[1], record[2], record[3], record[4]] = [23, 3, 3, 0x40, 0];
    record
};
