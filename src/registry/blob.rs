//! Looking at and reading blobs.
//!
//! The row decides; but where the file shows at a glance that it is not what the row says, the blob is marked
//! damaged and answered as not there, so that the next push brings it again.

use super::Registry;
use super::damage::Hashing;
use super::error::Error;
use super::links::{self, Judge};
use super::repositories;
use crate::oci::{Digest, RepositoryName, SessionId};
use crate::store::records::BlobRecord;
use crate::store::{BlobFile, Damage, StoreError};
use std::io;
use std::os::fd::BorrowedFd;

/// How often a blob is looked up while its row changes under the look.
const LOOKS_MAX: usize = 3;

/// An open blob. It can be read to its end, whatever is deleted meanwhile.
pub struct OpenBlob {
    digest: Digest,
    session: SessionId,
    file: BlobFile,
}

impl OpenBlob {
    /// The upload that the file came by.
    #[cfg(test)]
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// How many bytes it has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.file.size()
    }

    /// Fills the buffer from `offset` on; all of that is within the blob. What an error says of the file is
    /// for [`OpenBlob::judge`].
    pub fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let read = self.file.read_at(buffer, offset)?;
        assert_eq!(read, buffer.len(), "what was asked for is within the blob");
        Ok(())
    }

    /// Hands bytes from `offset` on, at most `count`, to a socket that does not wait, which may say
    /// `WouldBlock`. `Unsupported`: this file cannot be sent so, and is to be read. What another error says
    /// of the file is for [`OpenBlob::judge`].
    pub fn send_at(&self, socket: BorrowedFd<'_>, offset: u64, count: usize) -> io::Result<usize> {
        self.file.send_at(socket, offset, count)
    }

    /// Whether reading `count` bytes from `offset` on is likely not to wait for the disk.
    #[must_use]
    pub fn is_cached(&self, offset: u64, count: u64) -> bool {
        self.file.is_cached(offset, count)
    }

    /// What an error says of the blob's file, and not of the socket, of memory or of rights.
    #[must_use]
    pub fn judge(&self, error: io::Error) -> Option<Damage> {
        match Damage::judge(error) {
            Ok(damage) => return Some(damage),
            Err(error) if is_of_the_client(&error) => {
                log::debug!("a transfer of blob {} broke off: {error}", self.digest);
            }
            Err(error) => log::warn!("a transfer of blob {} is broken off: {error}", self.digest),
        }
        None
    }

    /// Marks the blob as damaged. It waits for the ledger.
    pub fn mark_damaged(&self, registry: &Registry, damage: Damage) {
        log::error!("reading a blob failed, its transfer is broken off: {damage}");
        registry.judge_failed_read(self.digest, self.session, io::Error::other(damage));
    }

    /// Reads it from the beginning, and compares the digest before the last bytes are handed out.
    #[must_use]
    pub fn checked(self) -> CheckedBlob {
        let Self { digest, session, file } = self;
        CheckedBlob { digest, session, hashing: Hashing::new(digest, file) }
    }
}

/// Whether a transfer ended by the other end's doing.
fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, TimedOut};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | TimedOut)
}

/// A blob that is hashed while it is read.
pub struct CheckedBlob {
    digest: Digest,
    session: SessionId,
    hashing: Hashing,
}

impl CheckedBlob {
    /// The next bytes, `count` or what is left. Where the bytes turn out to be others than the digest says,
    /// the last of them are not handed out and the blob is marked as damaged.
    pub fn read(&mut self, registry: &Registry, count: usize) -> io::Result<Vec<u8>> {
        let left = usize::try_from(self.hashing.left()).unwrap_or(usize::MAX);
        let mut buffer = vec![0; count.min(left)];
        let mut read = self.hashing.read(&mut buffer).map(drop);
        if read.is_ok() && self.hashing.left() == 0 {
            read = self.hashing.damage().map_or(Ok(()), |damage| Err(io::Error::other(damage)));
        }
        read.map_err(|error| judged(registry, self.digest, self.session, error))?;
        Ok(buffer)
    }
}

/// Marks the blob if the error says that its file is damaged; gives an error that says as much.
fn judged(registry: &Registry, digest: Digest, session: SessionId, error: io::Error) -> io::Error {
    let told = io::Error::new(error.kind(), error.to_string());
    registry.judge_failed_read(digest, session, error);
    told
}

impl Registry {
    /// The size of a blob that a push may count on finding here: HEAD's question.
    pub fn stat_blob(&self, name: &RepositoryName, digest: Digest) -> Result<u64, Error> {
        let judge = Judge::WithMargin(self.lease_margin_ms());
        self.with_whole_blob(name, digest, judge, |blob| self.stat(digest, blob))
    }

    /// The same without a commit; none where the blob is damaged and is still to be marked so.
    pub fn stat_blob_at_once(&self, name: &RepositoryName, digest: Digest) -> Result<Option<u64>, Error> {
        let blob = self.find_blob(name, digest, Judge::WithMargin(self.lease_margin_ms()))?;
        Ok(self.stat(digest, &blob)?.ok())
    }

    /// Opens a blob that is linked in the repository.
    pub fn open_blob(&self, name: &RepositoryName, digest: Digest) -> Result<OpenBlob, Error> {
        self.with_whole_blob(name, digest, Judge::ToTheEnd, |blob| self.open(digest, blob))
    }

    /// The same without a commit; none where the blob is damaged and is still to be marked so.
    pub fn open_blob_at_once(
        &self,
        name: &RepositoryName,
        digest: Digest,
    ) -> Result<Option<OpenBlob>, Error> {
        let blob = self.find_blob(name, digest, Judge::ToTheEnd)?;
        Ok(self.open(digest, &blob)?.ok())
    }

    fn stat(&self, digest: Digest, blob: &BlobRecord) -> Result<Result<u64, Damage>, StoreError> {
        Ok(self.store.look_at_blob(digest, blob)?.map_or(Ok(blob.size), Err))
    }

    fn open(&self, digest: Digest, blob: &BlobRecord) -> Result<Result<OpenBlob, Damage>, StoreError> {
        match self.store.open_blob(digest, blob) {
            Ok(file) => Ok(Ok(OpenBlob { digest, session: blob.session, file })),
            Err(StoreError::Io(error)) => Ok(Err(Damage::judge(error).map_err(StoreError::from)?)),
            Err(error) => Err(error),
        }
    }

    /// Does what `act` does with the blob, whose file it may find damaged.
    fn with_whole_blob<T>(
        &self,
        name: &RepositoryName,
        digest: Digest,
        judge: Judge,
        act: impl Fn(&BlobRecord) -> Result<Result<T, Damage>, StoreError>,
    ) -> Result<T, Error> {
        for _ in 0..LOOKS_MAX {
            let blob = self.find_blob(name, digest, judge)?;
            let damage = match act(&blob)? {
                Ok(done) => return Ok(done),
                Err(damage) => damage,
            };
            // Where the row is another by now, so may the answer be: a blob was collected, or pushed again.
            match self.mark_damaged(digest, blob.session, &damage) {
                Ok(false) => {}
                Ok(true) => break,
                Err(error) => {
                    log::error!("blob {digest} is damaged ({damage}) and cannot be marked so: {error}");
                    break;
                }
            }
        }
        Err(Error::BlobUnknown { repository: name.clone(), digest })
    }

    fn find_blob(&self, name: &RepositoryName, digest: Digest, judge: Judge) -> Result<BlobRecord, Error> {
        let now_ms = self.clock.now_ms();
        self.store.read(|rows| {
            let found = match repositories::find(rows, name)? {
                Some(repository) => links::linked_blob(rows, repository, digest, now_ms, judge)?,
                None => None,
            };
            found.ok_or_else(|| Error::BlobUnknown { repository: name.clone(), digest })
        })
    }
}
