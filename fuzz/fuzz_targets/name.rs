//! Names of repositories: what is accepted is safe to use as a key, in a URL and in a log.

#![no_main]

#[path = "../../tests/properties/name.rs"]
mod name;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| name::check(bytes));
