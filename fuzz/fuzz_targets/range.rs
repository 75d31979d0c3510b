//! The `Range` of a download: a part lies inside the content.

#![no_main]

#[path = "../../tests/properties/range.rs"]
mod range;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| range::check(bytes));
