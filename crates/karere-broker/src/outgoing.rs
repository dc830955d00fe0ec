//! The way out: packets to bytes, past the faults.

use std::time::Instant;

use bytes::Bytes;
use karere_proto::{
    Packet, PacketId, ReasonCode,
    packet::{AckKind, Attempt, PublishPacket},
};

use crate::{
    broker::Broker,
    connection::{Connection, ConnectionId},
    ending::Ending,
    faults::{Direction, Fault, Seen},
    outbox::encoded,
    timer::Timer,
};

/// What became of a PUBLISH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sending {
    Sent,
    /// The client takes no packets of that size [MQTT-3.1.2-24].
    TooLarge,
}

/// Bytes by which a topic alias can make a packet larger: the property, and one more for Property Length.
const ALIAS_COST: usize = 4;

impl Broker {
    /// Sends a packet; nothing happens when the connection is closing.
    pub(crate) fn send(&mut self, now: Instant, id: ConnectionId, packet: &Packet) {
        let Some(connection) = self.connections.get_mut(&id).filter(|connection| !connection.is_closing()) else {
            return;
        };
        if !self.faults.is_empty() {
            return self.send_past_faults(now, id, packet);
        }
        connection.outbox.put(packet, connection.version.rules());
        if let Some(answered) = answered_by(packet) {
            connection.unanswered.remove(&answered);
        }
        if let Packet::Publish(publish) = packet {
            self.counters.message_out(publish.qos);
        }
        self.list(id);
    }

    /// Sends a PUBLISH, by topic alias where that is agreed.
    pub(crate) fn send_publish(&mut self, now: Instant, id: ConnectionId, publish: PublishPacket) -> Sending {
        let Some(connection) = self.connections.get_mut(&id) else {
            return Sending::Sent;
        };
        let mut packet = Packet::Publish(publish);
        let Some(room) = connection.maximum_packet_size.checked_sub(packet.size(connection.rules())) else {
            self.counters.dropped_too_large += 1;
            return Sending::TooLarge;
        };
        if let Packet::Publish(publish) = &mut packet {
            if room >= ALIAS_COST {
                connection.aliases_out.apply(publish);
            }
            self.counters.duplicates_out += u64::from(publish.attempt == Attempt::Again);
        }
        self.send(now, id, &packet);
        Sending::Sent
    }

    /// Lists a connection for [`Broker::poll_ready`].
    pub(crate) fn list(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id)
            && !connection.listed
        {
            connection.listed = true;
            self.ready.push_back(id);
        }
    }

    /// What a fault held back on the way out and in is due.
    pub(crate) fn release_held(&mut self, now: Instant, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            let unanswered = &mut connection.unanswered;
            connection.outbox.release(now, |answered| {
                unanswered.remove(&answered);
            });
            if connection.outbox.is_ready() || connection.is_closing() {
                self.list(id);
            }
        }
        self.release_inbox(now, id);
        self.arm_fault_timer(id);
    }

    /// Sets the timer to the next thing that a fault holds back.
    pub(crate) fn arm_fault_timer(&mut self, id: ConnectionId) {
        let due = self.connections.get(&id).and_then(|connection| {
            let inbox = connection.inbox.iter().map(|held| held.due);
            connection.outbox.next_due().into_iter().chain(inbox).min()
        });
        match due {
            Some(due) => self.timers.set(Timer::Fault(id), due),
            None => self.timers.stop(Timer::Fault(id)),
        }
    }

    fn send_past_faults(&mut self, now: Instant, id: ConnectionId, packet: &Packet) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let seen = seen(id, connection, packet);
        let fault = self.faults.judge(&seen);
        self.counters.faults += u64::from(fault.is_some());
        let rules = connection.rules();
        let answered = answered_by(packet);
        let after = |pause| now.checked_add(pause).unwrap_or(now);
        let bytes = encoded(packet, rules);
        let mut closes = false;
        match fault {
            None | Some(Fault::CloseAtByte(_)) => self.write(now, id, bytes),
            Some(Fault::Drop) => return,
            Some(Fault::Delay(delay)) => {
                connection.outbox.postpone(after(delay), bytes, answered);
                return self.arm_fault_timer(id);
            }
            Some(Fault::Stall(delay)) => {
                connection.outbox.hold(after(delay), bytes);
                self.arm_fault_timer(id);
            }
            Some(Fault::Duplicate) => {
                self.write(now, id, bytes.clone());
                self.write(now, id, bytes);
            }
            Some(Fault::Split { size, pause }) => {
                for (nth, piece) in (0..).zip(bytes.chunks(size.max(1))) {
                    connection.outbox.hold(after(pause.saturating_mul(nth)), Bytes::copy_from_slice(piece));
                }
                self.release_held(now, id);
            }
            Some(Fault::CloseBefore) => return self.end(now, id, Ending::Lost),
            Some(Fault::CloseAfter) => {
                self.write(now, id, bytes);
                closes = true;
            }
            Some(Fault::Answer(reason)) => self.write(now, id, encoded(&with_reason(packet, reason), rules)),
            Some(Fault::Replace(bytes)) => self.write(now, id, bytes),
        }
        if let Packet::Publish(publish) = packet {
            self.counters.message_out(publish.qos);
        }
        if let (Some(connection), Some(answered)) = (self.connections.get_mut(&id), answered) {
            connection.unanswered.remove(&answered);
        }
        self.list(id);
        if closes {
            self.end(now, id, Ending::Lost);
        }
    }

    /// Writes bytes up to where a [`Fault::CloseAtByte`] cuts them.
    fn write(&mut self, now: Instant, id: ConnectionId, mut bytes: Bytes) {
        let Some(connection) = self.connections.get_mut(&id).filter(|connection| !connection.is_closing()) else {
            return;
        };
        let start = connection.outbox.total();
        let client_id = connection.client_id.as_deref();
        let seen = Seen { direction: Direction::ToClient, packet: None, connection: id, client_id };
        let cut = self.faults.cut(&seen, start..start + bytes.len() as u64);
        if let Some(cut) = cut {
            bytes.truncate(usize::try_from(cut).unwrap_or(usize::MAX));
        }
        connection.outbox.put_bytes(bytes);
        if cut.is_some() {
            self.counters.faults += 1;
            self.end(now, id, Ending::Lost);
        }
    }
}

fn seen<'a>(id: ConnectionId, connection: &'a Connection, packet: &Packet) -> Seen<'a> {
    Seen {
        direction: Direction::ToClient,
        packet: Some(packet.packet_type()),
        connection: id,
        client_id: connection.client_id.as_deref(),
    }
}

/// The message of the client whose flow this packet ends (§3.3.4).
fn answered_by(packet: &Packet) -> Option<PacketId> {
    match packet {
        Packet::Ack(ack) => match ack.kind {
            AckKind::PubAck | AckKind::PubComp => Some(ack.id),
            AckKind::PubRec if ack.reason.is_failure() => Some(ack.id),
            AckKind::PubRec | AckKind::PubRel => None,
        },
        _ => None,
    }
}

/// The same packet with another reason code, where it has one.
fn with_reason(packet: &Packet, reason: ReasonCode) -> Packet {
    let mut packet = packet.clone();
    match &mut packet {
        Packet::ConnAck(ack) => ack.reason = reason,
        Packet::Ack(ack) => ack.reason = reason,
        Packet::SubAck(_, ack) => ack.reasons.fill(reason),
        Packet::UnsubAck(_, ack) => ack.reasons.fill(reason),
        Packet::Disconnect(disconnect) => disconnect.reason = reason,
        Packet::Auth(auth) => auth.reason = reason,
        Packet::Connect(_)
        | Packet::Publish(_)
        | Packet::Subscribe(..)
        | Packet::Unsubscribe(..)
        | Packet::PingReq
        | Packet::PingResp => {}
    }
    packet
}
