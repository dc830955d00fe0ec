//! What the session tells, as paho would tell it.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use karere_proto::{
    PacketId, PacketType, Properties, Publish, QoS, ReasonCode, Token,
    packet::{Attempt, ConnAck, Disconnect, DisconnectForm, Packet, SubAck, UnsubAck},
    session::{Cause as SessionCause, Delivery, Event, NotSent, Outcome},
};

use super::{ByToken, Outgoing, State, Waiting, commands::refusal_code};
use crate::{
    flow::{End, Flow, Rc},
    told::{Cause, Received, Told, outcome},
};

/// Room for so many messages is kept when none is left; more only was needed for a burst.
const KEEP: usize = 4096;

impl State {
    pub(super) fn take_in(&mut self, event: Event) {
        match event {
            Event::Message { publish, delivery, attempt } => self.take_in_message(publish, None, delivery, attempt),
            Event::Undecodable { topic, publish, delivery, attempt } => {
                self.take_in_message(publish, Some(topic), delivery, attempt);
            }
            Event::Published { token, outcome, .. } => self.take_in_outcome(token, outcome),
            Event::Subscribed { token, id, ack } => {
                if let (Some(mid), Some(ack)) = (self.asked_as(token, id), ack) {
                    self.tell_suback(mid, ack);
                }
            }
            Event::Unsubscribed { token, id, ack } => {
                if let (Some(mid), Some(ack)) = (self.asked_as(token, id), ack) {
                    self.tell_unsuback(mid, ack);
                }
            }
            Event::Connected(ack) => {
                // What was published without a connection is on its way now.
                for outgoing in self.out.values() {
                    if outgoing.flow.rc() == Rc::NoConn as i32 {
                        outgoing.flow.set_rc(Rc::Success as i32);
                    }
                }
                self.speaks = true;
                self.tell_connack(true, ack);
            }
            Event::Disconnected(cause) => self.take_in_end(cause),
            Event::Auth(auth) => {
                self.told.push(Told::Auth { code: auth.reason.as_byte(), properties: auth.properties });
            }
            // paho tells these to the callbacks too; acknowledgements of unknown messages mean nothing to it.
            Event::Unexpected(Packet::SubAck(id, ack)) => self.tell_suback(id.get(), ack),
            Event::Unexpected(Packet::UnsubAck(id, ack)) => self.tell_unsuback(id.get(), ack),
            Event::Unexpected(_) => {}
            _ => debug_assert!(false, "an event that this crate does not know"),
        }
    }

    fn tell_suback(&mut self, mid: u16, ack: SubAck) {
        let codes = ack.reasons.iter().map(|reason| reason.as_byte()).collect();
        self.told.push(Told::SubAck { mid, codes, properties: ack.properties });
    }

    fn tell_unsuback(&mut self, mid: u16, ack: UnsubAck) {
        let codes = ack.reasons.iter().map(|reason| reason.as_byte()).collect();
        self.told.push(Told::UnsubAck { mid, codes, properties: ack.properties });
    }

    /// What the application calls a request.
    fn asked_as(&mut self, token: Token, id: Option<PacketId>) -> Option<u16> {
        self.requests.remove(&token).or_else(|| id.map(PacketId::get))
    }

    fn take_in_message(&mut self, publish: Publish, undecoded: Option<Bytes>, delivery: Delivery, attempt: Attempt) {
        let mid = delivery.packet_id().map_or(0, PacketId::get);
        let mut serial = 0;
        if mid != 0 {
            self.last_serial += 1;
            serial = self.last_serial;
            self.inbox.insert(mid, Waiting { serial, delivery });
        } else {
            self.session.acknowledge(delivery); // there is nothing to say at QoS 0
        }
        let has_properties = self.session.negotiated().version.rules().properties;
        let dup = attempt == Attempt::Again;
        self.told.push(Told::Message(Box::new(Received { publish, undecoded, dup, mid, serial, has_properties })));
    }

    fn take_in_outcome(&mut self, token: Token, told: Outcome) {
        let Some((mid, qos, flow)) = self.take_out(token) else {
            return;
        };
        let (end, code, properties, kind) = match told {
            Outcome::Acknowledged { reason, properties } => (End::Published, reason, properties, outcome::ACKNOWLEDGED),
            // paho knows no code for it: the callback says why.
            Outcome::Refused { reason, properties } => (End::Published, reason, properties, outcome::REFUSED),
            Outcome::NotSent(why) => {
                let rc = match &why {
                    NotSent::Refused(why) => refusal_code(why).unwrap_or(Rc::NotSupported),
                    _ => Rc::ConnLost,
                };
                self.untold.retain(|&untold| untold != mid);
                self.warn(format!("Message m{mid} not published: {why}"));
                (End::Failed(rc), ReasonCode::UnspecifiedError, Properties::new(), outcome::NOT_SENT)
            }
            _ => (End::Failed(Rc::ConnLost), ReasonCode::UnspecifiedError, Properties::new(), outcome::UNKNOWN),
        };
        if flow.end(end) {
            self.ended.push(flow);
        }
        if self.tells_published {
            let packet = match qos {
                QoS::ExactlyOnce if kind == outcome::REFUSED => PacketType::PubRec,
                QoS::ExactlyOnce => PacketType::PubComp,
                _ => PacketType::PubAck,
            };
            self.told.push(Told::Published { mid, code: code.as_byte(), properties, outcome: kind, packet });
        }
    }

    fn take_out(&mut self, token: Token) -> Option<(u16, QoS, Arc<Flow>)> {
        // QoS 0 is written in order; what waits is given up behind what was on its way.
        if self.unwritten.front().is_some_and(|&(first, ..)| first == token) {
            let (_, mid, flow) = self.unwritten.pop_front()?;
            if self.unwritten.is_empty() && self.unwritten.capacity() > KEEP {
                self.unwritten = VecDeque::new();
            }
            return Some((mid, QoS::AtMostOnce, flow));
        }
        if let Some(Outgoing { mid, publish, flow }) = self.out.remove(&token) {
            self.mids.give_back(mid);
            if self.out.is_empty() && self.out.capacity() > KEEP {
                self.out = ByToken::default();
            }
            return Some((mid, publish.qos, flow));
        }
        let at = self.unwritten.iter().position(|&(at, ..)| at == token)?;
        self.unwritten.remove(at).map(|(_, mid, flow)| (mid, QoS::AtMostOnce, flow))
    }

    fn tell_connack(&mut self, accepted: bool, ack: ConnAck) {
        let v5 = self.version().rules().properties;
        self.told.push(Told::ConnAck {
            accepted,
            session_present: ack.session_present && accepted,
            code: ack.return_code.unwrap_or_else(|| ack.reason.as_byte()),
            short: v5 && ack.return_code.is_some(),
            properties: ack.properties,
        });
    }

    fn take_in_end(&mut self, ended: SessionCause) {
        let text = ended.to_string();
        let (mut code, mut properties) = (None, None);
        let cause = match ended {
            SessionCause::Requested => Cause::Requested,
            SessionCause::KeepAliveTimeout => Cause::KeepAlive,
            SessionCause::Protocol(_) => Cause::Protocol,
            SessionCause::ConnAckTimeout => Cause::TimedOut,
            SessionCause::Refused(ack) => {
                code = Some(ack.return_code.unwrap_or_else(|| ack.reason.as_byte()));
                properties = Some(ack.properties.clone()).filter(|properties| !properties.is_empty());
                self.tell_connack(false, ack);
                Cause::Refused
            }
            SessionCause::Server(Disconnect { reason, properties: theirs, form, .. }) => {
                code = (form != DisconnectForm::Empty).then_some(reason.as_byte());
                properties = (form == DisconnectForm::Full).then_some(theirs);
                Cause::Server
            }
            _ => Cause::Lost,
        };
        self.told.push(Told::Disconnected { cause, code, properties, text });
    }
}
