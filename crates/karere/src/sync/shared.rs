//! What client handles and driver share: the session under one lock, held for some tens of nanoseconds.

use core::time::Duration;
use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    ops::{ControlFlow, Deref, DerefMut},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Instant,
};

use karere_link::{Address, Endpoint, Policy, Server, Ways};
use karere_proto::{
    Session, Token,
    packet::{SubAck, UnsubAck},
    session::Outcome,
};

use super::{
    completion::{Completion, Handling, QoS0Ledger, WaitError},
    wake::Wake,
};
use crate::{log::Log, router::Router};

/// Shared by all handles of a client and its driver.
#[derive(Debug)]
pub(super) struct Shared {
    core: Mutex<Core>,
    done: Condvar,
    waiting: AtomicUsize,
    pub(super) stop: AtomicBool,
    pub(super) wake: Wake,
    pub(super) router: Router,
    pub(super) log: Log,
    /// As the options have it.
    #[cfg(feature = "tls")]
    pub(super) ways: Ways,
}

/// What the lock protects. No I/O, no crypto and no user code happens under it.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) session: Session,
    pub(super) commands: Vec<Command>,
    pub(super) publishing: ByToken<Arc<Completion<Outcome>>>,
    pub(super) subscribing: ByToken<Arc<Completion<Option<SubAck>>>>,
    pub(super) unsubscribing: ByToken<Arc<Completion<Option<UnsubAck>>>>,
    pub(super) qos0: QoS0Ledger,
    pub(super) driver: DriverLife,
    /// Where the present connection goes.
    pub(super) peer: Option<Address>,
    #[cfg(feature = "store")]
    pub(super) keeping: Option<super::keeping::Keeping>,
}

/// The lock on [`Core`]. Whatever was done under it, its records are on their way when it is let go.
pub(super) struct CoreGuard<'a>(MutexGuard<'a, Core>);

impl Deref for CoreGuard<'_> {
    type Target = Core;

    fn deref(&self) -> &Core {
        &self.0
    }
}

impl DerefMut for CoreGuard<'_> {
    fn deref_mut(&mut self) -> &mut Core {
        &mut self.0
    }
}

impl Drop for CoreGuard<'_> {
    fn drop(&mut self) {
        self.0.hand_in();
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DriverLife {
    Alive,
    Gone,
}

/// What a client asks of the driver.
#[derive(Debug)]
pub(super) enum Command {
    /// Connect if there is no connection.
    Connect,
    /// Drop what connection there is and connect anew, at once.
    Reconnect,
    /// Make no further attempts.
    Stop,
    /// Disconnect at this time, should it not be done before.
    Leave(Instant),
    /// Behave like this from the next attempt on.
    Policy(Box<Policy>),
    /// Speak TLS like this, unless something else was said.
    #[cfg(feature = "tls")]
    Tls(karere_link::Tls),
    /// Go to this place from the next round on, as before.
    Endpoint(Endpoint),
    /// Go there from the next round on.
    Servers(Vec<Server>),
}

impl Shared {
    pub(super) fn new(session: Session, ways: Ways) -> Arc<Self> {
        #[cfg(not(feature = "tls"))]
        drop(ways);
        let core = Core {
            session,
            commands: Vec::new(),
            publishing: ByToken::default(),
            subscribing: ByToken::default(),
            unsubscribing: ByToken::default(),
            qos0: QoS0Ledger::default(),
            driver: DriverLife::Alive,
            peer: None,
            #[cfg(feature = "store")]
            keeping: None,
        };
        Arc::new(Self {
            core: Mutex::new(core),
            done: Condvar::new(),
            waiting: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            wake: Wake::default(),
            router: Router::default(),
            log: Log::default(),
            #[cfg(feature = "tls")]
            ways,
        })
    }

    /// No user code runs under this lock, so it is poisoned only by a bug of ours; what it protects is whole between
    /// calls of the session all the same.
    #[inline]
    pub(super) fn lock(&self) -> CoreGuard<'_> {
        CoreGuard(self.core.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn command(&self, command: Command) {
        self.lock().commands.push(command);
        self.wake.wake();
    }

    /// Waits until `ready` gives something.
    pub(super) fn wait<T>(
        &self,
        timeout: Duration,
        mut ready: impl FnMut(&mut Core) -> Option<T>,
    ) -> Result<T, WaitError> {
        let deadline = Instant::now().checked_add(timeout);
        let mut core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(value) = ready(&mut core) {
                return Ok(value);
            }
            if core.driver == DriverLife::Gone {
                return Err(WaitError::DriverGone);
            }
            if let ControlFlow::Break(error) = Handling::check(self) {
                return Err(error);
            }
            self.waiting.fetch_add(1, Ordering::Relaxed);
            core = match deadline {
                None => self.done.wait(core).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        self.waiting.fetch_sub(1, Ordering::Relaxed);
                        return Err(WaitError::TimedOut);
                    }
                    self.done.wait_timeout(core, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Outcomes have been noted: whoever waits shall look.
    pub(super) fn notify(&self) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.done.notify_all();
        }
    }
}

/// A map by token; tokens come from a counter, so that the hash is one multiplication.
pub(super) type ByToken<V> = HashMap<Token, V, BuildHasherDefault<TokenHasher>>;

#[derive(Clone, Copy, Default)]
pub(super) struct TokenHasher(u64);

impl Hasher for TokenHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}
