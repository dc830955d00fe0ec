//! What is asked, and what is made of each answer.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::*;

fn target(host: &'static str, port: u16, security: Security) -> Target<'static> {
    Target { host, port, path: "/mqtt", security }
}

#[test]
fn request_is_a_get_that_offers_mqtt() {
    let mut world = World::fresh();
    let request = world.request();
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).expect("a key").to_owned();
    assert_eq!(key.len(), 24);
    assert_eq!(
        request.replace(&key, "KEY"),
        "GET /mqtt HTTP/1.1\r\nHost: h:8080\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nOrigin: http://h:8080\r\n\
         Sec-WebSocket-Key: KEY\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
    );
    assert_ne!(World::fresh().request(), request, "each has a key of its own");
}

#[test]
fn host_and_origin_leave_the_default_port_out_and_put_ipv6_in_brackets() {
    for (target, host, origin) in [
        (target("h", 80, Security::None), "h", "http://h"),
        (target("h", 443, Security::None), "h:443", "http://h:443"),
        (target("h", 443, Security::Tls), "h", "https://h"),
        (target("h", 80, Security::Tls), "h:80", "https://h:80"),
        (target("::1", 80, Security::None), "[::1]", "http://[::1]"),
        (target("::1", 8083, Security::None), "[::1]:8083", "http://[::1]:8083"),
        (target("fe80::1%eth0", 443, Security::Tls), "[fe80::1]", "https://[fe80::1]"),
        (target("10.0.0.1", 1, Security::Tls), "10.0.0.1:1", "https://10.0.0.1:1"),
    ] {
        let request = World::new(&WebSocketOptions::new(), &target).request();
        assert!(request.contains(&format!("\r\nHost: {host}\r\n")), "{request}");
        assert!(request.contains(&format!("\r\nOrigin: {origin}\r\n")), "{request}");
    }
}

#[test]
fn path_and_query_are_asked_for_as_they_are() {
    let path = "/a/b?X-Amz-Signature=1%2F2";
    let request = World::new(&WebSocketOptions::new(), &Target { path, ..TARGET }).request();
    assert!(request.starts_with("GET /a/b?X-Amz-Signature=1%2F2 HTTP/1.1\r\n"), "{request}");
}

#[test]
fn request_is_said_once_and_nothing_of_mqtt_with_it() {
    let mut world = World::fresh();
    world.plain.put_slice(b"CONNECT");
    assert!(world.request().ends_with("\r\n\r\n"));
    assert_eq!(world.said(), Ok(Vec::new()));
    assert_eq!(world.plain.len(), 7);
}

#[test]
fn answer_opens_at_every_split_and_what_follows_belongs_to_the_first_frame() {
    let mut world = World::fresh();
    let answer = accepting(&world.request());
    let stream = [&answer[..], &frame(0x82, b"\x20\x03\x00\x00\x00")].concat();
    for split in 0..=stream.len() {
        let mut world = World { layer: again(&answer), ..World::fresh() };
        let (before, after) = stream.split_at(split);
        let first = world.hear(before);
        let expected = if split < answer.len() { Progress::Handshaking } else { Progress::Open };
        assert_eq!(first, Ok(expected), "split at {split}");
        assert_eq!(world.hear(after), Ok(Progress::Open), "split at {split}");
        assert_eq!(&world.output[..], b"\x20\x03\x00\x00\x00", "split at {split}");
    }
    for step in 1..20 {
        let mut world = World { layer: again(&answer), ..World::fresh() };
        for piece in stream.chunks(step) {
            world.hear(piece).expect("opened");
        }
        assert_eq!(&world.output[..], b"\x20\x03\x00\x00\x00", "{step} bytes at a time");
    }
}

/// A layer for whose request this is the answer.
fn again(answer: &[u8]) -> WebSocketLayer {
    let text = core::str::from_utf8(answer).expect("text");
    let accept = text.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Accept: ")).expect("a key");
    let mut opening = Opening::new(&WebSocketOptions::new(), &TARGET).expect("legal");
    opening.expect(accept);
    WebSocketLayer { phase: Phase::Opening(Box::new(opening)), outgoing: Outgoing::default() }
}

#[test]
fn headers_of_the_answer_are_read_as_http_has_them() {
    for (from, to) in [
        ("Upgrade: websocket", "upgrade:WebSocket"),
        ("Connection: Upgrade", "CONNECTION: keep-alive, upgrade"),
        ("Connection: Upgrade", "Connection: keep-alive\r\nConnection: Upgrade"),
        ("HTTP/1.1 101 Switching Protocols", "HTTP/1.1 101"),
        ("HTTP/1.1 101 Switching Protocols", "HTTP/1.1 101 "),
        ("Sec-WebSocket-Accept", "sec-websocket-accept"),
        ("Sec-WebSocket-Protocol: mqtt", "Sec-WebSocket-Protocol:\tmqtt \r\nSec-WebSocket-Extensions:\r\nX: a:b"),
        ("\r\n", "\n"),
    ] {
        let mut world = World::fresh();
        let answer = String::from_utf8(accepting(&world.request())).expect("text").replace(from, to);
        assert_eq!(world.hear(answer.as_bytes()), Ok(Progress::Open), "{answer}");
    }
}

#[test]
fn server_that_never_answers_stays_handshaking() {
    let mut world = World::fresh();
    let answer = accepting(&world.request());
    assert_eq!(world.hear(b""), Ok(Progress::Handshaking));
    assert_eq!(world.hear(&answer[..answer.len() - 1]), Ok(Progress::Handshaking));
    for _ in 0..1000 {
        assert_eq!(world.hear(b""), Ok(Progress::Handshaking));
        assert_eq!(world.said(), Ok(Vec::new()));
    }
}

/// What is wrong, how an answer that opens is changed, and what the error says.
const WRONG: &[(&str, &str, &[&str])] = &[
    ("Upgrade: websocket\r\n", "", &["web server, but no WebSocket here"]),
    ("Connection: Upgrade\r\n", "", &["web server, but no WebSocket here"]),
    ("Upgrade: websocket", "Upgrade: h2c", &["web server, but no WebSocket here"]),
    ("Sec-WebSocket-Accept: ", "Sec-WebSocket-Accept: x", &["Sec-WebSocket-Accept does not belong"]),
    ("Sec-WebSocket-Accept", "X", &["Sec-WebSocket-Accept does not belong"]),
    ("\r\n\r\n", "\r\nSec-WebSocket-Accept: x\r\n\r\n", &["Sec-WebSocket-Accept does not belong"]),
    ("Sec-WebSocket-Protocol: mqtt\r\n", "", &["selected no sub-protocol", "\"mqtt\"", "[MQTT-6.0.0-4]"]),
    ("Protocol: mqtt", "Protocol: chat", &["\"chat\"", "\"mqtt\" was offered", "[MQTT-6.0.0-4]"]),
    ("Protocol: mqtt", "Protocol: mqtt\r\nSec-WebSocket-Protocol: mqtt", &["\"mqtt, mqtt\"", "[MQTT-6.0.0-4]"]),
    ("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n", &["extension that nobody asked for"]),
    ("HTTP/1.1 101", "HTTP/1.1 1O1", &["no HTTP", "no status"]),
    ("HTTP/1.1 101", "HTTP/1.1 0101", &["no HTTP", "no status"]),
    ("HTTP/1.1 101", "HTTP/1.1 +10", &["no HTTP", "no status"]),
    ("\r\n\r\n", "\r\nno header\r\n\r\n", &["no HTTP", "one of its lines"]),
    ("\r\n\r\n", "\r\n folded: x\r\n\r\n", &["no HTTP", "one of its lines"]),
    ("101 Switching Protocols", "200 OK", &["answered 200 OK", "no WebSocket at the path /mqtt"]),
    ("101 Switching Protocols", "302 Found\r\nLocation: wss://x/y?token=s", &["is at wss://x/y;"]),
    ("101 Switching Protocols", "301 Moved", &["does not say where"]),
    ("101 Switching Protocols", "400 Bad Request", &["answered 400 Bad Request", "wss://"]),
    ("101 Switching Protocols", "401 Unauthorized\r\nWWW-Authenticate: Basic realm=x", &["credentials", "(Basic)"]),
    ("101 Switching Protocols", "401 Unauthorized", &["credentials", "(Authorization)"]),
    ("101 Switching Protocols", "403 Forbidden", &["credentials", "Origin"]),
    ("101 Switching Protocols", "404 Not Found", &["answered 404 Not Found", "no WebSocket at the path /mqtt"]),
    ("101 Switching Protocols", "426 Upgrade Required\r\nSec-WebSocket-Version: 8", &["(8)", "too old"]),
    ("101 Switching Protocols", "503 Service Unavailable", &["answered 503", "try again later"]),
    ("101 Switching Protocols", "100", &["answered 100:", "no WebSocket"]),
    ("HTTP/1.1 101 Switching Protocols", "HTTP/1.0 404", &["answered 404:", "no WebSocket at the path"]),
];

#[test]
fn each_wrong_answer_has_its_own_error_whatever_the_pieces() {
    for &(from, to, expected) in WRONG {
        for step in [1, 7, 4096] {
            let mut world = World::new(&WebSocketOptions::new(), &Target { path: "/mqtt?token=secret", ..TARGET });
            let right = String::from_utf8(accepting(&world.request())).expect("text");
            let answer = right.replacen(from, to, 1);
            assert_ne!(answer, right, "{from:?}");
            let error = answer.as_bytes().chunks(step).find_map(|piece| world.hear(piece).err()).expect(to);
            for part in expected {
                assert!(error.contains(part), "{error:?} does not say {part:?}");
            }
            assert!(
                error.starts_with("WebSocket: ") && !error.contains("secret") && !error.contains("token"),
                "{error}"
            );
        }
    }
}

#[test]
fn error_quotes_the_first_line_that_is_for_people() {
    for (body, expected) in [
        ("\r\n\r\nno such route\r\nmore", Some("(it says: no such route)")),
        ("\r\n\r\n\x07bell", Some("(it says: bell)")),
        ("\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nno broker\r\n0\r\n\r\n", Some("(it says: no broker)")),
        ("\r\n\r\n<html><title>404</title>", None),
        ("\r\n\r\n", None),
    ] {
        let mut world = World::fresh();
        let error = world.hear(format!("HTTP/1.1 404 Not Found{body}").as_bytes()).expect_err("refused");
        match expected {
            Some(expected) => assert!(error.ends_with(expected), "{error:?}"),
            None => assert!(!error.contains("it says"), "{error:?}"),
        }
    }
    let mut world = World::fresh();
    let error = world.hear(format!("HTTP/1.1 404 {0}\r\n\r\n{0}", "é".repeat(9000)).as_bytes());
    assert!(error.expect_err("too long").contains("more than 16384 bytes"));
    let error = World::fresh().hear(format!("HTTP/1.1 404 {0}\r\n\r\n{0}", "é".repeat(5000)).as_bytes());
    assert!(error.expect_err("refused").chars().count() < 500);
}

#[test]
fn servers_that_do_not_speak_http_are_recognized_by_their_first_byte() {
    for (bytes, security, expected) in [
        (&b"\x20\x02\x00\x01"[..], Security::None, "use mqtt://"),
        (b"\x20", Security::Tls, "use mqtts://"),
        (b"\xE0\x00", Security::None, "use mqtt://"),
        (b"\x15\x03\x01\x00\x02\x02\x46", Security::None, "use wss://"),
        (b"SSH-2.0", Security::None, "does not speak HTTP here (byte 0x53)"),
        (b"HTT?", Security::None, "does not speak HTTP here (byte 0x3F)"),
    ] {
        for step in [1, 99] {
            let mut world = World::new(&WebSocketOptions::new(), &target("h", 1, security));
            let error = bytes.chunks(step).find_map(|piece| world.hear(piece).err()).expect(expected);
            assert!(error.contains(expected), "{error}");
        }
    }
}

#[test]
fn endless_head_ends_at_the_limit_and_holds_no_more() {
    for piece in [&b"X: y\r\n"[..], b"x"] {
        let mut world = World::new(&WebSocketOptions::new().head_limit(1000), &TARGET);
        assert_eq!(world.hear(b"HTTP/1.1 101 "), Ok(Progress::Handshaking));
        let mut heard = 13;
        let error = loop {
            match world.hear(piece) {
                Ok(progress) => assert_eq!(progress, Progress::Handshaking),
                Err(error) => break error,
            }
            heard += piece.len();
            assert!(heard <= 1000, "beyond the limit");
            assert!(world.input.capacity() <= 4096, "{} bytes", world.input.capacity());
        };
        assert!(error.contains("more than 1000 bytes"), "{error}");
    }
}

#[test]
fn head_may_have_as_many_bytes_as_the_limit_says_and_data_behind_it_does_not_count() {
    for (spare, fits) in [(0, true), (-1, false)] {
        let mut sized = World::fresh();
        let answer = accepting(&sized.request());
        let limit = (answer.len() as isize + spare) as usize;
        let mut world = World::new(&WebSocketOptions::new().head_limit(limit), &TARGET);
        let answer = [accepting(&world.request()), frame(0x82, &numbered(3000))].concat();
        assert_eq!(world.hear(&answer).is_ok(), fits, "{spare}");
        assert_eq!(world.output.len(), if fits { 3000 } else { 0 });
    }
}

#[test]
fn headers_are_added_and_replace_what_would_be_there() {
    let options = WebSocketOptions::new()
        .headers([("host", "other"), ("Authorization", "Bearer 1")])
        .headers(vec![("AUTHORIZATION".to_owned(), "Bearer 2".to_owned())]);
    let request = World::new(&options, &TARGET).request();
    assert!(request.contains("\r\nhost: other\r\n") && !request.contains("Host:"), "{request}");
    assert!(request.contains("\r\nAUTHORIZATION: Bearer 2\r\n") && !request.contains("Bearer 1"), "{request}");
}

#[test]
fn closure_sees_the_headers_and_may_change_them_for_every_handshake() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let options = WebSocketOptions::new().headers([("X", "given")]).compute_headers(move |mut headers| {
        let call = counted.fetch_add(1, Ordering::Relaxed);
        let names = headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" ");
        let expected =
            "Host Upgrade Connection Origin Sec-WebSocket-Key Sec-WebSocket-Version Sec-WebSocket-Protocol X";
        assert_eq!(names, expected);
        headers.retain(|(name, _)| name != "Origin");
        headers.push(("Token".to_owned(), call.to_string()));
        Ok::<_, String>(headers)
    });
    for call in 0..2 {
        let request = World::new(&options, &TARGET).request();
        assert!(request.contains(&format!("\r\nX: given\r\nToken: {call}\r\n")) && !request.contains("Origin"));
    }
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

#[test]
fn key_and_sub_protocol_count_as_they_were_sent_at_last() {
    let options = WebSocketOptions::new().compute_headers(|mut headers| {
        for (name, value) in &mut headers {
            match name.as_str() {
                "Sec-WebSocket-Key" => *value = "dGhlIHNhbXBsZSBub25jZQ==".to_owned(),
                "Sec-WebSocket-Protocol" => *value = "chat,superchat".to_owned(),
                _ => {}
            }
        }
        Ok::<_, String>(headers)
    });
    // The example of RFC 6455, §1.3.
    let answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: superchat\r\n\r\n";
    assert_eq!(World::new(&options, &TARGET).hear(answer), Ok(Progress::Open));
}

fn refused(options: &WebSocketOptions, target: &Target<'_>) -> String {
    WebSocketLayer::new(options, target).map(drop).expect_err("no request").to_string()
}

#[test]
fn request_with_a_hole_in_it_is_not_made_and_repeats_no_secret() {
    let options = WebSocketOptions::new();
    for (options, expected) in [
        (options.clone().headers([("Cookie", "secret\r\nX: y")]), "the header Cookie has a line break"),
        (options.clone().headers([("Cookie", "secret\0")]), "the header Cookie has a line break"),
        (options.clone().headers([("A B", "secret")]), "\"A B\" is no name"),
        (options.clone().headers([("", "secret")]), "\"\" is no name"),
        (options.clone().headers([("A\nB", "secret")]), "\"A\\nB\" is no name"),
        (options.clone().compute_headers(|_| Err("the token service is down")), "the token service is down"),
        (options.clone().compute_headers(|_| Ok::<_, String>(Vec::new())), "no Sec-WebSocket-Key"),
        (options.clone().sub_protocols(["mqtt\r\n"]), "Sec-WebSocket-Protocol has a line break"),
    ] {
        let error = refused(&options, &TARGET);
        assert!(error.contains(expected) && !error.contains("secret"), "{error}");
    }
    for path in ["", "mqtt", "/a b", "/a\r\nX: y", "/ä", "/#a"] {
        assert!(refused(&options, &Target { path, ..TARGET }).contains("the path"), "{path:?}");
    }
}

#[test]
fn sub_protocols_are_a_list_and_the_server_takes_one() {
    let options = WebSocketOptions::new().sub_protocols(["mqttv3.1", "mqtt"]);
    let mut world = World::new(&options, &TARGET);
    let request = world.request();
    assert!(request.contains("Sec-WebSocket-Protocol: mqttv3.1, mqtt\r\n"), "{request}");
    let answer = String::from_utf8(accepting(&request)).expect("text").replace(": mqtt\r", ": mqttv3.1\r");
    assert_eq!(world.hear(answer.as_bytes()), Ok(Progress::Open));
}

#[test]
fn server_may_select_nothing_where_that_is_optional_or_nothing_was_offered() {
    let optional = WebSocketOptions::new().sub_protocol_is_optional();
    let none = WebSocketOptions::new().sub_protocols([""; 0]);
    for (options, protocol, opens) in [
        (&optional, "", true),
        (&optional, "Sec-WebSocket-Protocol: mqtt\r\n", true),
        (&optional, "Sec-WebSocket-Protocol: chat\r\n", false),
        (&none, "", true),
        (&none, "Sec-WebSocket-Protocol: mqtt\r\n", false),
    ] {
        let mut world = World::new(options, &TARGET);
        let answer = String::from_utf8(accepting(&world.request())).expect("text");
        let answer = answer.replace("Sec-WebSocket-Protocol: mqtt\r\n", protocol);
        assert_eq!(world.hear(answer.as_bytes()).is_ok(), opens, "{protocol:?}");
    }
}

#[test]
fn debug_shows_no_values() {
    let options = WebSocketOptions::new().headers([("Authorization", "secret")]).compute_headers(Ok::<_, String>);
    let layer = WebSocketLayer::new(&options, &Target { path: "/?secret", ..TARGET }).expect("legal");
    let shown = format!("{options:?} {layer:?}");
    assert!(shown.contains("Authorization") && shown.contains("Opening") && !shown.contains("secret"), "{shown}");
}
