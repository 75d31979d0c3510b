//! Ids of uploads and names of blob files: one spelling each, and none that leads to another directory.

#![no_main]

#[path = "../../tests/properties/session.rs"]
mod session;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| session::check(bytes));
