//! A client's session and paho's bookkeeping around it. Knows neither Python nor descriptors.

mod commands;
mod intake;
#[cfg(test)]
mod tests;

use core::{
    hash::{BuildHasherDefault, Hasher},
    time::Duration,
};
use std::{
    collections::{HashMap, VecDeque},
    io::IoSlice,
    sync::Arc,
    time::Instant,
};

use bytes::{Bytes, BytesMut};
use karere_proto::{
    Properties, Publish, QoS, SendBuf, Session, Token, Topic, Utf8String, Version,
    session::{CloseCause, CloseRequest, Config, ConfigError, Delivery, Flushed, PublishError},
};

use crate::{
    alias::{Aliases, NoTopic},
    configuration,
    flow::{End, Flow, Rc},
    log,
    mids::Mids,
    told::Told,
};

/// Events that are looked at under one lock.
const AT_ONCE: usize = 64;
/// How long DISCONNECT may take to leave.
const FAREWELL: Duration = Duration::from_secs(5);

/// Bytes that are handed out at once.
const MOST_DRAINED: usize = 64 * 1024;

/// What the lock protects.
pub(crate) struct State {
    session: Session,
    /// What the next CONNECT says; limits of the session stand in it too.
    config: Config,
    pub(crate) transport: Transport,
    /// Bytes of this connection that the transport has taken.
    written: u64,
    /// Bytes that may leave.
    send: SendBuf,
    /// Bytes that whoever drives holds.
    backlog: usize,
    /// When to give up writing DISCONNECT.
    farewell: Option<Instant>,
    /// The server has accepted this connection, or the application has said that it ends.
    speaks: bool,
    mids: Mids,
    aliases: Aliases,
    /// QoS 1 and 2, not done.
    out: ByToken<Outgoing>,
    /// QoS 0, not written, in order.
    unwritten: VecDeque<(Token, u16, Arc<Flow>)>,
    requests: ByToken<u16>,
    /// Received and not done, by mid.
    inbox: HashMap<u16, Waiting, BuildHasherDefault<NumberHasher>>,
    last_serial: u64,
    /// Messages that may wait; 0 is no limit.
    queued: usize,
    tells_published: bool,
    tells_packets: bool,
    /// While packets are told: mids of QoS 0 messages that have not been, in order; the wire has none for them.
    untold: VecDeque<u16>,
    told: Vec<Told>,
    /// The session may have more to tell.
    more: bool,
    /// Someone waits for these, which have ended.
    ended: Vec<Arc<Flow>>,
}

/// How bytes come and go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    None,
    /// By descriptor.
    Native,
    /// Through the caller's hands.
    Fed,
}

/// A message of QoS 1 or 2 that is not done.
struct Outgoing {
    mid: u16,
    publish: Publish,
    flow: Arc<Flow>,
}

/// A received message that is not done.
struct Waiting {
    serial: u64,
    delivery: Delivery,
}

/// What `publish` is given once it is checked.
pub(crate) struct Message {
    /// None: an alias names it.
    pub(crate) topic: Option<Topic>,
    pub(crate) alias: Option<u16>,
    pub(crate) payload: Bytes,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) properties: Properties,
}

/// Why a message was not even counted.
pub(crate) enum Refused {
    Topic(NoTopic),
    Publish(PublishError),
}

/// Whether there is more to fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fetched {
    All,
    /// Look again.
    Some,
}

impl State {
    pub(crate) fn new(now: Instant) -> Self {
        let config = configuration::default();
        let session = Session::new(now, config.clone()).expect("invariant: the default can be said");
        Self {
            session,
            config,
            transport: Transport::None,
            written: 0,
            send: SendBuf::new(),
            backlog: 0,
            farewell: None,
            speaks: false,
            mids: Mids::default(),
            aliases: Aliases::default(),
            out: ByToken::default(),
            unwritten: VecDeque::new(),
            requests: ByToken::default(),
            inbox: HashMap::default(),
            last_serial: 0,
            queued: 0,
            tells_published: false,
            tells_packets: false,
            untold: VecDeque::new(),
            told: Vec::new(),
            more: false,
            ended: Vec::new(),
        }
    }

    // Settings.

    /// Changes what the next CONNECT says.
    pub(crate) fn configure(&mut self, mut config: Config) -> Result<(), ConfigError> {
        config.max_in_flight = self.config.max_in_flight;
        self.session.reconfigure(config.clone())?;
        self.config = config;
        Ok(())
    }

    pub(crate) fn limit(&mut self, inflight: u16, queued: usize) {
        self.queued = queued;
        self.config.max_in_flight = core::num::NonZeroU16::new(inflight).unwrap_or(core::num::NonZeroU16::MAX);
        let taken = self.session.reconfigure(self.config.clone());
        debug_assert!(taken.is_ok(), "only a number has changed");
    }

    pub(crate) const fn tell_published(&mut self, on: bool) {
        self.tells_published = on;
    }

    pub(crate) fn tell_packets(&mut self, on: bool) {
        self.tells_packets = on;
        self.untold.clear();
        if on { self.session.trace_on() } else { self.session.trace_off() }
    }

    pub(crate) const fn version(&self) -> Version {
        self.config.connect.version
    }

    /// Forgets everything. There must be no transport.
    pub(crate) fn reset(&mut self, now: Instant) {
        self.session = self.session.renew(now, self.config.clone()).expect("invariant: was accepted before");
        if self.tells_packets {
            self.session.trace_on();
        }
        let queued = core::mem::take(&mut self.out).into_values().map(|outgoing| outgoing.flow);
        let unwritten = core::mem::take(&mut self.unwritten).into_iter().map(|(.., flow)| flow);
        for flow in queued.chain(unwritten) {
            if flow.end(End::Failed(Rc::ConnLost)) {
                self.ended.push(flow);
            }
        }
        self.mids = Mids::default();
        self.aliases.clear();
        self.requests.clear();
        self.inbox.clear();
        self.told.clear();
        self.send.clear();
        self.more = false;
    }

    // The transport.

    /// The transport is up. What was before must have been settled.
    pub(crate) fn opened(&mut self, now: Instant, transport: Transport) {
        self.transport = transport;
        self.written = 0;
        self.backlog = 0;
        self.send.clear();
        self.farewell = None;
        self.speaks = false;
        self.session.handle_opened(now);
        self.more = true;
    }

    /// The transport has ended: what that means is settled here and now.
    pub(crate) fn closed(&mut self, now: Instant, cause: CloseCause) {
        if self.transport == Transport::None {
            return;
        }
        self.transport = Transport::None;
        self.session.handle_closed(cause);
        self.more = true;
        while self.fetch(now, usize::MAX) == Fetched::Some {}
        self.session.drop_waiting_qos0();
        self.more = true;
        while self.fetch(now, usize::MAX) == Fetched::Some {}
        self.aliases.clear();
        self.send.clear();
        self.backlog = 0;
        self.farewell = None;
        // The server sends these again.
        self.inbox.retain(|_, waiting| waiting.delivery.qos() == QoS::ExactlyOnce);
    }

    /// The caller has dropped the transport: nothing of this connection's course is told.
    pub(crate) fn abandoned(&mut self, now: Instant) {
        let before = self.told.len();
        self.closed(now, CloseCause::Abandoned);
        let mut place = 0;
        self.told.retain(|told| {
            place += 1;
            place <= before || !matches!(told, Told::ConnAck { .. } | Told::Disconnected { .. } | Told::Auth { .. })
        });
    }

    /// Takes bytes the server sent.
    pub(crate) fn received(&mut self, now: Instant, bytes: &mut BytesMut) {
        self.session.handle_bytes(now, bytes);
        self.more = true;
    }

    /// The transport has taken so many bytes more.
    pub(crate) fn sent(&mut self, now: Instant, count: usize) {
        if count > 0 {
            self.written += count as u64;
            self.session.handle_sent(now, self.written);
            self.more = true;
        }
    }

    pub(crate) fn due(&mut self, now: Instant) {
        self.session.handle_timeout(now);
        self.more = true;
    }

    /// Asks the session what happened, until there are `limit` events to tell or it has looked at a batch.
    pub(crate) fn fetch(&mut self, now: Instant, limit: usize) -> Fetched {
        if !self.more {
            return Fetched::All;
        }
        for _ in 0..AT_ONCE {
            if self.told.len() >= limit {
                return Fetched::All; // for now: what is left stays in the session
            }
            let event = self.session.poll_event(now);
            self.fetch_packets();
            match event {
                Some(event) => self.take_in(event),
                None => {
                    self.more = false;
                    return Fetched::All;
                }
            }
        }
        Fetched::Some
    }

    fn fetch_packets(&mut self) {
        if self.tells_packets {
            while let Some(trace) = self.session.poll_trace() {
                let (level, text) = log::line(&trace, self.version(), || self.untold.pop_front().unwrap_or(0));
                self.told.push(Told::Log { level, text });
            }
        }
    }

    /// How the connection shall end now, if it shall: whoever has the transport ends it then.
    pub(crate) fn wants_close(&mut self, now: Instant) -> bool {
        if self.transport == Transport::None {
            return false;
        }
        match self.session.close_request() {
            None => false,
            Some(CloseRequest::AtOnce) => true,
            // As paho: nothing is said to a server that has not even answered CONNECT.
            Some(CloseRequest::AfterFlush) if !self.speaks => true,
            Some(CloseRequest::AfterFlush) => {
                let at = *self.farewell.get_or_insert(now + FAREWELL);
                at <= now || self.unsent() == 0 && self.session.is_flushed() == Flushed::Yes
            }
        }
    }

    /// Bytes that may leave.
    pub(crate) fn stage(&mut self) -> &mut SendBuf {
        self.session.poll_bytes(&mut self.send);
        &mut self.send
    }

    /// A copy of what is to leave next.
    pub(crate) fn next_bytes(&mut self) -> Vec<u8> {
        let mut slices = core::array::from_fn::<_, 16, _>(|_| IoSlice::new(&[]));
        let staged = self.stage();
        let filled = staged.slices(&mut slices);
        let mut bytes = Vec::new();
        for slice in &slices[..filled] {
            bytes.extend_from_slice(&slice[..slice.len().min(MOST_DRAINED - bytes.len())]);
        }
        bytes
    }

    /// The caller has sent so many of them; false when they were not to be had.
    pub(crate) fn take_sent(&mut self, now: Instant, count: usize) -> bool {
        let had = count <= self.stage().len();
        if had {
            self.send.advance(count);
            self.sent(now, count);
        }
        had
    }

    /// Whoever drives holds so many bytes.
    pub(crate) const fn set_backlog(&mut self, bytes: usize) {
        self.backlog = bytes;
    }

    /// Bytes that wait, wherever they are.
    pub(crate) fn unsent(&mut self) -> usize {
        self.stage().len() + self.backlog
    }

    /// True when there is something that whoever drives does not know of.
    pub(crate) fn has_work(&self) -> bool {
        self.session.wants_write() || !self.send.is_empty() || self.session.close_request().is_some() || self.has_told()
    }

    pub(crate) fn has_told(&self) -> bool {
        self.more || !self.told.is_empty()
    }

    /// What is to be told, without what the session still holds.
    pub(crate) fn is_telling(&self) -> bool {
        !self.told.is_empty()
    }

    /// Moves what is to be told; what the session still holds stays there.
    pub(crate) fn take_told(&mut self, into: &mut Vec<Told>) {
        self.fetch_packets();
        if into.is_empty() {
            core::mem::swap(into, &mut self.told);
        } else {
            into.append(&mut self.told);
        }
    }

    pub(crate) fn take_ended(&mut self) -> Vec<Arc<Flow>> {
        core::mem::take(&mut self.ended)
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        [self.session.poll_timeout(), self.farewell].into_iter().flatten().min()
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.transport != Transport::None && self.session.is_connected()
    }
}

type ByToken<V> = HashMap<Token, V, BuildHasherDefault<NumberHasher>>;

/// For numbers that come from a counter: the hash is one multiplication.
#[derive(Clone, Copy, Default)]
struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u16(&mut self, number: u16) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

/// Text of the wire as the session wants it.
pub(crate) fn text(bytes: &[u8]) -> Result<Utf8String, String> {
    Utf8String::from_bytes(Bytes::copy_from_slice(bytes)).map_err(|why| why.to_string())
}
