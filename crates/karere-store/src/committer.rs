//! Group commit: one thread that commits whatever queued up during the last sync.

use core::{fmt, mem, time::Duration};
use std::{
    collections::{HashMap, HashSet},
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc},
    thread::{self, JoinHandle},
    time::Instant,
};

use karere_proto::{
    Lsn,
    session::{Batch, Snapshot},
};

use crate::{Store, StoreError, Write};

/// When a message has to be on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// Before its first byte leaves. Everything that a peer may rely on waits for its record.
    #[default]
    BeforeSend,
    /// At most this much later; nothing waits. What a power cut or a crash of the process takes away was in the last
    /// moments before it: messages taken and not sent, and acknowledgements, so that a message can be doubled at any QoS.
    Eventually(Duration),
}

/// What a committer says of one client's records, on the committer's thread and under none of its locks.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Progress {
    /// All records up to this one are durable.
    Durable(Lsn),
    /// They cannot be made durable. It is tried again, until it succeeds or the client gives up its records.
    Failing(StoreError),
}

/// One thread and one store, shared by all its handles and by the clients that were attached.
///
/// The thread ends, when all of them are gone, with everything committed that was submitted and can be.
#[derive(Clone)]
pub struct Committer(Arc<Owner>);

impl Committer {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// When no thread can be started.
    pub fn spawn(store: impl Store + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let work = Work { store: Box::new(store), shared: Arc::clone(&shared) };
        let thread = thread::Builder::new().name("karere store".to_owned()).spawn(move || work.run())?;
        Ok(Self(Arc::new(Owner { shared, thread: Some(thread) })))
    }

    /// Loads what is kept of a client, and takes its records from now on. `listener` hears what becomes of them.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: it cannot be loaded, or a client of this name is attached already.
    pub fn attach(
        &self,
        client: &str,
        durability: Durability,
        listener: impl Fn(Progress) + Send + Sync + 'static,
    ) -> Result<(Snapshot, Journal), StoreError> {
        let client: Arc<str> = client.into();
        let (answer, loaded) = mpsc::channel();
        self.0.shared.ask(Question::Attach(Arc::clone(&client), answer));
        let snapshot = loaded.recv().map_err(|_| StoreError::Stopped)??;
        Ok((snapshot, Journal { owner: Arc::clone(&self.0), client, durability, listener: Arc::new(listener) }))
    }

    /// The clients of which something is kept.
    ///
    /// # Errors
    ///
    /// [`StoreError`] says why it cannot be read.
    pub fn clients(&self) -> Result<Vec<String>, StoreError> {
        let (answer, listed) = mpsc::channel();
        self.0.shared.ask(Question::Clients(answer));
        listed.recv().map_err(|_| StoreError::Stopped)?
    }
}

impl fmt::Debug for Committer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queue = self.0.shared.lock();
        f.debug_struct("Committer")
            .field("attached", &queue.attached.len())
            .field("waiting", &queue.pending.len())
            .finish_non_exhaustive()
    }
}

type Listener = Arc<dyn Fn(Progress) + Send + Sync>;

/// Where one client's records go.
pub struct Journal {
    owner: Arc<Owner>,
    client: Arc<str>,
    durability: Durability,
    listener: Listener,
}

impl Journal {
    /// Takes a batch, in the order in which the session hands them out. Never waits for the disk.
    pub fn submit(&self, batch: Batch) {
        let due = match self.durability {
            Durability::BeforeSend => None,
            Durability::Eventually(delay) => Instant::now().checked_add(delay),
        };
        let pending = Pending {
            write: Write { client: Arc::clone(&self.client), records: batch.records },
            last: batch.last,
            due,
            listener: Arc::clone(&self.listener),
        };
        self.owner.shared.push(|queue| queue.pending.push(pending));
    }

    /// Waits until everything that was submitted has been committed.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it cannot be; it is tried again all the same.
    pub fn flush(&self) -> Result<(), StoreError> {
        let (answer, done) = mpsc::channel();
        self.owner.shared.ask(Question::Flush(answer));
        done.recv().map_err(|_| StoreError::Stopped)?
    }

    /// When a record has to be on the disk.
    pub const fn durability(&self) -> Durability {
        self.durability
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // The next one of this name must load what this one has submitted: the thread lets go of it in order.
        let client = Arc::clone(&self.client);
        self.owner.shared.push(|queue| queue.questions.push(Question::Detach(client)));
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("client", &self.client).field("durability", &self.durability).finish()
    }
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    work: Condvar,
}

#[derive(Default)]
struct Queue {
    pending: Vec<Pending>,
    questions: Vec<Question>,
    attached: HashSet<Arc<str>>,
    thread: Life,
    sleep: Sleep,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Life {
    #[default]
    Running,
    Stopping,
    Gone,
}

/// Whether the thread has to be woken: waking costs a system call, and while it syncs it needs none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sleep {
    #[default]
    Awake,
    Asleep,
}

struct Pending {
    write: Write,
    last: Lsn,
    /// When it has to be committed at the latest; at once without.
    due: Option<Instant>,
    listener: Listener,
}

/// What is answered once everything that was submitted before has been tried.
enum Question {
    Attach(Arc<str>, mpsc::Sender<Result<Snapshot, StoreError>>),
    Clients(mpsc::Sender<Result<Vec<String>, StoreError>>),
    Detach(Arc<str>),
    Flush(mpsc::Sender<Result<(), StoreError>>),
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, push: impl FnOnce(&mut Queue)) {
        let mut queue = self.lock();
        push(&mut queue);
        if mem::replace(&mut queue.sleep, Sleep::Awake) == Sleep::Asleep {
            drop(queue);
            self.work.notify_one();
        }
    }

    /// Asked after the thread has ended, a question is dropped: whoever asked sees its channel closed.
    fn ask(&self, question: Question) {
        self.push(|queue| {
            if queue.thread != Life::Gone {
                queue.questions.push(question);
            }
        });
    }
}

/// Held by all handles: the thread ends with the last of them.
struct Owner {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.push(|queue| queue.thread = Life::Stopping);
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            // It ends in order; had it panicked, its panic was told on its own thread.
            let _ = thread.join();
        }
    }
}

struct Work {
    store: Box<dyn Store>,
    shared: Arc<Shared>,
}

/// Lets go of everyone who waits for the thread, however it ends.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        queue.thread = Life::Gone;
        queue.questions.clear();
    }
}

/// How long to wait before a commit that failed is tried again.
const RETRY: Duration = Duration::from_millis(500);

impl Work {
    fn run(mut self) {
        let _end = End(Arc::clone(&self.shared));
        // What failed, and is tried again before anything else.
        let mut pending: Vec<Pending> = Vec::new();
        let mut retry: Option<Instant> = None;
        loop {
            let (new, questions, life) = self.next(pending.is_empty(), retry);
            pending.extend(new);
            let outcome = self.commit(&mut pending);
            retry = outcome.is_err().then(|| Instant::now() + RETRY);
            for question in questions {
                self.answer(question, &outcome);
            }
            if life == Life::Stopping {
                return;
            }
        }
    }

    /// Waits for something that has to be done now.
    fn next(&self, nothing_failed: bool, retry: Option<Instant>) -> (Vec<Pending>, Vec<Question>, Life) {
        let mut queue = self.shared.lock();
        loop {
            let now = Instant::now();
            let fresh = queue.pending.iter().map(|pending| pending.due.unwrap_or(now)).min();
            let due = if nothing_failed { fresh } else { retry };
            if !queue.questions.is_empty() || queue.thread == Life::Stopping || due.is_some_and(|due| due <= now) {
                return (mem::take(&mut queue.pending), mem::take(&mut queue.questions), queue.thread);
            }
            queue.sleep = Sleep::Asleep;
            queue = match due {
                None => self.shared.work.wait(queue).unwrap_or_else(PoisonError::into_inner),
                Some(due) => {
                    let woken = self.shared.work.wait_timeout(queue, due.saturating_duration_since(now));
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
            queue.sleep = Sleep::Awake;
        }
    }

    /// Commits everything there is, with one sync, and tells each client how far its records are durable.
    fn commit(&mut self, pending: &mut Vec<Pending>) -> Result<(), StoreError> {
        if pending.is_empty() {
            return Ok(());
        }
        let mut heard: HashMap<Arc<str>, (Lsn, Listener)> = HashMap::new();
        let mut writes = Vec::with_capacity(pending.len());
        for Pending { write, last, listener, .. } in pending.iter_mut() {
            heard.insert(Arc::clone(&write.client), (*last, Arc::clone(listener)));
            writes.push(Write { client: Arc::clone(&write.client), records: mem::take(&mut write.records) });
        }
        let outcome = self.store.commit(&writes);
        if outcome.is_ok() {
            pending.clear();
        } else {
            for (pending, write) in pending.iter_mut().zip(writes) {
                pending.write = write;
            }
        }
        for (last, listener) in heard.values() {
            listener(match &outcome {
                Ok(()) => Progress::Durable(*last),
                Err(error) => Progress::Failing(error.clone()),
            });
        }
        outcome
    }

    /// Whoever asked may have gone: then nobody hears the answer.
    fn answer(&mut self, question: Question, committed: &Result<(), StoreError>) {
        match question {
            Question::Attach(client, answer) => drop(answer.send(committed.clone().and_then(|()| self.attach(client)))),
            Question::Clients(answer) => drop(answer.send(self.store.clients())),
            Question::Detach(client) => drop(self.shared.lock().attached.remove(&client)),
            Question::Flush(answer) => drop(answer.send(committed.clone())),
        }
    }

    /// Only after a commit that succeeded: what cannot be written must not be read as if it were not there.
    fn attach(&mut self, client: Arc<str>) -> Result<Snapshot, StoreError> {
        if self.shared.lock().attached.contains(&client) {
            return Err(StoreError::ClientInUse(client.to_string()));
        }
        let snapshot = self.store.load(&client)?;
        self.shared.lock().attached.insert(client);
        Ok(snapshot)
    }
}
