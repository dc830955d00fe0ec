//! Messages: taken from clients, routed to sessions, sent within the window, acknowledged (§3.3, §4.3, §4.9).

use std::time::Instant;

use karere_proto::{
    Packet, PacketId, Publish, QoS, ReasonCode, Topic,
    packet::{Ack, AckKind, Attempt, PublishPacket},
};

use crate::{
    broker::Broker,
    connection::ConnectionId,
    message::Message,
    outgoing::Sending,
    session::{Progress, Queued, Quota, SessionId},
};

/// A rule that a client broke, and the words for it.
type Breach = (ReasonCode, &'static str);

/// Whether a packet identifier belongs to a QoS 2 message that was received and not released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    No,
    Yes,
}

impl Broker {
    pub(crate) fn handle_publish(&mut self, now: Instant, id: ConnectionId, packet: PublishPacket) {
        self.counters.message_in(packet.qos);
        self.counters.duplicates_in += u64::from(packet.attempt == Attempt::Again);
        let packet_id = packet.id;
        let publish = match self.check_publish(id, packet) {
            Ok(publish) => publish,
            Err((reason, why)) => return self.fail(now, id, reason, why),
        };
        let Some(session_id) = self.connections.get(&id).and_then(|connection| connection.session) else {
            return;
        };
        let Some(packet_id) = packet_id else {
            self.route(now, Some(session_id), Message::new(now, publish));
            return;
        };
        let Some(session) = self.sessions.get(&session_id) else {
            return;
        };
        let held = if session.held.contains(&packet_id) { Held::Yes } else { Held::No };
        if let Err((reason, why)) = self.check_window(id, packet_id, held) {
            return self.fail(now, id, reason, why);
        }
        let kind = if publish.qos == QoS::AtLeastOnce { AckKind::PubAck } else { AckKind::PubRec };
        match (held, kind) {
            (Held::No, AckKind::PubRec) => {
                self.sessions.get_mut(&session_id).into_iter().for_each(|session| {
                    session.held.insert(packet_id);
                });
            }
            (Held::No, _) => {}
            (Held::Yes, AckKind::PubRec) => {
                self.counters.duplicates_suppressed += 1; // [MQTT-4.3.3-10]
                return self.send(now, id, &Packet::Ack(Ack::new(kind, packet_id)));
            }
            (Held::Yes, _) => {
                let ack = Ack::with_reason(kind, packet_id, ReasonCode::PacketIdentifierInUse);
                return self.send(now, id, &Packet::Ack(ack));
            }
        }
        let recipients = self.route(now, Some(session_id), Message::new(now, publish));
        let reason = if recipients == 0 { ReasonCode::NoMatchingSubscribers } else { ReasonCode::Success };
        self.send(now, id, &Packet::Ack(Ack::with_reason(kind, packet_id, reason)));
    }

    pub(crate) fn handle_ack(&mut self, now: Instant, id: ConnectionId, ack: &Ack) {
        let Some(session_id) = self.connections.get(&id).and_then(|connection| connection.session) else {
            return;
        };
        let Some(session) = self.sessions.get_mut(&session_id) else {
            return;
        };
        let progress = match ack.kind {
            AckKind::PubAck => session.outbound.handle_puback(ack.id),
            AckKind::PubRec if ack.reason.is_failure() => session.outbound.handle_refusal(ack.id),
            AckKind::PubRec => session.outbound.handle_pubrec(ack.id),
            AckKind::PubComp => session.outbound.handle_pubcomp(ack.id),
            AckKind::PubRel => {
                let known = session.held.remove(&ack.id);
                let reason = if known { ReasonCode::Success } else { ReasonCode::PacketIdentifierNotFound };
                let answer = Ack::with_reason(AckKind::PubComp, ack.id, reason);
                return self.send(now, id, &Packet::Ack(answer));
            }
        };
        match progress {
            Progress::Done(quota) => {
                self.refund(id, quota);
                self.pump(now, session_id);
            }
            Progress::Release => self.send(now, id, &Packet::Ack(Ack::new(AckKind::PubRel, ack.id))),
            Progress::Unknown => {
                self.counters.unknown_acks += 1;
                if ack.kind == AckKind::PubRec && !ack.reason.is_failure() {
                    let answer = Ack::with_reason(AckKind::PubRel, ack.id, ReasonCode::PacketIdentifierNotFound);
                    self.send(now, id, &Packet::Ack(answer));
                }
            }
            Progress::Mismatch => {
                let why = "received an acknowledgement of a kind that its message does not wait for (§4.3)";
                self.fail(now, id, ReasonCode::ProtocolError, why);
            }
        }
    }

    /// Sends a message to every session that wants it, keeps it if it is to be retained; says how many want it.
    pub(crate) fn route(&mut self, now: Instant, publisher: Option<SessionId>, message: Message) -> usize {
        if message.publish.retain {
            self.retained.store(&message);
        }
        let mut recipients = core::mem::take(&mut self.recipients);
        let sessions = &self.sessions;
        let online = |id| sessions.get(&id).is_some_and(|session| session.connection.is_some());
        self.subscriptions.recipients(message.publish.topic.as_str(), publisher, online, &mut recipients);
        let count = recipients.len();
        for recipient in recipients.drain(..) {
            let mut copy = message.clone();
            copy.publish.qos = copy.publish.qos.min(recipient.qos);
            copy.publish.retain &= recipient.retain_as_published; // [MQTT-3.3.1-12, MQTT-3.3.1-13]
            self.deliver(now, recipient.session, copy, &recipient.identifiers);
        }
        self.recipients = recipients;
        count
    }

    /// Sends a message to one session, or lets it wait there.
    pub(crate) fn deliver(&mut self, now: Instant, id: SessionId, mut message: Message, identifiers: &[u32]) {
        for &identifier in identifiers {
            let added = message.publish.properties.add_subscription_identifier(identifier);
            added.expect("invariant: it was legal in SUBSCRIBE");
        }
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let connection = session.connection.and_then(|id| self.connections.get(&id).map(|connection| (id, connection)));
        if message.publish.qos == QoS::AtMostOnce {
            match connection {
                Some((_, connection)) if connection.outbox.len() > self.config.maximum_output => {
                    self.counters.dropped_slow += 1;
                    return;
                }
                Some((connection_id, _)) => {
                    if message.is_expired(now) {
                        self.counters.dropped_expired += 1;
                        return;
                    }
                    let packet = PublishPacket::new(message.publish_at(now), None, Attempt::First);
                    self.send_publish(now, connection_id, packet);
                    return;
                }
                None if self.config.queue_qos_0 => {}
                None => return,
            }
        }
        if connection.is_none_or(|(_, connection)| connection.quota == 0) {
            message = message.detached(); // it may wait for long
        }
        if session.outbound.enqueue(message, self.config.maximum_queued) == Queued::OldestDropped {
            self.counters.dropped_full += 1;
        }
        self.pump(now, id);
    }

    /// Sends what waits for a session as far as the window is open: first what is sent again, in order [MQTT-4.6.0-1].
    pub(crate) fn pump(&mut self, now: Instant, id: SessionId) {
        loop {
            let Some(session) = self.sessions.get_mut(&id) else {
                return;
            };
            let Some(connection_id) = session.connection else {
                return;
            };
            let Some(connection) = self.connections.get_mut(&connection_id).filter(|connection| connection.is_online())
            else {
                return;
            };
            if connection.quota == 0 || connection.outbox.len() > self.config.maximum_output {
                return;
            }
            if let Some((packet_id, message)) = session.outbound.next_again() {
                connection.quota -= 1;
                let packet = PublishPacket::new(message.publish_at(now), Some(packet_id), Attempt::Again);
                if self.send_publish(now, connection_id, packet) == Sending::TooLarge {
                    self.give_up(connection_id, id, packet_id);
                }
                continue;
            }
            if session.outbound.is_out_of_ids() {
                return;
            }
            let Some(message) = session.outbound.next_queued() else {
                return;
            };
            if message.is_expired(now) {
                self.counters.dropped_expired += 1;
                continue;
            }
            if message.publish.qos == QoS::AtMostOnce {
                let packet = PublishPacket::new(message.publish_at(now), None, Attempt::First);
                self.send_publish(now, connection_id, packet);
                continue;
            }
            let packet_id = session.outbound.free_id();
            let packet = PublishPacket::new(message.publish_at(now), Some(packet_id), Attempt::First);
            session.outbound.sent(packet_id, message);
            connection.quota -= 1;
            if self.send_publish(now, connection_id, packet) == Sending::TooLarge {
                self.give_up(connection_id, id, packet_id);
            }
        }
    }

    /// A message is too large for the client: as good as delivered [MQTT-3.1.2-25].
    fn give_up(&mut self, connection: ConnectionId, session: SessionId, packet_id: PacketId) {
        if let Some(session) = self.sessions.get_mut(&session) {
            let quota = session.outbound.give_up(packet_id);
            self.refund(connection, quota);
        }
    }

    fn refund(&mut self, id: ConnectionId, quota: Quota) {
        if quota == Quota::Charged
            && let Some(connection) = self.connections.get_mut(&id)
        {
            connection.refund();
        }
    }

    /// The message in a packet, once its topic is known and its limits are kept.
    fn check_publish(&mut self, id: ConnectionId, packet: PublishPacket) -> Result<Publish, Breach> {
        if packet.qos > self.config.maximum_qos {
            return Err((ReasonCode::QoSNotSupported, "received PUBLISH above Maximum QoS [MQTT-3.2.2-11]"));
        }
        if packet.retain && !self.config.retain_available {
            return Err((ReasonCode::RetainNotSupported, "received PUBLISH with RETAIN [MQTT-3.2.2-14]"));
        }
        let topic = self.topic_of(id, &packet)?;
        Ok(packet.into_publish(topic))
    }

    fn topic_of(&mut self, id: ConnectionId, packet: &PublishPacket) -> Result<Topic, Breach> {
        let unknown = (ReasonCode::ProtocolError, "received PUBLISH with a topic alias that was never set (§3.3.4)");
        let alias = if packet.properties.is_empty() { None } else { packet.properties.topic_alias() };
        let Some(alias) = alias else {
            return packet.topic.clone().ok_or(unknown);
        };
        if alias > self.config.topic_alias_maximum {
            return Err((
                ReasonCode::TopicAliasInvalid,
                "received PUBLISH with a topic alias above Topic Alias Maximum [MQTT-3.2.2-17]",
            ));
        }
        let connection = self.connections.get_mut(&id).ok_or(unknown)?;
        match &packet.topic {
            Some(topic) => {
                connection.aliases_in.insert(alias, topic.clone());
                Ok(topic.clone())
            }
            None => connection.aliases_in.get(&alias).cloned().ok_or(unknown),
        }
    }

    /// Whether the client may have this message in flight, too (§3.3.4, §4.9).
    fn check_window(&mut self, id: ConnectionId, packet_id: PacketId, held: Held) -> Result<(), Breach> {
        let Some(connection) = self.connections.get_mut(&id) else {
            return Ok(());
        };
        let new = connection.unanswered.insert(packet_id);
        if connection.unanswered.len() > usize::from(self.config.receive_maximum.get()) {
            return Err((ReasonCode::ReceiveMaximumExceeded, "received PUBLISH beyond Receive Maximum [MQTT-3.3.4-7]"));
        }
        // On one connection 5.0 sends nothing twice [MQTT-4.4.0-1]; older versions may.
        if !new && held == Held::No && connection.rules().properties {
            return Err((
                ReasonCode::ProtocolError,
                "received PUBLISH with a packet identifier that is still in use [MQTT-2.2.1-3]",
            ));
        }
        Ok(())
    }
}
