//! A store that ends with its owner: for tests, and for sessions that shall survive a client but not its process.

use std::{collections::BTreeMap, sync::Arc};

use karere_proto::session::{Record, Snapshot};

use crate::{Store, StoreError, Write};

/// Keeps sessions in memory. Nothing of it survives the process.
#[derive(Debug, Default)]
pub struct MemoryStore {
    clients: BTreeMap<Arc<str>, Snapshot>,
}

impl MemoryStore {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Store for MemoryStore {
    fn load(&mut self, client: &str) -> Result<Snapshot, StoreError> {
        Ok(self.clients.get(client).cloned().unwrap_or_default())
    }

    fn commit(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        // Read before anything is changed: all or nothing.
        let mut read = Vec::new();
        for Write { client, records } in writes {
            for record in records {
                let record = Record::decode(record.clone()).map_err(|bad| StoreError::Corrupted(bad.to_string()))?;
                read.push((client, record));
            }
        }
        for (client, record) in read {
            self.clients.entry(Arc::clone(client)).or_default().apply(record);
        }
        Ok(())
    }

    fn clients(&mut self) -> Result<Vec<String>, StoreError> {
        Ok(self.clients.keys().map(|client| client.to_string()).collect())
    }
}
