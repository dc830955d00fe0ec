//! What the client says about itself: through `tracing`, and to a closure for those without a subscriber.

use core::fmt;
use std::sync::{Arc, PoisonError, RwLock};

/// How much a line matters; paho's five levels are these four, NOTICE being [`Level::Info`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "complete: the levels of paho")]
pub enum Level {
    /// Every packet that passes.
    Debug,
    /// Connections made and ended.
    Info,
    /// What went wrong and is being mended: a lost connection, a failed attempt.
    Warning,
    /// What went wrong and is not.
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
        })
    }
}

/// A closure that is called with lines: their level, and what they say.
pub type LogSink = Arc<dyn Fn(Level, &str) + Send + Sync>;

/// Where lines go. Payloads and secrets are never in them.
#[derive(Default)]
pub(crate) struct Log {
    sink: RwLock<Option<(Level, LogSink)>>,
}

impl Log {
    pub(crate) fn set(&self, sink: Option<(Level, LogSink)>) {
        *self.sink.write().unwrap_or_else(PoisonError::into_inner) = sink;
    }

    /// True when someone wants every packet.
    pub(crate) fn wants_packets(&self) -> bool {
        tracing::enabled!(target: "karere", tracing::Level::DEBUG) || self.sink_for(Level::Debug).is_some()
    }

    pub(crate) fn line(&self, level: Level, line: fmt::Arguments<'_>) {
        match level {
            Level::Debug => tracing::debug!(target: "karere", "{line}"),
            Level::Info => tracing::info!(target: "karere", "{line}"),
            Level::Warning => tracing::warn!(target: "karere", "{line}"),
            Level::Error => tracing::error!(target: "karere", "{line}"),
        }
        // The lock is not held while the closure runs: it may change the sink itself.
        if let Some(sink) = self.sink_for(level) {
            sink(level, &line.to_string());
        }
    }

    fn sink_for(&self, level: Level) -> Option<LogSink> {
        let sink = self.sink.read().unwrap_or_else(PoisonError::into_inner);
        sink.as_ref().filter(|(least, _)| level >= *least).map(|(_, sink)| Arc::clone(sink))
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Log")
    }
}
