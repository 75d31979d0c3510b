//! Names of repositories: what is accepted is safe to use as a key, in a URL and in a log.

use wharfinger::oci::{NAME_MAX_BYTES, RepositoryName};

pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(name) = RepositoryName::parse(text) else { return };
    assert_eq!(name.as_str(), text);
    assert!((1..=NAME_MAX_BYTES).contains(&text.len()));
    for segment in text.split('/') {
        assert!(segment.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()));
        assert!(segment.ends_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()));
        assert!(segment.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c)));
        assert!(!segment.contains("..") && !segment.contains("___"));
    }
}

#[cfg(test)]
pub fn samples() -> Vec<Vec<u8>> {
    let long = "a/".repeat(127) + "a";
    ["a", "team/app", "a__b/c--d/e.f/g_h", "a/manifests/b", &long].map(|name| name.as_bytes().to_vec()).into()
}
