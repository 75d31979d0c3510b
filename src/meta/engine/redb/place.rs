//! The directory of the ledger and what stands in it.

use crate::disk::{Disk, DiskFile, How, Mode, SharedDisk};
use crate::random;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// The B-tree.
pub const DATABASE: &str = "ledger.redb";
/// A B-tree that is being made: it has no name that anybody looks for until it is whole.
pub const NEW_DATABASE: &str = "ledger.redb.new";
/// What tells the original from a copy.
pub const IDENTITY: &str = "IDENTITY";
/// How the names of segments begin; their first sequence number follows, and a random number.
pub const SEGMENT: &str = "journal-";
/// How the names of snapshots begin; their sequence number follows, and a random number.
pub const SNAPSHOT: &str = "snapshot-";
/// How the names of what is being made begin: nobody looks for it, and a start removes it.
const UNFINISHED: &str = "new-";
/// How the names of directories begin in which a start puts the database of a copy.
pub const ASIDE: &str = "aside-";
/// How the names of directories begin in which a start puts what somebody may want to look at.
pub const KEPT: &str = "kept-";

/// Where the ledger is, and who may read what is made there.
#[derive(Debug, Clone)]
pub struct Place {
    /// The disk.
    pub disk: SharedDisk,
    /// The directory, which is there.
    pub directory: PathBuf,
    /// For new files.
    pub file_mode: Mode,
    /// For new directories.
    pub directory_mode: Mode,
}

impl Place {
    /// The path of a name in the directory.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Opens a file of the directory; none if there is no such name.
    pub fn open(&self, name: &str, how: How) -> io::Result<Option<Box<dyn DiskFile>>> {
        match self.disk.open(&self.path(name), how) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some),
        }
    }

    /// Makes a file under a name that nobody looks for.
    pub fn create_unfinished(&self, what: &str) -> io::Result<(String, Box<dyn DiskFile>)> {
        let name = format!("{UNFINISHED}{what}{}", suffix());
        let file = self.disk.open(&self.path(&name), How::Create(self.file_mode))?;
        Ok((name, file))
    }

    /// Makes a file that is not there.
    pub fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.disk.open(&self.path(name), How::Create(self.file_mode))
    }

    /// Gives a file its name, durably.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(&self.path(from), &self.path(to))?;
        self.sync()
    }

    /// Makes the names of the directory durable.
    pub fn sync(&self) -> io::Result<()> {
        self.disk.sync_directory(&self.directory)
    }

    /// Takes a name away; one that is not there is fine. Not durable until [`Place::sync`].
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match self.disk.remove_file(&self.path(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The names in the directory.
    pub fn names(&self) -> io::Result<Vec<String>> {
        names(&*self.disk, &self.directory)
    }

    /// Removes what was being made when a process ended, but for segments that were made ready.
    pub fn remove_unfinished(&self) -> io::Result<()> {
        let names = self.names()?;
        let unfinished =
            |name: &&String| (name.starts_with(UNFINISHED) || *name == NEW_DATABASE) && !is_spare(name);
        names.iter().filter(unfinished).try_for_each(|name| self.remove(name))
    }

    /// Removes what earlier starts put aside: databases of copies, which are of no more use once there is a
    /// newer snapshot, and what was kept for longer than `keep_ms`.
    pub fn remove_aside(&self, now_ms: u64, keep_ms: u64) -> io::Result<()> {
        for name in self.names()? {
            let kept_since = name.strip_prefix(KEPT).and_then(|rest| rest.split('-').next()?.parse().ok());
            let is_old = kept_since.is_some_and(|since: u64| now_ms.saturating_sub(since) >= keep_ms);
            if name.starts_with(ASIDE) || is_old {
                self.remove_directory(&name)?;
            }
        }
        Ok(())
    }

    fn remove_directory(&self, name: &str) -> io::Result<()> {
        let directory = self.path(name);
        for file in names(&*self.disk, &directory)? {
            if let Err(error) = self.disk.remove_file(&directory.join(file)) {
                // Somebody else's, then.
                log::warn!("{} stays: {error}", directory.display());
                return Ok(());
            }
        }
        self.disk.remove_directory(&directory)
    }

    /// Moves files to a directory of their own, durably; gives its name.
    pub fn put_aside(&self, prefix: &str, names: &[&str], now_ms: u64) -> io::Result<String> {
        let aside = format!("{prefix}{now_ms}-{}", suffix());
        let directory = self.path(&aside);
        self.disk.make_directory(&directory, self.directory_mode)?;
        for name in names {
            match self.disk.rename(&self.path(name), &directory.join(name)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.disk.sync_directory(&directory)?;
        self.sync()?;
        Ok(aside)
    }
}

/// The names in a directory that can be text: all of ours can.
fn names(disk: &dyn Disk, directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for name in disk.list(directory)? {
        names.extend(name?.into_string().ok());
    }
    Ok(names)
}

/// The name of a file with a sequence number.
pub fn numbered(prefix: &str, sequence: u64) -> String {
    format!("{prefix}{sequence:016}.{}", suffix())
}

/// Whether a name is that of a segment that was made ready.
pub fn is_spare(name: &str) -> bool {
    name.strip_prefix(UNFINISHED).is_some_and(|name| name.starts_with(SEGMENT))
}

/// What makes a name one that was never there.
fn suffix() -> String {
    format!("{:08x}", u32::from_be_bytes(random::bytes()))
}
