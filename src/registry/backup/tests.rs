//! What a point keeps, and what is left where a backup is cut off.

use super::*;
use crate::registry::RestoreDir;
use crate::registry::scene::{Scene, digest};
use crate::store::LedgerOptions;
use std::fs;
use std::sync::Arc;
use tempfile::TempDir;

fn options() -> StoreOptions {
    StoreOptions { ledger: LedgerOptions::default(), on_failure: Arc::new(|words| panic!("{words}")) }
}

/// Backs a scene up while `meanwhile` is done to it, after the point was made and before files are taken.
fn back_up_while(
    scene: &Scene,
    to: &Path,
    is_held: &dyn Fn() -> bool,
    meanwhile: impl FnOnce(),
) -> Result<BackupReport, BackupError> {
    let point = scene.registry.begin_backup("local", "to a test").unwrap();
    meanwhile();
    let data = scene.data();
    let mut target = BackupDir::open(to, &data)?;
    let source = PointSource { data: &data, point: point.place(), is_held, options: options() };
    back_up(source, &mut target, &mut |_| {})
}

fn back_up_to(scene: &Scene, to: &Path) -> BackupReport {
    back_up_while(scene, to, &|| true, || {}).unwrap()
}

/// The digests whose blobs a directory has, by its ledger; every one with its file.
fn blobs_of(root: &Path) -> Vec<Digest> {
    let rows = Store::open_to_look(DataDir::open_to_look(root).unwrap(), options()).unwrap();
    let page = rows.snapshot().unwrap().page(&BLOB, &KeyRange::all(), PAGE_ROWS).unwrap();
    for (digest, blob) in &page {
        assert_eq!(rows.look_at_blob(*digest, blob).unwrap(), None, "{digest}");
    }
    page.into_iter().map(|(digest, _)| digest).collect()
}

fn home() -> (TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let to = home.path().join("backup");
    (home, to)
}

#[test]
fn what_a_point_needs_is_kept_as_long_as_it_lives() {
    let scene = Scene::new(|_| {});
    let image = scene.push_image("team/app", "v1", &[b"layer"]);
    let (_home, to) = home();
    let file = scene.file(digest(b"layer"));
    back_up_while(&scene, &to, &|| true, || {
        scene.delete("team/app", image);
        let collected = scene.registry.collect_now().unwrap();
        assert!(collected.files_held && collected.blobs == 2 && collected.files == 0, "{collected:?}");
        assert!(file.exists() && !scene.is_stored(digest(b"layer")));
        scene.clock.advance_ms(2 * crate::registry::scene::DAY_MS);
        scene.registry.keep_house().unwrap();
        assert!(file.exists());
    })
    .unwrap();
    assert!(blobs_of(&to).contains(&digest(b"layer")));
    scene.registry.keep_house().unwrap();
    assert!(!file.exists(), "what gc --now wanted is done by the next round");
    let left = fs::read_dir(scene.data()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(!left.iter().any(|name| name.starts_with("ledger-copy")), "{left:?}");
}

#[test]
fn what_came_after_the_point_is_not_in_it() {
    let scene = Scene::new(|_| {});
    scene.push_image("team/app", "v1", &[b"before"]);
    let (_home, to) = home();
    let report = back_up_while(&scene, &to, &|| true, || {
        scene.push_image("team/app", "v2", &[b"after"]);
    });
    assert_eq!(report.unwrap().blobs, 2);
    assert!(!blobs_of(&to).contains(&digest(b"after")));
    let report = back_up_to(&scene, &to);
    assert_eq!((report.blobs, report.taken, report.removed), (3, 1, 0));
    assert!(blobs_of(&to).contains(&digest(b"after")));
}

#[test]
fn one_that_is_not_kept_any_more_leaves_the_last_one() {
    let scene = Scene::new(|_| {});
    scene.push_image("team/app", "v1", &[b"first"]);
    let (_home, to) = home();
    let ended = || back_up_while(&scene, &to, &|| false, || {});
    assert!(matches!(ended(), Err(BackupError::Ended)));
    // There was none before: nothing starts on it.
    let words = DataDir::open(&to).unwrap_err().to_string();
    assert!(words.contains("cut off"), "{words}");
    back_up_to(&scene, &to);
    let first = blobs_of(&to);
    scene.push_image("team/app", "v2", &[b"second"]);
    assert!(matches!(ended(), Err(BackupError::Ended)));
    assert_eq!(blobs_of(&to), first);
    back_up_to(&scene, &to);
    assert_eq!(blobs_of(&to).len(), 3);
}

#[test]
fn every_step_of_the_change_can_be_the_last() {
    let scene = Scene::new(|_| {});
    scene.push_image("team/app", "v1", &[b"layer"]);
    let (_home, to) = home();
    back_up_to(&scene, &to);
    let (ledger, next, old) = (to.join("ledger"), to.join("ledger.next"), to.join("ledger.old"));
    // Where a file system changes no places: between its two steps, and after them.
    fs::create_dir(&next).unwrap();
    fs::rename(&ledger, &old).unwrap();
    drop(DataDir::open(&to).unwrap());
    assert_eq!(blobs_of(&to).len(), 2, "a start goes back");
    fs::rename(&ledger, &old).unwrap();
    assert_eq!(back_up_to(&scene, &to).taken, 0);
    fs::create_dir(&old).unwrap();
    fs::create_dir(&next).unwrap();
    assert_eq!(blobs_of(&to).len(), 2, "the next point is there");
    back_up_to(&scene, &to);
    assert!(!old.exists() && !next.exists());
}

#[test]
fn a_file_that_was_cut_off_is_taken_again_and_what_nothing_needs_goes() {
    let scene = Scene::new(|_| {});
    let gone = scene.push_image("team/app", "v1", &[b"gone"]);
    scene.push_image("team/app", "v2", &[b"stays"]);
    let (_home, to) = home();
    back_up_to(&scene, &to);
    let in_backup = |content: &[u8]| to.join(scene.file(digest(content)).strip_prefix(scene.data()).unwrap());
    let stays = in_backup(b"stays");
    fs::remove_file(&stays).unwrap();
    fs::write(&stays, b"st").unwrap();
    let lost = in_backup(b"gone");
    scene.delete("team/app", gone);
    scene.registry.collect_now().unwrap();
    let report = back_up_to(&scene, &to);
    assert_eq!((report.taken, report.removed), (1, 1));
    assert_eq!(fs::read(&stays).unwrap(), b"stays");
    assert!(!lost.exists());
}

#[test]
fn what_is_damaged_in_the_registry_is_told_and_the_rest_taken() {
    let scene = Scene::new(|_| {});
    scene.push_image("team/app", "v1", &[b"layer", b"other"]);
    let file = scene.file(digest(b"layer"));
    fs::rename(&file, file.with_extension("aside")).unwrap();
    let (_home, to) = home();
    let report = back_up_to(&scene, &to);
    assert_eq!(report.damaged, [(digest(b"layer"), Damage::Missing)]);
    assert_eq!((report.blobs, report.taken), (3, 2));
    fs::rename(file.with_extension("aside"), &file).unwrap();
}

#[test]
fn a_stream_that_is_cut_off_anywhere_is_refused() {
    let scene = Scene::new(|_| {});
    scene.push_image("team/app", "v1", &[&[7; 3000]]);
    let point = scene.registry.begin_backup("local", "as a stream").unwrap();
    let data = scene.data();
    let source = PointSource { data: &data, point: point.place(), is_held: &|| true, options: options() };
    let mut stream = Vec::new();
    let report = back_up_to_tar(source, &mut stream, &mut |_| {}).unwrap();
    assert_eq!(report.taken, 2);
    let restore = |stream: &[u8]| {
        let (home, to) = home();
        let mut target = RestoreDir::open(&to).unwrap();
        let outcome = crate::registry::restore_tar(stream, &mut target, &mut |_, _| {});
        (home, to, outcome)
    };
    let (_home, to, outcome) = restore(&stream);
    outcome.unwrap();
    assert_eq!(blobs_of(&to).len(), 2);
    // BACKUP, with its header and more than one block of words, and two blocks of zeros are behind that.
    let before_marker = stream.len() - 4 * 512;
    for end in (0..before_marker).step_by(512 * 297).chain([1, 511, before_marker]) {
        let (_home, to, outcome) = restore(&stream[..end]);
        assert!(matches!(outcome, Err(BackupRefusal::Stream(_))), "cut off after {end} bytes");
        assert!(DataDir::open(&to).unwrap_err().to_string().contains("cut off"));
    }
}
