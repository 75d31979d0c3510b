//! Renaming, deleting and copying repositories.

use super::*;
use crate::oci::Reference;
use crate::registry::scene::{DAY_MS, Scene, digest, name};
use crate::registry::{Clock, Round};

fn rows_of(scene: &Scene) -> usize {
    scene.registry.store.snapshot().unwrap().page(&REPOSITORY, &KeyRange::all(), 100).unwrap().len()
}

#[test]
fn a_renamed_repository_has_everything_it_had() {
    let scene = Scene::new(|_| {});
    let child = scene.push_image("old", "", &[b"amd64"]);
    let index = scene.push_index("old", "v1", &[child]).unwrap();
    let deleted = scene.push_image("old", "v2", &[b"deleted"]);
    scene.delete("old", deleted);
    scene.registry.rename_repository(&name("old"), &name("new/name"), "renamer").unwrap();
    assert_eq!((scene.tag("new/name", "v1"), scene.tag("old", "v1")), (Some(index), None));
    assert!(scene.is_linked("new/name", digest(b"amd64")));
    assert_eq!(scene.undelete("new/name", "v2").unwrap().manifests, 1);
    let (changes, _) =
        scene.registry.tag_history(&name("new/name"), &"v1".parse().unwrap(), None, 9).unwrap();
    assert_eq!(changes.len(), 1);
    scene.push_image("other", "v1", &[b"layer"]);
    let taken = scene.registry.rename_repository(&name("new/name"), &name("other"), "renamer");
    assert!(matches!(taken, Err(Error::RepositoryExists(_))));
    let unknown = scene.registry.rename_repository(&name("old"), &name("older"), "renamer");
    assert!(matches!(unknown, Err(Error::RepositoryUnknown(_))));
}

#[test]
fn a_deleted_repository_is_gone_at_once_and_comes_back_whole() {
    let scene = Scene::new(|_| {});
    let mut images = Vec::new();
    for number in 0..5_u8 {
        images.push(scene.push_image("app", &format!("v{number}"), &[&[number]]));
    }
    let index = scene.push_index("app", "all", &images).unwrap();
    scene.registry.delete_repository(&name("app"), "deleter").unwrap();
    assert!(!scene.is_visible("app", index) && !scene.is_linked("app", digest(&[0])));
    assert!(
        !scene.registry.mount_blob(&name("thief"), digest(&[0]), None, "mounter").unwrap(),
        "no name leads to it"
    );
    assert_eq!(scene.registry.verify(true).unwrap().violations, []);
    // Some of it is taken out already, or all of it.
    for steps in [3, 100] {
        scene.registry.collect(Round { ends_keeping: false, steps }).unwrap();
        assert_eq!(scene.registry.verify(true).unwrap().violations, []);
        scene.undelete("app", "").unwrap();
        assert_eq!((scene.tag("app", "all"), scene.tag("app", "v3")), (Some(index), Some(images[3])));
        assert!(images.iter().all(|image| scene.is_visible("app", *image)));
        scene.registry.delete_repository(&name("app"), "deleter").unwrap();
    }
    let again = scene.push_image("app", "v1", &[b"new"]);
    assert!(matches!(scene.undelete("app", ""), Err(Error::RepositoryExists(_))));
    scene.round();
    scene.clock.advance_ms(DAY_MS + kept::HELD_MS);
    scene.round();
    assert!(!scene.is_stored(digest(&[0])) && scene.is_visible("app", again));
    assert_eq!(rows_of(&scene), 1, "nothing is left of it");
}

#[test]
fn what_is_pinned_keeps_its_repository() {
    let scene = Scene::new(|_| {});
    let image = scene.push_image("app", "v1", &[b"layer"]);
    scene.registry.pin(&name("app"), &Reference::Digest(image), "pinner").unwrap();
    let refused = scene.registry.delete_repository(&name("app"), "deleter");
    assert!(matches!(refused, Err(Error::Pinned { .. })));
    assert!(scene.is_visible("app", image));
}

#[test]
fn a_copy_has_what_the_original_has() {
    let scene = Scene::new(|_| {});
    let child = scene.push_image("app", "", &[b"amd64"]);
    let inner = scene.push_index("app", "", &[child]).unwrap();
    let index = scene.push_index("app", "v1", &[inner, child]).unwrap();
    let signature = scene.push_referrer("app", "", index, b"signature");
    let copied = scene.registry.copy_repository(&name("app"), &name("prod/app"), "copier").unwrap();
    assert_eq!(copied, Copied { manifests: 4, tags: 1 });
    assert_eq!(scene.tag("prod/app", "v1"), Some(index));
    assert!(scene.is_visible("prod/app", signature) && scene.is_linked("prod/app", digest(b"amd64")));
    let referrers = scene.registry.referrers(&name("prod/app"), index, None, None).unwrap();
    assert_eq!(referrers.descriptors.len(), 1);
    scene.delete("app", index);
    scene.registry.collect_now().unwrap();
    assert!(scene.is_linked("prod/app", digest(b"amd64")), "the copy stands by itself");
    let taken = scene.registry.copy_repository(&name("prod/app"), &name("prod/app"), "copier");
    assert!(matches!(taken, Err(Error::RepositoryExists(_))));
    let unknown = scene.registry.copy_repository(&name("app"), &name("b"), "copier");
    assert!(matches!(unknown, Err(Error::RepositoryUnknown(_))));
}

/// As after a kill in the middle of a copy.
#[test]
fn a_copy_that_was_not_finished_is_taken_apart() {
    let scene = Scene::new(|_| {});
    scene.push_image("app", "v1", &[b"one"]);
    scene.push_image("app", "v2", &[b"two"]);
    let (fresh, now_ms) = (ids::repository(), scene.clock.now_ms());
    scene
        .registry
        .store
        .write(move |tx| {
            let source = repositories::find(tx, &name("app"))?.unwrap();
            repositories::create(tx, &name("copy"), fresh, now_ms, RepositoryState::Copying)?;
            tx.put(&QUEUE, &row_of(fresh, now_ms + ABANDONED_MS), &())?;
            copy_manifests(tx, source, fresh, false, None).map(drop)
        })
        .unwrap();
    assert_eq!(scene.registry.verify(true).unwrap().violations, []);
    scene.round();
    assert_eq!(rows_of(&scene), 2);
    scene.clock.advance_ms(ABANDONED_MS);
    scene.round();
    scene.clock.advance_ms(kept::HELD_MS);
    scene.round();
    assert_eq!(rows_of(&scene), 1);
    assert!(scene.registry.totals().unwrap().usage.manifests == 2);
}

/// With the clock of a machine: it goes on while the collector looks.
#[test]
fn collecting_at_once_ends_though_a_repository_waits() {
    let scene = Scene::new(|config| config.settings.keep_deleted_secs = 0);
    let child = scene.push_image("app", "", &[b"amd64"]);
    scene.push_index("app", "v1", &[child]).unwrap();
    let pinned = scene.push_image("other", "v1", &[b"pinned"]);
    scene.registry.pin(&name("other"), &Reference::Digest(pinned), "pinner").unwrap();
    scene.delete("other", pinned);
    scene.registry.delete_repository(&name("app"), "deleter").unwrap();
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                scene.clock.advance_ms(1);
                std::thread::yield_now();
            }
        });
        let _ends = crate::registry::scene::Ends(&over);
        scene.registry.collect_now().unwrap();
    });
    assert!(!scene.is_stored(digest(b"amd64")) && scene.is_stored(digest(b"pinned")));
}

#[test]
fn a_name_with_something_behind_it_is_not_free() {
    let scene = Scene::new(|_| {});
    let deleted = scene.push_image("taken", "v1", &[b"deleted"]);
    scene.delete("taken", deleted);
    scene.push_image("app", "v1", &[b"layer"]);
    let upload = scene.registry.start_upload(&name("pushed"), Algorithm::Sha256, 0, "anonymous").unwrap();
    for other in ["taken", "pushed"] {
        let renamed = scene.registry.rename_repository(&name("app"), &name(other), "renamer");
        assert!(matches!(renamed, Err(Error::RepositoryExists(_))), "{other}");
        let copied = scene.registry.copy_repository(&name("app"), &name(other), "copier");
        assert!(matches!(copied, Err(Error::RepositoryExists(_))), "{other}");
    }
    scene.registry.delete_repository(&name("pushed"), "deleter").unwrap();
    let finished = scene.registry.finish_upload(upload, digest(b""), "pusher");
    assert!(matches!(finished, Err(Error::UploadUnknown(_))), "no name leads there");
    assert_eq!(scene.undelete("taken", "v1").unwrap().manifests, 1);
}

#[test]
fn a_copy_has_the_order_of_its_original() {
    let scene = Scene::new(|_| {});
    scene.push_image("app", "old", &[b"old"]);
    let pushed_at_ms = scene.clock.now_ms();
    scene.clock.advance_ms(DAY_MS);
    scene.push_image("app", "new", &[b"new"]);
    scene.clock.advance_ms(DAY_MS);
    scene.registry.copy_repository(&name("app"), &name("copy"), "copier").unwrap();
    let copy = scene.registry.repository(&name("copy"), None, 9).unwrap();
    let times: Vec<u64> = copy.tag_list.iter().map(|tag| tag.pushed_at_ms).collect();
    assert_eq!(times, [pushed_at_ms + DAY_MS, pushed_at_ms]);
}
