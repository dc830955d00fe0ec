//! Prints messages as they come: topic, QoS and payload, tab-separated.
//!
//! ```sh
//! cargo run --example subscribe -- mqtt://localhost 'my/#' 1 10   # ends after ten messages
//! cargo run --example subscribe -- --version 3.1.1 mqtt://localhost 'my/#' 2
//! ```

#![expect(clippy::print_stdout, reason = "an example talks")]

use std::{error::Error, io::Write, process::ExitCode};

use karere::{
    Cause, Options, QoS, Subscribe, Version,
    sync::{Client, Handler, Message, Subscribed},
};

const USAGE: &str = "usage: subscribe [--version 3.1|3.1.1|5] URL FILTER QOS [COUNT]";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("subscribe: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut version = Version::V5;
    let mut arguments = Vec::new();
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        match argument.as_str() {
            "--version" => version = parse_version(&given.next().ok_or(USAGE)?)?,
            _ => arguments.push(argument),
        }
    }
    let (url, filter, qos, left) = match arguments.as_slice() {
        [url, filter, qos] => (url, filter, qos, None),
        [url, filter, qos, count] => (url, filter, qos, Some(count.parse::<u64>()?)),
        _ => return Err(USAGE.into()),
    };
    let subscribe = Subscribe::new(filter.as_str(), QoS::try_from(qos.parse::<u8>()?)?)?;

    let (client, mut driver) = Client::new(Options::new(url)?.version(version))?;
    let mut printer = Printer { left, refused: None };
    client.subscribe(subscribe)?; // sent with the connection
    driver.run(&mut printer)?;
    printer.refused.map_or(Ok(()), Err)
}

/// Prints messages until enough have come. State belongs in the handler.
struct Printer {
    left: Option<u64>,
    refused: Option<Box<dyn Error>>,
}

impl Handler for Printer {
    fn on_subscribed(&mut self, client: &Client, subscribed: &Subscribed) {
        let failure = subscribed.ack.iter().flat_map(|ack| &ack.reasons).find(|reason| reason.is_failure());
        match failure {
            Some(reason) => {
                self.refused = Some(format!("the server refused the subscription: {reason}").into());
                self.leave(client);
            }
            None => eprintln!("subscribed"),
        }
    }

    fn on_message(&mut self, client: &Client, message: &Message) {
        if self.left == Some(0) {
            return;
        }
        let payload = String::from_utf8_lossy(&message.payload);
        println!("{}\t{}\t{payload}", message.topic, message.qos);
        let _ = std::io::stdout().flush();
        if let Some(left) = &mut self.left {
            *left -= 1;
            if *left == 0 {
                self.leave(client);
            }
        }
    }

    fn on_disconnected(&mut self, _: &Client, cause: &Cause) {
        if *cause != Cause::Requested {
            eprintln!("{cause}; connecting again");
        }
    }
}

impl Printer {
    fn leave(&mut self, client: &Client) {
        // Once nothing is in flight: the acknowledgement of the last message goes out first.
        if let Err(error) = client.disconnect_when_drained(std::time::Duration::from_secs(1)) {
            self.refused = Some(error.into());
        }
    }
}

fn parse_version(text: &str) -> Result<Version, String> {
    match text {
        "3.1" => Ok(Version::V31),
        "3.1.1" => Ok(Version::V311),
        "5" | "5.0" => Ok(Version::V5),
        _ => Err(format!("{text:?} is no version of MQTT; there are 3.1, 3.1.1 and 5")),
    }
}
