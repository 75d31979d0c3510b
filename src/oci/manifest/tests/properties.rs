//! Manifests made at random: those by the rules are read back, and no bytes cause a panic.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

/// Descriptors of few contents, so that some stand twice, some of them foreign.
fn any_descriptors() -> impl Strategy<Value = Vec<Value>> {
    let media_type = prop::sample::select(vec![LAYER, DOCKER_FOREIGN_LAYER, OCI_EMPTY, "text/plain"]);
    let any_descriptor = (media_type, "[a-d]{1,2}", any::<bool>()).prop_map(|(media_type, content, urls)| {
        let mut made = descriptor(media_type, &content);
        if urls {
            made["urls"] = json!(["https://example.com/"]);
        }
        made
    });
    prop::collection::vec(any_descriptor, 0..8)
}

/// A manifest by the rules, its kind, and the descriptors it is made of.
fn any_manifest() -> impl Strategy<Value = (Value, ManifestKind, Vec<Value>)> {
    let kind = prop::sample::select(vec![ManifestKind::Image, ManifestKind::Index, ManifestKind::Artifact]);
    (kind, any_descriptors(), any::<bool>(), "[a-z]{0,3}").prop_map(
        |(kind, entries, docker, artifact_type)| {
            let (made, field) = match kind {
                ManifestKind::Image => (image(), "layers"),
                ManifestKind::Index => (index(), "manifests"),
                ManifestKind::Artifact => (artifact(), "blobs"),
            };
            let mut all: Vec<Value> = made.get("config").into_iter().cloned().collect();
            let made = with(with(made, field, json!(entries)), "artifactType", json!(artifact_type));
            all.extend(entries);
            let made = match (docker, kind) {
                (true, ManifestKind::Image) => with(made, "mediaType", json!(DOCKER_MANIFEST)),
                (true, ManifestKind::Index) => with(made, "mediaType", json!(DOCKER_MANIFEST_LIST)),
                _ => made,
            };
            (made, kind, all)
        },
    )
}

fn is_foreign(entry: &Value) -> bool {
    entry.get("urls").is_some() || entry["mediaType"] == DOCKER_FOREIGN_LAYER
}

proptest! {
    #[test]
    fn manifests_by_the_rules_are_read((made, kind, entries) in any_manifest()) {
        let parsed = parse(&made, None).unwrap();
        prop_assert_eq!(parsed.kind(), kind);
        prop_assert_eq!(parsed.media_type(), made["mediaType"].as_str().unwrap());
        prop_assert_eq!(parse(&made, Some(parsed.media_type())), Ok(parsed.clone()));

        let expected: HashSet<&str> = entries.iter().map(|entry| entry["digest"].as_str().unwrap()).collect();
        let found: Vec<String> =
            parsed.references().iter().map(|reference| reference.descriptor.digest.to_string()).collect();
        prop_assert_eq!(found.len(), expected.len());
        prop_assert!(found.iter().all(|digest| expected.contains(digest.as_str())));
        for reference in parsed.references() {
            let digest = reference.descriptor.digest.to_string();
            let mut same = entries.iter().filter(|entry| entry["digest"] == digest.as_str());
            let needed = kind == ManifestKind::Index
                || reference.role == Role::Config
                || same.any(|entry| !is_foreign(entry));
            prop_assert_eq!(reference.required, needed);
        }
    }

    #[test]
    fn one_changed_byte_is_never_a_panic(
        (made, ..) in any_manifest(),
        at in any::<prop::sample::Index>(),
        with in any::<u8>(),
    ) {
        let mut bytes = made.to_string().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = with;
        if let Ok(parsed) = Manifest::parse(&bytes, None, &ManifestLimits::default()) {
            // What is accepted reads the same again under the type that was decided.
            let again = Manifest::parse(&bytes, Some(parsed.media_type()), &ManifestLimits::default());
            prop_assert_eq!(again, Ok(parsed));
        }
    }

    #[test]
    fn a_truncated_manifest_is_refused((made, ..) in any_manifest(), at in any::<prop::sample::Index>()) {
        let text = made.to_string();
        let text = &text[..at.index(text.len())];
        let parsed = Manifest::parse(text.as_bytes(), None, &ManifestLimits::default());
        prop_assert!(matches!(parsed, Err(ManifestError::Json(_))));
    }

    #[test]
    fn no_header_and_no_bytes_are_a_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        (made, ..) in any_manifest(),
        header in "\\PC*",
    ) {
        let limits = ManifestLimits::default();
        prop_assert!(Manifest::parse(&bytes, Some(&header), &limits).is_err());
        let parsed = Manifest::parse(made.to_string().as_bytes(), Some(&header), &limits);
        prop_assert!(parsed.is_err() || crate::oci::essence(&header).is_empty());
    }
}
