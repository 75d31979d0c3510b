//! Deleted manifests, which are out of sight and kept for a while.
//!
//! A kept manifest has its bytes and its reference rows, and keeps the blobs they name; but it links none, so
//! HEAD, GET and mount answer as if it were gone (I10). It goes for good when its row in the queue is due.

use super::error::Error;
use super::links;
use crate::oci::{Digest, Role, Tag};
use crate::store::records::{KeptRecord, ManifestRecord, Target};
use crate::store::tables::{BLOB_USER, KEPT, KEPT_USER, MANIFEST_BYTES, PARENT, QUEUE, REFERENCE};
use crate::store::{KeyRange, MetaError, QueueKind, Read, RepoId, Tx};

/// Takes a manifest, whose own row is gone already, out of sight.
pub fn keep(
    tx: &mut Tx<'_>,
    (repository, digest): (RepoId, Digest),
    manifest: ManifestRecord,
    tags: &[Tag],
    now_ms: u64,
    due_at_ms: u64,
) -> Result<(), MetaError> {
    let references = tx.page(&REFERENCE, &KeyRange::prefix(&(repository, digest)), usize::MAX)?;
    for ((_, _, referenced), reference) in references {
        match reference.target {
            Target::Blob => {
                let user = tx.remove(&BLOB_USER, &(referenced, repository, digest))?;
                assert!(user.is_some(), "a reference stands in both directions");
                tx.put(&KEPT_USER, &(referenced, repository, digest), &())?;
            }
            Target::Absent if reference.role != Role::Child => {}
            Target::Manifest | Target::Absent => {
                let parent = tx.remove(&PARENT, &(repository, referenced, digest))?;
                assert!(parent.is_some(), "a reference stands in both directions");
            }
        }
    }
    let tags = tags.iter().map(ToString::to_string).collect();
    tx.put(&KEPT, &(repository, digest), &KeptRecord { manifest, deleted_at_ms: now_ms, due_at_ms, tags })?;
    tx.put(&QUEUE, &(due_at_ms, QueueKind::KeptEnd, digest, repository), &())
}

/// Whether a deleted manifest of the repository keeps the blob.
pub fn keeps(rows: &impl Read, repository: RepoId, blob: Digest) -> Result<bool, MetaError> {
    Ok(rows.first(&KEPT_USER, &KeyRange::prefix(&(blob, repository)))?.is_some())
}

/// Removes the rows of a kept manifest, but for its bytes; gives what it was and the blobs it kept.
pub fn forget(
    tx: &mut Tx<'_>,
    (repository, digest): (RepoId, Digest),
) -> Result<Option<(KeptRecord, Vec<Digest>)>, MetaError> {
    let Some(kept) = tx.remove(&KEPT, &(repository, digest))? else { return Ok(None) };
    let queued = tx.remove(&QUEUE, &(kept.due_at_ms, QueueKind::KeptEnd, digest, repository))?;
    assert!(queued.is_some(), "a kept manifest has its row in the queue");
    let mut blobs = Vec::new();
    let references = tx.page(&REFERENCE, &KeyRange::prefix(&(repository, digest)), usize::MAX)?;
    for ((_, _, referenced), reference) in references {
        tx.remove(&REFERENCE, &(repository, digest, referenced))?;
        if reference.target == Target::Blob {
            let user = tx.remove(&KEPT_USER, &(referenced, repository, digest))?;
            assert!(user.is_some(), "a kept reference stands in both directions");
            blobs.push(referenced);
        }
    }
    Ok(Some((kept, blobs)))
}

/// Drops a kept manifest for good, and tells the collector of each blob that nothing needs any more.
pub fn drop_for_good(tx: &mut Tx<'_>, key: (RepoId, Digest), now_ms: u64) -> Result<bool, Error> {
    let Some((kept, blobs)) = forget(tx, key)? else { return Ok(false) };
    let bytes = tx.remove(&MANIFEST_BYTES, &key)?;
    assert!(bytes.is_some_and(|bytes| bytes.0.len() as u64 == kept.manifest.size), "its bytes stay as long");
    for blob in blobs {
        links::queue_if_unneeded(tx, blob, now_ms)?;
    }
    Ok(true)
}
