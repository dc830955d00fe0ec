//! The project's own commands: `cargo xtask test`, `bench`, `conformance`, `crash`, `fuzz`, `instructions` and `sim`.

mod bench;
mod callgrind;
mod crash;
mod features;
mod fuzz;
mod instructions;
mod interop;
mod out;
mod outcome;
mod packages;
mod process;
mod python;
mod sim;
mod steps;
mod test;
mod totals;

use crate::outcome::Outcome;
use crate::packages::Install;
use crate::steps::Step;
use crate::test::OnFailure;
use std::io;
use std::process::ExitCode;
use xtask::conformance::{Evidence, PAGE, Table};
use xtask::workspace::Workspace;

const HELP: &str = "\
The project's own commands.

Usage: cargo xtask <COMMAND> [OPTIONS]

Commands:
  test          Runs every check, and stops at the first step that fails
  bench         Runs the benchmarks of codec and session, and builds the driver to measure the client with
  conformance   Writes docs/conformance.md from the tables in conformance
  crash         Cuts the power of simulated disks and kills a real client: docs/durability.md
  fuzz          Runs the fuzz targets for a while, and fails when one of them does
  instructions  Counts instructions, and fails when there are 5 % more than bench/instructions/baseline.txt says
  interop       Runs the tests in interop, whose server is built from a crate: minutes, the first time
  sim           Runs client and broker on virtual time, under faults that seeds choose: docs/simulation.md
  help          Prints this

Options of test:
  --only STEPS    Runs these steps only, separated by commas:
                    fmt           formatting: cargo fmt --check
                    clippy        lints, with warnings denied
                    tests         unit and integration tests, by cargo nextest when it is installed
                    interop       tests named interop_*, against mosquitto and ejabberd
                    doctests      the examples in the documentation
                    doc           documentation, with warnings denied
                    sim           20,000 seeds of the simulation, from 0 on
                    fuzz          each fuzz target for 3 seconds
                    instructions  instruction counts, compared with the baseline
                    python        the Python package: its tests, and paho-mqtt's own on it
  --keep-going    Goes on with the next step after one that failed
  --no-install    Never installs anything. Without it, servers, valgrind and the headers of OpenSSL are
                  installed when they are missing, this is Debian or alike, and you are root

Options of bench:
  transports      Compares TCP, TLS, WebSocket and both instead, publishing and receiving
  -- ARGS         Passes the rest on to the benchmarks: a filter, --sample-count 1000, ...; to that of
                  transports: --rounds N, --share PERCENT of its messages, --mosquitto PROGRAM as the
                  server instead of the development broker

Options of crash:
  --cycles N      Kills it so many times; 1000 when not given. Needs mosquitto
  --seeds N       Takes so many seeds, three power cuts each; 10000 when not given

Options of fuzz:
  --seconds N     Runs each target this long; 10 when not given. With 0, for ever
  --target T      Runs this target only; may be given more than once
  -- ARGS         Hands libFuzzer these instead: a file to run again, -minimize_crash=1, ...

Options of instructions:
  --accept        Writes the figures into the baseline
  --no-install    Never installs anything. Without it, valgrind is installed as mosquitto is

Options of sim:
  --seed S        Runs this seed; without --seeds only this one. A seed does the same every time
  --seeds N       Runs so many, from S on; 20000 from one that the clock gives when there is no --seed
  --threads N     On so many threads; on all cores when not given
  --first         Stops at the first seed that fails; without it at the fifth
  --trace         Shows every step of the one seed
  --faults        Puts the known faults into a copy of the code instead, one at a time, and says how many
                  seeds it takes to find each. What may follow:
                    NAME...       only these
                    --seeds N     at most so many for each; 200000 when not given
                    --markdown    as a table, as docs/simulation.md has it
                    --check       only looks whether they still fit the code

Environment of test:
  CI=true                   The compiler's warnings are errors too
  KARERE_MOSQUITTO          The mosquitto to test against, instead of the one found
  KARERE_MOSQUITTO_PUB      The mosquitto_pub to test with
  KARERE_MOSQUITTO_SUB      The mosquitto_sub to test with
  KARERE_EJABBERD           The ejabberdctl that knows where ejabberd is
  KARERE_PYTHON             The Python to build and test the package with: 3.9 or newer
  KARERE_MICROSOCKS         The SOCKS 5 proxy to test through
  KARERE_TINYPROXY          The HTTP proxy to test through
  KARERE_DANTED             The SOCKS 4 and 5 proxy to test through

Exit status: 0 when all passed, 1 when something failed, 2 when the command was not understood.
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let command = match Command::parse(&args) {
        Ok(command) => command,
        Err(what) => {
            out::error(&format!("{what}\nTry: cargo xtask --help"));
            return ExitCode::from(2);
        }
    };
    let outcome = match command {
        Command::Help => {
            out::text(HELP);
            return ExitCode::SUCCESS;
        }
        Command::Test(options) => Workspace::open().and_then(|workspace| test::run(&workspace, &options)),
        Command::Bench(options) => Workspace::open().and_then(|workspace| bench::run(&workspace, &options)),
        Command::Conformance => Workspace::open().and_then(|workspace| write_conformance(&workspace)),
        Command::Crash(options) => alone(|workspace| crash::run(workspace, &options)),
        Command::Fuzz(options) => alone(|workspace| fuzz::run(workspace, &options)),
        Command::Instructions(options) => alone(|workspace| instructions::run(workspace, options)),
        Command::Interop => alone(interop::run),
        Command::Sim(options) => alone(|workspace| sim::run(workspace, options)),
    };
    match outcome {
        Ok(exit) => exit,
        Err(error) => {
            out::error(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Does what is a step of `test` too, and says what was left out.
fn alone(what: impl FnOnce(&Workspace) -> io::Result<Outcome>) -> io::Result<ExitCode> {
    let outcome = what(&Workspace::open()?)?;
    if let Some(what) = outcome.left_out() {
        out::line(&format!("left out: {what}"));
    }
    Ok(outcome.exit_code())
}

#[derive(Debug, PartialEq, Eq)]
enum Command {
    Bench(bench::Options),
    Conformance,
    Crash(crash::Options),
    Fuzz(fuzz::Options),
    Help,
    Instructions(instructions::Options),
    Interop,
    Sim(sim::Options),
    Test(test::Options),
}

impl Command {
    fn parse(args: &[String]) -> Result<Self, String> {
        let Some((name, args)) = args.split_first() else {
            return Ok(Self::Help);
        };
        let own = args.split(|arg| arg == "--").next().unwrap_or_default();
        if own.iter().any(|arg| arg == "--help" || arg == "-h") {
            return Ok(Self::Help);
        }
        match name.as_str() {
            "help" | "--help" | "-h" => Ok(Self::Help),
            "test" => parse_test(args).map(Self::Test),
            "bench" => bench::Options::parse(args).map(Self::Bench),
            "conformance" => match args.first() {
                None => Ok(Self::Conformance),
                Some(other) => Err(format!("conformance has no option {other}")),
            },
            "crash" => crash::Options::parse(args).map(Self::Crash),
            "fuzz" => parse_fuzz(args).map(Self::Fuzz),
            "instructions" => parse_instructions(args).map(Self::Instructions),
            "interop" => match args.first() {
                None => Ok(Self::Interop),
                Some(other) => Err(format!("interop has no option {other}")),
            },
            "sim" => sim::Options::parse(args).map(Self::Sim),
            other => Err(format!("there is no command {other}")),
        }
    }
}

fn write_conformance(workspace: &Workspace) -> io::Result<ExitCode> {
    let texts = workspace.texts()?;
    let tables = Table::all(&texts).map_err(|findings| io::Error::other(findings.join("\n")))?;
    std::fs::write(workspace.root().join(PAGE), Evidence::new(&texts).page(&tables))?;
    Ok(ExitCode::SUCCESS)
}

fn parse_test(args: &[String]) -> Result<test::Options, String> {
    let mut options = test::Options::default();
    let mut only = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.split_once('=').unwrap_or((arg, "")) {
            ("--keep-going", "") => options.on_failure = OnFailure::KeepGoing,
            ("--no-install", "") => options.install = Install::Never,
            ("--only", "") => only.extend(parse_steps(args.next().ok_or("--only needs the names of steps")?)?),
            ("--only", names) => only.extend(parse_steps(names)?),
            _ => return Err(format!("test has no option {arg}")),
        }
    }
    if !only.is_empty() {
        options.steps.retain(|step| only.contains(step));
    }
    Ok(options)
}

fn parse_fuzz(args: &[String]) -> Result<fuzz::Options, String> {
    let mut options = fuzz::Options::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let (name, given) = arg.split_once('=').map_or((arg.as_str(), None), |(name, value)| (name, Some(value)));
        let mut value = || {
            let value = given.or_else(|| args.next().map(String::as_str));
            value.filter(|value| !value.is_empty()).ok_or_else(|| format!("{name} needs a value"))
        };
        match name {
            "--seconds" => options.seconds = value()?.parse().map_err(|_| "--seconds needs a number")?,
            "--target" => options.targets.push(value()?.to_owned()),
            "--" => {
                options.args = args.cloned().collect();
                break;
            }
            _ => return Err(format!("fuzz has no option {arg}")),
        }
    }
    Ok(options)
}

fn parse_instructions(args: &[String]) -> Result<instructions::Options, String> {
    let mut options = instructions::Options::default();
    for arg in args {
        match arg.as_str() {
            "--accept" => options.baseline = instructions::Baseline::Accept,
            "--no-install" => options.install = Install::Never,
            _ => return Err(format!("instructions has no option {arg}")),
        }
    }
    Ok(options)
}

fn parse_steps(names: &str) -> Result<Vec<Step>, String> {
    let known = Step::ALL.map(Step::name).join(", ");
    let step = |name: &str| Step::ALL.into_iter().find(|step| step.name() == name);
    names
        .split(',')
        .map(|name| step(name).ok_or_else(|| format!("there is no step {name:?}; there are {known}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, String> {
        Command::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn test_runs_everything_by_default() {
        assert_eq!(parse("test"), Ok(Command::Test(test::Options::default())));
        assert_eq!(test::Options::default().steps, Step::ALL);
    }

    #[test]
    fn only_picks_steps_and_keeps_their_order() {
        for line in ["test --only doc,fmt", "test --only doc --only=fmt"] {
            let Ok(Command::Test(options)) = parse(line) else { panic!("{line}") };
            assert_eq!(options.steps, [Step::Fmt, Step::Doc]);
        }
    }

    #[test]
    fn flags_of_test() {
        let Ok(Command::Test(options)) = parse("test --keep-going --no-install") else { panic!() };
        assert_eq!((options.on_failure, options.install), (OnFailure::KeepGoing, Install::Never));
    }

    #[test]
    fn help_is_everywhere() {
        for line in ["", "help", "--help", "test -h", "bench --help", "sim --faults --help"] {
            assert_eq!(parse(line), Ok(Command::Help), "{line}");
        }
    }

    #[test]
    fn conformance_and_interop_have_no_options() {
        assert_eq!(parse("conformance"), Ok(Command::Conformance));
        assert_eq!(parse("interop"), Ok(Command::Interop));
        assert!(parse("conformance now").is_err() && parse("interop now").is_err());
    }

    #[test]
    fn nonsense_is_refused() {
        for line in
            ["tset", "test --only", "test --only fnt", "test --only=", "test --keep-going=no", "test x", "bench x"]
        {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn options_of_fuzz_and_of_instructions() {
        let fuzz = |seconds, targets: &[&str], args: &[&str]| {
            let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
            Ok(Command::Fuzz(fuzz::Options { seconds, targets: owned(targets), args: owned(args) }))
        };
        assert_eq!(parse("fuzz"), fuzz(10, &[], &[]));
        assert_eq!(parse("fuzz --seconds 3 --target=a --target b"), fuzz(3, &["a", "b"], &[]));
        assert_eq!(parse("fuzz --target a -- -runs=1 --help"), fuzz(10, &["a"], &["-runs=1", "--help"]));
        assert!(matches!(parse("instructions --accept"), Ok(Command::Instructions(options))
            if options.baseline == instructions::Baseline::Accept));
        for line in ["fuzz --seconds", "fuzz --seconds x", "fuzz --target=", "fuzz x", "instructions x"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn options_of_sim() {
        let seeds = sim::Seeds { seed: Some(7), ..sim::Seeds::default() };
        assert_eq!(parse("sim --seed 7"), Ok(Command::Sim(sim::Options::Seeds(seeds))));
        assert!(parse("sim --sed 7").is_err());
    }

    #[test]
    fn help_names_every_step() {
        for step in Step::ALL {
            assert!(HELP.contains(&format!("  {:<14}", step.name())), "{}", step.name());
        }
    }

    #[test]
    fn help_names_every_variable_of_a_server() {
        for (variable, _) in interop::Server::ALL.iter().flat_map(|server| server.programs) {
            assert!(HELP.contains(&format!("  {variable:<24}  ")), "{variable}");
        }
    }

    #[test]
    fn bench_passes_on_what_follows_the_dashes() {
        let args = vec!["encode".to_owned(), "--help".to_owned()];
        assert_eq!(parse("bench -- encode --help"), Ok(Command::Bench(bench::Options::Parts(args))));
        let args = vec!["--rounds".to_owned(), "3".to_owned()];
        assert_eq!(parse("bench transports -- --rounds 3"), Ok(Command::Bench(bench::Options::Transports(args))));
    }
}
