//! Damaged blobs, from the finding to the healing.

use super::*;
use crate::registry::Checks;
use crate::registry::scene::{Ends, Scene, digest, name};
use crate::store::DAMAGED_BLOBS;
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::sync::atomic::AtomicBool;
use std::thread;

/// A deep check that writes down what it finds.
fn deep(scene: &Scene) -> VerifyReport {
    let checks = Checks { deep: true, settle: true };
    scene.registry.verify_with(checks, &mut |_| ControlFlow::Continue(())).unwrap()
}

/// An image with a layer, in a registry of its own.
fn scene() -> (Scene, Digest) {
    let scene = Scene::new(|_| {});
    scene.push_image("team/app", "v1", &[b"layer"]);
    (scene, digest(b"layer"))
}

/// Puts a link where the directory for damaged files belongs: nothing is moved through one.
fn block_damaged(scene: &Scene) {
    std::os::unix::fs::symlink("/nowhere", scene.data().join("damaged")).unwrap();
}

fn assert_gone(scene: &Scene, layer: Digest) {
    assert!(!scene.is_there("team/app", layer), "HEAD");
    assert!(scene.read("team/app", layer).is_none(), "GET");
    for from in [None, Some(name("team/app"))] {
        assert!(
            !scene.registry.mount_blob(&name("other"), layer, from.as_ref(), "mounter").unwrap(),
            "mount"
        );
    }
    for (repository, tag) in [("team/app", "v1"), ("team/app", "v2")] {
        let error = scene.push_manifest(repository, tag, &[b"layer"]).unwrap_err();
        let Error::ReferencesMissing { missing, .. } = error else { panic!("{error}") };
        assert_eq!(missing.iter().map(|missing| missing.digest).collect::<Vec<_>>(), [layer]);
    }
}

fn assert_healed_by_a_push(scene: &Scene, layer: Digest) {
    assert_gone(scene, layer);
    scene.push_blob("team/app", b"layer");
    scene.push_manifest("team/app", "v1", &[b"layer"]).unwrap();
    assert!(scene.is_there("team/app", layer));
    assert_eq!(scene.read("team/app", layer).unwrap(), b"layer");
}

#[test]
fn other_bytes_are_found_by_a_deep_check_and_healed_by_a_push() {
    let (scene, layer) = scene();
    let file = scene.file(layer).file_name().unwrap().to_str().unwrap().to_owned();
    scene.flip(layer);
    assert_eq!(scene.violations(false), [""; 0]);
    let report = deep(&scene);
    assert_eq!(report.violations.len(), 1);
    let needed_by = &report.violations[0].needed_by;
    assert_eq!(
        (needed_by[0].repository.as_str(), &needed_by[0].tags[..]),
        ("team/app", &["v1".to_owned()][..])
    );
    assert_eq!((scene.set_aside(), scene.registry.damaged_blobs()), (vec![file.clone()], 1));
    let told = scene.violations(true);
    assert!(told.len() == 1 && told[0].contains("pushed again"), "{told:?}");
    assert_healed_by_a_push(&scene, layer);
    assert_eq!(scene.set_aside(), [file], "it is kept for whoever wants to look at it");
    assert_eq!(deep(&scene).set_aside, 1);
}

#[test]
fn a_missing_or_short_file_is_found_by_whoever_asks_for_it() {
    let head = |scene: &Scene, layer| scene.is_there("team/app", layer);
    let get = |scene: &Scene, layer| scene.read("team/app", layer).is_some();
    let mount =
        |scene: &Scene, layer| scene.registry.mount_blob(&name("other"), layer, None, "mounter").unwrap();
    for find in [head, get, mount] {
        for damage in [|path| fs::remove_file(path).unwrap(), |path| fs::write(path, b"lay").unwrap()] {
            let (scene, layer) = scene();
            damage(scene.file(layer));
            assert!(!find(&scene, layer));
            assert_eq!(scene.registry.damaged_blobs(), 1);
            assert_healed_by_a_push(&scene, layer);
        }
    }
}

#[test]
fn an_upload_takes_the_place_of_a_file_that_is_gone() {
    let (scene, layer) = scene();
    fs::remove_file(scene.file(layer)).unwrap();
    // By a client that does not ask first.
    scene.push_blob("team/app", b"layer");
    assert_eq!(
        (scene.registry.damaged_blobs(), scene.read("team/app", layer).unwrap()),
        (1, b"layer".to_vec())
    );
}

#[test]
fn a_deep_check_that_only_looks_says_what_to_settle() {
    let (scene, layer) = scene();
    scene.flip(layer);
    let report = scene.registry.verify(true).unwrap();
    assert!(scene.is_there("team/app", layer), "it changed nothing");
    scene.registry.settle(&report).unwrap();
    assert_healed_by_a_push(&scene, layer);
    // What it found is over by now.
    scene.registry.settle(&report).unwrap();
    assert!(scene.is_there("team/app", layer));
}

#[test]
fn the_right_file_in_its_place_heals() {
    let (scene, layer) = scene();
    let path = scene.file(layer);
    scene.flip(layer);
    deep(&scene);
    assert!(!path.exists());
    fs::write(&path, b"lay??").unwrap();
    assert_eq!(deep(&scene).violations.len(), 1, "other bytes of its size are not it");
    fs::write(&path, b"layer").unwrap();
    assert_eq!(scene.violations(false).len(), 1, "only who reads it knows");
    assert_eq!(deep(&scene).violations, []);
    assert_eq!(scene.read("team/app", layer).unwrap(), b"layer");
    assert_eq!(scene.set_aside().len(), 1);
}

#[test]
fn a_crash_between_mark_and_move_is_made_good() {
    let (mut scene, layer) = scene();
    scene.flip(layer);
    // A link in the way of the directory: the mark is committed, the file stays.
    block_damaged(&scene);
    assert_eq!(deep(&scene).violations.len(), 1);
    let file = scene.file(layer);
    assert_gone(&scene, layer);
    let told = scene.violations(true);
    assert!(told.len() == 1 && told[0].starts_with("I1"), "the file belongs to its row: {told:?}");
    fs::remove_file(scene.data().join("damaged")).unwrap();
    scene.start();
    assert!(!file.exists());
    assert_eq!(scene.set_aside().len(), 1);
    assert_healed_by_a_push(&scene, layer);
}

#[test]
fn a_push_heals_before_the_damaged_file_could_be_moved() {
    let (mut scene, layer) = scene();
    scene.flip(layer);
    block_damaged(&scene);
    deep(&scene);
    assert_healed_by_a_push(&scene, layer);
    assert_eq!(scene.violations(true), [""; 0], "the old file is still to be set aside");
    fs::remove_file(scene.data().join("damaged")).unwrap();
    scene.start();
    scene.file(layer);
    assert_eq!((scene.read("team/app", layer).unwrap(), scene.set_aside().len()), (b"layer".to_vec(), 1));
}

#[test]
fn a_damaged_blob_is_collected_like_any_other() {
    let (scene, layer) = scene();
    scene.flip(layer);
    deep(&scene);
    let image = needing(&scene.registry.store.snapshot().unwrap(), layer).unwrap().remove(0).manifest;
    scene
        .registry
        .delete_manifest(
            &name("team/app"),
            image.parse().unwrap(),
            crate::registry::Condition::default(),
            "deleter",
        )
        .unwrap();
    // What a deleted manifest keeps is not there either.
    let error = scene.push_manifest("team/app", "v1", &[b"layer"]).unwrap_err();
    assert!(matches!(error, Error::ReferencesMissing { .. }), "{error}");
    assert_eq!(scene.registry.collect_now().unwrap().blobs, 2);
    assert_eq!(scene.violations(true), [""; 0]);
    scene.push_image("team/app", "v1", &[b"layer"]);
    assert_eq!(scene.read("team/app", layer).unwrap(), b"layer");
}

#[test]
fn a_mark_meets_only_the_file_that_was_damaged() {
    let (scene, layer) = scene();
    let session = scene.registry.open_blob(&name("team/app"), layer).unwrap().session();
    scene.flip(layer);
    deep(&scene);
    scene.push_blob("team/app", b"layer");
    // Somebody comes late with what he saw of the old file.
    assert!(!scene.registry.mark_damaged(layer, session, &Damage::Missing).unwrap());
    assert!(scene.is_there("team/app", layer));
    assert!(!scene.registry.mark_damaged(digest(b"nothing"), session, &Damage::Missing).unwrap());
}

#[test]
fn a_checked_read_keeps_the_last_bytes_back() {
    let scene = Scene::new(|_| {});
    let content = vec![7; 1000];
    let blob = scene.push_blob("team/app", &content);
    let open = || scene.registry.open_blob(&name("team/app"), blob).unwrap();
    let mut right = open().checked();
    let pieces: Vec<_> = (0..3).map(|_| right.read(&scene.registry, 400).unwrap()).collect();
    assert_eq!(pieces.concat(), content);
    scene.flip(blob);
    let mut wrong = open().checked();
    assert!(wrong.read(&scene.registry, 400).is_ok() && wrong.read(&scene.registry, 400).is_ok());
    assert!(wrong.read(&scene.registry, 400).is_err());
    assert!(!scene.is_there("team/app", blob));
    scene.push_blob("team/app", &content);
}

#[test]
fn tags_of_the_indexes_above_are_named() {
    let (scene, layer) = scene();
    let rows = scene.registry.store.snapshot().unwrap();
    let image = needing(&rows, layer).unwrap().remove(0);
    let size = scene
        .registry
        .stat_manifest(&name("team/app"), &crate::oci::Reference::Digest(image.manifest.parse().unwrap()))
        .unwrap()
        .size;
    let index = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": image.manifest, "size": size,
        }],
    });
    scene
        .registry
        .put_manifest(crate::registry::ManifestPush {
            name: name("team/app"),
            reference: crate::oci::Reference::Tag(crate::oci::Tag::parse("multi").unwrap()),
            tags: Vec::new(),
            content_type: None,
            bytes: index.to_string().into_bytes(),
            condition: crate::registry::Condition::default(),
            actor: "pusher".into(),
        })
        .unwrap();
    let rows = scene.registry.store.snapshot().unwrap();
    let needing = needing(&rows, layer).unwrap();
    assert_eq!(needing[0].tags, ["v1", "multi"]);
    assert_eq!(needing[0].to_string(), format!("team/app@{} (v1, multi)", image.manifest));
}

/// Damages whatever file it finds, one after the other, in turn by other bytes and by taking it away.
fn damage_files(scene: &Scene, is_over: &AtomicBool) {
    for round in 0_u64.. {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        let directory =
            scene.data().join("blobs/sha256").join(&digest(&[u8::try_from(round % 4).unwrap()]).hex()[..2]);
        for file in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
            // It may be gone by now, and is not to be made anew.
            if round % 2 == 0 {
                fs::remove_file(file).ok();
            } else if let Ok(file) = fs::File::options().write(true).open(file) {
                file.write_at(&[9], 0).unwrap();
            }
        }
    }
}

#[test]
fn whatever_is_damaged_while_it_is_pushed_and_checked_ends_whole() {
    let scene = Scene::new(|_| {});
    let layers: [&[u8]; 4] = [&[0], &[1], &[2], &[3]];
    scene.push_image("team/app", "v1", &layers);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let (scene, is_over) = (&scene, &is_over);
        let _ends = Ends(is_over);
        scope.spawn(move || damage_files(scene, is_over));
        for _ in 0..2 {
            scope.spawn(move || {
                for layer in layers.iter().cycle() {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    scene.push_blob("team/app", layer);
                    scene.read("team/app", digest(layer));
                }
            });
        }
        for _ in 0..30 {
            let found = deep(scene).violations;
            assert!(found.iter().all(|found| found.invariant == "I1"), "{found:?}");
        }
    });
    assert!(scene.registry.damaged_blobs() > 0);
    deep(&scene);
    let rows = scene.registry.store.snapshot().unwrap();
    let blobs = rows.page(&BLOB, &KeyRange::all(), 1000).unwrap();
    let marked = blobs.iter().filter(|(_, blob)| blob.is_damaged()).count();
    assert_eq!(usize::try_from(rows.counter(DAMAGED_BLOBS).unwrap()).unwrap(), marked);
    scene.push_image("team/app", "v1", &layers);
    for layer in layers {
        assert_eq!(scene.read("team/app", digest(layer)).unwrap(), layer);
    }
}
