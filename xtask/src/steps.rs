//! What does each step of `cargo xtask test` run?

use crate::interop::{Absence, Install, Mosquitto};
use crate::out::Stream;
use crate::process;
use crate::totals::Totals;
use std::io::{self, IsTerminal};
use std::process::{Command, ExitStatus};
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
}

/// How a step ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Failed,
    /// Not run, with what and why, and how to have it run.
    LeftOut(String),
    Passed,
}

/// Runs steps, and counts the tests in them.
pub(crate) struct Runner<'a> {
    workspace: &'a Workspace,
    install: Install,
    tool: Tool,
    totals: Totals,
}

/// What runs the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tool {
    CargoTest,
    Nextest,
}

impl Step {
    pub(crate) const ALL: [Self; 6] = [Self::Fmt, Self::Clippy, Self::Tests, Self::Interop, Self::Doctests, Self::Doc];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::Clippy => "clippy",
            Self::Tests => "tests",
            Self::Interop => "interop",
            Self::Doctests => "doctests",
            Self::Doc => "doc",
        }
    }
}

impl<'a> Runner<'a> {
    pub(crate) fn new(workspace: &'a Workspace, install: Install) -> Self {
        let nextest = process::succeeds(process::cargo(workspace.root()).args(["nextest", "--version"]));
        let tool = if nextest { Tool::Nextest } else { Tool::CargoTest };
        Self { workspace, install, tool, totals: Totals::default() }
    }

    pub(crate) fn run(&mut self, step: Step) -> io::Result<Outcome> {
        match step {
            Step::Fmt => process::run(self.cargo(&["fmt", "--all"]).arg("--check")).map(Outcome::of),
            Step::Clippy => {
                let mut clippy = self.cargo(&["clippy", "--workspace", "--all-targets", "--all-features"]);
                process::run(clippy.args(["--", "-D", "warnings"])).map(Outcome::of)
            }
            Step::Tests => self.tests(),
            Step::Interop => self.interop(),
            Step::Doctests => {
                let mut doctests = self.cargo(&["test", "--doc", "--workspace", "--all-features", "--no-fail-fast"]);
                self.count(&mut doctests, Tool::CargoTest)
            }
            Step::Doc => {
                let mut doc = self.cargo(&["doc", "--workspace", "--all-features", "--no-deps"]);
                process::run(doc.env("RUSTDOCFLAGS", with_warnings_denied("RUSTDOCFLAGS"))).map(Outcome::of)
            }
        }
    }

    /// Of all steps so far.
    pub(crate) fn totals(&self) -> Totals {
        self.totals
    }

    /// All tests but interop. Targets are named one by one, which says the same to both tools.
    fn tests(&mut self) -> io::Result<Outcome> {
        // Naming targets leaves the examples out, which tests may start.
        let mut examples = self.cargo(&["build", "--workspace", "--all-features", "--examples", "--profile", "test"]);
        if !process::run(&mut examples)?.success() {
            return Ok(Outcome::Failed);
        }
        let targets = self.workspace.test_targets()?.into_iter().filter(|target| !is_interop(target));
        let mut tests = self.test_command();
        tests.args(["--lib", "--bins"]).args(targets.flat_map(|target| ["--test".to_owned(), target]));
        self.count(&mut tests, self.tool)
    }

    fn interop(&mut self) -> io::Result<Outcome> {
        let targets: Vec<String> = self.workspace.test_targets()?.into_iter().filter(|name| is_interop(name)).collect();
        if targets.is_empty() {
            return Ok(Outcome::LeftOut("interop with mosquitto: there is no test binary interop_*".to_owned()));
        }
        let mosquitto = match Mosquitto::find(self.install) {
            Ok(mosquitto) => mosquitto,
            Err(Absence::Misnamed(what)) => {
                return Err(io::Error::new(io::ErrorKind::NotFound, what));
            }
            Err(Absence::NotInstalled(why)) => {
                return Ok(Outcome::LeftOut(format!("interop with mosquitto: {why}")));
            }
        };
        let mut tests = self.test_command();
        tests.args(targets.into_iter().flat_map(|target| ["--test".to_owned(), target]));
        mosquitto.describe_to(&mut tests);
        self.count(&mut tests, self.tool)
    }

    fn test_command(&self) -> Command {
        let mut command = match self.tool {
            Tool::CargoTest => self.cargo(&["test"]),
            Tool::Nextest => self.cargo(&["nextest", "run"]),
        };
        command.args(["--workspace", "--all-features", "--no-fail-fast"]);
        // nextest's report passes through our pipe, where it would not know of the terminal.
        if self.tool == Tool::Nextest && io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
            command.args(["--color", "always"]);
        }
        command
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

impl Outcome {
    fn of(status: ExitStatus) -> Self {
        if status.success() { Self::Passed } else { Self::Failed }
    }
}

fn is_interop(target: &str) -> bool {
    target.starts_with("interop_")
}

fn with_warnings_denied(variable: &str) -> String {
    let flags = std::env::var(variable).unwrap_or_default();
    format!("{flags} -Dwarnings").trim_start().to_owned()
}
