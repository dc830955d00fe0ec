//! What no server may send, and goodbyes from both sides.

use super::*;

/// What comes, the code of the answer, and what the error says.
fn violations() -> Vec<(Vec<u8>, u16, &'static str)> {
    let masked = |first: u8| vec![first, 0x81, 1, 2, 3, 4, b'x' ^ 1];
    vec![
        (frame(0x81, b"hello"), 1003, "[MQTT-6.0.0-1]"),
        (frame(0x01, b"hel"), 1003, "[MQTT-6.0.0-1]"),
        ([frame(0x02, b"a"), frame(0x81, b"b")].concat(), 1003, "[MQTT-6.0.0-1]"),
        (masked(0x82), 1002, "masked"),
        (masked(0x89), 1002, "masked"),
        (frame(0xC2, b"x"), 1002, "extension"),
        (frame(0xA2, b"x"), 1002, "extension"),
        (frame(0x92, b"x"), 1002, "extension"),
        (frame(0xC9, b"x"), 1002, "extension"),
        (frame(0x83, b"x"), 1002, "a frame that is none"),
        (frame(0x87, b"x"), 1002, "a frame that is none"),
        (frame(0x8B, b"x"), 1002, "a frame that is none"),
        (frame(0x8F, b""), 1002, "a frame that is none"),
        (frame(0x80, b"x"), 1002, "continued a message that had not begun"),
        (frame(0x00, b""), 1002, "continued a message that had not begun"),
        ([frame(0x02, b"a"), frame(0x80, b"b"), frame(0x80, b"c")].concat(), 1002, "had not begun"),
        ([frame(0x02, b"a"), frame(0x82, b"b")].concat(), 1002, "within another"),
        (frame(0x09, b"x"), 1002, "control frame in parts"),
        (frame(0x08, b""), 1002, "control frame in parts"),
        (header(0x89, 126), 1002, "more than 125"),
        (header(0x8A, 1 << 63), 1002, "more than 125"),
        (header(0x82, 1 << 63), 1009, "9223372036854775808 bytes"),
        (header(0x82, u64::MAX), 1009, "18446744073709551615 bytes"),
        (header(0x82, 268_435_461), 1009, "268435461 bytes or more, and the limit is 268435460"),
        ([frame(0x02, b"a"), header(0x00, u64::MAX)].concat(), 1009, "18446744073709551615 bytes"),
        (frame(0x88, b"\x03"), 1002, "half a code"),
        (frame(0x88, b"\x03\xE8\xFF"), 1007, "1000, in no UTF-8"),
        (frame(0x88, b"\x00\x00"), 1002, "closed the WebSocket with 0"),
        (frame(0x88, b"\x03\xED"), 1002, "closed the WebSocket with 1005"),
        (frame(0x88, b"\x03\xEE"), 1002, "closed the WebSocket with 1006"),
        (frame(0x88, b"\x03\xF7"), 1002, "closed the WebSocket with 1015"),
        (frame(0x88, b"\xFF\xFF"), 1002, "closed the WebSocket with 65535"),
    ]
}

fn closes_with(code: u16) -> Vec<(u8, Vec<u8>)> {
    vec![(0x88, code.to_be_bytes().to_vec())]
}

#[test]
fn violation_is_answered_with_its_code_and_then_an_error_whatever_the_pieces() {
    for (bytes, code, expected) in violations() {
        for step in [1, 2, 3, 1000] {
            let mut world = World::opened();
            for piece in bytes.chunks(step) {
                assert_eq!(world.hear(piece), Ok(Progress::Open), "{expected}: the goodbye comes first");
            }
            world.plain.put_slice(b"nothing follows a Close frame");
            assert_eq!(world.frames(), closes_with(code), "{expected}");
            for _ in 0..2 {
                let error = world.said().expect_err(expected);
                assert!(error.starts_with("WebSocket: ") && error.contains(expected), "{error}");
                assert_eq!(world.hear(&frame(0x82, b"more")), Err(error));
            }
        }
    }
}

#[test]
fn close_is_answered_and_its_code_and_reason_are_told() {
    for (payload, answer, expected) in [
        (&b""[..], Vec::new(), "the server closed the WebSocket, and did not say why"),
        (b"\x03\xE8", vec![0x03, 0xE8], "the server closed the WebSocket with 1000 (normal)"),
        (b"\x03\xE9bye", vec![0x03, 0xE9], "with 1001 (it goes away): bye"),
        (b"\x03\xF0no\r\nway", vec![0x03, 0xF0], "with 1008 (against its policy): no  way"),
        (b"\x03\xF5", vec![0x03, 0xF5], "with 1013 (try again later)"),
        (b"\x0B\xB8\xC3\xA9", vec![0x0B, 0xB8], "with 3000: é"),
        (b"\x12\x67", vec![0x12, 0x67], "with 4711"),
    ] {
        let mut world = World::opened();
        assert_eq!(world.hear(&frame(0x88, payload)), Ok(Progress::Open));
        assert_eq!(world.frames(), [(0x88, answer)]);
        let error = world.said().expect_err("closed");
        assert!(error.ends_with(expected), "{error}");
    }
}

#[test]
fn bytes_before_the_close_are_passed_on_and_those_behind_it_are_not() {
    let disconnect = b"\xE0\x02\x8B\x00";
    let mut world = World::opened();
    let bytes = [frame(0x89, b"?"), frame(0x82, disconnect), frame(0x88, b"\x03\xE9"), frame(0x82, b"late")].concat();
    assert_eq!(world.hear(&bytes), Ok(Progress::Open));
    assert_eq!(&world.output[..], disconnect);
    assert_eq!(world.hear(&frame(0x82, b"later")), Ok(Progress::Open));
    assert_eq!(&world.output[..], disconnect);
    assert_eq!(world.input.len(), 0);
    assert_eq!(world.frames(), closes_with(1001));
}

#[test]
fn limit_counts_the_frames_of_a_message_together() {
    let options = WebSocketOptions::new().message_limit(10);
    let mut world = World::opened_with(&options);
    let fits = [frame(0x02, b"12345"), frame(0x89, b""), frame(0x80, b"67890"), frame(0x82, b"1234567890")].concat();
    assert_eq!(world.hear(&fits), Ok(Progress::Open));
    assert_eq!(world.output.len(), 20);
    let _pong = world.frames();
    let more = [frame(0x02, b"12"), frame(0x00, b"345"), frame(0x00, b""), header(0x80, 6)].concat();
    assert_eq!(world.hear(&more), Ok(Progress::Open));
    assert_eq!(world.frames(), closes_with(1009));
    assert!(world.said().expect_err("too large").contains("11 bytes or more, and the limit is 10"));
}

#[test]
fn our_goodbye_is_1000_and_nothing_follows_it() {
    let mut world = World::opened();
    assert_eq!(world.close(), closes_with(1000));
    world.plain.put_slice(b"late");
    assert_eq!(world.hear(&[frame(0x89, b"?"), frame(0x82, b"still read")].concat()), Ok(Progress::Open));
    assert_eq!(&world.output[..], b"still read");
    assert_eq!((world.frames(), world.close()), (Vec::new(), Vec::new()));
    assert_eq!(world.hear(&[frame(0x88, b"\x03\xE8"), frame(0x82, b"late")].concat()), Ok(Progress::Open));
    assert_eq!(&world.output[..], b"still read");
    assert_eq!((world.frames(), world.close()), (Vec::new(), Vec::new()));
    assert_eq!(world.hear(b"nonsense"), Ok(Progress::Open));
}

#[test]
fn our_goodbye_after_the_servers_is_its_answer_and_no_error() {
    let mut world = World::opened();
    world.hear(&frame(0x88, b"\x03\xE9")).expect("a goodbye");
    assert_eq!(world.close(), closes_with(1001));
    assert_eq!((world.frames(), world.close()), (Vec::new(), Vec::new()));
    let mut world = World::opened();
    world.hear(&frame(0x88, b"\x03\xE9")).expect("a goodbye");
    assert_eq!(world.frames(), closes_with(1001));
    assert_eq!((world.close(), world.frames()), (Vec::new(), Vec::new()));
}

#[test]
fn websocket_that_never_opened_has_no_goodbye() {
    let mut world = World::fresh();
    let answer = accepting(&world.request());
    assert_eq!(world.close(), []);
    assert_eq!(world.hear(&answer), Ok(Progress::Open));
    assert_eq!(world.frames(), []);
}
