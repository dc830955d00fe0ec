//! CONNECT and CONNACK: what is asked, what is answered, and what becomes of the session (§3.1, §3.2, §4.1).

use super::{
    Cause, CleanFlag, CleanStart, Event, Negotiated, Phase, Session, Timer,
    alias::Aliases,
    config::{LostSession, Resubscribe, SessionExpiry},
    error::CommandError,
    journal::Record,
    requests::Present,
};
use crate::{
    error::{ProtocolError, Rule},
    packet::{Auth, ConnAck, Connect, PacketType, size},
    properties::{Carrier, PropertyId, Value},
    reason::ReasonCode,
    text::Utf8String,
};

/// What becomes of the session after CONNACK.
enum Decision {
    /// The server has it: go on where it stopped.
    Resume,
    /// The server has none: what this client holds of the old one is void.
    StartAnew,
    /// The server has none, and what is in flight goes on all the same ([`LostSession::Continue`]).
    Continue,
}

impl Session {
    /// Whether the next CONNECT asks for a new session.
    pub(super) fn clean_flag(&self) -> CleanFlag {
        let clean = if self.config.connect.version.rules().properties {
            self.state.force_clean
                || match self.config.clean_start {
                    CleanStart::Always => true,
                    CleanStart::FirstOnly => !self.state.connected_before,
                    CleanStart::Never | CleanStart::Adopt => false,
                }
        } else {
            // One flag says both there: a session that ends with its connection is also begun anew.
            self.config.session_expiry == SessionExpiry::AtClose
        };
        if clean { CleanFlag::Clean } else { CleanFlag::Resume }
    }

    pub(super) fn connect_packet(&self, clean: CleanFlag) -> Connect {
        let mut connect = self.config.connect.clone();
        connect.clean_start = clean == CleanFlag::Clean;
        let expiry = self.config.session_expiry.seconds();
        if connect.version.rules().properties && expiry > 0 {
            connect
                .properties
                .set(PropertyId::SessionExpiryInterval, Value::U32(expiry))
                .expect("invariant: any number of seconds is legal");
        }
        connect
    }

    pub(super) fn handle_connack(&mut self, clean: CleanFlag, ack: ConnAck) -> Result<Option<Event>, ProtocolError> {
        if ack.reason.is_failure() {
            self.close(Cause::Refused(ack), None); // Session Present of a refusal means nothing [MQTT-3.2.2-6]
            return Ok(None);
        }
        self.versions.note_accepted(self.wire.negotiated.version);
        let negotiated = self.wire.negotiated.after_connack(&ack);
        self.check_connack(&ack)?;
        let decision = match self.decide(clean, &ack, &negotiated)? {
            Decision::StartAnew if self.config.lost_session == LostSession::Continue => Decision::Continue,
            decision => decision,
        };
        if self.state.client_id.is_empty()
            && let Some(assigned) = ack.properties.assigned_client_identifier()
        {
            self.state.client_id = Utf8String::new(assigned).expect("invariant: came as such a string");
            self.log.record(|| Record::Identity { client_id: assigned.to_owned() });
        }
        self.timers.stop(Timer::ConnAck);
        self.phase = Phase::Online;
        self.wire.window.open(negotiated.receive_maximum.min(self.config.max_in_flight.get()));
        self.wire.negotiated = negotiated;
        self.state.connected_before = true;
        self.state.force_clean = false;
        self.arm_keep_alive();
        self.arm_stalled();
        self.wire.aliases = Aliases::new(negotiated.topic_alias_maximum.min(self.config.topic_aliases));
        let present = match decision {
            Decision::Resume => {
                self.resume();
                Present::Yes
            }
            Decision::StartAnew => {
                self.start_anew();
                Present::No
            }
            Decision::Continue => {
                self.state.held.clear(); // identifiers of the new session's messages are its own
                self.resume();
                Present::No
            }
        };
        self.establish(negotiated.session_expiry);
        match (self.config.resubscribe, present) {
            (Resubscribe::Always, _) | (Resubscribe::WhenLost, Present::No) => self.resubscribe(present),
            (Resubscribe::WhenLost, Present::Yes) | (Resubscribe::Never, _) => {}
        }
        self.pump();
        self.check_drained();
        Ok(Some(Event::Connected(ack)))
    }

    fn check_connack(&self, ack: &ConnAck) -> Result<(), ProtocolError> {
        let fail = |rule| Err(ProtocolError::new(PacketType::ConnAck, rule));
        let asked = &self.wire.asked;
        let answered = &ack.properties;
        match (asked.authentication_method(), answered.authentication_method()) {
            (None, Some(_)) => return fail(Rule::AuthUnexpected),
            (Some(asked), answered) if answered != Some(asked) => return fail(Rule::AuthOtherMethod),
            _ => {}
        }
        if answered.response_information().is_some() && asked.request_response_information() != Some(true) {
            return fail(Rule::ResponseInformation);
        }
        let owes_id = self.state.client_id.is_empty() && self.wire.negotiated.rules().properties;
        if owes_id && answered.assigned_client_identifier().is_none() {
            return fail(Rule::AssignedClientId);
        }
        Ok(())
    }

    /// The table of what client and server know of the session.
    ///
    /// | asked | client knows it | Session Present | |
    /// |---|---|---|---|
    /// | clean | any | 0 | start anew [MQTT-3.1.2-4] |
    /// | clean | any | 1 | the server's error [MQTT-3.2.2-2] |
    /// | resume | yes | 1 | resume |
    /// | resume | yes | 0 | start anew [MQTT-3.2.2-5] |
    /// | resume | no | 1 | 5.0: close, then clean [MQTT-3.2.2-4], unless told to adopt it; 3.1.1: resume |
    /// | resume | no | 0 | start anew |
    ///
    /// 3.1 does not tell: what is in flight is sent again under its identifiers.
    fn decide(&mut self, clean: CleanFlag, ack: &ConnAck, negotiated: &Negotiated) -> Result<Decision, ProtocolError> {
        let unexpected = Err(ProtocolError::new(PacketType::ConnAck, Rule::SessionPresent));
        match clean {
            CleanFlag::Clean if ack.session_present => unexpected,
            CleanFlag::Clean => Ok(Decision::StartAnew),
            CleanFlag::Resume if !negotiated.tells_session_present => Ok(Decision::Resume),
            CleanFlag::Resume if !ack.session_present => Ok(Decision::StartAnew),
            CleanFlag::Resume => {
                let adopts = !negotiated.strict_session_present || self.config.clean_start == CleanStart::Adopt;
                if self.state.known || adopts {
                    Ok(Decision::Resume)
                } else {
                    self.state.force_clean = true;
                    unexpected
                }
            }
        }
    }

    /// From now on client and server know of one session.
    fn establish(&mut self, expiry: u32) {
        self.state.known = true;
        if expiry > 0 {
            self.log.record(|| Record::Established { expiry });
        }
    }

    fn start_anew(&mut self) {
        // Nothing may reach the new session before the old one is forgotten for good: after a crash, identifiers held
        // from the old one would swallow what the new one's subscriptions bring.
        let lsn = self.log.record(|| Record::Cleared);
        self.wire.output.gate(lsn);
        self.state.held.clear();
        self.lose_in_flight();
    }

    pub(super) fn handle_auth(&mut self, auth: Auth) -> Result<Event, ProtocolError> {
        let fail = |rule| Err(ProtocolError::new(PacketType::Auth, rule));
        let Some(method) = self.wire.asked.authentication_method() else {
            return fail(Rule::AuthUnexpected);
        };
        if auth.properties.authentication_method() != Some(method) {
            return fail(Rule::AuthOtherMethod);
        }
        let fits = match auth.reason {
            ReasonCode::ContinueAuthentication => self.authenticates(),
            // Before CONNACK, it is CONNACK that says so.
            ReasonCode::Success => self.wire.re_authenticates,
            _ => false,
        };
        if !fits {
            return fail(Rule::AuthReason);
        }
        self.wire.re_authenticates &= auth.reason != ReasonCode::Success;
        Ok(Event::Auth(auth))
    }

    /// Sends a step of enhanced authentication (§4.12).
    ///
    /// # Errors
    ///
    /// [`CommandError`] when there is no connection, CONNECT did not name this method, or it is not this client's turn.
    pub fn authenticate(&mut self, auth: Auth) -> Result<(), CommandError> {
        if !self.wire.negotiated.rules().properties {
            return Err(CommandError::NotInVersion("AUTH", self.wire.negotiated.version));
        }
        if !matches!(self.phase, Phase::Connecting { .. } | Phase::Online) {
            return Err(CommandError::NotConnected);
        }
        let method = self.wire.asked.authentication_method();
        if method.is_none() || auth.properties.authentication_method() != method {
            return Err(CommandError::AuthenticationMethod);
        }
        let fits = match auth.reason {
            ReasonCode::ContinueAuthentication => self.authenticates(),
            ReasonCode::ReAuthenticate => !self.authenticates(),
            _ => false,
        };
        if !fits {
            return Err(CommandError::Reason(auth.reason));
        }
        auth.properties.check(Carrier::Packet(PacketType::Auth)).map_err(CommandError::Property)?;
        let (size, maximum) = (size(&auth, self.wire.negotiated.rules()), self.wire.negotiated.maximum_packet_size);
        if size > maximum as usize {
            return Err(CommandError::TooLarge { size, maximum });
        }
        self.wire.re_authenticates |= auth.reason == ReasonCode::ReAuthenticate;
        self.send(&auth);
        Ok(())
    }

    /// True while an exchange runs: before CONNACK, and from Re-authenticate to Success.
    const fn authenticates(&self) -> bool {
        matches!(self.phase, Phase::Connecting { .. }) || self.wire.re_authenticates
    }
}
