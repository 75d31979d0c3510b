//! The ledger's rows: which tables there are, how keys and records are written, and the engine that keeps
//! them.
//!
//! From the bottom up: [`engine`] keeps opaque rows transactionally, [`key`] and [`codec`] turn typed keys
//! and records into bytes and back, [`tables`] names every table, and [`tx`] offers the typed operations that
//! the rest of the program uses.

pub mod codec;
pub mod engine;
pub mod key;
pub mod records;
pub mod tables;
pub mod tx;

pub use codec::CodecError;
pub use engine::{Engine, EngineError, KeyRange, Limit};
pub use key::{Newest, QueueKind, RepoId};
pub use tx::{Read, ScannedRow, Snapshot, Tx};

/// Why rows could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum MetaError {
    /// The engine failed; nothing of the operation happened.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A stored row cannot be understood: the ledger is damaged or was written by another program.
    #[error("a row of table {table} cannot be read: {source}")]
    Codec {
        /// The table's stable name.
        table: &'static str,
        /// What is wrong with the bytes.
        source: CodecError,
    },
}
