//! Files that are not what their rows say: what counts as damage, and where they are kept.

use super::Location;
use super::data_dir::{DataDir, OpenDirError};
use crate::disk::{Disk, is_there};
use crate::oci::Digest;
use rustix::io::Errno;
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Where damaged files are kept, for a person to look at. Nothing here is served or removed.
const DAMAGED: &str = "damaged";

/// What is wrong with the file of a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// It is not there.
    Missing,
    /// It has another size: this one.
    Size(u64),
    /// Its bytes hash to something else: this.
    Digest(Digest),
    /// The disk does not give its bytes.
    Unreadable(String),
}

impl std::error::Error for Damage {}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("no file"),
            Self::Size(size) => write!(f, "{size} bytes"),
            Self::Digest(digest) => write!(f, "bytes that hash to {digest}"),
            Self::Unreadable(words) => write!(f, "unreadable ({words})"),
        }
    }
}

impl Damage {
    /// Judges why a file could not be opened or read. An error that tells nothing of the file, such as too
    /// many open files or no permission, comes back: it would pass, and the mark would stay.
    pub fn judge(error: io::Error) -> Result<Self, io::Error> {
        if let Some(damage) = error.get_ref().and_then(|inner| inner.downcast_ref::<Self>()) {
            return Ok(damage.clone());
        }
        if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) {
            return Ok(Self::Missing);
        }
        // The device, or the file system's own checksums and structures; a link where a file belongs.
        let of_the_file = [Errno::IO, Errno::BADMSG, Errno::UCLEAN, Errno::LOOP, Errno::ISDIR];
        let is_of_the_file =
            of_the_file.iter().any(|known| error.raw_os_error() == Some(known.raw_os_error()));
        // The file was of its size when it was opened, and ended before that.
        if is_of_the_file || error.kind() == ErrorKind::UnexpectedEof {
            return Ok(Self::Unreadable(error.to_string()));
        }
        Err(error)
    }
}

impl DataDir {
    /// What a look at a blob's file, without reading it, shows to be wrong.
    pub fn look_at_blob(&self, location: &Location, size: u64) -> io::Result<Option<Damage>> {
        match self.blob_size(location) {
            Ok(Some(found)) if found == size => Ok(None),
            Ok(Some(found)) => Ok(Some(Damage::Size(found))),
            Ok(None) => Ok(Some(Damage::Missing)),
            Err(error) => Damage::judge(error).map(Some),
        }
    }

    /// Moves whatever stands at a blob's place to damaged/; says whether anything did. Durable on return.
    pub fn set_aside(&self, location: &Location) -> io::Result<bool> {
        let from = self.blob_path(location);
        let disk = &**self.disk();
        if !is_there(disk, &from)? {
            return Ok(false);
        }
        let damaged = self.root().join(DAMAGED);
        if self.make_directory(&damaged).map_err(to_io)? {
            disk.sync_directory(self.root())?;
        }
        let to = free_name(disk, &damaged, &location.file_name())?;
        match disk.rename(&from, &to) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            renamed => renamed?,
        }
        // The new name first: a power cut may leave the file under both, never under none.
        disk.sync_directory(&damaged)?;
        disk.sync_directory(from.parent().expect("a blob's path has directories"))?;
        log::warn!("{} is kept as {}", from.display(), to.display());
        Ok(true)
    }

    /// How many damaged files are kept.
    pub fn count_set_aside(&self) -> io::Result<u64> {
        let mut count = 0;
        for name in self.listed(&self.root().join(DAMAGED))? {
            name?;
            count += 1;
        }
        Ok(count)
    }
}

/// A name in damaged/ that nothing has: what was put back by hand may be damaged again.
fn free_name(disk: &dyn Disk, directory: &Path, name: &str) -> io::Result<PathBuf> {
    let mut path = directory.join(name);
    let mut number = 1_u64;
    while is_there(disk, &path)? {
        number += 1;
        path = directory.join(format!("{name}.{number}"));
    }
    Ok(path)
}

fn to_io(refusal: OpenDirError) -> io::Error {
    match refusal {
        OpenDirError::Io { source, .. } => source,
        other => io::Error::other(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;
    use std::fs;

    #[test]
    fn what_passes_is_no_damage() {
        let judge = |error: Errno| Damage::judge(error.into());
        assert_eq!(judge(Errno::NOENT).unwrap(), Damage::Missing);
        assert!(matches!(judge(Errno::IO).unwrap(), Damage::Unreadable(_)));
        assert_eq!(Damage::judge(io::Error::other(Damage::Size(7))).unwrap(), Damage::Size(7));
        for passing in [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::ACCESS, Errno::PERM, Errno::STALE] {
            assert_eq!(judge(passing).unwrap_err().raw_os_error(), Some(passing.raw_os_error()));
        }
    }

    #[test]
    fn what_is_set_aside_twice_is_there_twice() {
        let home = tempfile::tempdir().unwrap();
        for name in ["a", "a.2", "b"] {
            fs::write(home.path().join(name), "").unwrap();
        }
        let free = |name| free_name(&RealDisk, home.path(), name).unwrap().file_name().unwrap().to_owned();
        assert_eq!((free("a"), free("b"), free("c")), ("a.3".into(), "b.2".into(), "c".into()));
    }
}
