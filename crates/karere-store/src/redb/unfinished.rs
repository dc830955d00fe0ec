//! A file whose making was cut short: the engine writes its name into the file last, and refuses one without. It is made anew.

use core::ops::Bound;
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    sync::atomic::{AtomicU8, Ordering},
};

use redb::{BackendError, StorageBackend, backends::FileBackend};

/// Shows a file whose making was cut short as empty.
#[derive(Debug)]
pub(super) struct Whole<B> {
    backend: B,
    /// 0 until its length was asked for, which happens once it is locked; then the engine makes the file.
    asked: AtomicU8,
}

/// Where the engine's name stands.
const NAME: usize = 9;

/// The engine makes files of less than this. What is larger was in use, or is somebody else's.
const MOST: u64 = 4 * 1024 * 1024;

impl<B: StorageBackend> Whole<B> {
    pub(super) const fn new(backend: B) -> Self {
        Self { backend, asked: AtomicU8::new(0) }
    }

    fn is_unfinished(&self, len: u64) -> io::Result<Unfinished> {
        unfinished(len, |name| self.backend.read(0, name))
    }
}

impl Whole<FileBackend> {
    /// Whether making this file was cut short.
    pub(super) fn of_file(path: &Path) -> io::Result<Unfinished> {
        let mut file = File::open(path)?;
        unfinished(file.metadata()?.len(), |name| file.read_exact(name))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfinished {
    No,
    Yes,
}

fn unfinished(len: u64, read: impl FnOnce(&mut [u8]) -> io::Result<()>) -> io::Result<Unfinished> {
    if len == 0 || len > MOST {
        return Ok(Unfinished::No);
    }
    let mut name = [0; NAME];
    read(&mut name[..NAME.min(usize::try_from(len).unwrap_or(NAME))])?;
    Ok(if name == [0; NAME] { Unfinished::Yes } else { Unfinished::No })
}

impl<B: StorageBackend> StorageBackend for Whole<B> {
    fn len(&self) -> io::Result<u64> {
        let len = self.backend.len()?;
        if self.asked.swap(1, Ordering::Relaxed) == 0 && self.is_unfinished(len)? == Unfinished::Yes {
            self.backend.set_len(0)?;
            return Ok(0);
        }
        Ok(len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.backend.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.backend.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.backend.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.backend.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.backend.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.backend.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.backend.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.backend.query_lock_range(start, end)
    }
}
