//! How long to wait before the next attempt.

use core::time::Duration;

/// Pseudo-random numbers from a seed (SplitMix64); for spreading reconnects, not for secrets.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The numbers that follow from `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which is not 0. The bias of taking the remainder plays no part here.
    pub const fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// Whether waits are spread, so that a thousand clients do not come back in the same second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete: waits are drawn or they are not")]
pub enum Jitter {
    /// Waits are drawn uniformly between the minimum and the current delay.
    #[default]
    Uniform,
    /// The current delay is waited, as paho does.
    None,
}

/// A delay that doubles from a minimum to a maximum.
#[derive(Clone, Debug)]
pub struct Backoff {
    minimum: Duration,
    maximum: Duration,
    jitter: Jitter,
    current: Duration,
}

impl Backoff {
    /// Waits between `minimum` and `maximum`; a smaller maximum counts as the minimum.
    pub fn new(minimum: Duration, maximum: Duration, jitter: Jitter) -> Self {
        Self { minimum, maximum: maximum.max(minimum), jitter, current: minimum }
    }

    /// The next wait; the one after it may be twice as long.
    pub fn wait(&mut self, rng: &mut Rng) -> Duration {
        let wait = match self.jitter {
            Jitter::None => self.current,
            Jitter::Uniform => {
                let spread = u64::try_from((self.current - self.minimum).as_nanos()).unwrap_or(u64::MAX - 1);
                self.minimum + Duration::from_nanos(rng.below(spread + 1))
            }
        };
        self.current = (self.current * 2).min(self.maximum);
        wait
    }

    /// The longest wait at once, and for the waits after it: the server does not want this client. Spread over its upper
    /// half.
    pub fn longest(&mut self, rng: &mut Rng) -> Duration {
        self.current = self.maximum;
        match self.jitter {
            Jitter::None => self.maximum,
            Jitter::Uniform => {
                let half = self.maximum / 2;
                let spread = u64::try_from((self.maximum - half).as_nanos()).unwrap_or(u64::MAX - 1);
                half + Duration::from_nanos(rng.below(spread + 1))
            }
        }
    }

    /// The connection was stable: the next wait is the minimum again.
    pub const fn reset(&mut self) {
        self.current = self.minimum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn without_jitter_the_wait_doubles_up_to_the_maximum_and_starts_again_after_reset() {
        let mut backoff = Backoff::new(SECOND, 120 * SECOND, Jitter::None);
        let mut rng = Rng::new(1);
        let waits = (0..9).map(|_| backoff.wait(&mut rng).as_secs()).collect::<Vec<_>>();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 120, 120]);
        backoff.reset();
        assert_eq!(backoff.wait(&mut rng), SECOND);
    }

    #[test]
    fn with_jitter_waits_are_spread_between_minimum_and_the_current_delay() {
        let mut rng = Rng::new(42);
        let mut seen = [0; 4];
        for _ in 0..1000 {
            let mut backoff = Backoff::new(SECOND, 120 * SECOND, Jitter::Uniform);
            assert_eq!(backoff.wait(&mut rng), SECOND);
            let _ = backoff.wait(&mut rng);
            let wait = backoff.wait(&mut rng);
            assert!((SECOND..=4 * SECOND).contains(&wait), "{wait:?}");
            seen[usize::try_from(wait.as_secs().min(3)).expect("small")] += 1;
        }
        assert!(seen[1..].iter().all(|&count| count > 250), "{seen:?}");
    }

    #[test]
    fn a_maximum_below_the_minimum_counts_as_the_minimum() {
        let mut backoff = Backoff::new(5 * SECOND, SECOND, Jitter::Uniform);
        let mut rng = Rng::new(7);
        assert!((0..5).all(|_| backoff.wait(&mut rng) == 5 * SECOND));
    }
}
