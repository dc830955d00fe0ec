//! What a store must do.

use std::sync::Arc;

use bytes::Bytes;
use karere_proto::session::Snapshot;

use crate::StoreError;

/// A place where the records of sessions survive. One store keeps several clients, each by its name.
pub trait Store: Send {
    /// What everything recorded for `client` adds up to; of a client that is not known, nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError`] says why it cannot be read; nothing is changed.
    fn load(&mut self, client: &str) -> Result<Snapshot, StoreError>;

    /// Takes all these records, in order and as a whole; returns once they would survive a power cut.
    ///
    /// # Errors
    ///
    /// [`StoreError`] says why not. The same records may be handed in again then, before any others.
    fn commit(&mut self, writes: &[Write]) -> Result<(), StoreError>;

    /// The clients of which something is kept.
    ///
    /// # Errors
    ///
    /// [`StoreError`] says why it cannot be read.
    fn clients(&mut self) -> Result<Vec<String>, StoreError>;
}

/// Records of one client, in the order in which they were made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever commits without a Committer")]
pub struct Write {
    /// Whose they are.
    pub client: Arc<str>,
    /// Each in the encoding of `karere_proto::session::Record`.
    pub records: Vec<Bytes>,
}
