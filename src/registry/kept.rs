//! Deleted manifests, which are out of sight and kept for a while.
//!
//! A kept manifest has its bytes and its reference rows, and keeps what they name; but it links nothing, so
//! HEAD, GET and mount answer as if it were gone (I10). It goes for good when its row in the queue is due.

use super::error::{Error, MissingReference};
use super::tagging::{self, Change};
use super::usage::{self, Tally};
use super::{gone, links, pins, references, repositories};
use crate::oci::{Digest, RepositoryName, Role, Tag};
use crate::store::records::{KeptRecord, Loss, ReferenceRecord, Target};
use crate::store::tables::{
    BLOB, INCOMPLETE, KEPT, KEPT_PARENT, KEPT_REFERRER, KEPT_USER, MANIFEST, MANIFEST_BYTES, PARENT, QUEUE,
    REFERENCE, REFERRER, REPOSITORY, TAG,
};
use crate::store::{KeyRange, MetaError, QueueKind, Read, RepoId, Tx};

/// How long a deleted manifest that has to stay is left alone before it is looked at again.
pub const HELD_MS: u64 = 60_000;

/// How a manifest is deleted.
#[derive(Debug, Clone)]
pub struct Deletion {
    /// Who does it, when, and why.
    pub change: Change,
    /// When what is deleted goes for good.
    pub due_at_ms: u64,
    /// Until when it is remembered why something went that goes now.
    pub remembered_until_ms: u64,
}

/// What stands between a deleted manifest and its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It is gone.
    Dropped,
    /// It stays for now.
    Held,
}

/// Takes a visible manifest, whose tags are gone already, out of sight. `root` is the manifest whose deletion
/// takes it along.
pub fn hide(
    tx: &mut Tx<'_>,
    name: &RepositoryName,
    (repository, digest): (RepoId, Digest),
    tags: &[Tag],
    root: Digest,
    deletion: &Deletion,
) -> Result<(), MetaError> {
    let key = (repository, digest);
    let shown = tx.get(&MANIFEST, &key)?.expect("it was looked at in this transaction");
    tagging::settle_untagged(tx, key, shown, None)?;
    let manifest = tx.remove(&MANIFEST, &key)?.expect("it was looked at in this transaction");
    usage::count_manifest(tx, repository, manifest.size, -1)?;
    if let Some(subject) = manifest.subject {
        let referrer = tx.remove(&REFERRER, &(repository, subject, digest))?;
        let referrer = referrer.expect("a manifest with a subject is its referrer");
        tx.put(&KEPT_REFERRER, &(repository, subject, digest), &referrer)?;
    }
    let mut tally = Tally::default();
    let references = tx.page(&REFERENCE, &KeyRange::prefix(&key), usize::MAX)?;
    for ((_, _, referenced), reference) in references {
        if reference.target == Target::Blob {
            tally.remove_user(tx, referenced, repository, digest)?;
            tx.put(&KEPT_USER, &(referenced, repository, digest), &())?;
        } else if is_listed(&reference) {
            let parent = tx.remove(&PARENT, &(repository, referenced, digest))?;
            assert!(parent.is_some(), "a reference stands in both directions");
            tx.put(&KEPT_PARENT, &(repository, referenced, digest), &())?;
        }
    }
    tally.write(tx)?;
    let tags = tags.iter().map(ToString::to_string).collect();
    let Deletion { change, due_at_ms, .. } = deletion;
    let (deleted_at_ms, due_at_ms, who) = (change.now_ms, *due_at_ms, change.who.clone());
    tx.put(&KEPT, &key, &KeptRecord { manifest, deleted_at_ms, due_at_ms, tags, root, who })?;
    tx.put(&QUEUE, &(due_at_ms, QueueKind::KeptEnd, digest, repository), &())?;
    repositories::settle_catalog(tx, name, repository)
}

/// Whether a reference that no blob answers is one of an index to a manifest.
fn is_listed(reference: &ReferenceRecord) -> bool {
    match reference.target {
        Target::Manifest => true,
        Target::Absent => reference.role == Role::Child,
        Target::Blob => false,
    }
}

/// What was brought back.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Restored {
    /// How many manifests.
    pub manifests: u64,
    /// The tags that name them again.
    pub tags: Vec<Tag>,
    /// Tags that they had and that name something else by now.
    pub tags_in_use: Vec<Tag>,
}

/// Brings a deleted manifest back into sight, and its tags where `tags_by` says who sets them. What an index
/// lists has to be visible. None: it is not among the deleted.
pub fn restore(
    tx: &mut Tx<'_>,
    name: &RepositoryName,
    (repository, digest): (RepoId, Digest),
    now_ms: u64,
    tags_by: Option<&Change>,
) -> Result<Option<Restored>, Error> {
    let key = (repository, digest);
    let Some(kept) = tx.get(&KEPT, &key)? else { return Ok(None) };
    let mut missing = Vec::new();
    for ((_, _, referenced), row) in tx.page(&REFERENCE, &KeyRange::prefix(&key), usize::MAX)? {
        let is_there = match row.target {
            Target::Blob => links::stored(tx, referenced)?.is_some(),
            Target::Manifest => tx.contains(&MANIFEST, &(repository, referenced))?,
            Target::Absent => true,
        };
        if !is_there {
            missing.push(MissingReference { digest: referenced, role: row.role });
        }
    }
    if !missing.is_empty() {
        return Err(Error::ReferencesMissing { repository: name.clone(), missing });
    }
    let tags = kept.tags.clone();
    show(tx, name, key, kept, now_ms)?;
    let mut restored = Restored { manifests: 1, ..Restored::default() };
    let Some(change) = tags_by else { return Ok(Some(restored)) };
    for tag in tags {
        let tag = Tag::parse(&tag).expect("it was a tag when it was written down");
        if tx.contains(&TAG, &(repository, tag.clone()))? {
            restored.tags_in_use.push(tag);
        } else {
            tagging::set(tx, repository, &tag, digest, change)?;
            restored.tags.push(tag);
        }
    }
    Ok(Some(restored))
}

fn show(
    tx: &mut Tx<'_>,
    name: &RepositoryName,
    key: (RepoId, Digest),
    kept: KeptRecord,
    now_ms: u64,
) -> Result<(), MetaError> {
    let (repository, digest) = key;
    tx.remove(&KEPT, &key)?;
    let queued = tx.remove(&QUEUE, &(kept.due_at_ms, QueueKind::KeptEnd, digest, repository))?;
    assert!(queued.is_some(), "a kept manifest has its row in the queue");
    let mut tally = Tally::default();
    for ((_, _, referenced), row) in tx.page(&REFERENCE, &KeyRange::prefix(&key), usize::MAX)? {
        if row.target == Target::Blob {
            let user = tx.remove(&KEPT_USER, &(referenced, repository, digest))?;
            assert!(user.is_some(), "a kept reference stands in both directions");
            tally.add_user(tx, referenced, repository, digest)?;
            links::end_lease(tx, repository, referenced)?;
        } else if is_listed(&row) {
            let parent = tx.remove(&KEPT_PARENT, &(repository, referenced, digest))?;
            assert!(parent.is_some(), "a kept reference stands in both directions");
            tx.put(&PARENT, &(repository, referenced, digest), &())?;
            if row.target == Target::Absent && tx.contains(&MANIFEST, &(repository, referenced))? {
                let row = ReferenceRecord { target: Target::Manifest, ..row };
                tx.put(&REFERENCE, &(repository, digest, referenced), &row)?;
            }
        }
    }
    tally.write(tx)?;
    if let Some(subject) = kept.manifest.subject {
        let referrer = tx.remove(&KEPT_REFERRER, &(repository, subject, digest))?;
        let referrer = referrer.expect("a deleted manifest with a subject is its deleted referrer");
        tx.put(&REFERRER, &(repository, subject, digest), &referrer)?;
    }
    usage::count_manifest(tx, repository, kept.manifest.size, 1)?;
    tx.put(&MANIFEST, &key, &kept.manifest)?;
    tagging::settle_untagged(tx, key, kept.manifest, Some(now_ms))?;
    references::arrived(tx, repository, digest)?;
    repositories::settle_catalog(tx, name, repository)
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
    tx.remove(&INCOMPLETE, &(repository, digest))?;
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
        } else if is_listed(&reference) {
            let parent = tx.remove(&KEPT_PARENT, &(repository, referenced, digest))?;
            assert!(parent.is_some(), "a kept reference stands in both directions");
        }
    }
    if let Some(subject) = kept.manifest.subject {
        let referrer = tx.remove(&KEPT_REFERRER, &(repository, subject, digest))?;
        assert!(referrer.is_some(), "a deleted manifest with a subject is its deleted referrer");
    }
    Ok(Some((kept, blobs)))
}

/// Drops a kept manifest for good, and tells the collector of each blob that nothing needs any more. Where a
/// deleted index lists it, that goes before it, and in its place if it may go; where a pin holds it, nothing.
pub fn drop_for_good(
    tx: &mut Tx<'_>,
    key: (RepoId, Digest),
    ends_keeping: bool,
    deletion: &Deletion,
) -> Result<End, Error> {
    let now_ms = deletion.change.now_ms;
    let kept = tx.get(&KEPT, &key)?.expect("a row of the queue stands for a kept manifest");
    let (repository, mut digest) = key;
    let mut until_ms = pins::holds(tx, key)?.then_some(now_ms + HELD_MS);
    while until_ms.is_none() {
        // What can be brought back is brought back whole: an index goes before what it lists.
        let index = tx.first(&KEPT_PARENT, &KeyRange::prefix(&(repository, digest)))?;
        let Some(((_, _, index), ())) = index else { break };
        let due_at_ms = tx.get(&KEPT, &(repository, index))?.expect("a deleted index is kept").due_at_ms;
        until_ms = (due_at_ms > now_ms && !ends_keeping).then_some(due_at_ms);
        digest = index;
    }
    if let Some(until_ms) = until_ms {
        if kept.due_at_ms <= now_ms {
            put_off(tx, key, kept, until_ms)?;
        }
        return Ok(End::Held);
    }
    let key = (repository, digest);
    let (kept, blobs) = forget(tx, key)?.expect("it was looked at in this transaction");
    let bytes = tx.remove(&MANIFEST_BYTES, &key)?;
    assert!(bytes.is_some_and(|bytes| bytes.0.len() as u64 == kept.manifest.size), "its bytes stay as long");
    let repository = tx.get(&REPOSITORY, &key.0)?.map(|record| record.name.to_string());
    let loss = Loss::Manifest {
        repository: repository.unwrap_or_default(),
        manifest: key.1,
        deleted_at_ms: kept.deleted_at_ms,
        who: kept.who,
    };
    gone::went(tx, key.1, loss.clone(), deletion)?;
    for blob in blobs {
        debug_assert!(tx.contains(&BLOB, &blob)?, "what is kept is stored");
        links::queue_if_unneeded(tx, blob, loss.clone(), now_ms)?;
    }
    Ok(End::Dropped)
}

fn put_off(
    tx: &mut Tx<'_>,
    (repository, digest): (RepoId, Digest),
    kept: KeptRecord,
    due_at_ms: u64,
) -> Result<(), MetaError> {
    tx.remove(&QUEUE, &(kept.due_at_ms, QueueKind::KeptEnd, digest, repository))?;
    tx.put(&QUEUE, &(due_at_ms, QueueKind::KeptEnd, digest, repository), &())?;
    tx.put(&KEPT, &(repository, digest), &KeptRecord { due_at_ms, ..kept })
}
