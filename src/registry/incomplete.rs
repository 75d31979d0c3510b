//! Manifests that lack bytes since the data directory was copied while it was written: such a one is
//! answered as if it were not there, so that clients push it again.
//!
//! A row of `INCOMPLETE` asks for a closer look and decides nothing. Whether a manifest lacks bytes is read
//! from the rows of what it needs, in the same snapshot: so it is whole again with the commit that brings the
//! last missing blob. Only what a start found missing hides a manifest: a blob that is found damaged later
//! leaves the manifests as they are.

use crate::oci::Digest;
use crate::store::records::{BlobRecord, IncompleteRecord, Target};
use crate::store::tables::{BLOB, BLOB_USER, INCOMPLETE, KEPT_PARENT, KEPT_USER, PARENT, REFERENCE, Table};
use crate::store::{KeyRange, MetaError, Read, RepoId, Tx};
use std::collections::HashSet;

/// How many rows are read at once.
const PAGE_ROWS: usize = 512;

/// A manifest of a repository.
pub type Key = (RepoId, Digest);

/// Whether a manifest, visible or deleted, lacks bytes: a blob of its own, or of what it lists.
pub fn is_incomplete(rows: &impl Read, (repository, digest): Key) -> Result<bool, MetaError> {
    // Nearly always there is no such row, and every pull asks.
    if rows.get(&INCOMPLETE, &(repository, digest))?.is_none() {
        return Ok(false);
    }
    // By hand, not by recursion: indexes can be nested as deep as somebody likes.
    let (mut waiting, mut seen) = (vec![digest], HashSet::from([digest]));
    while let Some(next) = waiting.pop() {
        // What has no row lacks nothing, nor does what it lists.
        let Some(row) = rows.get(&INCOMPLETE, &(repository, next))? else { continue };
        for ((_, _, referenced), reference) in
            rows.page(&REFERENCE, &KeyRange::prefix(&(repository, next)), usize::MAX)?
        {
            match reference.target {
                Target::Blob if is_lacking(rows, referenced, &row)? => return Ok(true),
                Target::Manifest if seen.insert(referenced) => waiting.push(referenced),
                Target::Blob | Target::Manifest | Target::Absent => {}
            }
        }
    }
    Ok(false)
}

fn is_lacking(rows: &impl Read, blob: Digest, row: &IncompleteRecord) -> Result<bool, MetaError> {
    let blob = rows.get(&BLOB, &blob)?;
    Ok(blob.is_none_or(|blob| blob.damaged_at_ms.is_some_and(|at_ms| at_ms <= row.since_ms)))
}

/// Whether every manifest that needs a damaged blob is known to lack it, so that nothing is served that is
/// not whole.
pub fn hides(rows: &impl Read, digest: Digest, blob: &BlobRecord) -> Result<bool, MetaError> {
    let Some(damaged_at_ms) = blob.damaged_at_ms else { return Ok(false) };
    for table in [&BLOB_USER, &KEPT_USER] {
        let mut range = KeyRange::prefix(&digest);
        loop {
            let page = rows.page(table, &range, PAGE_ROWS)?;
            let Some((last, ())) = page.last() else { break };
            range = range.after(last);
            for ((_, repository, manifest), ()) in page {
                let row = rows.get(&INCOMPLETE, &(repository, manifest))?;
                if row.is_none_or(|row| row.since_ms < damaged_at_ms) {
                    return Ok(false);
                }
            }
        }
    }
    Ok(true)
}

/// The manifests that need a blob, visible or deleted ones as the table says, behind `after`: a page.
pub fn users(
    rows: &impl Read,
    table: &Table<(Digest, RepoId, Digest), ()>,
    blob: Digest,
    after: Option<Key>,
) -> Result<Vec<Key>, MetaError> {
    let mut range = KeyRange::prefix(&blob);
    if let Some((repository, manifest)) = after {
        range = range.after(&(blob, repository, manifest));
    }
    let page = rows.page(table, &range, PAGE_ROWS)?;
    Ok(page.into_iter().map(|((_, repository, manifest), ())| (repository, manifest)).collect())
}

/// Adds the indexes above these manifests to them, visible and deleted ones, each that was not `known`.
pub fn add_indexes(
    rows: &impl Read,
    manifests: &mut Vec<Key>,
    known: &mut HashSet<Key>,
) -> Result<(), MetaError> {
    let mut next = 0;
    while let Some(&(repository, digest)) = manifests.get(next) {
        next += 1;
        for table in [&PARENT, &KEPT_PARENT] {
            let indexes = rows.page(table, &KeyRange::prefix(&(repository, digest)), usize::MAX)?;
            let indexes = indexes.into_iter().map(|((_, _, index), ())| (repository, index));
            manifests.extend(indexes.filter(|index| known.insert(*index)));
        }
    }
    Ok(())
}

/// Writes down that a manifest is to be looked at more closely.
pub fn note(tx: &mut Tx<'_>, key: Key, now_ms: u64) -> Result<(), MetaError> {
    let row = tx.get(&INCOMPLETE, &key)?;
    // A clock that was set back makes nothing whole.
    if row.is_none_or(|row| row.since_ms < now_ms) {
        tx.put(&INCOMPLETE, &key, &IncompleteRecord { since_ms: now_ms })?;
    }
    Ok(())
}

/// Copies what is known of a manifest to another repository.
pub fn copy(tx: &mut Tx<'_>, from: Key, to: Key) -> Result<(), MetaError> {
    match tx.get(&INCOMPLETE, &from)? {
        Some(row) => tx.put(&INCOMPLETE, &to, &row),
        None => Ok(()),
    }
}
