//! Acts that touch ledger and files, each in the only order in which a crash cannot part the two.

use super::damage::DAMAGED_BLOBS;
use super::records::{BlobRecord, DamagedRecord, TombstoneRecord};
use super::tables::{BLOB, DAMAGED, TOMBSTONE};
use super::{Attempt, KeyRange, MetaError, Read, Store, StoreError, Tx};
use crate::blobs::{BlobFile, DataDir, Location, Published, Staging};
use crate::oci::{Algorithm, Digest, Hasher, SessionId};
use std::sync::Arc;

/// How many tombstones are worked off at once.
const SWEEP_PAGE_ROWS: usize = 512;

/// The counter of the bytes of all blobs that have a row.
pub const STORED_BYTES: &str = "stored_bytes";

/// What became of a published file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// It is the blob's file.
    New,
    /// The digest was stored already: that file stays, this one is a tombstone.
    Already,
    /// The digest was stored with a damaged file: this one took its place.
    Healed,
}

impl Store {
    /// Makes a session's file. Its row is committed afterwards, so a crash leaves a file without a row, which
    /// the next start removes.
    pub fn create_staging(&self, session: SessionId, algorithm: Algorithm) -> Result<Staging, StoreError> {
        Staging::create(&self.dir, session, algorithm).map_err(|error| {
            self.discard_staging(session);
            self.disk_error(error)
        })
    }

    /// Opens a session's file at its acknowledged offset.
    pub fn resume_staging(
        &self,
        session: SessionId,
        offset: u64,
        algorithm: Algorithm,
        hasher: Option<Hasher>,
    ) -> Result<Staging, StoreError> {
        Ok(Staging::resume(&self.dir, session, offset, algorithm, hasher)?)
    }

    /// Removes a session's file after its row is gone. A file that stays is found at the next start.
    pub fn discard_staging(&self, session: SessionId) {
        note("removing the file of an ended upload", self.dir.remove_staging(session));
    }

    /// Gives a finished upload its place among the blobs and commits what `commit` writes about it, with
    /// [`insert_blob`] among that. If it refuses, both of the file's names go again.
    ///
    /// Where a step before that fails, the upload is as before: open, with the bytes up to `acknowledged`.
    pub fn publish<T, E>(
        &self,
        staging: Staging,
        digest: Digest,
        acknowledged: u64,
        mut commit: impl FnMut(&mut Tx<'_>, &NewFile) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let location = Location { digest, session: staging.session() };
        let reopen = || note("taking back the end of an upload", self.dir.reopen(&location, acknowledged));
        let seal = || staging.seal(&self.dir, digest)?.publish(&self.dir);
        let published = seal().map_err(|error| {
            let error = self.disk_error(error);
            reopen();
            error
        })?;
        let file = NewFile { published, dir: Arc::clone(&self.dir) };
        let attempt = self.attempt(move |tx| {
            let refused = file.clone();
            tx.on_abort(move || note("removing a refused upload", refused.published.reject(&refused.dir)));
            let accepted = file.clone();
            tx.after_commit(move || {
                note("removing a staging name", accepted.published.accept(&accepted.dir));
            });
            commit(tx, &file)
        });
        match attempt {
            Attempt::Decided(decided) => decided,
            Attempt::Full(_) => {
                reopen();
                Err(StoreError::Full.into())
            }
            Attempt::Failed(error) => Err(error.into()),
        }
    }

    /// Opens the file of a stored blob.
    pub fn open_blob(&self, digest: Digest, blob: &BlobRecord) -> Result<BlobFile, StoreError> {
        Ok(self.dir.open_blob(&Location { digest, session: blob.session }, blob.size)?)
    }

    /// Unlinks the files of all tombstones and then drops the rows; says how many. A row goes only after the
    /// unlinking is durable: a file that came back after a power cut would belong to nobody. Before each page
    /// of them it asks whether to go on. While [`Store::hold_files`] holds them, none goes.
    pub fn sweep_tombstones(&self, goes_on: impl Fn() -> bool) -> Result<usize, StoreError> {
        let mut swept = 0;
        while goes_on() {
            // Whoever makes a backup needs the files of rows that went since it began.
            let held = self.files_held();
            if *held > 0 {
                break;
            }
            let page = self.snapshot()?.page(&TOMBSTONE, &KeyRange::all(), SWEEP_PAGE_ROWS)?;
            let keys: Vec<_> = page.into_iter().map(|(key, _)| key).collect();
            if keys.is_empty() {
                return Ok(swept);
            }
            swept += keys.len();
            let locations: Vec<_> =
                keys.iter().map(|&(digest, session)| Location { digest, session }).collect();
            let unlink = || {
                locations.iter().try_for_each(|location| self.dir.unlink_blob(location))?;
                self.dir.sync_unlinked(locations.iter())
            };
            unlink().map_err(|error| self.disk_error(error))?;
            drop(held);
            self.write(move |tx| {
                for key in &keys {
                    tx.remove(&TOMBSTONE, key)?;
                }
                Ok::<_, StoreError>(())
            })?;
        }
        Ok(swept)
    }
}

/// A published file whose row is about to be written. Only [`Store::publish`] makes one, so that no row can
/// name a file that is not in its place and synced.
#[derive(Clone)]
pub struct NewFile {
    published: Published,
    dir: Arc<DataDir>,
}

impl NewFile {
    /// The digest of the file's bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.published.location().digest
    }

    /// How many bytes it has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.published.size()
    }

    /// Makes this the blob's file, or its own tombstone where the digest is stored already with a file that
    /// is not known to be damaged.
    pub fn insert_blob(&self, tx: &mut Tx<'_>, now_ms: u64) -> Result<Stored, MetaError> {
        let Location { digest, session } = self.published.location();
        let blob = BlobRecord::new(self.size(), session, now_ms);
        if tx.insert_if_absent(&BLOB, &digest, &blob)? {
            tx.add(STORED_BYTES, self.size().cast_signed())?;
            return Ok(Stored::New);
        }
        let present = tx.get(&BLOB, &digest)?.expect("a row that was not inserted is there");
        if present.is_damaged() {
            tx.put(&BLOB, &digest, &blob)?;
            tx.add(DAMAGED_BLOBS, -1)?;
            // Whatever is still in the place of the old file, or was put back there, goes aside.
            tx.put(&DAMAGED, &(digest, present.session), &DamagedRecord { since_ms: now_ms })?;
            return Ok(Stored::Healed);
        }
        self.give_up(tx, now_ms)?;
        Ok(Stored::Already)
    }

    /// Makes this its own tombstone: nothing needs it.
    pub fn give_up(&self, tx: &mut Tx<'_>, now_ms: u64) -> Result<(), MetaError> {
        let Location { digest, session } = self.published.location();
        let tombstone = TombstoneRecord { size: self.size(), since_ms: now_ms };
        tx.put(&TOMBSTONE, &(digest, session), &tombstone)?;
        // The row is dropped by the sweep, after this unlinking was made durable there.
        let file = self.clone();
        tx.after_commit(move || {
            note("unlinking what nothing needs", file.dir.unlink_blob(&file.published.location()));
        });
        Ok(())
    }
}

/// An unlinking that failed is tried again: by the sweep or by the next start.
fn note(what: &str, outcome: std::io::Result<()>) {
    if let Err(error) = outcome {
        log::warn!("{what} failed, it will be tried again: {error}");
    }
}
