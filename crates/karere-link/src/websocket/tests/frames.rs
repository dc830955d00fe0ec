//! Bytes of MQTT in frames, both ways.

use super::*;
use bytes::Bytes;

#[test]
fn frames_carry_the_same_bytes_at_every_split() {
    let stream = [
        frame(0x82, b"one"),
        frame(0x82, b""),
        frame(0x02, b"t"), // a message in three frames
        frame(0x89, b"are you there"),
        frame(0x00, b"w"),
        frame(0x8A, b"nobody asked"),
        frame(0x80, b"o"),
        frame(0x82, &numbered(200)),
        frame(0x02, b""),
        frame(0x80, b""),
        frame(0x89, b""),
        frame(0x82, b"end"),
    ]
    .concat();
    let expected = [&b"onetwo"[..], &numbered(200), b"end"].concat();
    let check = |world: &mut World, what: &str| {
        assert_eq!(&world.output[..], &expected[..], "{what}");
        let (last, _) = world.frames().pop().expect("an answer");
        assert_eq!(last, 0x8A, "{what}");
        assert_eq!(world.input.capacity(), 0, "{what}: nothing is held between frames");
    };
    for split in 0..=stream.len() {
        let mut world = World::opened();
        for piece in [&stream[..split], &stream[split..]] {
            assert_eq!(world.hear(piece), Ok(Progress::Open));
        }
        check(&mut world, &format!("split at {split}"));
    }
    for step in 1..40 {
        let mut world = World::opened();
        for piece in stream.chunks(step) {
            assert_eq!(world.hear(piece), Ok(Progress::Open));
        }
        check(&mut world, &format!("{step} bytes at a time"));
    }
}

#[test]
fn bytes_are_passed_on_before_their_frame_is_whole() {
    let mut world = World::opened();
    let largest = 268_435_460;
    world.hear(&header(0x82, largest)).expect("the largest packet of MQTT");
    assert!(world.input.is_empty() && world.output.is_empty());
    let piece = numbered(64 * 1024);
    let mut heard = 0;
    while heard < 200 << 20 {
        world.hear(&piece).expect("frames");
        assert!(world.output.split() == piece, "{heard} bytes so far");
        assert_eq!(world.input.capacity(), 0);
        heard += piece.len();
    }
}

#[test]
fn payload_is_not_copied_out_of_the_buffer_it_came_in() {
    let mut world = World::opened();
    world.input = BytesMut::from(&frame(0x82, &numbered(60_000))[..]);
    let came = world.input.as_ptr() as usize;
    world.hear(b"").expect("a frame");
    assert_eq!((world.output.as_ptr() as usize - came, world.output.len()), (4, 60_000));
    assert!(world.output[..] == numbered(60_000));
}

#[test]
fn what_waits_for_the_rest_of_a_header_holds_no_read_buffer() {
    let mut world = World::opened();
    world.input = BytesMut::with_capacity(64 * 1024);
    world.input.extend_from_slice(&frame(0x82, b"x"));
    world.hear(&[0x82]).expect("frames");
    assert!(world.input.capacity() < 64, "{} bytes", world.input.capacity());
    world.hear(b"\x01y").expect("frames");
    assert_eq!(&world.output[..], b"xy");
}

#[test]
fn one_flush_is_one_frame() {
    let mut world = World::opened();
    let large = Bytes::from(numbered(70_000));
    world.plain.put_slice(b"small");
    world.plain.put_bytes(&large);
    world.plain.put_slice(b"behind");
    for _ in 0..40 {
        world.plain.put_bytes(&large.slice(..5000));
    }
    let expected = world.plain.to_vec();
    let frames = world.frames();
    assert_eq!(frames.len(), 1);
    assert_eq!(frames[0].0, 0x82);
    assert!(frames[0].1 == expected);
    assert!(world.plain.is_empty());
    assert_eq!(world.frames(), [], "nothing to say, no frame");
}

#[test]
fn masks_are_not_told_beforehand() {
    let mut world = World::opened();
    let mut masks = Vec::new();
    for _ in 0..100 {
        world.plain.put_slice(b"1234");
        let said = world.said().expect("a frame");
        assert_eq!(said.len(), 10);
        masks.push(said[2..6].to_vec());
    }
    masks.sort();
    masks.dedup();
    assert!(masks.len() > 95, "{} of 100 differ", masks.len());
}

#[test]
fn ping_is_answered_with_what_it_carried_ahead_of_data() {
    let mut world = World::opened();
    world.hear(&frame(0x89, &numbered(125))).expect("a ping");
    world.plain.put_slice(b"data");
    assert_eq!(world.frames(), [(0x8A, numbered(125)), (0x82, b"data".to_vec())]);
    assert_eq!(world.frames(), []);
}

#[test]
fn flood_of_pings_is_answered_once() {
    let mut world = World::opened();
    let flood = (0..10_000u32).flat_map(|number| frame(0x89, &number.to_be_bytes())).collect::<Vec<_>>();
    world.hear(&flood).expect("pings");
    assert_eq!(world.frames(), [(0x8A, 9_999u32.to_be_bytes().to_vec())]);
}

#[test]
fn stream_that_ends_half_way_leaves_what_came_before() {
    let mut world = World::opened();
    let frame = frame(0x82, b"connack");
    world.hear(&frame[..5]).expect("a part");
    assert_eq!(&world.output[..], b"con");
    assert_eq!(world.said(), Ok(Vec::new()));
}

#[test]
fn open_connection_holds_next_to_nothing() {
    assert!(size_of::<WebSocketLayer>() <= 128, "{} bytes", size_of::<WebSocketLayer>());
    let mut world = World::opened();
    world.hear(&frame(0x82, &numbered(5000))).expect("a frame");
    assert_eq!(world.input.capacity(), 0);
}
