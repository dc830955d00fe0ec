//! Payloads of every length that a layer might trip over arrive as they are, and others than karere say so.

use core::fmt::Write as _;
use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use bytes::Bytes;
use karere::{Publish, QoS, Version};

use crate::{
    common::{
        PATIENCE,
        peer::{Happening, QOS, peer},
        proxy::{Proxy, Way},
        server::Setup,
    },
    mosquitto::{SecureWebSocket, Tls, Transported, WebSocket},
};

/// Around the lengths at which a WebSocket's header grows, and one that is many records of TLS.
const LENGTHS: [usize; 7] = [0, 1, 125, 126, 65_535, 65_536, 5 << 20];

/// Bytes that are different everywhere, every value among them.
fn pattern(len: usize) -> Bytes {
    (0..len).map(|at| (at ^ at >> 8 ^ at >> 16) as u8).collect::<Vec<_>>().into()
}

/// A program of mosquitto's own, over the plain door.
fn program<S: Transported>(variable: &str, server: &S) -> Command {
    let program = std::env::var_os(variable)
        .unwrap_or_else(|| panic!("{variable} must name the program; `cargo xtask test` finds it"));
    let mut command = Command::new(program);
    let port = server.plain_port().to_string();
    command.args(["-V", "5", "-h", "127.0.0.1", "-p", &port]).stdin(Stdio::null()).stderr(Stdio::inherit());
    command
}

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn leave_whole<S: Transported>() {
    let server = S::start(Setup::default());
    let one = peer(server.options(Version::V5, "one")).connect();
    // It is retained: who sees it is subscribed, and what follows is not missed.
    assert!(one.say(Publish::new("out/ready", ()).expect("legal").retained().qos(QoS::AtLeastOnce)).is_acknowledged());
    let ready = one.say(Publish::new("out/ready", "go").expect("legal").retained().qos(QoS::AtLeastOnce));
    assert!(ready.is_acknowledged());
    let mut sub = program("KARERE_MOSQUITTO_SUB", &server);
    let count = (LENGTHS.len() * QOS.len() + 1).to_string();
    let patience = PATIENCE.as_secs().to_string();
    sub.args(["-q", "2", "-t", "out/#", "-C", &count, "-W", &patience, "-F", "%t %q %l %x"]).stdout(Stdio::piped());
    let mut sub = Running(sub.spawn().expect("mosquitto_sub can be started"));
    let mut lines = BufReader::new(sub.0.stdout.take().expect("piped")).lines();
    let mut line = || lines.next().expect("a line").expect("text");
    assert_eq!(line(), "out/ready 1 2 676f");
    for len in LENGTHS {
        let payload = pattern(len);
        let hex = payload.iter().fold(String::with_capacity(2 * len), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("a string");
            hex
        });
        for qos in QOS {
            let publish = Publish::new(format!("out/{len}"), payload.clone()).expect("legal").qos(qos);
            assert!(one.say(publish).is_acknowledged(), "{len} bytes at QoS {qos}");
            let seen = line();
            let (head, seen_hex) = seen.rsplit_once(' ').expect("four words");
            assert_eq!(head, format!("out/{len} {qos} {len}"));
            assert!(seen_hex == hex, "{len} bytes at QoS {qos} are others");
        }
    }
    one.disconnect();
}

fn arrive_whole<S: Transported>() {
    let server = S::start(Setup::default());
    let one = peer(server.options(Version::V5, "one")).connect();
    let _ = one.subscribe("in/#", QoS::ExactlyOnce);
    let mut number = 0;
    for len in LENGTHS {
        let payload = pattern(len);
        let file = File::new(&payload);
        for qos in QOS {
            let mut publisher = program("KARERE_MOSQUITTO_PUB", &server);
            publisher.args(["-q", &qos.to_string(), "-t", &format!("in/{len}")]);
            if len == 0 {
                publisher.arg("-n")
            } else {
                publisher.arg("-f").arg(&file.0)
            };
            let status = publisher.status().expect("mosquitto_pub can be started");
            assert!(status.success(), "{status}");
            let seen = one.message(number);
            assert_eq!((seen.topic, seen.qos, seen.payload.len()), (format!("in/{len}"), qos, len));
            assert!(seen.payload == payload, "{len} bytes at QoS {qos} are others");
            number += 1;
        }
    }
    one.disconnect();
}

struct File(PathBuf);

impl File {
    fn new(contents: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("karere-payload-{}-{}", std::process::id(), contents.len()));
        let path = path.with_extension(format!("{:?}", std::thread::current().id()));
        fs::write(&path, contents).expect("a file");
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A packet is some bytes longer than its payload: every length of a packet around the borders is among these.
fn pass_the_borders<S: Transported>() {
    let server = S::start(Setup::default());
    let one = peer(server.options(Version::V5, "one").topic_aliases(0)).connect();
    let _ = one.subscribe("a", QoS::AtLeastOnce);
    let lengths = (100..=130).chain(16_370..=16_390).chain(65_510..=65_540).collect::<Vec<usize>>();
    for &len in &lengths {
        let _ = one.publish(Publish::new("a", pattern(len)).expect("legal").qos(QoS::AtLeastOnce));
    }
    for (seen, len) in one.messages(lengths.len()).into_iter().zip(lengths) {
        assert!(seen.payload == pattern(len), "{len} bytes are others");
    }
}

/// As the suite has it, but with layers above the proxy that holds bytes back.
fn twenty_mebibytes<S: Transported>(version: Version) {
    let server = S::start(Setup::default());
    let proxy = Proxy::start(server.address());
    let one = peer(server.way().options_at(proxy.address().port(), version, "one")).connect();
    let _ = one.subscribe("a", QoS::AtLeastOnce);
    let payload = pattern(20 << 20);
    proxy.hold(Way::ToServer);
    let publishing = one.publish(Publish::new("a", payload.clone()).expect("legal").qos(QoS::AtLeastOnce));
    one.nth(1, "a full socket", |happening| matches!(happening, Happening::RegisterWrite).then_some(()));
    proxy.release();
    assert!(publishing.wait(PATIENCE).expect("done").is_acknowledged());
    assert!(one.message(0).payload == payload);
    one.disconnect();
}

macro_rules! over {
    ($($name:ident: $server:ty,)*) => {
        $(mod $name {
            use super::*;

            #[test]
            fn payloads_leave_whole_says_mosquitto_sub() {
                leave_whole::<$server>();
            }

            #[test]
            fn payloads_of_mosquitto_pub_arrive_whole() {
                arrive_whole::<$server>();
            }

            #[test]
            fn packets_around_every_border_of_lengths_pass() {
                pass_the_borders::<$server>();
            }

            #[test]
            fn twenty_mebibytes_pass_both_ways_with_v5() {
                twenty_mebibytes::<$server>(Version::V5);
            }

            #[test]
            fn twenty_mebibytes_pass_both_ways_with_v311() {
                twenty_mebibytes::<$server>(Version::V311);
            }
        })*
    };
}

over! {
    tls: Tls,
    websocket: WebSocket,
    secure_websocket: SecureWebSocket,
}

#[cfg(feature = "openssl")]
over! {
    psk: crate::mosquitto::Psk,
}
