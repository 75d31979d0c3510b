//! Paths: what is found at one is found again at the path that is written for it.

#![no_main]

#[path = "../../tests/properties/route.rs"]
mod route;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| route::check(bytes));
