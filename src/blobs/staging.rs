//! An upload's file, from its first byte to its name among the blobs.
//!
//! The order is design: sync the bytes; rename to a name that says digest and session and sync uploads/, so
//! that a crash from here on leaves debris that the next start finds by listing uploads/ alone; link the
//! final name and sync its directory; commit the row; unlink the staging name. A refusal unlinks in the other
//! order.

use super::Location;
use super::data_dir::DataDir;
use crate::disk::{DiskFile, How, remove_if_there};
use crate::oci::{Algorithm, Digest, Hasher, SessionId};
use std::io::{self, ErrorKind};

/// How many bytes are written before the disk is given them, so that the last sync is short.
const WRITEBACK_BYTES: u64 = 8 * 1024 * 1024;

/// How much is read at once where bytes have to be hashed again.
const REHASH_BUFFER_BYTES: usize = 1024 * 1024;

/// An upload in progress: an open file, the hash of what it holds, and how much of it is synced.
#[derive(Debug)]
pub struct Staging {
    session: SessionId,
    file: Box<dyn DiskFile>,
    hasher: Hasher,
    offset: u64,
    synced: u64,
    /// How many the disk was given.
    given: u64,
}

impl Staging {
    /// Begins a session's file and makes its name durable.
    pub fn create(dir: &DataDir, session: SessionId, algorithm: Algorithm) -> io::Result<Self> {
        let file = dir.create_file(&dir.staging_path(session))?;
        dir.disk().sync_directory(&dir.uploads())?;
        Ok(Self { session, file, hasher: Hasher::new(algorithm), offset: 0, synced: 0, given: 0 })
    }

    /// Goes on with a session at `offset`, which was synced. Bytes behind it were never acknowledged and are
    /// cut off. `hasher` is the state at that offset where it is known; else the bytes are read again.
    pub fn resume(
        dir: &DataDir,
        session: SessionId,
        offset: u64,
        algorithm: Algorithm,
        hasher: Option<Hasher>,
    ) -> io::Result<Self> {
        let file = dir.disk().open(&dir.staging_path(session), How::Write)?;
        let length = file.stat()?.len;
        if length < offset {
            let words = format!("upload {session} has {length} bytes on disk, {offset} were acknowledged");
            return Err(io::Error::new(ErrorKind::UnexpectedEof, words));
        }
        file.set_len(offset)?;
        let hasher = if let Some(hasher) = hasher {
            hasher
        } else {
            log::info!("upload {session}: its {offset} bytes are read again for their digest");
            hash_file(&*file, offset, algorithm)?
        };
        assert_eq!(hasher.algorithm(), algorithm);
        Ok(Self { session, file, hasher, offset, synced: offset, given: offset })
    }

    /// The session.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// How many bytes there are.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The hash of the bytes so far.
    #[must_use]
    pub fn hasher(&self) -> &Hasher {
        &self.hasher
    }

    /// Appends bytes. After an error the file may hold a part of them: resume from what was synced.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(bytes, self.offset)?;
        self.hasher.update(bytes);
        self.offset += bytes.len() as u64;
        if self.offset - self.given >= WRITEBACK_BYTES {
            self.file.start_writing(self.given, self.offset - self.given);
            self.given = self.offset;
        }
        Ok(())
    }

    /// Cuts off the bytes behind `offset`: nobody was told of them. The upload is of no more use here; it
    /// goes on by [`Staging::resume`].
    pub fn cut_off(&self, offset: u64) -> io::Result<()> {
        self.file.set_len(offset)
    }

    /// Makes all bytes so far durable.
    pub fn sync(&mut self) -> io::Result<()> {
        if self.synced < self.offset {
            self.file.sync()?;
            (self.synced, self.given) = (self.offset, self.offset);
        }
        Ok(())
    }

    /// The digest of the whole. An algorithm other than the one hashed on the way costs a second pass.
    pub fn digest(&self, algorithm: Algorithm) -> io::Result<Digest> {
        if algorithm == self.hasher.algorithm() {
            return Ok(self.hasher.clone().finish());
        }
        Ok(hash_file(&*self.file, self.offset, algorithm)?.finish())
    }

    /// Syncs the bytes and gives them, still in uploads/, a name that says what they are: after a crash the
    /// start finds by it what may stand among the blobs without a row.
    pub fn seal(self, dir: &DataDir, digest: Digest) -> io::Result<Sealed> {
        // Also where every byte is synced: bytes that were cut off must not come back after a power cut.
        self.file.sync()?;
        let location = Location { digest, session: self.session };
        dir.disk().rename(&dir.staging_path(self.session), &dir.sealed_path(&location))?;
        dir.disk().sync_directory(&dir.uploads())?;
        Ok(Sealed { location, size: self.offset })
    }
}

fn hash_file(file: &dyn DiskFile, size: u64, algorithm: Algorithm) -> io::Result<Hasher> {
    let mut hasher = Hasher::new(algorithm);
    let mut buffer = vec![0; REHASH_BUFFER_BYTES];
    let mut offset = 0;
    while offset < size {
        let count = usize::try_from(size - offset).unwrap_or(usize::MAX).min(buffer.len());
        file.read_exact_at(&mut buffer[..count], offset)?;
        hasher.update(&buffer[..count]);
        offset += count as u64;
    }
    assert_eq!(offset, size);
    Ok(hasher)
}

/// A whole upload: its bytes and its name in uploads/ are durable.
#[derive(Debug)]
pub struct Sealed {
    location: Location,
    size: u64,
}

impl Sealed {
    /// Links the bytes under their final name and makes that durable. Nothing serves them before their row is
    /// committed.
    pub fn publish(self, dir: &DataDir) -> io::Result<Published> {
        let path = dir.blob_path(&self.location);
        dir.disk().hard_link(&dir.sealed_path(&self.location), &path)?;
        dir.disk().sync_directory(path.parent().expect("a blob's path has directories"))?;
        Ok(Published { location: self.location, size: self.size })
    }
}

/// A file under its final name, which a row may now name.
#[derive(Debug, Clone, Copy)]
pub struct Published {
    location: Location,
    size: u64,
}

impl Published {
    /// Where the file stands.
    #[must_use]
    pub fn location(&self) -> Location {
        self.location
    }

    /// How many bytes it has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The row is committed: only the name in uploads/ goes.
    pub fn accept(&self, dir: &DataDir) -> io::Result<()> {
        remove_if_there(&**dir.disk(), &dir.sealed_path(&self.location))
    }

    /// No row names the file: both names go, the one that could be taken for a blob first.
    pub fn reject(&self, dir: &DataDir) -> io::Result<()> {
        let path = dir.blob_path(&self.location);
        remove_if_there(&**dir.disk(), &path)?;
        dir.disk().sync_directory(path.parent().expect("a blob's path has directories"))?;
        remove_if_there(&**dir.disk(), &dir.sealed_path(&self.location))
    }
}
