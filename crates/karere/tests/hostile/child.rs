//! The client of a case, in a process of its own.

use core::time::Duration;
use std::{
    env,
    fmt::Display,
    fs,
    io::{self, Write},
    sync::Arc,
    time::Instant,
};

use karere::{
    Cause, ConnAck, DialError, Jitter, Level, Options, Proxies, Proxy, Publish, QoS,
    sync::{Client, Handler},
    tls::TlsOptions,
};

/// What the client is to do, in the environment of its process.
pub(crate) const URL: &str = "KARERE_HOSTILE_URL";
pub(crate) const PROXY: &str = "KARERE_HOSTILE_PROXY";
pub(crate) const CA: &str = "KARERE_HOSTILE_CA";
/// For the handshakes of layers, in milliseconds.
pub(crate) const LIMIT: &str = "KARERE_HOSTILE_LIMIT";
/// Set when it is to take its leave at once.
pub(crate) const LEAVES: &str = "KARERE_HOSTILE_LEAVES";

/// How long anything may take that comes at all.
pub(crate) const PATIENCE: Duration = Duration::from_secs(25);

/// What each line begins with that tells of the client; the test harness has lines of its own.
pub(crate) const MARK: &str = "client: ";

fn tell(word: &str, what: impl Display) {
    let line = what.to_string().replace('\n', " ");
    writeln!(io::stdout(), "{MARK}{word} {line}").unwrap();
}

/// Tells of attempts and how they end.
struct Teller {
    begun: Instant,
}

impl Teller {
    fn tell_end(&self, why: impl Display) {
        tell("ended", format_args!("{} {why}", self.begun.elapsed().as_millis()));
    }
}

impl Handler for Teller {
    fn on_pre_connect(&mut self, _: &Client) {
        self.begun = Instant::now();
        tell("attempt", "");
    }

    fn on_connected(&mut self, _: &Client, _: &ConnAck) {
        tell("connected", "");
    }

    fn on_connect_failed(&mut self, _: &Client, error: &DialError) {
        self.tell_end(error);
    }

    fn on_disconnected(&mut self, _: &Client, cause: &Cause) {
        self.tell_end(cause);
    }
}

#[test]
#[ignore = "the client of the other tests, which each start it as a process"]
fn client() {
    let limit = Duration::from_millis(env::var(LIMIT).unwrap().parse().unwrap());
    let mut options = Options::new(&env::var(URL).unwrap())
        .unwrap()
        .connect_timeout(limit)
        .connack_timeout(Duration::from_secs(2))
        .keep_alive(Duration::from_secs(2))
        .ping_timeout(Duration::from_millis(500))
        .reconnect_jitter(Jitter::None)
        .reconnect_delay(Duration::from_millis(50), Duration::from_secs(10));
    if let Ok(proxy) = env::var(PROXY) {
        options = options.proxies(Proxies::all(Proxy::parse(&proxy).unwrap()));
    }
    if let Some(file) = env::var_os(CA) {
        options = options.tls(TlsOptions::new().ca_file(file).build().unwrap());
    }
    let (client, driver) = Client::new(options).unwrap();
    let log = |_: Level, line: &str| {
        if let Some((_, delay)) = line.split_once("next attempt in ") {
            tell("waits", delay);
        }
    };
    client.log_to(Some((Level::Debug, Arc::new(log))));
    let before = peak();
    let background = driver.spawn(Teller { begun: Instant::now() }).unwrap();
    if env::var_os(LEAVES).is_some() {
        client.wait_until_connected(PATIENCE).unwrap();
        client.disconnect().unwrap();
        client.wait_until_disconnected(PATIENCE).unwrap();
    } else {
        // Taken before there is a connection, done by the first that serves.
        let publishing = client.publish(Publish::new("a", "b").unwrap().qos(QoS::AtLeastOnce)).unwrap();
        assert!(publishing.wait(PATIENCE).unwrap().is_acknowledged());
    }
    drop(background);
    tell("grew", peak() - before);
}

/// The most memory this process ever had, in KiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
