//! `cargo xtask crash`: does what was durable survive kills and power cuts, more of them than the tests take?

use crate::outcome::Outcome;
use crate::packages::Install;
use crate::process;
use crate::{interop, out};
use std::io;
use std::process::Command;
use xtask::workspace::Workspace;

/// How much of each.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// Times that the program is killed.
    cycles: u64,
    /// Seeds of power cuts; three cuts each.
    seeds: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { cycles: 1_000, seeds: 10_000 }
    }
}

impl Options {
    /// Reads what follows `crash` on the command line.
    pub(crate) fn parse(args: &[String]) -> Result<Self, String> {
        let mut options = Self::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let (name, given) = arg.split_once('=').map_or((arg.as_str(), None), |(name, value)| (name, Some(value)));
            let mut number = || {
                let value = given.or_else(|| args.next().map(String::as_str)).unwrap_or_default();
                value.parse::<u64>().map_err(|_| format!("{name} needs a number"))
            };
            match name {
                "--cycles" => options.cycles = number()?,
                "--seeds" => options.seeds = number()?,
                _ => return Err(format!("crash has no option {arg}")),
            }
        }
        Ok(options)
    }
}

/// Cuts the power of simulated disks, then kills a real program; the tests print what they counted.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> io::Result<Outcome> {
    if options.seeds > 0 {
        let mut power = test(workspace, "karere-store", "survival", "power_cut::what_is_loaded");
        let cut = process::run(power.env("KARERE_SEEDS", options.seeds.to_string()))?;
        if !cut.success() {
            return Ok(Outcome::of(cut));
        }
    }
    if options.cycles == 0 {
        return Ok(Outcome::Passed);
    }
    let mosquitto = &interop::Server::ALL[0];
    let mut kills = test(workspace, "karere", "interop_mosquitto_crash", "what_was_durable");
    match mosquitto.find(Install::Never) {
        Ok(found) => found.describe_to(&mut kills),
        Err(interop::Absence::Misnamed(why) | interop::Absence::NotInstalled(why)) => {
            out::error(&why);
            return Ok(Outcome::Failed);
        }
    }
    process::run(kills.env("KARERE_CYCLES", options.cycles.to_string())).map(Outcome::of)
}

fn test(workspace: &Workspace, package: &str, binary: &str, name: &str) -> Command {
    let mut command = process::cargo(workspace.root());
    command.args(["test", "--quiet", "--package", package, "--test", binary, "--", "--nocapture", name]);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn numbers_are_read_either_way() {
        assert_eq!(parse("--cycles 7 --seeds=0"), Ok(Options { cycles: 7, seeds: 0 }));
        assert_eq!(parse(""), Ok(Options::default()));
        assert!(parse("--cycles").is_err() && parse("--seeds=many").is_err() && parse("--kills 3").is_err());
    }
}
