//! Taking deletions back.

use super::*;
use crate::registry::scene::{DAY_MS, Scene, digest, name};
use crate::registry::{Clock, Condition};

fn tag(text: &str) -> Tag {
    Tag::parse(text).unwrap()
}

#[test]
fn an_image_comes_back_whole() {
    let scene = Scene::new(|_| {});
    let child = scene.push_image("app", "", &[b"amd64"]);
    let index = scene.push_index("app", "v1", &[child]).unwrap();
    scene.push_index("app", "latest", &[child]).unwrap();
    let signature = scene.push_referrer("app", "", index, b"signature");
    let companion = family::companions(index).nth(1).unwrap();
    let cosign = scene.push_image("app", companion.as_str(), &[b"cosign"]);
    scene.delete("app", index);
    let image = scene.push_image("app", "latest", &[b"another"]);

    let restored = scene.undelete("app", &index.to_string()).unwrap();
    assert_eq!(restored.manifests, 4, "{restored:?}");
    assert_eq!(restored.tags_in_use, [tag("latest")]);
    assert_eq!(scene.tag("app", "v1"), Some(index));
    assert_eq!(scene.tag("app", "latest"), Some(image), "a tag that was used since stays where it is");
    assert_eq!(scene.tag("app", companion.as_str()), Some(cosign));
    assert!(scene.is_visible("app", child) && scene.is_visible("app", signature));
    assert!(scene.is_linked("app", digest(b"amd64")));
    let referrers = scene.registry.referrers(&name("app"), index, None, None).unwrap();
    assert_eq!(referrers.descriptors.len(), 1);
    scene.clock.advance_ms(2 * DAY_MS);
    assert_eq!(scene.round().manifests, 0);
}

#[test]
fn a_tag_names_again_what_it_named() {
    let scene = Scene::new(|_| {});
    let image = scene.push_image("app", "v1", &[b"layer"]);
    scene.push_image("app", "v2", &[b"layer"]);
    scene.registry.delete_tag(&name("app"), &tag("v1"), Condition::default(), "deleter").unwrap();
    assert_eq!(scene.undelete("app", "v1").unwrap().tags, [tag("v1")]);
    assert_eq!(scene.tag("app", "v1"), Some(image));
    assert!(matches!(scene.undelete("app", "v1"), Err(Error::TagInUse { .. })));
    scene.delete("app", image);
    assert_eq!(scene.undelete("app", "v1").unwrap().tags.len(), 2, "its manifest comes with all its tags");
    assert!(matches!(scene.undelete("app", "v3"), Err(Error::NothingDeleted { .. })));
}

#[test]
fn all_of_a_repository_comes_back() {
    let scene = Scene::new(|_| {});
    let one = scene.push_image("app", "v1", &[b"one"]);
    let other = scene.push_image("app", "v2", &[b"other"]);
    scene.delete("app", one);
    scene.delete("app", other);
    assert_eq!(scene.undelete("app", "").unwrap().manifests, 2);
    assert_eq!((scene.tag("app", "v1"), scene.tag("app", "v2")), (Some(one), Some(other)));
    assert!(matches!(scene.undelete("app", ""), Err(Error::NothingDeleted { .. })));
    assert!(matches!(scene.undelete("nothing", ""), Err(Error::RepositoryUnknown(_))));
}

#[test]
fn what_is_gone_for_good_is_said_to_be() {
    let scene = Scene::new(|_| {});
    let image = scene.push_image("app", "v1", &[b"layer"]);
    scene.delete("app", image);
    scene.registry.collect_now().unwrap();
    assert!(matches!(scene.undelete("app", &image.to_string()), Err(Error::NothingDeleted { .. })));
    assert!(matches!(scene.undelete("app", "v1"), Err(Error::GoneForGood { .. })));
}

#[test]
fn a_tag_goes_back_in_time() {
    let scene = Scene::new(|_| {});
    let first_ms = scene.clock.now_ms();
    let first = scene.push_image("app", "v1", &[b"first"]);
    scene.clock.advance_ms(1000);
    let second = scene.push_image("app", "v1", &[b"second"]);
    scene.clock.advance_ms(1000);
    scene.delete("app", first);
    scene.delete("app", second);
    scene.clock.advance_ms(1000);
    let restore = |at_ms| scene.registry.restore_tag(&name("app"), &tag("v1"), at_ms, "restorer");
    assert_eq!(restore(first_ms + 999).unwrap().0, first);
    assert_eq!(scene.tag("app", "v1"), Some(first));
    assert_eq!(restore(first_ms + 1000).unwrap().0, second);
    assert_eq!(scene.tag("app", "v1"), Some(second));
    assert!(matches!(restore(first_ms + 2000), Err(Error::NoHistory { .. })), "it was deleted then");
    assert!(matches!(restore(first_ms - 1), Err(Error::NoHistory { .. })));
    let (changes, more) = scene.registry.tag_history(&name("app"), &tag("v1"), None, 100).unwrap();
    let causes: Vec<_> = changes.iter().map(|change| change.record.cause).collect();
    // Deleting what the tag did not name any more left no trace.
    let expected = [Cause::Restore, Cause::Restore, Cause::Delete, Cause::Push, Cause::Push].to_vec();
    assert_eq!((causes, more), (expected, false));
    let numbers: Vec<_> = changes.iter().map(|change| change.number).collect();
    assert_eq!(numbers, [5, 4, 3, 2, 1]);
    assert_eq!(changes[2].record.who, "deleter");
}

#[test]
fn history_is_bounded_by_count_and_age() {
    let scene = Scene::new(|config| config.settings.tag_history_max = 3);
    for number in 0..10_u8 {
        scene.push_image("app", "v1", &[&[number]]);
        scene.clock.advance_ms(1000);
    }
    let numbers = || {
        let (changes, _) = scene.registry.tag_history(&name("app"), &tag("v1"), None, 100).unwrap();
        changes.iter().map(|change| change.number).collect::<Vec<_>>()
    };
    assert_eq!(numbers(), [10, 9, 8]);
    let keep_ms = scene.registry.config().settings.tag_history_secs * 1000;
    scene.clock.advance_ms(keep_ms - 2000);
    assert_eq!(scene.registry.forget_old_history().unwrap(), 1);
    scene.clock.advance_ms(keep_ms);
    // The first look ended at the table's end, the next begins at its head.
    assert_eq!(scene.registry.forget_old_history().unwrap(), 0);
    assert_eq!(scene.registry.forget_old_history().unwrap(), 1);
    assert_eq!(numbers(), [10], "what the tag names now is not forgotten");
}

#[test]
fn a_pin_keeps_what_is_deleted() {
    let scene = Scene::new(|_| {});
    let child = scene.push_image("app", "", &[b"amd64"]);
    let index = scene.push_index("app", "v1", &[child]).unwrap();
    let signature = scene.push_referrer("app", "", index, b"signature");
    let reference: Reference = "v1".parse().unwrap();
    assert_eq!(scene.registry.pin(&name("app"), &reference, "pinner").unwrap(), index);
    assert_eq!(scene.registry.pins().unwrap().len(), 1);
    scene.delete("app", index);
    assert_eq!(scene.registry.collect_now().unwrap().manifests, 0);
    scene.clock.advance_ms(3 * DAY_MS);
    assert_eq!(scene.round().manifests, 0);
    scene.clock.advance_ms(3 * DAY_MS);
    assert_eq!(scene.registry.collect_now().unwrap().manifests, 0);
    assert_eq!(scene.undelete("app", &index.to_string()).unwrap().manifests, 3);
    assert!(scene.is_visible("app", signature) && scene.is_visible("app", child));
    scene.delete("app", index);
    let by_digest = Reference::Digest(index);
    scene.registry.unpin(&name("app"), &by_digest, "unpinner").unwrap();
    assert!(matches!(
        scene.registry.unpin(&name("app"), &by_digest, "unpinner"),
        Err(Error::NotPinned { .. })
    ));
    assert_eq!(scene.registry.collect_now().unwrap().manifests, 3);
    assert!(!scene.is_stored(digest(b"amd64")));
}
