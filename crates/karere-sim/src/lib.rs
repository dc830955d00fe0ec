//! Client and broker on virtual time, from a seed.
//!
//! One to three clients, each a [`karere_proto::Session`] with or without a [`karere_link::Link`] around it, talk to one
//! [`karere_broker::Broker`]. A seed chooses everything: versions, limits, what is published and subscribed, how bytes
//! are cut and delayed, when connections are lost and at which byte, what the broker does wrong, when a process dies and
//! which of its journal records survive. Every message, token and identifier is accounted for outside of the code under
//! test (`ledger`, whose first lines say what must hold).
//!
//! ```
//! let report = karere_sim::run(42).unwrap_or_else(|failure| panic!("{failure}"));
//! assert!(report.steps > 0);
//! ```
//!
//! A failure prints its seed and the last steps; `cargo xtask sim --seed S --trace`
//! shows them all. The same seed does the same on any machine, as long as the code is the same.
#![forbid(unsafe_code)]

mod application;
mod broker;
mod client;
mod disk;
mod ledger;
mod network;
mod seed;
mod wire;
mod world;

use core::{fmt, time::Duration};
use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::world::{Listener, World};

/// Lines of the trace that a failure shows.
const SHOWN: usize = 50;

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Events of the simulation.
    pub steps: u64,
    /// Messages that were published.
    pub messages: u64,
    /// Messages that were delivered.
    pub deliveries: u64,
    /// Connections that were opened.
    pub connections: u64,
    /// Processes that died.
    pub crashes: u64,
    /// Clients that could not learn that their session was lost, because CONNACK was; nothing was promised to them.
    pub deceived: u64,
    /// Time that passed in the simulation.
    pub time: Duration,
}

/// Something that must hold does not.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Failure {
    /// What to run again.
    pub seed: u64,
    /// What was found.
    pub what: String,
    /// The last steps before.
    pub trace: VecDeque<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {}", self.seed, self.what)?;
        writeln!(f, "the last {} steps:", self.trace.len())?;
        for line in &self.trace {
            writeln!(f, "  {line}")?;
        }
        let seed = self.seed;
        write!(f, "again: cargo xtask sim --seed {seed} --trace")
    }
}

impl core::error::Error for Failure {}

/// Runs one seed to its end.
///
/// # Errors
///
/// [`Failure`] when something that must hold does not, a panic of the code under test included.
pub fn run(seed: u64) -> Result<Report, Box<Failure>> {
    attempt(seed, None).map_err(|_| {
        // Once more, with a trace: the same seed does the same.
        let mut trace = VecDeque::new();
        let outcome = attempt(
            seed,
            Some(&mut |line| {
                if trace.len() == SHOWN {
                    trace.pop_front();
                }
                trace.push_back(line);
            }),
        );
        let what = outcome.err().unwrap_or_else(|| "failed once and not again: it is not deterministic".to_owned());
        Box::new(Failure { seed, what, trace })
    })
}

/// Runs one seed to its end and hands every step to `line`.
///
/// # Errors
///
/// As [`run`], without the steps.
pub fn trace(seed: u64, mut line: impl FnMut(String)) -> Result<Report, Box<Failure>> {
    attempt(seed, Some(&mut line)).map_err(|what| Box::new(Failure { seed, what, trace: VecDeque::new() }))
}

fn attempt(seed: u64, listener: Listener<'_>) -> Result<Report, String> {
    let outcome = catch_unwind(AssertUnwindSafe(|| World::new(seed, listener).run()));
    outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("panicked: {}", text.unwrap_or("without a word")))
    })
}
