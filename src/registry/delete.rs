//! Deleting: a tag, a manifest with its tags, a blob's link. What is deleted is out of sight with the commit.
//!
//! A deleted manifest is kept for a while, and with it what only it needs; the queue tells the collector.

use super::condition::Condition;
use super::error::Error;
use super::links::{self, Judge};
use super::{Registry, kept, repositories};
use crate::oci::{Digest, Reference, RepositoryName, Tag};
use crate::store::tables::{BLOB_USER, MANIFEST, PARENT, REFERRER, TAG, TAG_OF};
use crate::store::{KeyRange, MetaError, Read, RepoId, Tx};

/// How many of those who need a thing are named when its deletion is refused.
const NEEDED_BY_NAMED: usize = 10;

/// How many tags may go with a manifest: all go in one transaction, and it may write 8 MiB. The two rows of a
/// tag have 339 bytes at most, and 131 in the row of what is kept; the four of a reference have 540, of which
/// there are 5,000 at most: 7.4 million bytes.
const TAGS_MAX: usize = 10_000;

impl Registry {
    /// Deletes a tag, and nothing but the tag.
    pub fn delete_tag(&self, name: &RepositoryName, tag: &Tag, condition: Condition) -> Result<(), Error> {
        let (name, tag) = (name.clone(), tag.clone());
        self.store.write(move |tx| {
            let reference = Reference::Tag(tag.clone());
            let unknown =
                || Error::ManifestUnknown { repository: name.clone(), reference: reference.clone() };
            let repository = repositories::find(tx, &name)?.ok_or_else(unknown)?;
            tx.lock(repository)?;
            let present = tx.get(&TAG, &(repository, tag.clone()))?.ok_or_else(unknown)?;
            condition.check(&name, &reference, Some(present.digest))?;
            let removed = remove_tag(tx, repository, &tag)?;
            assert!(removed, "it was looked at in this transaction");
            Ok(())
        })
    }

    /// Deletes a manifest and every tag that names it, all or nothing. Returns those tags.
    pub fn delete_manifest(
        &self,
        name: &RepositoryName,
        digest: Digest,
        condition: Condition,
    ) -> Result<Vec<Tag>, Error> {
        let (name, now_ms) = (name.clone(), self.clock.now_ms());
        let due_at_ms = now_ms.saturating_add(self.config().settings.keep_deleted_secs * 1000);
        self.store.write(move |tx| {
            let repository = check_deletable(tx, &name, digest)?;
            condition.check(&name, &Reference::Digest(digest), Some(digest))?;
            let tags = tags_of(tx, &name, repository, digest)?;
            for tag in &tags {
                let removed = remove_tag(tx, repository, tag)?;
                assert!(removed, "a tag stands in both directions");
            }
            hide_manifest(tx, &name, (repository, digest), &tags, now_ms, due_at_ms)?;
            Ok(tags)
        })
    }

    /// Takes a blob out of the repository, unless a manifest there needs it.
    pub fn delete_blob(&self, name: &RepositoryName, digest: Digest) -> Result<(), Error> {
        let (name, now_ms) = (name.clone(), self.clock.now_ms());
        self.store.write(move |tx| {
            let unknown = || Error::BlobUnknown { repository: name.clone(), digest };
            let repository = repositories::find(tx, &name)?.ok_or_else(unknown)?;
            tx.lock(repository)?;
            links::linked_blob(tx, repository, digest, now_ms, Judge::ToTheEnd)?.ok_or_else(unknown)?;
            let users = tx.page(&BLOB_USER, &KeyRange::prefix(&(digest, repository)), NEEDED_BY_NAMED)?;
            if !users.is_empty() {
                let needed_by = users.into_iter().map(|((_, _, manifest), ())| manifest).collect();
                return Err(Error::InUse { repository: name.clone(), digest, needed_by });
            }
            let leased = links::end_lease(tx, repository, digest)?;
            assert!(leased, "what is linked without a manifest is linked by a lease");
            links::queue_if_unneeded(tx, digest, now_ms)
        })
    }
}

/// The repository of a manifest that is there and that no index of the repository lists.
fn check_deletable(tx: &mut Tx<'_>, name: &RepositoryName, digest: Digest) -> Result<RepoId, Error> {
    let unknown =
        || Error::ManifestUnknown { repository: name.clone(), reference: Reference::Digest(digest) };
    let repository = repositories::find(tx, name)?.ok_or_else(unknown)?;
    tx.lock(repository)?;
    if !tx.contains(&MANIFEST, &(repository, digest))? {
        return Err(unknown());
    }
    let parents = tx.page(&PARENT, &KeyRange::prefix(&(repository, digest)), NEEDED_BY_NAMED)?;
    if parents.is_empty() {
        return Ok(repository);
    }
    let needed_by = parents.into_iter().map(|((_, _, index), ())| index).collect();
    Err(Error::InUse { repository: name.clone(), digest, needed_by })
}

fn tags_of(
    tx: &Tx<'_>,
    name: &RepositoryName,
    repository: RepoId,
    digest: Digest,
) -> Result<Vec<Tag>, Error> {
    let page = tx.page(&TAG_OF, &KeyRange::prefix(&(repository, digest)), TAGS_MAX + 1)?;
    if page.len() > TAGS_MAX {
        return Err(Error::TooManyTags { repository: name.clone(), digest, max: TAGS_MAX });
    }
    Ok(page.into_iter().map(|((_, _, tag), ())| tag).collect())
}

fn remove_tag(tx: &mut Tx<'_>, repository: RepoId, tag: &Tag) -> Result<bool, MetaError> {
    let Some(record) = tx.remove(&TAG, &(repository, tag.clone()))? else { return Ok(false) };
    let removed = tx.remove(&TAG_OF, &(repository, record.digest, tag.clone()))?;
    assert!(removed.is_some(), "a tag stands in both directions");
    Ok(true)
}

/// Takes the manifest out of sight: it is kept for a while, and nothing shows it.
fn hide_manifest(
    tx: &mut Tx<'_>,
    name: &RepositoryName,
    key: (RepoId, Digest),
    tags: &[Tag],
    now_ms: u64,
    due_at_ms: u64,
) -> Result<(), MetaError> {
    let (repository, digest) = key;
    let record = tx.remove(&MANIFEST, &key)?.expect("it was looked at in this transaction");
    if let Some(subject) = record.subject {
        let referrer = tx.remove(&REFERRER, &(repository, subject, digest))?;
        assert!(referrer.is_some(), "a manifest with a subject is its referrer");
    }
    kept::keep(tx, key, record, tags, now_ms, due_at_ms)?;
    repositories::settle_catalog(tx, name, repository)
}

#[cfg(test)]
mod tests;
