//! Peers that say too little, too slowly, or only a half.

use core::time::Duration;
use std::net::Shutdown;

use crate::{
    case::{Case, side_by_side},
    peer::{Kind, Pace},
};

#[test]
fn peer_that_never_answers_is_given_up_when_its_time_is_over() {
    let cases = Kind::ALL.map(|kind| {
        let case = Case::new("never answers", kind, |meeting| meeting.wait_for_the_end());
        case.short_of_time()
    });
    side_by_side(cases.into(), |case, outcome| {
        let why = format!("{}: the other side has not finished the handshake in time", case.kind().layer());
        outcome.failed_with(&[&why]);
    });
}

#[test]
fn answer_that_drips_without_end_is_given_up_when_its_time_is_over() {
    let cases = Kind::ALL.map(|kind| {
        let case = Case::new("drips", kind, |meeting| {
            meeting.before_last_answer()?;
            let endless = meeting.kind.beginning().iter().copied().chain(core::iter::repeat(b'x'));
            meeting.drip(endless, PAUSE)
        });
        case.short_of_time()
    });
    side_by_side(cases.into(), |case, outcome| {
        let why = format!("{}: the other side has not finished the handshake in time", case.kind().layer());
        outcome.failed_with(&[&why]);
    });
}

/// Such that no answer is whole in time, the one of eight bytes included.
const PAUSE: Duration = Duration::from_millis(150);

#[test]
fn right_answer_byte_by_byte_is_as_good_as_another() {
    let cases = Kind::ALL.map(|kind| Case::new("byte by byte", kind, |meeting| meeting.serve(Pace::Bytewise)).always());
    side_by_side(cases.into(), |_, outcome| {
        outcome.served_at_once();
    });
}

#[test]
fn peer_that_closes_half_way_is_told_by_its_layer() {
    let cases = Kind::ALL.map(|kind| {
        Case::new("closes half-way", kind, |meeting| {
            meeting.before_last_answer()?;
            meeting.drip(meeting.kind.beginning().iter().copied(), Duration::ZERO)?;
            meeting.stream.shutdown(Shutdown::Write)?;
            meeting.wait_for_the_end()
        })
    });
    side_by_side(cases.into(), |case, outcome| {
        outcome.failed_with(&[&format!("{}: the ", case.kind().layer()), "closed"]);
    });
}

#[test]
fn peer_that_closes_at_once_is_told_by_its_layer() {
    let cases = Kind::ALL.map(|kind| {
        Case::new("closes at once", kind, |meeting| {
            meeting.before_last_answer()?;
            meeting.stream.shutdown(Shutdown::Both)
        })
    });
    side_by_side(cases.into(), |case, outcome| {
        outcome.failed_with(&[&format!("{}: the ", case.kind().layer()), "closed"]);
    });
}
