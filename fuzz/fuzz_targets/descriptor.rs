//! Descriptors: bounded, printable, and read back as they were written.

#![no_main]

#[path = "../../tests/properties/descriptor.rs"]
mod descriptor;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| descriptor::check(bytes));
