//! The files of a registry that somebody else may have open, and copying them.

use super::super::{Damage, Location};
use super::files::{create, options, remove_if_there};
use crate::disk::synced;
use rustix::fs::ioctl_ficlone;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// How much is copied at once.
const BUFFER_BYTES: usize = 1024 * 1024;

/// The blobs of a data directory or backup. They never change (I6), so no lock is needed to read them; who
/// takes some makes sure that they are not unlinked meanwhile.
#[derive(Debug)]
pub struct Goods(PathBuf);

impl Goods {
    /// Those of the directory `root`.
    #[must_use]
    pub fn of(root: &Path) -> Self {
        Self(root.join("blobs"))
    }

    /// Where the file of a blob is.
    pub(super) fn path(&self, location: &Location) -> PathBuf {
        self.0.join(location.path())
    }

    /// What a look at a file, without reading it, shows to be wrong.
    pub(super) fn look(&self, location: &Location, size: u64) -> io::Result<Option<Damage>> {
        match self.path(location).symlink_metadata() {
            Ok(found) if !found.is_file() => Ok(Some(Damage::Unreadable("it is no file".into()))),
            Ok(found) if found.len() != size => Ok(Some(Damage::Size(found.len()))),
            Ok(_) => Ok(None),
            Err(error) => Damage::judge(error).map(Some),
        }
    }

    /// Opens the file of a blob.
    pub(super) fn open(&self, location: &Location) -> io::Result<File> {
        options().write(false).open(self.path(location))
    }
}

/// Makes `to` a file with the `size` bytes of `from`, which shares their blocks where the file system can do
/// that. Its bytes are durable, its name is not.
pub(super) fn clone_or_copy(from: &File, to: &Path, size: u64, tell: &mut dyn FnMut(u64)) -> io::Result<()> {
    remove_if_there(to)?;
    let mut file = create(to)?;
    if ioctl_ficlone(&file, from).is_err() {
        copy_bytes(from, &mut file, size, tell)?;
    }
    if file.metadata()?.len() != size {
        return Err(io::Error::new(ErrorKind::UnexpectedEof, "a file changed while it was copied"));
    }
    synced(file.sync_all())
}

/// Copies so many bytes, and says again and again how many more there are. A source that ends before is an
/// error.
pub(super) fn copy_bytes(
    mut from: impl Read,
    to: &mut impl Write,
    size: u64,
    tell: &mut dyn FnMut(u64),
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut left = size;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(BUFFER_BYTES);
        let count = match from.read(&mut buffer[..most]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read?,
        };
        to.write_all(&buffer[..count])?;
        left -= count as u64;
        tell(count as u64);
    }
    Ok(())
}

/// Copies a file as it is now.
pub(super) fn copy_whole(from: &Path, to: &Path) -> io::Result<()> {
    let from = options().write(false).open(from)?;
    let size = from.metadata()?.len();
    clone_or_copy(&from, to, size, &mut |_| {})
}
