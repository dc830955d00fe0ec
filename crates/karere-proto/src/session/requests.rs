//! SUBSCRIBE and UNSUBSCRIBE: one outstanding entry for each identifier, and what the application wants (§3.8 to §3.11).

use std::{
    collections::{BTreeMap, VecDeque},
    time::Instant,
};

use super::{Cause, Event, Phase, Session, error::SubscribeError, journal::Record, outbound::Slot};
use crate::{
    error::{ProtocolError, Rule},
    id::{PacketId, Token},
    packet::{PacketType, SubAck, Subscribe, SubscribeOptions, UnsubAck, Unsubscribe},
    topic::Filter,
};

/// Valid for the session: requests that wait for a connection, and the subscriptions that were granted.
#[derive(Debug, Default)]
pub(super) struct Requests {
    waiting: VecDeque<(Token, Request)>,
    wanted: BTreeMap<Filter, SubscribeOptions>,
}

#[derive(Debug)]
enum Request {
    Subscribe(Subscribe),
    Unsubscribe(Unsubscribe),
}

impl Requests {
    pub(super) fn restore(wanted: BTreeMap<Filter, SubscribeOptions>) -> Self {
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
    pub fn subscribe(&mut self, _now: Instant, subscribe: Subscribe) -> Result<Token, SubscribeError> {
        self.wire.negotiated.check_subscribe(&subscribe)?;
        Ok(self.request(Request::Subscribe(subscribe)))
    }

    /// Asks for no more messages; the answer is told by [`Event::Unsubscribed`].
    ///
    /// # Errors
    ///
    /// [`SubscribeError`] when it is not taken.
    pub fn unsubscribe(&mut self, _now: Instant, unsubscribe: Unsubscribe) -> Result<Token, SubscribeError> {
        self.wire.negotiated.check_unsubscribe(&unsubscribe)?;
        Ok(self.request(Request::Unsubscribe(unsubscribe)))
    }

    /// Subscriptions the server has granted and the application has not given up.
    pub fn subscriptions(&self) -> impl Iterator<Item = (&Filter, SubscribeOptions)> {
        self.state.requests.wanted.iter().map(|(filter, &options)| (filter, options))
    }

    fn request(&mut self, request: Request) -> Token {
        let token = self.next_token();
        self.state.requests.waiting.push_back((token, request));
        self.send_requests();
        token
    }

    /// Sends the requests that wait; a full window does not hold them back [MQTT-3.3.4-8].
    pub(super) fn send_requests(&mut self) {
        while matches!(self.phase, Phase::Online)
            && self.state.outbound.has_free_id()
            && let Some((token, request)) = self.state.requests.waiting.pop_front()
        {
            // Only this connection's limits count, and they may be smaller than when it was accepted.
            let negotiated = &self.wire.negotiated;
            let slot = match request {
                Request::Subscribe(subscribe) if negotiated.check_subscribe(&subscribe).is_err() => {
                    self.events.push_back(Event::Subscribed { token, id: None, ack: None });
                    continue;
                }
                Request::Unsubscribe(unsubscribe) if negotiated.check_unsubscribe(&unsubscribe).is_err() => {
                    self.events.push_back(Event::Unsubscribed { token, id: None, ack: None });
                    continue;
                }
                Request::Subscribe(subscribe) => Slot::Subscribing { token, subscribe },
                Request::Unsubscribe(unsubscribe) => Slot::Unsubscribing { token, unsubscribe },
            };
            let id = self.state.outbound.free_id().expect("invariant: asked before");
            match &slot {
                Slot::Subscribing { subscribe, .. } => self.send(&(id, subscribe)),
                Slot::Unsubscribing { unsubscribe, .. } => self.send(&(id, unsubscribe)),
                Slot::Publishing { .. } | Slot::Releasing { .. } => {}
            }
            self.state.outbound.slots.insert(id, slot);
            self.state.outbound.last_sent = Some((token, id));
        }
    }

    pub(super) fn handle_suback(&mut self, id: PacketId, ack: SubAck) -> Result<Option<Event>, ProtocolError> {
        let fail = |rule| Err(ProtocolError::new(PacketType::SubAck, rule));
        let Some(Slot::Subscribing { token, subscribe }) = self.state.outbound.slots.get(&id) else {
            return fail(Rule::SubAckUnknown);
        };
        if subscribe.subscriptions.len() != ack.reasons.len() {
            return fail(Rule::SubAckCount);
        }
        let token = *token;
        if let Some(Slot::Subscribing { subscribe, .. }) = self.state.outbound.slots.remove(&id) {
            for (subscription, reason) in subscribe.subscriptions.into_iter().zip(&ack.reasons) {
                if !reason.is_failure() {
                    let (filter, options) = (subscription.filter, subscription.options);
                    self.log.record(|| Record::Wanted { filter: filter.clone(), options });
                    self.state.requests.wanted.insert(filter, options);
                }
            }
        }
        self.pump();
        self.check_drained();
        Ok(Some(Event::Subscribed { token, id: Some(id), ack: Some(ack) }))
    }

    pub(super) fn handle_unsuback(&mut self, id: PacketId, ack: UnsubAck) -> Result<Option<Event>, ProtocolError> {
        let fail = |rule| Err(ProtocolError::new(PacketType::UnsubAck, rule));
        let Some(Slot::Unsubscribing { token, unsubscribe }) = self.state.outbound.slots.get(&id) else {
            return fail(Rule::UnsubAckUnknown);
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

    /// The connection ended before these were answered: they are no part of the session, so they are asked again under
    /// new identifiers, unless the application itself ended the connection.
    pub(super) fn requeue_requests(&mut self, cause: &Cause) {
        let slots = &mut self.state.outbound.slots;
        let mut unanswered = slots
            .extract_if(|_, slot| matches!(slot, Slot::Subscribing { .. } | Slot::Unsubscribing { .. }))
            .filter_map(|(id, slot)| match slot {
                Slot::Subscribing { token, subscribe } => Some((token, id, Request::Subscribe(subscribe))),
                Slot::Unsubscribing { token, unsubscribe } => Some((token, id, Request::Unsubscribe(unsubscribe))),
                Slot::Publishing { .. } | Slot::Releasing { .. } => None,
            })
            .collect::<Vec<_>>();
        unanswered.sort_unstable_by_key(|&(token, ..)| token);
        if *cause == Cause::Requested {
            for (token, id, request) in unanswered {
                let id = Some(id);
                self.events.push_back(match request {
                    Request::Subscribe(_) => Event::Subscribed { token, id, ack: None },
                    Request::Unsubscribe(_) => Event::Unsubscribed { token, id, ack: None },
                });
            }
        } else {
            for (token, _, request) in unanswered.into_iter().rev() {
                self.state.requests.waiting.push_front((token, request));
            }
        }
    }
}
