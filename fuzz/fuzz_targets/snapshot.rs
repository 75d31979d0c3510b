//! Snapshots: what counts is what was written, and whole is only what has all of it.

#![no_main]

#[path = "../../tests/properties/snapshot.rs"]
mod snapshot;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| snapshot::check(bytes));
