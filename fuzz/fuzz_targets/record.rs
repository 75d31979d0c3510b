//! Records of the ledger: bytes that are taken for a record give one that is written and read as itself.

#![no_main]

#[path = "../../tests/properties/record.rs"]
mod record;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| record::check(bytes));
