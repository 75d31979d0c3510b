//! Payloads of frames and blocks: bytes that are changes of rows are those changes' only bytes.

#![no_main]

#[path = "../../tests/properties/changes.rs"]
mod changes;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| changes::check(bytes));
