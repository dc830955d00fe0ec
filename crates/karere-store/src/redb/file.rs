//! Opening: whose file it is, of which version, and what may go wrong with it.

use std::{
    fs::File,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
};

use redb::{
    Builder, CommitError, Database, DatabaseError, ReadTransaction, ReadableDatabase, StorageBackend, StorageError,
    TableDefinition, TableError, TransactionError, backends::FileBackend,
};

use super::{
    tables,
    unfinished::{Unfinished, Whole},
};
use crate::StoreError;

/// The layout that is written here.
const LAYOUT: u64 = 1;
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("karere");

/// Pages kept in memory. A commit touches a few; what is loaded is read once.
const CACHE: usize = 8 * 1024 * 1024;

pub(super) fn open_file(path: &PathBuf) -> Result<Database, StoreError> {
    let at = |error| StoreError::io(error, Some(path));
    let fresh = !path.exists();
    if !fresh {
        look(path).map_err(|error| error.at(Some(path)))?;
    }
    let file = File::options().read(true).write(true).create(true).truncate(false).open(path).map_err(at)?;
    let backend = FileBackend::new(file).map_err(|error| Error::from(error).at(Some(path)))?;
    let database = open(backend).map_err(|error| error.at(Some(path)))?;
    if fresh {
        // Else a power cut may take the file's name away, and all that is in it.
        sync_directory(path).map_err(at)?;
    }
    Ok(database)
}

/// Refuses what is not ours before anything is written to it: the engine writes when it opens, and when it closes.
fn look(path: &Path) -> Result<(), Error> {
    let looked = guarded(|| {
        let database = Builder::new().set_cache_size(CACHE).open_read_only(path)?;
        layout(&database.begin_read()?).map(|_| ())
    });
    match looked {
        Err(error @ (Error::Newer(_) | Error::Foreign)) if Whole::of_file(path)? == Unfinished::No => Err(error),
        // It may have to be repaired first, or be somebody's; opening will tell.
        Ok(()) | Err(_) => Ok(()),
    }
}

pub(super) fn open_backend(backend: impl StorageBackend) -> Result<Database, StoreError> {
    open(backend).map_err(|error| error.at(None))
}

fn open(backend: impl StorageBackend) -> Result<Database, Error> {
    guarded(|| {
        let database = Builder::new().set_cache_size(CACHE).create_with_backend(Whole::new(backend))?;
        prepare(&database)?;
        Ok(database)
    })
}

/// redb panics on some files that are damaged: that is no reason for a client to do so.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(Error::Damaged("its pages do not fit together".to_owned())))
}

/// Makes sure that it is a store, of a layout that is known.
fn prepare(database: &Database) -> Result<(), Error> {
    let found = layout(&database.begin_read()?)?;
    if found == EMPTY {
        let writing = database.begin_write()?;
        tables::make(&writing)?;
        writing.open_table(META)?.insert("layout", LAYOUT)?;
        writing.commit()?;
    }
    // The next layout rewrites here what this one holds, in one transaction.
    Ok(())
}

const EMPTY: u64 = 0;

/// Which layout a file has.
fn layout(reading: &ReadTransaction) -> Result<u64, Error> {
    let found = match reading.open_table(META) {
        Ok(meta) => meta.get("layout")?.map(|layout| layout.value()).ok_or(Error::Foreign)?,
        Err(TableError::TableDoesNotExist(_)) if reading.list_tables()?.next().is_none() => EMPTY,
        Err(TableError::TableDoesNotExist(_) | TableError::TableTypeMismatch { .. }) => return Err(Error::Foreign),
        Err(error) => return Err(error.into()),
    };
    if found > LAYOUT { Err(Error::Newer(found)) } else { Ok(found) }
}

#[cfg(unix)]
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    File::open(directory)?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(()) // the file system's own journal has the name
}

/// What redb says, and what we say of its contents.
#[derive(Debug)]
pub(super) enum Error {
    Damaged(String),
    Foreign,
    InUse,
    Io(io::Error),
    Newer(u64),
    Other(String),
}

impl Error {
    pub(super) fn at(self, path: Option<&PathBuf>) -> StoreError {
        match self {
            Self::Damaged(what) => StoreError::Corrupted(what),
            Self::Foreign => StoreError::Foreign,
            Self::InUse => StoreError::InUse,
            Self::Io(error) => StoreError::io(error, path),
            Self::Newer(found) => StoreError::NewerVersion { found, known: LAYOUT },
            Self::Other(what) => StoreError::Io(Arc::new(io::Error::other(what))),
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<StorageError> for Error {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Corrupted(what) => Self::Damaged(what),
            StorageError::Io(error) => Self::Io(error),
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<DatabaseError> for Error {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::DatabaseAlreadyOpen => Self::InUse,
            DatabaseError::Storage(error) => error.into(),
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<TableError> for Error {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Storage(error) => error.into(),
            other => Self::Damaged(other.to_string()),
        }
    }
}

impl From<TransactionError> for Error {
    fn from(error: TransactionError) -> Self {
        match error {
            TransactionError::Storage(error) => error.into(),
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<CommitError> for Error {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Storage(error) => error.into(),
            other => Self::Other(other.to_string()),
        }
    }
}
