//! The store on disk: one file, several clients, by the engine redb.
//!
//! | table | row | holds |
//! |---|---|---|
//! | `karere` | name | the version of this layout |
//! | `clients` | client's name | its number |
//! | `sessions` | number | how far it has counted, its assigned identifier, whether the server knows it |
//! | `messages` | number, place | each message that was accepted and may have to be sent, as its record |
//! | `flows` | number, place | of those that were sent: packet identifier, stage, order |
//! | `received` | number, packet identifier | QoS 2 messages that the server has not released |
//! | `wanted` | number, filter | subscriptions that were granted |
//!
//! A commit writes what a group of records changes, and no message that came and went within it.

mod file;
mod tables;
mod unfinished;

use std::{collections::HashMap, fmt, path::PathBuf, sync::Arc};

use karere_proto::session::{Record, Snapshot};
use redb::{Database, StorageBackend};

use self::{
    file::{Error, guarded, open_backend, open_file},
    tables::{load_index, load_snapshot, names, number_of, save},
};
use crate::{
    Store, StoreError, Write,
    index::{Changes, Index},
};

/// Keeps sessions in a file that survives the process and the power cut.
pub struct RedbStore {
    source: Source,
    /// `None` after an error, until it is opened again.
    database: Option<Database>,
    clients: HashMap<Arc<str>, Client>,
}

/// Where it is opened, and opened again after an error.
enum Source {
    Backend(Box<dyn FnMut() -> Result<Database, StoreError> + Send>),
    File(PathBuf),
}

impl Source {
    fn open(&mut self) -> Result<Database, StoreError> {
        match self {
            Self::Backend(open) => open(),
            Self::File(path) => open_file(path),
        }
    }

    const fn path(&self) -> Option<&PathBuf> {
        match self {
            Self::Backend(_) => None,
            Self::File(path) => Some(path),
        }
    }
}

#[derive(Debug)]
struct Client {
    number: u32,
    index: Index,
}

impl RedbStore {
    /// Opens a file, or makes it. It is this process's alone until the store is dropped.
    ///
    /// # Errors
    ///
    /// [`StoreError`] says why not; a file that was there is left as it was.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        Self::of(Source::File(path.into()))
    }

    /// Opens other storage than a file: for tests of what a disk may do. `backend` is asked again after each error.
    ///
    /// # Errors
    ///
    /// [`StoreError`] says why not.
    pub fn with_backend<B: StorageBackend>(
        mut backend: impl FnMut() -> B + Send + 'static,
    ) -> Result<Self, StoreError> {
        Self::of(Source::Backend(Box::new(move || open_backend(backend()))))
    }

    fn of(mut source: Source) -> Result<Self, StoreError> {
        let database = Some(source.open()?);
        Ok(Self { source, database, clients: HashMap::new() })
    }

    /// What an error has closed is opened again, so that it repairs what it left behind.
    fn opened(&mut self) -> Result<(), StoreError> {
        if self.database.is_none() {
            self.database = Some(self.source.open()?);
        }
        Ok(())
    }

    /// Does `work` on the database; after an error what is in memory is void, and the file is opened anew the next time.
    fn with<T>(
        &mut self,
        work: impl FnOnce(&Database, &mut HashMap<Arc<str>, Client>) -> Result<T, Error>,
    ) -> Result<T, StoreError> {
        self.opened()?;
        let database = self.database.as_ref().expect("invariant: opened above");
        match guarded(|| work(database, &mut self.clients)) {
            Ok(value) => Ok(value),
            Err(error) => {
                self.database = None;
                self.clients.clear();
                Err(error.at(self.source.path()))
            }
        }
    }
}

impl Store for RedbStore {
    fn load(&mut self, client: &str) -> Result<Snapshot, StoreError> {
        self.with(|database, _| {
            let transaction = redb::ReadableDatabase::begin_read(database)?;
            match number_of(&transaction, client)? {
                Some(number) => load_snapshot(&transaction, number),
                None => Ok(Snapshot::default()),
            }
        })
    }

    fn commit(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        self.with(|database, clients| {
            let mut changed: HashMap<&Arc<str>, Changes> = HashMap::new();
            for Write { client, records } in writes {
                if !clients.contains_key(client) {
                    clients.insert(Arc::clone(client), find_or_add(database, client)?);
                }
                let index = &mut clients.get_mut(client).expect("invariant: added above").index;
                let changes = changed.entry(client).or_default();
                for raw in records {
                    let record = Record::decode(raw.clone()).map_err(|bad| Error::Damaged(bad.to_string()))?;
                    index.apply(record, raw, changes).map_err(Error::Damaged)?;
                }
            }
            let transaction = database.begin_write()?;
            for (client, changes) in &changed {
                let Client { number, index } = &clients[*client];
                save(&transaction, *number, index, changes)?;
            }
            transaction.commit()?;
            Ok(())
        })
    }

    fn clients(&mut self) -> Result<Vec<String>, StoreError> {
        self.with(|database, _| names(&redb::ReadableDatabase::begin_read(database)?))
    }
}

fn find_or_add(database: &Database, name: &str) -> Result<Client, Error> {
    let transaction = redb::ReadableDatabase::begin_read(database)?;
    if let Some(number) = number_of(&transaction, name)? {
        return Ok(Client { number, index: load_index(&transaction, number)? });
    }
    let number = tables::next_number(&transaction)?;
    let write = database.begin_write()?;
    tables::add(&write, name, number)?;
    write.commit()?;
    Ok(Client { number, index: Index::default() })
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbStore").field("path", &self.source.path()).finish_non_exhaustive()
    }
}
