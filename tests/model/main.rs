//! Models: the orders of the registry searched through in all states, and the registry itself held against a
//! plain account of what it has to answer.

mod orders;
mod protocol;
mod search;

#[expect(dead_code, unused_imports, reason = "shared with the other test binaries; each uses its part")]
#[path = "../support/mod.rs"]
mod support;
