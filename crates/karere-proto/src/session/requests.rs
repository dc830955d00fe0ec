//! SUBSCRIBE and UNSUBSCRIBE: one outstanding entry for each identifier, and what the application wants (§3.8 to §3.11).

use std::{
    collections::{BTreeMap, VecDeque},
    time::Instant,
};

use super::{
    Cause, Event, Session, UnexpectedAnswers,
    error::SubscribeError,
    journal::{Granted, Record},
    outbound::{Choice, Slot},
};
use crate::{
    error::{ProtocolError, Rule},
    id::{PacketId, Token},
    packet::{Packet, PacketType, RetainHandling, SubAck, Subscribe, Subscription, UnsubAck, Unsubscribe},
    properties::{PropertyId, Value},
    topic::Filter,
};

/// Valid for the session: requests that wait for a connection, and the subscriptions that were granted.
#[derive(Debug, Default)]
pub(super) struct Requests {
    waiting: VecDeque<Asked>,
    wanted: BTreeMap<Filter, Granted>,
}

/// A request that waits.
#[derive(Debug)]
struct Asked {
    token: Token,
    request: Request,
    /// The identifier it is to be sent with, if the application has chosen one.
    id: Option<PacketId>,
}

#[derive(Debug)]
enum Request {
    Subscribe(Subscribe, Origin),
    Unsubscribe(Unsubscribe),
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The application.
    Application,
    /// The session itself, for subscriptions that were granted before.
    Session,
}

/// Whether the server has resumed the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Present {
    No,
    Yes,
}

impl Requests {
    pub(super) fn restore(wanted: BTreeMap<Filter, Granted>) -> Self {
        Self { wanted, ..Self::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

impl Session {
    /// Asks for messages: sent at once or with the next connection; the answer is told by [`Event::Subscribed`].
    ///
    /// A connection that is lost before the answer does not end it: it is asked again on the next one.
    ///
    /// # Errors
    ///
    /// [`SubscribeError`] when it is not taken.
    pub fn subscribe(&mut self, now: Instant, subscribe: Subscribe) -> Result<Token, SubscribeError> {
        self.now = now;
        self.wire.negotiated.check_subscribe(&subscribe)?;
        Ok(self.request(Request::Subscribe(subscribe, Origin::Application), None))
    }

    /// As [`Session::subscribe`], and the request is sent with this packet identifier, however often. For bindings whose
    /// interface names a request by its identifier before it is sent.
    ///
    /// # Errors
    ///
    /// As [`Session::subscribe`], and [`SubscribeError::IdInUse`].
    pub fn subscribe_with_id(
        &mut self,
        now: Instant,
        subscribe: Subscribe,
        id: PacketId,
    ) -> Result<Token, SubscribeError> {
        self.now = now;
        self.wire.negotiated.check_subscribe(&subscribe)?;
        self.choose(id)?;
        Ok(self.request(Request::Subscribe(subscribe, Origin::Application), Some(id)))
    }

    /// Asks for no more messages; the answer is told by [`Event::Unsubscribed`].
    ///
    /// # Errors
    ///
    /// [`SubscribeError`] when it is not taken.
    pub fn unsubscribe(&mut self, now: Instant, unsubscribe: Unsubscribe) -> Result<Token, SubscribeError> {
        self.now = now;
        self.wire.negotiated.check_unsubscribe(&unsubscribe)?;
        Ok(self.request(Request::Unsubscribe(unsubscribe), None))
    }

    /// As [`Session::unsubscribe`], and the request is sent with this packet identifier, however often.
    ///
    /// # Errors
    ///
    /// As [`Session::unsubscribe`], and [`SubscribeError::IdInUse`].
    pub fn unsubscribe_with_id(
        &mut self,
        now: Instant,
        unsubscribe: Unsubscribe,
        id: PacketId,
    ) -> Result<Token, SubscribeError> {
        self.now = now;
        self.wire.negotiated.check_unsubscribe(&unsubscribe)?;
        self.choose(id)?;
        Ok(self.request(Request::Unsubscribe(unsubscribe), Some(id)))
    }

    /// Subscriptions the server has granted and the application has not given up.
    pub fn subscriptions(&self) -> impl Iterator<Item = (&Filter, Granted)> {
        self.state.requests.wanted.iter().map(|(filter, &granted)| (filter, granted))
    }

    /// Asks for the granted subscriptions again. Each request's answer is told like any other's, under a token of its
    /// own.
    pub(super) fn resubscribe(&mut self, present: Present) {
        /// Bytes of filters in one request, well below what servers take.
        const BATCH: usize = 16 * 1024;
        let handling = match present {
            // The session's subscriptions should be there: do not send what was retained once more.
            Present::Yes if self.wire.negotiated.rules().subscribe_options => Some(RetainHandling::SendIfNew),
            Present::Yes | Present::No => None,
        };
        // What an earlier connection did not get to ask is asked anew.
        self.state.requests.waiting.retain(|asked| !matches!(asked.request, Request::Subscribe(_, Origin::Session)));
        let mut wanted = self.subscriptions().map(|(filter, granted)| (filter.clone(), granted)).collect::<Vec<_>>();
        // One SUBSCRIBE has one Subscription Identifier (§3.8.2.1.2).
        wanted.sort_by_key(|(_, granted)| granted.identifier);
        let mut batches: Vec<(Option<u32>, usize, Vec<Subscription>)> = Vec::new();
        let mut refused = Vec::new();
        for (filter, Granted { mut options, identifier }) in wanted {
            options.retain_handling = handling.unwrap_or(options.retain_handling);
            let len = filter.as_bytes().len();
            let subscription = Subscription::new(filter, options);
            // What this server does not take, or this version cannot say, must not keep the others from being asked for.
            if self.wire.negotiated.check_subscribe(&subscribe_to(vec![subscription.clone()], identifier)).is_err() {
                refused.push((identifier, len, vec![subscription]));
                continue;
            }
            match batches.last_mut().filter(|(of, bytes, _)| *of == identifier && *bytes + len <= BATCH) {
                Some((_, bytes, batch)) => {
                    *bytes += len;
                    batch.push(subscription);
                }
                None => batches.push((identifier, len, vec![subscription])),
            }
        }
        batches.append(&mut refused); // each is told when it is its turn
        for (identifier, _, batch) in batches.into_iter().rev() {
            let subscribe = subscribe_to(batch, identifier);
            let token = self.next_token();
            // Before what the application has asked for meanwhile: that is newer, and the last one holds.
            let request = Request::Subscribe(subscribe, Origin::Session);
            self.state.requests.waiting.push_front(Asked { token, request, id: None });
        }
    }

    fn choose(&mut self, id: PacketId) -> Result<(), SubscribeError> {
        let outbound = &mut self.state.outbound;
        if !outbound.is_free(id) {
            return Err(SubscribeError::IdInUse(id));
        }
        outbound.chosen.insert(id, ());
        Ok(())
    }

    fn request(&mut self, request: Request, id: Option<PacketId>) -> Token {
        let token = self.next_token();
        self.state.requests.waiting.push_back(Asked { token, request, id });
        self.send_requests();
        token
    }

    /// Sends the requests that wait; a full window does not hold them back [MQTT-3.3.4-8].
    pub(super) fn send_requests(&mut self) {
        while self.speaks()
            && !self.wire.leaves
            && let Some(next) = self.state.requests.waiting.front()
            && (next.id.is_some() || self.state.outbound.has_free_id())
            && let Some(Asked { token, request, id }) = self.state.requests.waiting.pop_front()
        {
            if let Some(id) = id {
                self.state.outbound.chosen.remove(&id);
            }
            let choice = if id.is_some() { Choice::Application } else { Choice::Session };
            // Only this connection's limits count, and they may be smaller than when it was accepted.
            let negotiated = &self.wire.negotiated;
            let slot = match request {
                Request::Subscribe(subscribe, _) if negotiated.check_subscribe(&subscribe).is_err() => {
                    self.events.push_back(Event::Subscribed { token, id, ack: None });
                    continue;
                }
                Request::Unsubscribe(unsubscribe) if negotiated.check_unsubscribe(&unsubscribe).is_err() => {
                    self.events.push_back(Event::Unsubscribed { token, id, ack: None });
                    continue;
                }
                Request::Subscribe(subscribe, origin) => Slot::Subscribing { token, subscribe, origin, choice },
                Request::Unsubscribe(unsubscribe) => Slot::Unsubscribing { token, unsubscribe, choice },
            };
            let id = id.or_else(|| self.state.outbound.free_id()).expect("invariant: asked before");
            match &slot {
                Slot::Subscribing { subscribe, .. } => self.send(&(id, subscribe)),
                Slot::Unsubscribing { unsubscribe, .. } => self.send(&(id, unsubscribe)),
                Slot::Publishing { .. } | Slot::Releasing { .. } => {}
            }
            self.note_request();
            self.state.outbound.slots.insert(id, slot);
            self.state.outbound.last_sent = Some((token, id));
        }
    }

    pub(super) fn handle_suback(&mut self, id: PacketId, ack: SubAck) -> Result<Option<Event>, ProtocolError> {
        let fail = |rule| Err(ProtocolError::new(PacketType::SubAck, rule));
        self.wire.last_answer = self.now;
        let (token, subscribe, origin) = match self.state.outbound.slots.get(&id) {
            Some(&Slot::Subscribing { token, ref subscribe, origin, .. }) => (token, subscribe, origin),
            Some(_) => return fail(Rule::SubAckUnknown),
            None => {
                let event = self.unexpected(Packet::SubAck(id, ack));
                return if event.is_some() { Ok(event) } else { fail(Rule::SubAckUnknown) };
            }
        };
        if subscribe.subscriptions.len() != ack.reasons.len() {
            return fail(Rule::SubAckCount);
        }
        if let Some(Slot::Subscribing { subscribe, .. }) = self.state.outbound.slots.remove(&id) {
            let identifier = subscribe.properties.subscription_identifier();
            for (subscription, reason) in subscribe.subscriptions.into_iter().zip(&ack.reasons) {
                let (filter, options) = (subscription.filter, subscription.options);
                if !reason.is_failure() && origin == Origin::Session {
                    continue; // it stays as the application asked for it
                }
                if !reason.is_failure() {
                    self.log.record(|| Record::Wanted { filter: filter.clone(), options, identifier });
                    self.state.requests.wanted.insert(filter, Granted::new(options, identifier));
                } else if self.state.requests.wanted.remove(&filter).is_some() {
                    self.log.record(|| Record::Unwanted { filter });
                }
            }
        }
        self.pump();
        self.check_drained();
        Ok(Some(Event::Subscribed { token, id: Some(id), ack: Some(ack) }))
    }

    pub(super) fn handle_unsuback(&mut self, id: PacketId, ack: UnsubAck) -> Result<Option<Event>, ProtocolError> {
        let fail = |rule| Err(ProtocolError::new(PacketType::UnsubAck, rule));
        self.wire.last_answer = self.now;
        let (token, unsubscribe) = match self.state.outbound.slots.get(&id) {
            Some(Slot::Unsubscribing { token, unsubscribe, .. }) => (token, unsubscribe),
            Some(_) => return fail(Rule::UnsubAckUnknown),
            None => {
                let event = self.unexpected(Packet::UnsubAck(id, ack));
                return if event.is_some() { Ok(event) } else { fail(Rule::UnsubAckUnknown) };
            }
        };
        if self.wire.negotiated.rules().ack_reasons && unsubscribe.filters.len() != ack.reasons.len() {
            return fail(Rule::UnsubAckCount);
        }
        let token = *token;
        if let Some(Slot::Unsubscribing { unsubscribe, .. }) = self.state.outbound.slots.remove(&id) {
            for filter in unsubscribe.filters {
                if self.state.requests.wanted.remove(&filter).is_some() {
                    self.log.record(|| Record::Unwanted { filter });
                }
            }
        }
        self.pump();
        self.check_drained();
        Ok(Some(Event::Unsubscribed { token, id: Some(id), ack: Some(ack) }))
    }

    /// How an answer for which nothing was sent is told, if it is no error.
    pub(super) fn unexpected(&self, packet: Packet) -> Option<Event> {
        (self.config.unexpected_answers == UnexpectedAnswers::Tell).then(|| Event::Unexpected(packet))
    }

    /// The connection ended before these were answered: they are no part of the session, so they are asked again, under
    /// new identifiers where the application has chosen none, unless the application itself ended the connection.
    pub(super) fn requeue_requests(&mut self, cause: &Cause) {
        let slots = &mut self.state.outbound.slots;
        let mut unanswered = slots
            .extract_if(|_, slot| matches!(slot, Slot::Subscribing { .. } | Slot::Unsubscribing { .. }))
            .filter_map(|(id, slot)| match slot {
                Slot::Subscribing { token, subscribe, origin, choice } => {
                    Some((token, id, Request::Subscribe(subscribe, origin), choice))
                }
                Slot::Unsubscribing { token, unsubscribe, choice } => {
                    Some((token, id, Request::Unsubscribe(unsubscribe), choice))
                }
                Slot::Publishing { .. } | Slot::Releasing { .. } => None,
            })
            .collect::<Vec<_>>();
        unanswered.sort_unstable_by_key(|&(token, ..)| token);
        if *cause == Cause::Requested {
            for (token, id, request, _) in unanswered {
                let id = Some(id);
                self.events.push_back(match request {
                    Request::Subscribe(..) => Event::Subscribed { token, id, ack: None },
                    Request::Unsubscribe(_) => Event::Unsubscribed { token, id, ack: None },
                });
            }
        } else {
            for (token, id, request, choice) in unanswered.into_iter().rev() {
                let id = (choice == Choice::Application).then_some(id);
                self.state.outbound.chosen.extend(id.map(|id| (id, ())));
                self.state.requests.waiting.push_front(Asked { token, request, id });
            }
        }
    }
}

fn subscribe_to(subscriptions: Vec<Subscription>, identifier: Option<u32>) -> Subscribe {
    let mut subscribe = Subscribe::many(subscriptions);
    if let Some(identifier) = identifier {
        let set = subscribe.properties.set(PropertyId::SubscriptionIdentifier, Value::U32(identifier));
        set.expect("invariant: was granted with it");
    }
    subscribe
}
