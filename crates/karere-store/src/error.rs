//! Why a store cannot be read or written, and what to do about it.

use core::fmt;
use std::{io, path::PathBuf, sync::Arc};

/// Why a store cannot be read or written. Nothing was changed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// Another client of this process uses the store under the same name.
    ClientInUse(String),
    /// What is read is not what was written.
    Corrupted(String),
    /// There is no room left on the disk, or for this user.
    DiskFull,
    /// The file is no store.
    Foreign,
    /// Another process has opened the file.
    InUse,
    /// Reading or writing failed otherwise.
    Io(Arc<io::Error>),
    /// The file was written by a newer version.
    NewerVersion {
        /// The version of the file's layout.
        found: u64,
        /// The newest that is known here.
        known: u64,
    },
    /// The file or its directory may not be read and written by this user.
    Permission(Option<PathBuf>),
    /// The file system is mounted read-only.
    ReadOnly(Option<PathBuf>),
    /// The store's thread has ended.
    Stopped,
}

impl StoreError {
    pub(crate) fn io(error: io::Error, path: Option<&PathBuf>) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => Self::DiskFull,
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly(path.cloned()),
            io::ErrorKind::PermissionDenied => Self::Permission(path.cloned()),
            // How redb says that a file does not begin as one of its own.
            io::ErrorKind::InvalidData => Self::Foreign,
            _ => Self::Io(Arc::new(error)),
        }
    }

    /// True when trying again later may succeed with nothing done but making room or giving way.
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::DiskFull | Self::InUse | Self::Io(_) | Self::Permission(_) | Self::ReadOnly(_))
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |path: &Option<PathBuf>| path.as_ref().map_or_else(String::new, |path| format!(" {}", path.display()));
        match self {
            Self::ClientInUse(client) => {
                write!(f, "another client of this process uses the store as {client:?}; give each its own identifier")
            }
            Self::Corrupted(what) => write!(
                f,
                "the store is damaged ({what}) and was left as it is; restore a copy, or move it away to begin anew"
            ),
            Self::DiskFull => f.write_str("the disk or the quota is full; make room, and it goes on"),
            Self::Foreign => f.write_str("the file is no store of sessions and was left as it is; name another one"),
            Self::InUse => f.write_str("another process uses the store; end that one, or name another file"),
            Self::Io(error) => write!(f, "the store cannot be read or written: {error}"),
            Self::NewerVersion { found, known } => write!(
                f,
                "the store has layout {found}, and this version knows {known}; it was left as it is: use the newer version"
            ),
            Self::Permission(path) => {
                write!(f, "the store{} may not be read and written by this user; change its mode or owner", at(path))
            }
            Self::ReadOnly(path) => {
                write!(f, "the store{} is on a file system that is mounted read-only; mount it for writing", at(path))
            }
            Self::Stopped => f.write_str("the store's thread has ended"),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(&**error),
            _ => None,
        }
    }
}
