//! What the application asks for.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use karere_proto::{
    PacketId, Properties, Publish, QoS, Session, Token, Topic,
    packet::{Auth, Disconnect, Subscribe, Unsubscribe},
    session::{CommandError, PublishError, SubscribeError},
};

use super::{Fetched, Message, Outgoing, Refused, State, Transport};
use crate::{
    flow::{Flow, Rc},
    log,
    told::Told,
};

impl State {
    /// Takes a message, in paho's order of questions.
    pub(crate) fn publish(&mut self, now: Instant, message: Message) -> Result<(u16, Arc<Flow>), Refused> {
        let Message { topic, alias, payload, qos, retain, properties } = message;
        let offline = self.transport == Transport::None;
        if qos == QoS::AtMostOnce && offline {
            return Ok((self.mids.next().get(), Arc::new(Flow::new(Rc::NoConn as i32))));
        }
        let topic = self.aliases.resolve(topic, alias).map_err(Refused::Topic)?;
        let mid = self.mids.next();
        let refused = |rc: Rc| Ok((mid.get(), Arc::new(Flow::new(rc as i32))));
        if qos > QoS::AtMostOnce && (self.queued > 0 && self.out.len() >= self.queued || self.mids.is_taken(mid)) {
            return refused(Rc::QueueSize);
        }
        let publish = outgoing(topic, payload, qos, retain, properties);
        if qos == QoS::AtMostOnce {
            if self.tells_packets {
                self.untold.push_back(mid.get());
            }
            return match self.session.publish(now, publish) {
                Ok(token) => {
                    let flow = Arc::new(Flow::new(Rc::Success as i32));
                    self.unwritten.push_back((token, mid.get(), Arc::clone(&flow)));
                    Ok((mid.get(), flow))
                }
                Err(why) => {
                    self.untold.pop_back();
                    refused(self.refusal(why)?)
                }
            };
        }
        match self.session.publish_with_id(now, publish.clone(), mid) {
            Ok(token) => {
                let flow = Arc::new(Flow::new(if offline { Rc::NoConn } else { Rc::Success } as i32));
                self.mids.take(mid);
                self.out.insert(token, Outgoing { mid: mid.get(), publish, flow: Arc::clone(&flow) });
                Ok((mid.get(), flow))
            }
            Err(why) => refused(self.refusal(why)?),
        }
    }

    /// What paho's caller hears of a refusal: a code where the server is the reason, else an exception.
    fn refusal(&mut self, why: PublishError) -> Result<Rc, Refused> {
        let rc = refusal_code(&why).ok_or_else(|| Refused::Publish(why.clone()))?;
        self.warn(format!("Message not published: {why}"));
        Ok(rc)
    }

    pub(super) fn warn(&mut self, text: String) {
        if self.tells_packets {
            self.told.push(Told::Log { level: log::WARNING, text });
        }
    }

    pub(crate) fn subscribe(&mut self, now: Instant, subscribe: Subscribe) -> Result<u16, SubscribeError> {
        self.request(|session, mid| session.subscribe_with_id(now, subscribe.clone(), mid))
    }

    pub(crate) fn unsubscribe(&mut self, now: Instant, unsubscribe: Unsubscribe) -> Result<u16, SubscribeError> {
        self.request(|session, mid| session.unsubscribe_with_id(now, unsubscribe.clone(), mid))
    }

    fn request(
        &mut self,
        mut ask: impl FnMut(&mut Session, PacketId) -> Result<Token, SubscribeError>,
    ) -> Result<u16, SubscribeError> {
        let mut tries = u16::MAX;
        loop {
            let mid = self.mids.next();
            match ask(&mut self.session, mid) {
                Ok(token) => {
                    self.requests.insert(token, mid.get());
                    return Ok(mid.get());
                }
                Err(SubscribeError::IdInUse(_)) if tries > 0 => tries -= 1,
                Err(why) => return Err(why),
            }
        }
    }

    pub(crate) fn disconnect(&mut self, disconnect: Disconnect) -> Result<(), CommandError> {
        self.more = true;
        self.speaks = true;
        self.session.disconnect(disconnect)
    }

    pub(crate) fn authenticate(&mut self, auth: Auth) -> Result<(), CommandError> {
        self.session.authenticate(auth)
    }

    /// The application is done with a message; `serial` tells it from others of the same mid.
    pub(crate) fn done(&mut self, mid: u16, serial: u64) {
        if self.inbox.get(&mid).is_some_and(|waiting| waiting.serial == serial) {
            self.acknowledge(mid);
        }
    }

    pub(crate) fn acknowledge_mid(&mut self, mid: u16, qos: QoS) -> bool {
        let waits = self.inbox.get(&mid).is_some_and(|waiting| waiting.delivery.qos() == qos);
        if waits {
            self.acknowledge(mid);
        }
        waits
    }

    fn acknowledge(&mut self, mid: u16) {
        if let Some(waiting) = self.inbox.remove(&mid) {
            self.session.acknowledge(waiting.delivery);
        }
    }

    /// Received messages that are not done are taken for done: one that is never answered would hold back all others.
    pub(crate) fn clear_inbox(&mut self) {
        let mut mids = self.inbox.iter().map(|(&mid, waiting)| (waiting.serial, mid)).collect::<Vec<_>>();
        mids.sort_unstable();
        for (_, mid) in mids {
            self.acknowledge(mid);
        }
    }

    /// Gives up QoS 0 messages that wait; what stands in a buffer already is part of a stream of bytes.
    pub(crate) fn drop_unsent(&mut self, now: Instant) {
        self.session.drop_waiting_qos0();
        self.more = true;
        while self.fetch(now, usize::MAX) == Fetched::Some {}
    }

    pub(crate) fn drop_out(&mut self, now: Instant) {
        self.session.drop_messages();
        self.more = true;
        while self.fetch(now, usize::MAX) == Fetched::Some {}
    }

    /// QoS 1 and 2, not done, in the order of publishing.
    pub(crate) fn out_messages(&self) -> Vec<(u16, Publish, Arc<Flow>)> {
        let mut tokens = self.out.keys().copied().collect::<Vec<_>>();
        tokens.sort_unstable();
        let all = tokens.iter().filter_map(|token| self.out.get(token));
        all.map(|outgoing| (outgoing.mid, outgoing.publish.clone(), Arc::clone(&outgoing.flow))).collect()
    }

    pub(crate) fn out_len(&self) -> usize {
        self.out.len()
    }

    /// Received and not done, in the order of arrival.
    pub(crate) fn in_messages(&self) -> Vec<u16> {
        let mut mids = self.inbox.iter().map(|(&mid, waiting)| (waiting.serial, mid)).collect::<Vec<_>>();
        mids.sort_unstable();
        mids.into_iter().map(|(_, mid)| mid).collect()
    }

    pub(crate) fn inflight(&self) -> usize {
        self.session.in_flight()
    }

    pub(crate) const fn last_mid(&self) -> u16 {
        self.mids.last()
    }
}

fn outgoing(topic: Topic, payload: Bytes, qos: QoS, retain: bool, properties: Properties) -> Publish {
    let publish = Publish::new(topic, payload).expect("invariant: a topic").qos(qos).properties(properties);
    if retain { publish.retained() } else { publish }
}

/// paho's code for what the server does not take; none for what is the caller's fault.
pub(super) const fn refusal_code(why: &PublishError) -> Option<Rc> {
    match why {
        PublishError::TooLarge { .. } => Some(Rc::PayloadSize),
        PublishError::QoSNotSupported { .. } | PublishError::RetainNotSupported => Some(Rc::NotSupported),
        PublishError::QueueFull { .. } | PublishError::IdInUse(_) => Some(Rc::QueueSize),
        _ => None,
    }
}
