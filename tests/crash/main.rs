//! Crashes: the process killed, each step of an upload cut off, and the power gone under the ledger.

mod power;
mod random;
