//! The behaviour suite and its harness: what a client does, tried against any server.

pub(crate) mod peer;
pub(crate) mod proxy;
pub(crate) mod server;
pub(crate) mod suite;

use core::time::Duration;
use std::time::Instant;

/// How long anything may take that is waited for. Nothing takes nearly as long unless it never comes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Asks again and again until `ready`: for state that tells nobody when it changes.
pub(crate) fn eventually(what: &str, mut ready: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !ready() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Numbers from a seed, for tests that choose; the seed is printed when they fail.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        eprintln!("seed {seed}");
        Self(seed)
    }

    pub(crate) const fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}
