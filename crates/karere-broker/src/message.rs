//! A message on its way through the broker, and the time it has left.

use core::time::Duration;
use std::time::Instant;

use karere_proto::{PropertyId, Publish, Value};

/// A message and when it expires (§3.3.2.3.3).
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) publish: Publish,
    expires: Option<Instant>,
}

impl Message {
    /// A message that arrived `now`.
    pub(crate) fn new(now: Instant, publish: Publish) -> Self {
        // Without properties, the usual case, nothing is searched for.
        let lifetime = if publish.properties.is_empty() { None } else { publish.properties.message_expiry() };
        let expires = lifetime.and_then(|lifetime| now.checked_add(lifetime));
        Self { publish, expires }
    }

    /// True when it may not be sent any more [MQTT-3.3.2-5].
    pub(crate) fn is_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// What is sent `now`: with the time that is left [MQTT-3.3.2-6], in whole seconds, rounded up.
    pub(crate) fn publish_at(&self, now: Instant) -> Publish {
        let mut publish = self.publish.clone();
        if let Some(expires) = self.expires {
            let left = whole_seconds(expires.saturating_duration_since(now));
            if publish.properties.message_expiry() != Some(Duration::from_secs(u64::from(left))) {
                publish
                    .properties
                    .set(PropertyId::MessageExpiryInterval, Value::U32(left))
                    .expect("invariant: any number of seconds is legal");
            }
        }
        publish
    }

    /// A copy that does not keep the buffer alive in which the message came.
    pub(crate) fn detached(&self) -> Self {
        Self { publish: self.publish.detached(), expires: self.expires }
    }
}

fn whole_seconds(duration: Duration) -> u32 {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    u32::try_from(seconds).unwrap_or(u32::MAX)
}
