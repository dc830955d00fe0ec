//! Publishes one message and says how it ended.
//!
//! ```sh
//! cargo run --example publish -- mqtt://localhost my/topic 1 hello
//! cargo run --example publish -- --version 3.1.1 --retain mqtt://localhost my/topic 0 hello
//! ```

#![expect(clippy::print_stdout, reason = "an example talks")]

use std::{error::Error, process::ExitCode, time::Duration};

use karere::{Options, Publish, QoS, Version, sync::Client};

const USAGE: &str = "usage: publish [--version 3.1|3.1.1|5] [--retain] URL TOPIC QOS PAYLOAD";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("publish: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut version = Version::V5;
    let mut retain = false;
    let mut arguments = Vec::new();
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        match argument.as_str() {
            "--version" => version = parse_version(&given.next().ok_or(USAGE)?)?,
            "--retain" => retain = true,
            _ => arguments.push(argument),
        }
    }
    let [url, topic, qos, payload] = arguments.as_slice() else {
        return Err(USAGE.into());
    };
    let mut publish = Publish::new(topic.as_str(), payload)?.qos(QoS::try_from(qos.parse::<u8>()?)?);
    if retain {
        publish = publish.retained();
    }

    let (client, mut driver) = Client::new(Options::new(url)?.version(version))?;
    driver.connect(&mut ())?;
    let publishing = client.publish(publish)?;
    client.disconnect_when_drained(Duration::from_secs(10))?;
    driver.run(&mut ())?;
    let outcome = publishing.outcome().ok_or("the server did not answer within 10 seconds")?;
    println!("{outcome}");
    if outcome.is_acknowledged() { Ok(()) } else { Err(outcome.to_string().into()) }
}

fn parse_version(text: &str) -> Result<Version, String> {
    match text {
        "3.1" => Ok(Version::V31),
        "3.1.1" => Ok(Version::V311),
        "5" | "5.0" => Ok(Version::V5),
        _ => Err(format!("{text:?} is no version of MQTT; there are 3.1, 3.1.1 and 5")),
    }
}
