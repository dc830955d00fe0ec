//! WebSocket servers that open it, and then send what has no end.

use std::io::{self, Write};

use crate::{
    case::{Case, side_by_side},
    peer::{Kind, Meeting},
};

const FLOOD: u64 = 320 << 20;

/// A CONNACK of 5.0 in a frame.
const ACCEPTED: &[u8] = &[0x82, 5, 0x20, 3, 0, 0, 0];

fn websocket(name: &str, deed: impl Fn(&mut Meeting) -> io::Result<()> + Send + Sync + 'static) -> Case {
    Case::new(name, Kind::WebSocket, move |meeting| {
        meeting.open_websocket()?;
        deed(meeting)?;
        meeting.wait_for_the_end()
    })
}

/// `beginning`, and then `piece` again and again.
fn flood(name: &str, beginning: &[u8], piece: &[u8]) -> Case {
    let (beginning, piece) = (beginning.to_vec(), piece.to_vec());
    websocket(name, move |meeting| {
        meeting.stream.write_all(&beginning)?;
        meeting.push(&piece, FLOOD)
    })
}

/// PUBLISH of QoS 0 with 60 KiB, as the payload of a frame with this first byte.
fn message_in_a_frame(first: u8) -> Vec<u8> {
    let remaining = 4 + 60 * 1024_u32;
    let [_, length @ ..] = (remaining + 5 - 1).to_be_bytes();
    let mut frame = vec![first, 127, 0, 0, 0, 0, 0];
    frame.extend(length);
    frame.extend([0x30, remaining as u8 | 0x80, (remaining >> 7) as u8 | 0x80, (remaining >> 14) as u8]);
    frame.extend([0, 1, b'a', 0]);
    frame.resize(frame.len() + 60 * 1024, b'x');
    frame
}

#[test]
fn frame_that_announces_more_than_there_can_be_is_refused_unread() {
    let announcing = |first: u8, length: u64| [&[first, 127][..], &length.to_be_bytes()].concat();
    let cases = vec![
        flood("2^63 bytes", &announcing(0x82, 1 << 63), b"x"),
        flood("2^64 - 1 bytes", &announcing(0x82, u64::MAX), b"x"),
        flood("2^63 - 1 bytes", &announcing(0x82, (1 << 63) - 1), b"x"),
        flood("2^62 bytes, to be continued", &announcing(0x02, 1 << 62), b"x"),
        flood("a ping of 2^63 bytes", &announcing(0x89, 1 << 63), b"x"),
        flood("a goodbye of 2^63 bytes", &announcing(0x88, 1 << 63), b"x"),
        flood("sums beyond 2^64", &[0x02, 0], &announcing(0x00, u64::MAX)),
    ];
    side_by_side(cases, |_, outcome| {
        outcome.failed_with(&["WebSocket: the server sent a "]);
    });
}

#[test]
fn message_of_fragments_without_end_is_refused_at_the_limit_and_keeps_no_memory() {
    let first = [ACCEPTED, &message_in_a_frame(0x02)].concat();
    let case = flood("messages in one", &first, &message_in_a_frame(0x00));
    let outcome = case.run();
    outcome.failed_with(&["WebSocket: the server sent a message of ", "the limit is 268435460"]);
    outcome.took_at_least(256 << 20);
}

#[test]
fn fragments_and_pongs_of_nothing_do_not_keep_a_connection_that_says_nothing() {
    let ping = [&[0x89, 125][..], &[b'p'; 125]].concat();
    let cases = vec![
        flood("empty fragments", &[0x02, 0], &[0, 0]),
        flood("empty messages", b"", &[0x82, 0]),
        flood("pongs", b"", &[0x8A, 0]),
        flood("pings", b"", &ping),
    ];
    side_by_side(cases, |_, outcome| {
        outcome.failed_with(&["the server did not answer CONNECT in time"]);
        outcome.took_at_least(16 << 20);
    });
}

#[test]
fn pings_to_a_peer_that_reads_no_answer_are_not_answered_in_memory() {
    let case = websocket("pings one by one", |meeting| {
        meeting.stream.write_all(ACCEPTED)?;
        let ping = [&[0x89, 125][..], &[b'p'; 125]].concat();
        loop {
            meeting.stream.write_all(&ping)?;
        }
    });
    case.run().failed_with(&["the server was silent for longer than the keep alive allows"]);
}

#[test]
fn goodbye_that_is_answered_with_a_flood_is_one_all_the_same() {
    let piece = message_in_a_frame(0x82);
    let case = flood("a flood for a goodbye", ACCEPTED, &piece).always().leaving();
    case.run().stayed_small();
}
