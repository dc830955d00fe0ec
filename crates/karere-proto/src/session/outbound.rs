//! Messages on their way out: identifiers, window, queue, acknowledgements, sending again (§4.3, §4.4, §4.6, §4.9).

use core::time::Duration;
use std::{
    collections::{BTreeMap, VecDeque},
    time::Instant,
};

use super::{
    Event, InFlight, LostSession, NotSent, Outcome, Phase, Session, Timer,
    clock::Clock,
    error::PublishError,
    journal::{Queued, Record},
    queue::{Of, Queue, Waiting, count_down, lifetime, weight},
    requests::Origin,
};
use crate::{
    error::{ProtocolError, Rule},
    id::{IdMap, PacketId, Token},
    packet::{Ack, AckKind, Alias, Attempt, Disconnect, Packet, Publish, Subscribe, Unsubscribe, publish::Outgoing},
    properties::Properties,
    qos::QoS,
    reason::ReasonCode,
};

/// New messages wait in the queue while more bytes than this have not reached the socket: acknowledgements and PINGREQ
/// then never stand behind more than that, and memory is counted by the queue's limits.
const OUTPUT_LIMIT: u64 = 128 * 1024;

/// How often what waits is looked through for messages that have expired.
const EXPIRY_SWEEP: Duration = Duration::from_secs(1);

/// Valid for the session: what is in flight and what waits.
#[derive(Debug, Default)]
pub(super) struct Outbound {
    /// Everything that occupies a packet identifier.
    pub(super) slots: IdMap<Slot>,
    next_id: PacketId,
    /// What waits.
    pub(super) queue: Queue,
    /// Identifiers the application has chosen for requests that wait.
    pub(super) chosen: IdMap<()>,
    /// Counts first sendings and PUBRECs: the order in which things are sent again.
    order: u64,
    /// What was sent last under an identifier.
    pub(super) last_sent: Option<(Token, PacketId)>,
    /// What to say once all is done.
    pub(super) drain: Option<Disconnect>,
}

/// What a packet identifier is used for.
#[derive(Debug)]
pub(super) enum Slot {
    /// A PUBLISH waits for PUBACK or PUBREC.
    Publishing { publish: Publish, flow: Flow },
    /// A PUBREL waits for PUBCOMP. `told` is what PUBREC said beyond success, if it did.
    Releasing { flow: Flow, told: Option<Box<Outcome>> },
    /// A SUBSCRIBE waits for SUBACK.
    Subscribing { token: Token, subscribe: Subscribe, origin: Origin, choice: Choice },
    /// An UNSUBSCRIBE waits for UNSUBACK.
    Unsubscribing { token: Token, unsubscribe: Unsubscribe, choice: Choice },
}

/// Who chose a request's packet identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// The application: it keeps it when it is sent again.
    Application,
    /// The session.
    Session,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    token: Token,
    /// Its outcome was told early; only the identifier is still to be freed.
    given_up: bool,
    order: u64,
    /// The connection on which the PUBLISH was last sent; it counts against that one's quota.
    epoch: u32,
    /// When its Message Expiry Interval runs out; it is not dropped then, for it was sent [MQTT-4.3.3-7].
    expires: Option<Instant>,
}

/// Valid for the connection: how much may be in flight, and what is to be sent again first.
#[derive(Debug, Default)]
pub(super) struct Window {
    quota: u16,
    start: u16,
    /// In flight since an earlier connection and not sent on this one, in order.
    resend: VecDeque<PacketId>,
    /// QoS 0 messages that the transport has not taken yet, by where they end in the stream.
    unwritten: VecDeque<(u64, Token)>,
}

impl Window {
    pub(super) fn new(start: u16) -> Self {
        Self { quota: start, start, ..Self::default() }
    }

    /// True when something may be sent although the server has not said how much.
    pub(super) const fn is_open_early(&self) -> bool {
        self.start > 0
    }

    /// The server has said how much may be in flight; what has been sent before that counts.
    pub(super) const fn open(&mut self, start: u16) {
        let sent = self.start - self.quota;
        self.quota = start.saturating_sub(sent);
        self.start = start;
    }
}

impl Default for PacketId {
    fn default() -> Self {
        Self::FIRST
    }
}

impl Outbound {
    pub(super) fn restore(clock: Clock, queued: BTreeMap<u64, Queued>, in_flight: Vec<InFlight>) -> Self {
        let mut outbound = Self { queue: Queue::restore(clock, queued), ..Self::default() };
        for InFlight { seq, id, publish, expires, given_up } in in_flight {
            outbound.order += 1;
            let expires = publish.as_ref().and_then(|publish| clock.expiry(publish, expires));
            let flow = Flow { token: Token::from_u64(seq), given_up, order: outbound.order, epoch: 0, expires };
            outbound.slots.insert(
                id,
                match publish {
                    Some(publish) => Slot::Publishing { publish, flow },
                    None => Slot::Releasing { flow, told: None },
                },
            );
            outbound.next_id = id.next();
        }
        outbound
    }

    /// True unless all 65,535 identifiers are busy or chosen.
    pub(super) fn has_free_id(&self) -> bool {
        self.slots.len() + self.queue.chosen() + self.chosen.len() < usize::from(u16::MAX)
    }

    /// True when nothing is known by this identifier.
    pub(super) fn is_free(&self, id: PacketId) -> bool {
        !(self.slots.contains_key(&id) || self.queue.has_chosen(id) || self.chosen.contains_key(&id))
    }

    /// A free identifier, if there is one; one pool for PUBLISH, SUBSCRIBE and UNSUBSCRIBE [MQTT-2.2.1-3].
    pub(super) fn free_id(&mut self) -> Option<PacketId> {
        if !self.has_free_id() {
            return None;
        }
        while !self.is_free(self.next_id) {
            self.next_id = self.next_id.next();
        }
        let id = self.next_id;
        self.next_id = id.next();
        Some(id)
    }

    /// Messages in flight, SUBSCRIBE and UNSUBSCRIBE not counted.
    pub(super) fn in_flight(&self) -> usize {
        self.slots.values().filter(|slot| matches!(slot, Slot::Publishing { .. } | Slot::Releasing { .. })).count()
    }

    const fn next_order(&mut self) -> u64 {
        self.order += 1;
        self.order
    }
}

impl Session {
    /// Takes a message: it is queued from here on, and its outcome will be told by [`Event::Published`].
    ///
    /// # Errors
    ///
    /// [`PublishError`] when the message is not taken: the server would refuse it, or the queue is full.
    pub fn publish(&mut self, now: Instant, publish: Publish) -> Result<Token, PublishError> {
        self.take(now, publish, None)
    }

    /// As [`Session::publish`], and the message is sent with this packet identifier, however often; at QoS 0 there is none.
    /// For bindings whose interface names a message by its identifier before it is sent.
    ///
    /// A message that is published anew for a lost session ([`LostSession::Republish`]) gets another one.
    ///
    /// # Errors
    ///
    /// As [`Session::publish`], and [`PublishError::IdInUse`].
    pub fn publish_with_id(&mut self, now: Instant, publish: Publish, id: PacketId) -> Result<Token, PublishError> {
        let id = (publish.qos > QoS::AtMostOnce).then_some(id);
        if let Some(id) = id
            && !self.state.outbound.is_free(id)
        {
            return Err(PublishError::IdInUse(id));
        }
        self.take(now, publish, id)
    }

    #[inline] // the message is moved once less
    fn take(&mut self, now: Instant, publish: Publish, id: Option<PacketId>) -> Result<Token, PublishError> {
        self.now = now;
        self.wire.negotiated.check_publish(&publish)?;
        let sendable = self.may_send(publish.qos, id);
        if !sendable {
            let limits = self.config.queue;
            let queue = &self.state.outbound.queue;
            let (messages, bytes) = (queue.len(), queue.bytes());
            if messages >= limits.messages || bytes + weight(&publish) > limits.bytes {
                return Err(PublishError::QueueFull { messages, bytes });
            }
        }
        let token = self.next_token();
        if publish.qos > QoS::AtMostOnce {
            let clock = self.clock;
            self.log.record(|| Record::Enqueued {
                seq: token.get(),
                expires: lifetime(&publish).and_then(|left| clock.wall_at(now + left)),
                publish: publish.clone(),
            });
        }
        let waiting = Waiting::new(now, token, publish, id);
        if sendable {
            self.send_first(waiting);
        } else {
            if waiting.expires.is_some() {
                self.arm_expiry();
            }
            self.state.outbound.queue.push(waiting);
        }
        Ok(token)
    }

    /// Messages accepted and not sent, and their bytes.
    pub fn queued(&self) -> (usize, usize) {
        (self.state.outbound.queue.len(), self.state.outbound.queue.bytes())
    }

    /// QoS 1 and 2 messages sent and not completed.
    pub fn in_flight(&self) -> usize {
        self.state.outbound.in_flight()
    }

    /// True when nothing waits, nothing is in flight in either direction, and everything written has reached the socket.
    pub fn is_drained(&self) -> bool {
        self.state.outbound.queue.len() == 0
            && self.state.requests.is_empty()
            && self.is_quiet()
            && self.wire.window.unwritten.back().is_none_or(|&(end, _)| end <= self.wire.written)
    }

    /// The packet identifier of the last thing sent, when that was `token`: what a caller asks right after a command.
    pub fn packet_id_of_last(&self, token: Token) -> Option<PacketId> {
        self.state.outbound.last_sent.filter(|&(sent, _)| sent == token).map(|(_, id)| id)
    }

    /// The packet identifier under which a message or request is in flight now. Looks at everything in flight.
    pub fn packet_id(&self, token: Token) -> Option<PacketId> {
        let of = |slot: &Slot| match slot {
            Slot::Publishing { flow, .. } | Slot::Releasing { flow, .. } => (!flow.given_up).then_some(flow.token),
            Slot::Subscribing { token, .. } | Slot::Unsubscribing { token, .. } => Some(*token),
        };
        self.state.outbound.slots.iter().find(|(_, slot)| of(slot) == Some(token)).map(|(&id, _)| id)
    }

    /// Gives up everything that waits or is in flight; each message's outcome is told: what was sent is unknown.
    ///
    /// Identifiers of messages in flight stay taken until the server lets go of them or the session ends.
    pub fn drop_messages(&mut self) {
        let outbound = &mut self.state.outbound;
        let mut given_up = outbound
            .queue
            .drain()
            .map(|waiting| (waiting.token, Err(waiting.outcome(NotSent::GivenUp))))
            .collect::<Vec<_>>();
        for (&id, slot) in &mut outbound.slots {
            if let Slot::Publishing { flow, .. } | Slot::Releasing { flow, .. } = slot
                && !core::mem::replace(&mut flow.given_up, true)
            {
                given_up.push((flow.token, Ok(id)));
            }
        }
        given_up.sort_unstable_by_key(|(token, _)| *token);
        for (token, end) in given_up {
            match end {
                Ok(id) => self.give_up(token, id),
                Err(outcome) => self.finish(token, None, outcome),
            }
        }
        self.check_drained();
    }

    /// Gives up the QoS 0 messages that wait; each one's outcome is told: it was not sent.
    pub fn drop_waiting_qos0(&mut self) {
        for waiting in self.state.outbound.queue.take_qos0() {
            self.finish(waiting.token, None, waiting.outcome(NotSent::GivenUp));
        }
        self.check_drained();
    }

    /// True when a new message of this QoS may go out at once: nothing of its kind waits, and window and buffer have room.
    fn may_send(&self, qos: QoS, id: Option<PacketId>) -> bool {
        if !self.speaks() || self.unsent() >= OUTPUT_LIMIT {
            return false;
        }
        if qos == QoS::AtMostOnce {
            return self.state.outbound.queue.is_empty(Of::QoS0);
        }
        let window = &self.wire.window;
        !self.wire.leaves
            && self.state.outbound.queue.is_empty(Of::Others)
            && window.resend.is_empty()
            && window.quota > 0
            && (id.is_some() || self.state.outbound.has_free_id())
    }

    /// Bytes of this connection that the transport has not taken.
    pub(super) const fn unsent(&self) -> u64 {
        self.wire.output.position() - self.wire.opened_at - self.wire.written
    }

    fn send_first(&mut self, waiting: Waiting) {
        let Waiting { token, mut publish, expires, id, .. } = waiting;
        count_down(&mut publish, expires, self.now);
        let alias = self.name_topic(&publish);
        if publish.qos == QoS::AtMostOnce {
            self.send(&Outgoing { publish: &publish, id: None, attempt: Attempt::First, alias });
            let end = self.wire.output.position() - self.wire.opened_at;
            self.wire.window.unwritten.push_back((end, token));
            return;
        }
        let id = id.or_else(|| self.state.outbound.free_id()).expect("invariant: asked before");
        let lsn = self.log.record(|| Record::Sent { seq: token.get(), id });
        self.wire.output.gate(lsn);
        self.send(&Outgoing { publish: &publish, id: Some(id), attempt: Attempt::First, alias });
        self.wire.window.quota -= 1;
        self.note_request();
        let order = self.state.outbound.next_order();
        let flow = Flow { token, given_up: false, order, epoch: self.state.epoch, expires };
        self.state.outbound.slots.insert(id, Slot::Publishing { publish, flow });
        self.state.outbound.last_sent = Some((token, id));
    }

    /// How the next packet names its topic: by alias, where that is allowed and the packet stays within the limit.
    fn name_topic(&mut self, publish: &Publish) -> Alias {
        /// Topic Alias, and what it may add to the lengths before it.
        const ALIAS: usize = 3 + 2;
        /// The header, the topic's length, the identifier and the properties' length, at most.
        const AROUND: usize = 5 + 2 + 2 + 4;
        if weight(publish) + AROUND + ALIAS > self.wire.negotiated.maximum_packet_size as usize {
            return Alias::None;
        }
        self.wire.aliases.name(&publish.topic)
    }

    /// Sends what may go out now: requests, then what was in flight before, then what waits.
    pub(super) fn pump(&mut self) {
        if !matches!(self.phase, Phase::Online) {
            return;
        }
        self.send_requests();
        while self.wire.window.quota > 0
            && self.unsent() < OUTPUT_LIMIT
            && let Some(id) = self.wire.window.resend.pop_front()
        {
            self.send_again(id);
        }
        for (of, qos) in [(Of::Others, QoS::AtLeastOnce), (Of::QoS0, QoS::AtMostOnce)] {
            while self.may_send_waiting(qos)
                && let Some(waiting) = self.state.outbound.queue.pop(of)
            {
                if waiting.has_expired(self.now) {
                    self.finish(waiting.token, None, waiting.outcome(NotSent::Expired));
                    continue;
                }
                // Only this connection's limits count, and they may be smaller than when it was accepted.
                match self.wire.negotiated.check_publish(&waiting.publish) {
                    Ok(()) => self.send_first(waiting),
                    Err(why) => self.finish(waiting.token, None, waiting.outcome(NotSent::Refused(why))),
                }
            }
        }
    }

    /// Drops what has expired while it waited; a coarse timer looks, so that the outcome is told in time.
    pub(super) fn expire(&mut self) {
        for (token, outcome) in self.state.outbound.queue.take_expired(self.now) {
            self.finish(token, None, outcome);
        }
        if self.state.outbound.queue.can_expire() {
            self.arm_expiry();
        }
        self.check_drained();
    }

    pub(super) fn arm_expiry(&mut self) {
        if !self.timers.is_set(Timer::Expiry) {
            self.timers.set(Timer::Expiry, self.now + EXPIRY_SWEEP);
        }
    }

    fn may_send_waiting(&self, qos: QoS) -> bool {
        let room = self.unsent() < OUTPUT_LIMIT;
        let window = &self.wire.window;
        let outbound = &self.state.outbound;
        let quota = !self.wire.leaves
            && window.resend.is_empty()
            && window.quota > 0
            && (outbound.queue.next_has_chosen() || outbound.has_free_id());
        room && (qos == QoS::AtMostOnce || quota)
    }

    /// Sends a PUBLISH of an earlier connection again, with DUP and its old identifier [MQTT-4.4.0-1].
    fn send_again(&mut self, id: PacketId) {
        let epoch = self.state.epoch;
        let Some(Slot::Publishing { publish, flow }) = self.state.outbound.slots.get_mut(&id) else {
            return; // acknowledged meanwhile
        };
        if self.wire.negotiated.check_publish(publish).is_err() {
            // This server takes less than the last one did [MQTT-3.2.2-15]. Whether it has the message is unknown.
            let (qos, flow) = (publish.qos, *flow);
            self.abandon(id, qos, flow);
            return;
        }
        flow.epoch = epoch;
        // The packet is small beside its payload: a clone shares topic, payload and properties.
        let mut publish = publish.clone();
        count_down(&mut publish, flow.expires, self.now);
        self.wire.window.quota -= 1;
        self.note_request();
        // By its full name: aliases of an earlier connection mean nothing here [MQTT-3.3.2-7].
        self.send(&Outgoing { publish: &publish, id: Some(id), attempt: Attempt::Again, alias: Alias::None });
    }

    /// Gives up a message that may not be sent again. At QoS 2 the server may hold its identifier, so that is released.
    fn abandon(&mut self, id: PacketId, qos: QoS, flow: Flow) {
        if qos == QoS::ExactlyOnce {
            // Recorded first: after a crash between the two records the release would pass for the server's acceptance.
            if !flow.given_up {
                self.give_up(flow.token, id);
            }
            let order = self.state.outbound.next_order();
            let released = Flow { given_up: true, order, ..flow };
            self.state.outbound.slots.insert(id, Slot::Releasing { flow: released, told: None });
            let lsn = self.log.record(|| Record::Released { id });
            self.wire.output.gate(lsn);
            self.send(&Ack::with_reason(AckKind::PubRel, id, ReasonCode::PacketIdentifierNotFound));
        } else {
            self.state.outbound.slots.remove(&id);
            let event = self.end_flow(flow, id, Outcome::Unknown);
            self.events.extend(event);
        }
    }

    pub(super) fn handle_ack(&mut self, ack: Ack) -> Result<Option<Event>, ProtocolError> {
        let Ack { kind, id, reason, properties } = ack;
        let fail = |rule| Err(ProtocolError::new(kind.packet_type(), rule));
        self.wire.last_answer = self.now;
        let slot = self.state.outbound.slots.get(&id);
        let step = match (kind, slot) {
            (AckKind::PubRel, _) => {
                self.handle_pubrel(id);
                return Ok(None);
            }
            (AckKind::PubAck, Some(Slot::Publishing { publish, flow })) if publish.qos == QoS::AtLeastOnce => {
                Step::End(*flow)
            }
            (AckKind::PubRec, Some(Slot::Publishing { publish, flow })) if publish.qos == QoS::ExactlyOnce => {
                if reason.is_failure() { Step::End(*flow) } else { Step::Release(*flow) }
            }
            (AckKind::PubRec, Some(Slot::Releasing { .. })) if !reason.is_failure() => {
                self.send(&Ack::new(AckKind::PubRel, id));
                return Ok(None);
            }
            (AckKind::PubComp, Some(Slot::Releasing { flow, .. })) => Step::End(*flow),
            (AckKind::PubAck, None) => {
                let event = self.unexpected(Packet::Ack(Ack { kind, id, reason, properties }));
                return if event.is_some() { Ok(event) } else { fail(Rule::AckUnknown) };
            }
            (AckKind::PubRec, None) => {
                if !reason.is_failure() {
                    self.send(&Ack::with_reason(AckKind::PubRel, id, ReasonCode::PacketIdentifierNotFound));
                }
                return Ok(None);
            }
            (AckKind::PubComp, None) => return Ok(None), // the answer to our PUBREL for an unknown identifier
            (AckKind::PubAck | AckKind::PubRec | AckKind::PubComp, Some(_)) => return fail(Rule::AckMismatch),
        };
        match step {
            Step::Release(flow) => {
                let lsn = self.log.record(|| Record::Released { id });
                self.wire.output.gate(lsn);
                self.send(&Ack::new(AckKind::PubRel, id));
                let flow = Flow { order: self.state.outbound.next_order(), ..flow };
                let told = beyond_success(reason, &properties);
                self.state.outbound.slots.insert(id, Slot::Releasing { flow, told });
                Ok(None)
            }
            Step::End(flow) => {
                let slot = self.state.outbound.slots.remove(&id);
                if flow.epoch == self.state.epoch {
                    let window = &mut self.wire.window;
                    window.quota = window.start.min(window.quota + 1);
                }
                // PUBCOMP 0x92: the server took the message with PUBREC and has forgotten the flow since.
                let refused = reason.is_failure() && kind != AckKind::PubComp;
                let outcome = if refused {
                    Outcome::Refused { reason, properties }
                } else {
                    Outcome::Acknowledged { reason, properties }
                };
                // PUBREC is where a server says that nobody has subscribed; its PUBCOMP has no reason code for that.
                let outcome = match slot {
                    Some(Slot::Releasing { told: Some(told), .. }) if outcome == Outcome::success() => *told,
                    _ => outcome,
                };
                let event = self.end_flow(flow, id, outcome);
                self.pump();
                self.check_drained();
                Ok(event)
            }
        }
    }

    /// A flow has ended, which is told unless it was when the message was given up.
    fn end_flow(&mut self, flow: Flow, id: PacketId, outcome: Outcome) -> Option<Event> {
        let token = flow.token;
        self.log.record(|| Record::Completed { seq: token.get() });
        (!flow.given_up).then_some(Event::Published { token, id: Some(id), outcome })
    }

    /// Tells that the outcome of a message is unknown, while its identifier stays taken.
    fn give_up(&mut self, token: Token, id: PacketId) {
        self.log.record(|| Record::GivenUp { seq: token.get() });
        self.events.push_back(Event::Published { token, id: Some(id), outcome: Outcome::Unknown });
    }

    /// Tells a message's outcome, its last.
    fn finish(&mut self, token: Token, id: Option<PacketId>, outcome: Outcome) {
        self.log.record(|| Record::Completed { seq: token.get() });
        self.events.push_back(Event::Published { token, id, outcome });
    }

    /// The next QoS 0 message that the transport has taken and that was not told yet.
    #[inline]
    pub(super) fn next_written(&mut self) -> Option<Event> {
        let unwritten = &mut self.wire.window.unwritten;
        let &(_, token) = unwritten.front().filter(|&&(end, _)| end <= self.wire.written)?;
        unwritten.pop_front();
        Some(Event::Published { token, id: None, outcome: Outcome::success() })
    }

    /// QoS 0 messages that were on their way when the connection ended: nobody knows.
    pub(super) fn lose_unwritten(&mut self) {
        while let Some(event) = self.next_written() {
            self.events.push_back(event);
        }
        for (_, token) in core::mem::take(&mut self.wire.window).unwritten {
            self.events.push_back(Event::Published { token, id: None, outcome: Outcome::Unknown });
        }
    }

    /// The server resumes the session: PUBRELs at once in the order of their PUBRECs [MQTT-4.6.0-4], then PUBLISHes in
    /// the order of their first sending [MQTT-4.6.0-1], as the window allows.
    pub(super) fn resume(&mut self) {
        let mut releasing = Vec::new();
        let mut publishing = Vec::new();
        for (&id, slot) in &self.state.outbound.slots {
            match slot {
                Slot::Publishing { flow, .. } if flow.epoch == self.state.epoch => {} // sent before CONNACK
                Slot::Publishing { flow, .. } => publishing.push((flow.order, id)),
                Slot::Releasing { flow, .. } => releasing.push((flow.order, id)),
                Slot::Subscribing { .. } | Slot::Unsubscribing { .. } => {}
            }
        }
        releasing.sort_unstable();
        publishing.sort_unstable();
        // The records of what is sent again may still be on their way to the disk.
        let last = self.log.last();
        self.wire.output.gate(last);
        for (_, id) in releasing {
            self.send(&Ack::new(AckKind::PubRel, id));
        }
        self.wire.window.resend = publishing.into_iter().map(|(_, id)| id).collect();
    }

    /// The server has no session: nothing is in flight any more.
    pub(super) fn lose_in_flight(&mut self) {
        let epoch = self.state.epoch;
        let of_earlier = |slot: &Slot| match slot {
            Slot::Publishing { flow, .. } | Slot::Releasing { flow, .. } => flow.epoch != epoch,
            // Those of an earlier connection were taken out when it ended.
            Slot::Subscribing { .. } | Slot::Unsubscribing { .. } => false,
        };
        let mut lost = self.state.outbound.slots.extract_if(|_, slot| of_earlier(slot)).collect::<Vec<_>>();
        lost.sort_unstable_by_key(|(_, slot)| match slot {
            Slot::Publishing { flow, .. } | Slot::Releasing { flow, .. } => flow.order,
            Slot::Subscribing { .. } | Slot::Unsubscribing { .. } => u64::MAX,
        });
        let mut again = Vec::new();
        for (id, slot) in lost {
            match slot {
                Slot::Publishing { flow, .. } | Slot::Releasing { flow, .. } if flow.given_up => {}
                Slot::Publishing { publish, flow } => match self.config.lost_session {
                    LostSession::Republish => again.push(Waiting::again(flow.token, publish, flow.expires)),
                    LostSession::Report | LostSession::Continue => self.finish(flow.token, Some(id), Outcome::Unknown),
                },
                // PUBREC was seen: the server has the message.
                Slot::Releasing { flow, told } => {
                    let outcome = told.map_or_else(Outcome::success, |told| *told);
                    self.finish(flow.token, Some(id), outcome);
                }
                Slot::Subscribing { .. } | Slot::Unsubscribing { .. } => {
                    unreachable!("invariant: requests are taken out when the connection ends")
                }
            }
        }
        for waiting in again.into_iter().rev() {
            self.state.outbound.queue.push_front(waiting);
        }
        if self.state.outbound.queue.can_expire() {
            self.arm_expiry();
        }
    }

    /// Ends the connection when that was asked for and all is done.
    pub(super) fn check_drained(&mut self) {
        if matches!(self.phase, Phase::Online) && self.state.outbound.drain.is_some() && self.is_drained() {
            let goodbye = self.state.outbound.drain.take();
            self.close(super::Cause::Requested, goodbye);
        }
    }
}

/// What PUBREC says that PUBCOMP may not say again; mostly nothing. Kept without the buffer it was received in.
fn beyond_success(reason: ReasonCode, properties: &Properties) -> Option<Box<Outcome>> {
    if reason == ReasonCode::Success && properties.is_empty() {
        return None;
    }
    Some(Box::new(Outcome::Acknowledged { reason, properties: properties.detached() }))
}

/// What an acknowledgement does to its flow.
enum Step {
    /// The flow goes on with PUBREL.
    Release(Flow),
    /// The flow has ended; the identifier is free.
    End(Flow),
}
