//! Can a URL or options make anything but a legal CONNECT or an error that keeps secrets?

use crate::{input::Input, session::clock};
use bytes::BytesMut;
use core::time::Duration;
use karere_link::{Dial, Endpoint, Jitter, Link, Options, Rng, Url, Use};
use karere_proto::{
    FrameLimits, Packet, Properties, PropertyId, Publish, QoS, SendBuf, Session, Side, Value, Version, next_frame,
    session::{CleanStart, QueueLimits, SessionExpiry},
};

/// A URL up to the first line's end, then options.
pub fn check(bytes: &[u8]) {
    let end = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(&bytes[..end]);
    check_url(&text);
    if let Ok(options) = Options::new(&text) {
        check_options(options, &mut Input::new(&bytes[end..]));
    }
}

fn check_url(text: &str) {
    match Url::parse(text) {
        Ok(url) => {
            let printed = match &url.endpoint {
                Endpoint::Unix(path) => format!("unix://{}", path.display()),
                endpoint => format!("mqtt://{endpoint}"),
            };
            let again = Url::parse(&printed).unwrap_or_else(|error| panic!("{text:?} is {printed:?}: {error}"));
            assert_eq!(again.endpoint, url.endpoint, "{text:?} is {printed:?}");
            let tcp = matches!(url.endpoint, Endpoint::Tcp { .. });
            assert_eq!(
                (url.user_name.clone(), url.password.clone()),
                if tcp { credentials(text) } else { (None, None) }
            );
            check_port(text, &url.endpoint);
        }
        Err(error) => {
            let error = error.to_string();
            // Whatever stands before the last @ may be a password, whoever it was meant for.
            let shown = error.rsplit_once('@').map_or("", |(before, _)| before);
            assert!(shown.is_empty() || shown.ends_with('…'), "{text:?}: {error}");
        }
    }
}

/// What stands before the last `@`, by a plain reading of RFC 3986, §3.2.1 and §2.1.
fn credentials(text: &str) -> (Option<String>, Option<String>) {
    let authority = text.split_once("://").map_or("", |(_, rest)| rest.split(['/', '?']).next().unwrap_or(""));
    let Some((credentials, _)) = authority.rsplit_once('@') else {
        return (None, None);
    };
    let decode = |text: &str| {
        let mut parts = text.split('%');
        let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
        for part in parts {
            let digit = |at: usize| char::from(part.as_bytes()[at]).to_digit(16).expect("a hexadecimal digit") as u8;
            bytes.push(digit(0) * 16 + digit(1));
            bytes.extend_from_slice(&part.as_bytes()[2..]);
        }
        String::from_utf8(bytes).expect("UTF-8")
    };
    match credentials.split_once(':') {
        Some((user, password)) => (Some(decode(user)), Some(decode(password))),
        None => (Some(decode(credentials)), None),
    }
}

/// A port is digits, and the default where there is none.
fn check_port(text: &str, endpoint: &Endpoint) {
    if let Endpoint::Tcp { port, host } = endpoint {
        let (scheme, rest) = text.split_once("://").expect("it was taken");
        let default = match scheme {
            "mqtts" | "ssl" => 8883,
            "ws" => 80,
            "wss" => 443,
            _ => 1883,
        };
        let text = rest.split(['/', '?']).next().unwrap_or("");
        let digits = text.bytes().rev().take_while(u8::is_ascii_digit).count();
        let (before, digits) = text.split_at(text.len() - digits);
        let expected = if before.ends_with(':') && !digits.is_empty() { digits.parse().ok() } else { Some(default) };
        assert_eq!(Some(*port), expected, "{text:?}: port of {host:?}");
    }
}

/// Options that are taken make a session, and its CONNECT is legal.
fn check_options(mut options: Options, input: &mut Input<'_>) {
    let mut version = Version::default();
    while !input.is_empty() {
        options = match input.below(20) {
            0 => {
                version = input.one_of(&Version::ALL);
                options.version(version)
            }
            1 => options.client_id(input.text()),
            2 => options.server_assigned_client_id(),
            3 => options.user_name(input.text()),
            4 => options.password(input.bytes()),
            5 => options.keep_alive(duration(input)),
            6 => {
                let all = [CleanStart::Always, CleanStart::FirstOnly, CleanStart::Never, CleanStart::Adopt];
                options.clean_start(input.one_of(&all))
            }
            7 => {
                let expiry = SessionExpiry::After(duration(input));
                options.session_expiry(input.one_of(&[SessionExpiry::AtClose, SessionExpiry::Never, expiry]))
            }
            8 => match will(input) {
                Some(will) => options.will(will),
                None => options.no_will(),
            },
            9 => options.properties(Properties::new()),
            10 => options.max_in_flight(input.u16()),
            11 => options.queue_limits(QueueLimits::new(usize::from(input.byte()), usize::from(input.byte()))),
            12 => options.reconnect_delay(duration(input), duration(input)),
            13 => options.reconnect_jitter(input.one_of(&[Jitter::None, Jitter::Uniform])),
            14 => options.stable_after(duration(input)),
            15 => options.connect_timeout(duration(input)),
            16 => options.connack_timeout(duration(input)),
            17 => options.ping_timeout(duration(input)),
            18 => options.property(input.one_of(PropertyId::ALL), Value::Str(&input.text())),
            _ => {
                let value = match input.below(3) {
                    0 => Value::Byte(input.byte()),
                    1 => Value::U16(input.u16()),
                    _ => Value::U32(input.u32()),
                };
                options.property(input.one_of(PropertyId::ALL), value)
            }
        };
    }
    assert!(!format!("{options:?}").is_empty());
    match options.into_parts(&mut Rng::new(1)) {
        Ok(parts) => {
            let now = clock();
            let mut session = Session::new(now, parts.session).expect("options are checked as a session checks them");
            session.handle_opened(now);
            let mut out = SendBuf::new();
            session.poll_bytes(&mut out);
            let mut stream = BytesMut::from(&out.to_vec()[..]);
            let limits = FrameLimits::new(version.rules(), Side::Client);
            let frame = next_frame(&mut stream, limits).expect("a legal frame").expect("a whole frame");
            let packet = Packet::decode(frame, version.rules(), Side::Client);
            assert!(matches!(packet, Ok(Packet::Connect(_))) && stream.is_empty(), "{packet:?}");
            check_link(Link::new(parts.servers, parts.ways, parts.policy, Rng::new(1)));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Attempts fail and are made again, for as long as there are any.
fn check_link(mut link: Link) {
    let mut now = clock();
    link.connect(now);
    for _ in 0..8 {
        while let Some(dial) = link.poll_dial() {
            let error = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
            match dial {
                Dial::Refresh { attempt, server } => link.handle_refreshed(now, attempt, Ok(server)),
                Dial::Resolve { attempt, .. } => link.handle_resolved(now, attempt, Err(error())),
                Dial::Connect { attempt, .. } => {
                    assert_eq!(link.handle_dialed(now, attempt, Err(error())), Use::None);
                }
                Dial::Abandon(_) => {}
                other => panic!("a driver that does not know {other:?}"),
            }
        }
        while link.poll_event().is_some() {}
        now = link.poll_timeout().unwrap_or(now);
        link.handle_timeout(now);
    }
}

fn duration(input: &mut Input<'_>) -> Duration {
    match input.byte() {
        255 => Duration::MAX,
        254 => Duration::new(u64::from(u32::MAX), 999_999_999),
        253 => Duration::from_secs(65_535),
        252 => Duration::from_nanos(1),
        seconds => Duration::from_secs(u64::from(seconds)),
    }
}

fn will(input: &mut Input<'_>) -> Option<Publish> {
    let mut publish = Publish::new(input.text(), input.some()).ok()?;
    publish.qos = QoS::from_bits(input.byte()).unwrap_or_default();
    let payload = if input.byte() == 255 { 65_536 } else { 0 };
    if payload > 0 {
        publish.payload = vec![0; payload].into();
    }
    let properties = [
        (PropertyId::WillDelayInterval, Value::U32(5)),
        (PropertyId::ContentType, Value::Str("x")),
        (PropertyId::TopicAlias, Value::U16(1)),
    ];
    let count = input.below(4);
    for (id, value) in &properties[..count] {
        publish = publish.property(*id, *value).expect("a legal value");
    }
    if input.byte() == 255 {
        publish = publish.message_expiry(duration(input));
    }
    Some(publish)
}
