//! Reading a stored file.

use super::data_dir::DataDir;
use super::{Damage, Location};
use crate::disk::{DiskFile, How, remove_if_there};
use std::collections::BTreeSet;
use std::io;
use std::os::fd::BorrowedFd;

/// An open blob. It can be read to its end whatever becomes of its name.
#[derive(Debug)]
pub struct BlobFile {
    file: Box<dyn DiskFile>,
    size: u64,
}

impl BlobFile {
    /// Drops what the machine's memory holds of the file, so that the next bytes are read from the disk.
    pub fn forget_cached(&self) {
        self.file.forget_cached();
    }

    /// How many bytes it has, as its row says.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads from `offset` into `buffer`, less than it takes only at the blob's end. A file that ends before
    /// its row says is an error, never a short read: nobody may take the part for the whole.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = self.size.saturating_sub(offset);
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        self.file.read_exact_at(&mut buffer[..count], offset)?;
        Ok(count)
    }

    /// Hands bytes from `offset` on, at most `count` and none behind the blob's end, to a socket that does
    /// not wait. Errors as of [`DiskFile::send_at`]; a file that ends before its row says is one, too.
    pub fn send_at(&self, socket: BorrowedFd<'_>, offset: u64, count: usize) -> io::Result<usize> {
        let left = self.size.saturating_sub(offset);
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(count);
        match self.file.send_at(socket, offset, count)? {
            0 if count > 0 => Err(io::ErrorKind::UnexpectedEof.into()),
            sent => Ok(sent),
        }
    }

    /// Whether reading `count` bytes from `offset` on is likely not to wait for the disk: the first and the
    /// last of them are looked at.
    #[must_use]
    pub fn is_cached(&self, offset: u64, count: u64) -> bool {
        count == 0 || self.file.is_cached(offset) && self.file.is_cached(offset + count - 1)
    }
}

impl DataDir {
    /// Opens the file of a blob whose row says `size`.
    pub fn open_blob(&self, location: &Location, size: u64) -> io::Result<BlobFile> {
        let file = self.disk().open(&self.blob_path(location), How::Read)?;
        let found = file.stat()?.len;
        if found != size {
            return Err(io::Error::other(Damage::Size(found)));
        }
        Ok(BlobFile { file, size })
    }

    /// Unlinks a file whose tombstone is committed. Not durable until [`DataDir::sync_unlinked`].
    pub fn unlink_blob(&self, location: &Location) -> io::Result<()> {
        remove_if_there(&**self.disk(), &self.blob_path(location))
    }

    /// Makes the unlinking of these files durable, each directory synced once.
    pub fn sync_unlinked<'a>(&self, locations: impl Iterator<Item = &'a Location>) -> io::Result<()> {
        let directories: BTreeSet<_> = locations.map(Location::directory).collect();
        directories.iter().try_for_each(|directory| self.disk().sync_directory(&self.blobs().join(directory)))
    }
}
