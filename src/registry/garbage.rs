//! What there is to collect, and when it goes.

use super::error::Error;
use super::retention::Verdict;
use super::{Registry, links};
use crate::oci::Digest;
use crate::store::tables::{BLOB, BLOB_USER, KEPT, KEPT_USER, LEASE, QUEUE, TOMBSTONE};
use crate::store::{Key, KeyRange, QueueKind, Read, Snapshot};
use serde_json::{Value, json};
use std::collections::HashSet;

/// How many rows are read in one snapshot.
const PAGE_ROWS: usize = 512;

/// How many verdicts of rules are told.
const VERDICTS_MAX: usize = 10_000;

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
    pub(super) fn pages<K: Key, V: crate::store::Value>(
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
