//! The scrub, with a clock that tests move.

use super::*;
use crate::registry::scene::{DAY_MS, Scene, digest, name};
use crate::registry::{Clock, Condition};
use std::fs;

const INTERVAL_MS: u64 = 7 * DAY_MS;
const RATE: u64 = 1024 * 1024;

fn scene() -> Scene {
    Scene::new(|config| config.settings.scrub_bytes_per_second = RATE)
}

impl Scene {
    /// A round a second later.
    fn scrub_once(&self, scrub: &mut Scrub) -> Scrubbed {
        self.clock.advance_ms(1000);
        self.registry.scrub(scrub).unwrap()
    }

    /// Rounds until nothing is left to do.
    fn scrub_all(&self, scrub: &mut Scrub) -> Scrubbed {
        let mut all = Scrubbed::default();
        loop {
            let done = self.scrub_once(scrub);
            all.add(done);
            if done == Scrubbed::default() {
                return all;
            }
        }
    }

    fn row(&self, blob: Digest) -> BlobRecord {
        self.registry.store.snapshot().unwrap().get(&BLOB, &blob).unwrap().unwrap()
    }

    fn cursor(&self) -> Option<Digest> {
        self.registry.store.snapshot().unwrap().get(&SCRUB, &()).unwrap().map(|row| row.after)
    }
}

/// As many blobs of that size, the first one's digest first.
fn push(scene: &Scene, count: u8, size: usize) -> Vec<Digest> {
    let mut blobs: Vec<_> =
        (0..count).map(|number| scene.push_blob("team/app", &vec![number; size])).collect();
    blobs.sort_by_key(|blob| blob.bytes().to_vec());
    blobs
}

#[test]
fn what_is_due_is_read_and_noted() {
    let scene = scene();
    let blobs = push(&scene, 3, 1000);
    let mut scrub = Scrub::default();
    assert_eq!(scene.scrub_all(&mut scrub), Scrubbed::default(), "all were good when they were stored");
    scene.clock.advance_ms(INTERVAL_MS);
    assert_eq!(scene.scrub_all(&mut scrub), Scrubbed { files: 3, bytes: 3000, damaged: 0 });
    for blob in &blobs {
        assert!(scene.row(*blob).good_at_ms > scene.row(*blob).stored_at_ms + INTERVAL_MS);
    }
    assert_eq!(scene.scrub_all(&mut scrub), Scrubbed::default(), "not again so soon");
    assert_eq!(scene.scrub_all(&mut Scrub::default()), Scrubbed::default(), "nor after a start");
    scene.clock.advance_ms(INTERVAL_MS);
    assert_eq!(scene.scrub_all(&mut scrub).files, 3);
}

#[test]
fn damage_is_found_and_healed_by_a_push() {
    let scene = scene();
    scene.push_image("team/app", "v1", &[b"flipped", b"missing", b"whole"]);
    scene.flip(digest(b"flipped"));
    fs::remove_file(scene.file(digest(b"missing"))).unwrap();
    scene.clock.advance_ms(INTERVAL_MS);
    assert_eq!(scene.scrub_all(&mut Scrub::default()), Scrubbed { files: 4, bytes: 14, damaged: 2 });
    assert_eq!((scene.registry.damaged_blobs(), scene.set_aside().len()), (2, 1));
    let is_there = |content| scene.is_there("team/app", digest(content));
    assert!(!is_there(b"flipped") && !is_there(b"missing") && is_there(b"whole"));
    scene.push_image("team/app", "v1", &[b"flipped", b"missing", b"whole"]);
    assert!(is_there(b"flipped") && is_there(b"missing"));
}

#[test]
fn a_file_that_was_put_back_is_found() {
    let scene = scene();
    scene.push_image("team/app", "v1", &[b"layer"]);
    let path = scene.file(digest(b"layer"));
    scene.flip(digest(b"layer"));
    scene.clock.advance_ms(INTERVAL_MS);
    let mut scrub = Scrub::default();
    assert_eq!(scene.scrub_all(&mut scrub).damaged, 1);
    fs::write(path, b"layer").unwrap();
    scene.clock.advance_ms(INTERVAL_MS);
    scene.scrub_all(&mut scrub);
    assert!(scene.is_there("team/app", digest(b"layer")));
}

#[test]
fn it_reads_no_faster_than_it_may() {
    let scene = scene();
    let size = 5 * usize::try_from(RATE).unwrap() / 2;
    push(&scene, 2, size);
    scene.clock.advance_ms(INTERVAL_MS);
    let mut scrub = Scrub::default();
    let mut rounds = Vec::new();
    for _ in 0..20 {
        rounds.push(scene.scrub_once(&mut scrub));
    }
    assert_eq!(rounds.iter().map(|done| done.files).sum::<u64>(), 2);
    assert!(rounds.iter().all(|done| done.bytes <= RATE), "{rounds:?}");
    let busy = rounds.iter().filter(|done| done.bytes > 0).count();
    assert_eq!(busy, 6, "5 seconds' bytes and what the two files cost: {rounds:?}");
}

#[test]
fn what_was_not_read_is_not_made_up_for() {
    let scene = scene();
    push(&scene, 1, 4 * usize::try_from(RATE).unwrap());
    scene.clock.advance_ms(INTERVAL_MS);
    let mut scrub = Scrub::default();
    scene.scrub_once(&mut scrub);
    scene.clock.advance_ms(60_000);
    assert!(scene.scrub_once(&mut scrub).bytes <= RATE);
}

#[test]
fn many_small_files_are_not_all_opened_at_once() {
    let scene = scene();
    push(&scene, 40, 10);
    scene.clock.advance_ms(INTERVAL_MS);
    let mut scrub = Scrub::default();
    // The last one is opened and read in the next round.
    assert_eq!(scene.scrub_once(&mut scrub).files, RATE / FILE_COST_BYTES - 1);
}

#[test]
fn a_start_goes_on_where_the_last_one_was() {
    let mut scene = scene();
    let blobs = push(&scene, 40, 10);
    scene.clock.advance_ms(INTERVAL_MS);
    let mut scrub = Scrub::default();
    scene.scrub_once(&mut scrub);
    scene.registry.note_scrub(&mut scrub).unwrap();
    assert_eq!(scene.cursor(), Some(blobs[14]));
    // However much is due before: a server that is often started comes to the end all the same.
    scene.clock.advance_ms(INTERVAL_MS);
    scene.start();
    let mut scrub = Scrub::default();
    scene.scrub_once(&mut scrub);
    scene.registry.note_scrub(&mut scrub).unwrap();
    let is_read = |blob: &Digest| scene.row(*blob).good_at_ms > scene.clock.now_ms() - DAY_MS;
    assert!(!is_read(&blobs[0]) && is_read(&blobs[15]) && is_read(&blobs[29]));
    assert_eq!(scene.scrub_all(&mut scrub).files, 25, "the rest, and then from the beginning what was due");
    assert_eq!(scene.cursor(), None);
    assert!(blobs.iter().all(is_read));
}

#[test]
fn what_was_read_is_noted_every_minute() {
    let scene = scene();
    let size = 2 * usize::try_from(RATE).unwrap();
    push(&scene, 60, size);
    scene.clock.advance_ms(INTERVAL_MS);
    let mut scrub = Scrub::default();
    for _ in 0..59 {
        scene.scrub_once(&mut scrub);
        assert_eq!(scene.cursor(), None);
    }
    scene.scrub_once(&mut scrub);
    scene.scrub_once(&mut scrub);
    assert!(scene.cursor().is_some());
}

#[test]
fn a_pause_and_what_changes_meanwhile_are_no_obstacle() {
    let mut scene = Scene::new(|config| {
        config.settings.scrub_bytes_per_second = 0;
        config.settings.keep_deleted_secs = 0;
    });
    let large = vec![1; 3 * usize::try_from(RATE).unwrap()];
    let image = scene.push_image("team/app", "v1", &[&large, b"small"]);
    scene.clock.advance_ms(INTERVAL_MS);
    let mut scrub = Scrub::default();
    assert_eq!(scene.scrub_all(&mut scrub), Scrubbed::default(), "it pauses");
    let mut config = (*scene.registry.config()).clone();
    config.settings.scrub_bytes_per_second = RATE;
    scene.registry.set_config(config);
    scene.scrub_once(&mut scrub);
    // All that it knows of is collected under its hands.
    scene.registry.delete_manifest(&name("team/app"), image, Condition::default(), "deleter").unwrap();
    scene.registry.collect_now().unwrap();
    scene.scrub_all(&mut scrub);
    assert_eq!(scene.registry.damaged_blobs(), 0);
    scene.start();
}
