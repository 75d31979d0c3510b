//! Manifests: what is accepted reads the same for every reader, and keeps the limits.

#![no_main]

#[path = "../../tests/properties/manifest.rs"]
mod manifest;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| manifest::check(bytes));
