//! What there is and how large it is, as people are shown it.

use super::error::Error;
use super::family::{self, Sparing};
use super::usage::Usage;
use super::view::{Everything, Sight};
use super::{Registry, list, repositories};
use crate::oci::{Digest, RepositoryName, Tag};
use crate::store::records::Target;
use crate::store::tables::{
    BLOB, BLOB_USER, KEPT, LEASE, MANIFEST, REFERENCE, REPOSITORY_BY_NAME, TAG, UNTAGGED,
};
use crate::store::{KeyRange, Read, RepoId, STORED_BYTES, Snapshot};
use serde::Serialize;
use std::collections::HashSet;

/// How many deleted manifests, or manifests without a tag, are looked at for a report. Of more, the first
/// are.
const LOOKED_AT_MAX: usize = 10_000;

/// How many references of a manifest are looked at: more than it may have.
const OF_ONE_MAX: usize = 20_000;

/// A repository in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RepositoryRow {
    /// Its name.
    pub name: String,
    /// What it holds.
    #[serde(flatten)]
    pub usage: Usage,
}

/// The registry as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RegistryReport {
    /// What is visible, each blob counted once.
    #[serde(flatten)]
    pub usage: Usage,
    /// The bytes of all blobs that are stored: visible, leased, or deleted and kept.
    pub stored_bytes: u64,
}

/// Deleted manifests of a repository that can be brought back.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct KeptReport {
    /// How many.
    pub manifests: u64,
    /// The bytes of the blobs that nothing visible and no lease needs: they go.
    pub bytes: u64,
    /// When the last of them goes, in milliseconds since the epoch.
    pub until_ms: Option<u64>,
}

/// Manifests without a tag that nothing else keeps.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct UntaggedReport {
    /// How many.
    pub manifests: u64,
    /// What deleting them frees.
    pub frees_bytes: u64,
}

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TagReport {
    /// Its name.
    pub tag: String,
    /// What it names.
    pub digest: Digest,
    /// When it was last written, in milliseconds since the epoch.
    pub pushed_at_ms: u64,
    /// The bytes of all that a client may pull by it: of an index, of every image it lists.
    pub bytes: u64,
    /// What deleting its manifest frees.
    pub frees_bytes: u64,
}

/// A repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RepositoryReport {
    /// Its name.
    pub name: String,
    /// What it holds.
    #[serde(flatten)]
    pub usage: Usage,
    /// The bytes that other repositories need, too.
    pub shared_bytes: u64,
    /// What is deleted.
    pub deleted: KeptReport,
    /// What has no tag.
    pub untagged: UntaggedReport,
    /// The first tags.
    pub tag_list: Vec<TagReport>,
    /// Whether there are more.
    pub more_tags: bool,
}

impl Registry {
    /// The repositories behind `last`, and whether there are more.
    pub fn repositories(
        &self,
        last: Option<&RepositoryName>,
        limit: usize,
    ) -> Result<(Vec<RepositoryRow>, bool), Error> {
        self.repositories_of(last, limit, &Everything)
    }

    /// The same of what is seen.
    pub(super) fn repositories_of(
        &self,
        last: Option<&RepositoryName>,
        limit: usize,
        sight: &dyn Sight,
    ) -> Result<(Vec<RepositoryRow>, bool), Error> {
        self.store.read(|rows| {
            let names = list::seen_names(rows, last, limit + 1, sight)?;
            let more = names.len() > limit;
            let mut found = Vec::new();
            for name in names.into_iter().take(limit) {
                let number = rows.get(&REPOSITORY_BY_NAME, &name)?;
                let number = number.expect("what the catalog lists is found by its name (I3)");
                let usage = Usage::of(rows, RepoId(number.0))?;
                found.push(RepositoryRow { name: name.to_string(), usage });
            }
            Ok((found, more))
        })
    }

    /// The registry as a whole.
    pub fn totals(&self) -> Result<RegistryReport, Error> {
        self.store.read(|rows| {
            let stored = u64::try_from(rows.counter(STORED_BYTES)?);
            let stored_bytes = stored.expect("nothing is taken off that was not added");
            Ok(RegistryReport { usage: Usage::of_all(rows)?, stored_bytes })
        })
    }

    /// A repository with the tags behind `last`, `limit` of them, all from one state of the ledger.
    pub fn repository(
        &self,
        name: &RepositoryName,
        last: Option<&Tag>,
        limit: usize,
    ) -> Result<RepositoryReport, Error> {
        self.store.read(|rows| {
            let unknown = || Error::RepositoryUnknown(name.clone());
            let repository = repositories::find(rows, name)?.ok_or_else(unknown)?;
            let usage = Usage::of(rows, repository)?;
            let deleted = deleted_of(rows, repository)?;
            if usage.manifests == 0 && deleted.manifests == 0 {
                return Err(unknown());
            }
            let (tag_list, more_tags) = tags_of(rows, repository, last, limit)?;
            Ok(RepositoryReport {
                name: name.to_string(),
                usage,
                shared_bytes: usage.blob_bytes - usage.own_bytes,
                deleted,
                untagged: untagged_of(rows, repository)?,
                tag_list,
                more_tags,
            })
        })
    }
}

fn deleted_of(rows: &Snapshot, repository: RepoId) -> Result<KeptReport, Error> {
    let mut report = KeptReport::default();
    let mut seen = HashSet::new();
    for ((_, digest), kept) in rows.page(&KEPT, &KeyRange::prefix(&repository), LOOKED_AT_MAX)? {
        report.manifests += 1;
        report.until_ms = report.until_ms.max(Some(kept.due_at_ms));
        for blob in blobs_of(rows, repository, digest)? {
            let range = KeyRange::prefix(&blob);
            if seen.insert(blob)
                && rows.first(&BLOB_USER, &range)?.is_none()
                && rows.first(&LEASE, &range)?.is_none()
            {
                report.bytes += rows.get(&BLOB, &blob)?.map_or(0, |row| row.size);
            }
        }
    }
    Ok(report)
}

fn blobs_of(rows: &Snapshot, repository: RepoId, manifest: Digest) -> Result<Vec<Digest>, Error> {
    let page = rows.page(&REFERENCE, &KeyRange::prefix(&(repository, manifest)), OF_ONE_MAX)?;
    let blobs = page.into_iter().filter(|(_, row)| row.target == Target::Blob);
    Ok(blobs.map(|((_, _, blob), _)| blob).collect())
}

fn untagged_of(rows: &Snapshot, repository: RepoId) -> Result<UntaggedReport, Error> {
    let mut roots = Vec::new();
    for ((_, _, digest), ()) in rows.page(&UNTAGGED, &KeyRange::prefix(&repository), LOOKED_AT_MAX)? {
        if !family::is_protected(rows, (repository, digest))? {
            roots.push(digest);
        }
    }
    let family = family::gather(rows, repository, &roots, Sparing::Nothing)?;
    let frees_bytes = family::freed_bytes(rows, repository, &family)?;
    Ok(UntaggedReport { manifests: roots.len() as u64, frees_bytes })
}

fn tags_of(
    rows: &Snapshot,
    repository: RepoId,
    last: Option<&Tag>,
    limit: usize,
) -> Result<(Vec<TagReport>, bool), Error> {
    let mut range = KeyRange::prefix(&repository);
    if let Some(last) = last {
        range = range.after(&(repository, last.clone()));
    }
    let page = rows.page(&TAG, &range, limit + 1)?;
    let more = page.len() > limit;
    let mut tags = Vec::new();
    for ((_, tag), row) in page.into_iter().take(limit) {
        let family = family::gather(rows, repository, &[row.digest], Sparing::Nothing)?;
        tags.push(TagReport {
            tag: tag.to_string(),
            digest: row.digest,
            pushed_at_ms: row.pushed_at_ms,
            bytes: pulled_bytes(rows, repository, row.digest)?,
            frees_bytes: family::freed_bytes(rows, repository, &family)?,
        });
    }
    Ok((tags, more))
}

/// The bytes of a manifest, of what it lists, and of their blobs, each once.
fn pulled_bytes(rows: &Snapshot, repository: RepoId, manifest: Digest) -> Result<u64, Error> {
    let (mut next, mut seen, mut bytes) = (vec![manifest], HashSet::from([manifest]), 0);
    while let Some(digest) = next.pop() {
        bytes += rows.get(&MANIFEST, &(repository, digest))?.map_or(0, |row| row.size);
        for ((_, _, referenced), row) in
            rows.page(&REFERENCE, &KeyRange::prefix(&(repository, digest)), OF_ONE_MAX)?
        {
            if !seen.insert(referenced) {
                continue;
            }
            match row.target {
                Target::Blob => bytes += rows.get(&BLOB, &referenced)?.map_or(0, |row| row.size),
                Target::Manifest => next.push(referenced),
                Target::Absent => {}
            }
        }
    }
    Ok(bytes)
}
