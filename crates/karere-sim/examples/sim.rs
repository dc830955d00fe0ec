//! Runs seeds of the simulation: `--seeds N` of them from `--seed S` on, or one with `--trace`.

use std::{
    io::{self, Write},
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use karere_sim::{Failure, Report, run, trace};

const USAGE: &str = "usage: sim [--seeds N] [--seed S] [--threads T] [--first] [--trace]
  --seeds N    how many to run (1000; 1 when --trace or only --seed is given)
  --seed S     the first one (0)
  --threads T  on how many threads (all cores)
  --first      stops at the first that fails
  --trace      shows every step";

struct Options {
    seeds: u64,
    seed: u64,
    threads: u64,
    /// Stops after so many failures.
    enough: u64,
    trace: bool,
}

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(why) => {
            let _ = writeln!(io::stderr(), "{why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if options.trace {
        return show(options.seed);
    }
    let begun = Instant::now();
    let (ran, report, failures) = run_all(&options);
    let seconds = begun.elapsed().as_secs_f64();
    let mut out = io::stdout().lock();
    for failure in &failures {
        let _ = writeln!(out, "{failure}\n");
    }
    let rate = ran as f64 / seconds * 60.0;
    let _ = writeln!(
        out,
        "{ran} seeds from {} in {seconds:.1} s on {} threads: {rate:.0} seeds/minute; {} steps, {} connections, {} crashes, \
         {} deceived, {} messages, {} deliveries, {:.0} hours; {} failed",
        options.seed,
        options.threads,
        report.steps,
        report.connections,
        report.crashes,
        report.deceived,
        report.messages,
        report.deliveries,
        report.time.as_secs_f64() / 3600.0,
        failures.len(),
    );
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn show(seed: u64) -> ExitCode {
    let mut out = io::stdout().lock();
    let outcome = trace(seed, |line| {
        let _ = writeln!(out, "{line}");
    });
    match outcome {
        Ok(report) => {
            let _ = writeln!(out, "seed {seed}: {report:?}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            let _ = writeln!(out, "seed {seed}: {}", failure.what);
            ExitCode::FAILURE
        }
    }
}

/// Runs all, and says how many that were: it stops early when enough have failed.
fn run_all(options: &Options) -> (u64, Report, Vec<Failure>) {
    let next = AtomicU64::new(options.seed);
    let failed = AtomicU64::new(0);
    let end = options.seed.saturating_add(options.seeds);
    let work = || {
        let mut ran = 0;
        let mut total = Report::default();
        let mut failures = Vec::new();
        while failed.load(Ordering::Relaxed) < options.enough {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                break;
            }
            ran += 1;
            match run(seed) {
                Ok(report) => {
                    total.steps += report.steps;
                    total.messages += report.messages;
                    total.deliveries += report.deliveries;
                    total.connections += report.connections;
                    total.crashes += report.crashes;
                    total.deceived += report.deceived;
                    total.time += report.time;
                }
                Err(failure) => {
                    failed.fetch_add(1, Ordering::Relaxed);
                    failures.push(*failure);
                }
            }
        }
        (ran, total, failures)
    };
    let parts = std::thread::scope(|scope| {
        let threads = (0..options.threads).map(|_| scope.spawn(work)).collect::<Vec<_>>();
        threads.into_iter().map(|thread| thread.join().expect("a failure is no panic")).collect::<Vec<_>>()
    });
    let mut ran = 0;
    let mut report = Report::default();
    let mut failures = Vec::new();
    for (count, part, failed) in parts {
        ran += count;
        report.steps += part.steps;
        report.messages += part.messages;
        report.deliveries += part.deliveries;
        report.connections += part.connections;
        report.crashes += part.crashes;
        report.deceived += part.deceived;
        report.time += part.time;
        failures.extend(failed);
    }
    // Seeds are handed out in order, so none before the first of these was left out.
    failures.sort_by_key(|failure| failure.seed);
    (ran, report, failures)
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let mut options = Options { seeds: 0, seed: 0, threads, enough: 5, trace: false };
    let mut one = false;
    while let Some(argument) = arguments.next() {
        let mut number = || {
            let value = arguments.next().ok_or_else(|| format!("{argument} needs a number"))?;
            value.parse::<u64>().map_err(|why| format!("{argument} {value}: {why}"))
        };
        match argument.as_str() {
            "--seeds" => options.seeds = number()?,
            "--seed" => {
                options.seed = number()?;
                one = true;
            }
            "--threads" => options.threads = number()?.max(1),
            "--first" => options.enough = 1,
            "--trace" => options.trace = true,
            _ => return Err(format!("what is {argument}?")),
        }
    }
    if options.seeds == 0 {
        options.seeds = if one { 1 } else { 1000 };
    }
    Ok(options)
}
