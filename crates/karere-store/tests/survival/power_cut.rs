//! A store whose disk loses power at any moment: nothing that was reported as durable is lost, nothing that has ended comes
//! back, and a group of records is there as a whole or not at all.
//!
//! `KARERE_SEEDS` says how many seeds each test takes, `KARERE_SEED` the first.

use std::{fmt::Write as _, sync::Arc};

use super::{
    dice::Dice,
    disk::{Disk, Sync},
    records::Writer,
};
use karere_store::{RedbStore, Store, StoreError, Write};

const CLIENTS: [&str; 2] = ["pump-7", "valve-3"];
const SEEDS: u64 = 300;

fn seeds() -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let first = number("KARERE_SEED").unwrap_or(0);
    first..first + number("KARERE_SEEDS").unwrap_or(SEEDS)
}

/// What is between the records and the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reports {
    /// A group is reported when the next one is committed: as a client without a gate would have it.
    Early,
    OnceCommitted,
}

/// Three lives, each ended by a power cut. Says what was wrong.
fn run(seed: u64, sync: Sync, reports: Reports) -> Result<Counts, String> {
    let mut dice = Dice::new(seed);
    let disk = Disk::new(seed, sync);
    let mut writers = CLIENTS.map(|_| Writer::new(Default::default()));
    let mut counts = Counts::default();
    for life in 0..3 {
        disk.cut_after(dice.below(if life == 0 { 120 } else { 250 }));
        // What is certain, and what may be there beyond it.
        let mut certain = writers.each_ref().map(|writer| writer.snapshot.clone());
        let mut possible = certain.clone();
        let ended = open(&disk).and_then(|mut store| {
            loop {
                let mut writes = Vec::new();
                for _ in 0..=dice.below(3) {
                    let client = dice.below(CLIENTS.len());
                    let count = 1 + dice.below(40);
                    let records = writers[client].write(count, &mut dice);
                    writes.push(Write { client: Arc::from(CLIENTS[client]), records });
                }
                possible = writers.each_ref().map(|writer| writer.snapshot.clone());
                if reports == Reports::Early {
                    certain = possible.clone();
                }
                store.commit(&writes)?;
                counts.commits += 1;
                certain = possible.clone();
            }
        });
        let StoreError::Io(_) = ended.map(|()| StoreError::Stopped).unwrap_or_else(|error| error) else {
            return Err("it ended otherwise than by the power cut".to_owned());
        };
        counts.cuts += 1;
        disk.restart();
        let mut store = open(&disk).map_err(|error| format!("life {life}: it cannot be opened: {error}"))?;
        let mut found = Vec::new();
        for client in CLIENTS {
            found.push(store.load(client).map_err(|error| format!("life {life}: it cannot be loaded: {error}"))?);
        }
        if found == certain {
            counts.without += 1;
        } else if found == possible {
            counts.with += 1;
        } else {
            return Err(format!("life {life}: what is loaded is neither what was reported nor what was written"));
        }
        drop(store);
        for (writer, found) in writers.iter_mut().zip(found) {
            *writer = Writer::new(found);
        }
    }
    Ok(counts)
}

fn open(disk: &Disk) -> Result<RedbStore, StoreError> {
    let disk = disk.clone();
    RedbStore::with_backend(move || disk.clone())
}

#[derive(Debug, Default)]
struct Counts {
    cuts: usize,
    commits: usize,
    /// How often the group that was being committed was there, and how often not.
    with: usize,
    without: usize,
}

fn run_all(sync: Sync, reports: Reports) -> (Counts, Vec<String>) {
    let mut counts = Counts::default();
    let mut failures = Vec::new();
    for seed in seeds() {
        match run(seed, sync, reports) {
            Ok(more) => {
                counts.cuts += more.cuts;
                counts.commits += more.commits;
                counts.with += more.with;
                counts.without += more.without;
            }
            Err(failure) => failures.push(format!("seed {seed}: {failure}")),
        }
    }
    (counts, failures)
}

#[test]
fn what_is_loaded_after_a_power_cut_is_what_was_reported_or_one_group_more() {
    let (counts, failures) = run_all(Sync::Real, Reports::OnceCommitted);
    let list = failures.iter().take(5).fold(String::new(), |mut list, failure| {
        writeln!(list, "  {failure}").unwrap();
        list
    });
    assert!(failures.is_empty(), "{} of {} seeds fail:\n{list}", failures.len(), seeds().count());
    println!("{} seeds: {counts:?}", seeds().count());
    assert!(counts.commits > counts.cuts, "the power is cut before anything is written: {counts:?}");
    assert!(counts.without > 0, "no power cut took anything away: {counts:?}");
}

#[test]
fn a_disk_that_only_pretends_to_sync_is_found_out() {
    let (_, failures) = run_all(Sync::Pretended, Reports::OnceCommitted);
    assert!(failures.len() * 2 > seeds().count(), "{} of {} seeds fail", failures.len(), seeds().count());
}

#[test]
fn a_report_before_the_commit_is_found_out() {
    let (_, failures) = run_all(Sync::Real, Reports::Early);
    assert!(failures.len() * 2 > seeds().count(), "{} of {} seeds fail", failures.len(), seeds().count());
}
