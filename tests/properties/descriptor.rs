//! Descriptors: bounded, and what a plain reader sees.

use serde_json::Value;
use wharfinger::oci::Descriptor;

pub fn check(bytes: &[u8]) {
    let Ok(descriptor) = serde_json::from_slice::<Descriptor>(bytes) else { return };
    assert!(i64::try_from(descriptor.size).is_ok());
    let label = &descriptor.media_type;
    assert!(!label.is_empty() && label.len() <= 255 && label.bytes().all(|byte| matches!(byte, b' '..=b'~')));
    // What a descriptor does not keep is skipped, not looked at: a manifest's JSON was checked as a whole.
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return };
    assert_eq!(value["digest"], descriptor.digest.to_string());
    assert_eq!(value["size"], descriptor.size);
    assert_eq!(value["mediaType"], descriptor.media_type);
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
