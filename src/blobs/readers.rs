//! Who may read the data directory: its owner alone, or its group, too, so that another user can make
//! backups.

use super::data_dir::{DataDir, OpenDirError, io_refusal};
use crate::disk::Mode;
use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What a group needs to go through a directory and list it.
const GROUP_BITS: u32 = 0o050;

/// What nobody but the owner has by default.
const OTHERS_BITS: u32 = 0o077;

/// What holds something, below the data directory. Who may not enter them may read nothing.
const PARTS: [&str; 4] = ["ledger", "uploads", "damaged", "blobs"];

/// Who may read the data directory beside its owner. Nobody else may ever write to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Readers {
    /// Nobody: directories are 0700, files 0600.
    #[default]
    Owner,
    /// The group that the files have: 0750 and 0640.
    Group,
}

impl Readers {
    /// Those of a data directory as it is; one that is not there yet is its owner's.
    pub(super) fn of(root: &Path) -> Self {
        match mode(&root.join("blobs")) {
            Ok(mode) if mode & GROUP_BITS == GROUP_BITS => Self::Group,
            _ => Self::Owner,
        }
    }

    const fn directory_mode(self) -> u32 {
        match self {
            Self::Owner => 0o700,
            Self::Group => 0o750,
        }
    }

    const fn file_mode(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::Group => 0o640,
        }
    }

    /// How a directory is made.
    pub(super) fn directory(self) -> Mode {
        self.exactly_for_group(self.directory_mode())
    }

    /// How a file is made.
    pub(super) fn file(self) -> Mode {
        self.exactly_for_group(self.file_mode())
    }

    /// The umask, which is 0077 under many a supervisor, does not know of the setting.
    fn exactly_for_group(self, bits: u32) -> Mode {
        Mode { bits, exact: self == Self::Group }
    }
}

impl DataDir {
    /// Gives what was made for other readers to those of now. What is to be closed is closed at the parts,
    /// which costs nothing; what is to be opened is gone through once, the blobs last, so that a start that
    /// was cut off is seen.
    pub(super) fn settle_readers(&self) -> Result<(), OpenDirError> {
        match self.readers() {
            Readers::Owner => {
                if let Err(error) = close(self.root()) {
                    let root = self.root().display();
                    log::warn!("others than its owner may read {root}, and that cannot be changed: {error}");
                }
                Ok(())
            }
            Readers::Group => open(self.root()).map_err(|error| io_refusal(self.root(), error)),
        }
    }
}

fn close(root: &Path) -> io::Result<()> {
    let mut was_open = false;
    for part in PARTS {
        let path = root.join(part);
        match mode(&path) {
            Ok(mode) if mode & OTHERS_BITS != 0 => {
                set_mode(&path, Readers::Owner.directory_mode())?;
                was_open = true;
            }
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    if was_open {
        set_mode(root, mode(root)? & !GROUP_BITS)?;
        log::info!("only its owner may read {} from now on (data_group_readable = 0)", root.display());
    }
    Ok(())
}

fn open(root: &Path) -> io::Result<()> {
    let above = mode(root)?;
    if above & GROUP_BITS != GROUP_BITS {
        set_mode(root, above | GROUP_BITS)?;
    }
    // Made before anything is known of readers.
    set_mode(&root.join("LOCK"), Readers::Group.file_mode())?;
    if Readers::of(root) == Readers::Group {
        return Ok(());
    }
    log::info!("the group of {} may read it from now on: its files are gone through once", root.display());
    for part in PARTS {
        let path = root.join(part);
        if path.symlink_metadata().is_ok_and(|found| found.is_dir()) {
            open_below(&path)?;
        }
    }
    Ok(())
}

/// Opens what is in a directory, then the directory. A link is left alone: what it leads to is not ours.
fn open_below(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            open_below(&entry.path())?;
        } else if kind.is_file() {
            set_mode(&entry.path(), Readers::Group.file_mode())?;
        }
    }
    set_mode(directory, Readers::Group.directory_mode())
}

fn mode(path: &Path) -> io::Result<u32> {
    Ok(path.metadata()?.permissions().mode())
}

fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode & 0o7777))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_that_was_cut_off_goes_on() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("data");
        let bits = |path: &str| mode(&root.join(path)).unwrap() & 0o777;
        drop(DataDir::open(&root).unwrap());
        assert_eq!((bits(""), bits("LOCK"), bits("blobs/sha256/00")), (0o700, 0o600, 0o700));
        // As after a start that came to a part of them.
        set_mode(&root.join("ledger"), 0o750).unwrap();
        fs::write(root.join("blobs/sha256/00/file"), "").unwrap();
        set_mode(&root.join("blobs/sha256/00/file"), 0o600).unwrap();
        drop(DataDir::open_for(&root, Readers::Group).unwrap());
        assert_eq!((bits(""), bits("LOCK"), bits("ledger")), (0o750, 0o640, 0o750));
        assert_eq!((bits("blobs/sha256/00"), bits("blobs/sha256/00/file")), (0o750, 0o640));
        // A command that knows nothing of the setting leaves it.
        drop(DataDir::open(&root).unwrap());
        assert_eq!(bits("blobs"), 0o750);
        drop(DataDir::open_for(&root, Readers::Owner).unwrap());
        assert_eq!((bits(""), bits("ledger"), bits("uploads"), bits("blobs")), (0o700, 0o700, 0o700, 0o700));
    }
}
