//! Power cuts under the ledger: whatever becomes of writes that were not synced, the ledger opens and holds
//! all that was acknowledged, and of what was not each write as a whole or not at all.

mod disk;

use std::collections::BTreeMap;
use std::thread;

use wharfinger::meta::engine::redb::RedbEngine;
use wharfinger::meta::engine::{Engine, KeyRange, Limit, OpenError, ReadRows, TableId, Verdict};

use crate::random::{self, Random};
use disk::{Disk, Sync};

const CACHE_BYTES: usize = 1 << 20;

/// The tables that are written to; as different as any, as far as the engine knows.
const TABLES: [TableId; 3] = [TableId::Blob, TableId::ManifestBytes, TableId::Queue];

/// Keys of each table that a writer uses again and again.
const KEYS: usize = 40;

/// The latest operation at which the power fails: some ten commits.
const CUT_AT_MAX: usize = 150;

/// Writes after which the power fails in any case: a ledger that never reaches the disk would run forever.
const WRITES_MAX: usize = 500;

type Rows = BTreeMap<(TableId, Vec<u8>), Vec<u8>>;

/// A row to be written, or removed where there is no value.
type Change = (TableId, Vec<u8>, Option<Vec<u8>>);

/// What one writer knows of its rows. Only it writes to them.
#[derive(Debug)]
struct Writer {
    number: u8,
    random: Random,
    acknowledged: Rows,
    /// What the rows are if the write without an answer happened.
    perhaps: Option<Rows>,
}

impl Writer {
    fn new(number: u8, random: &mut Random) -> Self {
        let random = Random::new(random.draw());
        Self { number, random, acknowledged: Rows::new(), perhaps: None }
    }

    fn changes(&mut self) -> Vec<Change> {
        let count = 1 + self.random.below(12);
        (0..count).map(|_| self.change()).collect()
    }

    fn change(&mut self) -> Change {
        let table = *self.random.pick(&TABLES);
        let key = vec![self.number, u8::try_from(self.random.below(KEYS)).expect("few keys")];
        // Some do not fit into a page.
        let length = if self.random.one_in(12) { 9000 } else { 300 };
        let (byte, length) = (self.random.draw().to_le_bytes()[0], self.random.below(length));
        let value = (!self.random.one_in(4)).then(|| vec![byte; length]);
        (table, key, value)
    }

    /// Writes until the power fails.
    fn write(&mut self, engine: &RedbEngine, disk: &Disk) {
        for _ in 0..WRITES_MAX {
            let changes = self.changes();
            let verdict = if self.random.one_in(8) { Verdict::Undo } else { Verdict::Keep };
            let mut after = self.acknowledged.clone();
            if verdict == Verdict::Keep {
                apply(&mut after, &changes);
            }
            self.perhaps = Some(after);
            let written = engine.write(Box::new(move |rows| {
                for (table, key, value) in &changes {
                    let done = match value {
                        Some(value) => rows.put(*table, key, value),
                        None => rows.remove(*table, key).map(drop),
                    };
                    // The rows of a ledger that failed are decided on at the next start.
                    if done.is_err() {
                        return Verdict::Undo;
                    }
                }
                verdict
            }));
            if written.is_err() {
                assert!(disk.is_cut(), "a write failed while there was power: {written:?}");
                return;
            }
            self.acknowledged = self.perhaps.take().expect("it was set above");
        }
        disk.cut();
    }

    /// Compares what is there with what may be, and takes it as what is.
    fn settle(&mut self, rows: &dyn ReadRows) -> Result<(), String> {
        let found = self.read(rows)?;
        let perhaps = self.perhaps.take();
        if found != self.acknowledged && Some(&found) != perhaps.as_ref() {
            let differ = self.acknowledged.iter().filter(|(key, value)| found.get(*key) != Some(*value));
            return Err(format!("{} rows of writer {} are not as acknowledged", differ.count(), self.number));
        }
        self.acknowledged = found;
        Ok(())
    }

    fn read(&self, rows: &dyn ReadRows) -> Result<Rows, String> {
        let mut found = Rows::new();
        for table in TABLES {
            let range = KeyRange { start: vec![self.number], end: Some(vec![self.number + 1]) };
            let page =
                rows.range(table, &range, Limit::rows(usize::MAX)).map_err(|error| error.to_string())?;
            found.extend(page.into_iter().map(|(key, value)| ((table, key), value)));
        }
        Ok(found)
    }
}

fn apply(rows: &mut Rows, changes: &[Change]) {
    for (table, key, value) in changes {
        match value {
            Some(value) => drop(rows.insert((*table, key.clone()), value.clone())),
            None => drop(rows.remove(&(*table, key.clone()))),
        }
    }
}

fn open(disk: &Disk) -> Result<RedbEngine, OpenError> {
    RedbEngine::open_backend(disk.clone(), CACHE_BYTES, Box::new(|_| {}))
}

/// The disk of a new ledger.
fn new_ledger() -> Vec<u8> {
    let disk = Disk::new(Vec::new(), None, Sync::Honest);
    drop(open(&disk).expect("a new ledger opens"));
    disk.cut();
    disk.after_the_cut(&mut Random::new(0))
}

/// Runs a ledger until the power fails and gives what is on the disk then.
fn live_and_die(image: Vec<u8>, sync: Sync, random: &mut Random, writers: &mut [Writer]) -> Vec<u8> {
    let disk = Disk::new(image, Some(1 + random.below(CUT_AT_MAX)), sync);
    match open(&disk) {
        Ok(engine) => thread::scope(|scope| {
            for writer in writers.iter_mut() {
                scope.spawn(|| writer.write(&engine, &disk));
            }
        }),
        Err(error) => assert!(disk.is_cut(), "refused while there was power: {error}"),
    }
    disk.after_the_cut(random)
}

/// Opens what a cut left, with power, and compares it with what the writers know.
fn check(image: &[u8], writers: &mut [Writer]) -> Result<(), String> {
    let disk = Disk::new(image.to_vec(), None, Sync::Honest);
    let engine = open(&disk).map_err(|error| format!("refused: {error}"))?;
    let rows = engine.snapshot().map_err(|error| error.to_string())?;
    writers.iter_mut().try_for_each(|writer| writer.settle(&*rows))
}

fn writers(count: u8, random: &mut Random) -> Vec<Writer> {
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
    let rows: usize = writers.iter().map(|writer| writer.acknowledged.len()).sum();
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
