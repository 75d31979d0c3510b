//! Tags and references: a tag is safe to print, and a reference is a tag or a digest and never both.

use wharfinger::oci::{Digest, Reference, TAG_MAX_BYTES, Tag};

pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let tag = Tag::parse(text);
    if let Ok(tag) = &tag {
        assert_eq!(tag.as_str(), text);
        assert!((1..=TAG_MAX_BYTES).contains(&text.len()) && !text.starts_with(['.', '-']));
        assert!(text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)));
    }
    let digest = Digest::parse(text);
    assert!(tag.is_err() || digest.is_err());
    match Reference::parse(text) {
        Ok(reference) => {
            assert_eq!(reference.to_string(), text);
            assert_eq!(matches!(reference, Reference::Tag(_)), tag.is_ok());
        }
        Err(_) => assert!(tag.is_err() && digest.is_err()),
    }
}

#[cfg(test)]
pub fn samples() -> Vec<Vec<u8>> {
    let digest = format!("sha256:{}", "0".repeat(64));
    let dashed = digest.replace(':', "-");
    ["v1", "latest", "_x.y-Z", &"v".repeat(128), &digest, &dashed].map(|text| text.as_bytes().to_vec()).into()
}
