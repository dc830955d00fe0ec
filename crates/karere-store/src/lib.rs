//! How records survive: stores for the journal of a session, and the thread that commits them.
//!
//! A session writes records as it writes bytes and holds back the bytes that must not overtake them
//! (`karere_proto::session`, [`Batch`](karere_proto::session::Batch)). A [`Committer`] takes these batches, commits whatever
//! queued up during the last sync at once, and says what has become durable. Where it commits them is a [`Store`]: [`RedbStore`]
//! for a file, [`MemoryStore`] for tests.
//!
//! ```text
//! Session ─ poll_journal ─► Journal::submit ─► queue ─► Committer's thread ─► Store::commit (one sync)
//!    ▲                                                         │
//!    └────────── handle_durable ◄──── Progress::Durable ◄──────┘
//! ```

mod committer;
mod error;
mod index;
mod memory;
mod redb;
mod store;

pub use self::redb::RedbStore;
pub use committer::{Committer, Durability, Journal, Progress};
pub use error::StoreError;
pub use memory::MemoryStore;
pub use store::{Store, Write};
