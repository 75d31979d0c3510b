//! Copies whose rows and files do not fit together, and what is served of them.

mod random;

use super::*;
use crate::config::{Pattern, RepositoryRule, RepositoryRules, Source};
use crate::oci::{Reference, RepositoryName, SessionId};
use crate::registry::scene::{DAY_MS, Scene, digest, image, name};
use crate::registry::{Condition, ManifestPush, Round};
use crate::store::DAMAGED_BLOBS;
use serde_json::json;
use std::fs;
use std::path::PathBuf;

fn lose(scene: &Scene, content: &[u8]) {
    fs::remove_file(scene.file(digest(content))).unwrap();
}

/// The place of a file with this content that came by another upload.
fn other_file(scene: &Scene, content: &[u8], session: u8) -> PathBuf {
    let location = Location { digest: digest(content), session: SessionId::from_bytes([session; 16]) };
    scene.data().join("blobs").join(location.path())
}

fn settle(scene: &mut Scene) -> CopyReport {
    scene.start_copy(Placement::Copied)
}

fn rows_incomplete(scene: &Scene) -> usize {
    scene.registry.store.snapshot().unwrap().page(&INCOMPLETE, &KeyRange::all(), 100).unwrap().len()
}

/// An index of one image.
fn index_of(child: Digest, size: u64) -> serde_json::Value {
    let image = "application/vnd.oci.image.manifest.v1+json";
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{"mediaType": image, "digest": child, "size": size}],
    })
}

fn assert_missing(scene: &Scene, repository: &str, tag: &str, manifest: &serde_json::Value, what: &[Digest]) {
    let error = scene.push(repository, tag, manifest).unwrap_err();
    let Error::ReferencesMissing { missing, .. } = error else { panic!("{error}") };
    assert_eq!(missing.iter().map(|missing| missing.digest).collect::<Vec<_>>(), what);
}

#[test]
fn what_is_whole_stays_as_it_is() {
    let mut scene = Scene::new(|_| {});
    let one = scene.push_image("app", "v1", &[b"one"]);
    let report = settle(&mut scene);
    assert_eq!(report, CopyReport::default());
    assert_eq!((scene.tag("app", "v1"), rows_incomplete(&scene)), (Some(one), 0));
}

#[test]
fn an_image_without_a_file_is_left_out_and_its_tags_go_back() {
    let mut scene = Scene::new(|_| {});
    let one = scene.push_image("app", "latest", &[b"one"]);
    let two = scene.push_image("app", "latest", &[b"two"]);
    scene.push_manifest("app", "v2", &[b"two"]).unwrap();
    lose(&scene, b"two");
    let report = settle(&mut scene);
    assert_eq!(
        report.to_string(),
        "1 image was left out, since bytes of it are not here: app:v2; 1 tag names an older image: \
         app:latest; 1 tag names nothing any more: app:v2; 1 blob is missing or cut short"
    );
    assert_eq!((scene.tag("app", "latest"), scene.tag("app", "v2")), (Some(one), None));
    assert!(!scene.is_visible("app", two) && !scene.is_there("app", digest(b"two")));
    assert_eq!(scene.registry.damaged_blobs(), 1);
    let (changes, _) = scene.registry.tag_history(&name("app"), &"latest".parse().unwrap(), None, 9).unwrap();
    assert_eq!(
        (changes.len(), changes[0].record.cause, changes[0].record.who.as_str()),
        (3, Cause::Incomplete, "start")
    );
    let tags = scene.registry.tags(&name("app"), None, 9).unwrap();
    assert_eq!(tags.entries.len(), 1);
    // The blob alone heals it; the tags are the pusher's.
    scene.push_blob("app", b"two");
    assert!(scene.is_visible("app", two));
    assert_eq!(scene.tag("app", "latest"), Some(one));
    assert_eq!((scene.push_image("app", "latest", &[b"two"]), rows_incomplete(&scene)), (two, 0));
    assert_eq!(scene.tag("app", "latest"), Some(two));
}

#[test]
fn an_image_that_is_pushed_again_is_whole() {
    let mut scene = Scene::new(|_| {});
    let two = scene.push_image("app", "v2", &[b"two", b"more"]);
    lose(&scene, b"two");
    lose(&scene, b"more");
    settle(&mut scene);
    assert_missing(&scene, "app", "v2", &image(&[b"two", b"more"]), &[digest(b"two"), digest(b"more")]);
    scene.push_blob("app", b"two");
    assert!(!scene.is_visible("app", two), "half of it is not enough");
    let bytes = image(&[b"two", b"more"]).to_string().into_bytes();
    scene.push_blob("app", b"more");
    let push = ManifestPush {
        name: name("app"),
        reference: Reference::Digest(two),
        tags: Vec::new(),
        content_type: None,
        bytes,
        condition: Condition::default(),
        actor: "pusher".into(),
    };
    scene.registry.put_manifest(push).unwrap();
    assert!(scene.is_visible("app", two) && rows_incomplete(&scene) == 0);
}

#[test]
fn a_short_file_is_set_aside() {
    let mut scene = Scene::new(|_| {});
    let one = scene.push_image("app", "v1", &[b"one"]);
    fs::write(scene.file(digest(b"one")), b"on").unwrap();
    let report = settle(&mut scene);
    assert_eq!((report.lacking.count(), report.left_out.names()), (1, &["app:v1".to_owned()][..]));
    assert_eq!((scene.set_aside().len(), scene.is_visible("app", one)), (1, false));
    scene.push_image("app", "v1", &[b"one"]);
    assert_eq!(scene.tag("app", "v1"), Some(one));
}

#[test]
fn another_file_of_the_same_bytes_takes_the_place() {
    for old in [None, Some(&b"on"[..])] {
        let mut scene = Scene::new(|_| {});
        let one = scene.push_image("app", "v1", &[b"one"]);
        let file = scene.file(digest(b"one"));
        fs::remove_file(&file).unwrap();
        if let Some(old) = old {
            fs::write(&file, old).unwrap();
        }
        fs::write(other_file(&scene, b"one", 1), b"on").unwrap();
        fs::write(other_file(&scene, b"one", 2), b"onE").unwrap();
        fs::write(other_file(&scene, b"one", 3), b"one").unwrap();
        let report = settle(&mut scene);
        assert_eq!((report.adopted.count(), report.strays.count(), report.lacking.count()), (1, 2, 0));
        assert_eq!(scene.tag("app", "v1"), Some(one));
        assert_eq!(scene.read("app", digest(b"one")).unwrap(), b"one");
        assert_eq!(scene.file(digest(b"one")), other_file(&scene, b"one", 3));
        assert_eq!(scene.set_aside().len(), usize::from(old.is_some()));
    }
}

#[test]
fn a_file_that_was_given_up_is_as_good_as_another() {
    let mut scene = Scene::new(|_| {});
    let one = scene.push_image("app", "v1", &[b"one"]);
    scene.delete("app", one);
    let old = scene.file(digest(b"one"));
    scene.registry.collect(Round { ends_keeping: true, steps: u64::MAX }).unwrap();
    // Its tombstone is there, and so is the file; the next one was not copied.
    let again = scene.push_image("app", "v1", &[b"one"]);
    assert_eq!(again, one);
    let new = other_than(&scene, &old);
    fs::remove_file(new).unwrap();
    let report = settle(&mut scene);
    assert_eq!((report.adopted.count(), report.left_out.count()), (1, 0));
    assert_eq!(scene.read("app", digest(b"one")).unwrap(), b"one");
}

fn other_than(scene: &Scene, old: &std::path::Path) -> PathBuf {
    let hex = digest(b"one").hex();
    let files = fs::read_dir(old.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let of_blob = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(&hex);
    let files: Vec<_> = files.filter(|path| of_blob(path) && path != old).collect();
    assert!(files.len() == 1 && scene.data().is_dir());
    files.into_iter().next().unwrap()
}

#[test]
fn a_damaged_blob_takes_a_right_file_too() {
    let mut scene = Scene::new(|_| {});
    scene.push_image("app", "v1", &[b"one"]);
    lose(&scene, b"one");
    assert!(!scene.is_there("app", digest(b"one")), "whoever asks marks it");
    fs::write(other_file(&scene, b"one", 3), b"one").unwrap();
    assert_eq!(settle(&mut scene).adopted.count(), 1);
    assert!(scene.is_there("app", digest(b"one")));
    let rows = scene.registry.store.snapshot().unwrap();
    assert_eq!(rows.counter(DAMAGED_BLOBS).unwrap(), 0);
}

#[test]
fn files_that_belong_to_nothing_go_and_foreign_ones_stay() {
    let mut scene = Scene::new(|_| {});
    scene.push_image("app", "v1", &[b"one"]);
    let stray = other_file(&scene, b"stray", 1);
    fs::write(&stray, b"stray").unwrap();
    let foreign = stray.parent().unwrap().join("note.txt");
    fs::write(&foreign, b"").unwrap();
    let misplaced = scene.data().join("blobs/sha256").join("00").join(stray.file_name().unwrap());
    assert_ne!(misplaced, stray);
    fs::write(&misplaced, b"stray").unwrap();
    let report = settle(&mut scene);
    assert_eq!((report.strays.count(), report.foreign.count()), (1, 2));
    assert!(!stray.exists() && foreign.exists() && misplaced.exists());
    fs::remove_file(foreign).unwrap();
    fs::remove_file(misplaced).unwrap();
}

#[test]
fn the_uploads_of_a_copy_end_and_those_of_the_original_go_on() {
    for placement in [Placement::Copied, Placement::PutBack] {
        let mut scene = Scene::new(|_| {});
        let begin = |content: &[u8]| {
            let mut upload =
                scene.registry.start_upload(&name("app"), Algorithm::Sha256, 0, "anonymous").unwrap();
            scene.registry.append(&mut upload, content).unwrap();
            scene.registry.leave_upload(upload).unwrap()
        };
        let (open, published) = (begin(b"open").session, begin(b"published").session);
        let location = Location { digest: digest(b"published"), session: published };
        let sealed = scene.data().join("uploads").join(format!("{published}.{}", location.digest.hex()));
        let staged = scene.data().join("uploads").join(published.to_string());
        let stored = scene.data().join("blobs").join(location.path());
        fs::rename(&staged, &sealed).unwrap();
        fs::copy(&sealed, &stored).unwrap();
        let report = scene.start_copy(placement);
        let is_copy = placement == Placement::Copied;
        assert_eq!((report.sessions.count(), report.strays.count()), (if is_copy { 2 } else { 0 }, 0));
        assert!(!stored.exists() && !sealed.exists());
        assert_eq!(staged.exists(), !is_copy, "it is open again");
        assert_eq!(scene.data().join("uploads").join(open.to_string()).exists(), !is_copy);
    }
}

#[test]
fn an_upload_whose_file_stands_among_the_blobs_is_over() {
    let mut scene = Scene::new(|_| {});
    let mut upload = scene.registry.start_upload(&name("app"), Algorithm::Sha256, 0, "anonymous").unwrap();
    scene.registry.append(&mut upload, b"bytes").unwrap();
    let session = scene.registry.leave_upload(upload).unwrap().session;
    let location = Location { digest: digest(b"bytes"), session };
    fs::write(scene.data().join("blobs").join(location.path()), b"bytes").unwrap();
    let report = scene.start_copy(Placement::PutBack);
    assert_eq!((report.sessions.names(), report.strays.count()), (&[session.to_string()][..], 1));
}

#[test]
fn a_blob_that_no_manifest_needs_yet_is_pushed_again() {
    let mut scene = Scene::new(|_| {});
    let blob = scene.push_blob("app", b"layer");
    lose(&scene, b"layer");
    let report = settle(&mut scene);
    assert_eq!((report.lacking.count(), report.left_out.count(), rows_incomplete(&scene)), (1, 0, 0));
    assert!(!scene.is_there("app", blob));
    assert_eq!(scene.violations(true), [""; 0], "nothing is served that is not whole");
    scene.push_image("app", "v1", &[b"layer"]);
    assert_eq!(scene.read("app", blob).unwrap(), b"layer");
}

#[test]
fn an_index_lacks_what_its_children_lack() {
    let mut scene = Scene::new(|_| {});
    let old = scene.push_image("app", "v1", &[b"old"]);
    let lost = scene.push_image("app", "", &[b"amd64"]);
    let whole = scene.push_image("app", "", &[b"arm64"]);
    let inner = scene.push_index("app", "", &[lost, whole]).unwrap();
    let outer = scene.push_index("app", "v1", &[inner]).unwrap();
    let other = scene.push_index("app", "other", &[whole, old]).unwrap();
    lose(&scene, b"amd64");
    let report = settle(&mut scene);
    assert_eq!((report.left_out.names(), rows_incomplete(&scene)), (&["app:v1".to_owned()][..], 3));
    for (manifest, is_visible) in
        [(lost, false), (inner, false), (outer, false), (whole, true), (old, true), (other, true)]
    {
        assert_eq!(scene.is_visible("app", manifest), is_visible, "{manifest}");
    }
    assert_eq!(scene.tag("app", "v1"), Some(old));
    assert_missing(&scene, "app", "new", &index_of(lost, 1), &[lost]);
    scene.push_blob("app", b"amd64");
    assert!([lost, inner, outer].into_iter().all(|manifest| scene.is_visible("app", manifest)));
    assert_eq!(scene.push_index("app", "v1", &[inner]).unwrap(), outer);
}

#[test]
fn an_index_is_not_pushed_again_before_its_child() {
    let rule = RepositoryRule {
        pattern: Pattern::parse("**").unwrap(),
        sparse_index: Some(true),
        untagged_keep_secs: None,
        keep_newest: None,
        keep_tags: None,
        source: Source::Default,
    };
    let mut scene = Scene::new(|config| config.repositories = RepositoryRules::new(vec![rule]));
    let lost = scene.push_image("app", "", &[b"amd64"]);
    let Ok(child) = scene.registry.stat_manifest(&name("app"), &Reference::Digest(lost)) else { panic!() };
    let index = index_of(lost, child.size);
    let known = scene.push("app", "v1", &index).unwrap();
    lose(&scene, b"amd64");
    settle(&mut scene);
    assert_missing(&scene, "app", "v1", &index, &[lost]);
    let mut other = index.clone();
    other["annotations"] = json!({"a": "b"});
    assert_missing(&scene, "app", "v2", &other, &[lost]);
    scene.push_image("app", "", &[b"amd64"]);
    assert_eq!(scene.push("app", "v1", &index).unwrap(), known);
    assert!(scene.push("app", "v2", &other).is_ok() && scene.is_visible("app", known));
}

#[test]
fn what_was_deleted_stays_deleted() {
    let mut scene = Scene::new(|_| {});
    let one = scene.push_image("app", "v", &[b"one"]);
    scene.push_image("app", "v", &[b"two"]);
    scene.delete("app", one);
    let kept = scene.push_image("app", "kept", &[b"kept"]);
    scene.delete("app", kept);
    lose(&scene, b"two");
    lose(&scene, b"kept");
    let report = settle(&mut scene);
    assert_eq!((report.left_out.count(), report.tags_removed.count(), rows_incomplete(&scene)), (1, 1, 2));
    assert!(scene.tag("app", "v").is_none() && !scene.is_visible("app", one));
    // It comes back as what it is, and is whole with its blob.
    assert!(matches!(scene.undelete("app", "kept"), Err(Error::GoneForGood { .. })));
    scene.undelete("app", &kept.to_string()).unwrap();
    assert!(scene.tag("app", "kept").is_none());
    scene.push_blob("app", b"kept");
    assert_eq!(scene.tag("app", "kept"), Some(kept));
    scene.delete("app", kept);
    scene.clock.advance_ms(DAY_MS);
    scene.round();
    assert_eq!(rows_incomplete(&scene), 1, "what is gone for good is forgotten");
}

#[test]
fn damage_that_is_found_later_hides_nothing() {
    let mut scene = Scene::new(|_| {});
    let image = scene.push_image("app", "v1", &[b"one", b"two"]);
    lose(&scene, b"one");
    settle(&mut scene);
    scene.push_blob("app", b"one");
    scene.clock.advance_ms(1);
    lose(&scene, b"two");
    assert!(!scene.is_there("app", digest(b"two")));
    assert!(scene.is_visible("app", image), "as without any copy");
    assert_eq!(scene.violations(false).len(), 1);
    scene.push_blob("app", b"two");
    // A later start forgets what is whole.
    settle(&mut scene);
    assert_eq!(rows_incomplete(&scene), 0);
}

#[test]
fn a_copy_of_the_repository_lacks_the_same() {
    let mut scene = Scene::new(|_| {});
    let lost = scene.push_image("app", "v1", &[b"one"]);
    let referrer = scene.push_referrer("app", "", lost, b"signature");
    lose(&scene, b"one");
    lose(&scene, b"signature");
    settle(&mut scene);
    assert_eq!(scene.registry.referrers(&name("app"), lost, None, None).unwrap().descriptors, [""; 0]);
    scene.registry.copy_repository(&name("app"), &name("other"), "copier").unwrap();
    assert!(!scene.is_visible("other", lost) && !scene.is_visible("other", referrer));
    scene.push_blob("other", b"one");
    assert!(scene.is_visible("other", lost) && scene.is_visible("app", lost));
}

#[test]
fn a_manifest_with_many_tags_is_one_image() {
    let mut scene = Scene::new(|_| {});
    scene.push_image("app", "latest", &[b"one"]);
    let tags = TAGS_AT_ONCE * 2 + 3;
    for number in 0..tags {
        scene.push_image("app", &format!("t{number}"), &[b"two"]);
    }
    let lost = scene.push_image("app", "latest", &[b"two"]);
    lose(&scene, b"two");
    let report = settle(&mut scene);
    assert_eq!((report.left_out.count(), report.tags_moved.count()), (1, 1));
    assert_eq!(report.tags_removed.count(), tags as u64);
    assert!(!scene.is_visible("app", lost) && scene.tag("app", "t7").is_none());
}

/// What a client sees: which manifests there are, and what tags name.
fn seen(scene: &Scene, manifests: &[Digest]) -> Vec<Option<Digest>> {
    let tags = ["v1", "v2", "latest"].map(|tag| scene.tag("app", tag));
    let visible = manifests.iter().map(|&digest| scene.is_visible("app", digest).then_some(digest));
    tags.into_iter().chain(visible).collect()
}

/// A copy with something of everything.
fn broken() -> (Scene, Vec<Digest>) {
    let scene = Scene::new(|_| {});
    let one = scene.push_image("app", "latest", &[b"one"]);
    let lost = scene.push_image("app", "latest", &[b"two"]);
    let whole = scene.push_image("app", "v1", &[b"three"]);
    let index = scene.push_index("app", "v2", &[lost, whole]).unwrap();
    let adopting = scene.push_image("app", "v1", &[b"four"]);
    let mut upload = scene.registry.start_upload(&name("app"), Algorithm::Sha256, 0, "anonymous").unwrap();
    scene.registry.append(&mut upload, b"bytes").unwrap();
    scene.registry.leave_upload(upload).unwrap();
    lose(&scene, b"two");
    fs::rename(scene.file(digest(b"four")), other_file(&scene, b"four", 4)).unwrap();
    fs::write(other_file(&scene, b"stray", 5), b"stray").unwrap();
    (scene, vec![one, lost, whole, index, adopting])
}

#[test]
fn a_second_run_changes_nothing() {
    let (mut scene, manifests) = broken();
    let first = settle(&mut scene);
    assert_eq!((first.tags_moved.count(), first.tags_removed.count(), first.sessions.count()), (1, 1, 1));
    let before = seen(&scene, &manifests);
    let second = settle(&mut scene);
    let still = CopyReport { left_out: second.left_out.clone(), ..CopyReport::default() };
    assert_eq!((second.left_out.count(), &second), (1, &still), "it is still true, and all that is told");
    assert_eq!(seen(&scene, &manifests), before);
}

#[test]
fn a_run_that_is_cut_off_is_run_again() {
    let (mut scene, manifests) = broken();
    settle(&mut scene);
    let expected = seen(&scene, &manifests);
    for writes in 0.. {
        let (mut scene, manifests) = broken();
        scene.registry.store.faults.break_after_writes(Some(writes));
        let is_whole = scene.registry.settle_copy(Placement::Copied).is_ok();
        assert!(writes < 20);
        settle(&mut scene);
        assert_eq!(seen(&scene, &manifests), expected, "cut off after {writes} writes");
        if is_whole {
            assert!(writes > 4, "each step is a transaction of its own");
            break;
        }
    }
}
