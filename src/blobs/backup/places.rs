//! The directories below blobs/ that are made while files are put there.

use super::files::sync_directory;
use super::make_directory;
use crate::blobs::Location;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// Makes the directories of files as they come.
#[derive(Debug)]
pub struct Places {
    blobs: PathBuf,
    /// The directories that have names that are not durable yet.
    unsynced: BTreeSet<PathBuf>,
}

impl Places {
    /// Below this directory's blobs/, which is there.
    pub fn below(root: &Path) -> Self {
        Self { blobs: root.join("blobs"), unsynced: BTreeSet::new() }
    }

    /// The place of a file, with the directories above it.
    pub fn make(&mut self, location: &Location) -> io::Result<PathBuf> {
        let directory = self.blobs.join(location.directory());
        let above = directory.parent().expect("an algorithm's directory is above").to_path_buf();
        if self.unsynced.insert(directory.clone()) {
            make_directory(&above)?;
            make_directory(&directory)?;
            self.unsynced.extend([above, self.blobs.clone()]);
        }
        Ok(directory.join(location.file_name()))
    }

    /// Makes all files that were put there durable under their names.
    pub fn sync(&mut self) -> io::Result<()> {
        self.unsynced.iter().try_for_each(|directory| sync_directory(directory))?;
        self.unsynced.clear();
        Ok(())
    }
}
