//! Settings as text: the list of `--anonymous`, and the numbers of the environment.

#![no_main]

#[path = "../../tests/properties/setting.rs"]
mod setting;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| setting::check(bytes));
