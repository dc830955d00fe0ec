//! Records as sessions make them, and a disk that does to unsynced writes what disks do.

pub(crate) mod dice;
pub(crate) mod disk;
pub(crate) mod records;
