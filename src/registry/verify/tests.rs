//! Checking a registry that others push to, delete from and collect meanwhile.

use super::*;
use crate::registry::Condition;
use crate::registry::scene::{Ends, Scene, digest, name};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// How often the registry is checked while the others are at work.
const CHECKS: usize = 100;

fn push_and_delete(scene: &Scene, worker: u32, is_over: &AtomicBool) {
    let repository = format!("team/{}", worker % 2);
    for round in 0_u32.. {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        // Some layers are new each time, some come again, some are everybody's.
        let own = [worker.to_be_bytes(), round.to_be_bytes()].concat();
        let again = [worker.to_be_bytes(), (round % 3).to_be_bytes(), [0; 4]].concat();
        let layers: [&[u8]; 3] = [&own, &again, b"shared"];
        for layer in layers.into_iter().chain([&b"{}"[..]]) {
            scene.push_blob(&repository, layer);
        }
        let tag = format!("tag{}", round % 2);
        // Another one deletes, so what was there may be gone by now.
        let Ok(image) = scene.push_manifest(&repository, &tag, &layers) else { continue };
        let cancelled =
            scene.registry.start_upload(&name(&repository), digest(b"").algorithm(), 0, "anonymous").unwrap();
        scene.registry.cancel_upload(&name(&repository), cancelled.session(), "pusher").unwrap();
        if round % 4 != 0 {
            scene.registry.delete_manifest(&name(&repository), image, Condition::default(), "deleter").ok();
        }
    }
}

#[test]
fn a_check_of_a_busy_registry_finds_nothing_wrong() {
    let scene = Scene::new(|config| config.settings.free_space_floor_bytes = 0);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let (scene, is_over) = (&scene, &is_over);
        let _ends = Ends(is_over);
        for worker in 0..3 {
            scope.spawn(move || push_and_delete(scene, worker, is_over));
        }
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                scene.registry.collect_now().unwrap();
            }
        });
        for number in 0..CHECKS {
            let checks = Checks { deep: number % 2 == 0, settle: number % 4 == 0 };
            let report = scene.registry.verify_with(checks, &mut |_| ControlFlow::Continue(())).unwrap();
            assert_eq!(report.violations, [], "check {number}");
            assert!(!report.is_partial && report.mended.is_empty());
        }
        assert_eq!(scene.registry.damaged_blobs(), 0);
    });
}

#[test]
fn progress_reaches_its_end() {
    let scene = Scene::new(|_| {});
    let large = vec![1; 5 * BUFFER_BYTES / 2];
    scene.push_image("team/app", "v1", &[&large, b"small"]);
    for deep in [true, false] {
        let mut told = Vec::new();
        let tell = &mut |progress: &Progress| {
            told.push(*progress);
            ControlFlow::Continue(())
        };
        let report = scene.registry.verify_with(Checks { deep, settle: false }, tell).unwrap();
        let last = told.last().unwrap();
        assert_eq!((last.files, last.of_files), (3, 3));
        assert_eq!((last.bytes, last.of_bytes), (report.counts.bytes, large.len() as u64 + 7));
        assert!(told.is_sorted_by_key(|progress| (progress.files, progress.bytes)));
        let is_within = |progress: &&Progress| (1..large.len() as u64).contains(&progress.bytes);
        assert_eq!(
            told.iter().any(|progress| is_within(&progress)),
            deep,
            "a large file is not done at once"
        );
    }
}

#[test]
fn a_check_that_is_broken_off_says_so() {
    let mut scene = Scene::new(|_| {});
    scene.push_image("team/app", "v1", &[&vec![1; 3 * BUFFER_BYTES]]);
    let checks = Checks { deep: true, settle: true };
    let tell = &mut |progress: &Progress| {
        if progress.bytes > 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let report = scene.registry.verify_with(checks, tell).unwrap();
    assert!(report.is_partial && report.violations.is_empty());
    // The server ends.
    scene.registry.stop();
    assert!(scene.registry.verify(true).unwrap().is_partial);
    scene.start();
}

#[test]
fn a_deep_check_says_when_files_were_good() {
    let scene = Scene::new(|_| {});
    let layer = scene.push_blob("team/app", b"layer");
    let good_at_ms = || {
        let rows = scene.registry.store.snapshot().unwrap();
        rows.get(&crate::store::tables::BLOB, &layer).unwrap().unwrap().good_at_ms
    };
    let stored = good_at_ms();
    scene.clock.advance_ms(5);
    scene.registry.verify(true).unwrap();
    assert_eq!(good_at_ms(), stored, "it only looked");
    scene
        .registry
        .verify_with(Checks { deep: true, settle: true }, &mut |_| ControlFlow::Continue(()))
        .unwrap();
    assert_eq!(good_at_ms(), stored + 5);
}
