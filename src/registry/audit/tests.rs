//! Each act leaves one row, a refused one none, and the rows are asked for and forgotten as the settings say.

use super::*;
use crate::config::{RepositoryRule, RepositoryRules, Source};
use crate::oci::{Algorithm, Reference};
use crate::registry::scene::{DAY_MS, Scene, digest, image, name};
use crate::registry::{Condition, ManifestPush};
use crate::store::tables::AUDIT;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

fn scene() -> Scene {
    Scene::new(|_| {})
}

/// All rows, the oldest first.
fn acts(scene: &Scene) -> Vec<AuditRecord> {
    let page = scene.registry.audit(&AuditFilter::default(), None, usize::MAX).unwrap();
    assert_eq!(page.next, None);
    page.acts.into_iter().rev().map(|act| act.record).collect()
}

/// What `act` leaves: each row as its word, who, repository, tags and words.
fn told<T>(scene: &Scene, act: impl FnOnce() -> T) -> Vec<String> {
    let before = scene.registry.store.snapshot().unwrap().counter(AUDIT_ROWS).unwrap();
    scene.clock.advance_ms(1);
    act();
    let new = acts(scene).split_off(usize::try_from(before).unwrap());
    let line = |act: AuditRecord| {
        let repository = act.repository.unwrap_or_default();
        let tags = act.tags.join(",");
        format!("{} {} {repository} [{tags}] {}", act.action.word(), act.who, act.detail)
    };
    new.into_iter().map(line).collect()
}

fn tag(text: &str) -> Tag {
    Tag::parse(text).unwrap()
}

#[test]
fn what_clients_do_leaves_one_row_each() {
    let scene = scene();
    let registry = &*scene.registry;
    let app = name("team/app");
    assert_eq!(told(&scene, || scene.push_blob("team/app", b"{}")), ["blob.push pusher team/app [] 2 bytes"]);
    scene.push_blob("team/app", b"layer");
    let push = || scene.push_manifest("team/app", "v1", &[b"layer"]).unwrap();
    assert_eq!(told(&scene, push), ["manifest.push pusher team/app [v1] "]);
    assert_eq!(told(&scene, push), ["manifest.push pusher team/app [v1] "], "nothing new, and yet an act");
    let v1 = scene.tag("team/app", "v1").unwrap();
    let moved = || scene.push_manifest("team/app", "v1", &[]).unwrap();
    assert_eq!(told(&scene, moved), [format!("manifest.push pusher team/app [v1] v1 was {v1}")]);
    let mount = || assert!(registry.mount_blob(&name("b"), digest(b"layer"), Some(&app), "m").unwrap());
    assert_eq!(told(&scene, mount), ["blob.mount m b [] from team/app"]);
    let unlink = || registry.delete_blob(&name("b"), digest(b"layer"), "d").unwrap();
    assert_eq!(told(&scene, unlink), ["blob.delete d b [] "]);
    let untag = || registry.delete_tag(&app, &tag("v1"), Condition::default(), "d").unwrap();
    assert_eq!(told(&scene, untag), ["tag.delete d team/app [v1] "]);
    assert_eq!(
        told(&scene, || scene.delete("team/app", v1)),
        ["manifest.delete deleter team/app [] 1 manifest"]
    );
    let upload = registry.start_upload(&app, Algorithm::Sha256, 0, "anonymous").unwrap();
    let session = upload.session();
    drop(upload);
    let cancel = || registry.cancel_upload(&app, session, "c").unwrap();
    assert_eq!(told(&scene, cancel), [format!("upload.cancel c team/app [] upload {session}")]);
    assert_eq!(acts(&scene).last().unwrap().digest, None);
    assert_eq!(acts(&scene).iter().rev().nth(1).unwrap().digest, Some(v1));
}

#[test]
fn what_commands_do_leaves_one_row_each() {
    let scene = scene();
    let registry = &*scene.registry;
    let (app, at_ms) = (name("app"), scene.registry.clock.now_ms());
    let child = scene.push_image("app", "", &[b"layer"]);
    let index = scene.push_index("app", "v1", &[child]).unwrap();
    scene.clock.advance_ms(1);
    scene.delete("app", index);
    let by_digest = Reference::Digest(index);
    let undelete = || registry.undelete(&app, Some(&by_digest), "u").unwrap();
    assert_eq!(told(&scene, undelete), ["undelete u app [v1] 2 manifests brought back"]);
    assert_eq!(acts(&scene).last().unwrap().digest, Some(index));
    scene.push_image("app", "v1", &[b"other"]);
    let restore = || registry.restore_tag(&app, &tag("v1"), at_ms, "r").unwrap();
    assert_eq!(told(&scene, restore), ["tag.restore r app [v1] 0 manifests brought back"]);
    assert_eq!(told(&scene, || registry.pin(&app, &by_digest, "p").unwrap()), ["pin.add p app [] "]);
    assert_eq!(told(&scene, || registry.unpin(&app, &by_digest, "p").unwrap()), ["pin.rm p app [] "]);
    let copy = || registry.copy_repository(&app, &name("copy"), "c").unwrap();
    assert_eq!(told(&scene, copy), ["repo.copy c copy [] from app: 3 manifests and 1 tags"]);
    let rename = || registry.rename_repository(&name("copy"), &name("new"), "n").unwrap();
    assert_eq!(told(&scene, rename), ["repo.rename n copy [] to new"]);
    let delete = || registry.delete_repository(&name("new"), "d").unwrap();
    assert_eq!(told(&scene, delete), ["repo.delete d new [] "]);
    let revive = || registry.undelete(&name("new"), None, "u").unwrap();
    assert_eq!(told(&scene, revive), ["undelete u new [] the repository, with 3 manifests"]);
    assert_eq!(told(&scene, || registry.note_collect_now("local").unwrap()), ["gc.now local  [] "]);
}

#[test]
fn a_repository_comes_back_in_many_pieces_and_one_row() {
    let scene = scene();
    for number in 0..30_u8 {
        let image = scene.push_image("app", &format!("v{number}"), &[&[number]]);
        scene.delete("app", image);
    }
    let rows = told(&scene, || scene.undelete("app", "").unwrap());
    assert_eq!(rows.len(), 1);
    assert!(rows[0].ends_with("30 manifests brought back"), "{rows:?}");
    let act = acts(&scene).pop().unwrap();
    assert_eq!((act.tags.len(), act.tags_count), (TAGS_NAMED, 30));
}

#[test]
fn an_index_that_brings_deleted_manifests_back_says_so() {
    let scene = scene();
    let child = scene.push_image("app", "", &[b"layer"]);
    let index = scene.push_index("app", "v1", &[child]).unwrap();
    let manifest = scene.registry.manifest(&name("app"), &Reference::Digest(index)).unwrap();
    let manifest = serde_json::from_slice(&manifest.bytes).unwrap();
    scene.delete("app", index);
    let rows = told(&scene, || scene.push("app", "v1", &manifest).unwrap());
    let brought_back = format!("undelete pusher app [] 1 manifests brought back, for the push of {index}");
    let mut rows = rows;
    rows.sort();
    assert_eq!(rows, ["manifest.push pusher app [v1] ".to_owned(), brought_back]);
}

#[test]
fn rules_are_told_by_their_own_name() {
    let rule = RepositoryRule {
        pattern: Pattern::parse("ci/*").unwrap(),
        sparse_index: None,
        untagged_keep_secs: Some(60),
        keep_newest: Some(1),
        keep_tags: None,
        source: Source::Default,
    };
    let scene = Scene::new(|config| config.repositories = RepositoryRules::new(vec![rule]));
    scene.push_image("ci/app", "", &[b"untagged"]);
    scene.push_image("ci/app", "v1", &[b"one"]);
    scene.clock.advance_ms(61_000);
    scene.push_image("ci/app", "v2", &[b"two"]);
    let rows = told(&scene, || assert_eq!(scene.registry.enforce_rules(10).unwrap(), (2, false)));
    assert_eq!(
        rows.into_iter().collect::<BTreeSet<_>>(),
        BTreeSet::from([
            "rule.delete rule ci/app [] 1 manifest".to_owned(),
            "rule.delete rule ci/app [v1] 1 manifest".to_owned(),
        ])
    );
}

#[test]
fn a_refusal_leaves_no_row() {
    let scene = scene();
    let registry = &*scene.registry;
    let app = name("app");
    scene.push_image("app", "v1", &[b"layer"]);
    let refused = || {
        let v1 = scene.tag("app", "v1").unwrap();
        assert!(scene.push("app", "v2", &image(&[b"missing"])).is_err());
        assert!(registry.delete_blob(&app, digest(b"layer"), "d").is_err(), "in use");
        assert!(registry.delete_tag(&app, &tag("v2"), Condition::default(), "d").is_err());
        assert!(registry.delete_manifest(&app, digest(b"none"), Condition::default(), "d").is_err());
        assert!(registry.undelete(&app, None, "u").is_err(), "nothing is deleted");
        assert!(registry.restore_tag(&app, &tag("v1"), 0, "r").is_err());
        assert!(registry.pin(&app, &Reference::Tag(tag("v2")), "p").is_err());
        assert!(registry.unpin(&app, &Reference::Digest(v1), "p").is_err());
        assert!(registry.rename_repository(&name("none"), &name("new"), "n").is_err());
        assert!(registry.copy_repository(&name("none"), &name("new"), "c").is_err());
        assert!(registry.delete_repository(&name("none"), "d").is_err());
        assert!(!registry.mount_blob(&name("b"), digest(b"none"), None, "m").unwrap());
        let upload = registry.start_upload(&app, Algorithm::Sha256, 0, "anonymous").unwrap();
        assert!(registry.finish_upload(upload, digest(b"other"), "f").is_err(), "other bytes");
        let upload = registry.start_upload(&app, Algorithm::Sha256, 0, "anonymous").unwrap();
        registry.abandon_upload(upload).unwrap();
        // What only looks leaves none either.
        assert!(scene.is_linked("app", digest(b"layer")) && scene.is_visible("app", v1));
    };
    assert_eq!(told(&scene, refused), [""; 0]);
}

#[test]
fn a_write_that_finds_no_room_leaves_no_row() {
    let scene = scene();
    let image = scene.push_image("app", "v1", &[b"layer"]);
    let before = acts(&scene);
    scene.registry.store.faults.refuse_writes(u64::MAX);
    let refused = scene.registry.delete_manifest(&name("app"), image, Condition::default(), "d");
    assert!(refused.is_err());
    scene.registry.note_collect_now("local").unwrap();
    scene.registry.store.faults.refuse_writes(0);
    assert_eq!(acts(&scene), before);
}

#[test]
fn a_request_is_told_with_its_address_and_id() {
    let scene = scene();
    scene.push_blob("app", b"{}");
    let actor = Actor {
        who: "anonymous".to_owned(),
        address: Some(Ipv4Addr::new(192, 0, 2, 7).into()),
        request_id: Some("00ff".to_owned()),
    };
    let push = ManifestPush {
        name: name("app"),
        reference: Reference::Tag(tag("v1")),
        tags: (0..40).map(|number| tag(&format!("t{number}"))).collect(),
        content_type: None,
        bytes: image(&[]).to_string().into_bytes(),
        condition: Condition::default(),
        actor,
    };
    let pushed = scene.registry.put_manifest(push).unwrap();
    let act = acts(&scene).pop().unwrap();
    assert_eq!((act.who.as_str(), act.address.as_deref()), ("anonymous", Some("192.0.2.7")));
    assert_eq!((act.request_id.as_deref(), act.digest), (Some("00ff"), Some(pushed.digest)));
    assert_eq!((act.tags.len(), act.tags_count), (TAGS_NAMED, 41));
    let (history, _) = scene.registry.tag_history(&name("app"), &tag("v1"), None, 1).unwrap();
    assert_eq!(history[0].record.who, "anonymous@192.0.2.7");
}

#[test]
fn acts_are_asked_for_by_what_they_have_and_in_pages() {
    let scene = scene();
    let begun_ms = scene.registry.clock.now_ms();
    for number in 0..3_u8 {
        scene.clock.advance_ms(1000);
        scene.push_blob("team/app", &[number]);
        scene.push_blob("team/cache", &[number]);
        scene.registry.delete_blob(&name("team/cache"), digest(&[number]), "cleaner").unwrap();
    }
    let count = |filter: &AuditFilter| scene.registry.audit(filter, None, 100).unwrap().acts.len();
    let all = AuditFilter::default();
    assert_eq!(count(&all), 9);
    let pattern = |text: &str| Some(Pattern::parse(text).unwrap());
    assert_eq!(count(&AuditFilter { repository: pattern("team/app"), ..all.clone() }), 3);
    assert_eq!(count(&AuditFilter { repository: pattern("team/*"), ..all.clone() }), 9);
    assert_eq!(count(&AuditFilter { repository: pattern("other"), ..all.clone() }), 0);
    assert_eq!(count(&AuditFilter { who: Some("cleaner".to_owned()), ..all.clone() }), 3);
    assert_eq!(count(&AuditFilter { action: Some(AuditAction::BlobPush), ..all.clone() }), 6);
    let second_ms = Some(begun_ms + 2000);
    assert_eq!(count(&AuditFilter { since_ms: second_ms, ..all.clone() }), 6);
    assert_eq!(count(&AuditFilter { until_ms: second_ms, ..all.clone() }), 6);
    assert_eq!(count(&AuditFilter { since_ms: second_ms, until_ms: second_ms, ..all.clone() }), 3);
    assert_eq!(count(&AuditFilter { since_ms: second_ms, until_ms: Some(begun_ms), ..all.clone() }), 0);
    assert_eq!(count(&AuditFilter { until_ms: Some(u64::MAX), ..all.clone() }), 9);

    let whole = scene.registry.audit(&all, None, 100).unwrap().acts;
    for limit in [1, 2, 3, 8, 9, 10] {
        let (mut found, mut last) = (Vec::new(), None);
        loop {
            let page = scene.registry.audit(&all, last, limit).unwrap();
            assert!(page.acts.len() <= limit);
            found.extend(page.acts);
            last = page.next;
            if last.is_none() {
                break;
            }
        }
        assert_eq!(found, whole, "pages of {limit}");
    }
    for act in whole {
        assert_eq!(act.place.to_string().parse(), Ok(act.place));
    }
    for text in ["", "1", "1-", "-1", "+1-0000000000000001", "1-1", "01-0000000000000001", "x-0"] {
        assert_eq!(text.parse::<AuditPlace>(), Err(AuditPlaceError), "{text}");
    }
}

#[test]
fn a_page_ends_after_many_rows_that_do_not_match() {
    let scene = scene();
    let at_ms = scene.registry.clock.now_ms();
    scene.push_blob("app", b"first");
    scene.clock.advance_ms(1);
    let rows = LOOKED_AT_MAX as u64 + 10;
    let entry = scene.registry.act(&"other".into(), AuditAction::CollectNow);
    scene
        .registry
        .store
        .write(move |tx| {
            for number in 0..rows {
                let place = AuditPlace { at_ms: at_ms + 1, number };
                note(tx, &Entry { place, ..entry.clone() })?;
            }
            Ok::<_, Error>(())
        })
        .unwrap();
    let pushes = AuditFilter { action: Some(AuditAction::BlobPush), ..AuditFilter::default() };
    let page = scene.registry.audit(&pushes, None, 10).unwrap();
    assert!(page.acts.is_empty() && page.next.is_some());
    let page = scene.registry.audit(&pushes, page.next, 10).unwrap();
    assert_eq!((page.acts.len(), page.next), (1, None));
}

#[test]
fn what_is_old_is_forgotten_from_the_front() {
    let scene = Scene::new(|config| config.settings.audit_keep_secs = 10 * 24 * 60 * 60);
    for number in 0..10_u8 {
        scene.push_blob("app", &[number]);
        scene.clock.advance_ms(DAY_MS);
    }
    assert_eq!(scene.registry.forget_old_acts().unwrap(), 0);
    scene.clock.advance_ms(2 * DAY_MS + 1);
    assert_eq!(scene.registry.forget_old_acts().unwrap(), 3);
    let left = acts(&scene);
    assert_eq!(left.len(), 7);
    assert_eq!(left[0].digest, Some(digest(&[3])));
    scene.clock.advance_ms(100 * DAY_MS);
    scene.registry.keep_house().unwrap();
    assert_eq!(acts(&scene), [], "housekeeping does it");
}

#[test]
fn what_is_too_much_is_forgotten_from_the_front() {
    let scene = Scene::new(|config| config.settings.audit_rows_max = 600);
    let entry = scene.registry.act(&"other".into(), AuditAction::CollectNow);
    let at_ms = scene.registry.clock.now_ms();
    let rows = 600 + 2 * PAGE_ROWS as u64 + 5;
    scene
        .registry
        .store
        .write(move |tx| {
            for number in 0..rows {
                let place = AuditPlace { at_ms: at_ms + number, number: 0 };
                note(tx, &Entry { place, ..entry.clone() })?;
            }
            Ok::<_, Error>(())
        })
        .unwrap();
    assert_eq!(scene.registry.forget_old_acts().unwrap(), 2 * PAGE_ROWS + 5);
    assert_eq!(scene.registry.forget_old_acts().unwrap(), 0);
    let page = scene.registry.audit(&AuditFilter::default(), None, usize::MAX).unwrap();
    assert_eq!(page.acts.len(), 600);
    assert_eq!(page.acts.last().unwrap().place.at_ms, at_ms + rows - 600);
}

#[test]
fn a_wrong_count_is_found() {
    let scene = scene();
    scene.push_blob("app", b"blob");
    let add =
        |delta| scene.registry.store.write(move |tx| Ok::<_, Error>(tx.add(AUDIT_ROWS, delta)?)).unwrap();
    add(1);
    assert_eq!(scene.violations(false), ["I11: the audit has 1 acts, on record are 2"]);
    add(-1);
    let key = acts_key(&scene);
    let act = acts(&scene).remove(0);
    let put = |act: AuditRecord| {
        scene.registry.store.write(move |tx| Ok::<_, Error>(tx.put(&AUDIT, &key, &act)?)).unwrap();
    };
    put(AuditRecord { tags: vec!["v1".to_owned()], ..act.clone() });
    assert_eq!(scene.violations(false).len(), 1);
    put(act);
}

fn acts_key(scene: &Scene) -> (u64, u64) {
    let rows = scene.registry.store.snapshot().unwrap();
    rows.first(&AUDIT, &KeyRange::all()).unwrap().unwrap().0
}

#[test]
fn rows_outlive_a_start() {
    let mut scene = scene();
    scene.push_image("app", "v1", &[b"layer"]);
    let before = acts(&scene);
    assert_eq!(before.len(), 3);
    scene.start();
    assert_eq!(acts(&scene), before);
}

#[test]
fn words_are_cut_where_they_are_too_many() {
    let scene = scene();
    let entry = scene.registry.act(&"other".into(), AuditAction::CollectNow).saying(&"\u{e4}".repeat(1000));
    assert_eq!(entry.record.detail.chars().count(), DETAIL_MAX_CHARS);
}
