//! Copying the ledger while its registry goes on, and keeping the files that the copy names.

use super::{CopiedLedger, Store, StoreError};
use crate::blobs::{LedgerCopyDir, is_full};
use crate::meta::{EngineError, MetaError};
use std::path::Path;
use std::sync::{MutexGuard, PoisonError};

/// While it lives, no collected file is unlinked: whatever a row named when this was taken is still there.
pub struct FilesHeld<'a>(&'a Store);

impl Drop for FilesHeld<'_> {
    fn drop(&mut self) {
        *self.0.files_held() -= 1;
    }
}

/// A copy of the ledger with the directory that holds it. Both go with it, unless somebody moved them.
pub struct LedgerCopy<'a> {
    // Dropped in this order: the files are free when the copy is gone.
    directory: LedgerCopyDir,
    /// What it holds.
    pub copied: CopiedLedger,
    _held: FilesHeld<'a>,
}

impl LedgerCopy<'_> {
    /// The directory, laid out as a data directory that has nothing but its ledger.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.directory.root()
    }
}

impl Store {
    /// Keeps collected files from being unlinked. Rows go on as ever: an unlinking that has begun is waited
    /// for.
    #[must_use]
    pub fn hold_files(&self) -> FilesHeld<'_> {
        *self.files_held() += 1;
        FilesHeld(self)
    }

    /// Whether somebody keeps collected files from being unlinked.
    #[must_use]
    pub fn holds_files(&self) -> bool {
        *self.files_held() > 0
    }

    pub(super) fn files_held(&self) -> MutexGuard<'_, usize> {
        // It guards a number that is changed in one step.
        self.files_held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes into an empty directory what a ledger as of now can be rebuilt from.
    pub fn copy_ledger(&self, directory: &Path) -> Result<CopiedLedger, StoreError> {
        match self.engine.copy_to(directory) {
            // The ledger, on a full disk, was opened anew; what is in the directory is only a part.
            Err(EngineError::Reopened) => Err(StoreError::Reopened),
            outcome => Ok(outcome.map_err(MetaError::from)?),
        }
    }

    /// A copy of the ledger inside the data directory, with every file that it names kept as long as it
    /// lives. `number` tells it from others.
    pub fn copy_ledger_and_hold(&self, number: u64) -> Result<LedgerCopy<'_>, StoreError> {
        // Before the copy: a file that it names may be collected right afterwards.
        let held = self.hold_files();
        // Nothing of the registry itself rests on it, so a failed sync is no more than a failed copy.
        let io = |error: std::io::Error| if is_full(&error) { StoreError::Full } else { error.into() };
        let directory = self.dir.make_ledger_copy_directory(number).map_err(io)?;
        let copied = self.copy_ledger(&directory.ledger())?;
        Ok(LedgerCopy { directory, copied, _held: held })
    }
}
