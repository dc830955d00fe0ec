//! Messages at QoS 0, 1 and 2, with MQTT 5 and 3.1.1, from a publisher to a subscriber through a broker.
//!
//! ```sh
//! cargo run --release --example quickstart                            # with a broker of its own
//! cargo run --release --example quickstart -- --url mqtt://localhost  # with yours
//! ```
//!
//! Ends with 0 when each message arrived exactly as promised, else with 1.

#![expect(clippy::print_stdout, reason = "an example talks")]

use std::{
    error::Error,
    process::ExitCode,
    sync::mpsc,
    time::{Duration, Instant},
};

use karere::{
    Options, Publish, QoS, Subscribe, Version,
    sync::{Callbacks, Client},
};
use karere_broker::{Config, Server};

/// How many messages travel at each QoS.
const MESSAGES: usize = 5;
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    match run() {
        Ok(()) => {
            println!("\nEverything arrived as promised.");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("quickstart: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let given = match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => None,
        (Some("--url"), Some(url)) => Some(url),
        _ => return Err("usage: quickstart [--url mqtt://HOST:PORT]".into()),
    };
    let (server, url) = match given {
        Some(url) => (None, url),
        None => {
            let server = Server::start(Config::new())?;
            let address = server.tcp_addr().ok_or("the broker has no TCP address")?;
            println!("A development broker listens on {address}.");
            (Some(server), format!("mqtt://{address}"))
        }
    };
    for version in [Version::V5, Version::V311] {
        travel(&url, version)?;
    }
    if let Some(server) = server {
        server.stop();
    }
    Ok(())
}

/// What the subscriber saw of one message.
struct Arrival {
    topic: String,
    payload: String,
    qos: QoS,
    at: Instant,
}

fn travel(url: &str, version: Version) -> Result<(), Box<dyn Error>> {
    println!("\nMQTT {version}\n{:<24} {:>3}  {:<16} {:>12}", "topic", "QoS", "payload", "on its way");

    // The subscriber: a client whose handler runs on a thread of its own.
    let (arrivals, arrived) = mpsc::channel();
    let (subscriber, driver) = Client::new(Options::new(url)?.version(version))?;
    let background = driver.spawn(Callbacks::new().on_message(move |_, message| {
        let arrival = Arrival {
            topic: message.topic.to_string(),
            payload: String::from_utf8_lossy(&message.payload).into_owned(),
            qos: message.qos,
            at: Instant::now(),
        };
        // Fails only when the example has ended.
        let _ = arrivals.send(arrival);
    }))?;
    // The random end of the client identifier keeps runs on a shared broker apart.
    let id = subscriber.client_id();
    let topics = format!("quickstart/{}", &id[id.len() - 6..]);
    let answer = subscriber
        .subscribe(Subscribe::new(format!("{topics}/#"), QoS::ExactlyOnce)?)?
        .wait(PATIENCE)
        .map_err(|error| format!("no answer from {url} to SUBSCRIBE: {error}"))?;
    if let Some(reason) = answer.reasons.iter().find(|reason| reason.is_failure()) {
        return Err(format!("the server refused the subscription: {reason}").into());
    }

    // The publisher: a second client.
    let (publisher, driver) = Client::new(Options::new(url)?.version(version))?;
    let publishing = driver.spawn(())?;
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let topic = format!("{topics}/qos{qos}");
        let mut sent = Vec::new();
        for number in 1..=MESSAGES {
            let payload = format!("message {number}");
            let began = Instant::now();
            let handle = publisher.publish(Publish::new(topic.as_str(), payload.as_str())?.qos(qos))?;
            sent.push((payload, began, handle));
        }
        for (payload, began, handle) in &sent {
            let arrival =
                arrived.recv_timeout(PATIENCE).map_err(|_| format!("{payload:?} at QoS {qos} did not arrive"))?;
            if (arrival.topic.as_str(), arrival.payload.as_str(), arrival.qos)
                != (topic.as_str(), payload.as_str(), qos)
            {
                return Err(format!(
                    "expected {payload:?} at QoS {qos}, but {:?} came at QoS {} on {}",
                    arrival.payload, arrival.qos, arrival.topic
                )
                .into());
            }
            let outcome = handle.wait(PATIENCE)?;
            if !outcome.is_acknowledged() {
                return Err(format!("{payload:?} at QoS {qos}: {outcome}").into());
            }
            let micros = arrival.at.duration_since(*began).as_micros();
            println!("{topic:<24} {qos:>3}  {payload:<16} {micros:>9} µs");
        }
    }
    // What was promised once must not come twice.
    if let Ok(extra) = arrived.recv_timeout(Duration::from_millis(100)) {
        return Err(format!("{:?} at QoS {} arrived twice", extra.payload, extra.qos).into());
    }
    for client in [publisher, subscriber] {
        client.disconnect_when_drained(PATIENCE)?;
        client.wait_until_disconnected(PATIENCE)?;
    }
    publishing.stop()?;
    background.stop()?;
    Ok(())
}
