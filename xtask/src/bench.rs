//! `cargo xtask bench`: what does a packet cost, and how is the whole client measured?

use crate::out;
use crate::process;
use std::io;
use std::process::ExitCode;
use xtask::workspace::Workspace;

/// Runs the benchmarks of codec and session with `args`, then builds the end-to-end driver and tells how to run it.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> io::Result<ExitCode> {
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
