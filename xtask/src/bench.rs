//! `cargo xtask bench`: what does a packet cost, what does TLS or WebSocket add, and how is the whole client measured?

use crate::out;
use crate::process;
use std::io;
use std::process::{Command, ExitCode};
use xtask::workspace::Workspace;

/// What is measured, and what the benchmark itself is told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Options {
    /// Codec and session.
    Parts(Vec<String>),
    /// The whole client over TCP, TLS, WebSocket and both.
    Transports(Vec<String>),
}

impl Options {
    pub(crate) fn parse(args: &[String]) -> Result<Self, String> {
        let (select, args): (fn(Vec<String>) -> Self, _) = match args.split_first() {
            Some((what, rest)) if what == "transports" => (Self::Transports, rest),
            _ => (Self::Parts, args),
        };
        match args.split_first() {
            None => Ok(select(Vec::new())),
            Some((dashes, rest)) if dashes == "--" => Ok(select(rest.to_vec())),
            Some((other, _)) => Err(format!("bench has no option {other}; what the benchmarks get follows --")),
        }
    }
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> io::Result<ExitCode> {
    match options {
        Options::Parts(args) => parts(workspace, args),
        Options::Transports(args) => transports(workspace, args),
    }
}

/// Builds the end-to-end driver, and has it do its work over every way to a server in turn.
fn transports(workspace: &Workspace, args: &[String]) -> io::Result<ExitCode> {
    let mut build = process::cargo(workspace.root());
    build.args(["build", "--release", "-p", "karere", "--example", "bench_driver", "--example", "bench_transports"]);
    if !process::run(&mut build)?.success() {
        return Ok(ExitCode::FAILURE);
    }
    out::title("transports: the client over TCP, TLS, WebSocket and both");
    let program = process::target_folder(workspace.root()).join("release/examples/bench_transports");
    let status = process::run(Command::new(program).args(args))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the benchmarks of codec and session with `args`, then builds the end-to-end driver and tells how to run it.
fn parts(workspace: &Workspace, args: &[String]) -> io::Result<ExitCode> {
    let cargo = |words: &[&str]| {
        let mut command = process::cargo(workspace.root());
        command.args(words);
        command
    };

    for (bench, title) in [
        ("codec", "codec: time and allocations of a packet"),
        ("session", "session: time and allocations of a message, the QoS 1 cycle among them"),
    ] {
        out::title(title);
        let mut command = cargo(&["bench", "-p", "karere-proto", "--bench", bench]);
        if !args.is_empty() {
            command.arg("--").args(args);
        }
        if !process::run(&mut command)?.success() {
            return Ok(ExitCode::FAILURE);
        }
    }

    out::title("driver: the client against any broker");
    if !process::run(&mut cargo(&["build", "--release", "-p", "karere", "--example", "bench_driver"]))?.success() {
        return Ok(ExitCode::FAILURE);
    }
    let driver = process::target_folder(workspace.root()).join("release/examples/bench_driver");
    out::text(&format!(
        "\
It is {driver}

  bench_driver pub|sub|rtt|idle --host H --port P --qos Q --count N --size S --inflight W --proto 4|5

with a broker at hand, say mosquitto on port 1883:

  {driver} pub --host 127.0.0.1 --port 1883 --qos 1 --count 100000 --size 64 --inflight 100 --proto 5

It prints one line of JSON: seconds, processor seconds, peak memory; rtt prints percentiles in microseconds.
",
        driver = driver.display()
    ));
    Ok(ExitCode::SUCCESS)
}
