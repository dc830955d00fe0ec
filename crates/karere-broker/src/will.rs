//! Wills: what is published for a client that is gone, and when (§3.1.2.5, §3.1.3.2.2).

use core::time::Duration;

use karere_proto::{PropertyId, Publish, packet};

/// A will that waits for its connection to end.
#[derive(Clone, Debug)]
pub(crate) struct Will {
    pub(crate) publish: Publish,
    /// How long after the connection ended; the end of the session comes first if it does.
    pub(crate) delay: Duration,
}

impl From<packet::Will> for Will {
    fn from(will: packet::Will) -> Self {
        let packet::Will { topic, payload, qos, retain, mut properties, .. } = will;
        let delay = properties.will_delay().unwrap_or_default();
        properties.remove(PropertyId::WillDelayInterval);
        let mut publish = Publish::new(topic, payload).expect("invariant: was a topic").qos(qos).properties(properties);
        publish.retain = retain;
        Self { publish: publish.detached(), delay }
    }
}

/// What happens to a will when its connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WillFate {
    /// Now: the delay is zero, or the session ends with the connection.
    Publish,
    /// After this time, unless the client is back before.
    Wait(Duration),
}

impl Will {
    /// When the will is due, of a session that is kept for `expiry`; `None` is forever.
    pub(crate) fn fate(&self, expiry: Option<Duration>) -> WillFate {
        let wait = expiry.map_or(self.delay, |expiry| self.delay.min(expiry));
        if wait.is_zero() { WillFate::Publish } else { WillFate::Wait(wait) }
    }
}
