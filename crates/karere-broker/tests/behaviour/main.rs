//! How the broker behaves, packet by packet, on virtual time.

mod authentication;
mod faults;
mod handshake;
mod lab;
mod limits;
mod nonsense;
mod publishing;
mod sessions;
mod subscriptions;
mod wills;
