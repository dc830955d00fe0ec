//! A disk: writes are certain after a sync only. Before it, a power cut drops some, tears some, and keeps their order no
//! better than it has to.

use std::{
    io,
    sync::{Arc, Mutex},
};

use redb::StorageBackend;

use super::dice::Dice;

/// What a disk writes whole.
const SECTOR: usize = 512;

/// The storage of one file. Clones are the same file.
#[derive(Clone, Debug)]
pub(crate) struct Disk(Arc<Mutex<Platter>>);

#[derive(Debug)]
struct Platter {
    /// What a power cut leaves for certain.
    synced: Vec<u8>,
    /// What the process sees.
    cached: Vec<u8>,
    unsynced: Vec<Unsynced>,
    sync: Sync,
    /// Operations until the power is cut.
    left: usize,
    power: Power,
    /// Operations until the disk is full, and how many then fail.
    full: Option<(usize, usize)>,
    dice: Dice,
}

#[derive(Debug)]
enum Unsynced {
    Len(usize),
    Write(usize, Vec<u8>),
}

/// What the disk does when it is asked to sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sync {
    /// It says so and does not: a disk, a virtual machine or a program that left fsync out.
    Pretended,
    Real,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Power {
    Cut,
    On,
}

impl Disk {
    pub(crate) fn new(seed: u64, sync: Sync) -> Self {
        Self(Arc::new(Mutex::new(Platter {
            synced: Vec::new(),
            cached: Vec::new(),
            unsynced: Vec::new(),
            sync,
            left: usize::MAX,
            power: Power::On,
            full: None,
            dice: Dice::new(seed),
        })))
    }

    /// The power is cut at the operation after `count` more.
    pub(crate) fn cut_after(&self, count: usize) {
        self.0.lock().expect("not poisoned").left = count;
    }

    /// After `count` more writes, `fails` of them find no room.
    pub(crate) fn full_after(&self, count: usize, fails: usize) {
        self.0.lock().expect("not poisoned").full = Some((count, fails));
    }

    /// The power comes back: what is found then is what is on the disk.
    pub(crate) fn restart(&self) {
        let mut platter = self.0.lock().expect("not poisoned");
        platter.cut();
        platter.power = Power::On;
        platter.left = usize::MAX;
        platter.full = None;
    }
}

impl Platter {
    /// Sizes are written by the file system's journal, in order; sectors by the disk, in any.
    fn cut(&mut self) {
        let mut unsynced = std::mem::take(&mut self.unsynced);
        let sizes = unsynced.iter().filter(|op| matches!(op, Unsynced::Len(_))).count();
        let mut kept = self.dice.below(sizes + 1);
        for op in &unsynced {
            if let Unsynced::Len(len) = op
                && kept > 0
            {
                kept -= 1;
                self.synced.resize(*len, 0);
            }
        }
        // Most power cuts lose little, some nearly everything.
        let survive = [10, 50, 90][self.dice.below(3)];
        for at in (1..unsynced.len()).rev() {
            if self.dice.chance(30) {
                let other = self.dice.below(at + 1);
                unsynced.swap(at, other);
            }
        }
        for op in unsynced {
            let Unsynced::Write(offset, bytes) = op else {
                continue;
            };
            let torn = self.dice.chance(30);
            let whole = self.dice.chance(survive);
            for (sector, bytes) in bytes.chunks(SECTOR).enumerate() {
                let survives = if torn { self.dice.chance(50) } else { whole };
                let start = offset + sector * SECTOR;
                if survives && start + bytes.len() <= self.synced.len() {
                    self.synced[start..start + bytes.len()].copy_from_slice(bytes);
                }
            }
        }
        self.cached = self.synced.clone();
    }

    fn operate(&mut self) -> Result<(), io::Error> {
        if self.left == 0 {
            self.power = Power::Cut;
        }
        self.left = self.left.saturating_sub(1);
        match self.power {
            Power::Cut => Err(io::Error::other("no power")),
            Power::On => Ok(()),
        }
    }

    fn needs_room(&mut self) -> Result<(), io::Error> {
        match &mut self.full {
            Some((0, 0)) => self.full = None,
            Some((0, fails)) => {
                *fails -= 1;
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            Some((left, _)) => *left -= 1,
            None => {}
        }
        Ok(())
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.0.lock().expect("not poisoned").cached.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let platter = self.0.lock().expect("not poisoned");
        let start = usize::try_from(offset).expect("small");
        let Some(bytes) = platter.cached.get(start..start + out.len()) else {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        };
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        let mut platter = self.0.lock().expect("not poisoned");
        platter.operate()?;
        platter.needs_room()?;
        let len = usize::try_from(len).expect("small");
        platter.cached.resize(len, 0);
        platter.unsynced.push(Unsynced::Len(len));
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        let mut platter = self.0.lock().expect("not poisoned");
        platter.operate()?;
        if platter.sync == Sync::Real {
            platter.unsynced.clear();
            platter.synced = platter.cached.clone();
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        let mut platter = self.0.lock().expect("not poisoned");
        platter.operate()?;
        platter.needs_room()?;
        let start = usize::try_from(offset).expect("small");
        if platter.cached.len() < start + data.len() {
            platter.cached.resize(start + data.len(), 0);
        }
        platter.cached[start..start + data.len()].copy_from_slice(data);
        platter.unsynced.push(Unsynced::Write(start, data.to_vec()));
        Ok(())
    }
}
