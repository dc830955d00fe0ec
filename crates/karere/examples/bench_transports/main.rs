//! Compares the ways to a server: what `bench_driver` does over TCP, TLS, WebSocket and both, in turn.
//!
//! ```text
//! bench_transports [--rounds N] [--share PERCENT] [--mosquitto PROGRAM]
//! ```
//!
//! Each round does every operation over every way before the next one begins, so that what else the machine does falls on
//! all ways alike. Each way is divided by plain TCP in the same round; the median of the rounds is shown.
//!
//! The server is karere's development broker, in this process; with `--mosquitto` it is that. Its own TLS and WebSocket
//! take their time too: processor time is the client's alone, rates are of both.

#![expect(clippy::print_stdout, reason = "tables go to standard output")]

mod messages;
mod servers;

use std::{
    error::Error,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use messages::Messages;
use servers::{Certificate, Servers, Way};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench_transports: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Arguments {
    rounds: usize,
    /// Of the usual number of messages, in percent.
    share: usize,
    mosquitto: Option<PathBuf>,
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments = parse()?;
    let driver = std::env::current_exe()?.with_file_name("bench_driver");
    let certificate = Certificate::new()?;
    let servers = match &arguments.mosquitto {
        None => Servers::development(&certificate)?,
        Some(program) => Servers::mosquitto(program, &certificate)?,
    };
    let mut rounds = Vec::new();
    for round in 1..=arguments.rounds {
        eprintln!("round {round} of {}", arguments.rounds);
        let cases = CASES.iter().map(|case| case.measure(&driver, &servers, &certificate, arguments.share));
        rounds.push(cases.collect::<Result<Vec<_>, _>>()?);
    }
    print(&rounds);
    Ok(())
}

fn parse() -> Result<Arguments, Box<dyn Error>> {
    let mut arguments = Arguments { rounds: 5, share: 100, mosquitto: None };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let value = given.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--rounds" => arguments.rounds = value.parse::<usize>()?.max(1),
            "--share" => arguments.share = value.parse()?,
            "--mosquitto" => arguments.mosquitto = Some(value.into()),
            _ => return Err(format!("unknown option {name}").into()),
        }
    }
    Ok(arguments)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Publish,
    Receive,
}

struct Case {
    operation: Operation,
    qos: u8,
    size: usize,
    count: usize,
}

const CASES: &[Case] = &[
    Case { operation: Operation::Publish, qos: 0, size: 64, count: 400_000 },
    Case { operation: Operation::Publish, qos: 1, size: 64, count: 200_000 },
    Case { operation: Operation::Publish, qos: 0, size: 16 * 1024, count: 30_000 },
    Case { operation: Operation::Publish, qos: 1, size: 16 * 1024, count: 20_000 },
    Case { operation: Operation::Receive, qos: 0, size: 64, count: 200_000 },
    Case { operation: Operation::Receive, qos: 1, size: 64, count: 100_000 },
    Case { operation: Operation::Receive, qos: 0, size: 16 * 1024, count: 20_000 },
    Case { operation: Operation::Receive, qos: 1, size: 16 * 1024, count: 20_000 },
];

/// What `bench_driver` has measured.
#[derive(Clone, Copy)]
struct Figures {
    /// Messages a second.
    rate: f64,
    /// Microseconds of the client's processor time for each message.
    processor: f64,
}

impl Case {
    /// One run over each way.
    fn measure(
        &self,
        driver: &Path,
        servers: &Servers,
        certificate: &Certificate,
        share: usize,
    ) -> Result<[Figures; 4], Box<dyn Error>> {
        let messages = match self.operation {
            Operation::Publish => None,
            Operation::Receive => Some(Messages::start(&servers.url(Way::Tcp), self.size)?),
        };
        let mut all = [Figures { rate: 0.0, processor: 0.0 }; 4];
        for (way, figures) in Way::ALL.into_iter().zip(&mut all) {
            let operation = match self.operation {
                Operation::Publish => "pub",
                Operation::Receive => "sub",
            };
            let count = (self.count * share / 100).max(1);
            let mut command = Command::new(driver);
            command.arg(operation).arg("--url").arg(servers.url(way)).arg("--ca").arg(certificate.file());
            for (name, value) in [("--qos", usize::from(self.qos)), ("--count", count), ("--size", self.size)] {
                command.arg(name).arg(value.to_string());
            }
            let output = command.stderr(std::process::Stdio::inherit()).output()?;
            if !output.status.success() {
                return Err(format!("{} over {way:?} has failed", self.title()).into());
            }
            let line = String::from_utf8(output.stdout)?;
            *figures = Figures {
                rate: count as f64 / number(&line, "secs")?,
                processor: number(&line, "cpu_secs")? * 1e6 / count as f64,
            };
        }
        drop(messages);
        Ok(all)
    }

    fn title(&self) -> String {
        let operation = match self.operation {
            Operation::Publish => "publish",
            Operation::Receive => "receive",
        };
        let size = if self.size < 1024 { format!("{} B", self.size) } else { format!("{} KiB", self.size / 1024) };
        format!("{operation}, QoS {}, {size}", self.qos)
    }
}

/// A number out of a flat JSON object.
fn number(json: &str, name: &str) -> Result<f64, Box<dyn Error>> {
    let (_, rest) = json.split_once(&format!("\"{name}\":")).ok_or_else(|| format!("no {name} in {json}"))?;
    Ok(rest.split([',', '}']).next().unwrap_or_default().trim().parse()?)
}

/// TCP as it is, the others as its multiples.
fn print(rounds: &[Vec<[Figures; 4]>]) {
    println!("| thousand a second (µs of the client's processor) | tcp | tls | ws | wss |");
    println!("|---|---:|---:|---:|---:|");
    for (at, case) in CASES.iter().enumerate() {
        let of_rounds = |select: &dyn Fn(&[Figures; 4]) -> f64| {
            let mut all = rounds.iter().map(|cases| select(&cases[at])).collect::<Vec<_>>();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        let rate = of_rounds(&|ways| ways[0].rate) / 1e3;
        print!("| {} | {rate:.0} ({:.2})", case.title(), of_rounds(&|ways| ways[0].processor));
        for way in 1..Way::ALL.len() {
            let rate = of_rounds(&|ways| ways[way].rate / ways[0].rate);
            let processor = of_rounds(&|ways| ways[way].processor / ways[0].processor);
            print!(" | ×{rate:.2} (×{processor:.1})");
        }
        println!(" |");
    }
}
