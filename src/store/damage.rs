//! Marking blobs whose files are damaged, and setting the files aside.
//!
//! The mark and the row of `DAMAGED` appear in one transaction; the file is moved after that commit, and the
//! row goes when the move is durable. A crash in between leaves the row, and the next start or the next look
//! moves the file. Until then it belongs to a row, so no file is without one (I2). Nothing is served from
//! it meanwhile: the mark alone decides that.

use super::records::{BlobRecord, DamagedRecord};
use super::tables::{BLOB, DAMAGED};
use super::{KeyRange, MetaError, Read, Store, StoreError, Tx};
use crate::blobs::{Damage, Location};
use crate::oci::{Digest, SessionId};
use std::sync::PoisonError;

/// How many files are set aside at once.
const PAGE_ROWS: usize = 256;

/// The counter of the blobs that are marked as damaged.
pub const DAMAGED_BLOBS: &str = "damaged_blobs";

impl Store {
    /// What a look at a blob's file, without reading it, shows to be wrong.
    pub fn look_at_blob(&self, digest: Digest, blob: &BlobRecord) -> Result<Option<Damage>, StoreError> {
        Ok(self.dir.look_at_blob(&Location { digest, session: blob.session }, blob.size)?)
    }

    /// Marks a blob whose file, that of `session`, was found damaged, and sets the file aside. Says whether
    /// it did: it may be marked already, have another file by now, or be gone.
    pub fn mark_damaged(&self, digest: Digest, session: SessionId, now_ms: u64) -> Result<bool, StoreError> {
        let marked = self.write(move |tx| mark(tx, digest, session, now_ms).map_err(StoreError::from))?;
        if marked {
            self.set_aside();
        }
        Ok(marked)
    }

    /// Takes back the mark of a blob whose file, read after the row was `seen`, is right again: somebody put
    /// it back. Says whether it did.
    pub fn clear_damage(&self, digest: Digest, seen: &BlobRecord, now_ms: u64) -> Result<bool, StoreError> {
        let seen = seen.clone();
        self.write(move |tx| {
            // What is still to be set aside would be moved after this.
            if tx.get(&BLOB, &digest)?.as_ref() != Some(&seen)
                || tx.contains(&DAMAGED, &(digest, seen.session))?
            {
                return Ok(false);
            }
            tx.put(&BLOB, &digest, &BlobRecord { damaged_at_ms: None, good_at_ms: now_ms, ..seen.clone() })?;
            tx.add(DAMAGED_BLOBS, -1)?;
            Ok(true)
        })
    }

    /// Moves every file that is to be set aside; says how many. What cannot be moved now is tried again
    /// later: nothing else waits for it.
    pub fn set_aside(&self) -> usize {
        self.move_aside().unwrap_or_else(|error| {
            log::warn!("damaged files could not be moved to damaged/, it will be tried again: {error}");
            0
        })
    }

    /// The files first, durably; then the rows.
    fn move_aside(&self) -> Result<usize, StoreError> {
        // It guards nothing but the order: a panic leaves it as good as before.
        let _alone = self.setting_aside.lock().unwrap_or_else(PoisonError::into_inner);
        let mut moved = 0;
        loop {
            let page = self.snapshot()?.page(&DAMAGED, &KeyRange::all(), PAGE_ROWS)?;
            if page.is_empty() {
                return Ok(moved);
            }
            let keys: Vec<_> = page.into_iter().map(|(key, _)| key).collect();
            for &(digest, session) in &keys {
                let outcome = self.dir.set_aside(&Location { digest, session });
                outcome.map_err(|error| self.disk_error(error))?;
            }
            moved += keys.len();
            self.write(move |tx| {
                for key in &keys {
                    tx.remove(&DAMAGED, key)?;
                }
                Ok::<_, StoreError>(())
            })?;
        }
    }

    /// How many damaged files are kept.
    pub fn count_set_aside(&self) -> Result<u64, StoreError> {
        Ok(self.dir.count_set_aside()?)
    }
}

/// Marks a blob, unless it has another file by now; says whether it did.
pub(super) fn mark(
    tx: &mut Tx<'_>,
    digest: Digest,
    session: SessionId,
    now_ms: u64,
) -> Result<bool, MetaError> {
    let Some(blob) = tx.get(&BLOB, &digest)? else { return Ok(false) };
    if blob.session != session || blob.is_damaged() {
        return Ok(false);
    }
    tx.put(&BLOB, &digest, &BlobRecord { damaged_at_ms: Some(now_ms), ..blob })?;
    tx.put(&DAMAGED, &(digest, session), &DamagedRecord { since_ms: now_ms })?;
    tx.add(DAMAGED_BLOBS, 1)?;
    Ok(true)
}
