//! IDENTITY: it is believed only if it is the one that was written.

#![no_main]

#[path = "../../tests/properties/identity.rs"]
mod identity;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| identity::check(bytes));
