//! IDENTITY: it is believed only if it is the one that was written.

use wharfinger::meta::engine::redb::readers;

/// The segments that the samples name: a usual name, none, the longest.
const NAMES: [&str; 3] = [
    "journal-0000000000000042.00c0ffee",
    "",
    "journal-0000000000000042.00c0ffee-and-as-much-more-as-there-is-r",
];

pub fn check(bytes: &[u8]) {
    let Some(found) = readers::read_identity(bytes).expect("memory can be read") else { return };
    assert!(bytes.starts_with(&found), "it says more than its bytes");
    assert!(NAMES.iter().any(|name| readers::identity(name) == found), "nobody wrote that");
}

#[cfg(test)]
pub fn samples() -> Vec<Vec<u8>> {
    let samples: Vec<_> = NAMES.iter().map(|name| readers::identity(name)).collect();
    for sample in &samples {
        assert_eq!(readers::read_identity(sample).expect("memory can be read").as_ref(), Some(sample));
    }
    samples
}
