//! What there is to collect, and why a digest is still here or will go.

use super::error::Error;
use super::retention::Verdict;
use super::{Registry, gone, links};
use crate::oci::Digest;
use crate::store::records::GoneRecord;
use crate::store::tables::{
    BLOB, BLOB_USER, GONE, KEPT, KEPT_USER, LEASE, MANIFEST, PIN, QUEUE, REPOSITORY, TAG_OF, TOMBSTONE,
};
use crate::store::{Key, KeyRange, QueueKind, Read, RepoId, Snapshot};
use serde_json::{Value, json};
use std::collections::HashSet;

/// How many rows are read in one snapshot.
const PAGE_ROWS: usize = 512;

/// How many verdicts of rules are told.
const VERDICTS_MAX: usize = 10_000;

/// How many of each thing an explanation names.
const NAMED: usize = 50;

/// Things of one kind of garbage.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Amount {
    /// Deleted manifests.
    pub manifests: u64,
    /// Blobs that nothing else needs.
    pub blobs: u64,
    /// The bytes of these blobs.
    pub bytes: u64,
}

/// What there is to collect.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Garbage {
    /// What may go now.
    pub due: Amount,
    /// What can still be brought back.
    pub kept: Amount,
    /// When the last of that may go, in milliseconds since the epoch.
    pub kept_until_ms: Option<u64>,
    /// What only leases keep: pushed or mounted, and in no manifest yet.
    pub leased: Amount,
    /// When the last of these leases ends, in milliseconds since the epoch.
    pub leased_until_ms: Option<u64>,
    /// Files that wait to be unlinked, and their bytes.
    pub files: (u64, u64),
    /// What the rules of the repositories say of the first images in them.
    pub rules: Vec<Verdict>,
}

impl Garbage {
    /// The report as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let amount = |amount: &Amount| {
            let Amount { manifests, blobs, bytes } = amount;
            json!({"manifests": manifests, "blobs": blobs, "bytes": bytes})
        };
        json!({
            "due": amount(&self.due),
            "kept": amount(&self.kept),
            "kept_until_ms": self.kept_until_ms,
            "leased": amount(&self.leased),
            "leased_until_ms": self.leased_until_ms,
            "files": {"count": self.files.0, "bytes": self.files.1},
            "rules": self.rules,
        })
    }

    fn add_blob(&mut self, size: u64, due_at_ms: u64, now_ms: u64) {
        let amount = if due_at_ms <= now_ms { &mut self.due } else { &mut self.kept };
        amount.blobs += 1;
        amount.bytes += size;
    }
}

impl Registry {
    /// Counts what there is to collect. It costs what the garbage costs.
    pub fn garbage(&self) -> Result<Garbage, Error> {
        let mut garbage = Garbage { rules: self.verdicts(VERDICTS_MAX)?, ..Garbage::default() };
        let now_ms = self.clock.now_ms();
        self.pages(&KEPT, |_, _, kept| {
            let amount = if kept.due_at_ms <= now_ms { &mut garbage.due } else { &mut garbage.kept };
            amount.manifests += 1;
            if kept.due_at_ms > now_ms {
                garbage.kept_until_ms = garbage.kept_until_ms.max(Some(kept.due_at_ms));
            }
            Ok(())
        })?;
        let mut last = None;
        self.pages(&KEPT_USER, |rows, (blob, _, _), ()| {
            // The rows of a blob stand together.
            if last.replace(blob) == Some(blob) || is_needed_by_the_living(rows, blob)? {
                return Ok(());
            }
            let size = rows.get(&BLOB, &blob)?.map_or(0, |blob| blob.size);
            garbage.add_blob(size, kept_until(rows, blob)?.unwrap_or_default(), now_ms);
            Ok(())
        })?;
        // A blob that was needed again in between has more than one row.
        let mut seen = HashSet::new();
        self.pages(&QUEUE, |rows, (_, kind, blob, _), ()| {
            if kind == QueueKind::Unreferenced
                && seen.insert(blob)
                && !links::is_needed(rows, blob)?
                && let Some(row) = rows.get(&BLOB, &blob)?
            {
                garbage.add_blob(row.size, 0, now_ms);
            }
            Ok(())
        })?;
        let mut last = None;
        self.pages(&LEASE, |rows, (blob, _), lease| {
            let range = KeyRange::prefix(&blob);
            let needed =
                rows.first(&BLOB_USER, &range)?.is_some() || rows.first(&KEPT_USER, &range)?.is_some();
            if needed {
                return Ok(());
            }
            garbage.leased_until_ms = garbage.leased_until_ms.max(Some(lease.ends_at_ms));
            if last.replace(blob) != Some(blob) {
                garbage.leased.blobs += 1;
                garbage.leased.bytes += rows.get(&BLOB, &blob)?.map_or(0, |blob| blob.size);
            }
            Ok(())
        })?;
        self.pages(&TOMBSTONE, |_, _, tombstone| {
            garbage.files = (garbage.files.0 + 1, garbage.files.1 + tombstone.size);
            Ok(())
        })?;
        Ok(garbage)
    }

    /// Hands every row of a table to `visit`, a page and a snapshot at a time.
    fn pages<K: Key, V: crate::store::Value>(
        &self,
        table: &crate::store::tables::Table<K, V>,
        mut visit: impl FnMut(&Snapshot, K, V) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut range = KeyRange::all();
        loop {
            let rows = self.store.snapshot()?;
            let page = rows.page(table, &range, PAGE_ROWS)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            range = range.after(last);
            for (key, value) in page {
                visit(&rows, key, value)?;
            }
        }
    }

    /// Says what keeps a digest, or when and why it goes.
    pub fn explain(&self, digest: Digest) -> Result<Explanation, Error> {
        let mut found = self.store.read(|rows| {
            let mut found = Explanation::empty(digest);
            if let Some(blob) = rows.get(&BLOB, &digest)? {
                (found.blob_bytes, found.damaged_at_ms) = (Some(blob.size), blob.damaged_at_ms);
            }
            found.gone = rows.get(&GONE, &digest)?;
            for ((_, repository, manifest), ()) in rows.page(&BLOB_USER, &KeyRange::prefix(&digest), NAMED)? {
                found.needed_by.push((
                    name_of(rows, repository)?,
                    manifest,
                    tags_of(rows, repository, manifest)?,
                ));
            }
            for ((_, repository), lease) in rows.page(&LEASE, &KeyRange::prefix(&digest), NAMED)? {
                found.leases.push((name_of(rows, repository)?, lease.ends_at_ms));
            }
            for ((_, repository, manifest), ()) in rows.page(&KEPT_USER, &KeyRange::prefix(&digest), NAMED)? {
                let kept = rows.get(&KEPT, &(repository, manifest))?;
                let due_at_ms = kept.map_or(0, |kept| kept.due_at_ms);
                found.kept_by.push((name_of(rows, repository)?, manifest, due_at_ms));
            }
            found.has_tombstone = rows.first(&TOMBSTONE, &KeyRange::prefix(&digest))?.is_some();
            Ok::<_, Error>(found)
        })?;
        self.pages(&REPOSITORY, |rows, repository, record| {
            let (name, key) = (record.name.to_string(), (repository, digest));
            if found.pinned_in.len() < NAMED && rows.contains(&PIN, &key)? {
                found.pinned_in.push(name.clone());
            }
            if rows.contains(&MANIFEST, &key)? {
                if found.visible_in.len() < NAMED {
                    found.visible_in.push((name, tags_of(rows, repository, digest)?));
                }
            } else if found.deleted_in.len() < NAMED
                && let Some(mut kept) = rows.get(&KEPT, &key)?
            {
                kept.tags.truncate(NAMED);
                found.deleted_in.push((name, kept.tags, kept.due_at_ms));
            }
            Ok(())
        })?;
        Ok(found)
    }
}

fn is_needed_by_the_living(rows: &Snapshot, blob: Digest) -> Result<bool, Error> {
    let range = KeyRange::prefix(&blob);
    Ok(rows.first(&BLOB_USER, &range)?.is_some() || rows.first(&LEASE, &range)?.is_some())
}

/// When the last deleted manifest that keeps a blob goes.
fn kept_until(rows: &Snapshot, blob: Digest) -> Result<Option<u64>, Error> {
    let mut until = None;
    for ((_, repository, manifest), ()) in rows.page(&KEPT_USER, &KeyRange::prefix(&blob), PAGE_ROWS)? {
        let kept = rows.get(&KEPT, &(repository, manifest))?;
        until = until.max(kept.map(|kept| kept.due_at_ms));
    }
    Ok(until)
}

fn name_of(rows: &Snapshot, repository: RepoId) -> Result<String, Error> {
    let record = rows.get(&REPOSITORY, &repository)?;
    Ok(record.map_or_else(|| format!("repository {:x}", repository.0), |record| record.name.to_string()))
}

fn tags_of(rows: &Snapshot, repository: RepoId, manifest: Digest) -> Result<Vec<String>, Error> {
    let page = rows.page(&TAG_OF, &KeyRange::prefix(&(repository, manifest)), NAMED)?;
    Ok(page.into_iter().map(|((_, _, tag), ())| tag.to_string()).collect())
}

/// Why a digest is here, or is not. Of very many reasons it has the first ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What was asked about.
    pub digest: Digest,
    /// The size of the stored blob.
    pub blob_bytes: Option<u64>,
    /// Repository, manifest and its tags: who needs the blob.
    pub needed_by: Vec<(String, Digest, Vec<String>)>,
    /// Repository and end of each lease of the blob.
    pub leases: Vec<(String, u64)>,
    /// Repository, deleted manifest and when that goes: who keeps the blob.
    pub kept_by: Vec<(String, Digest, u64)>,
    /// Repository and tags: where it is a visible manifest.
    pub visible_in: Vec<(String, Vec<String>)>,
    /// Repository, the tags it had, and when it goes: where it is a deleted manifest.
    pub deleted_in: Vec<(String, Vec<String>, u64)>,
    /// Why it went, or will at the collector's next look, as far as that is remembered.
    pub gone: Option<GoneRecord>,
    /// When its file was found damaged.
    pub damaged_at_ms: Option<u64>,
    /// Where it is a pinned manifest.
    pub pinned_in: Vec<String>,
    /// Whether a file of it waits to be unlinked.
    pub has_tombstone: bool,
}

impl Explanation {
    fn empty(digest: Digest) -> Self {
        Self {
            digest,
            blob_bytes: None,
            needed_by: Vec::new(),
            leases: Vec::new(),
            kept_by: Vec::new(),
            visible_in: Vec::new(),
            deleted_in: Vec::new(),
            gone: None,
            damaged_at_ms: None,
            pinned_in: Vec::new(),
            has_tombstone: false,
        }
    }

    /// The explanation as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let needed_by = self.needed_by.iter().map(|(repository, manifest, tags)| {
            json!({"repository": repository, "manifest": manifest, "tags": tags})
        });
        let leases = self
            .leases
            .iter()
            .map(|(repository, ends_at_ms)| json!({"repository": repository, "ends_at_ms": ends_at_ms}));
        let kept_by = self.kept_by.iter().map(|(repository, manifest, due_at_ms)| {
            json!({"repository": repository, "manifest": manifest, "due_at_ms": due_at_ms})
        });
        let visible_in =
            self.visible_in.iter().map(|(repository, tags)| json!({"repository": repository, "tags": tags}));
        let deleted_in = self.deleted_in.iter().map(|(repository, tags, due_at_ms)| {
            json!({"repository": repository, "tags": tags, "due_at_ms": due_at_ms})
        });
        json!({
            "digest": self.digest,
            "blob_bytes": self.blob_bytes,
            "needed_by": needed_by.collect::<Vec<_>>(),
            "leases": leases.collect::<Vec<_>>(),
            "kept_by": kept_by.collect::<Vec<_>>(),
            "visible_in": visible_in.collect::<Vec<_>>(),
            "deleted_in": deleted_in.collect::<Vec<_>>(),
            "pinned_in": self.pinned_in,
            "damaged_at_ms": self.damaged_at_ms,
            "gone": self.gone.as_ref().map(gone::to_json),
            "file_to_be_unlinked": self.has_tombstone,
        })
    }
}
