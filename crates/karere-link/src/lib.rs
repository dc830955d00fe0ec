//! How MQTT bytes travel, without I/O: endpoints, layers, dialing, back-off.
//!
//! A [`Link`] keeps a session reachable: it says what to resolve and to dial, passes bytes through its [`Stack`] of
//! layers, and waits between attempts. A driver owns the socket and does as it says.

mod backoff;
mod endpoint;
mod layer;
mod link;
mod options;
mod stack;

pub use backoff::{Backoff, Jitter, Rng};
pub use endpoint::{Address, Endpoint, InvalidUrl, Url};
pub use layer::{Layer, LayerError, Progress};
pub use link::{Close, Dial, DialError, DialProblem, Event, Failure, Link, Next, Policy, Reconnect};
pub use options::{Acknowledge, FirstConnection, Options, OptionsError, Parts};
pub use stack::Stack;

/// A point in time to count from; tests have no other clock.
#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "virtual time needs one real point to begin at")]
fn clock() -> std::time::Instant {
    std::time::Instant::now()
}
