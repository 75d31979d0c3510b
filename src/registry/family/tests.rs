//! What goes with a manifest, and what stays.

use super::*;
use crate::oci::Algorithm;
use crate::registry::Round;
use crate::registry::scene::{DAY_MS, Scene, digest, image, name};
use serde_json::json;

#[test]
fn a_companion_names_its_subject() {
    let digest = Digest::of(Algorithm::Sha256, b"");
    let tags: Vec<Tag> = companions(digest).collect();
    assert_eq!(tags.len(), 4);
    for tag in tags {
        assert_eq!(subject_of_companion(&tag), Some(digest), "{tag}");
    }
    for text in ["latest", "sha256-abc", "sha256-abc.sig", "v1.sig"] {
        assert_eq!(subject_of_companion(&Tag::parse(text).unwrap()), None, "{text}");
    }
    assert!(companions(Digest::of(Algorithm::Sha512, b"")).count() < 4);
}

#[test]
fn children_go_with_their_index() {
    let scene = Scene::new(|_| {});
    let one = scene.push_image("app", "", &[b"amd64"]);
    let other = scene.push_image("app", "", &[b"arm64"]);
    let tagged = scene.push_image("app", "riscv", &[b"riscv"]);
    let index = scene.push_index("app", "v1", &[one, other, tagged]).unwrap();
    let deleted = scene.delete("app", index);
    assert_eq!((deleted.manifests, deleted.tags.len()), (3, 1));
    assert_eq!(deleted.bytes, 10, "the empty configuration is needed by the one that stays");
    assert!(!scene.is_visible("app", one) && !scene.is_visible("app", other));
    assert!(scene.is_visible("app", tagged), "a tag of its own keeps it");
    assert!(!scene.is_linked("app", digest(b"amd64")), "out of sight at once");
    scene.clock.advance_ms(DAY_MS);
    assert_eq!(scene.round().manifests, 3);
    assert!(!scene.is_stored(digest(b"amd64")) && scene.is_linked("app", digest(b"riscv")));
}

#[test]
fn a_child_of_two_indexes_goes_with_the_last() {
    let scene = Scene::new(|_| {});
    let child = scene.push_image("app", "", &[b"amd64"]);
    let one = scene.push_index("app", "v1", &[child]).unwrap();
    let more = scene.push_image("app", "", &[b"more"]);
    let other = scene.push_index("app", "v2", &[child, more]).unwrap();
    assert_eq!(scene.delete("app", one).manifests, 1);
    assert!(scene.is_visible("app", child));
    scene.delete("app", other);
    assert!(!scene.is_visible("app", child));
}

#[test]
fn nested_indexes_go_whole() {
    let scene = Scene::new(|_| {});
    let child = scene.push_image("app", "", &[b"amd64"]);
    let inner = scene.push_index("app", "", &[child]).unwrap();
    let outer = scene.push_index("app", "v1", &[inner, child]).unwrap();
    assert_eq!(scene.delete("app", outer).manifests, 3);
    scene.clock.advance_ms(DAY_MS);
    assert_eq!(scene.round().manifests, 3);
    assert!(!scene.is_stored(digest(b"amd64")));
}

#[test]
fn referrers_go_with_their_subject() {
    let scene = Scene::new(|_| {});
    let image = scene.push_image("app", "v1", &[b"layer"]);
    let signature = scene.push_referrer("app", "", image, b"signature");
    let of_signature = scene.push_referrer("app", "", signature, b"countersigned");
    let tagged = scene.push_referrer("app", "sbom", image, b"sbom");
    let before = scene.push_referrer("other", "", image, b"elsewhere");
    assert_eq!(scene.delete("app", image).manifests, 3);
    assert!(!scene.is_visible("app", signature) && !scene.is_visible("app", of_signature));
    assert!(scene.is_visible("app", tagged), "a tag of its own keeps it");
    assert!(scene.is_visible("other", before), "its subject was never there");
}

#[test]
fn companion_tags_go_with_their_subject() {
    let scene = Scene::new(|_| {});
    let image = scene.push_image("app", "v1", &[b"layer"]);
    let signature_tag = companions(image).nth(1).unwrap();
    let signature = scene.push_image("app", signature_tag.as_str(), &[b"signature"]);
    let sbom_tag = companions(image).nth(3).unwrap();
    let sbom = scene.push_image("app", sbom_tag.as_str(), &[b"sbom"]);
    scene.push_image("app", "my-sbom", &[b"sbom"]);
    let deleted = scene.delete("app", image);
    assert_eq!((deleted.manifests, deleted.tags.len()), (2, 3));
    assert!(!scene.is_visible("app", signature));
    assert!(scene.is_visible("app", sbom) && scene.tag("app", sbom_tag.as_str()).is_none());
}

/// Referrers whose rows are more than one transaction may write.
#[test]
fn a_family_too_large_for_one_transaction_goes_in_pieces() {
    let scene = Scene::new(|_| {});
    let subject = scene.push_image("app", "v1", &[b"layer"]);
    let mut referrers = Vec::new();
    for number in 0..20 {
        let mut manifest = image(&[b"layer"]);
        manifest["subject"] = json!({"mediaType": "text/x", "digest": subject, "size": 1});
        manifest["annotations"] = json!({"number": number.to_string(), "much": "x".repeat(250_000)});
        referrers.push(scene.push("app", "", &manifest).unwrap());
    }
    let deleted = scene.delete("app", subject);
    assert!((2..21).contains(&deleted.manifests), "{deleted:?}");
    assert_eq!(scene.registry.verify(false).unwrap().violations, [], "between the pieces");
    scene.round();
    assert!(referrers.iter().all(|referrer| !scene.is_visible("app", *referrer)));
    assert_eq!(scene.undelete("app", &subject.to_string()).unwrap().manifests, 21);
    assert!(referrers.iter().all(|referrer| scene.is_visible("app", *referrer)));
    scene.delete("app", subject);
    scene.clock.advance_ms(DAY_MS);
    assert_eq!(scene.round().manifests, 21, "what went later has the end of what it went with");
    assert!(!scene.is_stored(digest(b"layer")));
}

/// Two who push and one who cleans up never meet a refusal: what is deleted is still there for a push.
#[test]
fn a_push_of_an_index_brings_its_deleted_children_back() {
    let scene = Scene::new(|_| {});
    let child = scene.push_image("app", "", &[b"amd64"]);
    let old = scene.push_index("app", "v1", &[child]).unwrap();
    let size = scene.registry.stat_manifest(&name("app"), &child.to_string().parse().unwrap()).unwrap().size;
    scene.delete("app", old);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": child, "size": size,
            "platform": {"os": "linux", "architecture": "amd64"},
        }],
    });
    let new = scene.push("app", "v1", &manifest).unwrap();
    assert!(scene.is_visible("app", child) && scene.is_linked("app", digest(b"amd64")));
    scene.clock.advance_ms(DAY_MS);
    scene.round();
    assert!(scene.is_visible("app", new) && scene.is_linked("app", digest(b"amd64")));
}

/// The children of a deleted index are due with it, and stand before it in the queue or behind it.
#[test]
fn few_steps_at_a_time_get_through_a_large_index() {
    let scene = Scene::new(|_| {});
    let children: Vec<Digest> = (0..12_u8).map(|number| scene.push_image("app", "", &[&[number]])).collect();
    let index = scene.push_index("app", "v1", &children).unwrap();
    scene.delete("app", index);
    scene.clock.advance_ms(DAY_MS);
    let mut manifests = 0;
    for _ in 0..200 {
        manifests += scene.registry.collect(Round { ends_keeping: false, steps: 2 }).unwrap().manifests;
    }
    assert_eq!(manifests, 13);
}

/// Nothing more goes of it, and so nothing more is asked.
#[test]
fn a_family_of_which_the_rest_stays_is_done_with() {
    let scene = Scene::new(|_| {});
    let subject = scene.push_image("app", "v1", &[b"layer"]);
    let index = scene.push_index("app", "all", &[subject]).unwrap();
    for number in 0..40 {
        let mut manifest = image(&[b"layer"]);
        manifest["subject"] = json!({"mediaType": "text/x", "digest": index, "size": 1});
        manifest["annotations"] = json!({"number": number.to_string(), "much": "x".repeat(250_000)});
        let tag = if number % 2 == 0 { format!("kept-{number}") } else { String::new() };
        scene.push("app", &tag, &manifest).unwrap();
    }
    scene.delete("app", index);
    scene.round();
    scene.registry.collect_now().unwrap();
    let referrers = scene.registry.referrers(&name("app"), index, None, None).unwrap();
    assert!(!referrers.descriptors.is_empty(), "those with a tag stay");
    let left = scene.registry.repository(&name("app"), None, 100).unwrap();
    assert_eq!((left.usage.manifests, left.deleted.manifests), (21, 0));
}

#[test]
fn nothing_kept_means_that_all_of_a_large_family_goes() {
    let scene = Scene::new(|config| config.settings.keep_deleted_secs = 0);
    let subject = scene.push_image("app", "v1", &[b"layer"]);
    for number in 0..40 {
        let mut manifest = image(&[b"layer"]);
        manifest["subject"] = json!({"mediaType": "text/x", "digest": subject, "size": 1});
        manifest["annotations"] = json!({"number": number.to_string(), "much": "x".repeat(250_000)});
        scene.push("app", "", &manifest).unwrap();
    }
    scene.delete("app", subject);
    assert_eq!(scene.round().manifests, 41);
    assert!(!scene.is_stored(digest(b"layer")));
}
