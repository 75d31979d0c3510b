//! Ranges: a part lies inside the content, and a chunk's length fits its ends.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wharfinger::oci::{ContentRange, RangeRequest, resolve_range};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for size in [0, 1, 2, 1000, u64::MAX] {
        if let RangeRequest::Part { first, last } = resolve_range(Some(text), size) {
            assert!(first <= last && last < size);
        }
    }
    if let Ok(range) = ContentRange::parse(text) {
        assert!(range.first() <= range.last());
        assert_eq!(range.first().checked_add(range.len() - 1), Some(range.last()));
        let bare = format!("{}-{}", range.first(), range.last());
        assert_eq!(ContentRange::parse(&bare), Ok(range));
    }
});
