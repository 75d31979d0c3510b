//! The `Content-Range` of a chunk: its length fits its ends, in whichever form it was written.

#![no_main]

#[path = "../../tests/properties/content_range.rs"]
mod content_range;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| content_range::check(bytes));
