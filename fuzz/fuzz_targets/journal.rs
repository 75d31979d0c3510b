//! Segments of the journal: what counts is what was written, from the first frame on.

#![no_main]

#[path = "../../tests/properties/journal.rs"]
mod journal;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| journal::check(bytes));
