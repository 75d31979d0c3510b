//! Damaged blobs: a file that is missing, of a wrong size, unreadable, or of other bytes than its digest
//! says.
//!
//! Whoever finds one (a request, the scrub, `verify --deep`) marks its row. From then on the blob is as if it
//! were not there, so that the next push of it uploads it again, and that heals every manifest that needs it.

use super::Registry;
use super::error::Error;
use super::verify::VerifyReport;
use super::{links, repositories};
use crate::oci::{Digest, Hasher, SessionId};
use crate::store::records::{BlobRecord, ScrubRecord};
use crate::store::tables::{BLOB, BLOB_USER, DAMAGED, PARENT, SCRUB, TAG_OF};
use crate::store::{BlobFile, Damage, KeyRange, MetaError, Read, RepoId, StoreError};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::io;
use std::sync::atomic::Ordering;

/// How many of those who need a blob are named, and how many tags of each.
const NEEDING_NAMED: usize = 20;
/// How many of its tags are named.
const TAGS_NAMED: usize = 10;

/// A manifest that needs a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needing {
    /// Its repository.
    pub repository: String,
    /// Its digest.
    pub manifest: String,
    /// Its tags, and those of the indexes that list it: the first few.
    pub tags: Vec<String>,
}

impl std::fmt::Display for Needing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { repository, manifest, tags } = self;
        match tags.as_slice() {
            [] => write!(f, "{repository}@{manifest}"),
            tags => write!(f, "{repository}@{manifest} ({})", tags.join(", ")),
        }
    }
}

/// Which visible manifests need a blob: the first few.
pub fn needing(rows: &impl Read, blob: Digest) -> Result<Vec<Needing>, MetaError> {
    let users = rows.page(&BLOB_USER, &KeyRange::prefix(&blob), NEEDING_NAMED)?;
    users
        .into_iter()
        .map(|((_, repository, manifest), ())| {
            Ok(Needing {
                repository: repositories::shown_name(rows, repository)?,
                manifest: manifest.to_string(),
                tags: tags_leading_to(rows, repository, manifest)?,
            })
        })
        .collect()
}

/// The tags by which a manifest is found: its own, and those of the indexes above it.
fn tags_leading_to(rows: &impl Read, repository: RepoId, manifest: Digest) -> Result<Vec<String>, MetaError> {
    let (mut tags, mut seen, mut waiting) = (Vec::new(), HashSet::from([manifest]), vec![manifest]);
    while let Some(next) = waiting.pop() {
        let page = rows.page(&TAG_OF, &KeyRange::prefix(&(repository, next)), TAGS_NAMED)?;
        tags.extend(page.into_iter().map(|((_, _, tag), ())| tag.to_string()));
        if tags.len() >= TAGS_NAMED || seen.len() >= NEEDING_NAMED {
            break;
        }
        for ((_, _, index), ()) in rows.page(&PARENT, &KeyRange::prefix(&(repository, next)), TAGS_NAMED)? {
            if seen.insert(index) {
                waiting.push(index);
            }
        }
    }
    tags.truncate(TAGS_NAMED);
    Ok(tags)
}

impl Registry {
    /// How many blobs were found damaged since the start.
    #[must_use]
    pub fn damaged_blobs(&self) -> u64 {
        self.damaged_blobs.load(Ordering::Relaxed)
    }

    /// Marks a blob whose file, that of `session`, was found damaged. Says whether it did: it may be marked
    /// already, have another file by now, or be gone.
    pub fn mark_damaged(&self, digest: Digest, session: SessionId, damage: &Damage) -> Result<bool, Error> {
        if !self.store.mark_damaged(digest, session, self.clock.now_ms())? {
            return Ok(false);
        }
        self.damaged_blobs.fetch_add(1, Ordering::Relaxed);
        let needed_by = self.store.read(|rows| needing(rows, digest).map_err(Error::from))?;
        let needed_by: Vec<_> = needed_by.iter().map(ToString::to_string).collect();
        log::error!(
            "blob {digest} is damaged ({damage}): it counts as not there until it is pushed again; it is \
             needed by {}",
            if needed_by.is_empty() { "no manifest".to_owned() } else { needed_by.join(", ") }
        );
        Ok(true)
    }

    /// Marks a blob whose file shows at a glance that it is damaged: what is about to be stored with the same
    /// digest is then to take its place. Where it cannot be found out, the file stays what it was.
    pub(super) fn look_at_stored(&self, digest: Digest) {
        let look = || {
            let Some(blob) = self.store.read(|rows| links::whole_blob(rows, digest).map_err(Error::from))?
            else {
                return Ok(());
            };
            match self.store.look_at_blob(digest, &blob)? {
                Some(damage) => self.mark_damaged(digest, blob.session, &damage).map(drop),
                None => Ok::<_, Error>(()),
            }
        };
        if let Err(error) = look() {
            log::warn!("the stored file of blob {digest} could not be looked at: {error}");
        }
    }

    /// Marks a blob whose file could not be opened or read, if the error says that the file is damaged.
    /// Whether it could be marked makes no difference to the one who met it.
    pub fn judge_failed_read(&self, digest: Digest, session: SessionId, error: io::Error) {
        let marked = match Damage::judge(error) {
            Ok(damage) => self.mark_damaged(digest, session, &damage),
            Err(error) => Err(StoreError::from(error).into()),
        };
        if let Err(error) = marked {
            log::error!("blob {digest} cannot be read: {error}");
        }
    }

    /// Writes down that these files were read and found right, and how far the scrub came. Whatever has
    /// changed since is left alone.
    pub(super) fn note_good(&self, good: Vec<Good>, cursor: Cursor) -> Result<(), Error> {
        self.store.write(move |tx| {
            for &Good { digest, session, at_ms } in &good {
                if let Some(blob) = tx.get(&BLOB, &digest)?
                    && blob.session == session
                    && !blob.is_damaged()
                {
                    tx.put(&BLOB, &digest, &BlobRecord { good_at_ms: at_ms, ..blob })?;
                }
            }
            match cursor {
                Cursor::Unmoved => {}
                Cursor::First => {
                    tx.remove(&SCRUB, &())?;
                }
                Cursor::After(after) => tx.put(&SCRUB, &(), &ScrubRecord { after })?,
            }
            Ok(())
        })
    }

    /// Takes back the mark of a blob whose file, read after the row was `seen`, is right.
    pub(super) fn take_back_mark(&self, digest: Digest, seen: &BlobRecord) -> Result<(), Error> {
        if self.store.clear_damage(digest, seen, self.clock.now_ms())? {
            self.blob_healed(digest, "its file was put back");
        }
        Ok(())
    }

    /// Writes down what a check found that was not to change anything. What has changed since is left alone.
    pub fn settle(&self, report: &VerifyReport) -> Result<(), Error> {
        for (digest, session, damage) in &report.found {
            self.mark_damaged(*digest, *session, damage)?;
        }
        report.mended.iter().try_for_each(|(digest, seen)| self.take_back_mark(*digest, seen))
    }

    /// Closes the ledger: the process is about to end, whoever still has the registry.
    pub fn close(&self) {
        self.store.close();
    }

    /// Tells work that takes long to end: the server does.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    /// Whether long work is to end, since the server does.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    /// Says that a damaged blob has a right file again, and keeps the old one aside.
    pub(super) fn blob_healed(&self, digest: Digest, how: &str) {
        log::info!("blob {digest}, which was damaged, is whole again: {how}");
        self.store.set_aside();
    }
}

/// Whether a damaged blob is to be looked at again: somebody may have put the right file in its place. Not
/// while the damaged one is still to be moved from there.
pub fn may_be_back(rows: &impl Read, digest: Digest, blob: &BlobRecord) -> Result<bool, MetaError> {
    Ok(blob.is_damaged() && !rows.contains(&DAMAGED, &(digest, blob.session))?)
}

/// A file that was read and found right.
#[derive(Debug, Clone, Copy)]
pub struct Good {
    /// What it holds.
    pub digest: Digest,
    /// The upload that it came by.
    pub session: SessionId,
    /// When it was read.
    pub at_ms: u64,
}

/// Where the scrub goes on.
#[derive(Debug, Clone, Copy)]
pub enum Cursor {
    /// Where it was to go on before.
    Unmoved,
    /// With the first blob.
    First,
    /// Behind this one.
    After(Digest),
}

/// A blob's file that is read from its beginning to its end and hashed on the way.
pub struct Hashing {
    digest: Digest,
    file: BlobFile,
    hasher: Hasher,
    offset: u64,
}

impl Hashing {
    /// Begins at the file's first byte.
    pub fn new(digest: Digest, file: BlobFile) -> Self {
        Self { digest, file, hasher: Hasher::new(digest.algorithm()), offset: 0 }
    }

    /// How many bytes are left.
    pub fn left(&self) -> u64 {
        self.file.size() - self.offset
    }

    /// Reads as many bytes as the buffer takes, fewer only at the end, and says how many.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.offset)?;
        self.hasher.update(&buffer[..count]);
        self.offset += count as u64;
        Ok(count)
    }

    /// What is wrong with the bytes, all of which were read.
    pub fn damage(&self) -> Option<Damage> {
        assert_eq!(self.left(), 0, "a hash of a part says nothing");
        let actual = self.hasher.clone().finish();
        (actual != self.digest).then_some(Damage::Digest(actual))
    }

    /// Drops from the machine's memory what was read, which nobody asked for.
    pub fn forget_cached(&self) {
        self.file.forget_cached();
    }
}

#[cfg(test)]
mod tests;
