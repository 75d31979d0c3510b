//! Rules that let things go.

use super::*;
use crate::config::{Config, Pattern, RepositoryRule, RepositoryRules, Source, TagPattern};
use crate::oci::Reference;
use crate::registry::scene::{DAY_MS, Scene, name};

const DAY_SECS: u64 = DAY_MS / 1000;

fn with_rule(untagged_keep_secs: u64, keep_newest: u64, keep_tags: &[&str]) -> Scene {
    let rule = RepositoryRule {
        pattern: Pattern::parse("ci/**").unwrap(),
        sparse_index: None,
        untagged_keep_secs: Some(untagged_keep_secs),
        keep_newest: Some(keep_newest),
        keep_tags: Some(keep_tags.iter().map(|tag| TagPattern::parse(tag).unwrap()).collect()),
        source: Source::Default,
    };
    Scene::new(|config: &mut Config| config.repositories = RepositoryRules::new(vec![rule]))
}

/// Enforces the rules one deletion at a time; says how many manifests went.
fn enforce(scene: &Scene) -> u64 {
    let mut deleted = 0;
    loop {
        let (some, more) = scene.registry.enforce_rules(1).unwrap();
        deleted += some;
        if !more {
            return deleted;
        }
    }
}

#[test]
fn what_has_no_tag_goes_when_it_is_old_enough() {
    let scene = with_rule(DAY_SECS, 0, &[]);
    let pushed = scene.push_image("ci/app", "", &[b"one"]);
    let moved = scene.push_image("ci/app", "v1", &[b"two"]);
    let elsewhere = scene.push_image("other", "", &[b"three"]);
    scene.clock.advance_ms(DAY_MS / 2);
    scene.push_image("ci/app", "v1", &[b"four"]);
    scene.clock.advance_ms(DAY_MS / 2 - 1);
    assert_eq!(enforce(&scene), 0);
    scene.clock.advance_ms(1);
    assert_eq!(enforce(&scene), 1);
    assert!(!scene.is_visible("ci/app", pushed) && scene.is_visible("ci/app", moved));
    scene.clock.advance_ms(DAY_MS / 2);
    assert_eq!(enforce(&scene), 1, "it lost its tag half a day after its push");
    assert!(!scene.is_visible("ci/app", moved) && scene.is_visible("other", elsewhere));
    assert_eq!(scene.undelete("ci/app", "").unwrap().manifests, 2, "a rule deletes as a person would");
    assert_eq!(enforce(&scene), 0, "their time begins again");
}

#[test]
fn what_lives_with_another_is_not_without_a_tag() {
    let scene = with_rule(1, 0, &[]);
    let child = scene.push_image("ci/app", "", &[b"amd64"]);
    let index = scene.push_index("ci/app", "v1", &[child]).unwrap();
    let signature = scene.push_referrer("ci/app", "", index, b"signature");
    let pinned = scene.push_image("ci/app", "", &[b"pinned"]);
    scene.registry.pin(&name("ci/app"), &Reference::Digest(pinned), "pinner").unwrap();
    scene.clock.advance_ms(DAY_MS);
    let verdicts = scene.registry.verdicts(100).unwrap();
    assert!(verdicts.len() == 3 && verdicts.iter().all(|verdict| !verdict.goes), "{verdicts:?}");
    assert_eq!(enforce(&scene), 0);
    assert!(scene.is_visible("ci/app", child) && scene.is_visible("ci/app", signature));
    scene.delete("ci/app", index);
    assert!(!scene.is_visible("ci/app", child) && !scene.is_visible("ci/app", signature));
}

#[test]
fn the_newest_images_are_kept() {
    let scene = with_rule(0, 2, &["stable*"]);
    let mut images = Vec::new();
    for number in 0..5_u8 {
        images.push(scene.push_image("ci/app", &format!("v{number}"), &[&[number]]));
        scene.clock.advance_ms(1000);
    }
    let stable = scene.push_image("ci/app", "stable-1", &[&[0]]);
    assert_eq!(stable, images[0], "the oldest has a tag that is kept, too");
    let companion = family::companions(images[4]).nth(1).unwrap();
    let signature = scene.push_image("ci/app", companion.as_str(), &[b"signature"]);
    scene.registry.pin(&name("ci/app"), &"v1".parse().unwrap(), "pinner").unwrap();
    let verdicts = scene.registry.verdicts(100).unwrap();
    let goes: Vec<_> = verdicts.iter().filter(|verdict| verdict.goes).collect();
    assert_eq!(verdicts.len(), 6);
    assert_eq!((goes.len(), goes[0].digest), (1, images[2]), "{verdicts:?}");
    assert_eq!(goes[0].why, "number 3, and the newest 2 are kept (keep_newest)");
    assert_eq!(enforce(&scene), 1);
    let visible: Vec<bool> = images.iter().map(|image| scene.is_visible("ci/app", *image)).collect();
    assert_eq!(visible, [true, true, false, true, true]);
    assert!(scene.is_visible("ci/app", signature));
    assert_eq!(enforce(&scene), 0);
    assert_eq!(scene.undelete("ci/app", "v2").unwrap().manifests, 1);
}

#[test]
fn an_image_of_a_kept_index_is_not_counted() {
    let scene = with_rule(0, 1, &[]);
    let child = scene.push_image("ci/app", "v1-amd64", &[b"amd64"]);
    scene.clock.advance_ms(1000);
    let index = scene.push_index("ci/app", "v1", &[child]).unwrap();
    assert_eq!(enforce(&scene), 0);
    scene.clock.advance_ms(1000);
    let newer = scene.push_image("ci/app", "v2", &[b"newer"]);
    assert_eq!(enforce(&scene), 1, "the index goes, its tagged child is counted then");
    assert!(!scene.is_visible("ci/app", index) && scene.is_visible("ci/app", newer));
    assert_eq!(enforce(&scene), 1);
    assert!(!scene.is_visible("ci/app", child));
}

#[test]
fn a_rule_takes_no_pinned_child_along() {
    let scene = with_rule(0, 1, &[]);
    let child = scene.push_image("ci/app", "", &[b"amd64"]);
    let other = scene.push_image("ci/app", "", &[b"arm64"]);
    let index = scene.push_index("ci/app", "v1", &[child, other]).unwrap();
    scene.registry.pin(&name("ci/app"), &Reference::Digest(child), "pinner").unwrap();
    scene.clock.advance_ms(1000);
    scene.push_image("ci/app", "v2", &[b"newer"]);
    assert_eq!(enforce(&scene), 2);
    assert!(!scene.is_visible("ci/app", index) && !scene.is_visible("ci/app", other));
    assert!(scene.is_visible("ci/app", child));
}
