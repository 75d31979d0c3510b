//! Tags and references: a tag is safe to print, and a reference is a tag or a digest and never both.

#![no_main]

#[path = "../../tests/properties/tag.rs"]
mod tag;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| tag::check(bytes));
