//! Digests: one spelling each, and the raw bytes give the same digest back.

#![no_main]

#[path = "../../tests/properties/digest.rs"]
mod digest;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| digest::check(bytes));
