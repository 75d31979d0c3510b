//! Manifests: what is accepted reads the same for every reader, and keeps the limits.

use std::collections::HashSet;

use serde_json::Value;
use wharfinger::oci::{Manifest, ManifestKind, ManifestLimits, Role};

pub fn check(bytes: &[u8]) {
    let limits = ManifestLimits { references_max: 50, annotations_bytes_max: 500 };
    let Ok(manifest) = Manifest::parse(bytes, None, &limits) else { return };
    let again =
        Manifest::parse(bytes, Some(manifest.media_type()), &limits).expect("the type was decided before");
    assert_eq!(again, manifest);
    assert_eq!(ManifestKind::of_media_type(manifest.media_type()), Some(manifest.kind()));

    // A plain reader sees an object with the same number of things in it.
    let value: Value = serde_json::from_slice(bytes).expect("accepted bytes are JSON");
    let list = match manifest.kind() {
        ManifestKind::Image => &value["layers"],
        ManifestKind::Index => &value["manifests"],
        ManifestKind::Artifact => &value["blobs"],
    };
    let described = list.as_array().into_iter().flatten().chain(value.get("config"));
    let described: HashSet<&str> = described.filter_map(|entry| entry["digest"].as_str()).collect();
    assert_eq!(described.len(), manifest.references().len());
    assert_eq!(value.get("subject").is_some_and(|subject| !subject.is_null()), manifest.subject().is_some());

    for reference in manifest.references() {
        assert!(described.contains(reference.descriptor.digest.to_string().as_str()));
        assert!(reference.required || reference.role == Role::Layer);
    }
    assert!(manifest.references().len() <= limits.references_max);
    if manifest.subject().is_some() {
        let annotations = serde_json::to_string(manifest.annotations()).expect("strings are JSON");
        assert!(annotations.len() <= limits.annotations_bytes_max);
    } else {
        assert!(manifest.annotations().is_empty(), "only lists of referrers show them");
    }
}

#[cfg(test)]
pub fn samples() -> Vec<Vec<u8>> {
    let seeds = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/manifest");
    let entries = std::fs::read_dir(seeds).expect("the fuzzer's seeds");
    entries.map(|entry| std::fs::read(entry.expect("a seed").path()).expect("a seed")).collect()
}
