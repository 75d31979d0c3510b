//! How much each repository and the registry hold: numbers that change with what they count, in the same
//! transaction (I11).

use super::error::Error;
use crate::oci::Digest;
use crate::store::records::Target;
use crate::store::tables::{BLOB, BLOB_USER, MANIFEST, REFERENCE, REPOSITORY, TAG};
use crate::store::{KeyRange, MetaError, Read, RepoId, Tx};
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};

/// How many rows are read at once.
const PAGE_ROWS: usize = 1024;

/// What visible manifests are, have and need.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Visible manifests.
    pub manifests: u64,
    /// Their bytes.
    pub manifest_bytes: u64,
    /// Tags.
    pub tags: u64,
    /// Blobs that the manifests need, each once.
    pub blobs: u64,
    /// The bytes of these blobs: what the images have by themselves.
    pub blob_bytes: u64,
    /// The bytes of those that no manifest of another repository needs.
    pub own_bytes: u64,
}

/// What is counted.
#[derive(Debug, Clone, Copy)]
enum Quantity {
    Manifests,
    ManifestBytes,
    Tags,
    Blobs,
    BlobBytes,
    OwnBytes,
}

impl Quantity {
    /// It is on disk: it stays.
    const fn name(self) -> &'static str {
        match self {
            Self::Manifests => "manifests",
            Self::ManifestBytes => "manifest_bytes",
            Self::Tags => "tags",
            Self::Blobs => "blobs",
            Self::BlobBytes => "blob_bytes",
            Self::OwnBytes => "own_bytes",
        }
    }

    fn of_repository(self, repository: RepoId) -> String {
        format!("{:016x}/{}", repository.0, self.name())
    }

    fn of_all(self) -> String {
        format!("all/{}", self.name())
    }
}

impl Usage {
    /// What is on record for a repository.
    pub fn of(rows: &impl Read, repository: RepoId) -> Result<Self, MetaError> {
        Self::read(rows, |quantity| quantity.of_repository(repository))
    }

    /// What is on record for the registry. A blob counts once, and all of them are its own.
    pub fn of_all(rows: &impl Read) -> Result<Self, MetaError> {
        let all = Self::read(rows, Quantity::of_all)?;
        Ok(Self { own_bytes: all.blob_bytes, ..all })
    }

    /// The sum of what is on record for the repositories; that of blobs, which they share, is left out.
    pub fn sum(rows: &impl Read) -> Result<Self, Error> {
        let mut sum = Self::default();
        let mut range = KeyRange::all();
        while let Some(page) = some(rows.page(&REPOSITORY, &range, PAGE_ROWS)?) {
            for (repository, _) in &page {
                let usage = Self::of(rows, *repository)?;
                sum.manifests += usage.manifests;
                sum.manifest_bytes += usage.manifest_bytes;
                sum.tags += usage.tags;
            }
            range = range.after(&page[page.len() - 1].0);
        }
        Ok(sum)
    }

    fn read(rows: &impl Read, name: impl Fn(Quantity) -> String) -> Result<Self, MetaError> {
        let value = |quantity| {
            let value = rows.counter(&name(quantity))?;
            Ok::<_, MetaError>(u64::try_from(value).expect("nothing is taken off that was not added"))
        };
        Ok(Self {
            manifests: value(Quantity::Manifests)?,
            manifest_bytes: value(Quantity::ManifestBytes)?,
            tags: value(Quantity::Tags)?,
            blobs: value(Quantity::Blobs)?,
            blob_bytes: value(Quantity::BlobBytes)?,
            own_bytes: value(Quantity::OwnBytes)?,
        })
    }

    /// Counts what a repository has, row by row: what is on record has to be the same.
    pub fn recount(rows: &impl Read, repository: RepoId) -> Result<Self, Error> {
        let mut usage = Self::default();
        let mut needed = HashSet::new();
        let mut range = KeyRange::prefix(&repository);
        while let Some(page) = some(rows.page(&MANIFEST, &range, PAGE_ROWS)?) {
            for (key, manifest) in &page {
                usage.manifests += 1;
                usage.manifest_bytes += manifest.size;
                for ((_, _, referenced), row) in rows.page(&REFERENCE, &KeyRange::prefix(key), usize::MAX)? {
                    if row.target == Target::Blob {
                        needed.insert(referenced);
                    }
                }
            }
            range = range.after(&page[page.len() - 1].0);
        }
        for blob in needed {
            usage.blobs += 1;
            let size = rows.get(&BLOB, &blob)?.map_or(0, |row| row.size);
            usage.blob_bytes += size;
            if others(rows, blob, repository)?.is_empty() {
                usage.own_bytes += size;
            }
        }
        let mut range = KeyRange::prefix(&repository);
        while let Some(page) = some(rows.page(&TAG, &range, PAGE_ROWS)?) {
            usage.tags += page.len() as u64;
            range = range.after(&page[page.len() - 1].0);
        }
        Ok(usage)
    }
}

fn some<T>(page: Vec<T>) -> Option<Vec<T>> {
    (!page.is_empty()).then_some(page)
}

/// Counts a manifest that becomes visible (`sign` 1) or is taken out of sight (-1).
pub fn count_manifest(tx: &mut Tx<'_>, repository: RepoId, size: u64, sign: i64) -> Result<(), MetaError> {
    count(tx, repository, Quantity::Manifests, sign)?;
    count(tx, repository, Quantity::ManifestBytes, signed(size) * sign)
}

/// Counts a tag that is set where there was none (`sign` 1) or goes (-1).
pub fn count_tag(tx: &mut Tx<'_>, repository: RepoId, sign: i64) -> Result<(), MetaError> {
    count(tx, repository, Quantity::Tags, sign)
}

/// What a transaction changes about blobs, gathered so that a manifest of thousands of layers changes each
/// number once. It has to be written before the transaction ends.
#[derive(Debug, Default)]
pub struct Tally(BTreeMap<String, i64>);

impl Tally {
    /// Notes that a visible manifest needs a blob.
    pub fn add_user(
        &mut self,
        tx: &mut Tx<'_>,
        blob: Digest,
        repository: RepoId,
        manifest: Digest,
    ) -> Result<(), MetaError> {
        let had = is_user(tx, blob, repository)?;
        tx.put(&BLOB_USER, &(blob, repository, manifest), &())?;
        if had { Ok(()) } else { self.count(tx, blob, repository, 1) }
    }

    /// Takes that note back.
    pub fn remove_user(
        &mut self,
        tx: &mut Tx<'_>,
        blob: Digest,
        repository: RepoId,
        manifest: Digest,
    ) -> Result<(), MetaError> {
        let user = tx.remove(&BLOB_USER, &(blob, repository, manifest))?;
        assert!(user.is_some(), "a reference stands in both directions");
        if is_user(tx, blob, repository)? { Ok(()) } else { self.count(tx, blob, repository, -1) }
    }

    /// Counts a blob of which a repository got its first user or lost its last one.
    fn count(&mut self, tx: &Tx<'_>, blob: Digest, repository: RepoId, sign: i64) -> Result<(), MetaError> {
        let row = tx.get(&BLOB, &blob)?.expect("what a manifest needs is stored (I3)");
        let size = signed(row.size) * sign;
        self.add(Quantity::Blobs.of_repository(repository), sign);
        self.add(Quantity::BlobBytes.of_repository(repository), size);
        match others(tx, blob, repository)?.as_slice() {
            [] => {
                self.add(Quantity::OwnBytes.of_repository(repository), size);
                self.add(Quantity::Blobs.of_all(), sign);
                self.add(Quantity::BlobBytes.of_all(), size);
            }
            // The other's no longer, or again.
            [other] => self.add(Quantity::OwnBytes.of_repository(*other), -size),
            _ => {}
        }
        Ok(())
    }

    fn add(&mut self, counter: String, delta: i64) {
        *self.0.entry(counter).or_default() += delta;
    }

    /// Changes the numbers on record.
    pub fn write(self, tx: &mut Tx<'_>) -> Result<(), MetaError> {
        self.0
            .iter()
            .filter(|(_, delta)| **delta != 0)
            .try_for_each(|(counter, delta)| tx.add(counter, *delta))
    }
}

fn is_user(rows: &impl Read, blob: Digest, repository: RepoId) -> Result<bool, MetaError> {
    Ok(rows.first(&BLOB_USER, &KeyRange::prefix(&(blob, repository)))?.is_some())
}

/// The first two of the other repositories whose manifests need a blob.
fn others(rows: &impl Read, blob: Digest, repository: RepoId) -> Result<Vec<RepoId>, MetaError> {
    let mut others = Vec::new();
    let mut range = KeyRange::prefix(&blob);
    while others.len() < 2 {
        let Some(((_, holder, _), ())) = rows.first(&BLOB_USER, &range)? else { break };
        if holder != repository {
            others.push(holder);
        }
        // All rows of one repository stand together.
        let Some(next) = holder.0.checked_add(1) else { break };
        range.start = crate::store::Key::to_key(&(blob, RepoId(next)));
    }
    Ok(others)
}

/// What belongs to one repository only is not added to the registry's.
fn count(tx: &mut Tx<'_>, repository: RepoId, quantity: Quantity, delta: i64) -> Result<(), MetaError> {
    tx.add(&quantity.of_repository(repository), delta)?;
    match quantity {
        Quantity::Manifests | Quantity::ManifestBytes | Quantity::Tags => tx.add(&quantity.of_all(), delta),
        Quantity::Blobs | Quantity::BlobBytes | Quantity::OwnBytes => Ok(()),
    }
}

fn signed(size: u64) -> i64 {
    i64::try_from(size).expect("no file is larger than 2^63 bytes")
}

#[cfg(test)]
mod tests;
