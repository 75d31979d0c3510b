//! Descriptors: bounded, printable, and what a plain reader sees.

use serde_json::Value;
use wharfinger::oci::Descriptor;

pub fn check(bytes: &[u8]) {
    let Ok(descriptor) = serde_json::from_slice::<Descriptor>(bytes) else { return };
    assert!(i64::try_from(descriptor.size).is_ok());
    let label = &descriptor.media_type;
    assert!((1..=255).contains(&label.len()));
    assert!(label.bytes().all(|byte| matches!(byte, b' '..=b'~')));
    // What is skipped here need not be UTF-8, and a list is taken for the fields in order: in a manifest
    // both were refused before.
    let value = serde_json::from_slice::<Value>(bytes).unwrap_or_default();
    if value.is_object() {
        assert_eq!(value["mediaType"], label.as_str());
        assert_eq!(value["digest"], descriptor.digest.to_string());
        assert_eq!(value["size"], descriptor.size);
        assert_eq!(value["urls"].as_array().is_some_and(|urls| !urls.is_empty()), descriptor.has_urls);
    }
}

#[cfg(test)]
pub fn samples() -> Vec<Vec<u8>> {
    let digest = format!("sha256:{}", "0".repeat(64));
    let plain = serde_json::json!({ "mediaType": "text/plain", "digest": digest, "size": 7 });
    let mut full = plain.clone();
    full["urls"] = serde_json::json!(["https://layers.example/"]);
    full["annotations"] = serde_json::json!({ "a": "b" });
    full["artifactType"] = "text/x".into();
    full["platform"] = serde_json::json!({ "os": "linux", "architecture": "amd64" });
    full["data"] = "e30=".into();
    [plain, full].map(|value| value.to_string().into_bytes()).into()
}
