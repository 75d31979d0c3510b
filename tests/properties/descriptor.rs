//! Descriptors: bounded, printable, and read back as they were written.

use wharfinger::oci::Descriptor;

pub fn check(bytes: &[u8]) {
    let Ok(descriptor) = serde_json::from_slice::<Descriptor>(bytes) else { return };
    assert!(i64::try_from(descriptor.size).is_ok());
    let types = [Some(&descriptor.media_type), descriptor.artifact_type.as_ref()];
    for label in types.into_iter().flatten() {
        assert!(
            !label.is_empty() && label.len() <= 255 && label.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        );
    }
    let text = serde_json::to_string(&descriptor).expect("a descriptor is JSON");
    let again: Descriptor = serde_json::from_str(&text).expect("a descriptor is read as it was written");
    assert_eq!(again, descriptor);
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
