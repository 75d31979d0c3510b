//! Black-box tests of the HTTP interface and of the commands around it: a module per rule.

#[allow(dead_code, unused_imports, reason = "shared with the other test binaries; each uses its part")]
#[path = "../support/mod.rs"]
mod support;

mod ping;
