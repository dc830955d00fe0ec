//! Messages on their way in: who has been told, who has been answered, in which order (§4.3, §4.6).
//!
//! A QoS 2 message is delivered at its PUBLISH; its identifier is held until PUBREL, so that it is delivered once. Only a
//! connection that the application itself abandons brings again what was not acknowledged.

use std::collections::{HashMap, VecDeque};

use super::{AckOrder, Cause, CloseCause, Delivery, Event, Phase, Session, error::CommandError, journal::Record};
use crate::{
    error::{ProtocolError, Rule},
    id::{IdMap, PacketId},
    packet::{Ack, AckKind, Attempt, PacketType, PublishPacket, Side},
    qos::QoS,
    reason::ReasonCode,
    topic::Topic,
};

/// Valid for the session: identifiers of QoS 2 messages that were delivered and not yet released by the server.
#[derive(Debug, Default)]
pub(super) struct Held {
    messages: IdMap<HeldMessage>,
    began: Began,
}

/// Whether messages may come that were queued for the session before this connection agreed on anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Began {
    /// The session is an earlier connection's.
    #[default]
    Before,
    /// The session is this connection's.
    Here,
}

#[derive(Debug)]
struct HeldMessage {
    /// The number of its [`Delivery`]; void after a restart.
    delivery: u64,
    /// Its place among the answers of the present connection.
    ticket: u64,
    answer: Answer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// The application has abandoned the connection without acknowledging it: it is delivered again when it comes again.
    Abandoned,
    /// The application has not acknowledged it.
    Awaited,
    /// PUBREC may be sent, again if need be.
    Given,
}

impl Held {
    pub(super) fn restore(received: &[PacketId]) -> Self {
        let held = |&id| (id, HeldMessage { delivery: 0, ticket: 0, answer: Answer::Given });
        Self { messages: received.iter().map(held).collect(), began: Began::Before }
    }

    /// The session begins with this connection: nothing is held.
    pub(super) fn clear(&mut self) {
        self.messages.clear();
        self.began = Began::Here;
    }
}

/// Valid for the connection: what came on it and how far it is answered.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    /// QoS 1, in order of arrival.
    pubacks: Answers,
    /// QoS 2, in order of arrival.
    pubrecs: Answers,
    /// Identifiers that count against the Receive Maximum: not yet answered by PUBACK, PUBCOMP or a refusal.
    unanswered: IdMap<()>,
    /// Topics by alias (§3.3.2.3.4); gone with the connection [MQTT-3.3.2-7].
    aliases: HashMap<u16, Topic>,
}

impl Deliveries {
    /// True when every message that came on this connection is answered for good.
    pub(super) fn is_answered(&self) -> bool {
        self.unanswered.is_empty()
    }
}

/// Answers that leave in order of arrival, whatever the order in which they are given [MQTT-4.6.0-2, MQTT-4.6.0-3].
#[derive(Debug, Default)]
struct Answers(VecDeque<Pending>);

#[derive(Debug)]
struct Pending {
    ticket: u64,
    id: PacketId,
    reason: Option<ReasonCode>,
}

impl Answers {
    fn push(&mut self, ticket: u64, id: PacketId) {
        self.0.push_back(Pending { ticket, id, reason: None });
    }

    fn position(&self, ticket: u64) -> Option<usize> {
        // Nearly always the first.
        match self.0.front() {
            Some(first) if first.ticket == ticket => Some(0),
            _ => self.0.binary_search_by_key(&ticket, |pending| pending.ticket).ok(),
        }
    }

    fn answer(&mut self, ticket: u64, reason: ReasonCode) {
        if let Some(at) = self.position(ticket) {
            self.0[at].reason.get_or_insert(reason);
        }
    }

    fn discard(&mut self, ticket: u64) {
        if let Some(at) = self.position(ticket) {
            self.0.remove(at);
        }
    }

    fn pop_answered(&mut self, order: AckOrder) -> Option<(PacketId, ReasonCode)> {
        let at = match order {
            AckOrder::Received => 0,
            AckOrder::Given => self.0.iter().position(|pending| pending.reason.is_some())?,
        };
        let reason = self.0.get(at)?.reason?;
        self.0.remove(at).map(|pending| (pending.id, reason))
    }
}

impl Session {
    /// Says that the application is done with a message: PUBACK or PUBREC leaves, in its turn.
    pub fn acknowledge(&mut self, delivery: Delivery) {
        self.answer(&delivery, ReasonCode::Success);
    }

    /// Says that the application does not take a message (5.0): PUBACK or PUBREC with a failure leaves, in its turn.
    ///
    /// # Errors
    ///
    /// [`CommandError`] when the version has no such answer or a client may not give this reason; the delivery comes
    /// back. Before 5.0 the way is to abandon the connection: [`CommandError::RefusalNotInVersion`].
    pub fn refuse(&mut self, delivery: Delivery, reason: ReasonCode) -> Result<(), (Delivery, CommandError)> {
        let negotiated = self.negotiated();
        if !negotiated.rules().ack_reasons {
            return Err((delivery, CommandError::RefusalNotInVersion(negotiated.version)));
        }
        if !reason.is_failure() || !reason.allowed_in(PacketType::PubAck, Side::Client) {
            return Err((delivery, CommandError::Reason(reason)));
        }
        self.answer(&delivery, reason);
        Ok(())
    }

    fn answer(&mut self, delivery: &Delivery, reason: ReasonCode) {
        let Some(id) = delivery.id else {
            return;
        };
        let online = matches!(self.phase, Phase::Online);
        if delivery.qos == QoS::AtLeastOnce {
            // After a reconnect the server sends it again; a late PUBACK could hit another message.
            if online && delivery.epoch == self.state.epoch {
                self.wire.deliveries.pubacks.answer(delivery.number, reason);
                self.flush_answers();
            }
            return;
        }
        let Some(held) = self.state.held.messages.get_mut(&id).filter(|held| held.delivery == delivery.number) else {
            return;
        };
        let ticket = held.ticket;
        if reason.is_failure() {
            // Unless the server has sent it again already, that will be a new message, to be refused anew.
            self.state.held.messages.remove(&id);
        } else if held.answer != Answer::Given {
            held.answer = Answer::Given;
            self.log.record(|| Record::Received { id });
        }
        if online {
            self.wire.deliveries.pubrecs.answer(ticket, reason);
            self.flush_answers();
        }
    }

    fn flush_answers(&mut self) {
        self.flush_pending();
        self.check_drained();
    }

    fn flush_pending(&mut self) {
        while let Some((id, reason)) = self.wire.deliveries.pubacks.pop_answered(self.config.ack_order) {
            self.wire.deliveries.unanswered.remove(&id);
            self.send(&Ack::with_reason(AckKind::PubAck, id, reason));
        }
        while let Some((id, reason)) = self.wire.deliveries.pubrecs.pop_answered(self.config.ack_order) {
            if reason.is_failure() {
                self.wire.deliveries.unanswered.remove(&id);
            } else {
                // Else a crash would deliver it again although the server was told that it has arrived.
                let last = self.log.last();
                self.wire.output.gate(last);
            }
            self.send(&Ack::with_reason(AckKind::PubRec, id, reason));
        }
    }

    /// The connection has ended. When the application abandoned it, it does not take what is not acknowledged: that shall
    /// come again, unless it is acknowledged before it does.
    pub(super) fn abandon_deliveries(&mut self, cause: &Cause) {
        self.state.held.began = Began::Before;
        if *cause != Cause::Transport(CloseCause::Abandoned) {
            return;
        }
        for pending in &self.wire.deliveries.pubrecs.0 {
            if let Some(held) = self.state.held.messages.get_mut(&pending.id)
                && held.answer == Answer::Awaited
            {
                held.answer = Answer::Abandoned;
            }
        }
    }

    pub(super) fn handle_publish(&mut self, mut packet: PublishPacket) -> Result<Option<Event>, ProtocolError> {
        // What waited in a resumed session may be of the time of another limit; closing would bring it again, for ever
        // (mosquitto 2.0 with a lowered max_qos).
        if packet.qos > self.wire.negotiated.maximum_qos && self.state.held.began == Began::Here {
            return Err(ProtocolError::new(PacketType::Publish, Rule::QoSNotGranted));
        }
        let topic = self.resolve_topic(&mut packet)?;
        let (qos, attempt) = (packet.qos, packet.attempt);
        let Some(id) = packet.id else {
            let delivery = Delivery { number: 0, epoch: self.state.epoch, id: None, qos };
            return Ok(Some(arrival(packet, topic, delivery, attempt)));
        };
        let fail = |rule| Err(ProtocolError::new(PacketType::Publish, rule));
        let deliveries = &mut self.wire.deliveries;
        let fresh = !deliveries.unanswered.contains_key(&id);
        if fresh && deliveries.unanswered.len() >= usize::from(self.wire.negotiated.own_receive_maximum) {
            return fail(Rule::ReceiveMaximum);
        }
        self.state.last_delivery += 1;
        let ticket = self.state.last_delivery;
        if qos == QoS::AtLeastOnce {
            if !fresh || self.state.held.messages.contains_key(&id) {
                return fail(Rule::PacketIdInUse);
            }
            deliveries.pubacks.push(ticket, id);
        } else if let Some(held) = self.state.held.messages.get_mut(&id).filter(|held| held.answer != Answer::Abandoned)
        {
            // Delivered before [MQTT-4.3.3-10]; answered again as soon as the application has acknowledged it.
            deliveries.unanswered.insert(id, ());
            if held.answer == Answer::Awaited && deliveries.pubrecs.position(held.ticket).is_some() {
                return Ok(None); // it already has its place among the answers
            }
            deliveries.pubrecs.push(ticket, id);
            held.ticket = ticket;
            if held.answer == Answer::Given {
                deliveries.pubrecs.answer(ticket, ReasonCode::Success);
                self.flush_answers();
            }
            return Ok(None);
        } else {
            if !fresh {
                return fail(Rule::PacketIdInUse);
            }
            deliveries.pubrecs.push(ticket, id);
            self.state.held.messages.insert(id, HeldMessage { delivery: ticket, ticket, answer: Answer::Awaited });
        }
        deliveries.unanswered.insert(id, ());
        let delivery = Delivery { number: ticket, epoch: self.state.epoch, id: Some(id), qos };
        Ok(Some(arrival(packet, topic, delivery, attempt)))
    }

    pub(super) fn handle_pubrel(&mut self, id: PacketId) {
        self.wire.deliveries.unanswered.remove(&id);
        let Some(held) = self.state.held.messages.remove(&id) else {
            // Never silence: the server would wait for ever [MQTT-4.3.3-11].
            self.send(&Ack::with_reason(AckKind::PubComp, id, ReasonCode::PacketIdentifierNotFound));
            return;
        };
        if held.answer == Answer::Awaited {
            // The server releases what was not acknowledged on this connection: there is nothing left to answer.
            self.wire.deliveries.pubrecs.discard(held.ticket);
            self.flush_pending();
        }
        // Else a crash would still hold the identifier, and swallow the message that the server uses it for next.
        let lsn = self.log.record(|| Record::Forgotten { id });
        self.wire.output.gate(lsn);
        self.send(&Ack::new(AckKind::PubComp, id));
        self.check_drained();
    }

    /// The topic a PUBLISH names, by name or by alias (§3.3.2.3.4).
    fn resolve_topic(&mut self, packet: &mut PublishPacket) -> Result<Topic, ProtocolError> {
        let fail = |rule| ProtocolError::new(PacketType::Publish, rule);
        let topic = packet.topic.take();
        if packet.properties.is_empty() {
            return topic.ok_or_else(|| fail(Rule::TopicEmpty));
        }
        let Some(alias) = packet.properties.topic_alias() else {
            return topic.ok_or_else(|| fail(Rule::TopicEmpty));
        };
        if alias > self.wire.negotiated.own_topic_alias_maximum {
            return Err(fail(Rule::TopicAliasRange));
        }
        let aliases = &mut self.wire.deliveries.aliases;
        match topic {
            Some(topic) => {
                aliases.insert(alias, topic.clone());
                Ok(topic)
            }
            None => aliases.get(&alias).cloned().ok_or_else(|| fail(Rule::TopicAliasUnknown)),
        }
    }
}

#[inline]
fn arrival(mut packet: PublishPacket, topic: Topic, delivery: Delivery, attempt: Attempt) -> Event {
    match packet.undecoded.take() {
        None => Event::Message { publish: packet.into_publish(topic), delivery, attempt },
        Some(bytes) => Event::Undecodable { topic: *bytes, publish: packet.into_publish(topic), delivery, attempt },
    }
}
