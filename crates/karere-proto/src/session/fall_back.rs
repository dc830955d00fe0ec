//! Which version the next CONNECT speaks: the configured one, or a lower one where the server does not speak that.
//!
//! ```text
//!                  not spoken                not spoken
//!   ┌────────────┐───────────►┌───────┐─────────────────────► …
//!   │ configured │            │ lower │   accepted: it stays
//!   └────────────┘◄───────────└───────┘
//!                  no answer, or not spoken and none left
//! ```
//!
//! "Not spoken" is a refusal for the version, or an orderly end after CONNECT without a single byte. The latter is what an
//! overloaded server does too: it counts only until the version has been accepted, and leads nowhere for long.

use super::{Cause, CloseCause, Config, FallBack, Session};
use crate::{
    packet::{ConnAck, Connect},
    reason::ReasonCode,
    version::Version,
};

/// Valid for the session: what is known about versions.
#[derive(Debug, Default)]
pub(super) struct Versions {
    /// What was configured, while a lower version is in use.
    pub(super) configured: Option<Box<Config>>,
    /// Whether a CONNECT in this version was accepted, in the order of [`Version::ALL`].
    accepted: [bool; Version::ALL.len()],
}

impl Versions {
    pub(super) const fn note_accepted(&mut self, version: Version) {
        self.accepted[version as usize] = true;
    }

    const fn has_accepted(&self, version: Version) -> bool {
        self.accepted[version as usize]
    }
}

impl Session {
    /// The server has refused CONNECT: why the connection ended, and which version is next.
    pub(super) fn handle_refusal(&mut self, ack: ConnAck) -> Cause {
        if ack.reason != ReasonCode::UnsupportedProtocolVersion {
            return Cause::Refused(ack);
        }
        match self.fall_back() {
            Some(next) => Cause::OtherVersion { refused: Some(ack), next },
            None => {
                self.climb_back();
                Cause::Refused(ack)
            }
        }
    }

    /// The server has not answered CONNECT with a single byte: why the connection ended, and which version is next.
    pub(super) fn handle_silence(&mut self, cause: Cause) -> Cause {
        let has_seen_connect = self.unsent() == 0;
        if has_seen_connect
            && cause == Cause::Transport(CloseCause::Closed)
            && let Some(next) = self.fall_back()
        {
            return Cause::OtherVersion { refused: None, next };
        }
        self.climb_back();
        cause
    }

    /// Goes on to the next lower version, where that is wanted and what was configured can be said in it.
    fn fall_back(&mut self) -> Option<Version> {
        let version = self.wire.negotiated.version;
        if self.config.fall_back == FallBack::Never
            || self.config.connect.version != version // configured since: it was not tried yet
            || self.versions.has_accepted(version)
        {
            return None;
        }
        let next = version.previous()?;
        // An identifier that the server has assigned stands in the place of the empty one.
        let connect = Connect { client_id: self.state.client_id.clone(), ..self.config.connect.clone() };
        let lowered = Config { connect, ..self.config.clone() }.lowered(next).ok()?;
        let higher = core::mem::replace(&mut self.config, lowered);
        self.versions.configured.get_or_insert_with(|| Box::new(higher));
        Some(next)
    }

    /// Back to the configured version, unless the one in use has proved right.
    fn climb_back(&mut self) {
        if !self.versions.has_accepted(self.config.connect.version)
            && let Some(configured) = self.versions.configured.take()
        {
            self.config = *configured;
        }
    }
}
