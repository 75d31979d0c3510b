//! Where a blob can be seen: invariant I10.
//!
//! A blob is linked in a repository while a visible manifest there references it or a live lease names it.
//! There is nothing else to ask and nothing that remembers an answer.

use super::error::Error;
use super::{gone, repositories};
use crate::oci::{Digest, RepositoryName};
use crate::store::records::{BlobRecord, LeaseRecord, Loss};
use crate::store::tables::{BLOB, BLOB_USER, KEPT_USER, LEASE, QUEUE, UPLOAD_OF};
use crate::store::{Key, KeyRange, MetaError, QueueKind, Read, RepoId, Tx};

/// The queue's place of a repository in rows that have none.
pub const NO_REPOSITORY: RepoId = RepoId(0);

/// How many repositories are asked whether a blob may be mounted from them, where the client names none.
const HOLDERS_ASKED_MAX: usize = 1000;

/// How a lease is judged.
#[derive(Debug, Clone, Copy)]
pub enum Judge {
    /// To its end, and longer while the repository has an open upload.
    ToTheEnd,
    /// For HEAD: it has to last this much longer, in milliseconds, since the client acts on the answer later.
    WithMargin(u64),
}

/// The blob, unless its file is known to be damaged: such a blob is as good as none until it is pushed again.
pub fn whole_blob(rows: &impl Read, digest: Digest) -> Result<Option<BlobRecord>, MetaError> {
    Ok(rows.get(&BLOB, &digest)?.filter(|blob| !blob.is_damaged()))
}

/// The blob, if it is whole and linked in the repository.
pub fn linked_blob(
    rows: &impl Read,
    repository: RepoId,
    digest: Digest,
    now_ms: u64,
    judge: Judge,
) -> Result<Option<BlobRecord>, MetaError> {
    let Some(blob) = whole_blob(rows, digest)? else { return Ok(None) };
    let linked =
        is_referenced(rows, repository, digest)? || is_leased(rows, repository, digest, now_ms, judge)?;
    Ok(linked.then_some(blob))
}

/// The blob, wherever it is linked.
pub fn stored(rows: &impl Read, digest: Digest) -> Result<Option<BlobRecord>, MetaError> {
    rows.get(&BLOB, &digest)
}

/// Whether a manifest of the repository needs the blob.
pub fn is_referenced(rows: &impl Read, repository: RepoId, digest: Digest) -> Result<bool, MetaError> {
    Ok(rows.first(&BLOB_USER, &KeyRange::prefix(&(digest, repository)))?.is_some())
}

fn is_leased(
    rows: &impl Read,
    repository: RepoId,
    digest: Digest,
    now_ms: u64,
    judge: Judge,
) -> Result<bool, MetaError> {
    let Some(lease) = rows.get(&LEASE, &(digest, repository))? else { return Ok(false) };
    match judge {
        Judge::WithMargin(margin_ms) => Ok(lease.ends_at_ms > now_ms.saturating_add(margin_ms)),
        Judge::ToTheEnd if lease.ends_at_ms > now_ms => Ok(true),
        // A push that takes longer than the lease does not lose what it began with.
        Judge::ToTheEnd => Ok(rows.first(&UPLOAD_OF, &KeyRange::prefix(&repository))?.is_some()),
    }
}

/// A repository in which the blob is linked and whose name `may` be one of, if any.
pub fn any_holder(
    rows: &impl Read,
    digest: Digest,
    now_ms: u64,
    may: impl Fn(&RepositoryName) -> bool,
) -> Result<Option<RepoId>, MetaError> {
    let is_one = |repository| {
        let name = repositories::name_of(rows, repository)?;
        Ok::<_, MetaError>(name.is_some_and(|name| may(&name)))
    };
    let mut range = KeyRange::prefix(&digest);
    // Who finds none among so many uploads: it must not hold up the others, nor take longer the more there
    // are that may not be seen.
    let mut left = HOLDERS_ASKED_MAX;
    while let Some(((_, repository, _), ())) = rows.first(&BLOB_USER, &range)? {
        if is_one(repository)? {
            return Ok(Some(repository));
        }
        left -= 1;
        if left == 0 {
            return Ok(None);
        }
        let Some(next) = repository.0.checked_add(1) else { break };
        range.start = Key::to_key(&(digest, RepoId(next)));
    }
    // Ended leases stay until they are collected, so there may be some before a live one.
    let mut range = KeyRange::prefix(&digest);
    while let Some(((_, repository), _)) = rows.first(&LEASE, &range)? {
        if is_leased(rows, repository, digest, now_ms, Judge::ToTheEnd)? && is_one(repository)? {
            return Ok(Some(repository));
        }
        left -= 1;
        if left == 0 {
            return Ok(None);
        }
        range = range.after(&(digest, repository));
    }
    Ok(None)
}

/// Links the blob in the repository until `ends_at_ms`; a lease that was there ends where the new one does.
pub fn put_lease(
    tx: &mut Tx<'_>,
    repository: RepoId,
    digest: Digest,
    ends_at_ms: u64,
) -> Result<(), MetaError> {
    end_lease(tx, repository, digest)?;
    tx.put(&LEASE, &(digest, repository), &LeaseRecord { ends_at_ms })?;
    tx.put(&QUEUE, &(ends_at_ms, QueueKind::LeaseEnd, digest, repository), &())
}

/// Takes the lease away, with its row in the queue; says whether there was one.
pub fn end_lease(tx: &mut Tx<'_>, repository: RepoId, digest: Digest) -> Result<bool, MetaError> {
    let Some(lease) = tx.remove(&LEASE, &(digest, repository))? else { return Ok(false) };
    let queued = tx.remove(&QUEUE, &(lease.ends_at_ms, QueueKind::LeaseEnd, digest, repository))?.is_some();
    assert!(queued, "a lease has its row in the queue");
    Ok(true)
}

/// Whether anything needs a blob: a manifest, a deleted one that can be brought back, or a lease, live or
/// not.
pub fn is_needed(rows: &impl Read, digest: Digest) -> Result<bool, MetaError> {
    let range = KeyRange::prefix(&digest);
    Ok(rows.first(&BLOB_USER, &range)?.is_some()
        || rows.first(&KEPT_USER, &range)?.is_some()
        || rows.first(&LEASE, &range)?.is_some())
}

/// Tells the collector about a blob that has lost a reference or lease, if nothing needs it any more.
pub fn queue_if_unneeded(tx: &mut Tx<'_>, digest: Digest, loss: Loss, now_ms: u64) -> Result<(), Error> {
    if !is_needed(tx, digest)? && tx.contains(&BLOB, &digest)? {
        gone::will_go(tx, digest, loss)?;
        tx.put(&QUEUE, &(now_ms, QueueKind::Unreferenced, digest, NO_REPOSITORY), &())?;
    }
    Ok(())
}
