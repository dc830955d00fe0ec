//! SUBSCRIBE and UNSUBSCRIBE, and the retained messages that follow (§3.8 to §3.11).

use std::time::Instant;

use karere_proto::{
    Filter, Packet, PacketId, ReasonCode,
    packet::{Disconnect, RetainHandling, SubAck, Subscribe, Subscription, UnsubAck, Unsubscribe},
};

use crate::{broker::Broker, connection::ConnectionId, session::SessionId, subscriptions::Subscribed};

impl Broker {
    pub(crate) fn handle_subscribe(
        &mut self,
        now: Instant,
        id: ConnectionId,
        packet_id: PacketId,
        subscribe: Subscribe,
    ) {
        let Some(session_id) = self.connections.get(&id).and_then(|connection| connection.session) else {
            return;
        };
        let in_use = self.sessions.get(&session_id).is_some_and(|session| session.held.contains(&packet_id));
        let identifier = subscribe.properties.subscription_identifier();
        let mut reasons = Vec::with_capacity(subscribe.subscriptions.len());
        let mut granted = Vec::new();
        for mut subscription in subscribe.subscriptions {
            let refusal = if in_use { Some(ReasonCode::PacketIdentifierInUse) } else { None };
            if let Some(reason) = refusal.or_else(|| self.refusal(&subscription.filter, identifier)) {
                reasons.push(reason);
                continue;
            }
            subscription.options.qos = subscription.options.qos.min(self.config.maximum_qos);
            reasons.push(ReasonCode::granted(subscription.options.qos));
            let subscribed = self.subscribe(session_id, subscription.clone(), identifier);
            granted.push((subscription, subscribed));
        }
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        if !connection.rules().suback_failure && reasons.iter().any(|reason| reason.is_failure()) {
            // SUBACK of 3.1 cannot refuse; granting what is not given would be worse.
            return self.say_goodbye(now, id, Disconnect::new(ReasonCode::NotAuthorized));
        }
        self.send(now, id, &Packet::SubAck(packet_id, SubAck::new(reasons)));
        for (subscription, subscribed) in granted {
            self.send_retained(now, session_id, &subscription, subscribed, identifier);
        }
    }

    pub(crate) fn handle_unsubscribe(
        &mut self,
        now: Instant,
        id: ConnectionId,
        packet_id: PacketId,
        unsubscribe: &Unsubscribe,
    ) {
        let Some(session_id) = self.connections.get(&id).and_then(|connection| connection.session) else {
            return;
        };
        let mut reasons = Vec::with_capacity(unsubscribe.filters.len());
        for filter in &unsubscribe.filters {
            let existed = self.sessions.get_mut(&session_id).is_some_and(|session| session.filters.remove(filter));
            self.subscriptions.remove(session_id, filter);
            reasons.push(if existed { ReasonCode::Success } else { ReasonCode::NoSubscriptionExisted });
        }
        self.send(now, id, &Packet::UnsubAck(packet_id, UnsubAck::new(reasons)));
    }

    /// Why a subscription is not granted.
    fn refusal(&self, filter: &Filter, identifier: Option<u32>) -> Option<ReasonCode> {
        if filter.share().is_some() && !self.config.shared_available {
            Some(ReasonCode::SharedSubscriptionsNotSupported)
        } else if filter.has_wildcard() && !self.config.wildcards_available {
            Some(ReasonCode::WildcardSubscriptionsNotSupported)
        } else if identifier.is_some() && !self.config.subscription_identifiers_available {
            Some(ReasonCode::SubscriptionIdentifiersNotSupported)
        } else {
            None
        }
    }

    fn subscribe(&mut self, id: SessionId, mut subscription: Subscription, identifier: Option<u32>) -> Subscribed {
        // The filter is a slice of what was read, and would keep all of it.
        if let Ok(filter) = Filter::new(subscription.filter.as_str()) {
            subscription.filter = filter;
        }
        if let Some(session) = self.sessions.get_mut(&id) {
            session.filters.insert(subscription.filter.clone());
        }
        self.subscriptions.insert(id, subscription, identifier)
    }

    /// Sends the retained messages that a subscription asks for [MQTT-3.3.1-9 to 3.3.1-11]; a shared one gets none.
    fn send_retained(
        &mut self,
        now: Instant,
        id: SessionId,
        subscription: &Subscription,
        subscribed: Subscribed,
        identifier: Option<u32>,
    ) {
        let wanted = match subscription.options.retain_handling {
            RetainHandling::Send => true,
            RetainHandling::SendIfNew => subscribed == Subscribed::New,
            RetainHandling::DoNotSend => false,
        };
        if !wanted || subscription.filter.share().is_some() {
            return;
        }
        for mut message in self.retained.matching(now, &subscription.filter) {
            message.publish.qos = message.publish.qos.min(subscription.options.qos);
            self.deliver(now, id, message, identifier.as_slice());
        }
    }
}
