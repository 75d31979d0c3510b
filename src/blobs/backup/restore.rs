//! Restoring: an empty directory becomes a data directory with what a backup, or a copy of a data directory,
//! has.
//!
//! Files are copied, or share blocks that the file system copies when they change; none gets a second name.
//! What happens to a file of the registry later (damage, a change of its mode) must not happen to the backup.

use super::files::{blob_files, create, options, sync_directory};
use super::goods::{clone_or_copy, copy_bytes};
use super::places::Places;
use super::{
    BackupRefusal, LEDGER, MARKER, NEXT_LEDGER, OLD_LEDGER, copy_directory, expect_no_mixture, first_entry,
    is_directory, make_directory, refusal, write_marker,
};
use crate::blobs::{Location, lock, root};
use crate::disk::{RealDisk, synced};
use crate::oci::Algorithm;
use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use tar::Archive;

/// A directory that something is restored to. Until that is whole, no registry starts on it.
#[derive(Debug)]
pub struct RestoreDir {
    root: PathBuf,
    places: Places,
    files: u64,
    bytes: u64,
}

impl RestoreDir {
    /// Takes a directory that is empty, or makes it.
    pub fn open(path: &Path) -> Result<Self, BackupRefusal> {
        root::make(&RealDisk, path)?;
        if let Some(found) = first_entry(path, &[])? {
            return Err(BackupRefusal::NotEmpty { root: path.to_path_buf(), path: found });
        }
        let begin = || {
            for part in [NEXT_LEDGER, "blobs", "uploads"] {
                make_directory(&path.join(part))?;
            }
            sync_directory(path)
        };
        begin().map_err(|source| refusal(path, source))?;
        Ok(Self { root: path.to_path_buf(), places: Places::below(path), files: 0, bytes: 0 })
    }

    /// Refuses what is no backup and no copy of a data directory, and what somebody has open.
    pub fn expect_source(source: &Path) -> Result<(), BackupRefusal> {
        check_source(source).map(drop)
    }

    /// How many blob files were restored, and how many bytes they have.
    #[must_use]
    pub const fn restored(&self) -> (u64, u64) {
        (self.files, self.bytes)
    }

    /// Copies a backup, or a copy of a data directory, that nobody has open.
    pub fn copy_from(&mut self, source: &Path, tell: &mut dyn FnMut(u64, u64)) -> Result<(), BackupRefusal> {
        let ledger = check_source(source)?;
        let blobs = source.join("blobs");
        let mut copy = || {
            for algorithm in Algorithm::ALL {
                for prefix in 0..=255 {
                    for (location, size) in
                        blob_files(&blobs, algorithm, prefix)?.into_iter().filter_map(Result::ok)
                    {
                        let from = options().write(false).open(blobs.join(location.path()))?;
                        let to = self.places.make(&location)?;
                        clone_or_copy(&from, &to, size, &mut |_| {})?;
                        self.count(size);
                        tell(self.files, self.bytes);
                    }
                }
            }
            copy_directory(&ledger, &self.root.join(NEXT_LEDGER))?;
            self.end()
        };
        copy().map_err(|source| refusal(&self.root, source))
    }

    fn count(&mut self, size: u64) {
        self.files += 1;
        self.bytes += size;
    }

    /// Gives the ledger its name, when all else is durable.
    fn end(&mut self) -> io::Result<()> {
        self.places.sync()?;
        sync_directory(&self.root.join(NEXT_LEDGER))?;
        write_marker(&self.root, "restored from a backup, and not served yet\n")?;
        fs::rename(self.root.join(NEXT_LEDGER), self.root.join(LEDGER))?;
        sync_directory(&self.root)
    }
}

/// Where the ledger of a source is. One that somebody writes to is refused.
fn check_source(source: &Path) -> Result<PathBuf, BackupRefusal> {
    if let Some(held) = lock::in_use(source) {
        return Err(held.into());
    }
    expect_no_mixture(source)?;
    let ledgers = [LEDGER, OLD_LEDGER].map(|name| source.join(name));
    let has_files = |directory: &PathBuf| {
        is_directory(directory).unwrap_or(false)
            && fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some())
    };
    ledgers.into_iter().find(has_files).ok_or_else(|| BackupRefusal::NoLedger(source.to_path_buf()))
}

/// What an entry of a stream is.
enum Entry {
    Directory,
    Blob(Location),
    Ledger(PathBuf),
    Marker,
}

/// Restores what [`super::TarBackup`] wrote. Another tar of a backup has its marker anywhere, so whether it
/// is whole cannot be known: that is to be unpacked first.
pub fn restore_tar(
    stream: impl Read,
    target: &mut RestoreDir,
    tell: &mut dyn FnMut(u64, u64),
) -> Result<(), BackupRefusal> {
    let mut is_whole = false;
    let read = || {
        let mut archive = Archive::new(stream);
        for entry in archive.entries()? {
            let mut entry = entry?;
            let path = entry.path()?.into_owned();
            let kind = entry.header().entry_type();
            let size = entry.size();
            // It comes last: what comes behind it is another's, or the stream was cut off before its end.
            is_whole = false;
            let to = match entry_of(&path, kind)? {
                Entry::Directory => continue,
                Entry::Marker => {
                    is_whole = true;
                    continue;
                }
                Entry::Blob(location) => {
                    target.count(size);
                    target.places.make(&location)?
                }
                Entry::Ledger(name) => target.root.join(NEXT_LEDGER).join(name),
            };
            let mut file = create(&to)?;
            copy_bytes(&mut entry, &mut file, size, &mut |_| {})?;
            synced(file.sync_all())?;
            tell(target.files, target.bytes);
        }
        Ok(())
    };
    read().map_err(|error: io::Error| {
        BackupRefusal::Stream(format!("the stream cannot be restored: {error}"))
    })?;
    if !is_whole {
        return Err(BackupRefusal::Stream("the stream is no backup, or not the whole of one".to_owned()));
    }
    target.end().map_err(|source| refusal(&target.root, source))
}

/// Judges an entry: nothing is written but to places that a backup has.
fn entry_of(path: &Path, kind: tar::EntryType) -> io::Result<Entry> {
    let parts: Option<Vec<&str>> = path
        .components()
        .filter(|part| *part != Component::CurDir)
        .map(|part| match part {
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
        .collect();
    let strange = || io::Error::other(format!("{} is no part of a backup", path.display()));
    match (parts.as_deref().ok_or_else(strange)?, kind) {
        ([] | [LEDGER | "blobs" | "uploads"] | ["blobs", _] | ["blobs", _, _], tar::EntryType::Directory) => {
            Ok(Entry::Directory)
        }
        (["blobs", algorithm, _, name], tar::EntryType::Regular) => {
            Location::parse(algorithm, name).map(Entry::Blob).ok_or_else(strange)
        }
        ([LEDGER, name], tar::EntryType::Regular) => Ok(Entry::Ledger(PathBuf::from(name))),
        ([MARKER], tar::EntryType::Regular) => Ok(Entry::Marker),
        _ => Err(strange()),
    }
}
