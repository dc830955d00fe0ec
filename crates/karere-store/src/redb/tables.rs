//! The tables of layout 1: what is in a row, and how it is read back.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use karere_proto::{
    Filter, PacketId,
    packet::SubscribeOptions,
    session::{Granted, InFlight, Queued, Record, Sent, Snapshot},
};
use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};

use super::file::Error;
use crate::index::{Changes, Flow, Index, SessionRow, Stage, Told};

pub(super) const CLIENTS: TableDefinition<'_, &str, u32> = TableDefinition::new("clients");
pub(super) const SESSIONS: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("sessions");
pub(super) const MESSAGES: TableDefinition<'_, (u32, u64), &[u8]> = TableDefinition::new("messages");
/// Stage and whether its outcome was told, packet identifier, order.
pub(super) const FLOWS: TableDefinition<'_, (u32, u64), (u8, u16, u64)> = TableDefinition::new("flows");
pub(super) const RECEIVED: TableDefinition<'_, (u32, u16), u64> = TableDefinition::new("received");
/// Options and Subscription Identifier, 0 for none.
pub(super) const WANTED: TableDefinition<'_, (u32, &[u8]), (u8, u32)> = TableDefinition::new("wanted");

/// Makes the tables, so that they can be read.
pub(super) fn make(transaction: &WriteTransaction) -> Result<(), Error> {
    transaction.open_table(CLIENTS)?;
    transaction.open_table(SESSIONS)?;
    transaction.open_table(MESSAGES)?;
    transaction.open_table(FLOWS)?;
    transaction.open_table(RECEIVED)?;
    transaction.open_table(WANTED)?;
    Ok(())
}

pub(super) fn names(transaction: &ReadTransaction) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for row in transaction.open_table(CLIENTS)?.iter()? {
        names.push(row?.0.value().to_owned());
    }
    Ok(names)
}

pub(super) fn number_of(transaction: &ReadTransaction, name: &str) -> Result<Option<u32>, Error> {
    Ok(transaction.open_table(CLIENTS)?.get(name)?.map(|number| number.value()))
}

pub(super) fn next_number(transaction: &ReadTransaction) -> Result<u32, Error> {
    let mut next = 0;
    for row in transaction.open_table(CLIENTS)?.iter()? {
        next = next.max(row?.1.value() + 1);
    }
    Ok(next)
}

pub(super) fn add(transaction: &WriteTransaction, name: &str, number: u32) -> Result<(), Error> {
    transaction.open_table(CLIENTS)?.insert(name, number)?;
    Ok(())
}

/// Writes what has changed.
pub(super) fn save(transaction: &WriteTransaction, number: u32, index: &Index, changes: &Changes) -> Result<(), Error> {
    transaction.open_table(SESSIONS)?.insert(number, &session_bytes(&index.session)[..])?;
    if !changes.messages.is_empty() {
        let mut table = transaction.open_table(MESSAGES)?;
        for (&seq, message) in &changes.messages {
            match message {
                Some(message) => table.insert((number, seq), &message[..])?,
                None => table.remove((number, seq))?,
            };
        }
    }
    if !changes.flows.is_empty() {
        let mut table = transaction.open_table(FLOWS)?;
        for &seq in &changes.flows {
            match index.flows.get(&seq) {
                Some(flow) => table.insert((number, seq), flow_row(flow))?,
                None => table.remove((number, seq))?,
            };
        }
    }
    if !changes.received.is_empty() {
        let mut table = transaction.open_table(RECEIVED)?;
        for &id in &changes.received {
            match index.received.get(&id) {
                Some(&order) => table.insert((number, id.get()), order)?,
                None => table.remove((number, id.get()))?,
            };
        }
    }
    if !changes.wanted.is_empty() {
        let mut table = transaction.open_table(WANTED)?;
        for (filter, granted) in &changes.wanted {
            let key = (number, &filter[..]);
            match granted {
                Some((options, identifier)) => table.insert(key, (options.as_byte(), identifier.unwrap_or(0)))?,
                None => table.remove(key)?,
            };
        }
    }
    Ok(())
}

/// What is needed to go on writing.
pub(super) fn load_index(transaction: &ReadTransaction, number: u32) -> Result<Index, Error> {
    let mut index = Index::default();
    if let Some(row) = transaction.open_table(SESSIONS)?.get(number)? {
        index.session = session_row(Bytes::copy_from_slice(row.value()))?;
    }
    for row in transaction.open_table(FLOWS)?.range((number, 0)..=(number, u64::MAX))? {
        let (key, value) = row?;
        index.restore_flow(key.value().1, flow(value.value())?);
    }
    for row in transaction.open_table(RECEIVED)?.range((number, 0)..=(number, u16::MAX))? {
        let (key, order) = row?;
        index.received.insert(packet_id(key.value().1)?, order.value());
    }
    Ok(index)
}

/// All that is kept of a client.
pub(super) fn load_snapshot(transaction: &ReadTransaction, number: u32) -> Result<Snapshot, Error> {
    let index = load_index(transaction, number)?;
    let mut snapshot = Snapshot::default();
    for row in transaction.open_table(MESSAGES)?.range((number, 0)..=(number, u64::MAX))? {
        let (key, value) = row?;
        let record = Record::decode(Bytes::copy_from_slice(value.value()));
        let Ok(Record::Enqueued { seq, publish, expires }) = record else {
            return Err(damaged("a message that is none"));
        };
        if seq != key.value().1 {
            return Err(damaged("a message in the wrong place"));
        }
        let mut queued = Queued::new(publish);
        queued.expires = expires;
        match index.flows.get(&seq).map(|flow| flow.stage) {
            None => {}
            Some(Stage::Before) => queued.sent = Sent::Before,
            Some(Stage::Publishing) => {
                let mut flow = InFlight::new(seq, index.flows[&seq].id);
                (flow.publish, flow.expires) = (Some(queued.publish), queued.expires);
                snapshot.in_flight.push(flow);
                continue;
            }
            Some(Stage::Released) => return Err(damaged("a message that was released")),
        }
        snapshot.queued.insert(seq, queued);
    }
    let released = index.flows.iter().filter(|(_, flow)| flow.stage == Stage::Released);
    snapshot.in_flight.extend(released.map(|(&seq, flow)| InFlight::new(seq, flow.id)));
    if snapshot.in_flight.len() != index.flows.values().filter(|flow| flow.stage != Stage::Before).count() {
        return Err(damaged("a message in flight without its body"));
    }
    for flow in &mut snapshot.in_flight {
        flow.given_up = index.flows[&flow.seq].outcome == Told::Yes;
    }
    snapshot.in_flight.sort_by_key(|flow| index.flows[&flow.seq].order);
    snapshot.received = index.received.keys().copied().collect();
    snapshot.received.sort_by_key(|id| index.received[id]);
    for row in transaction.open_table(WANTED)?.range((number, &[][..])..)? {
        let (key, value) = row?;
        let ((of, filter), (options, identifier)) = (key.value(), value.value());
        if of != number {
            break;
        }
        let filter = Filter::from_bytes(Bytes::copy_from_slice(filter)).map_err(|_| damaged("a filter"))?;
        let options = SubscribeOptions::from_byte(options).map_err(|_| damaged("the options of a subscription"))?;
        snapshot.wanted.insert(filter, Granted::new(options, Some(identifier).filter(|&number| number > 0)));
    }
    snapshot.client_id = index.session.client_id;
    snapshot.established = index.session.established;
    snapshot.last_seq = index.session.last_seq;
    Ok(snapshot)
}

fn session_bytes(row: &SessionRow) -> BytesMut {
    let mut out = BytesMut::new();
    out.put_u64(row.last_seq);
    out.put_u64(row.order);
    out.put_u8(u8::from(row.established.is_some()) | u8::from(row.client_id.is_some()) << 1);
    out.put_u32(row.established.unwrap_or(0));
    out.extend_from_slice(row.client_id.as_deref().unwrap_or_default().as_bytes());
    out
}

fn session_row(mut bytes: Bytes) -> Result<SessionRow, Error> {
    let bad = |_| damaged("the row of a session");
    let (last_seq, order) = (bytes.try_get_u64().map_err(bad)?, bytes.try_get_u64().map_err(bad)?);
    let (flags, expiry) = (bytes.try_get_u8().map_err(bad)?, bytes.try_get_u32().map_err(bad)?);
    let client_id = String::from_utf8(bytes.to_vec()).map_err(|_| damaged("a client identifier"))?;
    Ok(SessionRow {
        last_seq,
        order,
        established: (flags & 1 == 1).then_some(expiry),
        client_id: (flags & 2 == 2).then_some(client_id),
    })
}

const TOLD: u8 = 4;

fn flow_row(flow: &Flow) -> (u8, u16, u64) {
    let stage = match flow.stage {
        Stage::Before => 0,
        Stage::Publishing => 1,
        Stage::Released => 2,
    };
    let told = if flow.outcome == Told::Yes { TOLD } else { 0 };
    (stage | told, flow.id.get(), flow.order)
}

fn flow((flags, id, order): (u8, u16, u64)) -> Result<Flow, Error> {
    let stage = match flags & !TOLD {
        0 => Stage::Before,
        1 => Stage::Publishing,
        2 => Stage::Released,
        _ => return Err(damaged("the stage of a message")),
    };
    let outcome = if flags & TOLD > 0 { Told::Yes } else { Told::No };
    Ok(Flow { stage, outcome, id: packet_id(id)?, order })
}

fn packet_id(id: u16) -> Result<PacketId, Error> {
    PacketId::new(id).ok_or_else(|| damaged("packet identifier 0"))
}

fn damaged(what: &str) -> Error {
    Error::Damaged(what.to_owned())
}
