//! The way in: bytes to packets, past the faults, to what handles them.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use karere_proto::{
    Frame, Packet, PacketType, ProtocolError, QoS, ReasonCode, Side, Version, WireRules, next_frame,
    packet::{Ack, AckKind, Disconnect, SubAck, UnsubAck},
};

use crate::{
    broker::Broker,
    connection::{ConnectionId, HeldFrame, Judged, Phase},
    ending::Ending,
    faults::{Direction, Fault, Seen},
};

impl Broker {
    /// Bytes arrived, cut anywhere. All are taken; the beginning of a packet is kept until the rest of it comes.
    pub fn handle_bytes(&mut self, now: Instant, id: ConnectionId, bytes: &mut BytesMut) {
        let mut bytes = bytes.split();
        let Some(connection) = self.connections.get_mut(&id).filter(|connection| !connection.is_closing()) else {
            return;
        };
        connection.last_heard = now;
        let start = connection.bytes_in;
        connection.bytes_in += bytes.len() as u64;
        self.counters.bytes_in += bytes.len() as u64;
        let mut cut = None;
        if !self.faults.is_empty() {
            let client_id = connection.client_id.as_deref();
            let seen = Seen { direction: Direction::FromClient, packet: None, connection: id, client_id };
            cut = self.faults.cut(&seen, start..connection.bytes_in);
        }
        if let Some(cut) = cut {
            self.counters.faults += 1;
            bytes.truncate(usize::try_from(cut).unwrap_or(usize::MAX));
        }
        let mut input = core::mem::take(&mut connection.input);
        input.unsplit(bytes);
        self.handle_input(now, id, &mut input, Judged::NotYet);
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.input = input;
        }
        if cut.is_some() {
            self.end(now, id, Ending::Lost);
        }
    }

    /// Handles every whole packet in `input`.
    fn handle_input(&mut self, now: Instant, id: ConnectionId, input: &mut BytesMut, judged: Judged) {
        while let Some(connection) = self.connections.get(&id).filter(|connection| !connection.is_closing()) {
            match next_frame(input, connection.frame_limits(&self.config)) {
                Ok(Some(frame)) => self.handle_frame(now, id, frame, judged),
                Ok(None) => return,
                Err(error) => self.handle_error(now, id, &error),
            }
        }
        input.clear();
    }

    fn handle_frame(&mut self, now: Instant, id: ConnectionId, frame: Frame, judged: Judged) {
        if !self.faults.is_empty() || self.connections.get(&id).is_some_and(|connection| connection.stalled.is_some()) {
            self.handle_frame_past_faults(now, id, frame, judged);
        } else {
            self.handle_whole(now, id, frame);
        }
    }

    /// Decodes a packet and hands it to what handles it.
    fn handle_whole(&mut self, now: Instant, id: ConnectionId, frame: Frame) {
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        if matches!(connection.phase, Phase::Opened) {
            return self.handle_first(now, id, frame);
        }
        let rules = connection.rules();
        let online = connection.is_online();
        match Packet::decode(frame, rules, Side::Client) {
            Ok(packet) if online => self.handle_packet(now, id, packet),
            Ok(Packet::Auth(auth)) => self.handle_auth(now, id, &auth),
            Ok(_) => self.end(now, id, Ending::Lost), // [MQTT-3.1.2-30]
            Err(error) => self.handle_error(now, id, &error),
        }
    }

    fn handle_packet(&mut self, now: Instant, id: ConnectionId, packet: Packet) {
        match packet {
            Packet::Publish(publish) => self.handle_publish(now, id, publish),
            Packet::Ack(ack) => self.handle_ack(now, id, &ack),
            Packet::Subscribe(packet_id, subscribe) => self.handle_subscribe(now, id, packet_id, subscribe),
            Packet::Unsubscribe(packet_id, unsubscribe) => self.handle_unsubscribe(now, id, packet_id, &unsubscribe),
            Packet::PingReq => self.send(now, id, &Packet::PingResp),
            Packet::Disconnect(disconnect) => self.handle_disconnect(now, id, &disconnect),
            Packet::Auth(auth) => self.handle_auth(now, id, &auth),
            Packet::Connect(_) => {
                self.fail(now, id, ReasonCode::ProtocolError, "received CONNECT for the second time [MQTT-3.1.0-2]");
            }
            // The frame said that only a server sends these.
            Packet::ConnAck(_) | Packet::SubAck(..) | Packet::UnsubAck(..) | Packet::PingResp => {}
        }
    }

    fn handle_disconnect(&mut self, now: Instant, id: ConnectionId, disconnect: &Disconnect) {
        let session = self.connections.get(&id).and_then(|connection| connection.session);
        if let Some(session) = session.and_then(|session| self.sessions.get_mut(&session))
            && let Some(seconds) = disconnect.properties.session_expiry_interval()
        {
            if session.ends_with_connection() && seconds > 0 {
                let why = "received DISCONNECT that keeps a session which CONNECT wanted to end (§3.14.2.2.2)";
                return self.fail(now, id, ReasonCode::ProtocolError, why);
            }
            session.expiry = self.config.session_expiry(seconds);
        }
        let normal = disconnect.reason == ReasonCode::Success;
        self.end(now, id, if normal { Ending::Normal } else { Ending::Lost });
    }

    /// The client broke the protocol.
    pub(crate) fn handle_error(&mut self, now: Instant, id: ConnectionId, error: &ProtocolError) {
        let reason = Some(error.reason())
            .filter(|reason| reason.allowed_in(PacketType::Disconnect, Side::Server))
            .unwrap_or(ReasonCode::ProtocolError);
        self.fail(now, id, reason, &error.to_string());
    }

    fn handle_frame_past_faults(&mut self, now: Instant, id: ConnectionId, frame: Frame, judged: Judged) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        if let Some(due) = connection.stalled {
            return connection.inbox.push_back(HeldFrame { due, frame, judged });
        }
        if judged == Judged::Already {
            return self.handle_whole(now, id, frame);
        }
        let from_connect = client_id_of(&frame, connection.rules());
        let seen = Seen {
            direction: Direction::FromClient,
            packet: Some(frame.packet_type),
            connection: id,
            client_id: from_connect.as_deref().or(connection.client_id.as_deref()),
        };
        let fault = self.faults.judge(&seen);
        self.counters.faults += u64::from(fault.is_some());
        let after = |pause| now.checked_add(pause).unwrap_or(now);
        match fault {
            None | Some(Fault::CloseAtByte(_) | Fault::Split { .. }) => self.handle_whole(now, id, frame),
            Some(Fault::Drop) => {}
            Some(Fault::Delay(delay)) => {
                connection.inbox.push_back(HeldFrame { due: after(delay), frame, judged: Judged::Already });
                self.arm_fault_timer(id);
            }
            Some(Fault::Stall(delay)) => {
                let due = after(delay);
                connection.stalled = Some(due);
                connection.inbox.push_back(HeldFrame { due, frame, judged: Judged::Already });
                self.arm_fault_timer(id);
            }
            Some(Fault::Duplicate) => {
                self.handle_whole(now, id, frame.clone());
                self.handle_whole(now, id, frame);
            }
            Some(Fault::CloseBefore) => self.end(now, id, Ending::Lost),
            Some(Fault::CloseAfter) => {
                self.handle_whole(now, id, frame);
                self.end(now, id, Ending::Lost);
            }
            Some(Fault::Answer(reason)) => self.answer(now, id, frame, reason),
            Some(Fault::Replace(bytes)) => self.handle_input(now, id, &mut BytesMut::from(&bytes[..]), Judged::Already),
        }
    }

    /// What faults held back of what came in is due.
    pub(crate) fn release_inbox(&mut self, now: Instant, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        if connection.stalled.is_some_and(|stalled| stalled <= now) {
            connection.stalled = None;
        }
        let (mut due, held) = connection.inbox.drain(..).partition::<Vec<_>, _>(|held| held.due <= now);
        connection.inbox.extend(held);
        due.sort_by_key(|held| held.due); // stable: equal ones stay in order
        for HeldFrame { frame, judged, .. } in due {
            if self.connections.get(&id).is_some_and(|connection| !connection.is_closing()) {
                self.handle_frame_past_faults(now, id, frame, judged);
            }
        }
    }

    /// Answers a packet with a reason code and does nothing else with it.
    fn answer(&mut self, now: Instant, id: ConnectionId, frame: Frame, reason: ReasonCode) {
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        let decoded = Packet::decode(frame, connection.rules(), Side::Client);
        let answer = match decoded {
            Ok(Packet::Connect(connect)) => return self.refuse(now, id, connect.version, reason),
            Ok(Packet::Publish(publish)) if publish.id.is_some() => {
                let kind = if publish.qos == QoS::AtLeastOnce { AckKind::PubAck } else { AckKind::PubRec };
                publish.id.map(|packet_id| Packet::Ack(Ack::with_reason(kind, packet_id, reason)))
            }
            Ok(Packet::Ack(ack)) if ack.kind == AckKind::PubRec => {
                Some(Packet::Ack(Ack::with_reason(AckKind::PubRel, ack.id, reason)))
            }
            Ok(Packet::Ack(ack)) if ack.kind == AckKind::PubRel => {
                Some(Packet::Ack(Ack::with_reason(AckKind::PubComp, ack.id, reason)))
            }
            Ok(Packet::Subscribe(packet_id, subscribe)) => {
                Some(Packet::SubAck(packet_id, SubAck::new(vec![reason; subscribe.subscriptions.len()])))
            }
            Ok(Packet::Unsubscribe(packet_id, unsubscribe)) => {
                Some(Packet::UnsubAck(packet_id, UnsubAck::new(vec![reason; unsubscribe.filters.len()])))
            }
            Ok(_) => None,
            Err(error) => return self.handle_error(now, id, &error),
        };
        match answer {
            Some(answer) => self.send(now, id, &answer),
            None => self.say_goodbye(now, id, Disconnect::new(reason)),
        }
    }
}

/// The client identifier of a CONNECT that has one.
fn client_id_of(frame: &Frame, rules: &WireRules) -> Option<String> {
    if frame.packet_type != PacketType::Connect {
        return None;
    }
    match Packet::decode(frame.clone(), rules, Side::Client) {
        Ok(Packet::Connect(connect)) => Some(connect.client_id.as_str().to_owned()),
        Ok(_) | Err(_) => None,
    }
}

/// The version that the body of a CONNECT names, whatever else is in it.
pub(crate) fn version_of(body: &Bytes) -> Option<Version> {
    let (len, rest) = body.split_first_chunk::<2>()?;
    let (name, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
    Version::from_wire(name, *rest.first()?)
}
