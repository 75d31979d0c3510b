//! Crashes: the process killed, each step of an upload cut off, and the power gone under the ledger.

mod kill9;
mod power;
mod steps;

#[expect(dead_code, unused_imports, reason = "shared with the other test binaries; each uses its part")]
#[path = "../support/mod.rs"]
mod support;

use support::random;
