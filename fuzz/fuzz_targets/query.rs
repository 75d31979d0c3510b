//! Queries: a page keeps its limit, and the parameters of a link are read back from it.

#![no_main]

#[path = "../../tests/properties/query.rs"]
mod query;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| query::check(bytes));
