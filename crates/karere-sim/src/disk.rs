//! The journal's disk: records become durable late and in order, and a crash keeps any number of the others.

use core::time::Duration;

use bytes::Bytes;
use karere_proto::session::{BadRecord, Batch, Record, Snapshot};

/// What one client has written, over all its lives.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    records: Vec<Bytes>,
    /// How many of them survive whatever happens.
    durable: usize,
    /// How many the present life began with: its record 1 is the one after.
    base: usize,
    /// The same of the life before.
    last_base: usize,
    last_due: Duration,
    /// What the durable records add up to.
    snapshot: Snapshot,
}

impl Disk {
    /// Takes a batch; says how many records the disk then holds.
    pub(crate) fn write(&mut self, batch: Batch) -> usize {
        self.records.extend(batch.records);
        self.records.len()
    }

    /// When what was written last becomes durable, if it takes `delay`.
    pub(crate) fn due(&mut self, now: Duration, delay: Duration) -> Duration {
        self.last_due = self.last_due.max(now + delay);
        self.last_due
    }

    /// The first `count` records are durable. Says the number of the last in the present life.
    pub(crate) fn sync(&mut self, count: usize) -> Result<u64, BadRecord> {
        for record in self.records[..count.max(self.durable)].iter().skip(self.durable) {
            self.snapshot.apply(Record::decode(record.clone())?);
        }
        self.durable = self.durable.max(count);
        Ok((self.durable - self.base) as u64)
    }

    /// The process dies: of the records that are not durable, the first `survivors` are found on the disk afterwards.
    pub(crate) fn crash(&mut self, survivors: usize) -> Result<Snapshot, BadRecord> {
        self.records.truncate(self.durable + survivors);
        let count = self.records.len();
        self.sync(count)?;
        self.last_base = core::mem::replace(&mut self.base, count);
        // From the beginning, as a store would load it.
        Snapshot::from_records(self.records.iter().cloned())
    }

    /// Records that a crash may lose.
    pub(crate) fn at_risk(&self) -> usize {
        self.records.len() - self.durable
    }

    /// Whether the record with this number in the life that just ended was found on the disk.
    pub(crate) const fn survived(&self, number: u64) -> bool {
        (self.base - self.last_base) as u64 >= number
    }

    /// What the durable records add up to.
    pub(crate) const fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }
}
