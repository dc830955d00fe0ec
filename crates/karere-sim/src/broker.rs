//! The broker's side of the world: bytes in, bytes out, whose session it is.

use std::time::Instant;

use bytes::BytesMut;
use karere_broker::{ConnectionId, Then};
use karere_proto::SendBuf;

use crate::{
    network::{Arrival, End},
    wire::{self, Raw},
    world::World,
};

impl World<'_> {
    /// Something arrived at the broker's end of a connection.
    pub(crate) fn broker_reads(&mut self, id: usize) {
        while let Some(arrival) = self.connections[id].to_broker.read(self.now) {
            if !self.connections[id].broker_open {
                continue;
            }
            match arrival {
                Arrival::Bytes(bytes) => {
                    self.connections[id].reached_broker.extend_from_slice(&bytes);
                    self.broker_packets(id);
                }
                Arrival::End => {
                    let mut rest = core::mem::take(&mut self.connections[id].reached_broker);
                    let now = self.instant();
                    self.broker.handle_bytes(now, connection(id), &mut rest);
                    self.broker.handle_closed(now, connection(id));
                    self.note(|| format!("broker sees the end of connection {id}"));
                    self.broker_closed(id);
                }
            }
        }
    }

    fn broker_packets(&mut self, id: usize) {
        while let Some(len) = wire::packet_len(&self.connections[id].reached_broker) {
            let mut packet = self.connections[id].reached_broker.split_to(len);
            let client = self.connections[id].client;
            self.ledger.reached_broker(client, id, Raw(&packet));
            if self.scenario.low_ids {
                self.ids[client].inward(&mut packet);
            }
            let now = self.instant();
            if Raw(&packet).kind() == wire::CONNECT {
                self.broker_gets_connect(now, id, client, packet);
            } else {
                self.broker.handle_bytes(now, connection(id), &mut packet);
            }
            self.pump_broker();
        }
    }

    /// Whether a session is new is not asked of CONNACK, which may be lost.
    fn broker_gets_connect(&mut self, now: Instant, id: usize, client: usize, mut packet: BytesMut) {
        let name = self.clients[client].name.clone();
        // A temporary one ends with the connection that this one takes over.
        let temporary = self.scenario.clients[client].config.session_expiry.seconds() == 0;
        let existed = self.broker.session(&name).is_some() && !temporary;
        let clean = self.clients[client].asks_clean(&packet);
        let before = self.broker.counters().accepted;
        self.broker.handle_bytes(now, connection(id), &mut packet);
        let accepted = self.broker.counters().accepted > before;
        if accepted && (clean || !existed) {
            self.note(|| format!("broker begins a session for client {client}"));
            self.ledger.new_server_session(client);
            self.ids[client].clear();
        }
    }

    /// Fetches all that the broker has to say.
    pub(crate) fn pump_broker(&mut self) {
        while let Some(ready) = self.broker.poll_ready() {
            let id = usize::try_from(ready.get()).expect("invariant: an index");
            let mut out = SendBuf::new();
            let now = self.instant();
            let then = self.broker.poll_bytes(now, ready, &mut out);
            let bytes = out.to_vec();
            self.connections[id].left_broker.extend_from_slice(&bytes);
            let client = self.connections[id].client;
            let mut sent = BytesMut::new();
            while let Some(len) = wire::packet_len(&self.connections[id].left_broker) {
                let mut packet = self.connections[id].left_broker.split_to(len);
                if self.scenario.low_ids {
                    self.ids[client].outward(&mut packet);
                }
                self.note(|| format!("broker → client {client} on connection {id}: {}", Raw(&packet)));
                self.ledger.left_broker(client, id, Raw(&packet));
                sent.unsplit(packet);
            }
            if then == Then::Close {
                sent.unsplit(core::mem::take(&mut self.connections[id].left_broker));
            }
            self.write(id, End::Client, &sent);
            if then == Then::Close {
                self.note(|| format!("broker closes connection {id}"));
                self.broker_closed(id);
            }
        }
    }

    /// The broker's socket is gone.
    fn broker_closed(&mut self, id: usize) {
        let travel = self.travel();
        let connection = &mut self.connections[id];
        if core::mem::replace(&mut connection.broker_open, false) {
            connection.to_broker.cut(0);
            if let Some(due) = connection.to_client.close(self.now, travel, &mut self.dice) {
                self.arrive(due, id, End::Client);
            }
        }
    }
}

pub(crate) fn connection(id: usize) -> ConnectionId {
    ConnectionId::new(id as u64)
}
