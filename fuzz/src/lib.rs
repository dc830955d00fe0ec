//! What karere does with bytes nobody meant: one module for each fuzz target, each with a `check` that panics when
//! something is wrong.
//!
//! The targets are in `targets/`, and `cargo xtask fuzz` builds and runs them.

pub mod frame;
mod input;
pub mod journal;
pub mod packet;
pub mod properties;
pub mod proxy;
pub mod session;
pub mod topic;
pub mod url;
pub mod websocket;
