//! What the project's commands and its architecture test know about the workspace.

pub mod architecture;
pub mod conformance;
pub mod manifest;
pub mod source;
pub mod workspace;
