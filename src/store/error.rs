//! What can go wrong below the registry's rules.

use crate::blobs::OpenDirError;
use crate::meta::engine::{self, OpenCause};
use crate::meta::{EngineError, MetaError};
use std::io;
use std::path::Path;

/// A failure of ledger or files; never a judgement on a request.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The ledger cannot be read or written, or holds something it should not.
    #[error(transparent)]
    Meta(MetaError),
    /// A file cannot be read or written.
    #[error("a file cannot be read or written: {0}")]
    Io(#[from] io::Error),
    /// There is no room for more bytes; nothing of the act happened.
    #[error(
        "the registry's disk has no room for this, or a quota or limit on its files (ulimit -f) is reached: \
         free some space and try again"
    )]
    Full,
    /// The ledger was opened anew while it was read. The same act may be tried again at once.
    #[error("the ledger was opened anew, since its disk is full; try again")]
    Reopened,
    /// A write panicked; nothing of it happened. It is a bug here.
    #[error("a write panicked: {0}")]
    Panicked(String),
}

impl From<MetaError> for StoreError {
    fn from(error: MetaError) -> Self {
        match error {
            MetaError::Engine(EngineError::Reopened) => Self::Reopened,
            error => Self::Meta(error),
        }
    }
}

/// Why a store cannot be opened, in words for the one who starts it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory is refused.
    #[error(transparent)]
    Dir(#[from] OpenDirError),
    /// The ledger is refused.
    #[error("{0}")]
    Ledger(String),
    /// The ledger was written by a newer program.
    #[error(
        "the ledger in {dir} has schema {found}, this program knows {known}: it was written by a newer \
         wharfinger; start that version (an older one never writes to a newer ledger)"
    )]
    Newer {
        /// The data directory.
        dir: String,
        /// The ledger's schema.
        found: u32,
        /// This program's.
        known: u32,
    },
    /// The ledger is to be migrated, which only a start does.
    #[error(
        "the ledger in {dir} has schema {found}, this program writes {known}: start `wharfinger serve` once, \
         which migrates it, or use the version that wrote it"
    )]
    Older {
        /// The data directory.
        dir: String,
        /// The ledger's schema.
        found: u32,
        /// This program's.
        known: u32,
    },
    /// Bringing ledger and files together failed.
    #[error("the data directory cannot be recovered: {0}")]
    Store(#[from] StoreError),
}

impl OpenError {
    pub(super) fn ledger(dir: &Path, error: &engine::OpenError) -> Self {
        let path = dir.join("ledger/ledger.redb");
        let advice = match error.cause {
            OpenCause::Damaged => "restore the directory from a backup or another copy",
            OpenCause::Full => "free some space first",
            OpenCause::OutOfReach | OpenCause::Told => {
                "make sure that nobody else uses it and that its disk works"
            }
        };
        if error.cause == OpenCause::Told {
            return Self::Ledger(format!("the ledger in {} cannot be opened: {error}", dir.display()));
        }
        Self::Ledger(format!("the ledger {} cannot be opened: {error}; {advice}", path.display()))
    }
}

impl From<MetaError> for OpenError {
    fn from(error: MetaError) -> Self {
        Self::Store(error.into())
    }
}
