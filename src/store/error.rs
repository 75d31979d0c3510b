//! What can go wrong below the registry's rules.

use crate::blobs::OpenDirError;
use crate::meta::MetaError;
use crate::meta::engine;
use std::io;
use std::path::Path;

/// A failure of ledger or files; never a judgement on a request.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The ledger cannot be read or written, or holds something it should not.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// A file cannot be read or written.
    #[error("a file cannot be read or written: {0}")]
    Io(#[from] io::Error),
    /// There is no room for more bytes.
    #[error("no space is left on the registry's disk")]
    Full,
    /// A write panicked; nothing of it happened. It is a bug here.
    #[error("a write panicked: {0}")]
    Panicked(String),
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
    /// Bringing ledger and files together failed.
    #[error("the data directory cannot be recovered: {0}")]
    Store(#[from] StoreError),
}

impl OpenError {
    pub(super) fn ledger(dir: &Path, error: &engine::OpenError) -> Self {
        let path = dir.join("ledger/ledger.redb");
        let advice = if error.damaged {
            "it is damaged, or was copied while it was written; restore the directory from a backup that was \
             made of a stopped registry"
        } else {
            "make sure that nobody else uses it and that its disk works"
        };
        Self::Ledger(format!("the ledger {} cannot be opened: {error}; {advice}", path.display()))
    }
}

impl From<MetaError> for OpenError {
    fn from(error: MetaError) -> Self {
        Self::Store(error.into())
    }
}
