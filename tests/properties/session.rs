//! Ids of uploads and names of blob files: one spelling each, and none that leads to another directory.

use wharfinger::blobs::Location;
use wharfinger::oci::SessionId;

pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(session) = SessionId::parse(text) {
        assert_eq!(session.to_string(), text);
        assert_eq!(SessionId::from_bytes(*session.bytes()), session);
    }
    for algorithm in ["sha256", "sha512", "..", ""] {
        let Some(location) = Location::parse(algorithm, text) else { continue };
        assert_eq!(location.file_name(), text);
        assert_eq!(location.digest.algorithm().as_str(), algorithm);
        assert_eq!(location.path().iter().count(), 3);
    }
}

#[cfg(test)]
pub fn samples() -> Vec<Vec<u8>> {
    let session = "0123456789abcdef".repeat(2);
    let file = format!("{}.{session}", "0".repeat(64));
    [session, file, format!("{}.{}", "f".repeat(128), "0".repeat(32))].map(String::into_bytes).into()
}
