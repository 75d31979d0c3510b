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
    drop(engine);
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

/// As a power cut leaves it between the name of a segment and its first frame.
#[test]
fn a_newest_segment_without_a_frame_is_nothing_lost() {
    let scene = Scene::new();
    let engine = scene.open("a");
    engine.settle().unwrap();
    put(&engine, 0..1);
    kill(engine);
    let directory = scene.directory("a");
    let segment = directory.join(&named(&directory, "journal-")[0]);
    fs::File::options().write(true).open(&segment).unwrap().set_len(4096).unwrap();
    for _ in 0..3 {
        let engine = scene.open("a");
        engine.settle().unwrap();
        assert_eq!(rows(&engine), expected(0));
        kill(engine);
    }
    let engine = scene.open("a");
    put(&engine, 0..5);
    kill(engine);
    assert_eq!(rows(&scene.open("a")), expected(5));
}

/// A ledger of three segments, whose newest has gone.
fn without_the_newest_segment() -> Scene {
    let scene = Scene::new();
    for round in 0..3 {
        let engine = scene.open("a");
        engine.settle().unwrap();
        put(&engine, round * 10..round * 10 + 10);
        if round < 2 { drop(engine) } else { kill(engine) }
    }
    let directory = scene.directory("a");
    fs::remove_file(directory.join(named(&directory, "journal-").last().unwrap())).unwrap();
    scene
}

#[test]
fn an_accepted_loss_is_looked_at_by_each_start_until_it_is_settled() {
    let mut scene = without_the_newest_segment();
    scene.options.accept_loss = true;
    kill(scene.open("a"));
    scene.options.accept_loss = false;
    // It wrote before it was settled, and was cut off.
    let engine = scene.open("a");
    assert_eq!(engine.opened().origin, Origin::Touched);
    put(&engine, 20..35);
    kill(engine);
    let engine = scene.open("a");
    assert_eq!(engine.opened().origin, Origin::Touched);
    assert_eq!(rows(&engine), expected(35));
    engine.settle().unwrap();
    kill(engine);
    assert_eq!(scene.origin("a"), Origin::Original);
    assert_eq!(rows(&scene.open("a")), expected(35));
    scene.copy("a", "b");
    assert_eq!(rows(&scene.open("b")), expected(35));
}

/// A ledger of four segments and more, of which the database on the disk has nothing.
fn with_many_segments() -> Scene {
    let mut scene = Scene::new();
    (scene.options.checkpoint_operations, scene.options.segment_max_bytes) = (1000, 1 << 14);
    let engine = scene.open("a");
    engine.settle().unwrap();
    put(&engine, 0..60);
    kill(engine);
    assert!(named(&scene.directory("a"), "journal-").len() > 3);
    scene
}

#[test]
fn frames_behind_an_accepted_gap_are_met_no_more_though_it_was_cut_off() {
    let mut scene = with_many_segments();
    let directory = scene.directory("a");
    rot(&directory.join(&named(&directory, "journal-")[1]), 4096 + 5000);
    scene.options.accept_loss = true;
    let engine = scene.open("a");
    let count = rows(&engine).len() as u64;
    assert!((10..50).contains(&count), "{count}");
    put(&engine, count..60);
    kill(engine);
    scene.options.accept_loss = false;
    let engine = scene.open("a");
    assert_eq!(engine.opened().origin, Origin::Touched);
    assert_eq!(rows(&engine), expected(60));
    engine.settle().unwrap();
    drop(engine);
    assert_eq!(rows(&scene.open("a")), expected(60));
}

#[test]
fn a_database_ahead_of_its_journal_stays_ahead_until_it_is_settled() {
    let scene = Scene::new();
    let engine = scene.open("a");
    engine.settle().unwrap();
    put(&engine, 0..40);
    drop(engine);
    let directory = scene.directory("a");
    fs::remove_file(directory.join(&named(&directory, "journal-")[0])).unwrap();
    kill(scene.open("a"));
    let engine = scene.open("a");
    assert_eq!(engine.opened().origin, Origin::Touched);
    assert_eq!(rows(&engine), expected(40));
    put(&engine, 40..50);
    kill(engine);
    let engine = scene.open("a");
    assert_eq!(engine.opened().origin, Origin::Touched);
    assert_eq!(rows(&engine), expected(50));
    engine.settle().unwrap();
    wait_for_snapshots(&directory, 1);
    kill(engine);
    assert_eq!(rows(&scene.open("a")), expected(50));
    scene.copy("a", "b");
    assert_eq!(rows(&scene.open("b")), expected(50));
}

/// The snapshot that a restored ledger makes is of a timeline that has no frame.
#[test]
fn the_timeline_of_a_snapshot_is_not_forgotten() {
    let scene = Scene::new();
    let engine = scene.open("a");
    engine.settle().unwrap();
    put(&engine, 0..50);
    scene.copy("a", "b");
    drop(engine);
    let engine = scene.open("b");
    engine.settle().unwrap();
    wait_for_snapshots(&scene.directory("b"), 1);
    engine.copy_to(&scene.directory("c")).unwrap();
    drop(engine);
    for _ in 0..2 {
        let engine = scene.open("c");
        assert_eq!(rows(&engine), expected(50));
        kill(engine);
    }
    let engine = scene.open("c");
    put(&engine, 50..60);
    kill(engine);
    for name in ["c", "d"] {
        let engine = scene.open(name);
        assert_eq!(rows(&engine), expected(60), "{name}");
        drop(engine);
        scene.copy("c", "d");
    }
    let directory = scene.directory("d");
    let kept = named(&directory, "kept-");
    assert!(kept.iter().all(|kept| named(&directory.join(kept), "snapshot-").is_empty()), "{kept:?}");
}

#[test]
fn a_snapshot_that_is_not_whole_is_put_aside() {
    // In its rows, and in its header.
    for at in [None, Some(20)] {
        let mut scene = Scene::new();
        scene.options.snapshot_bytes = 100_000;
        let engine = scene.open("a");
        engine.settle().unwrap();
        put(&engine, 0..333);
        wait_for_snapshots(&scene.directory("a"), 2);
        drop(engine);
        scene.copy("a", "b");
        scene.options.snapshot_bytes = 64 << 20;
        let directory = scene.directory("b");
        let newest = named(&directory, "snapshot-").pop().unwrap();
        let len = usize::try_from(fs::metadata(directory.join(&newest)).unwrap().len()).unwrap();
        rot(&directory.join(&newest), at.unwrap_or(len / 2));
        let engine = scene.open("b");
        assert_eq!(rows(&engine), expected(333));
        assert!(!named(&directory, "snapshot-").contains(&newest));
        engine.settle().unwrap();
        put(&engine, 333..340);
        drop(engine);
        scene.copy("b", "c");
        assert_eq!(rows(&scene.open("c")), expected(340));
    }
}

#[test]
fn a_lone_snapshot_that_is_damaged_is_not_nothing() {
    let mut scene = Scene::new();
    scene.options.snapshot_bytes = 50_000;
    let engine = scene.open("a");
    engine.settle().unwrap();
    put(&engine, 0..100);
    wait_for_snapshots(&scene.directory("a"), 1);
    drop(engine);
    let name = named(&scene.directory("a"), "snapshot-").pop().unwrap();
    let lone = scene.directory("b").join(&name);
    fs::copy(scene.directory("a").join(&name), &lone).unwrap();
    rot(&lone, 20);
    let error = scene.try_open("b").err().expect("there was a ledger");
    assert!(error.to_string().contains("no whole snapshot"), "{error}");
    assert!(lone.exists());
}

#[test]
fn a_database_without_a_journal_that_leads_to_it_is_not_taken_for_all() {
    let mut scene = with_many_segments();
    let directory = scene.directory("a");
    let segments = named(&directory, "journal-");
    fs::remove_file(directory.join(&segments[0])).unwrap();
    fs::remove_file(directory.join("IDENTITY")).unwrap();
    rot(&directory.join(&segments[1]), 30);
    let error = scene.try_open("a").err().expect("frames are missing");
    assert!(error.to_string().contains("--accept-loss"), "{error}");
    scene.options.accept_loss = true;
    let engine = scene.open("a");
    let count = rows(&engine).len() as u64;
    assert_eq!(count, 0);
    engine.settle().unwrap();
    put(&engine, count..40);
    drop(engine);
    scene.options.accept_loss = false;
    assert_eq!(rows(&scene.open("a")), expected(40));
    scene.copy("a", "b");
    assert_eq!(rows(&scene.open("b")), expected(40));
}

#[test]
fn a_rebuild_misses_what_a_start_would_miss() {
    let mut scene = without_the_newest_segment();
    scene.options.rebuilds = true;
    let error = scene.try_open("a").err().expect("frames are missing");
    assert!(error.to_string().contains("--accept-loss"), "{error}");
    // A database that was closed has more than a journal without its newest segment.
    let mut scene = Scene::new();
    let engine = scene.open("a");
    engine.settle().unwrap();
    put(&engine, 0..50);
    drop(engine);
    let directory = scene.directory("a");
    let segment = directory.join(&named(&directory, "journal-")[0]);
    let len = fs::metadata(&segment).unwrap().len();
    fs::File::options().write(true).open(&segment).unwrap().set_len(len / 2).unwrap();
    scene.options.rebuilds = true;
    let error = scene.try_open("a").err().expect("the database has more");
    assert!(error.to_string().contains("the journal ends"), "{error}");
    scene.options.accept_loss = true;
    let few = rows(&scene.open("a")).len();
    assert!((1..50).contains(&few), "{few}");
}
