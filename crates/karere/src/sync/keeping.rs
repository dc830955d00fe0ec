//! What ties a session to its store: records on their way to the disk, and outcomes that wait until they are on it.

use core::{fmt, time::Duration};
use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock, Weak},
    time::{Instant, SystemTime},
};

use karere_link::{Options, OptionsError, Rng};
use karere_proto::{
    Lsn, Publish, Session,
    session::{Event, Journal as Switch, Outcome},
};
use karere_store::{Committer, Durability, Journal, Progress, StoreError};

use super::{
    Client, Driver, Publishing, WaitError,
    client::{link, provide_tls, seed},
    completion::complete,
    shared::{Core, Shared},
};
use crate::log::Level;

/// What becomes of a client whose store fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete: it waits for its store or it does not")]
pub enum StoreFailure {
    /// It goes on in memory: what happens from then on does not survive the process, and the store keeps the state of
    /// before, from which the next process goes on. Messages can be doubled then.
    GoOn,
    /// Nothing leaves that would have to be durable first, until the store can be written again; it is tried twice a second.
    /// A store that cannot be read when the client is made is an error.
    #[default]
    Wait,
}

/// Where a client keeps its session, and how.
#[derive(Clone, Debug)]
#[must_use = "it is for `Client::with_store`"]
pub struct Keep {
    committer: Committer,
    durability: Durability,
    failure: StoreFailure,
}

impl Keep {
    /// In this committer's store, durable before anything leaves.
    pub const fn new(committer: Committer) -> Self {
        Self { committer, durability: Durability::BeforeSend, failure: StoreFailure::Wait }
    }

    /// Says when a record has to be on the disk. Default: before the first byte that a peer may rely on leaves.
    pub const fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Says what becomes of the client when its store fails. Default: it waits.
    pub const fn on_failure(mut self, failure: StoreFailure) -> Self {
        self.failure = failure;
        self
    }
}

impl Client {
    /// Makes a client that goes on where the last one with this client identifier ended, however it ended, and keeps its
    /// own session in the store.
    ///
    /// So that the server keeps its side too, give the options a session expiry. Dropping the driver commits what is pending.
    ///
    /// # Errors
    ///
    /// [`KeepError`] names what is wrong and what to do instead.
    pub fn with_store(options: Options, keep: &Keep) -> Result<(Self, Driver), KeepError> {
        if !options.names_client() {
            return Err(KeepError::RandomClientId);
        }
        let mut rng = Rng::new(seed());
        let mut parts = options.clone().into_parts(&mut rng).map_err(KeepError::Options)?;
        provide_tls(&mut parts).map_err(KeepError::Options)?;
        let name = parts.session.connect.client_id.to_string();
        let ear = Arc::new(OnceLock::<Weak<Shared>>::new());
        let listening = Arc::clone(&ear);
        let attached = keep.committer.attach(&name, keep.durability, move |progress| {
            if let Some(shared) = listening.get().and_then(Weak::upgrade) {
                shared.hear(progress);
            }
        });
        let (snapshot, keeping, failed) = match attached {
            Ok((snapshot, journal)) => {
                parts.session.journal = Switch::On;
                (snapshot, Some(Keeping::new(journal, keep.failure)), None)
            }
            Err(error) if keep.failure == StoreFailure::GoOn => (Default::default(), None, Some(error)),
            Err(error) => return Err(KeepError::Store(error)),
        };
        let session = Session::restore_at(Instant::now(), SystemTime::now(), parts.session.clone(), snapshot)
            .map_err(|error| KeepError::Options(OptionsError::Config(error)))?;
        let shared = Shared::new(session, parts.ways.clone());
        shared.lock().keeping = keeping;
        let _ = ear.set(Arc::downgrade(&shared));
        if let Some(error) = failed {
            shared.log.line(Level::Error, format_args!("goes on in memory: {error}"));
        }
        let client = Self { shared };
        let driver = Driver::new(client.clone(), link(&parts, rng), options, parts);
        Ok((client, driver))
    }

    /// Waits until everything that has happened so far is durable: messages taken, acknowledgements given.
    ///
    /// # Errors
    ///
    /// [`WaitError`] when that does not happen in time, or never can: there is no store, or it has failed and the client
    /// goes on without.
    pub fn wait_durable(&self, timeout: Duration) -> Result<(), WaitError> {
        let last = self.shared.lock().session.journal_position().0;
        self.shared.wait_durable(last, timeout)
    }

    /// Why the store cannot be written, while it cannot.
    pub fn store_failure(&self) -> Option<StoreError> {
        self.shared.lock().keeping.as_ref()?.failed.clone()
    }
}

impl Publishing {
    /// Waits until the message would survive the process and the power cut. It may be done before.
    ///
    /// # Errors
    ///
    /// As [`Client::wait_durable`]; a message of QoS 0 never is.
    pub fn wait_durable(&self, timeout: Duration) -> Result<(), WaitError> {
        if self.flow.is_none() {
            return Err(WaitError::NotKept);
        }
        self.shared.wait_durable(self.recorded, timeout)
    }
}

/// Why a client that keeps its session cannot be made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum KeepError {
    /// The options are wrong.
    Options(OptionsError),
    /// What is kept is kept by the client identifier, and this one would have another one each time.
    RandomClientId,
    /// The store cannot be read.
    Store(StoreError),
}

impl fmt::Display for KeepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Options(error) => error.fmt(f),
            Self::RandomClientId => f.write_str("a session that is to be kept needs a client identifier; set one"),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for KeepError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Options(error) => Some(error),
            Self::RandomClientId => None,
            Self::Store(error) => Some(error),
        }
    }
}

/// The store's end in a client.
#[derive(Debug)]
pub(super) struct Keeping {
    journal: Arc<Journal>,
    durable: Lsn,
    /// Outcomes whose record is on its way: told earlier, a message that was reported as done would be sent again after a
    /// crash.
    held: VecDeque<(Lsn, Event)>,
    on_failure: StoreFailure,
    failed: Option<StoreError>,
}

impl Keeping {
    fn new(journal: Journal, on_failure: StoreFailure) -> Self {
        Self { journal: Arc::new(journal), durable: Lsn::ZERO, held: VecDeque::new(), on_failure, failed: None }
    }

    /// Whether the client has given up its store.
    const fn goes_on(&self) -> bool {
        self.failed.is_some() && matches!(self.on_failure, StoreFailure::GoOn)
    }

    fn has_told(&self) -> bool {
        self.held.front().is_none_or(|&(lsn, _)| lsn > self.durable && !self.goes_on())
    }
}

impl Core {
    /// Hands new records to the store. What they hold back leaves when they are durable.
    pub(super) fn hand_in(&mut self) {
        let Some(keeping) = &self.keeping else {
            return;
        };
        let Some(batch) = self.session.poll_journal() else {
            return;
        };
        let last = batch.last;
        if keeping.goes_on() {
            self.session.handle_durable(last);
            return;
        }
        keeping.journal.submit(batch);
        if let Durability::Eventually(_) = keeping.journal.durability() {
            self.session.handle_durable(last); // nothing waits
        }
    }

    /// Before a message that can expire is taken: its deadline is kept by the wall clock.
    pub(super) fn look_at_the_clock(&mut self, now: Instant, publish: &Publish) {
        if self.keeping.is_some() && !publish.properties.is_empty() {
            self.session.set_wall_clock(now, SystemTime::now());
        }
    }

    /// The next thing to tell. An outcome is told once it is durable.
    pub(super) fn poll_event(&mut self, now: Instant) -> Option<Event> {
        if self.keeping.as_ref().is_some_and(|keeping| !keeping.has_told()) {
            return self.keeping.as_mut()?.held.pop_front().map(|(_, event)| event);
        }
        while let Some(event) = self.session.poll_event(now) {
            let last = self.session.journal_position().0;
            match &mut self.keeping {
                Some(keeping) if is_kept(&event) && last > keeping.durable && !keeping.goes_on() => {
                    keeping.held.push_back((last, event));
                }
                Some(_) | None => return Some(event),
            }
        }
        None
    }

    /// True when something can be told.
    pub(super) fn wants_telling(&self) -> bool {
        self.session.wants_telling() || self.keeping.as_ref().is_some_and(|keeping| !keeping.has_told())
    }

    /// True when outcomes wait for a store that works.
    pub(super) fn waits_for_store(&self) -> bool {
        self.keeping.as_ref().is_some_and(|keeping| !keeping.held.is_empty() && keeping.failed.is_none())
    }
}

/// An outcome that a record tells, too; QoS 0 has none.
const fn is_kept(event: &Event) -> bool {
    match event {
        Event::Published { id, outcome, .. } => id.is_some() || !matches!(outcome, Outcome::Acknowledged { .. }),
        _ => false,
    }
}

impl Shared {
    /// The committer's thread tells what became of records.
    fn hear(&self, progress: Progress) {
        let mut failure = None;
        {
            let mut core = self.lock();
            let last = core.session.journal_position().0;
            let Some(keeping) = &mut core.keeping else {
                return;
            };
            let open = match progress {
                Progress::Durable(lsn) => {
                    keeping.durable = keeping.durable.max(lsn);
                    if !keeping.goes_on() {
                        keeping.failed = None;
                    }
                    Some(lsn)
                }
                Progress::Failing(error) => {
                    let news = keeping.failed.replace(error.clone()).is_none();
                    failure = news.then_some(error);
                    keeping.goes_on().then_some(last)
                }
                _ => None,
            };
            if let Some(open) = open {
                core.session.handle_durable(open);
            }
        }
        if let Some(error) = failure {
            self.log.line(Level::Error, format_args!("the session is not kept: {error}"));
        }
        self.notify();
        self.wake.wake();
    }

    fn wait_durable(&self, last: Lsn, timeout: Duration) -> Result<(), WaitError> {
        self.wait(timeout, |core| match &core.keeping {
            None => Some(Err(WaitError::NotKept)),
            Some(keeping) if last <= keeping.durable => Some(Ok(())),
            Some(keeping) if keeping.goes_on() => Some(Err(WaitError::NotKept)),
            Some(_) => None,
        })?
    }

    /// Commits what is pending, if it can be, and puts the outcomes that waited for it where their handles find them.
    pub(super) fn finish_keeping(&self) {
        let Some(journal) = self.lock().keeping.as_ref().map(|keeping| Arc::clone(&keeping.journal)) else {
            return;
        };
        // Its failure was told by the committer.
        let kept = journal.flush();
        let mut core = self.lock();
        let Some(keeping) = &mut core.keeping else {
            return;
        };
        if kept.is_ok() {
            for (_, event) in core::mem::take(&mut keeping.held) {
                complete(&mut core, &event);
            }
        }
    }
}
