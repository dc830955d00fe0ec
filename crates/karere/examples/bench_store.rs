//! What keeping a session costs: durable publishes a second beside the disk itself, and a long queue over a restart.
//!
//! ```sh
//! cargo build --release --example bench_store
//! target/release/examples/bench_store rate DIRECTORY
//! target/release/examples/bench_store queue DIRECTORY 1000000
//! ```
#![cfg_attr(not(feature = "store"), expect(unused, reason = "there is nothing to measure"))]

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use karere::{Options, Publish, QoS, SessionExpiry};
use karere_broker::{Broker, Config, Server};

type Failure = Box<dyn std::error::Error>;

const BYTES: usize = 256;
const SOON: Duration = Duration::from_secs(60);

#[cfg(not(feature = "store"))]
fn main() {}

#[cfg(feature = "store")]
fn main() -> Result<(), Failure> {
    let args = std::env::args().skip(1).collect::<Vec<_>>();
    let folder = |at: usize| args.get(at).map(PathBuf::from).ok_or("name a directory on the disk to measure");
    match args.first().map(String::as_str) {
        Some("rate") => rate(&folder(1)?),
        Some("queue") => queue(&folder(1)?, args.get(2).ok_or("how many messages?")?.parse()?),
        // The two processes of `queue`.
        Some("fill") => fill(&folder(1)?, args[2].parse()?),
        Some("resume") => resume(&folder(1)?, args[2].parse()?),
        _ => Err("rate DIRECTORY, or queue DIRECTORY MESSAGES".into()),
    }
}

#[expect(clippy::print_stdout, reason = "figures are what this is for")]
fn say(line: &str) {
    println!("{line}");
}

fn message(number: u64) -> Result<Publish, Failure> {
    let mut payload = number.to_string().into_bytes();
    payload.resize(BYTES, b'.');
    Ok(Publish::new("bench/store", payload)?.qos(QoS::AtLeastOnce))
}

/// Both in turn, three times; the better of each counts, for the machine is not quiet.
#[cfg(feature = "store")]
fn rate(folder: &Path) -> Result<(), Failure> {
    say("outstanding | append + fdatasync, messages/s | durable and acknowledged, messages/s | share");
    for outstanding in [1, 10, 100] {
        let (mut disk, mut client) = (0.0_f64, 0.0_f64);
        for _ in 0..3 {
            disk = disk.max(append(folder, outstanding)?);
            client = client.max(publish(folder, outstanding)?);
        }
        say(&format!("{outstanding} | {disk:.0} | {client:.0} | {:.0} %", 100.0 * client / disk));
    }
    Ok(())
}

const EACH: Duration = Duration::from_secs(3);

/// The limit: groups of messages appended to a file, with one sync for each group.
fn append(folder: &Path, outstanding: usize) -> Result<f64, Failure> {
    let path = folder.join("append");
    let mut file = File::create(&path)?;
    let group = vec![b'.'; (BYTES + 32) * outstanding];
    let began = Instant::now();
    let mut messages = 0;
    while began.elapsed() < EACH {
        file.write_all(&group)?;
        file.sync_data()?;
        messages += outstanding;
    }
    let rate = messages as f64 / began.elapsed().as_secs_f64();
    fs::remove_file(&path)?;
    Ok(rate)
}

fn server() -> Result<(Server, Options), Failure> {
    let server = Server::options(Broker::new(Config::new())).tcp(([127, 0, 0, 1], 0)).start()?;
    let address = server.tcp_addr().ok_or("it listens on TCP")?;
    let options = Options::tcp(address.ip().to_string(), address.port()).client_id("bench");
    Ok((server, options.session_expiry(SessionExpiry::Never).max_in_flight(1000)))
}

#[cfg(feature = "store")]
fn keep(folder: &Path) -> Result<karere::sync::Keep, Failure> {
    let store = karere::store::RedbStore::open(folder.join("session.redb"))?;
    Ok(karere::sync::Keep::new(karere::store::Committer::spawn(store)?))
}

#[cfg(feature = "store")]
fn publish(folder: &Path, outstanding: usize) -> Result<f64, Failure> {
    use karere::sync::{Callbacks, Client};
    let (server, options) = server()?;
    let keep = keep(folder)?;
    let (client, driver) = Client::with_store(options, &keep)?;
    let running = driver.spawn(Callbacks::new())?;
    client.wait_until_connected(SOON)?;
    let mut open = std::collections::VecDeque::new();
    let began = Instant::now();
    let mut messages = 0_u64;
    while began.elapsed() < EACH {
        while open.len() < outstanding {
            open.push_back(client.publish(message(messages)?)?);
            messages += 1;
        }
        // Half of them, so that what follows is ready when the disk is.
        for _ in 0..outstanding.div_ceil(2) {
            open.pop_front().ok_or("invariant: filled above")?.wait(SOON)?;
        }
    }
    let rate = (messages - open.len() as u64) as f64 / began.elapsed().as_secs_f64();
    drop((running, client, keep, server));
    fs::remove_file(folder.join("session.redb"))?;
    Ok(rate)
}

#[cfg(feature = "store")]
fn queue(folder: &Path, messages: u64) -> Result<(), Failure> {
    let program = std::env::current_exe()?;
    for part in ["fill", "resume"] {
        let status = Command::new(&program).arg(part).arg(folder).arg(messages.to_string()).status()?;
        if !status.success() {
            return Err(format!("{part}: {status}").into());
        }
    }
    fs::remove_file(folder.join("session.redb"))?;
    Ok(())
}

/// Takes the messages without a connection, and ends as by a kill.
#[cfg(feature = "store")]
fn fill(folder: &Path, messages: u64) -> Result<(), Failure> {
    let (client, _driver) =
        karere::sync::Client::with_store(Options::tcp("127.0.0.1", 1).client_id("bench"), &keep(folder)?)?;
    let began = Instant::now();
    for number in 0..messages {
        client.publish(message(number)?)?;
        if number % 10_000 == 9_999 {
            client.wait_durable(SOON)?;
        }
    }
    client.wait_durable(SOON)?;
    let took = began.elapsed();
    let size = fs::metadata(folder.join("session.redb"))?.len() / 1_048_576;
    say(&format!("{messages} queued and durable in {took:.1?}; resident {}, file {size} MiB", resident()?));
    std::process::exit(0) // nothing is closed
}

#[cfg(feature = "store")]
fn resume(folder: &Path, messages: u64) -> Result<(), Failure> {
    use karere::sync::{Callbacks, Client};
    let (server, options) = server()?;
    let began = Instant::now();
    let keep = keep(folder)?;
    let opened = began.elapsed();
    let (first, sent) = std::sync::mpsc::channel();
    let (client, driver) = Client::with_store(options, &keep)?;
    let loaded = began.elapsed();
    let memory = resident()?;
    let running = driver.spawn(Callbacks::new().on_published(move |_, _| {
        let _ = first.send(Instant::now());
    }))?;
    let first = sent.recv_timeout(SOON)?;
    let first = first - began;
    say(&format!(
        "opened after {opened:.2?}, loaded after {loaded:.2?}, first of {messages} acknowledged after {first:.2?}; \
         resident {memory}"
    ));
    drop((running, client, keep, server));
    Ok(())
}

/// As Linux says it.
fn resident() -> Result<String, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS")).ok_or("Linux says how much")?;
    let kib = line.split_whitespace().nth(1).ok_or("a number")?.parse::<u64>()?;
    Ok(format!("{} MiB", kib / 1024))
}
