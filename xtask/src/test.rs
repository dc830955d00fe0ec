//! `cargo xtask test`: does everything hold?

use crate::out;
use crate::outcome::Outcome;
use crate::packages::Install;
use crate::steps::{Runner, Step};
use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use xtask::workspace::Workspace;

/// What to run, and how.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) install: Install,
    pub(crate) on_failure: OnFailure,
    pub(crate) steps: Vec<Step>,
}

/// What follows a failed step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OnFailure {
    KeepGoing,
    #[default]
    Stop,
}

impl Default for Options {
    fn default() -> Self {
        Self { install: Install::default(), on_failure: OnFailure::default(), steps: Step::ALL.to_vec() }
    }
}

/// Runs the steps and sums them up; the last line printed is the test totals.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> io::Result<ExitCode> {
    let mut runner = Runner::new(workspace, options.install);
    let mut done = Vec::new();
    for &step in &options.steps {
        out::title(step.name());
        let start = Instant::now();
        let outcome = runner.run(step).unwrap_or_else(|error| {
            out::error(&error.to_string());
            Outcome::Failed
        });
        let failed = outcome == Outcome::Failed;
        done.push(Done { step, outcome, took: start.elapsed() });
        if failed && options.on_failure == OnFailure::Stop {
            break;
        }
    }
    let not_run: Vec<Step> = options.steps.iter().copied().skip(done.len()).collect();
    out::title("summary");
    out::text(&summary(&done, &not_run));
    out::line(&runner.totals().to_string());
    Ok(match done.iter().any(|done| done.outcome == Outcome::Failed) {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

struct Done {
    step: Step,
    outcome: Outcome,
    took: Duration,
}

/// A line per step; then, where nobody can miss it, what was left out.
fn summary(done: &[Done], not_run: &[Step]) -> String {
    let mut text = String::new();
    for Done { step, outcome, took } in done {
        let result = match outcome {
            Outcome::Failed => "FAILED",
            Outcome::LeftOut(_) => "LEFT OUT",
            Outcome::Passed | Outcome::PassedBut(_) => "passed",
        };
        text.push_str(&format!("  {:<14}{result:<10}{:>8.1} s\n", step.name(), took.as_secs_f64()));
    }
    for step in not_run {
        text.push_str(&format!("  {:<14}not run\n", step.name()));
    }
    text.push('\n');
    for what in done.iter().filter_map(|done| done.outcome.left_out()) {
        text.push_str(&format!("left out: {what}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summary_tells_what_was_left_out_and_not_run() {
        let second = Duration::from_secs(1);
        let done = [
            Done { step: Step::Fmt, outcome: Outcome::Passed, took: second },
            Done { step: Step::Interop, outcome: Outcome::LeftOut("interop: no broker".to_owned()), took: second },
            Done { step: Step::Instructions, outcome: Outcome::PassedBut("to judge".to_owned()), took: second },
            Done { step: Step::Doctests, outcome: Outcome::Failed, took: 100 * second },
        ];
        let expected = "  \
  fmt           passed         1.0 s
  interop       LEFT OUT       1.0 s
  instructions  passed         1.0 s
  doctests      FAILED       100.0 s
  doc           not run

left out: interop: no broker
left out: to judge
";
        assert_eq!(summary(&done, &[Step::Doc]), expected);
    }
}
