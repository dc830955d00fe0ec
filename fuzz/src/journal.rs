//! Can a journal that was damaged do worse than be refused?

use crate::{input::Input, session::clock};
use bytes::{Bytes, BytesMut};
use karere_proto::{
    Packet, Publish, QoS, ReasonCode, SendBuf, Session, Utf8String, Version,
    packet::ConnAck,
    session::{Config, ConfigError, Journal, Record, SessionExpiry, Snapshot},
};

/// A version, then records with their lengths.
pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let version = input.one_of(&Version::ALL);
    let mut snapshot = Snapshot::default();
    while !input.is_empty() {
        let bytes = input.bytes();
        let Ok(record) = Record::decode(bytes.clone()) else {
            continue;
        };
        assert_eq!(record.encode(), bytes, "{record:?} reads back, but is not written like this");
        snapshot.apply(record);
    }
    check_restored(version, snapshot);
}

/// A session goes on from any sum of records: it resumes, sends what it owes and takes new messages.
fn check_restored(version: Version, snapshot: Snapshot) {
    let mut config = Config::new(version, Utf8String::new("client").expect("a string"));
    config.session_expiry = SessionExpiry::Never;
    config.journal = Journal::On;
    let now = clock();
    let last_seq = snapshot.last_seq;
    let mut session = match Session::restore(now, config, snapshot) {
        Ok(session) => session,
        Err(why) => {
            assert_eq!(why, ConfigError::JournalSequence(last_seq), "a legal configuration");
            assert!(last_seq > Snapshot::LAST_SEQ);
            return;
        }
    };
    session.handle_opened(now);
    let mut connack = SendBuf::new();
    let mut ack = ConnAck::new(ReasonCode::Success);
    ack.session_present = version.rules().session_present;
    Packet::ConnAck(ack).encode(version.rules(), &mut connack);
    session.handle_bytes(now, &mut BytesMut::from(&connack.to_vec()[..]));
    while session.poll_event(now).is_some() {}
    let message = Publish::new("a", Bytes::new()).expect("a topic").qos(QoS::ExactlyOnce);
    session.publish(now, message).expect("a new message is taken");
    let mut out = SendBuf::new();
    while let Some(batch) = session.poll_journal() {
        session.handle_durable(batch.last);
    }
    session.poll_bytes(&mut out);
    session.drop_messages();
    while session.poll_event(now).is_some() {}
    assert_eq!(session.queued(), (0, 0));
}
