//! Keys of the ledger: bytes that are a key are the key's only bytes, and no others are taken for it.

#![no_main]

#[path = "../../tests/properties/key.rs"]
mod key;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| key::check(bytes));
