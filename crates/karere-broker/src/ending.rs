//! The end of connections and sessions, and the wills that go with it (§3.1.2.5, §3.1.2.11.2).

use std::time::Instant;

use karere_proto::{Packet, PropertyId, ReasonCode, Value, packet::Disconnect};

use crate::{
    broker::Broker,
    connection::{ConnectionId, Phase},
    message::Message,
    session::SessionId,
    timer::Timer,
    will::WillFate,
};

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// By DISCONNECT with reason code 0: the will is deleted [MQTT-3.14.4-3].
    Normal,
    /// In any other way.
    Lost,
}

impl Broker {
    /// Ends a connection: its session goes on alone or ends, too; what waits is still written.
    pub(crate) fn end(&mut self, now: Instant, id: ConnectionId, ending: Ending) {
        let Some(connection) = self.connections.get_mut(&id).filter(|connection| !connection.is_closing()) else {
            return;
        };
        connection.phase = Phase::Closing;
        connection.inbox.clear();
        connection.stalled = None;
        let session = connection.session.take();
        self.timers.stop(Timer::Connect(id));
        self.timers.stop(Timer::KeepAlive(id));
        self.list(id);
        self.counters.lost += u64::from(ending == Ending::Lost);
        if let Some(session) = session {
            self.detach(now, session, ending);
        }
    }

    /// Tells the client why, where the version can, and ends the connection.
    pub(crate) fn say_goodbye(&mut self, now: Instant, id: ConnectionId, mut disconnect: Disconnect) {
        if let Some(connection) = self.connections.get(&id)
            && connection.is_online()
            && connection.rules().server_speaks_up
        {
            let packet = Packet::Disconnect(disconnect.clone());
            if packet.size(connection.rules()) > connection.maximum_packet_size {
                disconnect = Disconnect::new(disconnect.reason); // [MQTT-3.14.2-3]
            }
            self.send(now, id, &Packet::Disconnect(disconnect));
        }
        self.end(now, id, Ending::Lost);
    }

    /// Ends a connection because the client broke a rule, which `why` tells to people.
    pub(crate) fn fail(&mut self, now: Instant, id: ConnectionId, reason: ReasonCode, why: &str) {
        self.counters.protocol_errors += 1;
        let mut disconnect = Disconnect::new(reason);
        // Longer than a string of MQTT it is not, and if it were, the reason code says enough.
        let _ = disconnect.properties.set(PropertyId::ReasonString, Value::Str(why));
        self.say_goodbye(now, id, disconnect);
    }

    /// Nothing was heard for long enough?
    pub(crate) fn check_keep_alive(&mut self, now: Instant, id: ConnectionId) {
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        let deadline = connection.keep_alive.and_then(|alive| connection.last_heard.checked_add(alive.patience()));
        match deadline {
            Some(deadline) if deadline <= now => {
                self.say_goodbye(now, id, Disconnect::new(ReasonCode::KeepAliveTimeout));
            }
            // Bytes came since the timer was set. Moving it here is cheaper than at each of them.
            Some(deadline) => self.timers.set(Timer::KeepAlive(id), deadline),
            None => {}
        }
    }

    /// Publishes the will of a session, if it has one.
    pub(crate) fn publish_will(&mut self, now: Instant, id: SessionId) {
        self.timers.stop(Timer::WillDelay(id));
        if let Some(will) = self.sessions.get_mut(&id).and_then(|session| session.will.take()) {
            self.route(now, Some(id), Message::new(now, will.publish));
        }
    }

    /// Ends a session that has no connection. A will that was held back is due [MQTT-3.1.2-8].
    pub(crate) fn end_session(&mut self, now: Instant, id: SessionId) {
        self.publish_will(now, id);
        self.timers.stop(Timer::SessionExpiry(id));
        if let Some(session) = self.sessions.remove(&id) {
            self.by_client_id.remove(&session.client_id);
            for filter in &session.filters {
                self.subscriptions.remove(id, filter);
            }
        }
    }

    fn detach(&mut self, now: Instant, id: SessionId, ending: Ending) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        session.connection = None;
        if ending == Ending::Normal {
            session.will = None;
        }
        let fate = session.will.as_ref().map(|will| will.fate(session.expiry));
        let ends = session.ends_with_connection();
        let expires = session.expiry.and_then(|expiry| now.checked_add(expiry));
        match fate {
            Some(WillFate::Publish) => self.publish_will(now, id),
            Some(WillFate::Wait(wait)) => {
                if let Some(due) = now.checked_add(wait) {
                    self.timers.set(Timer::WillDelay(id), due);
                }
            }
            None => {}
        }
        if ends {
            self.end_session(now, id);
        } else if let Some(expires) = expires {
            self.timers.set(Timer::SessionExpiry(id), expires);
        }
    }
}
