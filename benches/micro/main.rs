//! What the smallest parts cost: records and keys as bytes, digests, parsing manifests, decisions of access,
//! commits in groups, and pages of rows.
//!
//! `cargo bench --bench micro`, or `-- commit` for those whose path has that word. Each module is one part;
//! all of them take about a minute. The parts without I/O are measured on one thread. Commits are synced to
//! the disk of the directory for temporary files: what they say is about that disk.

mod codec;
mod commit;
mod digest;
mod keys;
mod manifest;
mod page;
mod place;
mod policy;

fn main() {
    divan::main();
}
