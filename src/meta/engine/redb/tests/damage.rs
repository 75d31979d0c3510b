//! What is damaged or gone in the directory of a ledger.

use super::*;

/// The names in a directory that begin so, in their order.
fn named(directory: &Path, prefix: &str) -> Vec<String> {
    let names =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.starts_with(prefix)).collect();
    names.sort();
    names
}

/// Turns a bit of a file.
fn rot(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn damage_before_the_place_of_the_database_is_no_loss() {
    for touch in [true, false] {
        let scene = Scene::new();
        let engine = scene.open("a");
        engine.settle().unwrap();
        // The database is synced behind 20 and 40; the rest is in the journal alone.
        put(&engine, 0..50);
        kill(engine);
        let directory = scene.directory("a");
        rot(&directory.join(&named(&directory, "journal-")[0]), 4096 + 5000);
        if touch {
            scene.command("touch", &["a/ledger.redb"], "a");
        }
        assert_eq!(rows(&scene.open("a")), expected(50));
    }
}

#[test]
fn a_newest_segment_that_has_gone_is_missed() {
    for is_gone in [true, false] {
        let mut scene = Scene::new();
        for round in 0..3 {
            let engine = scene.open("a");
            engine.settle().unwrap();
            put(&engine, round * 10..round * 10 + 10);
            if round < 2 { drop(engine) } else { kill(engine) }
        }
        let directory = scene.directory("a");
        let newest = directory.join(named(&directory, "journal-").last().unwrap());
        if is_gone {
            fs::remove_file(&newest).unwrap();
        } else {
            rot(&newest, 30);
        }
        for _ in 0..2 {
            let error = scene.try_open("a").err().expect("what was acknowledged is missing");
            assert!(error.to_string().contains("--accept-loss"), "{error}");
        }
        scene.options.accept_loss = true;
        let engine = scene.open("a");
        assert_eq!(rows(&engine), expected(20));
        engine.settle().unwrap();
        drop(engine);
        scene.options.accept_loss = false;
        assert_eq!(rows(&scene.open("a")), expected(20));
    }
}

#[test]
fn what_was_left_out_is_met_no_more() {
    let mut scene = Scene::new();
    scene.options.checkpoint_operations = 1000;
    for round in 0..4 {
        let engine = scene.open("a");
        engine.settle().unwrap();
        put(&engine, round * 15..round * 15 + 15);
        kill(engine);
    }
    let directory = scene.directory("a");
    // The database has nothing of it: every frame behind the first few is lost.
    rot(&directory.join(&named(&directory, "journal-")[0]), 4096 + 5000);
    fs::remove_file(directory.join("ledger.redb")).unwrap();
    // It is no copy, whose end a copier may have torn.
    let error = scene.try_open("a").err().expect("frames are missing");
    assert!(error.to_string().contains("--accept-loss"), "{error}");
    scene.options.accept_loss = true;
    let engine = scene.open("a");
    let few = rows(&engine).len() as u64;
    assert!(few < 15);
    engine.settle().unwrap();
    put(&engine, few..100);
    drop(engine);
    scene.options.accept_loss = false;
    assert!(!named(&directory, "kept-").is_empty());
    for touch in [false, true] {
        if touch {
            scene.command("touch", &["a/ledger.redb"], "a");
        }
        assert_eq!(rows(&scene.open("a")), expected(100));
    }
    scene.copy("a", "b");
    assert_eq!(rows(&scene.open("b")), expected(100));
}

#[test]
fn a_witness_stays_one() {
    let scene = Scene::new();
    let engine = scene.open("a");
    engine.settle().unwrap();
    put(&engine, 0..40);
    drop(engine);
    let directory = scene.directory("a");
    // As a disk leaves it that lied about the last half.
    let segment = directory.join(&named(&directory, "journal-")[0]);
    let len = fs::metadata(&segment).unwrap().len();
    fs::File::options().write(true).open(&segment).unwrap().set_len(len / 2).unwrap();
    for round in 0..4 {
        if round % 2 == 1 {
            scene.command("touch", &["a/ledger.redb"], "a");
        }
        // It ends before the snapshot is made that it wants, or after that.
        let engine = scene.open("a");
        assert_eq!(rows(&engine), expected(40), "round {round}");
        engine.settle().unwrap();
        kill(engine);
    }
    let engine = scene.open("a");
    engine.settle().unwrap();
    put(&engine, 40..60);
    wait_for_snapshots(&directory, 1);
    drop(engine);
    scene.copy("a", "b");
    assert_eq!(rows(&scene.open("b")), expected(60));
}

#[test]
fn a_snapshot_of_another_ledger_is_refused() {
    let mut scene = Scene::new();
    scene.options.snapshot_bytes = 50_000;
    for name in ["a", "b"] {
        let engine = scene.open(name);
        engine.settle().unwrap();
        put(&engine, 0..if name == "a" { 300 } else { 30 });
        if name == "a" {
            wait_for_snapshots(&scene.directory("a"), 1);
        }
        drop(engine);
    }
    scene.copy("b", "c");
    let snapshot = named(&scene.directory("a"), "snapshot-").pop().unwrap();
    fs::copy(scene.directory("a").join(&snapshot), scene.directory("c").join(&snapshot)).unwrap();
    let error = scene.try_open("c").err().expect("two ledgers");
    assert!(
        error.to_string().contains("another ledger") || error.to_string().contains("two histories"),
        "{error}"
    );
}

/// What was in the place of a copy that was put back is no part of its history, and no backup's.
#[test]
fn a_snapshot_of_what_was_left_is_put_aside() {
    let mut scene = Scene::new();
    scene.options.segment_max_bytes = 64 << 20;
    let engine = scene.open("a");
    engine.settle().unwrap();
    put(&engine, 0..40);
    drop(engine);
    scene.copy("a", "b");
    scene.options.snapshot_bytes = 50_000;
    let engine = scene.open("a");
    engine.settle().unwrap();
    put(&engine, 40..120);
    wait_for_snapshots(&scene.directory("a"), 1);
    kill(engine);
    for name in named(&scene.directory("a"), "journal-").into_iter().skip(1) {
        fs::remove_file(scene.directory("a").join(name)).unwrap();
    }
    scene.options.snapshot_bytes = 64 << 20;
    scene.copy("b", "a");
    let engine = scene.open("a");
    assert_eq!(rows(&engine), expected(40));
    engine.settle().unwrap();
    put(&engine, 40..50);
    engine.copy_to(&scene.directory("c")).unwrap();
    assert_eq!(rows(&scene.open("c")), expected(50));
    drop(engine);
    scene.copy("a", "d");
    assert_eq!(rows(&scene.open("d")), expected(50));
}

#[test]
fn a_rebuild_refuses_a_gap() {
    let mut scene = Scene::new();
    let engine = scene.open("a");
    engine.settle().unwrap();
    put(&engine, 0..50);
    drop(engine);
    let directory = scene.directory("a");
    rot(&directory.join(&named(&directory, "journal-")[0]), 4096 + 5000);
    scene.options.rebuilds = true;
    let error = scene.try_open("a").err().expect("the database has more");
    assert!(error.to_string().contains("--accept-loss"), "{error}");
    scene.options.rebuilds = false;
    // The database has all of it, and a snapshot is made for copies.
    let engine = scene.open("a");
    assert_eq!(rows(&engine), expected(50));
    engine.settle().unwrap();
    wait_for_snapshots(&directory, 1);
    put(&engine, 50..60);
    scene.copy("a", "b");
    assert_eq!(rows(&scene.open("b")), expected(60));
}
