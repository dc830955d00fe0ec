//! What does each step of `cargo xtask test` run?

use crate::features::Features;
use crate::fuzz;
use crate::instructions;
use crate::interop::{Absence, Server};
use crate::out::Stream;
use crate::outcome::Outcome;
use crate::packages::Install;
use crate::process;
use crate::python;
use crate::sim;
use crate::totals::Totals;
use std::cell::OnceCell;
use std::io::{self, IsTerminal};
use std::process::Command;
use xtask::workspace::Workspace;

/// One thing that is checked, in the order of a run: what fails soonest comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Fmt,
    Clippy,
    Tests,
    Interop,
    Doctests,
    Doc,
    Sim,
    Fuzz,
    Instructions,
    Python,
}

/// Runs steps, and counts the tests in them.
pub(crate) struct Runner<'a> {
    workspace: &'a Workspace,
    install: Install,
    tool: Tool,
    features: OnceCell<Features>,
    totals: Totals,
}

/// What runs the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tool {
    CargoTest,
    Nextest,
}

impl Step {
    pub(crate) const ALL: [Self; 10] = [
        Self::Fmt,
        Self::Clippy,
        Self::Tests,
        Self::Interop,
        Self::Doctests,
        Self::Doc,
        Self::Sim,
        Self::Fuzz,
        Self::Instructions,
        Self::Python,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::Clippy => "clippy",
            Self::Tests => "tests",
            Self::Interop => "interop",
            Self::Doctests => "doctests",
            Self::Doc => "doc",
            Self::Sim => "sim",
            Self::Fuzz => "fuzz",
            Self::Instructions => "instructions",
            Self::Python => "python",
        }
    }
}

impl<'a> Runner<'a> {
    pub(crate) fn new(workspace: &'a Workspace, install: Install) -> Self {
        let nextest = process::succeeds(process::cargo(workspace.root()).args(["nextest", "--version"]));
        let tool = if nextest { Tool::Nextest } else { Tool::CargoTest };
        Self { workspace, install, tool, features: OnceCell::new(), totals: Totals::default() }
    }

    pub(crate) fn run(&mut self, step: Step) -> io::Result<Outcome> {
        match step {
            Step::Fmt => self.fmt(),
            Step::Clippy => self.clippy(),
            Step::Tests => self.tests(),
            Step::Interop => self.interop(),
            Step::Doctests => {
                let mut doctests = self.cargo(&["test", "--doc", "--workspace", "--no-fail-fast"]);
                doctests.args(self.features()?);
                self.count(&mut doctests, Tool::CargoTest)
            }
            Step::Doc => {
                let mut doc = self.cargo(&["doc", "--workspace", "--no-deps"]);
                doc.args(self.features()?);
                process::run(doc.env("RUSTDOCFLAGS", with_warnings_denied("RUSTDOCFLAGS"))).map(Outcome::of)
            }
            Step::Sim => sim::check(self.workspace),
            Step::Fuzz => fuzz::run(self.workspace, &fuzz::Options::short()),
            Step::Instructions => {
                let options = instructions::Options { install: self.install, ..instructions::Options::default() };
                instructions::run(self.workspace, options)
            }
            Step::Python => {
                let (outcome, totals) = python::run(self.workspace, self.install)?;
                self.totals += totals;
                Ok(outcome)
            }
        }
    }

    /// Of all steps so far.
    pub(crate) fn totals(&self) -> Totals {
        self.totals
    }

    fn fmt(&self) -> io::Result<Outcome> {
        let mut commands = vec![self.cargo(&["fmt", "--all"])];
        for other in self.workspace.others()? {
            commands.push(self.cargo(&["fmt", "--all", "--manifest-path", &format!("{other}/Cargo.toml")]));
        }
        all(commands.iter_mut().map(|command| command.arg("--check")))
    }

    fn clippy(&self) -> io::Result<Outcome> {
        let mut commands = vec![self.cargo(&["clippy", "--workspace", "--all-targets"])];
        commands[0].args(self.features()?);
        for other in self.workspace.others()? {
            let manifest = format!("{other}/Cargo.toml");
            let mut command = self.cargo(&["clippy", "--manifest-path", &manifest, "--all-targets", "--all-features"]);
            // What these workspaces share with the root is checked once.
            command.arg("--target-dir").arg(process::target_folder(self.workspace.root()));
            // Nothing is linked, so nothing has to be there: the C++ of libFuzzer is not compiled.
            command.env("CUSTOM_LIBFUZZER_PATH", "./libfuzzer.a");
            commands.push(command);
        }
        all(commands.iter_mut().map(|command| command.args(["--", "-D", "warnings"])))
    }

    /// All tests but interop. Targets are named one by one, which says the same to both tools.
    fn tests(&mut self) -> io::Result<Outcome> {
        // Naming targets leaves the examples out, which tests may start.
        let mut examples = self.cargo(&["build", "--workspace", "--examples", "--profile", "test"]);
        examples.args(self.features()?);
        if !process::run(&mut examples)?.success() {
            return Ok(Outcome::Failed);
        }
        let targets = self.workspace.test_targets()?.into_iter().filter(|target| !is_interop(target));
        let mut tests = self.test_command()?;
        tests.args(["--lib", "--bins"]).args(targets.flat_map(|target| ["--test".to_owned(), target]));
        let outcome = self.count(&mut tests, self.tool)?;
        Ok(match (outcome, self.features.get().and_then(|features| features.left_out.clone())) {
            (Outcome::Passed, Some(left_out)) => Outcome::PassedBut(left_out),
            (outcome, _) => outcome,
        })
    }

    fn interop(&mut self) -> io::Result<Outcome> {
        let there: Vec<String> = self.workspace.test_targets()?.into_iter().filter(|name| is_interop(name)).collect();
        let mut tests = self.test_command()?;
        let mut some = false;
        let mut left_out = Vec::new();
        for server in Server::ALL {
            if let Some(missing) = server.targets.iter().find(|&&target| !there.iter().any(|there| there == target)) {
                left_out.push(format!("interop with {}: there is no test binary {missing}", server.name));
                continue;
            }
            match server.find(self.install) {
                Ok(found) => {
                    found.describe_to(tests.args(server.targets.iter().flat_map(|target| ["--test", target])));
                    some = true;
                }
                Err(Absence::Misnamed(what)) => return Err(io::Error::new(io::ErrorKind::NotFound, what)),
                Err(Absence::NotInstalled(why)) => left_out.push(format!("interop with {}: {why}", server.name)),
            }
        }
        let left_out = left_out.join("; ");
        if !some {
            return Ok(Outcome::LeftOut(left_out));
        }
        let outcome = self.count(&mut tests, self.tool)?;
        Ok(match outcome {
            Outcome::Passed if !left_out.is_empty() => Outcome::PassedBut(left_out),
            outcome => outcome,
        })
    }

    fn test_command(&self) -> io::Result<Command> {
        let mut command = match self.tool {
            Tool::CargoTest => self.cargo(&["test"]),
            Tool::Nextest => self.cargo(&["nextest", "run"]),
        };
        command.args(["--workspace", "--no-fail-fast"]).args(self.features()?);
        // nextest's report passes through our pipe, where it would not know of the terminal.
        if self.tool == Tool::Nextest && io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
            command.args(["--color", "always"]);
        }
        Ok(command)
    }

    /// What everything is built with, sought once.
    fn features(&self) -> io::Result<&[String]> {
        if self.features.get().is_none() {
            let _ = self.features.set(Features::find(self.workspace, self.install)?);
        }
        Ok(self.features.get().map_or(&[], |features| &features.arguments))
    }

    /// A run whose tests cannot be counted has failed: "no tests ran" must not look like "all passed".
    fn count(&mut self, command: &mut Command, tool: Tool) -> io::Result<Outcome> {
        let (status, totals) = match tool {
            Tool::CargoTest => {
                let (status, output) = process::run_reading(command, Stream::Stdout)?;
                (status, Totals::of_libtest(&output))
            }
            Tool::Nextest => {
                let (status, output) = process::run_reading(command, Stream::Stderr)?;
                (status, Totals::of_nextest(&output))
            }
        };
        let Some(totals) = totals else {
            return Ok(Outcome::Failed);
        };
        self.totals += totals;
        Ok(match totals.failed {
            0 => Outcome::of(status),
            _ => Outcome::Failed,
        })
    }

    fn cargo(&self, args: &[&str]) -> Command {
        let mut command = process::cargo(self.workspace.root());
        command.args(args);
        // Developers may have warnings while they work; what is merged may not.
        if std::env::var("CI").is_ok_and(|value| value == "true") {
            command.env("RUSTFLAGS", with_warnings_denied("RUSTFLAGS"));
        }
        command
    }
}

/// Runs all, though some may fail.
fn all<'a>(commands: impl Iterator<Item = &'a mut Command>) -> io::Result<Outcome> {
    let mut outcome = Outcome::Passed;
    for command in commands {
        if !process::run(command)?.success() {
            outcome = Outcome::Failed;
        }
    }
    Ok(outcome)
}

pub(crate) fn is_interop(target: &str) -> bool {
    target.starts_with("interop_")
}

fn with_warnings_denied(variable: &str) -> String {
    let flags = std::env::var(variable).unwrap_or_default();
    format!("{flags} -Dwarnings").trim_start().to_owned()
}
