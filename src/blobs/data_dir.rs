//! The data directory: its layout, its lock, and what is refused about it before anything is read.

use super::staging::remove_if_there;
use super::{Location, Readers, backup, is_full, lock, root, synced};
use crate::oci::{Algorithm, SessionId};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The ledger's file.
const LEDGER: &str = "ledger/ledger.redb";
/// A ledger that is being made: it has no name that anybody looks for until it is whole.
const NEW_LEDGER: &str = "ledger/ledger.redb.new";
/// The file that is linked at each start to see whether that works, in uploads/ and blobs/<algorithm>/. One
/// that is left there was cut off.
pub(super) const PROBE: &str = "link-probe";
/// Only the owner reads what is stored, unless it is made for others, too.
const FILE_MODE: u32 = 0o600;

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
    root: PathBuf,
    readers: Readers,
    _lock: lock::Lock,
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
        backup::unmark(root).map_err(|source| io_refusal(root, source))?;
        dir.settle_readers()?;
        Ok(dir)
    }

    fn open_with(root: &Path, readers: impl FnOnce(&Path) -> Readers) -> Result<Self, OpenDirError> {
        root::make(root)?;
        root::refuse_foreign(root)?;
        let lock = lock::take(root)?;
        backup::settle(root)?;
        backup::remove_ledger_copies(root).map_err(|source| io_refusal(root, source))?;
        let dir = Self { root: root.to_path_buf(), readers: readers(root), _lock: lock };
        dir.make_layout().map_err(|error| match error {
            MakeError::Refused(refusal) => refusal,
            MakeError::Io(path, source) => io_refusal(&path, source),
        })?;
        dir.check_links()?;
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
        root::expect_ledger(root, LEDGER)?;
        let lock = lock::take(root)?;
        let dir = Self { root: root.to_path_buf(), readers: Readers::of(root), _lock: lock };
        let algorithms = Algorithm::ALL.map(|algorithm| dir.blobs().join(algorithm.as_str()));
        for directory in [root.join("ledger"), dir.uploads(), dir.blobs()].iter().chain(&algorithms) {
            is_directory(directory)?;
        }
        Ok(dir)
    }

    /// Opens a directory that has a ledger already.
    pub fn open_existing(root: &Path) -> Result<Self, OpenDirError> {
        root::expect_ledger(root, LEDGER)?;
        Self::open(root)
    }

    /// The directory itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether there is a ledger. An empty file is none: nothing was ever committed to it.
    pub fn has_ledger(&self) -> Result<bool, OpenDirError> {
        let path = self.root.join(LEDGER);
        refuse_link(&path)?;
        match path.metadata() {
            Ok(found) => Ok(found.len() > 0),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(io_refusal(&path, error)),
        }
    }

    /// An empty file to make a ledger in, beside the place where one is looked for; what an earlier start
    /// that was cut off left there is gone.
    pub fn new_ledger_file(&self) -> Result<File, OpenDirError> {
        let path = self.root.join(NEW_LEDGER);
        let open = || {
            remove_if_there(&path)?;
            self.readers.create(&path)
        };
        open().map_err(|source| io_refusal(&path, source))
    }

    /// Puts a new ledger, which is whole and synced, where it is looked for.
    pub fn adopt_new_ledger(&self) -> Result<(), OpenDirError> {
        let path = self.root.join(LEDGER);
        let adopt = || {
            fs::rename(self.root.join(NEW_LEDGER), &path)?;
            sync_directory(&self.root.join("ledger"))
        };
        adopt().map_err(|source| io_refusal(&path, source))
    }

    /// Opens the ledger's file.
    pub fn ledger_file(&self) -> Result<File, OpenDirError> {
        let path = self.root.join(LEDGER);
        options().open(&path).map_err(|source| io_refusal(&path, source))
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
        if is_directory(path)? {
            return Ok(false);
        }
        self.readers.make_directory(path).map(|()| true).map_err(|source| io_refusal(path, source))
    }

    fn make_layout(&self) -> Result<(), MakeError> {
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
                sync_directory(&directory).map_err(|error| MakeError::Io(directory.clone(), error))?;
            }
        }
        for directory in [self.blobs(), self.root.clone()] {
            sync_directory(&directory).map_err(|error| MakeError::Io(directory.clone(), error))?;
        }
        Ok(())
    }

    /// Links a file from uploads/ into blobs/ as finished uploads are. Devices do not tell: two mounts of one
    /// file system have the same, and no link goes from one to the other.
    fn check_links(&self) -> Result<(), OpenDirError> {
        let from = self.uploads().join(PROBE);
        for algorithm in Algorithm::ALL {
            let to = self.blobs().join(algorithm.as_str()).join(PROBE);
            let linked = probe(&from, &to);
            for path in [&to, &from] {
                remove_if_there(path).map_err(|source| io_refusal(path, source))?;
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
fn probe(from: &Path, to: &Path) -> io::Result<()> {
    remove_if_there(to)?;
    remove_if_there(from)?;
    options().create_new(true).open(from)?;
    fs::hard_link(from, to)
}

fn link_refusal(path: &Path, source: io::Error) -> OpenDirError {
    let advice = "finished uploads are linked there: choose a file system with hard links with --data or \
                  WHARFINGER_DATA";
    OpenDirError::Io { path: path.to_path_buf(), source, advice: advice.to_owned() }
}

enum MakeError {
    Refused(OpenDirError),
    Io(PathBuf, io::Error),
}

impl From<OpenDirError> for MakeError {
    fn from(refusal: OpenDirError) -> Self {
        Self::Refused(refusal)
    }
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

/// Whether a directory of ours is there. Anything else in its place is refused.
fn is_directory(path: &Path) -> Result<bool, OpenDirError> {
    match path.symlink_metadata() {
        Ok(found) if found.is_symlink() => Err(OpenDirError::SymbolicLink(path.to_path_buf())),
        Ok(found) if found.is_dir() => Ok(true),
        Ok(_) => Err(OpenDirError::NotADirectory(path.to_path_buf())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(io_refusal(path, error)),
    }
}

pub(super) fn refuse_link(path: &Path) -> Result<(), OpenDirError> {
    match path.symlink_metadata() {
        Ok(found) if found.is_symlink() => Err(OpenDirError::SymbolicLink(path.to_path_buf())),
        _ => Ok(()),
    }
}

/// How a file of ours is opened: for reading and writing, only for its owner, never through a link.
pub(super) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    let no_follow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).expect("a flag of open(2) is an int");
    options.read(true).write(true).mode(FILE_MODE).custom_flags(no_follow);
    options
}

/// Makes the names in a directory durable.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = File::open(path)?;
    synced(directory.sync_all())
}
