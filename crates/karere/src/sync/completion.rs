//! Handles that tell when something is done, and how it ended.

use core::{fmt, time::Duration};
use std::{
    cell::Cell,
    collections::BTreeMap,
    ops::ControlFlow,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU16, Ordering},
    },
};

use karere_proto::{
    PacketId, Token,
    packet::{SubAck, UnsubAck},
    session::{Event, NotSent, Outcome},
};

use super::shared::{Core, Shared};

/// Where an outcome is put for whoever holds the handle.
#[derive(Debug)]
pub(super) struct Completion<T> {
    outcome: OnceLock<T>,
    /// 0 while there is none.
    id: AtomicU16,
}

impl<T> Completion<T> {
    pub(super) fn new(id: Option<PacketId>) -> Arc<Self> {
        Arc::new(Self { outcome: OnceLock::new(), id: AtomicU16::new(id.map_or(0, PacketId::get)) })
    }

    pub(super) fn complete(&self, id: Option<PacketId>, outcome: T) {
        if let Some(id) = id {
            self.id.store(id.get(), Ordering::Relaxed);
        }
        let _ = self.outcome.set(outcome);
    }

    fn id(&self) -> Option<PacketId> {
        PacketId::new(self.id.load(Ordering::Relaxed))
    }
}

/// How the QoS 0 messages ended, without an allocation for each: they are written in the order of their tokens.
#[derive(Debug)]
pub(super) struct QoS0Ledger {
    /// Every message up to here was written, unless `others` says something else.
    written: Token,
    /// Messages that were not written.
    others: BTreeMap<Token, Outcome>,
    /// Entries up to here were dropped from `others`, which is bounded.
    forgotten: Token,
}

impl Default for QoS0Ledger {
    fn default() -> Self {
        let none = Token::from_u64(0);
        Self { written: none, others: BTreeMap::new(), forgotten: none }
    }
}

impl QoS0Ledger {
    const MOST: usize = 4096;

    pub(super) fn note(&mut self, token: Token, outcome: &Outcome) {
        if outcome.is_acknowledged() {
            self.written = self.written.max(token);
            return;
        }
        self.others.insert(token, outcome.clone());
        if self.others.len() > Self::MOST
            && let Some((oldest, _)) = self.others.pop_first()
        {
            self.forgotten = oldest;
        }
    }

    fn outcome(&self, token: Token) -> Option<Outcome> {
        if let Some(outcome) = self.others.get(&token) {
            Some(outcome.clone())
        } else if token <= self.forgotten {
            Some(Outcome::Unknown)
        } else if token <= self.written {
            Some(Outcome::Acknowledged { reason: karere_proto::ReasonCode::Success, properties: Default::default() })
        } else {
            None
        }
    }
}

/// A message that was taken: queued now, done later.
///
/// Dropping it changes nothing for the message.
#[derive(Clone, Debug)]
pub struct Publishing {
    pub(super) shared: Arc<Shared>,
    pub(super) token: Token,
    /// `None` at QoS 0.
    pub(super) flow: Option<Arc<Completion<Outcome>>>,
    /// The record that it waits for with a store.
    #[cfg_attr(not(feature = "store"), expect(dead_code, reason = "there is nothing to wait for"))]
    pub(super) recorded: karere_proto::Lsn,
}

impl Publishing {
    /// The message's name in [`super::Published`].
    pub const fn token(&self) -> Token {
        self.token
    }

    /// The packet identifier it was sent with; none at QoS 0 and while it waits.
    pub fn packet_id(&self) -> Option<PacketId> {
        let flow = self.flow.as_ref()?;
        flow.id().or_else(|| self.shared.lock().session.packet_id(self.token))
    }

    /// True once the outcome is there.
    pub fn is_done(&self) -> bool {
        self.outcome().is_some()
    }

    /// The outcome, if it is there.
    pub fn outcome(&self) -> Option<Outcome> {
        match &self.flow {
            Some(flow) => flow.outcome.get().cloned(),
            None => self.shared.lock().qos0.outcome(self.token),
        }
    }

    /// Waits for the outcome.
    ///
    /// # Errors
    ///
    /// [`WaitError`] when it does not come in time, or can never come; the message goes on all the same.
    pub fn wait(&self, timeout: Duration) -> Result<Outcome, WaitError> {
        self.shared.wait(timeout, |core| match &self.flow {
            Some(flow) => flow.outcome.get().cloned(),
            None => core.qos0.outcome(self.token),
        })
    }
}

macro_rules! request_handle {
    ($(#[$doc:meta])* $name:ident, $ack:ty, $report:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name {
            pub(super) shared: Arc<Shared>,
            pub(super) token: Token,
            pub(super) flow: Arc<Completion<Option<$ack>>>,
        }

        impl $name {
            #[doc = concat!("The request's name in [`super::", $report, "`].")]
            pub const fn token(&self) -> Token {
                self.token
            }

            /// The packet identifier it was last sent with; none while it waits for a connection.
            pub fn packet_id(&self) -> Option<PacketId> {
                self.flow.id().or_else(|| self.shared.lock().session.packet_id(self.token))
            }

            /// True once it is answered or given up.
            pub fn is_done(&self) -> bool {
                self.flow.outcome.get().is_some()
            }

            /// Waits for the server's answer.
            ///
            /// # Errors
            ///
            /// [`WaitError`] when it does not come in time, or can never come; the request goes on all the same.
            pub fn wait(&self, timeout: Duration) -> Result<$ack, WaitError> {
                let outcome = self.shared.wait(timeout, |_| self.flow.outcome.get().cloned())?;
                outcome.ok_or(WaitError::GivenUp)
            }
        }
    };
}

request_handle! {
    /// A subscribe request on its way. Dropping it changes nothing for the request.
    Subscribing, SubAck, "Subscribed"
}
request_handle! {
    /// An unsubscribe request on its way. Dropping it changes nothing for the request.
    Unsubscribing, UnsubAck, "Unsubscribed"
}

/// Why waiting ended without an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitError {
    /// The driver is gone, so no outcome will ever come.
    DriverGone,
    /// The application disconnected, or the server does not take such a request: there will be no answer.
    GivenUp,
    /// This is a handler: the driver cannot go on while it waits. Use `on_published` and the like instead.
    InHandler,
    /// Nothing makes it durable: there is no store, it is of QoS 0, or the store has failed and the client goes on without.
    NotKept,
    /// It did not come in time.
    TimedOut,
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DriverGone => "the driver is gone; no outcome will come",
            Self::GivenUp => "the request was given up before it was answered",
            Self::InHandler => "waiting in a handler would wait for ever; use on_published and the like instead",
            Self::NotKept => "it is not kept: no store, QoS 0, or a store that has failed",
            Self::TimedOut => "no outcome came in time",
        })
    }
}

impl std::error::Error for WaitError {}

/// Puts an outcome where its handle finds it.
pub(super) fn complete(core: &mut Core, event: &Event) {
    match event {
        Event::Published { token, id, outcome } => match core.publishing.remove(token) {
            Some(flow) => flow.complete(*id, outcome.clone()),
            None => core.qos0.note(*token, outcome),
        },
        Event::Subscribed { token, id, ack } => {
            if let Some(flow) = core.subscribing.remove(token) {
                flow.complete(*id, ack.clone());
            }
        }
        Event::Unsubscribed { token, id, ack } => {
            if let Some(flow) = core.unsubscribing.remove(token) {
                flow.complete(*id, ack.clone());
            }
        }
        _ => {}
    }
}

/// Ends everything that is still open: the session it belonged to is no more.
pub(super) fn give_up_all(core: &mut Core) {
    for (_, flow) in core.publishing.drain() {
        let outcome = match flow.id() {
            Some(_) => Outcome::Unknown,
            None => Outcome::NotSent(NotSent::GivenUp),
        };
        flow.complete(None, outcome);
    }
    for (_, flow) in core.subscribing.drain() {
        flow.complete(None, None);
    }
    for (_, flow) in core.unsubscribing.drain() {
        flow.complete(None, None);
    }
}

thread_local! {
    /// The client whose handler runs on this thread.
    static HANDLING: Cell<*const Shared> = const { Cell::new(core::ptr::null()) };
}

/// Marks this thread as running a handler of `shared` until it is dropped.
pub(super) struct Handling {
    before: *const Shared,
}

impl Handling {
    pub(super) fn of(shared: &Shared) -> Self {
        Self { before: HANDLING.replace(core::ptr::from_ref(shared)) }
    }

    pub(super) fn check(shared: &Shared) -> ControlFlow<WaitError> {
        if core::ptr::eq(HANDLING.get(), shared) {
            ControlFlow::Break(WaitError::InHandler)
        } else {
            ControlFlow::Continue(())
        }
    }
}

impl Drop for Handling {
    fn drop(&mut self) {
        HANDLING.set(self.before);
    }
}
