//! Wharfinger: an OCI / Docker container registry whose ledger and files cannot say different things.

pub mod blobs;
pub mod config;
pub mod meta;
#[path = "../migrations/mod.rs"]
pub mod migrations;
pub mod oci;
pub mod registry;
pub mod store;
