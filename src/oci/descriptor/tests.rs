//! Descriptors: fields, and what is said of wrong ones.

use proptest::prelude::*;
use serde_json::json;

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
fn reads_every_field() {
    let text = json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": Digest::of(Algorithm::Sha512, b"hello"),
        "size": 5,
        "urls": ["https://example.com/hello"],
        "annotations": {"org.opencontainers.image.title": "hello.txt"},
        "artifactType": "text/plain",
        "platform": {"os": "windows", "architecture": "amd64", "os.version": "10.0"},
        "data": "aGVsbG8=",
        "unknown": [{}],
    });
    let descriptor: Descriptor = serde_json::from_value(text.clone()).unwrap();
    assert_eq!(descriptor.size, 5);
    assert_eq!(descriptor.urls, ["https://example.com/hello"]);
    assert_eq!(descriptor.annotations["org.opencontainers.image.title"], "hello.txt");
    assert_eq!(descriptor.artifact_type.as_deref(), Some("text/plain"));
    assert_eq!(descriptor.platform.as_ref().unwrap()["os.version"], "10.0");
    assert_eq!(descriptor.data.as_deref(), Some("aGVsbG8="));

    let mut known = text;
    known.as_object_mut().unwrap().remove("unknown");
    assert_eq!(serde_json::to_value(&descriptor).unwrap(), known);
}

#[test]
fn writes_no_empty_fields() {
    let descriptor: Descriptor = serde_json::from_value(hello()).unwrap();
    assert_eq!(serde_json::to_value(&descriptor).unwrap(), hello());
    for (field, value) in [
        ("urls", json!([])),
        ("urls", Value::Null),
        ("annotations", json!({})),
        ("annotations", Value::Null),
        ("artifactType", json!("")),
        ("artifactType", Value::Null),
        ("platform", Value::Null),
        ("data", Value::Null),
    ] {
        assert_eq!(with(field, value).unwrap(), descriptor, "{field}");
    }
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
    fn round_trips(
        media_type in "[ -~]{1,255}",
        content in prop::collection::vec(any::<u8>(), 0..8),
        size in 0..=u64::MAX >> 1,
        urls in prop::collection::vec("\\PC*", 0..3),
        annotations in prop::collection::btree_map("\\PC*", "\\PC*", 0..3),
        artifact_type in prop::option::of("[ -~]{1,255}"),
        os in prop::option::of("\\PC*"),
        data in prop::option::of("[a-zA-Z0-9+/=]*"),
    ) {
        let digest = Digest::of(Algorithm::Sha256, &content);
        let platform = os.map(|os| json!({"os": os}));
        let descriptor =
            Descriptor { media_type, digest, size, urls, annotations, artifact_type, platform, data };
        let text = serde_json::to_string(&descriptor).unwrap();
        prop_assert_eq!(serde_json::from_str::<Descriptor>(&text).unwrap(), descriptor);
    }
}
