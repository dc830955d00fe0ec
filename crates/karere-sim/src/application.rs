//! What an application does with its session: it wants, takes, acknowledges and refuses.

use core::time::Duration;

use karere_proto::{
    Filter, ReasonCode, Rule,
    packet::{ConnAck, Subscribe, SubscribeOptions, Subscription, Unsubscribe},
    session::{Cause, Delivery, Event},
};

use crate::{
    ledger::{Announced, Number},
    seed::{Habit, Wish},
    world::{What, World},
};

impl World<'_> {
    /// The session has told something.
    pub(crate) fn application(&mut self, client: usize, event: Event) {
        match event {
            Event::Connected(ack) => self.connected(client, &ack),
            Event::Disconnected(cause) => self.disconnected(client, cause),
            Event::Message { publish, delivery, .. } => {
                let id = delivery.packet_id().map(karere_proto::PacketId::get);
                self.note(|| format!("client {client} is given {publish:?}"));
                let number = self.ledger.delivered(client, &publish, id);
                if id.is_some() {
                    self.received(client, delivery, number);
                }
            }
            Event::Published { token, outcome, .. } => {
                self.note(|| format!("client {client}: {token:?} {outcome}"));
                self.ledger.published(self.now, client, token.get(), &outcome);
            }
            Event::Subscribed { token, ack, .. } => {
                self.note(|| format!("client {client}: {token:?} subscribed {ack:?}"));
                self.ledger.answered(client, token.get());
                let this = &mut self.clients[client];
                let asked = this.subscribing.remove(&token).unwrap_or_default();
                for ((at, left), reason) in asked.into_iter().zip(ack.map_or_else(Vec::new, |ack| ack.reasons)) {
                    let wanted = &this.wishes[at];
                    let granted = matches!(reason, ReasonCode::GrantedQoS1 | ReasonCode::GrantedQoS2);
                    if granted && wanted.wanted && wanted.leaving == 0 && wanted.left == left {
                        self.ledger.subscribed(client, wanted.wish);
                    }
                }
            }
            Event::Unsubscribed { token, .. } => {
                self.note(|| format!("client {client}: {token:?} unsubscribed"));
                self.ledger.answered(client, token.get());
                let this = &mut self.clients[client];
                if let Some(at) = this.unsubscribing.remove(&token) {
                    this.wishes[at].leaving -= 1;
                }
            }
            other => self.ledger.fail(|| format!("client {client}: unexpected {other:?}")),
        }
    }

    fn connected(&mut self, client: usize, ack: &ConnAck) {
        let announced = Announced {
            receive_maximum: ack.properties.receive_maximum().unwrap_or(u16::MAX),
            topic_alias_maximum: ack.properties.topic_alias_maximum().unwrap_or(0),
        };
        self.note(|| format!("client {client} is connected, session present: {}", ack.session_present));
        let session = self.clients[client].session.as_ref();
        let record = session.map_or(0, |session| session.journal_position().0.get());
        self.ledger.connected(client, ack.session_present, announced, record);
        if !ack.session_present {
            let all = self.clients[client].wishes.iter().enumerate();
            let wanted = all.filter(|(_, wanted)| wanted.wanted).map(|(at, _)| at).collect::<Vec<_>>();
            self.subscribe(client, &wanted);
        }
    }

    fn disconnected(&mut self, client: usize, cause: Cause) {
        self.note(|| format!("client {client} is disconnected: {cause}"));
        self.ledger.closed(client);
        self.disconnects += 1;
        if let Cause::Protocol(error) = &cause
            && !self.scenario.excused.errors
            && !self.ledger.is_deceived(client)
            && !(error.rule == Rule::SessionPresent && self.scenario.clients[client].is_v5())
        {
            self.ledger.fail(|| format!("client {client} finds fault with the broker: {cause}"));
        }
        self.clients[client].last_cause = Some(cause);
    }

    fn received(&mut self, client: usize, delivery: Delivery, number: Option<Number>) {
        let life = self.clients[client].life;
        self.clients[client].waiting.push((delivery, number));
        match self.scenario.clients[client].habit {
            Habit::Prompt => self.acknowledge(client, life),
            Habit::Slow { longest, .. } => {
                let wait = self.dice.up_to(if self.calm { Duration::from_millis(10) } else { longest });
                self.later(wait, What::Acknowledge { client, life });
            }
        }
    }

    /// Deals with one message, whichever.
    pub(crate) fn acknowledge(&mut self, client: usize, life: u32) {
        let count = self.clients[client].waiting.len();
        if self.clients[client].life != life || count == 0 {
            return;
        }
        let at = self.dice.index(count);
        let refuses = match self.scenario.clients[client].habit {
            Habit::Prompt => false,
            Habit::Slow { refused_percent, .. } => self.dice.chance(refused_percent),
        };
        let this = &mut self.clients[client];
        let (mut delivery, number) = this.waiting.swap_remove(at);
        let Some(session) = &mut this.session else {
            return;
        };
        if refuses {
            match session.refuse(delivery, ReasonCode::QuotaExceeded) {
                Ok(()) => {
                    self.note(|| format!("client {client} refuses message {number:?}"));
                    return number.into_iter().for_each(|number| self.ledger.refused(client, number));
                }
                Err((back, _)) => delivery = back,
            }
        }
        let qos = delivery.qos();
        let before = session.journal_position().0;
        session.acknowledge(delivery);
        let after = session.journal_position().0;
        self.note(|| format!("client {client} acknowledges message {number:?}"));
        if let Some(number) = number {
            self.ledger.acknowledged(client, number, qos, (after > before).then(|| after.get()));
        }
    }

    /// Asks for these subscriptions in one packet.
    pub(crate) fn subscribe(&mut self, client: usize, which: &[usize]) {
        if which.is_empty() {
            return;
        }
        let now = self.instant();
        let this = &mut self.clients[client];
        let filter = |wish: Wish| Filter::new(wish.filter().as_str()).expect("invariant: a legal filter");
        let subscriptions = which.iter().map(|&at| {
            let wanted = &this.wishes[at];
            Subscription::new(filter(wanted.wish), SubscribeOptions::new(wanted.qos))
        });
        let subscribe = Subscribe::many(subscriptions.collect::<Vec<_>>());
        let Some(session) = &mut this.session else {
            return;
        };
        match session.subscribe(now, subscribe) {
            Ok(token) => {
                for &at in which {
                    this.wishes[at].wanted = true;
                    if self.scenario.limits {
                        // It may be granted at QoS 0 this time.
                        self.ledger.unsubscribing(client, this.wishes[at].wish);
                    }
                }
                let asked = which.iter().map(|&at| (at, this.wishes[at].left)).collect();
                this.subscribing.insert(token, asked);
                self.ledger.requested(client, token.get());
            }
            Err(error) if self.scenario.limits => self.note(|| format!("client {client} cannot subscribe: {error}")),
            Err(error) => self.ledger.fail(|| format!("client {client} cannot subscribe: {error}")),
        }
    }

    pub(crate) fn subscribe_one(&mut self, client: usize) {
        let count = self.clients[client].wishes.len();
        if count > 0 {
            let at = self.dice.index(count);
            self.subscribe(client, &[at]);
        }
    }

    pub(crate) fn unsubscribe_one(&mut self, client: usize) {
        let now = self.instant();
        let this = &mut self.clients[client];
        let (count, Some(session)) = (this.wishes.len(), &mut this.session) else {
            return;
        };
        if count == 0 {
            return;
        }
        let at = self.dice.index(count);
        let wanted = &mut this.wishes[at];
        let unsubscribe = Unsubscribe::new(wanted.wish.filter().as_str()).expect("invariant: a legal filter");
        if let Ok(token) = session.unsubscribe(now, unsubscribe) {
            wanted.wanted = false;
            wanted.leaving += 1;
            wanted.left += 1;
            let wish = wanted.wish;
            this.unsubscribing.insert(token, at);
            self.ledger.requested(client, token.get());
            self.ledger.unsubscribing(client, wish);
        }
    }
}
