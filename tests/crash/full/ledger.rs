//! The ledger on a disk without room: each write that is answered is there, each that is refused is not, and
//! no reader notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use wharfinger::meta::engine::redb::RedbEngine;
use wharfinger::meta::engine::{
    Engine, EngineError, KeyRange, Limit, ReadRows, TableId, Verdict, WriteError,
};

use super::device::{Device, Lack};
use crate::power::fault_disk::FaultDisk;
use crate::power::{check, empty_disk, new_ledger, options, place, writers};
use crate::random::{self, Random};
use crate::writer::Writer;

/// Writes of each run.
const WRITES: usize = 24;

/// Refusals after which there is room again.
const REFUSALS: usize = 3;

/// A ledger on a device, and whether it failed for good.
struct Ledger {
    engine: RedbEngine,
    failed: Arc<AtomicBool>,
}

impl Ledger {
    fn open(device: &Device) -> Self {
        let failed = Arc::new(AtomicBool::new(false));
        let noted = Arc::clone(&failed);
        let on_failure = Box::new(move |words: &str| {
            println!("the engine failed: {words}");
            noted.store(true, Ordering::SeqCst);
        });
        let engine = RedbEngine::open(&place(Arc::new(device.clone())), options(), on_failure);
        let engine = engine.expect("the ledger opens");
        engine.settle().expect("a full disk is no failure");
        Self { engine, failed }
    }

    fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }

    /// Compares what is there now with what the writer knows.
    fn settle(&self, writer: &mut Writer) -> Result<(), String> {
        let rows = self.engine.snapshot().map_err(|error| error.to_string())?;
        writer.settle(&*rows)
    }
}

/// Writes of one run that were done and refused.
#[derive(Debug, Default, Clone, Copy)]
struct Figures {
    done: usize,
    refused: usize,
    ends: usize,
}

impl Figures {
    fn add(&mut self, other: Self) {
        self.done += other.done;
        self.refused += other.refused;
        self.ends += other.ends;
    }
}

/// Writes with one writer; some refusals later there is room again.
fn write_with_one(ledger: &Ledger, device: &Device, writer: &mut Writer) -> Result<Figures, String> {
    let mut figures = Figures::default();
    for _ in 0..WRITES {
        match writer.write(&ledger.engine) {
            Ok(()) => figures.done += 1,
            Err(WriteError::Full) => {
                figures.refused += 1;
                ledger.settle(writer).map_err(|error| format!("after a refusal: {error}"))?;
                if figures.refused == REFUSALS {
                    device.set(Lack::None);
                }
            }
            Err(error) if ledger.has_failed() => {
                figures.ends += 1;
                println!("the engine gave up: {error}");
                return Ok(figures);
            }
            Err(error) => return Err(format!("neither done nor refused: {error}")),
        }
    }
    ledger.settle(writer)?;
    Ok(figures)
}

/// One run: no room at or from operation `at` of the device on, and at its end the power is cut.
fn run(disk: FaultDisk, lack: Lack, syncs: bool, random: &mut Random) -> Result<(Figures, usize), String> {
    let device = Device::new(disk, Lack::None, syncs);
    let mut writers = writers(1, random);
    let ledger = Ledger::open(&device);
    let opened_at = device.operations();
    device.set(match lack {
        Lack::Once(at) => Lack::Once(opened_at + at),
        Lack::From(at) => Lack::From(opened_at + at),
        other => other,
    });
    let figures = write_with_one(&ledger, &device, &mut writers[0])?;
    let operations = device.operations() - opened_at;
    device.disk.cut();
    drop(ledger);
    check(&device.disk.after_the_cut(random), &mut writers)
        .map_err(|error| format!("at the end: {error}"))?;
    Ok((figures, operations))
}

/// Runs with no room at every operation in turn.
fn at_every_operation(test: &str, lack: impl Fn(usize) -> Lack, syncs: bool) -> Figures {
    let seed = random::seed(test);
    let mut random = Random::new(seed);
    let fresh = new_ledger();
    let (mut all, mut at) = (Figures::default(), 1);
    loop {
        let (figures, operations) = run(fresh.copy(), lack(at), syncs, &mut random)
            .unwrap_or_else(|error| panic!("no room: {:?}, seed {seed}: {error}", lack(at)));
        all.add(figures);
        // Every run has its own writes, so the last operation is not the same in all.
        if at > operations {
            break;
        }
        at += 1;
    }
    println!("{test}: no room at each of {at} operations: {all:?}");
    assert!(all.refused > at / 8 && all.done > at, "it was tried");
    all
}

#[test]
fn a_write_without_room_is_refused_and_nothing_else() {
    let test = "a_write_without_room_is_refused_and_nothing_else";
    let figures = at_every_operation(test, Lack::Once, false);
    assert_eq!(figures.ends, 0, "a full disk is no reason to give up");
}

/// Such a disk takes no byte over another: the ledger is only read, and goes on when there is room.
#[test]
fn a_disk_that_takes_no_byte_any_more_is_read() {
    let test = "a_disk_that_takes_no_byte_any_more_is_read";
    let figures = at_every_operation(test, Lack::From, false);
    assert_eq!(figures.ends, 0, "a full disk is no reason to give up");
}

#[test]
fn a_sync_without_room_is_refused_and_nothing_else() {
    let test = "a_sync_without_room_is_refused_and_nothing_else";
    let figures = at_every_operation(test, Lack::Once, true);
    assert_eq!(figures.ends, 0, "a full disk is no reason to give up");
}

/// Where the last sync of a commit fails and nothing can be written or synced after that, nobody knows.
#[test]
fn what_nobody_can_know_is_not_said() {
    let figures = at_every_operation("what_nobody_can_know_is_not_said", Lack::From, true);
    assert!(figures.ends > 0, "the case was met");
}

/// Many writers share commits; a disk that has its blocks is written over, and gets no more.
#[test]
fn writers_on_a_full_disk_are_told_the_truth() {
    let test = "writers_on_a_full_disk_are_told_the_truth";
    let seed = random::seed(test);
    let mut random = Random::new(seed);
    let (mut refused, mut removed) = (0, 0);
    for _ in 0..20 {
        let device = Device::new(new_ledger(), Lack::None, false);
        let ledger = Ledger::open(&device);
        device.set(Lack::Blocks(device.blocks() + 2 + random.below(60) as u64));
        let mut writers = writers(4, &mut random);
        let fill = |writer: &mut Writer| {
            let mut refused = 0;
            for _ in 0..40 {
                match writer.write(&ledger.engine) {
                    Ok(()) => {}
                    Err(WriteError::Full) => refused += 1,
                    Err(error) => panic!("seed {seed}: neither done nor refused: {error}"),
                }
            }
            refused
        };
        refused += thread::scope(|scope| {
            let threads: Vec<_> = writers.iter_mut().map(|writer| scope.spawn(|| fill(writer))).collect();
            threads.into_iter().map(|thread| thread.join().expect("a writer")).sum::<usize>()
        });
        for writer in &mut writers {
            ledger.settle(writer).unwrap_or_else(|error| panic!("seed {seed}, full: {error}"));
        }
        removed += writers.iter_mut().filter_map(|writer| writer.clear(&ledger.engine).ok()).count();
        device.set(Lack::None);
        for writer in &mut writers {
            writer.write(&ledger.engine).expect("there is room again");
            ledger.settle(writer).unwrap_or_else(|error| panic!("seed {seed}, with room: {error}"));
        }
        assert!(!ledger.has_failed());
        device.disk.cut();
        drop(ledger);
        check(&device.disk.after_the_cut(&mut random), &mut writers)
            .unwrap_or_else(|error| panic!("seed {seed}, at the end: {error}"));
    }
    println!("{test}: {refused} writes refused, {removed} of 80 removals of everything done while full");
    assert!(refused > 20, "it was tried");
}

fn put(ledger: &Ledger, key: u8, length: usize) -> Result<(), WriteError> {
    ledger.engine.write(Box::new(move |rows| match rows.put(TableId::Tag, &[key], &vec![key; length]) {
        Ok(()) => Verdict::Keep,
        Err(_) => Verdict::Undo,
    }))
}

fn keys(rows: &dyn ReadRows) -> Result<Vec<u8>, EngineError> {
    let rows = rows.range(TableId::Tag, &KeyRange::all(), Limit::rows(usize::MAX))?;
    Ok(rows.into_iter().map(|(key, _)| key[0]).collect())
}

#[test]
fn a_snapshot_outlives_the_opening_that_met_the_full_disk() {
    let device = Device::new(new_ledger(), Lack::None, false);
    let ledger = Ledger::open(&device);
    put(&ledger, 1, 10).expect("there is room");
    let (now, later) =
        (ledger.engine.snapshot().expect("a snapshot"), ledger.engine.snapshot().expect("one"));
    device.set(Lack::From(0));
    assert!(matches!(put(&ledger, 2, 10), Err(WriteError::Full)));
    assert_eq!(keys(&*now).expect("it is read on a disk that takes nothing"), [1]);
    assert!(matches!(put(&ledger, 2, 10), Err(WriteError::Full)));
    assert_eq!(keys(&*now).expect("it is read once more"), [1]);
    device.set(Lack::None);
    put(&ledger, 3, 10).expect("there is room again");
    assert_eq!(keys(&*ledger.engine.snapshot().expect("a new snapshot")).expect("it is read"), [1, 3]);
    // The journal refused before the database met the end of the disk: that was never opened again.
    assert_eq!(keys(&*later).expect("it is read"), [1]);
    assert!(!later.is_lost());
    assert!(!ledger.has_failed());
}

#[test]
fn readers_go_on_while_writes_are_refused() {
    let device = Device::new(new_ledger(), Lack::None, false);
    let ledger = Ledger::open(&device);
    put(&ledger, 1, 100_000).expect("there is room");
    device.set(Lack::Blocks(device.blocks()));
    let over = AtomicBool::new(false);
    let (refused, read) = thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut read = 0_usize;
                    while !over.load(Ordering::SeqCst) {
                        let rows = ledger.engine.snapshot().expect("a snapshot");
                        assert_eq!(
                            keys(&*rows).expect("nothing was committed, so it is still to be had"),
                            [1]
                        );
                        read += 1;
                    }
                    read
                })
            })
            .collect();
        let refused = (0..50).filter(|_| put(&ledger, 2, 3_000_000).is_err()).count();
        over.store(true, Ordering::SeqCst);
        (refused, readers.into_iter().map(|reader| reader.join().expect("a reader")).sum::<usize>())
    });
    println!("readers_go_on_while_writes_are_refused: {refused} refused, {read} reads meanwhile");
    assert!(refused == 50 && read > 0);
}

/// A start on such a disk needs no byte; only a new ledger does.
#[test]
fn a_ledger_opens_on_a_disk_that_takes_nothing() {
    let device = Device::new(new_ledger(), Lack::None, false);
    put(&Ledger::open(&device), 1, 10).expect("there is room");
    device.set(Lack::From(0));
    let ledger = Ledger::open(&device);
    assert_eq!(keys(&*ledger.engine.snapshot().expect("a snapshot")).expect("it is read"), [1]);
    assert!(matches!(put(&ledger, 2, 10), Err(WriteError::Full)));
    device.set(Lack::None);
    put(&ledger, 2, 10).expect("there is room");
    assert_eq!(keys(&*ledger.engine.snapshot().expect("a snapshot")).expect("it is read"), [1, 2]);
    let empty = place(Arc::new(Device::new(empty_disk(), Lack::From(0), false)));
    let refusal = RedbEngine::open(&empty, options(), Box::new(|_| {})).err().expect("no room");
    assert_eq!(refusal.cause, wharfinger::meta::engine::OpenCause::Full);
}

/// The next piece of the journal may have its name, and IDENTITY not know it yet, for lack of room: nothing
/// gets into the piece before it any more, however little it is.
#[test]
fn a_piece_of_the_journal_that_could_not_be_begun_is_gone_on_with() {
    let large = usize::try_from(options().segment_max_bytes).expect("it is short");
    let mut refused = 0;
    for at in 1.. {
        let device = Device::new(new_ledger(), Lack::None, false);
        let ledger = Ledger::open(&device);
        put(&ledger, 1, 10).expect("there is room");
        let before = device.operations();
        device.set(Lack::Once(before + at));
        let mut expected = vec![1];
        for (key, length) in [(2, large), (3, 10), (4, large), (5, 10)] {
            match put(&ledger, key, length) {
                Ok(()) => expected.push(key),
                Err(WriteError::Full) => refused += 1,
                Err(error) => panic!("operation {at}, write {key}: {error}"),
            }
        }
        assert!(!ledger.has_failed(), "operation {at}");
        assert_eq!(keys(&*ledger.engine.snapshot().expect("a snapshot")).expect("it is read"), expected);
        let is_over = device.operations() < before + at;
        device.set(Lack::None);
        drop(ledger);
        let ledger = Ledger::open(&device);
        let there = keys(&*ledger.engine.snapshot().expect("a snapshot")).expect("it is read");
        assert_eq!(there, expected, "operation {at}, at the next start");
        if is_over {
            break;
        }
    }
    assert!(refused > 2, "only {refused} writes were refused");
}
