//! The `Range` of a download: a part lies inside the content.

use wharfinger::oci::{RangeRequest, resolve_range};

pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for size in [0, 1, 2, 1000, u64::MAX] {
        match resolve_range(Some(text), size) {
            RangeRequest::Part { first, last } => {
                assert!(first <= last && last < size);
                // What is asked for exactly is answered exactly.
                let exact = format!("bytes={first}-{last}");
                assert_eq!(resolve_range(Some(&exact), size), RangeRequest::Part { first, last });
            }
            RangeRequest::Whole => {}
            // Only what asks for bytes can ask for those that are not there.
            RangeRequest::Unsatisfiable => assert!(text.to_ascii_lowercase().contains("bytes")),
        }
    }
}

#[cfg(test)]
pub fn samples() -> Vec<Vec<u8>> {
    ["bytes=0-99", "bytes=5-", "bytes=-7", "Bytes = 1-1", "bytes=0-0,5-6", "bytes=18446744073709551615-"]
        .map(|text| text.as_bytes().to_vec())
        .into()
}
