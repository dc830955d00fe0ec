//! What stores keep, and what they say when they cannot.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    dice::Dice,
    disk::{Disk, Sync},
    records::Writer,
};
use karere_proto::session::Snapshot;
use karere_store::{MemoryStore, RedbStore, Store, StoreError, Write};
use redb::{Database, StorageBackend, TableDefinition};

/// A directory of its own for each test; gone with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("karere-store-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("session.redb")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn write(client: &str, records: Vec<bytes::Bytes>) -> Write {
    Write { client: Arc::from(client), records }
}

/// What was written and what is loaded, time and again.
fn keeps_what_the_records_add_up_to(seed: u64, mut open: impl FnMut() -> Box<dyn Store>) {
    let mut dice = Dice::new(seed);
    let mut writers = ["a", "b", ""].map(|name| (name, Writer::new(Snapshot::default())));
    let mut store = open();
    for _ in 0..30 {
        let mut writes = Vec::new();
        for _ in 0..=dice.below(2) {
            let (name, writer) = &mut writers[dice.below(3)];
            let count = dice.below(200);
            writes.push(write(name, writer.write(count, &mut dice)));
        }
        store.commit(&writes).unwrap();
        if dice.chance(30) {
            drop(store);
            store = open();
        }
        for (name, writer) in &writers {
            assert_eq!(store.load(name).unwrap(), writer.snapshot, "{name:?}, seed {seed}");
        }
    }
}

#[test]
fn a_file_keeps_what_the_records_add_up_to() {
    for seed in 0..15 {
        let scratch = Scratch::new(&format!("keeps-{seed}"));
        keeps_what_the_records_add_up_to(seed, || Box::new(RedbStore::open(scratch.file()).unwrap()));
    }
}

#[test]
fn memory_keeps_what_the_records_add_up_to() {
    // It is never dropped: there is nothing to open again.
    for seed in 0..15 {
        let mut dice = Dice::new(seed);
        let mut writer = Writer::new(Snapshot::default());
        let mut store = MemoryStore::new();
        for _ in 0..20 {
            store.commit(&[write("a", writer.write(50, &mut dice))]).unwrap();
            assert_eq!(store.load("a").unwrap(), writer.snapshot);
        }
        assert_eq!(store.load("b").unwrap(), Snapshot::default());
        assert_eq!(store.clients().unwrap(), ["a"]);
    }
}

#[test]
fn a_group_that_is_committed_twice_counts_once() {
    // A commit that failed may have reached the disk all the same; it is tried again.
    for seed in 0..40 {
        let mut dice = Dice::new(seed);
        let disk = Disk::new(seed, Sync::Real);
        let mut store = RedbStore::with_backend(move || disk.clone()).unwrap();
        let mut writer = Writer::new(Snapshot::default());
        for _ in 0..10 {
            let writes = [write("a", writer.write(60, &mut dice))];
            store.commit(&writes).unwrap();
            store.commit(&writes).unwrap();
            assert_eq!(store.load("a").unwrap(), writer.snapshot, "seed {seed}");
        }
    }
}

#[test]
fn a_disk_that_was_full_loses_nothing_once_there_is_room() {
    let mut failed = 0;
    for seed in 0..60 {
        let mut dice = Dice::new(seed);
        let disk = Disk::new(seed, Sync::Real);
        let handle = disk.clone();
        let mut store = RedbStore::with_backend(move || handle.clone()).unwrap();
        let mut writer = Writer::new(Snapshot::default());
        for _ in 0..6 {
            let writes = [write("a", writer.write(80, &mut dice))];
            disk.full_after(dice.below(30), dice.below(5));
            let mut tries = 0;
            while let Err(error) = store.commit(&writes) {
                assert!(matches!(error, StoreError::DiskFull), "seed {seed}: {error:?}");
                failed += 1;
                tries += 1;
                assert!(tries < 20, "seed {seed}: it never finds room");
            }
            assert_eq!(store.load("a").unwrap(), writer.snapshot, "seed {seed}");
        }
    }
    assert!(failed > 50, "the disk was hardly ever full: {failed}");
}

fn refused(path: &Path) -> StoreError {
    let before = fs::read(path).unwrap();
    let error = RedbStore::open(path).expect_err("it cannot be used");
    assert!(fs::read(path).unwrap() == before, "the file was changed: {error}");
    error
}

#[test]
fn a_file_that_another_store_uses_is_refused() {
    let scratch = Scratch::new("in-use");
    let first = RedbStore::open(scratch.file()).unwrap();
    let error = refused(&scratch.file());
    assert!(matches!(error, StoreError::InUse), "{error:?}");
    assert!(error.to_string().contains("another process"));
    drop(first);
    RedbStore::open(scratch.file()).unwrap();
}

#[test]
fn a_file_that_is_no_store_is_refused() {
    let scratch = Scratch::new("foreign");
    fs::write(scratch.file(), "This is a letter to my aunt.").unwrap();
    assert!(matches!(refused(&scratch.file()), StoreError::Foreign));

    let other = scratch.0.join("other.redb");
    let database = Database::create(&other).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(TableDefinition::<u64, u64>::new("recipes")).unwrap().insert(1, 2).unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert!(matches!(refused(&other), StoreError::Foreign));
}

#[test]
fn a_file_of_a_newer_version_is_refused_and_left_as_it_is() {
    let scratch = Scratch::new("newer");
    drop(RedbStore::open(scratch.file()).unwrap());
    let database = Database::open(scratch.file()).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(TableDefinition::<&str, u64>::new("karere")).unwrap().insert("layout", 7).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = refused(&scratch.file());
    assert!(matches!(error, StoreError::NewerVersion { found: 7, known: 1 }), "{error:?}");
}

#[test]
fn a_damaged_file_is_refused_or_read_but_never_panics() {
    let scratch = Scratch::new("damaged");
    let mut dice = Dice::new(1);
    let mut writer = Writer::new(Snapshot::default());
    {
        let mut store = RedbStore::open(scratch.file()).unwrap();
        for _ in 0..20 {
            store.commit(&[write("a", writer.write(100, &mut dice))]).unwrap();
        }
    }
    let whole = fs::read(scratch.file()).unwrap();
    let path = scratch.0.join("damaged.redb");
    let mut corrupted = 0;
    for round in 0..60 {
        let mut bytes = whole.clone();
        if round % 6 == 0 {
            bytes.truncate(dice.below(bytes.len()).max(64));
        } else {
            // The engine's name stays, or it would be another kind of file.
            for _ in 0..1 + dice.below(30) {
                let at = 9 + dice.below(bytes.len() - 9);
                bytes[at] = u8::try_from(dice.below(256)).unwrap();
            }
        }
        fs::write(&path, &bytes).unwrap();
        match RedbStore::open(&path).and_then(|mut store| store.load("a")) {
            // The damage hit what is not used, or what an older commit has.
            Ok(_) => {}
            Err(StoreError::Corrupted(_) | StoreError::Foreign | StoreError::Io(_)) => corrupted += 1,
            Err(other) => panic!("round {round}: {other:?}"),
        }
    }
    assert!(corrupted >= 10, "only {corrupted} of 60 were noticed");
}

/// A file system that refuses in its own way.
#[derive(Debug)]
struct Refusing(io::ErrorKind);

impl StorageBackend for Refusing {
    fn len(&self) -> io::Result<u64> {
        Ok(0)
    }

    fn read(&self, _: u64, _: &mut [u8]) -> io::Result<()> {
        Err(self.0.into())
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(self.0.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(self.0.into())
    }

    fn write(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(self.0.into())
    }
}

#[test]
fn each_refusal_of_the_file_system_has_its_own_name_and_cure() {
    let refusal = |kind| RedbStore::with_backend(move || Refusing(kind)).expect_err("refused");
    let full = refusal(io::ErrorKind::StorageFull);
    assert!(matches!(full, StoreError::DiskFull) && full.to_string().contains("make room"), "{full}");
    let quota = refusal(io::ErrorKind::QuotaExceeded);
    assert!(matches!(quota, StoreError::DiskFull), "{quota}");
    let read_only = refusal(io::ErrorKind::ReadOnlyFilesystem);
    assert!(matches!(read_only, StoreError::ReadOnly(_)) && read_only.to_string().contains("mount it"), "{read_only}");
    let denied = refusal(io::ErrorKind::PermissionDenied);
    assert!(matches!(denied, StoreError::Permission(_)) && denied.to_string().contains("mode or owner"), "{denied}");
    assert!(matches!(refusal(io::ErrorKind::NotConnected), StoreError::Io(_)));
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let error = RedbStore::open("/nowhere/at/all/session.redb").expect_err("there is none");
    assert!(matches!(error, StoreError::Io(_)), "{error:?}");
}

/// A file of layout 1, by the tables alone: whatever layout comes next has to read it.
#[test]
fn layout_1_is_read() {
    let scratch = Scratch::new("layout-1");
    let database = Database::create(scratch.file()).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let open = &transaction;
        open.open_table(TableDefinition::<&str, u64>::new("karere")).unwrap().insert("layout", 1).unwrap();
        open.open_table(TableDefinition::<&str, u32>::new("clients")).unwrap().insert("pump", 5).unwrap();
        let session = b"\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\x04\x03\0\0\x0E\x10assigned";
        open.open_table(TableDefinition::<u32, &[u8]>::new("sessions")).unwrap().insert(5, &session[..]).unwrap();
        let mut messages = open.open_table(TableDefinition::<(u32, u64), &[u8]>::new("messages")).unwrap();
        let first = b"\x01\0\0\0\0\0\0\0\x07\x02\0\0\0\x03a/b\0\0\0\0first";
        messages.insert((5, 7), &first[..]).unwrap();
        let second = b"\x0D\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\x03\xE8\x02\0\0\0\x03a/b\0\0\0\x05\x02\0\0\0\x3Csecond";
        messages.insert((5, 9), &second[..]).unwrap();
        let mut flows = open.open_table(TableDefinition::<(u32, u64), (u8, u16, u64)>::new("flows")).unwrap();
        flows.insert((5, 7), (1, 3, 1)).unwrap();
        flows.insert((5, 6), (2, 2, 2)).unwrap();
        open.open_table(TableDefinition::<(u32, u16), u64>::new("received")).unwrap().insert((5, 12), 3).unwrap();
        let wanted = TableDefinition::<(u32, &[u8]), (u8, u32)>::new("wanted");
        open.open_table(wanted).unwrap().insert((5, &b"x/+"[..]), (1, 4)).unwrap();
    }
    transaction.commit().unwrap();
    drop(database);

    let mut store = RedbStore::open(scratch.file()).unwrap();
    let kept = store.load("pump").unwrap();
    let flows = kept.in_flight.iter().map(|flow| (flow.seq, flow.id.get(), flow.publish.is_some())).collect::<Vec<_>>();
    assert_eq!(flows, [(7, 3, true), (6, 2, false)]);
    let queued = &kept.queued[&9];
    assert_eq!((&queued.publish.payload[..], queued.publish.message_expiry_secs()), (&b"second"[..], Some(60)));
    assert_eq!(queued.expires, Some(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1)));
    assert_eq!(kept.received.iter().map(|id| id.get()).collect::<Vec<_>>(), [12]);
    assert_eq!(kept.wanted.values().map(|granted| granted.identifier).collect::<Vec<_>>(), [Some(4)]);
    assert_eq!((kept.client_id.as_deref(), kept.established, kept.last_seq), (Some("assigned"), Some(3600), 9));
    // And it is written on.
    let mut writer = Writer::new(kept);
    store.commit(&[write("pump", writer.write(50, &mut Dice::new(0)))]).unwrap();
    assert_eq!(store.load("pump").unwrap(), writer.snapshot);
}

trait MessageExpiry {
    fn message_expiry_secs(&self) -> Option<u64>;
}

impl MessageExpiry for karere_proto::Publish {
    fn message_expiry_secs(&self) -> Option<u64> {
        self.properties.message_expiry().map(|left| left.as_secs())
    }
}
