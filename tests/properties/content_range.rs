//! The `Content-Range` of a chunk: its length fits its ends, in whichever form it was written.

use wharfinger::oci::ContentRange;

pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(range) = ContentRange::parse(text) else { return };
    assert!(range.first() <= range.last() && range.last() < u64::MAX);
    assert_eq!(range.first().checked_add(range.len() - 1), Some(range.last()));
    let bare = format!("{}-{}", range.first(), range.last());
    for form in [bare.clone(), format!("bytes {bare}/*"), format!("bytes={bare}")] {
        assert_eq!(ContentRange::parse(&form), Ok(range));
    }
}

#[cfg(test)]
pub fn samples() -> Vec<Vec<u8>> {
    ["0-1023", "bytes 5-9/10", "bytes=5-9/*", " 7-7\t", "0-18446744073709551614"]
        .map(|text| text.as_bytes().to_vec())
        .into()
}
