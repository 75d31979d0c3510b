//! Power cuts under the ledger: whatever becomes of writes that were not synced, the ledger opens and holds
//! all that was acknowledged, and of what was not each write as a whole or not at all.

mod contents;
pub mod disk;
mod everything;
mod fault_disk;
mod names;
mod promises;
mod pusher;

use std::thread;

use wharfinger::meta::engine::redb::RedbEngine;
use wharfinger::meta::engine::{Engine, OpenError};

use crate::random::{self, Random};
use crate::writer::Writer;
use disk::{Disk, Sync};

pub const CACHE_BYTES: usize = 1 << 20;

/// The latest operation at which the power fails: some ten commits.
const CUT_AT_MAX: usize = 150;

/// Writes after which the power fails in any case: a ledger that never reaches the disk would run forever.
const WRITES_MAX: usize = 500;

fn open(disk: &Disk) -> Result<RedbEngine, OpenError> {
    RedbEngine::open_backend(disk.clone(), CACHE_BYTES, Box::new(|_| {}))
}

/// The disk of a new ledger.
pub fn new_ledger() -> Vec<u8> {
    let disk = Disk::new(Vec::new(), None, Sync::Honest);
    drop(open(&disk).expect("a new ledger opens"));
    disk.cut();
    disk.after_the_cut(&mut Random::new(0))
}

/// Writes until the power fails.
fn write(writer: &mut Writer, engine: &RedbEngine, disk: &Disk) {
    for _ in 0..WRITES_MAX {
        if let Err(error) = writer.write(engine) {
            assert!(disk.is_cut(), "a write failed while there was power: {error}");
            return;
        }
    }
    disk.cut();
}

/// Runs a ledger until the power fails and gives what is on the disk then.
fn live_and_die(image: Vec<u8>, sync: Sync, random: &mut Random, writers: &mut [Writer]) -> Vec<u8> {
    let disk = Disk::new(image, Some(1 + random.below(CUT_AT_MAX)), sync);
    match open(&disk) {
        Ok(engine) => thread::scope(|scope| {
            for writer in writers.iter_mut() {
                scope.spawn(|| write(writer, &engine, &disk));
            }
        }),
        Err(error) => assert!(disk.is_cut(), "refused while there was power: {error}"),
    }
    disk.after_the_cut(random)
}

/// Opens what a cut left, with power, and compares it with what the writers know.
pub fn check(image: &[u8], writers: &mut [Writer]) -> Result<(), String> {
    let disk = Disk::new(image.to_vec(), None, Sync::Honest);
    let engine = open(&disk).map_err(|error| format!("refused: {error}"))?;
    let rows = engine.snapshot().map_err(|error| error.to_string())?;
    writers.iter_mut().try_for_each(|writer| writer.settle(&*rows))
}

pub fn writers(count: u8, random: &mut Random) -> Vec<Writer> {
    (0..count).map(|number| Writer::new(number, random)).collect()
}

/// One ledger through many cuts, some of them during the recovery from the one before.
fn survive(test: &str, cuts: usize, count: u8) {
    let seed = random::seed(test);
    let mut random = Random::new(seed);
    let mut writers = writers(count, &mut random);
    let mut image = new_ledger();
    for cut in 1..=cuts {
        image = live_and_die(image, Sync::Honest, &mut random, &mut writers);
        if let Err(loss) = check(&image, &mut writers) {
            panic!("after cut {cut} of seed {seed}: {loss}");
        }
    }
    let rows: usize = writers.iter().map(Writer::rows).sum();
    assert!(rows > 0, "something was written");
    println!("{test}: {cuts} cuts, {rows} rows at the end");
}

#[test]
fn a_ledger_survives_power_cuts() {
    survive("a_ledger_survives_power_cuts", 150, 1);
}

/// Several writes share a commit here, so the seed alone does not say which.
#[test]
fn a_ledger_with_many_writers_survives_power_cuts() {
    survive("a_ledger_with_many_writers_survives_power_cuts", 50, 4);
}

/// Why a new ledger is made aside: where redb is cut off in making it, the file may be refused for good. It
/// is never opened as something else.
#[test]
fn a_ledger_that_was_cut_off_in_the_making_is_whole_or_refused() {
    let seed = random::seed("a_ledger_that_was_cut_off_in_the_making_is_whole_or_refused");
    let mut random = Random::new(seed);
    let mut refusals = 0;
    for cut_at in 1..40 {
        let disk = Disk::new(Vec::new(), Some(cut_at), Sync::Honest);
        drop(open(&disk));
        disk.cut();
        match check(&disk.after_the_cut(&mut random), &mut []) {
            Ok(()) => {}
            Err(refusal) => {
                assert!(refusal.starts_with("refused: "), "cut off at operation {cut_at}: {refusal}");
                refusals += 1;
            }
        }
    }
    assert!(refusals > 0, "redb makes its file whole at once: it need not be made aside any more");
}

/// The check itself: on a disk whose syncs do nothing, it must find losses.
#[test]
fn a_disk_that_lies_is_found_out() {
    let mut random = Random::new(random::seed("a_disk_that_lies_is_found_out"));
    let fresh = new_ledger();
    let mut found = 0;
    for _ in 0..30 {
        let mut writers = writers(1, &mut random);
        let image = live_and_die(fresh.clone(), Sync::Lying, &mut random, &mut writers);
        found += usize::from(check(&image, &mut writers).is_err());
    }
    println!("a_disk_that_lies_is_found_out: {found} of 30 cuts lost something");
    assert!(found >= 10, "only {found} of 30 losses were found");
}
