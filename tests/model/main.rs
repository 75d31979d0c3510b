//! Models: the orders of the registry searched through in all states, and the registry itself held against a
//! plain account of what it has to answer.

mod account;
mod documents;
mod families;
mod graphs;
mod orders;
mod place;
mod protocol;
mod search;
mod sequences;
mod steps;

#[expect(dead_code, unused_imports, reason = "shared with the other test binaries; each uses its part")]
#[path = "../support/mod.rs"]
mod support;
