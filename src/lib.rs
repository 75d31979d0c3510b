//! Wharfinger: an OCI / Docker container registry whose ledger and files cannot say different things.

pub mod meta;
pub mod oci;
