//! Crashes: the process killed, each step of an upload cut off, the power gone under the ledger; and a disk
//! without room, or on which calls fail.

mod eio;
mod full;
mod kill9;
mod memory;
mod power;
mod steps;
mod writer;

#[expect(dead_code, unused_imports, reason = "shared with the other test binaries; each uses its part")]
#[path = "../support/mod.rs"]
mod support;

use support::random;
