//! A ledger that is closed, cut off, copied and put back.

use super::super::{Engine, KeyRange, Limit, OpenError, Origin, TableId, Verdict};
use super::{LedgerOptions, Place, RedbEngine};
use crate::disk::{Mode, RealDisk};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The place of a ledger in a directory.
#[must_use]
pub fn place(directory: &Path) -> Place {
    Place {
        disk: Arc::new(RealDisk),
        directory: directory.to_path_buf(),
        file_mode: Mode { bits: 0o600, exact: false },
        directory_mode: Mode { bits: 0o700, exact: false },
    }
}

/// Small pieces and few snapshots, so that a test meets all of them.
fn options() -> LedgerOptions {
    LedgerOptions {
        cache_bytes: 1 << 20,
        checkpoint_operations: 20,
        snapshot_bytes: 64 * 1024 * 1024,
        segment_max_bytes: 1 << 18,
        ..LedgerOptions::default()
    }
}

struct Scene {
    home: TempDir,
    options: LedgerOptions,
}

type Rows = BTreeMap<u64, Vec<u8>>;

impl Scene {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap(), options: options() }
    }

    fn directory(&self, name: &str) -> PathBuf {
        let directory = self.home.path().join(name);
        fs::create_dir_all(&directory).unwrap();
        directory
    }

    fn open(&self, name: &str) -> RedbEngine {
        self.try_open(name).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn try_open(&self, name: &str) -> Result<RedbEngine, OpenError> {
        let fail = Box::new(|reason: &str| panic!("the engine failed: {reason}"));
        RedbEngine::open(&place(&self.directory(name)), self.options, fail)
    }

    fn origin(&self, name: &str) -> Origin {
        let engine = self.open(name);
        let origin = engine.opened().origin;
        engine.settle().unwrap();
        origin
    }

    /// Copies a directory as it is.
    fn copy(&self, from: &str, to: &str) {
        self.command("cp", &["-a", &format!("{from}/."), to], to);
    }

    fn command(&self, program: &str, arguments: &[&str], made: &str) {
        self.directory(made);
        let status = Command::new(program).args(arguments).current_dir(self.home.path()).status().unwrap();
        assert!(status.success(), "{program} {arguments:?}");
    }
}

fn put(engine: &RedbEngine, numbers: std::ops::Range<u64>) {
    for number in numbers {
        engine
            .write(Box::new(move |rows| {
                rows.put(TableId::Tag, &number.to_be_bytes(), &value(number)).unwrap();
                rows.add(b"count", 1).unwrap();
                Verdict::Keep
            }))
            .unwrap();
    }
}

fn value(number: u64) -> Vec<u8> {
    format!("value {number} ").repeat(60).into_bytes()
}

fn rows(engine: &RedbEngine) -> Rows {
    let snapshot = engine.snapshot().unwrap();
    let rows = snapshot.range(TableId::Tag, &KeyRange::all(), Limit::rows(usize::MAX)).unwrap();
    let rows: Rows =
        rows.into_iter().map(|(key, value)| (u64::from_be_bytes(key.try_into().unwrap()), value)).collect();
    let count = snapshot.get(TableId::Counter, b"count").unwrap();
    let count = count.map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().unwrap()));
    assert_eq!(count, rows.len() as u64, "rows and their counter are of one state");
    rows
}

fn expected(count: u64) -> Rows {
    (0..count).map(|number| (number, value(number))).collect()
}

/// As a process that is killed leaves it: nothing is closed.
fn kill(engine: RedbEngine) {
    std::mem::forget(engine);
}

#[test]
fn what_was_closed_is_the_original() {
    let scene = Scene::new();
    for round in 0..5 {
        let engine = scene.open("a");
        assert_eq!(engine.opened().origin, if round == 0 { Origin::New } else { Origin::Original });
        engine.settle().unwrap();
        assert_eq!(rows(&engine), expected(round * 50));
        put(&engine, round * 50..round * 50 + 50);
    }
    assert_eq!(rows(&scene.open("a")), expected(250));
}

#[test]
fn what_was_cut_off_is_done_again() {
    let scene = Scene::new();
    for round in 0..5 {
        let engine = scene.open("a");
        engine.settle().unwrap();
        assert_eq!(rows(&engine), expected(round * 57));
        put(&engine, round * 57..round * 57 + 57);
        kill(engine);
    }
    assert_eq!(rows(&scene.open("a")), expected(285));
}

#[test]
fn a_copy_is_made_anew_and_goes_its_own_way() {
    let scene = Scene::new();
    let engine = scene.open("a");
    engine.settle().unwrap();
    put(&engine, 0..333);
    scene.copy("a", "b");
    put(&engine, 333..400);
    // Until it is settled it is a copy.
    for _ in 0..2 {
        let copy = scene.open("b");
        assert_eq!(copy.opened().origin, Origin::Copy);
        assert_eq!(rows(&copy), expected(333));
        kill(copy);
    }
    let copy = scene.open("b");
    put(&copy, 333..350);
    copy.settle().unwrap();
    drop(copy);
    assert_eq!(scene.origin("b"), Origin::Original);
    scene.copy("b", "c");
    assert_eq!(scene.origin("c"), Origin::Copy);
    assert_eq!(rows(&scene.open("c")), expected(350));
    drop(engine);
    assert_eq!(rows(&scene.open("a")), expected(400));
}

#[test]
fn a_copy_with_a_worthless_database_or_none_is_whole() {
    let scene = Scene::new();
    let engine = scene.open("a");
    engine.settle().unwrap();
    put(&engine, 0..333);
    for name in ["b", "c"] {
        scene.copy("a", name);
    }
    fs::write(scene.directory("b").join("ledger.redb"), b"torn").unwrap();
    fs::remove_file(scene.directory("c").join("ledger.redb")).unwrap();
    for name in ["b", "c"] {
        assert_eq!(scene.origin(name), Origin::Copy);
        assert_eq!(rows(&scene.open(name)), expected(333));
    }
}

/// Waits until there is a snapshot of a later state, and what it makes superfluous is gone.
fn wait_for_snapshots(directory: &Path, count: usize) {
    let started = Instant::now();
    let names = || fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
    while names().filter(|name| name.to_string_lossy().starts_with("snapshot-")).count() < count {
        assert!(started.elapsed() < Duration::from_secs(20), "no snapshot was made");
        std::thread::yield_now();
    }
}

#[test]
fn a_copy_begins_with_the_newest_whole_snapshot() {
    let mut scene = Scene::new();
    scene.options.snapshot_bytes = 100_000;
    let engine = scene.open("a");
    engine.settle().unwrap();
    put(&engine, 0..333);
    wait_for_snapshots(&scene.directory("a"), 2);
    put(&engine, 333..340);
    scene.copy("a", "b");
    assert_eq!(rows(&scene.open("b")), expected(340));
    // A torn one is passed over.
    scene.copy("a", "c");
    let directory = scene.directory("c");
    let names =
        fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let newest = names.filter(|name| name.starts_with("snapshot-")).max().unwrap();
    let path = directory.join(newest);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_eq!(rows(&scene.open("c")), expected(340));
}

#[test]
fn an_older_copy_in_the_place_of_the_original_is_that_copy_or_refused() {
    for (program, arguments) in [
        ("cp", &["-a", "b/.", "a"][..]),
        ("sh", &["-c", "tar -C b -c . | tar -C a -x"][..]),
        ("sh", &["-c", "rm -r a && cp -a b a"][..]),
        ("sh", &["-c", "rm a/journal-* && cp -a b/. a"][..]),
    ] {
        let scene = Scene::new();
        let engine = scene.open("a");
        engine.settle().unwrap();
        put(&engine, 0..100);
        scene.copy("a", "b");
        put(&engine, 100..150);
        drop(engine);
        let engine = scene.open("a");
        engine.settle().unwrap();
        put(&engine, 150..200);
        kill(engine);
        scene.command(program, arguments, "a");
        match scene.try_open("a") {
            Ok(engine) => {
                assert_ne!(engine.opened().origin, Origin::Original);
                assert_eq!(rows(&engine), expected(100), "{program} {arguments:?}");
                assert!(arguments[1].contains("rm "), "{arguments:?}");
            }
            Err(error) => {
                assert!(!arguments[1].contains("rm "), "{program} {arguments:?}: {error}");
                assert!(error.to_string().contains("a copy was put into a directory"), "{error}");
            }
        }
    }
}

#[test]
fn a_copy_over_one_that_went_on_by_itself_is_refused() {
    let scene = Scene::new();
    let engine = scene.open("a");
    engine.settle().unwrap();
    put(&engine, 0..100);
    scene.copy("a", "b");
    let copy = scene.open("b");
    copy.settle().unwrap();
    put(&copy, 100..120);
    drop(copy);
    put(&engine, 100..150);
    scene.copy("a", "b");
    let error = scene.try_open("b").err().expect("two histories");
    assert!(error.to_string().contains("a copy was put into a directory"), "{error}");
    // What tells the one from the other is not there any more.
    fs::remove_file(scene.directory("b").join("IDENTITY")).unwrap();
    let error = scene.try_open("b").err().expect("two histories");
    assert!(error.to_string().contains("two histories"), "{error}");
}

#[test]
fn a_touched_ledger_is_looked_at_more_closely() {
    let scene = Scene::new();
    let engine = scene.open("a");
    engine.settle().unwrap();
    put(&engine, 0..100);
    drop(engine);
    scene.command("chmod", &["400", "a/ledger.redb"], "a");
    assert_eq!(scene.origin("a"), Origin::Touched);
    assert_eq!(scene.origin("a"), Origin::Original);
    assert_eq!(rows(&scene.open("a")), expected(100));
    // Linked, it may be somebody else's.
    scene.command("cp", &["-al", "a/.", "b"], "b");
    assert_eq!(scene.origin("b"), Origin::Copy);
    assert_eq!(rows(&scene.open("b")), expected(100));
    scene.command("mv", &["a", "d"], "d-is-made");
    assert_eq!(rows(&scene.open("d")), expected(100));
}

#[test]
fn a_database_ahead_of_its_journal_is_kept() {
    let scene = Scene::new();
    let engine = scene.open("a");
    engine.settle().unwrap();
    put(&engine, 0..100);
    drop(engine);
    let directory = scene.directory("a");
    for entry in fs::read_dir(&directory).unwrap().map(Result::unwrap) {
        if entry.file_name().to_string_lossy().starts_with("journal-") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    let engine = scene.open("a");
    assert!(engine.opened().notes[0].contains("the disk lost 100 frames"), "{:?}", engine.opened());
    assert_eq!(rows(&engine), expected(100));
    engine.settle().unwrap();
    wait_for_snapshots(&directory, 1);
}

#[test]
fn a_gap_in_the_journal_is_refused() {
    let mut scene = Scene::new();
    let engine = scene.open("a");
    engine.settle().unwrap();
    // None of it is in the database alone.
    put(&engine, 0..19);
    kill(engine);
    let directory = scene.directory("a");
    let mut entries = fs::read_dir(&directory).unwrap().map(Result::unwrap);
    let segment = entries.find(|entry| entry.file_name().to_string_lossy().starts_with("journal-")).unwrap();
    let mut bytes = fs::read(segment.path()).unwrap();
    // In the middle of the frames.
    bytes[4096 + 5000] ^= 1;
    fs::write(segment.path(), bytes).unwrap();
    let error = scene.try_open("a").err().expect("frames are missing");
    assert!(error.to_string().contains("--accept-loss"), "{error}");
    scene.options.accept_loss = true;
    assert!(rows(&scene.open("a")).len() < 19);
}

#[test]
fn looking_changes_nothing() {
    let scene = Scene::new();
    let engine = scene.open("a");
    engine.settle().unwrap();
    put(&engine, 0..110);
    scene.copy("a", "b");
    kill(engine);
    for name in ["a", "b"] {
        let listing = || {
            let of = |entry: fs::DirEntry| (entry.file_name(), fs::read(entry.path()).unwrap());
            let mut all: Vec<_> =
                fs::read_dir(scene.directory(name)).unwrap().map(|e| of(e.unwrap())).collect();
            all.sort();
            all
        };
        let before = listing();
        let engine = RedbEngine::open_to_look(&place(&scene.directory(name)), scene.options).unwrap();
        assert_eq!(rows(&engine), expected(110));
        // What is written there is forgotten.
        put(&engine, 110..115);
        assert_eq!(rows(&engine), expected(115));
        drop(engine);
        assert!(before == listing(), "{name} is as before");
    }
}

#[test]
fn what_is_copied_out_of_a_running_ledger_can_be_opened() {
    let mut scene = Scene::new();
    scene.options.snapshot_bytes = 100_000;
    let engine = scene.open("a");
    engine.settle().unwrap();
    put(&engine, 0..40);
    let copied = engine.copy_to(&scene.directory("b")).unwrap();
    assert_eq!(copied.sequence, 40);
    put(&engine, 40..333);
    wait_for_snapshots(&scene.directory("a"), 1);
    let copied = engine.copy_to(&scene.directory("c")).unwrap();
    assert_eq!(copied.sequence, 333);
    assert_eq!(rows(&scene.open("b")), expected(40));
    assert_eq!(rows(&scene.open("c")), expected(333));
}

#[test]
fn a_ledger_knows_where_it_comes_from_after_many_touches() {
    let scene = Scene::new();
    for round in 0..6 {
        let engine = scene.open("a");
        assert_eq!(rows(&engine), expected(round * 30));
        // Some are cut off before they are settled, some have no frame of their own, some no checkpoint.
        if round % 2 == 0 {
            engine.settle().unwrap();
        }
        put(&engine, round * 30..round * 30 + 30);
        kill(engine);
        for _ in 0..2 {
            scene.command("touch", &["a/ledger.redb"], "a");
            kill(scene.open("a"));
        }
    }
    assert_eq!(rows(&scene.open("a")), expected(180));
    scene.copy("a", "b");
    assert_eq!(rows(&scene.open("b")), expected(180));
}

mod damage;
