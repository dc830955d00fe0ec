//! What a client does, against the development broker.

#[path = "../common/mod.rs"]
mod common;
mod development;

common::suite::behaviour_suite!(crate::development::Development);
