//! The registry over HTTP: distribution-spec 1.1 as the clients in the field use it.
//!
//! [`listen`] makes connections, [`app`] takes a request from its path to its answer, [`error`] is the one
//! table of refusals, and there is a file for each noun. A call into the registry hops to a thread that may
//! block, but for short reads of the ledger (`reply::short_read`).

pub mod app;
pub mod end_point;
pub mod error;
pub mod limits;
pub mod listen;
pub mod login;
pub mod origin;
pub mod query;
pub mod rights;
pub mod route;
pub mod state;
pub mod tls;

mod admit;
mod audit;
mod blobs;
mod body;
mod call;
mod challenge;
mod conditions;
mod connection;
mod extensions;
mod manifests;
mod metrics;
mod outlet;
mod pace;
mod probes;
mod referrers;
mod reply;
mod reports;
mod tags;
mod tally;
mod token;
mod uploads;
