//! Why a digest is still here, when and why it will go, or why it went.

use super::error::Error;
use super::{Registry, gone, repositories};
use crate::oci::Digest;
use crate::store::records::GoneRecord;
use crate::store::tables::{
    BLOB, BLOB_USER, GONE, KEPT, KEPT_USER, LEASE, MANIFEST, PARENT, PIN, REPOSITORY, TAG_OF, TOMBSTONE,
};
use crate::store::{KeyRange, Read, RepoId, Snapshot};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};

/// How many of each thing an explanation names.
const NAMED: usize = 50;

/// How many indexes and subjects are asked for a tag.
const ASKED_MAX: usize = 1000;

/// Why a digest is here, or is not. Of very many reasons it has the first ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// What was asked about.
    pub digest: Digest,
    /// The size of the stored blob.
    pub blob_bytes: Option<u64>,
    /// Who needs the blob.
    pub needed_by: Vec<Reached>,
    /// The leases of the blob.
    pub leases: Vec<Lease>,
    /// The deleted manifests that keep the blob.
    pub kept_by: Vec<Kept>,
    /// Where it is a visible manifest.
    pub visible_in: Vec<Reached>,
    /// Where it is a deleted manifest.
    pub deleted_in: Vec<Kept>,
    /// Where it is a pinned manifest.
    pub pinned_in: Vec<String>,
    /// When its file was found damaged.
    pub damaged_at_ms: Option<u64>,
    /// Whether a file of it waits to be unlinked.
    pub file_to_be_unlinked: bool,
    /// Why it went, or will at the collector's next look, as far as that is remembered.
    #[serde(serialize_with = "gone_as_json")]
    pub gone: Option<GoneRecord>,
}

/// A visible manifest, and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reached {
    /// Its repository.
    pub repository: String,
    /// The manifest.
    pub manifest: Digest,
    /// The indexes, or what it refers to, that lead to it, that with the tags first. Empty where it has tags
    /// of its own, or nothing leads to it.
    pub through: Vec<Digest>,
    /// Its tags, or those of the first that leads to it.
    pub tags: Vec<String>,
}

/// A deleted manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Its repository.
    pub repository: String,
    /// The manifest.
    pub manifest: Digest,
    /// The tags it had.
    pub tags: Vec<String>,
    /// When it goes, in milliseconds since the epoch.
    pub due_at_ms: u64,
}

/// A lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lease {
    /// Its repository.
    pub repository: String,
    /// When it ends, in milliseconds since the epoch.
    pub ends_at_ms: u64,
}

#[expect(clippy::ref_option, reason = "serde hands over a reference")]
fn gone_as_json<S: serde::Serializer>(gone: &Option<GoneRecord>, serializer: S) -> Result<S::Ok, S::Error> {
    gone.as_ref().map(gone::to_json).serialize(serializer)
}

impl Registry {
    /// Says what keeps a digest, or when and why it goes.
    pub fn explain(&self, digest: Digest) -> Result<Explanation, Error> {
        let mut found = self.store.read(|rows| explain_blob(rows, digest))?;
        self.pages(&REPOSITORY, |rows, repository, record| {
            let key = (repository, digest);
            if found.pinned_in.len() < NAMED && rows.contains(&PIN, &key)? {
                found.pinned_in.push(record.name.to_string());
            }
            if rows.contains(&MANIFEST, &key)? {
                if found.visible_in.len() < NAMED {
                    found.visible_in.push(reached(rows, repository, digest)?);
                }
            } else if found.deleted_in.len() < NAMED
                && let Some(kept) = kept(rows, repository, digest)?
            {
                found.deleted_in.push(kept);
            }
            Ok(())
        })?;
        Ok(found)
    }
}

fn explain_blob(rows: &Snapshot, digest: Digest) -> Result<Explanation, Error> {
    let range = KeyRange::prefix(&digest);
    let blob = rows.get(&BLOB, &digest)?;
    let mut found = Explanation {
        digest,
        blob_bytes: blob.as_ref().map(|blob| blob.size),
        needed_by: Vec::new(),
        leases: Vec::new(),
        kept_by: Vec::new(),
        visible_in: Vec::new(),
        deleted_in: Vec::new(),
        pinned_in: Vec::new(),
        damaged_at_ms: blob.and_then(|blob| blob.damaged_at_ms),
        file_to_be_unlinked: rows.first(&TOMBSTONE, &range)?.is_some(),
        gone: rows.get(&GONE, &digest)?,
    };
    for ((_, repository, manifest), ()) in rows.page(&BLOB_USER, &range, NAMED)? {
        found.needed_by.push(reached(rows, repository, manifest)?);
    }
    for ((_, repository), lease) in rows.page(&LEASE, &range, NAMED)? {
        let repository = repositories::shown_name(rows, repository)?;
        found.leases.push(Lease { repository, ends_at_ms: lease.ends_at_ms });
    }
    for ((_, repository, manifest), ()) in rows.page(&KEPT_USER, &range, NAMED)? {
        found.kept_by.extend(kept(rows, repository, manifest)?);
    }
    Ok(found)
}

fn kept(rows: &Snapshot, repository: RepoId, manifest: Digest) -> Result<Option<Kept>, Error> {
    let Some(mut kept) = rows.get(&KEPT, &(repository, manifest))? else { return Ok(None) };
    kept.tags.truncate(NAMED);
    let repository = repositories::shown_name(rows, repository)?;
    Ok(Some(Kept { repository, manifest, tags: kept.tags, due_at_ms: kept.due_at_ms }))
}

/// How a visible manifest is reached: the shortest way from a tag.
fn reached(rows: &Snapshot, repository: RepoId, manifest: Digest) -> Result<Reached, Error> {
    let mut from: HashMap<Digest, Option<Digest>> = HashMap::from([(manifest, None)]);
    let mut next = VecDeque::from([manifest]);
    let mut found = Reached {
        repository: repositories::shown_name(rows, repository)?,
        manifest,
        through: Vec::new(),
        tags: Vec::new(),
    };
    while let Some(digest) = next.pop_front() {
        found.tags = tags_of(rows, repository, digest)?;
        if !found.tags.is_empty() {
            let mut at = digest;
            while let Some(Some(below)) = from.get(&at).copied() {
                found.through.push(at);
                at = below;
            }
            break;
        }
        let key = (repository, digest);
        let mut above: Vec<Digest> = Vec::new();
        for ((_, _, index), ()) in rows.page(&PARENT, &KeyRange::prefix(&key), NAMED)? {
            above.push(index);
        }
        above.extend(rows.get(&MANIFEST, &key)?.and_then(|manifest| manifest.subject));
        for digest_above in above {
            if from.len() < ASKED_MAX
                && !from.contains_key(&digest_above)
                && rows.contains(&MANIFEST, &(repository, digest_above))?
            {
                from.insert(digest_above, Some(digest));
                next.push_back(digest_above);
            }
        }
    }
    Ok(found)
}

fn tags_of(rows: &Snapshot, repository: RepoId, manifest: Digest) -> Result<Vec<String>, Error> {
    let page = rows.page(&TAG_OF, &KeyRange::prefix(&(repository, manifest)), NAMED)?;
    Ok(page.into_iter().map(|((_, _, tag), ())| tag.to_string()).collect())
}

impl Explanation {
    /// The explanation as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!(self)
    }
}
