//! Wharfinger: an OCI / Docker container registry whose ledger and files cannot say different things.
//!
//! The map, in the order of the data; each module knows only those behind it: [`cli`] and [`http`] take what
//! people and clients ask for, [`auth`] says whether they may, [`registry`] has the rules, [`store`] commits,
//! [`meta`] keeps the rows, [`blobs`] the files, [`disk`] is what both are on, [`oci`] has the types they all
//! share. `docs/ARCHITECTURE.md` says more.
//!
//! # Invariants
//! `wharfinger verify` checks them, and every test ends by checking them.
//!
//! - I1: a blob row that is not marked as damaged implies a synced file of exactly that size and digest at
//!   the row's location. A marked one counts as not there, whoever asks, until the blob is pushed again.
//! - I2: a file without a row is an upload in progress, a tombstone not yet unlinked, a damaged file not yet
//!   moved to damaged/, or debris of an upload that the start finds by its name in uploads/.
//! - I3: a visible manifest implies that everything it references is linked in the same repository (exempt:
//!   `subject`, foreign layers, children of an index that was pushed where the settings allow sparse ones).
//!   Where that lacks bytes since the data directory was copied, it is answered as if it were not there.
//! - I4: a tag names a visible manifest of its repository.
//! - I5: no success is said before the commit is durable.
//! - I6: a blob's file is written once, under a name that is never used again.
//! - I7: liveness is rows (referenced digest, repository, manifest), never a counter.
//! - I8: every answer about existence reads one committed snapshot. There is no descriptor cache.
//! - I9: deleting is one transaction an object: the row goes and the file's tombstone appears together; the
//!   file is unlinked only after that, and a tombstone is replayed until it is gone.
//! - I10: a blob is linked in a repository while a visible manifest there references it or a live lease names
//!   it.
//! - I11: every size and count that is shown as that of a repository or the registry changes in the
//!   transaction that changes what it counts.
//! - I12: the name of an access token is no other token's.

pub mod auth;
pub mod blobs;
pub mod cli;
pub mod config;
pub mod disk;
pub mod http;
pub mod meta;
pub mod meters;
#[path = "../migrations/mod.rs"]
pub mod migrations;
pub mod oci;
pub mod random;
pub mod registry;
pub mod store;
