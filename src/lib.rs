//! Wharfinger: an OCI / Docker container registry whose ledger and files cannot say different things.

pub mod blobs;
pub mod meta;
#[path = "../migrations/mod.rs"]
pub mod migrations;
pub mod oci;
pub mod store;
