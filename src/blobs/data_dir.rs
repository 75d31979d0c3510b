//! The data directory: its layout, its lock, and what is refused about it before anything is read.

use super::{Location, Readers, backup, is_full, lock, root};
use crate::disk::{Disk, DiskFile, How, Kind, Mode, RealDisk, SharedDisk, remove_if_there, stat_if_there};
use crate::oci::{Algorithm, SessionId};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file that is linked at each start to see whether that works, in uploads/ and blobs/<algorithm>/. One
/// that is left there was cut off.
pub(super) const PROBE: &str = "link-probe";

/// Why a data directory cannot be used, in words for the one who starts the program.
#[derive(Debug, thiserror::Error)]
pub enum OpenDirError {
    /// Another process holds the lock.
    #[error("{dir} is in use by {holder}, or choose another directory with --data")]
    Held {
        /// The directory.
        dir: PathBuf,
        /// Who holds it and what to do about it.
        holder: String,
    },
    /// There is nothing at the path, and the command does not make a new registry.
    #[error(
        "{0} is not a data directory: it has no ledger; name the directory of `wharfinger serve` with --data \
         or WHARFINGER_DATA"
    )]
    Absent(PathBuf),
    /// What is named, or something on the way to it, is no directory.
    #[error("{0} is a file, not a directory; choose another place with --data or WHARFINGER_DATA")]
    File(PathBuf),
    /// It has blobs, and nothing that says what they are.
    #[error(
        "{0} has blobs and no ledger, so nothing says what they are; put back ledger/ from a backup, or move \
         blobs/ away to begin anew"
    )]
    NoLedger(PathBuf),
    /// It is a directory with other things in it.
    #[error(
        "{root} has things in it, such as {path}, and nothing of a registry; choose an empty directory with \
         --data or WHARFINGER_DATA, or one that is not there yet"
    )]
    Foreign {
        /// The directory.
        root: PathBuf,
        /// One of the things.
        path: PathBuf,
    },
    /// It is not there and cannot be made.
    #[error("cannot create {root} in {above}: {source}; {advice}")]
    Create {
        /// The directory.
        root: PathBuf,
        /// The nearest one above that is there.
        above: PathBuf,
        /// What happened.
        source: io::Error,
        /// What to do about it.
        advice: String,
    },
    /// Something in it cannot be made, read or written.
    #[error("{path} cannot be used as part of the data directory: {source}; {advice}")]
    Io {
        /// What was touched.
        path: PathBuf,
        /// What happened.
        source: io::Error,
        /// What to do about it.
        advice: String,
    },
    /// A symbolic link stands where a directory or file of ours belongs: whoever planted it would decide what
    /// we write.
    #[error("{0} is a symbolic link; nothing inside the data directory may be one: put the real thing there")]
    SymbolicLink(PathBuf),
    /// Something else stands where a directory of ours belongs.
    #[error("{0} is not a directory, and one of the registry's belongs there: move it away")]
    NotADirectory(PathBuf),
    /// What was to be written there did not get to its end.
    #[error(
        "a backup or restore to {0} was cut off, and there is nothing whole in it: run the backup again, or \
         remove the directory and restore again"
    )]
    CutOff(PathBuf),
    /// A backup was put over a registry.
    #[error(
        "a backup was put over the registry in {0}, so that the files of both are there: restore it into an \
         empty directory (`wharfinger restore`); to keep what was there before, remove its file BACKUP"
    )]
    PutOver(PathBuf),
    /// uploads/ and blobs/ cannot share files by hard links.
    #[error(
        "{uploads} and {blobs} are on different file systems or mounts; a finished upload is linked from one \
         into the other, so keep both on one file system (mount the whole data directory, not a part of it)"
    )]
    FileSystems {
        /// Where uploads are staged.
        uploads: PathBuf,
        /// Where blobs are kept.
        blobs: PathBuf,
    },
}

/// An open, locked data directory. The lock ends when this is dropped.
#[derive(Debug)]
pub struct DataDir {
    disk: SharedDisk,
    root: PathBuf,
    readers: Readers,
    /// None on a disk that is not the machine's: no other process has that.
    _lock: Option<lock::Lock>,
}

impl DataDir {
    /// Opens the directory, or makes it, and makes what is missing of its layout. Whoever may read what is
    /// there may read what is made.
    pub fn open(root: &Path) -> Result<Self, OpenDirError> {
        Self::open_with(root, Readers::of)
    }

    /// The same for these readers, whoever may read what is there so far.
    pub fn open_for(root: &Path, readers: Readers) -> Result<Self, OpenDirError> {
        let dir = Self::open_with(root, |_| readers)?;
        dir.settle_readers()?;
        Ok(dir)
    }

    fn open_with(root: &Path, readers: impl FnOnce(&Path) -> Readers) -> Result<Self, OpenDirError> {
        root::make(&RealDisk, root)?;
        root::refuse_foreign(&RealDisk, root)?;
        let lock = lock::take(root)?;
        backup::settle(root)?;
        backup::remove_ledger_copies(root).map_err(|source| io_refusal(root, source))?;
        let dir = Self::locked(root, readers(root), lock);
        dir.make_layout()?;
        dir.refuse_links_in_ledger()?;
        dir.check_links()?;
        Ok(dir)
    }

    /// One on the machine's file systems.
    fn locked(root: &Path, readers: Readers, lock: lock::Lock) -> Self {
        Self { disk: Arc::new(RealDisk), root: root.to_path_buf(), readers, _lock: Some(lock) }
    }

    /// Opens the directory, or makes it, on a disk that is not the machine's and that nobody else has: there
    /// is no lock on it, and its owner alone reads it.
    pub fn open_on(disk: SharedDisk, root: &Path) -> Result<Self, OpenDirError> {
        root::make(&*disk, root)?;
        root::refuse_foreign(&*disk, root)?;
        let dir = Self { disk, root: root.to_path_buf(), readers: Readers::Owner, _lock: None };
        dir.make_layout()?;
        Ok(dir)
    }

    /// Why the directory cannot be opened, if that is because another process has it. Nothing is made.
    #[must_use]
    pub fn in_use(root: &Path) -> Option<OpenDirError> {
        lock::in_use(root)
    }

    /// Opens a directory with a ledger and changes nothing in it, but for its lock. What is missing of its
    /// layout holds nothing.
    pub fn open_to_look(root: &Path) -> Result<Self, OpenDirError> {
        backup::expect_no_mixture(root)?;
        root::expect_ledger(&RealDisk, root)?;
        let lock = lock::take(root)?;
        let dir = Self::locked(root, Readers::of(root), lock);
        let algorithms = Algorithm::ALL.map(|algorithm| dir.blobs().join(algorithm.as_str()));
        for directory in [root.join("ledger"), dir.uploads(), dir.blobs()].iter().chain(&algorithms) {
            dir.is_directory(directory)?;
        }
        dir.refuse_links_in_ledger()?;
        Ok(dir)
    }

    /// Opens a directory for its files alone, whether or not it has a ledger, and changes nothing in it, but
    /// for its lock.
    pub fn open_files(root: &Path) -> Result<Self, OpenDirError> {
        let blobs = root.join("blobs");
        if !RealDisk.stat(&blobs).is_ok_and(|found| found.kind == Kind::Directory) {
            return Err(OpenDirError::Absent(root.to_path_buf()));
        }
        let lock = lock::take(root)?;
        Ok(Self::locked(root, Readers::of(root), lock))
    }

    /// Opens a directory that has a ledger already.
    pub fn open_existing(root: &Path) -> Result<Self, OpenDirError> {
        root::expect_ledger(&RealDisk, root)?;
        Self::open(root)
    }

    /// The directory itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The disk that it is on.
    #[must_use]
    pub fn disk(&self) -> &SharedDisk {
        &self.disk
    }

    /// Where the ledger's files are.
    #[must_use]
    pub fn ledger(&self) -> PathBuf {
        self.root.join("ledger")
    }

    /// Refuses links in the ledger's directory: whoever planted one would decide what is written.
    fn refuse_links_in_ledger(&self) -> Result<(), OpenDirError> {
        let directory = self.ledger();
        let names = self.listed(&directory).map_err(|source| io_refusal(&directory, source))?;
        for name in names {
            let path = directory.join(name.map_err(|source| io_refusal(&directory, source))?);
            refuse_link(&*self.disk, &path)?;
        }
        Ok(())
    }

    /// Whether a directory is a backup, which nobody serves.
    pub fn is_backup_at(root: &Path) -> io::Result<bool> {
        backup::is_backup(root)
    }

    /// Says that the directory is a registry and no backup any more, if it was one.
    pub fn unmark_backup(&self) -> Result<(), OpenDirError> {
        backup::unmark(&self.root).map_err(|source| io_refusal(&self.root, source))
    }

    /// Refuses a directory that has blobs and nothing of a ledger: whoever makes a new one there loses them.
    pub fn expect_no_lost_blobs(&self) -> Result<(), OpenDirError> {
        match root::expect_ledger(&*self.disk, &self.root) {
            Err(OpenDirError::Absent(_)) => {}
            outcome => return outcome,
        }
        for algorithm in Algorithm::ALL {
            for prefix in 0..=255 {
                let files = self.list_blobs(algorithm, prefix);
                if !files.map_err(|source| io_refusal(&self.blobs(), source))?.is_empty() {
                    return Err(OpenDirError::NoLedger(self.root.clone()));
                }
            }
        }
        Ok(())
    }

    /// What new files may be used for, and by whom.
    #[must_use]
    pub fn file_mode(&self) -> Mode {
        self.readers.file()
    }

    /// The same for new directories.
    #[must_use]
    pub fn directory_mode(&self) -> Mode {
        self.readers.directory()
    }

    /// Makes a file that is not there.
    pub(super) fn create_file(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.disk.open(path, How::Create(self.readers.file()))
    }

    /// Who may read what is made.
    pub(super) fn readers(&self) -> Readers {
        self.readers
    }

    pub(super) fn uploads(&self) -> PathBuf {
        self.root.join("uploads")
    }

    pub(super) fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    /// Where a session's bytes are staged.
    pub(super) fn staging_path(&self, session: SessionId) -> PathBuf {
        self.uploads().join(session.to_string())
    }

    /// Where a finished session's bytes wait for their row.
    pub(super) fn sealed_path(&self, location: &Location) -> PathBuf {
        self.uploads().join(format!("{}.{}", location.session, location.digest.hex()))
    }

    /// Where a blob's bytes stay.
    pub(super) fn blob_path(&self, location: &Location) -> PathBuf {
        self.blobs().join(location.path())
    }

    /// Makes a directory of ours unless it is there, and says whether it did.
    pub(super) fn make_directory(&self, path: &Path) -> Result<bool, OpenDirError> {
        if self.is_directory(path)? {
            return Ok(false);
        }
        let made = self.disk.make_directory(path, self.readers.directory());
        made.map(|()| true).map_err(|source| io_refusal(path, source))
    }

    fn make_layout(&self) -> Result<(), OpenDirError> {
        for part in ["ledger", "uploads", "blobs"] {
            self.make_directory(&self.root.join(part))?;
        }
        for algorithm in Algorithm::ALL {
            let directory = self.blobs().join(algorithm.as_str());
            let mut made = self.make_directory(&directory)?;
            for prefix in 0..=255_u8 {
                made |= self.make_directory(&directory.join(format!("{prefix:02x}")))?;
            }
            if made {
                self.sync_directory(&directory)?;
            }
        }
        for directory in [self.blobs(), self.root.clone()] {
            self.sync_directory(&directory)?;
        }
        Ok(())
    }

    fn sync_directory(&self, path: &Path) -> Result<(), OpenDirError> {
        self.disk.sync_directory(path).map_err(|source| io_refusal(path, source))
    }

    /// Whether a directory of ours is there. Anything else in its place is refused.
    fn is_directory(&self, path: &Path) -> Result<bool, OpenDirError> {
        let found = stat_if_there(&*self.disk, path).map_err(|error| io_refusal(path, error))?;
        match found.map(|found| found.kind) {
            None => Ok(false),
            Some(Kind::Directory) => Ok(true),
            Some(Kind::SymbolicLink) => Err(OpenDirError::SymbolicLink(path.to_path_buf())),
            Some(_) => Err(OpenDirError::NotADirectory(path.to_path_buf())),
        }
    }

    /// Links a file from uploads/ into blobs/ as finished uploads are. Devices do not tell: two mounts of one
    /// file system have the same, and no link goes from one to the other.
    fn check_links(&self) -> Result<(), OpenDirError> {
        let from = self.uploads().join(PROBE);
        for algorithm in Algorithm::ALL {
            let to = self.blobs().join(algorithm.as_str()).join(PROBE);
            let linked = probe(&*self.disk, &from, &to);
            for path in [&to, &from] {
                remove_if_there(&*self.disk, path).map_err(|source| io_refusal(path, source))?;
            }
            match linked {
                Err(error) if error.kind() == ErrorKind::CrossesDevices => {
                    let (uploads, blobs) = (self.uploads(), self.blobs());
                    return Err(OpenDirError::FileSystems { uploads, blobs });
                }
                // It starts on a full disk; whether links work is found out at the next start.
                Err(error) if is_full(&error) => {
                    log::warn!("whether {} can be linked to is not known: {error}", to.display());
                }
                outcome => outcome.map_err(|source| link_refusal(&to, source))?,
            }
        }
        Ok(())
    }
}

/// Makes a file and gives it a second name. What a start that was cut off left there is gone first.
fn probe(disk: &dyn Disk, from: &Path, to: &Path) -> io::Result<()> {
    remove_if_there(disk, to)?;
    remove_if_there(disk, from)?;
    disk.open(from, How::Create(Mode { bits: 0o600, exact: false }))?;
    disk.hard_link(from, to)
}

fn link_refusal(path: &Path, source: io::Error) -> OpenDirError {
    let advice = "finished uploads are linked there: choose a file system with hard links with --data or \
                  WHARFINGER_DATA";
    OpenDirError::Io { path: path.to_path_buf(), source, advice: advice.to_owned() }
}

pub(super) fn io_refusal(path: &Path, source: io::Error) -> OpenDirError {
    let advice = refusal_advice(&source);
    OpenDirError::Io { path: path.to_path_buf(), source, advice }
}

/// What to do about it.
pub(super) fn refusal_advice(error: &io::Error) -> String {
    let cure = match error.kind() {
        ErrorKind::PermissionDenied => {
            let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
            format!("give the data directory to the user that runs this (chown -R {user}:{group})")
        }
        ErrorKind::ReadOnlyFilesystem => "mount it writable".to_owned(),
        ErrorKind::StorageFull => return "free some space first".to_owned(),
        _ => return "choose another directory with --data or WHARFINGER_DATA".to_owned(),
    };
    format!("{cure}, or choose another directory with --data or WHARFINGER_DATA")
}

pub(super) fn refuse_link(disk: &dyn Disk, path: &Path) -> Result<(), OpenDirError> {
    match disk.stat(path) {
        Ok(found) if found.kind == Kind::SymbolicLink => Err(OpenDirError::SymbolicLink(path.to_path_buf())),
        _ => Ok(()),
    }
}
