//! What every test binary shares: a server of its own, a client, documents to push, and the check of the
//! whole data directory at the end of a test.
//!
//! A test begins with `Server::start()`. When the server value goes out of scope it is stopped cleanly and
//! `wharfinger verify --deep` must find nothing, so each test also tests the invariants.

pub mod accounts;
pub mod builders;
pub mod bytes;
pub mod canaries;
pub mod client;
pub mod command;
pub mod files;
pub mod ledger;
pub mod process;
pub mod random;
pub mod raw;
pub mod reply;
pub mod server;
pub mod skip;
pub mod tls;
pub mod tmpfs;
pub mod uploads;
pub mod wait;

pub use builders::{ImageBuilder, IndexBuilder, Manifest};
pub use client::Client;
pub use reply::Reply;
pub use server::Server;
