//! What a client does, against the development broker.

mod bad_input;
#[path = "../common/mod.rs"]
mod common;
mod connector;
mod development;
mod documents;
mod driver;
mod event_loops;
mod faults;
mod logs;
mod servers;
mod side_by_side;

common::suite::behaviour_suite!(crate::development::Development);
