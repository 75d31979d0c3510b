//! Power cuts under the ledger: whatever becomes of writes that were not synced, the ledger opens and holds
//! all that was acknowledged, and of what was not each write as a whole or not at all.

mod contents;
mod everything;
pub mod fault_disk;
mod names;
mod promises;
mod pusher;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use wharfinger::disk::{Disk, Mode, SharedDisk};
use wharfinger::meta::engine::redb::{LedgerOptions, Place, RedbEngine};
use wharfinger::meta::engine::{Engine, OpenError};

use crate::random::{self, Random};
use crate::writer::Writer;
use fault_disk::{FaultDisk, Sync};

/// The latest operation at which the power fails: some dozens of commits.
const CUT_AT_MAX: usize = 150;

/// Writes after which the power fails in any case: a ledger that never reaches the disk would run forever.
const WRITES_MAX: usize = 500;

const DIRECTORY: &str = "/ledger";

const DIRECTORY_MODE: Mode = Mode { bits: 0o700, exact: false };

/// Small pieces, so that a few commits meet all that there is.
pub fn options() -> LedgerOptions {
    LedgerOptions {
        cache_bytes: 1 << 20,
        checkpoint_operations: 5,
        snapshot_bytes: 1 << 16,
        window_secs: 0,
        segment_max_bytes: 1 << 16,
        ..LedgerOptions::default()
    }
}

/// Where the ledger is on a disk.
pub fn place(disk: SharedDisk) -> Place {
    let file_mode = Mode { bits: 0o600, exact: false };
    Place { disk, directory: PathBuf::from(DIRECTORY), file_mode, directory_mode: DIRECTORY_MODE }
}

fn open(disk: &FaultDisk) -> Result<RedbEngine, OpenError> {
    let engine = RedbEngine::open(&place(Arc::new(disk.clone())), options(), Box::new(|_| {}))?;
    // It fails only with the disk, and then so does all that comes.
    drop(engine.settle());
    Ok(engine)
}

/// A disk with an empty directory for a ledger.
pub fn empty_disk() -> FaultDisk {
    let disk = FaultDisk::new();
    disk.make_directory(Path::new(DIRECTORY), DIRECTORY_MODE).expect("there is power");
    disk.sync_directory(Path::new("/")).expect("there is power");
    disk
}

/// The disk of a new ledger.
pub fn new_ledger() -> FaultDisk {
    let disk = empty_disk();
    drop(open(&disk).expect("a new ledger opens"));
    disk
}

/// Writes until the power fails.
fn write(writer: &mut Writer, engine: &RedbEngine, disk: &FaultDisk) {
    for _ in 0..WRITES_MAX {
        if let Err(error) = writer.write(engine) {
            assert!(disk.is_cut(), "a write failed while there was power: {error}");
            return;
        }
    }
    disk.cut();
}

/// Runs a ledger until the power fails and gives what is on the disk then.
fn live_and_die(disk: &FaultDisk, random: &mut Random, writers: &mut [Writer]) -> FaultDisk {
    disk.cut_in(1 + random.below(CUT_AT_MAX));
    match open(disk) {
        Ok(engine) => thread::scope(|scope| {
            for writer in writers.iter_mut() {
                scope.spawn(|| write(writer, &engine, disk));
            }
        }),
        Err(error) => assert!(disk.is_cut(), "refused while there was power: {error}"),
    }
    disk.after_the_cut(random)
}

/// Opens what a cut left, with power, and compares it with what the writers know.
pub fn check(disk: &FaultDisk, writers: &mut [Writer]) -> Result<(), String> {
    let engine = open(&disk.copy()).map_err(|error| format!("refused: {error}"))?;
    let rows = engine.snapshot().map_err(|error| error.to_string())?;
    writers.iter_mut().try_for_each(|writer| writer.settle(&*rows))
}

pub fn writers(count: u8, random: &mut Random) -> Vec<Writer> {
    (0..count).map(|number| Writer::new(number, random)).collect()
}

/// How many cuts the ledger of one writer goes through; `WHARFINGER_POWER_CUTS` says another number.
const CUTS: usize = 1400;

fn cuts() -> usize {
    let given = std::env::var("WHARFINGER_POWER_CUTS");
    given.map_or(CUTS, |given| given.parse().expect("WHARFINGER_POWER_CUTS is a whole number"))
}

/// One ledger through many cuts, some of them during the recovery from the one before.
fn survive(test: &str, cuts: usize, count: u8) {
    let seed = random::seed(test);
    let mut random = Random::new(seed);
    let mut writers = writers(count, &mut random);
    let mut disk = new_ledger();
    for cut in 1..=cuts {
        disk = live_and_die(&disk, &mut random, &mut writers);
        if let Err(loss) = check(&disk, &mut writers) {
            panic!("after cut {cut} of seed {seed}: {loss}");
        }
    }
    let rows: usize = writers.iter().map(Writer::rows).sum();
    assert!(rows > 0, "something was written");
    println!("{test}: {cuts} cuts, {rows} rows at the end");
}

#[test]
fn a_ledger_survives_power_cuts() {
    survive("a_ledger_survives_power_cuts", cuts(), 1);
}

/// Several writes share a commit here, so the seed alone does not say which.
#[test]
fn a_ledger_with_many_writers_survives_power_cuts() {
    survive("a_ledger_with_many_writers_survives_power_cuts", 200, 4);
}

/// However early the very first opening ends, the next one opens.
#[test]
fn a_ledger_that_was_cut_off_in_the_making_opens() {
    let seed = random::seed("a_ledger_that_was_cut_off_in_the_making_opens");
    let mut random = Random::new(seed);
    let mut cut_off = 0;
    for cut_in in 1..60 {
        let disk = empty_disk();
        disk.cut_in(cut_in);
        cut_off += usize::from(open(&disk).is_err());
        disk.cut();
        check(&disk.after_the_cut(&mut random), &mut [])
            .unwrap_or_else(|error| panic!("cut off at operation {cut_in} of seed {seed}: {error}"));
    }
    assert!(cut_off > 10, "it was tried");
}

/// The check itself: on a disk whose syncs do nothing, it must find losses.
#[test]
fn a_disk_that_lies_is_found_out() {
    let mut random = Random::new(random::seed("a_disk_that_lies_is_found_out"));
    let mut found = 0;
    for _ in 0..30 {
        let mut writers = writers(1, &mut random);
        let disk = new_ledger();
        disk.set_sync(Sync::Lying);
        let disk = live_and_die(&disk, &mut random, &mut writers);
        found += usize::from(check(&disk, &mut writers).is_err());
    }
    println!("a_disk_that_lies_is_found_out: {found} of 30 cuts lost something");
    assert!(found >= 10, "only {found} of 30 losses were found");
}
