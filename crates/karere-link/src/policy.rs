//! How a link behaves.

use core::time::Duration;

use crate::backoff::Jitter;

/// Whether a lost connection is made anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete: it is or it is not")]
pub enum Reconnect {
    /// Always, until the application disconnects.
    #[default]
    Automatic,
    /// Only when the application says so.
    Never,
}

/// Whether a Server Reference is followed (5.0, §4.11): the server that was dialed names others to use instead.
///
/// A reference to a server that has been tried since the last stable connection is not followed: it would be a loop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete: never, for this time, for good")]
pub enum Redirect {
    /// It is not: the refusal is told, and the next configured server is tried.
    Never,
    /// For this connection. The one after it begins with the configured servers again.
    #[default]
    Once,
    /// As [`Redirect::Once`], and a server that has moved (0x9D) is dialed at its new place first from then on.
    Remember,
}

/// Whether the driver asks the application before each attempt where to go and who to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete: it asks or it does not")]
pub enum Refresh {
    /// It does not.
    #[default]
    Never,
    /// Before each attempt, also of a redirect and of another version.
    EachAttempt,
}

/// How a link behaves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Policy {
    /// Whether a lost connection is made anew.
    pub reconnect: Reconnect,
    /// The shortest wait between two rounds of attempts. 1 s.
    pub minimum_delay: Duration,
    /// The longest wait between two rounds of attempts. 120 s.
    pub maximum_delay: Duration,
    /// Whether waits are spread.
    pub jitter: Jitter,
    /// A connection that lasted this long was stable: the next wait is the shortest again. 10 s.
    pub stable_after: Duration,
    /// How long resolving a name may take, each address to answer, and all handshakes of the layers. 5 s, as in paho.
    pub connect_timeout: Duration,
    /// How long an address gets before the next one is dialed beside it (RFC 8305, section 5). 250 ms.
    pub attempt_delay: Duration,
    /// How long the last bytes may take to leave, and the server to close its side, after DISCONNECT. 1 s.
    pub linger: Duration,
    /// Whether a Server Reference is followed.
    pub redirect: Redirect,
    /// How long a connection to a server that is not of the best priority may last before it is seen whether a better one
    /// answers again, and how often. `None`: never. 5 min.
    pub fail_back: Option<Duration>,
    /// Whether the application is asked before each attempt.
    pub refresh: Refresh,
    /// How long the application may take to answer that. 30 s.
    pub refresh_timeout: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            reconnect: Reconnect::Automatic,
            minimum_delay: Duration::from_secs(1),
            maximum_delay: Duration::from_secs(120),
            jitter: Jitter::Uniform,
            stable_after: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            attempt_delay: Duration::from_millis(250),
            linger: Duration::from_secs(1),
            redirect: Redirect::Once,
            fail_back: Some(Duration::from_secs(300)),
            refresh: Refresh::Never,
            refresh_timeout: Duration::from_secs(30),
        }
    }
}

/// 136 years. A deadline that is farther away may be more than an `Instant` can say.
const LONGEST: Duration = Duration::from_secs(u32::MAX as u64);
/// RFC 8305, section 5: addresses must not be dialed faster.
const SHORTEST_ATTEMPT_DELAY: Duration = Duration::from_millis(10);
/// A better server is not asked for more often.
const SHORTEST_FAIL_BACK: Duration = Duration::from_secs(1);

impl Policy {
    /// As it is, with times that are for ever cut to [`LONGEST`], and those that would do harm to their least.
    pub(crate) fn bounded(self) -> Self {
        Self {
            minimum_delay: self.minimum_delay.min(LONGEST),
            maximum_delay: self.maximum_delay.min(LONGEST),
            connect_timeout: self.connect_timeout.min(LONGEST),
            attempt_delay: self.attempt_delay.clamp(SHORTEST_ATTEMPT_DELAY, LONGEST),
            linger: self.linger.min(LONGEST),
            fail_back: self.fail_back.map(|after| after.clamp(SHORTEST_FAIL_BACK, LONGEST)),
            refresh_timeout: self.refresh_timeout.min(LONGEST),
            ..self
        }
    }
}
