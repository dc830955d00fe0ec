//! mosquitto's own clients against the development broker over TLS.
//!
//! Needs the paths of both in `KARERE_MOSQUITTO_PUB` and `KARERE_MOSQUITTO_SUB`; `cargo xtask test` sets them, or leaves
//! this binary out and says so. They speak no WebSocket.
#![cfg(all(test, feature = "tls"))]

use std::{
    cell::Cell,
    env, fs,
    net::Ipv4Addr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use karere_broker::{Broker, Server};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};

const PATIENCE: Duration = Duration::from_secs(20);
const VERSIONS: [&str; 3] = ["mqttv31", "mqttv311", "mqttv5"];

/// A broker with a certificate, and the file of an authority; removed at the end.
struct Lab {
    server: Server,
    authority: PathBuf,
    folder: PathBuf,
    subscribers: Cell<u32>,
}

impl Lab {
    fn new(name: &str) -> Self {
        let folder = env::temp_dir().join(format!("karere-broker-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("created");
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("made");
        let authority = folder.join("authority.pem");
        fs::write(&authority, made.cert.pem()).expect("written");
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
        let config = server_config().with_no_client_auth();
        let config = config.with_single_cert(vec![made.cert.into()], key).expect("fits");
        let options = Server::options(Broker::default()).tls((Ipv4Addr::LOCALHOST, 0), Arc::new(config));
        Self { server: options.start().expect("started"), authority, folder, subscribers: Cell::new(0) }
    }

    fn tool(&self, variable: &str) -> Command {
        let path = env::var_os(variable).unwrap_or_else(|| panic!("{variable} must name mosquitto's client"));
        let address = self.server.tls_addr().expect("listens for TLS");
        let mut command = Command::new(path);
        command.args(["-h", &address.ip().to_string(), "-p", &address.port().to_string()]);
        command.arg("--cafile").arg(&self.authority);
        command
    }

    /// Starts mosquitto_sub, which ends after one message, and waits until it has subscribed.
    fn subscribe(&self, arguments: &[&str]) -> Child {
        // One that has just ended may still have its session.
        self.subscribers.update(|before| before + 1);
        let client_id = format!("subscriber {}", self.subscribers.get());
        let mut command = self.tool("KARERE_MOSQUITTO_SUB");
        command.args(["-i", &client_id, "-C", "1", "-t", "t"]).args(arguments);
        let child = command.stdout(Stdio::piped()).spawn().expect("started");
        let begin = Instant::now();
        let subscribed =
            || self.server.with(|broker| broker.session(&client_id).is_some_and(|session| session.subscriptions > 0));
        while !subscribed() {
            assert!(begin.elapsed() < PATIENCE, "mosquitto_sub does not subscribe: {:?}", self.server.troubles());
            thread::sleep(Duration::from_millis(5));
        }
        child
    }

    fn publish(&self, arguments: &[&str]) {
        let output = self.tool("KARERE_MOSQUITTO_PUB").args(["-t", "t"]).args(arguments).output().expect("started");
        assert!(output.status.success(), "{output:?}");
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn output(subscriber: Child) -> Vec<u8> {
    let output = subscriber.wait_with_output().expect("ended");
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

#[test]
fn every_quality_travels_in_every_version() {
    let lab = Lab::new("qualities");
    for version in VERSIONS {
        for qos in ["0", "1", "2"] {
            let subscriber = lab.subscribe(&["-V", version, "-q", qos, "-F", "%q %p"]);
            lab.publish(&["-V", version, "-q", qos, "-m", "hello"]);
            assert_eq!(output(subscriber), format!("{qos} hello\n").as_bytes(), "{version}");
        }
    }
    assert_eq!(lab.server.troubles(), []);
}

#[test]
fn five_mebibytes_travel_both_ways() {
    let lab = Lab::new("large");
    let file = lab.folder.join("payload");
    let payload = (0..5 * 1024 * 1024u32).map(|n| (n.wrapping_mul(n) / 7) as u8).collect::<Vec<_>>();
    fs::write(&file, &payload).expect("written");
    for qos in ["0", "1", "2"] {
        let subscriber = lab.subscribe(&["-V", "mqttv5", "-q", qos, "-N"]);
        lab.publish(&["-V", "mqttv5", "-q", qos, "-f", file.to_str().expect("text")]);
        assert!(output(subscriber) == payload, "QoS {qos}");
    }
    assert_eq!(lab.server.troubles(), []);
}

#[test]
fn a_client_that_trusts_another_authority_stays_away_and_is_noted() {
    let lab = Lab::new("stranger");
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("made");
    fs::write(&lab.authority, other.cert.pem()).expect("written");
    let output = lab.tool("KARERE_MOSQUITTO_PUB").args(["-t", "t", "-m", "x"]).output().expect("started");
    assert!(!output.status.success());
    assert_eq!(lab.server.with(|broker| broker.counters().accepted), 0);
    let begin = Instant::now();
    while lab.server.troubles().is_empty() {
        assert!(begin.elapsed() < PATIENCE, "nothing is noted");
        thread::sleep(Duration::from_millis(5));
    }
}

/// With ring, whichever providers the build has.
fn server_config() -> rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier> {
    let provider = rustls::crypto::ring::default_provider().into();
    ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("supported")
}
