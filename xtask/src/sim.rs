//! `cargo xtask sim`: do client and broker keep their promises under every fault that a seed can choose?
//!
//! The simulation is the package `karere-sim`; its examples `sim` and `faults` do the work.

use crate::outcome::Outcome;
use crate::process;
use std::io;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};
use xtask::workspace::Workspace;

/// What is simulated.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Options {
    /// Faults are put into a copy of the code, one at a time: does the simulation find them?
    Faults(Vec<String>),
    Seeds(Seeds),
}

/// Which seeds, and what else the simulation is told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Seeds {
    /// The first; by the clock when not given.
    pub(crate) seed: Option<u64>,
    /// One when only `seed` is given.
    pub(crate) count: Option<u64>,
    pub(crate) args: Vec<String>,
}

const MANY: u64 = 20_000;

impl Options {
    /// Reads what follows `sim` on the command line.
    pub(crate) fn parse(args: &[String]) -> Result<Self, String> {
        let mut seeds = Seeds::default();
        let mut faults: Option<Vec<String>> = None;
        let mut trace = None;
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let (name, given) = arg.split_once('=').map_or((arg.as_str(), None), |(name, value)| (name, Some(value)));
            let mut number = || {
                let value = given.or_else(|| args.next().map(String::as_str)).unwrap_or_default();
                value.parse::<u64>().map_err(|_| format!("{name} needs a number"))
            };
            match name {
                "--seed" => seeds.seed = Some(number()?),
                "--seeds" => seeds.count = Some(number()?),
                "--threads" => seeds.args.extend([name.to_owned(), number()?.to_string()]),
                "--first" | "--trace" | "--faults" | "--markdown" | "--check" if given.is_some() => {
                    return Err(format!("{name} takes no value"));
                }
                "--first" => seeds.args.push(arg.clone()),
                "--trace" => trace = Some(arg.clone()),
                "--faults" => faults = Some(faults.unwrap_or_default()),
                _ => match &mut faults {
                    Some(faults) if !arg.starts_with('-') || name == "--markdown" || name == "--check" => {
                        faults.push(arg.clone());
                    }
                    _ => return Err(format!("sim has no option {arg}")),
                },
            }
        }
        match (faults, trace) {
            (Some(mut faults), None) if seeds.seed.is_none() && seeds.args.is_empty() => {
                faults.extend(seeds.count.iter().flat_map(|count| ["--seeds".to_owned(), count.to_string()]));
                Ok(Self::Faults(faults))
            }
            (Some(_), _) => Err("--faults goes with names, --seeds, --markdown and --check only".to_owned()),
            (None, Some(_)) if seeds.seed.is_none() || seeds.count.is_some_and(|count| count != 1) => {
                Err("--trace shows one seed: --seed S --trace".to_owned())
            }
            (None, trace) => {
                seeds.args.extend(trace);
                Ok(Self::Seeds(seeds))
            }
        }
    }
}

impl Seeds {
    /// Those of `cargo xtask test`: always the same, so that what fails is due to what was changed.
    fn of_test() -> Self {
        Self { seed: Some(0), count: Some(MANY), args: Vec::new() }
    }

    fn into_args(self, clock: impl FnOnce() -> u64) -> Vec<String> {
        let unasked = if self.seed.is_some() { 1 } else { MANY };
        let count = self.count.unwrap_or(unasked);
        let seed = self.seed.unwrap_or_else(clock);
        let mut args = vec!["--seed".to_owned(), seed.to_string(), "--seeds".to_owned(), count.to_string()];
        args.extend(self.args);
        args
    }
}

/// Runs seeds, or the list of faults; the example says what it found.
pub(crate) fn run(workspace: &Workspace, options: Options) -> io::Result<Outcome> {
    let (example, args) = match options {
        Options::Faults(args) => ("faults", args),
        Options::Seeds(seeds) => ("sim", seeds.into_args(clock)),
    };
    process::run(example_command(workspace, example).args(args)).map(Outcome::of)
}

/// The step of `cargo xtask test`: some thousand seeds, and whether the list of faults still fits the code.
pub(crate) fn check(workspace: &Workspace) -> io::Result<Outcome> {
    let seeds = run(workspace, Options::Seeds(Seeds::of_test()))?;
    if seeds != Outcome::Passed {
        return Ok(seeds);
    }
    let fits = process::run(example_command(workspace, "faults").arg("--check"))?;
    Ok(match fits.code() {
        Some(DOES_NOT_FIT) => Outcome::PassedBut(
            "faults of the simulation that no longer fit the code: cargo xtask sim --faults --check names them"
                .to_owned(),
        ),
        _ => Outcome::of(fits),
    })
}

/// What the example ends with then; with another when it could not tell.
const DOES_NOT_FIT: i32 = 1;

fn example_command(workspace: &Workspace, example: &str) -> Command {
    let mut cargo = process::cargo(workspace.root());
    cargo.args(["run", "--release", "--quiet", "--package", "karere-sim", "--example", example, "--"]);
    cargo
}

/// Ten digits that nobody has seen before, and that can be typed again.
fn clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_micros() as u64 % 10_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[track_caller]
    fn assert_runs(line: &str, expected: &str) {
        let Ok(Options::Seeds(seeds)) = parse(line) else { panic!("{line}") };
        assert_eq!(seeds.into_args(|| 77).join(" "), expected);
    }

    #[test]
    fn many_seeds_from_the_clock_by_default_and_one_when_it_is_named() {
        assert_runs("", "--seed 77 --seeds 20000");
        assert_runs("--seeds=5", "--seed 77 --seeds 5");
        assert_runs("--seed 9", "--seed 9 --seeds 1");
        assert_runs("--seed 9 --trace", "--seed 9 --seeds 1 --trace");
        assert_runs("--seed 9 --seeds 3 --threads 1 --first", "--seed 9 --seeds 3 --threads 1 --first");
    }

    #[test]
    fn test_runs_the_same_seeds_every_time() {
        assert_eq!(Seeds::of_test().into_args(|| 77), Seeds::of_test().into_args(|| 78));
    }

    #[test]
    fn faults_have_names() {
        let faults = |args: &[&str]| Ok(Options::Faults(args.iter().map(|&arg| arg.to_owned()).collect()));
        assert_eq!(parse("--faults"), faults(&[]));
        assert_eq!(parse("--faults no-dup no-ping --seeds 9"), faults(&["no-dup", "no-ping", "--seeds", "9"]));
        assert_eq!(parse("--faults --markdown"), faults(&["--markdown"]));
    }

    #[test]
    fn nonsense_is_refused() {
        for line in [
            "7",
            "--seed",
            "--seed x",
            "--seeds -1",
            "--trace",
            "--seed 1 --seeds 2 --trace",
            "--trace=1",
            "--markdown",
            "no-dup",
            "--faults --seed 7",
            "--faults --trace",
            "--faults --nope",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
