//! Deleting: a tag, a manifest with its tags, a blob's link. What is deleted is out of sight with the commit.
//!
//! A deleted manifest is kept for a while, and with it what only it needs; the queue tells the collector.

use super::actor::Actor;
use super::audit;
use super::condition::Condition;
use super::error::Error;
use super::family::{self, Deleted, Member, Sparing, TAGS_MAX};
use super::kept::Deletion;
use super::links::{self, Judge};
use super::tagging;
use super::{Registry, repositories};
use crate::oci::{Digest, Reference, RepositoryName, Tag};
use crate::store::records::{AuditAction, Cause, Loss};
use crate::store::tables::{BLOB_USER, MANIFEST, PARENT, TAG, TAG_OF};
use crate::store::{KeyRange, Read, RepoId, Tx};

/// How many of those who need a thing are named when its deletion is refused.
const NEEDED_BY_NAMED: usize = 10;

impl Registry {
    /// Deletes a tag, and nothing but the tag.
    pub fn delete_tag(
        &self,
        name: &RepositoryName,
        tag: &Tag,
        condition: Condition,
        who: impl Into<Actor>,
    ) -> Result<(), Error> {
        let (name, tag, actor) = (name.clone(), tag.clone(), who.into());
        let change = self.change(&actor, Cause::Delete);
        let entry = self.act(&actor, AuditAction::TagDelete).in_repository(&name);
        self.store.write(move |tx| {
            let reference = Reference::Tag(tag.clone());
            let unknown =
                || Error::ManifestUnknown { repository: name.clone(), reference: reference.clone() };
            let repository = repositories::find(tx, &name)?.ok_or_else(unknown)?;
            tx.lock(repository)?;
            let present = tx.get(&TAG, &(repository, tag.clone()))?.ok_or_else(unknown)?;
            condition.check(&name, &reference, Some(present.digest))?;
            let removed = tagging::remove(tx, repository, &tag, &change)?;
            assert!(removed.is_some(), "it was looked at in this transaction");
            let entry = entry.clone().on(present.digest).with_tags(std::slice::from_ref(&tag));
            Ok(audit::note(tx, &entry)?)
        })
    }

    /// Deletes a manifest, every tag that names it, and what lives with it: all or nothing, as far as one
    /// transaction has room; the collector goes on with the rest.
    pub fn delete_manifest(
        &self,
        name: &RepositoryName,
        digest: Digest,
        condition: Condition,
        who: impl Into<Actor>,
    ) -> Result<Deleted, Error> {
        let (name, actor) = (name.clone(), who.into());
        let deletion = self.deletion(&actor, Cause::Delete);
        let entry = self.act(&actor, AuditAction::ManifestDelete).in_repository(&name).on(digest);
        self.store.write(move |tx| {
            let repository = check_deletable(tx, &name, digest)?;
            condition.check(&name, &Reference::Digest(digest), Some(digest))?;
            let tags = tx.page(&TAG_OF, &KeyRange::prefix(&(repository, digest)), TAGS_MAX + 1)?;
            if tags.len() > TAGS_MAX {
                return Err(Error::TooManyTags { repository: name.clone(), digest, max: TAGS_MAX });
            }
            let family = family::gather(tx, repository, &[digest], Sparing::Nothing)?;
            assert!(matches!(family.members.first(), Some(Member { digest: first, .. }) if *first == digest));
            let deleted = family::delete(tx, &name, repository, digest, &family, &deletion)?;
            audit::note(tx, &deleted.told_by(&entry))?;
            Ok(deleted)
        })
    }

    /// How a deletion that begins now is made.
    pub(super) fn deletion(&self, actor: &Actor, cause: Cause) -> Deletion {
        let change = self.change(actor, cause);
        let settings = &self.config().settings;
        let after = |secs: u64| change.now_ms.saturating_add(secs * 1000);
        let due_at_ms = after(settings.keep_deleted_secs);
        let remembered_until_ms = after(settings.collected_memory_secs);
        Deletion { change, due_at_ms, remembered_until_ms }
    }

    /// Takes a blob out of the repository, unless a manifest there needs it.
    pub fn delete_blob(
        &self,
        name: &RepositoryName,
        digest: Digest,
        who: impl Into<Actor>,
    ) -> Result<(), Error> {
        let (name, now_ms) = (name.clone(), self.clock.now_ms());
        let entry = self.act(&who.into(), AuditAction::BlobDelete).in_repository(&name).on(digest);
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
            let loss = Loss::Unlinked { repository: name.to_string() };
            links::queue_if_unneeded(tx, digest, loss, now_ms)?;
            Ok(audit::note(tx, &entry)?)
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

#[cfg(test)]
mod tests;
