//! Descriptors: fields, and what is said of wrong ones.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::oci::Algorithm;

fn hello() -> Value {
    json!({
        "mediaType": "application/octet-stream",
        "digest": Digest::of(Algorithm::Sha256, b"hello"),
        "size": 5,
    })
}

fn with(field: &str, value: Value) -> Result<Descriptor, serde_json::Error> {
    let mut descriptor = hello();
    descriptor[field] = value;
    serde_json::from_value(descriptor)
}

#[test]
fn reads_what_is_acted_on() {
    let descriptor = with("urls", json!(["https://example.com/hello"])).unwrap();
    assert_eq!(descriptor.media_type, "application/octet-stream");
    assert_eq!(descriptor.digest, Digest::of(Algorithm::Sha256, b"hello"));
    assert_eq!(descriptor.size, 5);
    assert!(descriptor.has_urls);
}

#[test]
fn ignores_the_rest() {
    let descriptor: Descriptor = serde_json::from_value(hello()).unwrap();
    assert!(!descriptor.has_urls);
    for (field, value) in [
        ("urls", json!([])),
        ("urls", Value::Null),
        ("annotations", json!({"org.opencontainers.image.title": "hello.txt"})),
        ("artifactType", json!("")),
        ("artifactType", json!("text/plain")),
        ("artifactType", Value::Null),
        ("platform", json!({"os": "windows", "os.features": ["win32k"]})),
        ("data", json!("aGVsbG8=")),
        ("unknown", json!([{}])),
    ] {
        assert_eq!(with(field, value).unwrap(), descriptor, "{field}");
    }
}

#[test]
fn a_listed_manifest_has_no_empty_fields() {
    let (digest, mut annotations) = (Digest::of(Algorithm::Sha256, b"hello"), BTreeMap::new());
    let bare = ReferrerDescriptor {
        media_type: "application/octet-stream",
        digest,
        size: 5,
        annotations: &annotations,
        artifact_type: None,
    };
    assert_eq!(serde_json::to_value(&bare).unwrap(), hello());
    annotations.insert("a".to_owned(), "\u{1}".to_owned());
    let full = ReferrerDescriptor {
        media_type: "a/b",
        digest,
        size: 5,
        annotations: &annotations,
        artifact_type: Some("c/d"),
    };
    let expected = json!({
        "mediaType": "a/b", "digest": digest, "size": 5, "annotations": {"a": "\u{1}"}, "artifactType": "c/d",
    });
    assert_eq!(serde_json::to_value(&full).unwrap(), expected);
}

#[test]
fn sizes_are_int64() {
    assert_eq!(with("size", json!(0)).unwrap().size, 0);
    assert_eq!(with("size", json!(i64::MAX)).unwrap().size, (1 << 63) - 1);
    for size in
        [json!(-1), json!(1.0), json!("1"), Value::Null, json!(1_u64 << 63), json!(u64::MAX), json!([1])]
    {
        let error = with("size", size.clone()).unwrap_err().to_string();
        assert!(error.contains("size: expected a non-negative integer"), "{size}: {error}");
    }
}

#[test]
fn says_which_field_is_wrong() {
    for (field, value, expected) in [
        ("digest", Value::Null, "digest: expected a digest"),
        ("digest", json!(7), "digest: expected a digest"),
        ("digest", json!("sha256:00"), "digest: malformed digest"),
        ("digest", json!("blake3:00"), "digest: unsupported digest algorithm"),
        ("mediaType", Value::Null, "mediaType: expected a media type"),
        ("mediaType", json!(""), "mediaType: expected a media type"),
        ("mediaType", json!("a/b\n"), "mediaType: expected a media type"),
        ("mediaType", json!("a".repeat(256)), "mediaType: expected a media type"),
        ("artifactType", json!("a\u{e9}"), "artifactType: expected a media type"),
    ] {
        let error = with(field, value).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn accepts_types_that_clients_use_outside_the_grammar() {
    for media_type in ["spdx+json", "text/plain; charset=utf-8"] {
        assert_eq!(with("mediaType", json!(media_type)).unwrap().media_type, media_type);
    }
}

proptest! {
    #[test]
    fn what_a_list_shows_is_read(
        media_type in "[ -~]{1,255}",
        content in prop::collection::vec(any::<u8>(), 0..8),
        size in 0..=u64::MAX >> 1,
        annotations in prop::collection::btree_map("\\PC*", "\\PC*", 0..3),
        artifact_type in prop::option::of("[ -~]{1,255}"),
    ) {
        let digest = Digest::of(Algorithm::Sha256, &content);
        let listed = ReferrerDescriptor {
            media_type: &media_type,
            digest,
            size,
            annotations: &annotations,
            artifact_type: artifact_type.as_deref(),
        };
        let text = serde_json::to_string(&listed).unwrap();
        let expected = Descriptor { media_type: media_type.clone(), digest, size, has_urls: false };
        prop_assert_eq!(serde_json::from_str::<Descriptor>(&text).unwrap(), expected);
    }
}
