//! A link on virtual time: what it dials, whom it believes, how long it waits, how it closes.
#![cfg(test)]

#[path = "link/world.rs"]
mod world;

#[path = "link/access.rs"]
mod access;
#[path = "link/closing.rs"]
mod closing;
#[path = "link/connector.rs"]
mod connector;
#[path = "link/dialing.rs"]
mod dialing;
#[path = "link/domains.rs"]
mod domains;
#[path = "link/failing_back.rs"]
mod failing_back;
#[path = "link/redirects.rs"]
mod redirects;
#[path = "link/servers.rs"]
mod servers;
#[path = "link/side_by_side.rs"]
mod side_by_side;
#[path = "link/versions.rs"]
mod versions;
#[path = "link/waits.rs"]
mod waits;
