//! mosquitto's own clients against the development broker.
//!
//! Needs the paths of both in `KARERE_MOSQUITTO_PUB` and `KARERE_MOSQUITTO_SUB`; `cargo xtask test` sets them, or leaves
//! this binary out and says so.
#![cfg(test)]

use std::{
    env,
    io::Write,
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use karere_broker::{Config, Server};

const PATIENCE: Duration = Duration::from_secs(20);
const VERSIONS: [&str; 3] = ["mqttv31", "mqttv311", "mqttv5"];

fn tool(variable: &str, server: &Server) -> Command {
    let path = env::var_os(variable).unwrap_or_else(|| {
        panic!("set {variable} to its path, or run `cargo xtask test --only interop`, which finds it")
    });
    let address = server.tcp_addr().expect("listens on TCP");
    let mut command = Command::new(path);
    command.args(["-h", &address.ip().to_string(), "-p", &address.port().to_string()]);
    command
}

fn start() -> Server {
    Server::start(Config::new().user("ada", "secret")).expect("started")
}

/// Starts mosquitto_sub, which ends after `count` messages, and waits until it has subscribed, or has all it wants.
///
/// Its client identifier is new: the subscription of one that has just ended could pass for its own.
fn subscribe(server: &Server, count: usize, arguments: &[&str]) -> Child {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let client_id = format!("subscriber-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let patience = PATIENCE.as_secs().to_string();
    let mut command = tool("KARERE_MOSQUITTO_SUB", server);
    command.args(["-u", "ada", "-P", "secret", "-i", &client_id, "-C", &count.to_string(), "-W", &patience]);
    command.args(arguments);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("started");
    let begin = Instant::now();
    let subscribed =
        || server.with(|broker| broker.session(&client_id).is_some_and(|session| session.subscriptions > 0));
    while !subscribed() && child.try_wait().expect("known").is_none() {
        assert!(begin.elapsed() < PATIENCE, "mosquitto_sub does not subscribe");
        thread::sleep(Duration::from_millis(5));
    }
    child
}

fn publish(server: &Server, arguments: &[&str]) -> Output {
    let mut command = tool("KARERE_MOSQUITTO_PUB", server);
    command.args(["-u", "ada", "-P", "secret"]).args(arguments).output().expect("started")
}

fn lines(subscriber: Child) -> Vec<String> {
    let output = subscriber.wait_with_output().expect("ended");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect()
}

#[test]
fn every_quality_travels_in_every_version() {
    let server = start();
    for from in VERSIONS {
        for to in VERSIONS {
            for qos in ["0", "1", "2"] {
                let subscriber = subscribe(&server, 1, &["-V", to, "-q", qos, "-t", "t/+", "-F", "%t %q %p"]);
                let output = publish(&server, &["-V", from, "-q", qos, "-t", "t/x", "-m", "hello"]);
                assert!(output.status.success(), "{output:?}");
                assert_eq!(lines(subscriber), [format!("t/x {qos} hello")], "{from} to {to}");
            }
        }
    }
}

#[test]
fn retained_messages_and_wills_come() {
    let server = start();
    for version in VERSIONS {
        assert!(publish(&server, &["-V", version, "-r", "-q", "1", "-t", "kept", "-m", version]).status.success());
        let subscriber = subscribe(&server, 1, &["-V", version, "-t", "kept", "-F", "%r %p"]);
        assert_eq!(lines(subscriber), [format!("1 {version}")]);

        let watcher = subscribe(&server, 1, &["-V", version, "-t", "will"]);
        let arguments = ["-V", version, "-t", "none", "--will-topic", "will", "--will-payload", "gone"];
        let mut victim = subscribe(&server, 1, &arguments);
        victim.kill().expect("killed");
        victim.wait().expect("ended");
        assert_eq!(lines(watcher), ["gone"]);
    }
}

#[test]
fn properties_of_5_pass_through() {
    let server = start();
    let subscriber = subscribe(&server, 1, &["-V", "mqttv5", "-t", "t", "-F", "%C %E %P %R %D"]);
    let properties = [
        ["content-type", "text/plain"].as_slice(),
        &["message-expiry-interval", "60"],
        &["user-property", "b", "1"],
        &["user-property", "a", "2"],
        &["response-topic", "answers"],
        &["correlation-data", "42"],
    ];
    let mut arguments = vec!["-V", "mqttv5", "-t", "t", "-m", "x"];
    for property in properties {
        arguments.extend(["-D", "publish"]);
        arguments.extend(property);
    }
    let output = publish(&server, &arguments);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(lines(subscriber), ["text/plain 60 b:1 a:2 answers 42"]);
}

#[test]
fn wrong_passwords_are_refused() {
    let server = start();
    for version in VERSIONS {
        let mut command = tool("KARERE_MOSQUITTO_PUB", &server);
        let arguments = ["-V", version, "-u", "ada", "-P", "wrong", "-t", "t", "-m", "x"];
        assert!(!command.args(arguments).output().expect("started").status.success());
    }
    assert_eq!(server.with(|broker| broker.counters().accepted), 0);
}

#[test]
fn ten_thousand_messages_arrive_in_order() {
    let server = start();
    for qos in ["1", "2"] {
        let subscriber = subscribe(&server, 10_000, &["-V", "mqttv5", "-q", qos, "-t", "t"]);
        let reading = thread::spawn(move || lines(subscriber));
        let mut command = tool("KARERE_MOSQUITTO_PUB", &server);
        command.args(["-u", "ada", "-P", "secret", "-V", "mqttv5", "-q", qos, "-t", "t", "-l"]);
        let mut publisher = command.stdin(Stdio::piped()).spawn().expect("started");
        let numbers = (1..=10_000).map(|n| format!("{n}\n")).collect::<String>();
        publisher.stdin.take().expect("piped").write_all(numbers.as_bytes()).expect("written");
        assert!(publisher.wait().expect("ended").success());
        assert!(reading.join().expect("read").into_iter().eq((1..=10_000).map(|n| n.to_string())));
    }
}
