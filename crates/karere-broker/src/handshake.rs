//! The beginning of a connection: CONNECT, AUTH, CONNACK, and whose session it is (§3.1, §3.2, §4.12).

use core::time::Duration;
use std::time::Instant;

use karere_proto::{
    ClientIdRule, Frame, InvalidProperty, Packet, PacketType, Properties, PropertyId, ProtocolError, ReasonCode, Rule,
    Side, Utf8String, Value, Version,
    packet::{Ack, AckKind, Auth, ConnAck, Connect, Disconnect},
};

use crate::{
    authentication::{Exchange, Step},
    broker::Broker,
    config::Config,
    connection::{Aliases, ConnectionId, KeepAlive, Phase},
    ending::Ending,
    incoming::version_of,
    session::{Session, SessionId},
    timer::Timer,
};

impl Broker {
    /// The first packet of a connection, which must be CONNECT [MQTT-3.1.0-1].
    pub(crate) fn handle_first(&mut self, now: Instant, id: ConnectionId, frame: Frame) {
        if frame.packet_type != PacketType::Connect {
            self.counters.protocol_errors += 1;
            return self.end(now, id, Ending::Lost);
        }
        let version = version_of(&frame.body);
        // CONNECT brings its version along; the rules that are handed in play no part.
        match Packet::decode(frame, Version::default().rules(), Side::Client) {
            Ok(Packet::Connect(connect)) => self.handle_connect(now, id, *connect),
            Ok(_) => self.end(now, id, Ending::Lost),
            Err(error) => self.handle_broken_connect(now, id, version, &error),
        }
    }

    fn handle_broken_connect(
        &mut self,
        now: Instant,
        id: ConnectionId,
        version: Option<Version>,
        error: &ProtocolError,
    ) {
        self.counters.protocol_errors += 1;
        let explains = version.is_some_and(|version| version.rules().server_speaks_up);
        match version {
            None if error.rule == Rule::ProtocolLevel => {
                self.refuse(now, id, self.config.newest_version(), ReasonCode::UnsupportedProtocolVersion);
            }
            Some(version) if explains => {
                let reason = Some(error.reason()).filter(|reason| reason.allowed_in(PacketType::ConnAck, Side::Server));
                self.refuse(now, id, version, reason.unwrap_or(ReasonCode::MalformedPacket));
            }
            // v3: closed without CONNACK [MQTT-3.1.4-1].
            Some(_) | None => {
                self.counters.refused += 1;
                self.end(now, id, Ending::Lost);
            }
        }
    }

    fn handle_connect(&mut self, now: Instant, id: ConnectionId, connect: Connect) {
        if !self.config.speaks(connect.version) {
            let answer = self.config.newest_version().min(connect.version);
            return self.refuse(now, id, answer, ReasonCode::UnsupportedProtocolVersion);
        }
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        connection.version = connect.version;
        if let Some(limit) = connect.properties.maximum_packet_size() {
            connection.maximum_packet_size = usize::try_from(limit).unwrap_or(usize::MAX);
        }
        if let Some(redirect) = &self.config.redirect {
            let mut ack = ConnAck::new(redirect.reason);
            // One that is no string of MQTT is left out; the reason code still tells.
            let _ = ack.properties.set(PropertyId::ServerReference, Value::Str(&redirect.server_reference));
            return self.refuse_with(now, id, connect.version, ack);
        }
        if let Err(reason) = check(&self.config, &connect) {
            return self.refuse(now, id, connect.version, reason);
        }
        match connect.properties.authentication_method() {
            None => self.accept(now, id, connect, Properties::new()),
            Some(method) => {
                if self.config.authentication.as_ref().is_none_or(|script| script.method() != method) {
                    return self.refuse(now, id, connect.version, ReasonCode::BadAuthenticationMethod);
                }
                let said = connect.properties.authentication_data().unwrap_or_default().to_vec();
                connection.exchange = Some(Exchange::Round(0));
                connection.phase = Phase::Authenticating(Box::new(connect));
                self.authenticate(now, id, &said);
            }
        }
    }

    /// AUTH, within CONNECT's exchange or to begin or continue another (§4.12.1).
    pub(crate) fn handle_auth(&mut self, now: Instant, id: ConnectionId, auth: &Auth) {
        let method = self.config.authentication.as_ref().map(|script| script.method());
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let Some(exchange) = connection.exchange.filter(|_| auth.properties.authentication_method() == method) else {
            let why = "received AUTH with a method that CONNECT did not name [MQTT-4.12.0-5, MQTT-4.12.0-7]";
            return self.fail(now, id, ReasonCode::ProtocolError, why);
        };
        match (exchange, auth.reason) {
            (Exchange::Over, ReasonCode::ReAuthenticate) => connection.exchange = Some(Exchange::Round(0)),
            (Exchange::Round(1..), ReasonCode::ContinueAuthentication) => {}
            (Exchange::Over | Exchange::Round(_), _) => {
                let why = "received AUTH with a reason code that does not fit the exchange [MQTT-4.12.0-3]";
                return self.fail(now, id, ReasonCode::ProtocolError, why);
            }
        }
        let said = auth.properties.authentication_data().unwrap_or_default().to_vec();
        self.authenticate(now, id, &said);
    }

    fn authenticate(&mut self, now: Instant, id: ConnectionId, said: &[u8]) {
        let (Some(connection), Some(script)) = (self.connections.get_mut(&id), &self.config.authentication) else {
            return;
        };
        let (online, version) = (connection.is_online(), connection.version);
        match connection.exchange.unwrap_or(Exchange::Over).step(script, said) {
            Step::Continue(next, properties) => {
                connection.exchange = Some(next);
                self.send(now, id, &Packet::Auth(Auth::new(ReasonCode::ContinueAuthentication, properties)));
            }
            Step::Accept(properties) => {
                connection.exchange = Some(Exchange::Over);
                if online {
                    return self.send(now, id, &Packet::Auth(Auth::new(ReasonCode::Success, properties)));
                }
                if let Phase::Authenticating(connect) = core::mem::replace(&mut connection.phase, Phase::Opened) {
                    self.accept(now, id, *connect, properties);
                }
            }
            Step::Refuse if online => self.say_goodbye(now, id, Disconnect::new(ReasonCode::NotAuthorized)),
            Step::Refuse => self.refuse(now, id, version, ReasonCode::NotAuthorized),
        }
    }

    /// The client is let in: gives it its session and says so. `properties` are those of the authentication.
    fn accept(&mut self, now: Instant, id: ConnectionId, mut connect: Connect, mut properties: Properties) {
        self.counters.accepted += 1;
        self.timers.stop(Timer::Connect(id));
        if connect.client_id.is_empty() {
            connect.client_id = self.make_client_id();
            let assigned = Value::Str(&connect.client_id);
            properties
                .set(PropertyId::AssignedClientIdentifier, assigned)
                .expect("invariant: a made-up identifier is short text");
        }
        self.take_over(now, &connect);
        let found = self.by_client_id.get(&connect.client_id).copied();
        let session_present = found.is_some();
        let session_id = found.unwrap_or_else(|| self.make_session(&connect.client_id));
        self.attach(id, session_id, &connect);
        if self.announce(&connect, &mut properties).is_err() {
            // Only a configured text can be no string of MQTT.
            return self.refuse(now, id, connect.version, ReasonCode::ImplementationSpecificError);
        }
        self.listen(now, id, &connect);
        let mut ack = ConnAck::new(ReasonCode::Success);
        ack.session_present = session_present;
        ack.properties = properties;
        self.send(now, id, &Packet::ConnAck(ack));
        self.resume(now, id, session_id);
    }

    /// Ends what else uses the client identifier: its connection [MQTT-3.1.4-3], and the session if a new one is wanted.
    fn take_over(&mut self, now: Instant, connect: &Connect) {
        let old = |broker: &Self| broker.by_client_id.get(&connect.client_id).copied();
        let connection = old(self).and_then(|session| self.sessions.get(&session)?.connection);
        if let Some(connection) = connection {
            self.say_goodbye(now, connection, Disconnect::new(ReasonCode::SessionTakenOver));
        }
        if connect.clean_start
            && let Some(session) = old(self)
        {
            self.end_session(now, session);
        }
    }

    fn make_session(&mut self, client_id: &Utf8String) -> SessionId {
        let id = SessionId(self.sessions_made);
        self.sessions_made += 1;
        // The identifier is a slice of what was read, and would keep all of it.
        let client_id = Utf8String::new(client_id).unwrap_or_default();
        self.by_client_id.insert(client_id.clone(), id);
        self.sessions.insert(id, Session::new(client_id));
        id
    }

    /// An identifier that no session has. Counted, so that runs repeat.
    fn make_client_id(&mut self) -> Utf8String {
        loop {
            self.client_ids_made += 1;
            let made = Utf8String::new(&format!("karere-{}", self.client_ids_made)).unwrap_or_default();
            if !self.by_client_id.contains_key(&made) {
                return made;
            }
        }
    }

    fn attach(&mut self, id: ConnectionId, session_id: SessionId, connect: &Connect) {
        self.timers.stop(Timer::SessionExpiry(session_id));
        self.timers.stop(Timer::WillDelay(session_id));
        let (Some(connection), Some(session)) = (self.connections.get_mut(&id), self.sessions.get_mut(&session_id))
        else {
            return;
        };
        session.connection = Some(id);
        session.will = connect.will.clone().map(Into::into);
        session.expiry = self.config.session_expiry(wanted_expiry(connect));
        session.outbound.resume();
        connection.phase = Phase::Online;
        connection.client_id = Some(session.client_id.clone());
        connection.session = Some(session_id);
        let window = connect.properties.receive_maximum().unwrap_or(u16::MAX);
        connection.window = window.min(self.config.maximum_in_flight.get());
        connection.quota = connection.window;
        let aliases = connect.properties.topic_alias_maximum().unwrap_or(0);
        connection.aliases_out = Aliases::new(aliases.min(self.config.outbound_topic_aliases));
    }

    /// Starts the keep alive: the client's, or the server's where it can be announced [MQTT-3.1.2-21].
    fn listen(&mut self, now: Instant, id: ConnectionId, connect: &Connect) {
        let announced = self.config.server_keep_alive.filter(|_| connect.version.rules().properties);
        let keep_alive = KeepAlive::new(announced.unwrap_or(connect.keep_alive));
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.keep_alive = keep_alive;
        }
        if let Some(deadline) = keep_alive.and_then(|keep_alive| now.checked_add(keep_alive.patience())) {
            self.timers.set(Timer::KeepAlive(id), deadline);
        }
    }

    /// Sends what was in flight once more [MQTT-4.4.0-1], then what waits.
    fn resume(&mut self, now: Instant, id: ConnectionId, session: SessionId) {
        let released = self.sessions.get(&session).map(|session| session.outbound.released().collect::<Vec<_>>());
        for packet_id in released.unwrap_or_default() {
            self.send(now, id, &Packet::Ack(Ack::new(AckKind::PubRel, packet_id)));
        }
        self.pump(now, session);
    }

    /// Writes into CONNACK what differs from what a client assumes (§3.2.2.3).
    fn announce(&self, connect: &Connect, properties: &mut Properties) -> Result<(), InvalidProperty> {
        use PropertyId as Id;
        let config = &self.config;
        let wanted = wanted_expiry(connect);
        if let Some(maximum) = config.maximum_session_expiry.filter(|&maximum| maximum < wanted) {
            properties.set(Id::SessionExpiryInterval, Value::U32(maximum))?;
        }
        if config.receive_maximum.get() < u16::MAX {
            properties.set(Id::ReceiveMaximum, Value::U16(config.receive_maximum.get()))?;
        }
        if config.maximum_qos < karere_proto::QoS::ExactlyOnce {
            properties.set(Id::MaximumQoS, Value::Byte(config.maximum_qos.level()))?;
        }
        if let Some(bytes) = config.maximum_packet_size {
            properties.set(Id::MaximumPacketSize, Value::U32(bytes.get()))?;
        }
        if config.topic_alias_maximum > 0 {
            properties.set(Id::TopicAliasMaximum, Value::U16(config.topic_alias_maximum))?;
        }
        for (id, available) in [
            (Id::RetainAvailable, config.retain_available),
            (Id::WildcardSubscriptionAvailable, config.wildcards_available),
            (Id::SubscriptionIdentifiersAvailable, config.subscription_identifiers_available),
            (Id::SharedSubscriptionAvailable, config.shared_available),
        ] {
            if !available {
                properties.set(id, Value::Byte(0))?;
            }
        }
        if let Some(seconds) = config.server_keep_alive {
            properties.set(Id::ServerKeepAlive, Value::U16(seconds))?;
        }
        if connect.properties.request_response_information() == Some(true)
            && let Some(information) = &config.response_information
        {
            properties.set(Id::ResponseInformation, Value::Str(information))?;
        }
        Ok(())
    }

    /// Refuses CONNECT with a reason code, in the words of `version`.
    pub(crate) fn refuse(&mut self, now: Instant, id: ConnectionId, version: Version, reason: ReasonCode) {
        self.refuse_with(now, id, version, ConnAck::new(reason));
    }

    fn refuse_with(&mut self, now: Instant, id: ConnectionId, version: Version, ack: ConnAck) {
        self.counters.refused += 1;
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.version = version;
        }
        self.send(now, id, &Packet::ConnAck(ack));
        self.end(now, id, Ending::Lost);
    }
}

impl Config {
    /// How long a session is kept for which `seconds` are wanted; `None` is forever.
    pub(crate) fn session_expiry(&self, seconds: u32) -> Option<Duration> {
        let seconds = self.maximum_session_expiry.map_or(seconds, |maximum| maximum.min(seconds));
        (seconds < u32::MAX).then(|| Duration::from_secs(u64::from(seconds)))
    }
}

/// Session Expiry Interval as 5.0 would say it, in seconds: Clean Session 0 of 3.1 and 3.1.1 is forever (§3.1.2.11.2).
fn wanted_expiry(connect: &Connect) -> u32 {
    if connect.version.rules().properties {
        connect.properties.session_expiry_interval().unwrap_or(0)
    } else if connect.clean_start {
        0
    } else {
        u32::MAX
    }
}

/// Whether the client may come in at all.
fn check(config: &Config, connect: &Connect) -> Result<(), ReasonCode> {
    let valid_id = match connect.version.rules().client_id {
        ClientIdRule::Short => (1..=23).contains(&connect.client_id.len()),
        ClientIdRule::EmptyIfClean => connect.clean_start || !connect.client_id.is_empty(),
        ClientIdRule::Any => true,
    };
    if !valid_id {
        return Err(ReasonCode::ClientIdentifierNotValid);
    }
    if let Some(will) = &connect.will {
        if will.qos > config.maximum_qos {
            return Err(ReasonCode::QoSNotSupported); // [MQTT-3.2.2-12]
        }
        if will.retain && !config.retain_available {
            return Err(ReasonCode::RetainNotSupported); // [MQTT-3.2.2-13]
        }
    }
    if config.users.is_empty() || connect.properties.authentication_method().is_some() {
        return Ok(());
    }
    let Some(user_name) = &connect.user_name else {
        return Err(ReasonCode::NotAuthorized);
    };
    let password = config.users.get(user_name.as_str());
    match (password, &connect.password) {
        (Some(expected), Some(given)) if expected == given => Ok(()),
        (Some(expected), None) if expected.is_empty() => Ok(()),
        (Some(_) | None, _) => Err(ReasonCode::BadUserNameOrPassword),
    }
}
