//! Black-box tests of the HTTP interface and of the commands around it: a module per rule.

#[allow(dead_code, unused_imports, reason = "shared with the other test binaries; each uses its part")]
#[path = "../support/mod.rs"]
mod support;

mod blob_ranges;
mod blobs;
mod leases;
mod links;
mod mounts;
mod ping;
mod uploads_chunked;
mod uploads_closing;
mod uploads_digests;
mod uploads_recovery;
mod uploads_start;
mod uploads_status;
mod uploads_streamed;
