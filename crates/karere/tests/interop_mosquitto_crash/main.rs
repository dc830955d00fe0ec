//! Real crashes: a program that publishes and receives through mosquitto is killed at random moments and started again. What it
//! was promised is written down by a process that lives on.
//!
//! `KARERE_CYCLES` says how many times; `cargo xtask crash --cycles N` sets it.
#![cfg(test)]
#![cfg(all(unix, feature = "store"))]

mod child;
mod delay;
mod ledger;
mod mosquitto;
mod parent;
mod tap;

use core::time::Duration;

use karere::QoS;
use ledger::Found;

/// How long anything may take that is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What is broken on purpose: each must be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Break {
    Gate,
    Nothing,
    Received,
}

pub(crate) const fn qos_of(number: u64) -> QoS {
    if number.is_multiple_of(2) { QoS::ExactlyOnce } else { QoS::AtLeastOnce }
}

const CYCLES: usize = 100;

fn cycles() -> usize {
    std::env::var("KARERE_CYCLES").map_or(CYCLES, |text| text.parse().expect("KARERE_CYCLES is a number"))
}

#[test]
fn what_was_durable_arrives_and_what_was_done_stays_done() {
    let (found, summary) = parent::run(Break::Nothing, cycles());
    println!("{} kills: {summary}", cycles());
    assert_eq!(found, Found::default(), "{summary}");
}

#[test]
fn a_gate_that_opens_too_early_is_found() {
    let (found, summary) = parent::run(Break::Gate, 25);
    println!("{found:?}: {summary}");
    assert!(!found.lost.is_empty() || !found.doubled_out.is_empty() || !found.sent_again.is_empty(), "{summary}");
}

#[test]
fn received_identifiers_that_are_not_kept_are_found() {
    let (found, summary) = parent::run(Break::Received, 40);
    println!("{found:?}: {summary}");
    assert!(!found.doubled_in.is_empty(), "{summary}");
}

/// Not a test: the process that is killed.
#[test]
#[ignore = "the process that the other tests start and kill"]
fn child() {
    let variable = |name| std::env::var(name).expect("started by a test of this file");
    child::run(&child::Orders {
        port: variable("KARERE_CRASH_PORT").parse().unwrap(),
        file: variable("KARERE_CRASH_FILE"),
        broken: match variable("KARERE_CRASH_BREAK").as_str() {
            "Gate" => Break::Gate,
            "Received" => Break::Received,
            _ => Break::Nothing,
        },
        first: variable("KARERE_CRASH_FIRST").parse().unwrap(),
        last_life: if variable("KARERE_CRASH_LAST") == "Yes" { child::LastLife::Yes } else { child::LastLife::No },
    });
}
