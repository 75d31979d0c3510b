//! Collecting, with a clock that tests move.

use super::*;
use crate::oci::Algorithm;
use crate::registry::Clock;
use crate::registry::scene::{DAY_MS, Scene, digest, name};

#[test]
fn a_deleted_image_is_kept_and_then_goes() {
    let scene = Scene::new(|_| {});
    let image = scene.push_image("team/app", "v1", &[b"layer"]);
    scene.delete("team/app", image);
    assert!(!scene.is_linked("team/app", digest(b"layer")), "out of sight at once");
    assert_eq!(scene.round(), Collected::default());
    assert!(scene.is_stored(digest(b"layer")));
    scene.clock.advance_ms(DAY_MS - 1);
    assert_eq!(scene.round(), Collected::default());
    scene.clock.advance_ms(1);
    let collected = scene.round();
    assert_eq!((collected.manifests, collected.blobs, collected.blob_bytes), (1, 2, 7));
    assert!(!scene.is_stored(digest(b"layer")));
    assert_eq!(scene.round(), Collected::default());
    assert_eq!(scene.registry.store.sweep_tombstones(|| true).unwrap(), 2);
}

#[test]
fn what_others_need_stays() {
    let scene = Scene::new(|_| {});
    let one = scene.push_image("team/app", "v1", &[b"shared", b"own"]);
    scene.push_image("other", "v1", &[b"shared"]);
    scene.delete("team/app", one);
    let collected = scene.registry.collect_now().unwrap();
    // Two of the files are second copies of what both repositories pushed.
    assert_eq!((collected.manifests, collected.blobs, collected.files), (1, 1, 3));
    assert!(scene.is_linked("other", digest(b"shared")) && !scene.is_stored(digest(b"own")));
}

#[test]
fn a_lease_is_never_ended_early() {
    let scene = Scene::new(|_| {});
    scene.push_blob("team/app", b"leased");
    assert_eq!(scene.registry.collect_now().unwrap(), Collected::default());
    assert!(scene.is_linked("team/app", digest(b"leased")));
    scene.clock.advance_ms(DAY_MS);
    let collected = scene.round();
    assert_eq!((collected.leases, collected.blobs), (1, 1));
}

#[test]
fn a_lease_lasts_while_its_repository_is_pushed_to() {
    let scene = Scene::new(|config| config.settings.upload_idle_secs = 7 * 24 * 60 * 60);
    scene.push_blob("team/app", b"{}");
    scene.push_blob("team/app", b"early");
    let upload = scene.registry.start_upload(&name("team/app"), Algorithm::Sha256, 0, "anonymous").unwrap();
    scene.clock.advance_ms(2 * DAY_MS);
    assert_eq!(scene.round().blobs, 0);
    assert!(scene.is_linked("team/app", digest(b"early")));
    scene.registry.finish_upload(upload, digest(b""), "pusher").unwrap();
    scene.push_manifest("team/app", "v1", &[b"early"]).unwrap();
    scene.clock.advance_ms(DAY_MS);
    scene.round();
    assert!(scene.is_linked("team/app", digest(b"early")));
}

#[test]
fn a_push_of_what_is_kept_needs_no_bytes_and_brings_it_back() {
    let scene = Scene::new(|_| {});
    let image = scene.push_image("team/app", "v1", &[b"layer"]);
    scene.delete("team/app", image);
    assert_eq!(scene.push_manifest("team/app", "v2", &[b"layer"]).unwrap(), image);
    assert!(scene.is_linked("team/app", digest(b"layer")));
    scene.clock.advance_ms(2 * DAY_MS);
    assert_eq!(scene.round().manifests, 0, "it is not deleted any more");
    assert!(scene.is_linked("team/app", digest(b"layer")));
}

#[test]
fn a_push_that_shares_with_what_is_kept_needs_no_upload() {
    let scene = Scene::new(|_| {});
    let image = scene.push_image("team/app", "v1", &[b"shared", b"old"]);
    scene.delete("team/app", image);
    scene.push_manifest("team/app", "v2", &[b"shared"]).unwrap();
    // Of another repository nothing can be had that way.
    scene.push_blob("other", b"{}");
    assert!(scene.push_manifest("other", "v1", &[b"shared"]).is_err());
    scene.registry.collect_now().unwrap();
    assert!(scene.is_linked("team/app", digest(b"shared")) && !scene.is_stored(digest(b"old")));
}

#[test]
fn a_push_that_meets_what_is_gone_says_so() {
    let scene = Scene::new(|_| {});
    let image = scene.push_image("team/app", "v1", &[b"layer"]);
    scene.delete("team/app", image);
    scene.registry.collect_now().unwrap();
    let error = scene.push_manifest("team/app", "v1", &[b"layer"]).unwrap_err();
    assert!(matches!(error, Error::ReferencesMissing { .. }), "{error}");
    assert_eq!(scene.push_image("team/app", "v1", &[b"layer"]), image);
    assert!(scene.is_linked("team/app", digest(b"layer")));
}

#[test]
fn nothing_is_kept_where_nothing_is_to_be_kept() {
    let scene = Scene::new(|config| config.settings.keep_deleted_secs = 0);
    let image = scene.push_image("team/app", "v1", &[b"layer"]);
    scene.delete("team/app", image);
    assert_eq!(scene.round().blobs, 2);
}

#[test]
fn steps_are_counted_and_the_rest_is_gone_on_with() {
    let scene = Scene::new(|config| config.settings.keep_deleted_secs = 0);
    let layers: Vec<Vec<u8>> = (0..20_u8).map(|number| vec![number; 10]).collect();
    let layers: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
    let image = scene.push_image("team/app", "v1", &layers);
    scene.delete("team/app", image);
    let mut blobs = 0;
    for _ in 0..7 {
        let collected = scene.registry.collect(Round { ends_keeping: false, steps: 3 }).unwrap();
        assert!(collected.unfinished && collected.blobs <= 3);
        blobs += collected.blobs;
        assert_eq!(scene.registry.verify(true).unwrap().violations, [], "whenever it stops");
    }
    assert_eq!(blobs + scene.round().blobs, 21);
}

#[test]
fn what_there_is_to_collect_is_counted() {
    let scene = Scene::new(|_| {});
    let image = scene.push_image("team/app", "v1", &[b"shared", b"own"]);
    scene.push_image("other", "v1", &[b"shared"]);
    scene.delete("team/app", image);
    let garbage = scene.registry.garbage().unwrap();
    assert_eq!((garbage.kept.manifests, garbage.kept.blobs, garbage.kept.bytes), (1, 1, 3));
    assert_eq!(garbage.kept_until_ms, Some(scene.clock.now_ms() + DAY_MS));
    assert_eq!(garbage.due, crate::registry::Amount::default());
    scene.clock.advance_ms(DAY_MS);
    let garbage = scene.registry.garbage().unwrap();
    assert_eq!((garbage.due.manifests, garbage.due.blobs, garbage.kept_until_ms), (1, 1, None));
    let why = scene.registry.explain(digest(b"own")).unwrap();
    assert_eq!((why.kept_by[0].manifest, why.kept_by[0].due_at_ms), (image, scene.clock.now_ms()));
    let why = scene.registry.explain(digest(b"shared")).unwrap();
    assert_eq!((why.needed_by.len(), &why.needed_by[0].tags[..]), (1, &["v1".to_owned()][..]));
    let why = scene.registry.explain(image).unwrap();
    assert_eq!(
        (&why.deleted_in[0].repository[..], &why.deleted_in[0].tags[..]),
        ("team/app", &["v1".to_owned()][..])
    );
}

#[test]
fn why_something_went_is_remembered_for_a_while() {
    let scene = Scene::new(|config| config.settings.collected_memory_secs = 10 * DAY_MS / 1000);
    let image = scene.push_image("team/app", "v1", &[b"layer"]);
    scene.push_blob("other", b"leased");
    scene.push_blob("other", b"unlinked");
    scene.registry.delete_blob(&name("other"), digest(b"unlinked"), "deleter").unwrap();
    scene.delete("team/app", image);
    let deleted_at_ms = scene.clock.now_ms();
    scene.clock.advance_ms(DAY_MS);
    scene.round();
    let gone = |digest| scene.registry.explain(digest).unwrap().gone;
    let loss = Loss::Manifest {
        repository: "team/app".to_owned(),
        manifest: image,
        deleted_at_ms,
        who: "deleter".to_owned(),
    };
    for digest in [digest(b"layer"), image] {
        let row = gone(digest).unwrap();
        assert_eq!((row.loss, row.gone_at_ms), (loss.clone(), Some(scene.clock.now_ms())));
    }
    let other = || "other".to_owned();
    assert_eq!(gone(digest(b"leased")).unwrap().loss, Loss::Lease { repository: other() });
    assert_eq!(gone(digest(b"unlinked")).unwrap().loss, Loss::Unlinked { repository: other() });
    // What comes back and goes again is remembered from then on.
    scene.push_blob("other", b"leased");
    scene.clock.advance_ms(DAY_MS);
    scene.round();
    scene.clock.advance_ms(9 * DAY_MS);
    scene.round();
    assert!(gone(digest(b"layer")).is_none() && gone(image).is_none());
    assert!(gone(digest(b"leased")).is_some());
    scene.clock.advance_ms(DAY_MS);
    scene.round();
    assert!(gone(digest(b"leased")).is_none());
}

#[test]
fn what_is_needed_again_does_not_count_as_going() {
    let scene = Scene::new(|_| {});
    scene.push_blob("app", b"blob");
    scene.registry.delete_blob(&name("app"), digest(b"blob"), "deleter").unwrap();
    assert!(scene.registry.explain(digest(b"blob")).unwrap().gone.is_some());
    scene.push_blob("app", b"blob");
    scene.round();
    assert!(scene.registry.explain(digest(b"blob")).unwrap().gone.is_none());
}

#[test]
fn a_blob_that_two_rows_name_is_counted_once() {
    let scene = Scene::new(|_| {});
    for _ in 0..2 {
        let blob = scene.push_blob("team/app", b"own");
        scene.registry.delete_blob(&name("team/app"), blob, "deleter").unwrap();
        scene.clock.advance_ms(1);
    }
    let due = scene.registry.garbage().unwrap().due;
    assert_eq!((due.blobs, due.bytes), (1, 3));
}

#[test]
fn an_explanation_names_only_the_first() {
    let scene = Scene::new(|_| {});
    let mut image = digest(b"");
    for number in 0..60 {
        image = scene.push_image(&format!("copy/{number}"), "v1", &[b"layer"]);
    }
    let why = scene.registry.explain(image).unwrap();
    assert_eq!((why.visible_in.len(), why.deleted_in.len()), (50, 0));
    for number in 0..60 {
        scene.delete(&format!("copy/{number}"), image);
    }
    let why = scene.registry.explain(image).unwrap();
    assert_eq!((why.visible_in.len(), why.deleted_in.len()), (0, 50));
}

#[test]
fn an_explanation_leads_from_a_tag_to_the_blob() {
    let scene = Scene::new(|_| {});
    let child = scene.push_image("app", "", &[b"amd64"]);
    let inner = scene.push_index("app", "", &[child]).unwrap();
    let outer = scene.push_index("app", "v1", &[inner]).unwrap();
    let signature = scene.push_referrer("app", "", outer, b"signature");
    let why = scene.registry.explain(digest(b"amd64")).unwrap();
    assert_eq!(
        (&why.needed_by[0].through[..], &why.needed_by[0].tags[..]),
        (&[outer, inner][..], &["v1".to_owned()][..])
    );
    let why = scene.registry.explain(signature).unwrap();
    assert_eq!((&why.visible_in[0].through[..], why.visible_in[0].manifest), (&[outer][..], signature));
}

const NOW_MS: u64 = 1_700_000_000_000;

/// Times in rows are those of the clock, so one that goes back keeps longer and ends nothing early.
#[test]
fn a_clock_that_is_set_back_ends_nothing_early() {
    let mut scene = Scene::new(|_| {});
    let kept = scene.push_image("team/app", "v1", &[b"kept"]);
    scene.push_image("team/app", "v2", &[b"seen"]);
    scene.push_blob("team/app", b"leased");
    scene.delete("team/app", kept);
    for is_started in [false, true] {
        scene.clock.set_ms(NOW_MS - 400 * DAY_MS);
        if is_started {
            scene.start();
        }
        scene.registry.keep_house().unwrap();
        assert!(scene.is_there("team/app", digest(b"leased")) && scene.is_stored(digest(b"kept")));
        // What is pushed meanwhile is there as well, and of an image that is seen no time says anything.
        let late = scene.push_image("team/app", "v3", &[b"late"]);
        scene.clock.set_ms(NOW_MS);
        assert_eq!(scene.round().blobs, 0);
        assert!(scene.is_visible("team/app", late) && scene.is_linked("team/app", digest(b"late")));
    }
    scene.undelete("team/app", "").unwrap();
    assert!(scene.is_visible("team/app", kept) && scene.is_linked("team/app", digest(b"kept")));
    scene.clock.advance_ms(2 * DAY_MS);
    scene.round();
    assert!(!scene.is_there("team/app", digest(b"leased")), "a lease ends in the end");
    assert!(["kept", "seen", "late"].iter().all(|layer| scene.is_stored(digest(layer.as_bytes()))));
}

/// A clock that goes forth ends what waits for a time, and nothing else; what comes later waits as ever.
#[test]
fn a_clock_that_is_set_forth_takes_nothing_that_is_seen() {
    let mut scene = Scene::new(|_| {});
    let kept = scene.push_image("team/app", "v1", &[b"kept"]);
    let seen = scene.push_image("team/app", "v2", &[b"seen"]);
    scene.push_blob("team/app", b"leased");
    scene.delete("team/app", kept);
    scene.clock.set_ms(NOW_MS + 400 * DAY_MS);
    scene.start();
    scene.round();
    assert!(!scene.is_stored(digest(b"kept")) && !scene.is_stored(digest(b"leased")));
    assert!(scene.is_visible("team/app", seen) && scene.tag("team/app", "v2") == Some(seen));
    scene.push_blob("team/app", b"meanwhile");
    scene.clock.set_ms(NOW_MS);
    scene.push_blob("team/app", b"leased");
    let again = scene.push_image("team/app", "v1", &[b"kept"]);
    scene.delete("team/app", again);
    scene.clock.advance_ms(DAY_MS - 1);
    assert_eq!(scene.round().manifests, 0);
    assert!(scene.is_linked("team/app", digest(b"leased")) && scene.is_stored(digest(b"kept")));
    scene.clock.advance_ms(1);
    assert_eq!(scene.round().manifests, 1);
    assert!(!scene.is_linked("team/app", digest(b"leased")));
    assert!(scene.is_linked("team/app", digest(b"meanwhile")), "it has the end that it was given");
    assert!(scene.is_linked("team/app", digest(b"seen")));
}

/// What is done now and then does not wait for a time that was never there.
#[test]
fn a_clock_that_was_wrong_keeps_no_file_from_being_unlinked() {
    let scene = Scene::new(|config| config.settings.keep_deleted_secs = 0);
    let image = scene.push_image("team/app", "v1", &[b"layer"]);
    scene.clock.set_ms(NOW_MS + 400 * DAY_MS);
    scene.registry.keep_house().unwrap();
    scene.clock.set_ms(NOW_MS);
    scene.delete("team/app", image);
    let file = scene.file(digest(b"layer"));
    scene.round();
    scene.registry.keep_house().unwrap();
    assert!(!file.exists());
}
