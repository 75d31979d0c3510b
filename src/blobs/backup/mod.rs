//! Backups: directories with the layout of a data directory, each made of one committed point of a registry.
//!
//! A backup has a file BACKUP, which a data directory has not: where it is missing, nothing is written over.
//! A new point's ledger is written to ledger.next/ while the files that it needs are taken; then it changes
//! places with ledger/, and only then the files go that nothing needs any more. So a backup that is cut off
//! leaves the point before it, and the next one begins again. ledger.next/ without ledger/ is a first backup,
//! or a restore, that was cut off: no registry starts on it.

mod files;
mod goods;
mod places;
mod restore;
mod tar;

pub use goods::Goods;
pub use restore::{RestoreDir, restore_tar};
pub use tar::TarBackup;

use super::data_dir::{OpenDirError, io_refusal};
use super::{Damage, Location, lock, root};
use crate::disk::{RealDisk, synced};
use crate::oci::Algorithm;
use files::{blob_files, listed, options, remove_if_there, sync_directory};
use goods::{clone_or_copy, copy_whole};
use places::Places;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Says that a directory is a backup, and of what.
const MARKER: &str = "BACKUP";
const LEDGER: &str = "ledger";
/// The ledger of the next point until all that it needs is there, and that of the last one afterwards.
const NEXT_LEDGER: &str = "ledger.next";
/// The ledger of the last point, for the moment in which it changes places with the next one, where the file
/// system cannot do that in one step.
const OLD_LEDGER: &str = "ledger.old";
/// A file that is being copied, in uploads/.
const PART: &str = "part";
/// What the names of copies of the ledger inside a data directory begin with.
const LEDGER_COPY: &str = "ledger-copy-";

/// Why a directory cannot take or give a backup, in words for the one who asked for it.
#[derive(Debug, thiserror::Error)]
pub enum BackupRefusal {
    /// The directory cannot be used as any other of ours.
    #[error(transparent)]
    Dir(#[from] OpenDirError),
    /// It has things in it and is no backup.
    #[error(
        "{root} has things in it, such as {path}, and is no backup (one has a file BACKUP, until it is \
         served): choose an empty directory, or one that is not there yet"
    )]
    NoBackup {
        /// The directory.
        root: PathBuf,
        /// One of the things.
        path: PathBuf,
    },
    /// It is the data directory, or inside it.
    #[error("{root} is the data directory {data} or inside it: choose a place outside, best on another disk")]
    Inside {
        /// The directory.
        root: PathBuf,
        /// The data directory.
        data: PathBuf,
    },
    /// What is to be restored has no ledger.
    #[error("{0} is no backup: it has no ledger, so nothing was restored")]
    NoLedger(PathBuf),
    /// Where something is to be restored to there is something.
    #[error(
        "{root} has things in it, such as {path}: restore into an empty directory, or one that is not there \
         yet; two registries must not mix"
    )]
    NotEmpty {
        /// The directory.
        root: PathBuf,
        /// One of the things.
        path: PathBuf,
    },
    /// A stream is no backup, or not the whole of one.
    #[error("{0}; nothing that is there may be served: remove it, and restore again from a whole backup")]
    Stream(String),
}

fn refusal(path: &Path, source: io::Error) -> BackupRefusal {
    io_refusal(path, source).into()
}

/// What was done about a file that a point needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It was there already.
    Present,
    /// It has a name more: no byte was written.
    Linked,
    /// It was copied, or shares its blocks with the original.
    Copied,
    /// It is not what its row says.
    Damaged(Damage),
}

/// A backup that is being written. Nobody else writes to it or serves it.
#[derive(Debug)]
pub struct BackupDir {
    root: PathBuf,
    places: Places,
    /// Whether the original is on the same file system, as far as that was tried.
    links: bool,
    lock: Option<lock::Lock>,
}

impl Drop for BackupDir {
    fn drop(&mut self) {
        // A backup has no lock file. Who opened it before it went holds a lock on nothing for a moment.
        drop(remove_if_there(&self.root.join("LOCK")));
        drop(self.lock.take());
    }
}

impl BackupDir {
    /// Opens a backup of the data directory `data`, or makes an empty one. What one that was cut off left is
    /// gone afterwards, but for the files that it took.
    pub fn open(path: &Path, data: &Path) -> Result<Self, BackupRefusal> {
        Self::check(path, data)?;
        root::make(&RealDisk, path)?;
        let is_backup = Self::check(path, data)?;
        let lock = lock::take(path)?;
        let (root, places) = (path.to_path_buf(), Places::below(path));
        let backup = Self { root, places, links: true, lock: Some(lock) };
        backup.begin(is_backup).map_err(|source| refusal(path, source))?;
        Ok(backup)
    }

    /// Refuses what [`Self::open`] refuses of the place, and makes nothing; says whether there is a backup.
    pub fn check(path: &Path, data: &Path) -> Result<bool, BackupRefusal> {
        expect_outside(path, data)?;
        if path.exists() && !path.is_dir() {
            return Err(OpenDirError::File(path.to_path_buf()).into());
        }
        let is_backup = is_backup(path).map_err(|source| refusal(path, source))?;
        if !is_backup
            && path.is_dir()
            && let Some(found) = first_entry(path, &["LOCK"])?
        {
            return Err(BackupRefusal::NoBackup { root: path.to_path_buf(), path: found });
        }
        Ok(is_backup)
    }

    fn begin(&self, is_backup: bool) -> io::Result<()> {
        if !is_backup {
            write_marker(&self.root, "a backup of a Wharfinger registry that did not get to its end yet\n")?;
        }
        go_back(&self.root)?;
        remove_directory(&self.root.join(NEXT_LEDGER))?;
        remove_directory(&self.root.join(OLD_LEDGER))?;
        for part in [NEXT_LEDGER, "blobs", "uploads"] {
            make_directory(&self.root.join(part))?;
        }
        // Of a part of a file, or of one who served it.
        for entry in listed(&self.root.join("uploads"))? {
            remove_if_there(&entry?.path())?;
        }
        remove_if_there(&self.root.join("control.sock"))?;
        sync_directory(&self.root)
    }

    /// The directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Copies the ledger of the next point, which nobody reads before [`Self::publish`].
    pub fn take_ledger(&self, from: &Path) -> io::Result<()> {
        copy_directory(&from.join(LEDGER), &self.root.join(NEXT_LEDGER))
    }

    /// Takes a file that the next point needs, unless it is there. Durable after [`Self::sync_taken`].
    pub fn take(
        &mut self,
        goods: &Goods,
        location: &Location,
        size: u64,
        tell: &mut dyn FnMut(u64),
    ) -> io::Result<Taken> {
        let to = self.root.join("blobs").join(location.path());
        match to.symlink_metadata() {
            Ok(found) if found.is_file() && found.len() == size => return Ok(Taken::Present),
            Ok(_) => fs::remove_file(&to)?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        if let Some(damage) = goods.look(location, size)? {
            return Ok(Taken::Damaged(damage));
        }
        self.places.make(location)?;
        let from = goods.path(location);
        if self.links {
            match fs::hard_link(&from, &to) {
                Ok(()) => return Ok(Taken::Linked),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    return Ok(Taken::Damaged(Damage::Missing));
                }
                // Another file system or mount most of all; a file may also have too many names.
                Err(error) => self.links = error.kind() != ErrorKind::CrossesDevices,
            }
        }
        let from = match goods.open(location) {
            Ok(from) => from,
            Err(error) => return Ok(Taken::Damaged(Damage::judge(error)?)),
        };
        let part = self.root.join("uploads").join(PART);
        clone_or_copy(&from, &part, size, tell)?;
        fs::rename(&part, &to)?;
        Ok(Taken::Copied)
    }

    /// Makes all files that were taken durable under their names.
    pub fn sync_taken(&mut self) -> io::Result<()> {
        self.places.sync()
    }

    /// Puts the next point in the place of the last one; `words` say which it is.
    pub fn publish(&self, words: &str) -> io::Result<()> {
        let at = |name: &str| self.root.join(name);
        if at(LEDGER).symlink_metadata().is_ok() {
            match renameat_with(CWD, at(NEXT_LEDGER), CWD, at(LEDGER), RenameFlags::EXCHANGE) {
                Ok(()) => {}
                Err(error) => {
                    log::debug!("{} does not change places in one step: {error}", self.root.display());
                    fs::rename(at(LEDGER), at(OLD_LEDGER))?;
                    fs::rename(at(NEXT_LEDGER), at(LEDGER))?;
                }
            }
        } else {
            fs::rename(at(NEXT_LEDGER), at(LEDGER))?;
        }
        sync_directory(&self.root)?;
        write_marker(&self.root, words)?;
        remove_directory(&at(NEXT_LEDGER))?;
        remove_directory(&at(OLD_LEDGER))
    }

    /// Removes the files that the point does not need; says how many. Names that are none of ours stay.
    pub fn prune<E: From<io::Error>>(
        &self,
        mut is_needed: impl FnMut(&Location) -> Result<bool, E>,
    ) -> Result<u64, E> {
        let mut removed = 0;
        let blobs = self.root.join("blobs");
        for algorithm in Algorithm::ALL {
            for prefix in 0..=255 {
                for location in blob_files(&blobs, algorithm, prefix)?.into_iter().filter_map(Result::ok) {
                    if !is_needed(&location.0)? {
                        remove_if_there(&blobs.join(location.0.path()))?;
                        removed += 1;
                    }
                }
            }
        }
        Ok(removed)
    }
}

/// Says of a directory that it is a backup, and of what.
fn write_marker(root: &Path, words: &str) -> io::Result<()> {
    let (path, next) = (root.join(MARKER), root.join("BACKUP.next"));
    remove_if_there(&next)?;
    let mut file = options().create_new(true).open(&next)?;
    file.write_all(words.as_bytes())?;
    synced(file.sync_all())?;
    fs::rename(&next, &path)?;
    sync_directory(root)
}

/// Where a start finds a backup that was cut off between two steps, or a restore: goes back to the last
/// point, and refuses what has none. A backup that is served is one no more.
pub(super) fn settle(root: &Path) -> Result<(), OpenDirError> {
    go_back(root).map_err(|source| io_refusal(root, source))?;
    expect_no_mixture(root)?;
    if root.join(NEXT_LEDGER).is_dir() && root.join(LEDGER).symlink_metadata().is_err() {
        return Err(OpenDirError::CutOff(root.to_path_buf()));
    }
    Ok(())
}

/// Refuses a backup that was put over a registry: a backup has no identity, and a registry that was served
/// has no marker.
pub(super) fn expect_no_mixture(root: &Path) -> Result<(), OpenDirError> {
    let is_there = |name: &str| root.join(name).symlink_metadata().is_ok();
    if is_there(MARKER) && is_there("ledger/IDENTITY") {
        return Err(OpenDirError::PutOver(root.to_path_buf()));
    }
    Ok(())
}

/// Whether a directory is a backup, or was restored from one, and was not served since.
pub(super) fn is_backup(root: &Path) -> io::Result<bool> {
    is_file(&root.join(MARKER))
}

/// What is served is a registry and no backup any more, so that none is written over it.
pub(super) fn unmark(root: &Path) -> io::Result<()> {
    let marker = root.join(MARKER);
    if is_file(&marker)? {
        remove_if_there(&marker)?;
        log::info!("{} was a backup and is served now: no backup is written to it any more", root.display());
    }
    Ok(())
}

/// Puts the ledger of the last point back where the next one did not come to its place.
fn go_back(root: &Path) -> io::Result<()> {
    let (ledger, old) = (root.join(LEDGER), root.join(OLD_LEDGER));
    if ledger.symlink_metadata().is_err() && old.is_dir() {
        fs::rename(&old, &ledger)?;
        sync_directory(root)?;
    }
    Ok(())
}

/// A directory inside a data directory that holds a copy of its ledger for a while. It goes with this.
#[derive(Debug)]
pub struct LedgerCopyDir(PathBuf);

impl LedgerCopyDir {
    /// The directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.0
    }

    /// Where the copy is to be written.
    #[must_use]
    pub fn ledger(&self) -> PathBuf {
        self.0.join(LEDGER)
    }
}

impl Drop for LedgerCopyDir {
    fn drop(&mut self) {
        if let Err(error) = remove_directory(&self.0) {
            log::warn!("{} is of no use any more and stays until the next start: {error}", self.0.display());
        }
    }
}

impl super::DataDir {
    /// Whether it is a backup, or was restored from one, and was not served since. Such a directory has no
    /// uploads: those that were open then are over.
    pub fn is_backup(&self) -> io::Result<bool> {
        is_backup(self.root())
    }

    /// Makes a directory for a copy of the ledger.
    pub fn make_ledger_copy_directory(&self, number: u64) -> io::Result<LedgerCopyDir> {
        let copy = LedgerCopyDir(self.root().join(format!("{LEDGER_COPY}{number:016x}")));
        make_directory(copy.root())?;
        make_directory(&copy.ledger())?;
        Ok(copy)
    }
}

/// Removes the copies of the ledger that nobody makes a backup with any more.
pub(super) fn remove_ledger_copies(root: &Path) -> io::Result<()> {
    for entry in listed(root)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(LEDGER_COPY)) {
            remove_directory(&entry.path())?;
        }
    }
    Ok(())
}

/// Refuses the data directory and what is inside it, under whatever name.
fn expect_outside(path: &Path, data: &Path) -> Result<(), BackupRefusal> {
    let absolute = std::path::absolute(path).map_err(|source| refusal(path, source))?;
    let real = |path: &Path| path.canonicalize().ok();
    let (Some(there), Some(real_data)) = (absolute.ancestors().find_map(real), real(data)) else {
        return Ok(());
    };
    if there.starts_with(&real_data) {
        return Err(BackupRefusal::Inside { root: path.to_path_buf(), data: data.to_path_buf() });
    }
    Ok(())
}

/// Something in a directory that is none of `fine`, nor what the root of a fresh file system has.
fn first_entry(directory: &Path, fine: &[&str]) -> Result<Option<PathBuf>, BackupRefusal> {
    let refused = |source| refusal(directory, source);
    for entry in fs::read_dir(directory).map_err(refused)? {
        let entry = entry.map_err(refused)?;
        let name = entry.file_name();
        if name != "lost+found" && !fine.iter().any(|fine| name == *fine) {
            return Ok(Some(entry.path()));
        }
    }
    Ok(None)
}

fn is_file(path: &Path) -> io::Result<bool> {
    match path.symlink_metadata() {
        Ok(found) => Ok(found.is_file()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn make_directory(path: &Path) -> io::Result<()> {
    match files::make_directory(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && is_directory(path)? => Ok(()),
        made => made,
    }
}

/// Whether it is a directory itself, and no link to one.
fn is_directory(path: &Path) -> io::Result<bool> {
    Ok(path.symlink_metadata()?.is_dir())
}

fn remove_directory(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// How the names of files begin of which a ledger can be opened elsewhere. IDENTITY is of the place that it
/// is in, and of no other.
const LEDGER_FILES: [&str; 3] = ["journal-", "snapshot-", "ledger.redb"];

/// Copies the files of a ledger into a directory that is there, and syncs both.
fn copy_directory(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let is_ours = |name: &str| LEDGER_FILES.iter().any(|ours| name.starts_with(ours));
        if entry.file_type()?.is_file() && entry.file_name().to_str().is_some_and(is_ours) {
            copy_whole(&entry.path(), &to.join(entry.file_name()))?;
        }
    }
    synced(File::open(to)?.sync_all())
}
