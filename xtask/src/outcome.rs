//! How did something end that was checked?

use std::process::{ExitCode, ExitStatus};

/// How a step ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Failed,
    /// Not run, with what and why, and how to have it run.
    LeftOut(String),
    Passed,
    /// What was run passed; this part was left out, with why.
    PassedBut(String),
}

impl Outcome {
    pub(crate) fn of(status: ExitStatus) -> Self {
        if status.success() { Self::Passed } else { Self::Failed }
    }

    /// Of a command that does this one thing: there, to leave it out is to fail.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Failed | Self::LeftOut(_) => ExitCode::FAILURE,
            Self::Passed | Self::PassedBut(_) => ExitCode::SUCCESS,
        }
    }

    /// What was left out, if anything was.
    pub(crate) fn left_out(&self) -> Option<&str> {
        match self {
            Self::Failed | Self::Passed => None,
            Self::LeftOut(what) | Self::PassedBut(what) => Some(what),
        }
    }
}
