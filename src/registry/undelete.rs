//! Taking deletions back, and tags to where they were.

use super::error::Error;
use super::kept::{self, Restored};
use super::tagging::{self, Change};
use super::{Registry, family, repositories};
use crate::oci::{Digest, Reference, RepositoryName, Tag};
use crate::store::records::{Cause, KeptRecord, Target};
use crate::store::tables::{KEPT, MANIFEST, REFERENCE, TAG, TAG_HISTORY};
use crate::store::{KeyRange, Read, RepoId};
use std::collections::HashSet;

/// How many rows are read in one snapshot.
const PAGE_ROWS: usize = 512;

impl Registry {
    /// Brings back what is deleted and still kept: a manifest by its digest, what a tag named when it went,
    /// or everything that the repository lost. With a manifest come those that went with it.
    pub fn undelete(
        &self,
        name: &RepositoryName,
        what: Option<&Reference>,
        who: &str,
    ) -> Result<Restored, Error> {
        let change = self.change(who, Cause::Undelete);
        let revived = if what.is_none() { self.revive_repository(name)? } else { None };
        let repository = self.known(name)?;
        let mut restored = Restored { manifests: revived.unwrap_or_default(), ..Restored::default() };
        match what {
            Some(Reference::Digest(digest)) => {
                self.bring_back_family(name, (repository, *digest), &change, &mut restored)?;
            }
            Some(Reference::Tag(tag)) => self.undelete_tag(name, repository, tag, &change, &mut restored)?,
            None => {
                for digest in self.kept(repository, |_| true)? {
                    self.bring_back_family(name, (repository, digest), &change, &mut restored)?;
                }
            }
        }
        if restored == Restored::default() {
            return Err(Error::NothingDeleted { repository: name.clone(), reference: what.cloned() });
        }
        Ok(restored)
    }

    fn known(&self, name: &RepositoryName) -> Result<RepoId, Error> {
        self.store.read(|rows| {
            repositories::find(rows, name)?.ok_or_else(|| Error::RepositoryUnknown(name.clone()))
        })
    }

    /// The deleted manifests of a repository of which that is so.
    fn kept(&self, repository: RepoId, wanted: impl Fn(&KeptRecord) -> bool) -> Result<Vec<Digest>, Error> {
        let mut found = Vec::new();
        let mut range = KeyRange::prefix(&repository);
        loop {
            let page = self.store.read(|rows| Ok::<_, Error>(rows.page(&KEPT, &range, PAGE_ROWS)?))?;
            let Some((last, _)) = page.last() else { return Ok(found) };
            range = range.after(last);
            found.extend(page.into_iter().filter(|(_, kept)| wanted(kept)).map(|((_, digest), _)| digest));
        }
    }

    /// Makes a tag that was deleted name again what it named last.
    fn undelete_tag(
        &self,
        name: &RepositoryName,
        repository: RepoId,
        tag: &Tag,
        change: &Change,
        restored: &mut Restored,
    ) -> Result<(), Error> {
        let (in_use, last) = self.store.read(|rows| {
            let newest = rows.first(&TAG_HISTORY, &KeyRange::prefix(&(repository, tag.clone())))?;
            let in_use = rows.contains(&TAG, &(repository, tag.clone()))?;
            Ok::<_, Error>((in_use, newest.and_then(|(_, newest)| newest.before)))
        })?;
        if in_use {
            return Err(Error::TagInUse { repository: name.clone(), tag: tag.clone() });
        }
        match last {
            Some(digest) => self.point(name, repository, tag, digest, change, restored),
            None => Ok(()),
        }
    }

    /// Sets a tag to what it named at a time, which is brought back if it is deleted; says what that is.
    pub fn restore_tag(
        &self,
        name: &RepositoryName,
        tag: &Tag,
        at_ms: u64,
        who: &str,
    ) -> Result<(Digest, Restored), Error> {
        let change = self.change(who, Cause::Restore);
        let repository = self.known(name)?;
        let unknown = || Error::NoHistory { repository: name.clone(), tag: tag.clone() };
        let mut range = KeyRange::prefix(&(repository, tag.clone()));
        loop {
            let page =
                self.store.read(|rows| Ok::<_, Error>(rows.page(&TAG_HISTORY, &range, PAGE_ROWS)?))?;
            let Some((last, _)) = page.last() else { return Err(unknown()) };
            range = range.after(last);
            let Some((_, then)) = page.into_iter().find(|(_, row)| row.at_ms <= at_ms) else { continue };
            let digest = then.after.ok_or_else(unknown)?.digest;
            let mut restored = Restored::default();
            self.point(name, repository, tag, digest, &change, &mut restored)?;
            return Ok((digest, restored));
        }
    }

    /// Makes a tag name a manifest, which is brought back if it is deleted.
    fn point(
        &self,
        name: &RepositoryName,
        repository: RepoId,
        tag: &Tag,
        digest: Digest,
        change: &Change,
        restored: &mut Restored,
    ) -> Result<(), Error> {
        self.bring_back_family(name, (repository, digest), change, restored)?;
        let (name, tag, change) = (name.clone(), tag.clone(), change.clone());
        let reference = Reference::Tag(tag.clone());
        let (named, written) = (tag.clone(), change);
        let is_set = self.store.write(move |tx| {
            tx.lock(repository)?;
            if !tx.contains(&MANIFEST, &(repository, digest))? {
                return Ok::<_, Error>(false);
            }
            tagging::set(tx, repository, &named, digest, &written)?;
            Ok(true)
        })?;
        if !is_set {
            return Err(Error::GoneForGood { repository: name, reference, digest });
        }
        if !restored.tags.contains(&tag) {
            restored.tags.push(tag);
        }
        Ok(())
    }

    /// Brings a deleted manifest back, and what went with it.
    fn bring_back_family(
        &self,
        name: &RepositoryName,
        (repository, root): (RepoId, Digest),
        change: &Change,
        restored: &mut Restored,
    ) -> Result<(), Error> {
        if !self.bring_back(name, (repository, root), Some(change), restored)? {
            return Ok(());
        }
        let mut members = self.kept(repository, |kept| kept.root == root)?;
        for digest in &members {
            self.bring_back(name, (repository, *digest), Some(change), restored)?;
        }
        members.push(root);
        for digest in members {
            self.bring_back_companion_tags(repository, digest, change, restored)?;
        }
        Ok(())
    }

    /// Sets the companion tags that went with a manifest while what they name had other tags.
    fn bring_back_companion_tags(
        &self,
        repository: RepoId,
        digest: Digest,
        change: &Change,
        restored: &mut Restored,
    ) -> Result<(), Error> {
        let change = change.clone();
        let tags = self.store.write(move |tx| {
            let mut tags = Vec::new();
            for tag in family::companions(digest) {
                let newest = tx.first(&TAG_HISTORY, &KeyRange::prefix(&(repository, tag.clone())))?;
                let Some((_, newest)) = newest.filter(|(_, newest)| newest.after.is_none()) else { continue };
                let Some(before) = newest.before else { continue };
                if tx.contains(&MANIFEST, &(repository, before))? {
                    tagging::set(tx, repository, &tag, before, &change)?;
                    tags.push(tag);
                }
            }
            Ok::<_, Error>(tags)
        })?;
        restored.tags.extend(tags);
        Ok(())
    }

    /// Brings a deleted manifest back, and before it what it lists: each in a transaction of its own, since
    /// all together may be more than one holds. Says whether it is visible.
    pub(super) fn bring_back(
        &self,
        name: &RepositoryName,
        (repository, digest): (RepoId, Digest),
        tags_by: Option<&Change>,
        restored: &mut Restored,
    ) -> Result<bool, Error> {
        // By hand, not by recursion: indexes can be nested as deep as somebody likes.
        let (mut stack, mut tried) = (vec![digest], HashSet::new());
        while let Some(&top) = stack.last() {
            let hidden = self.hidden_children(repository, top)?;
            if tried.insert(top) && !hidden.is_empty() {
                stack.extend(hidden);
                continue;
            }
            let (name, change, now_ms) = (name.clone(), tags_by.cloned(), self.clock.now_ms());
            let one = self.store.write(move |tx| {
                tx.lock(repository)?;
                kept::restore(tx, &name, (repository, top), now_ms, change.as_ref())
            })?;
            restored.add(one.unwrap_or_default());
            stack.pop();
        }
        self.store.read(|rows| Ok(rows.contains(&MANIFEST, &(repository, digest))?))
    }

    /// The manifests that a deleted index lists and that are deleted as well.
    fn hidden_children(&self, repository: RepoId, index: Digest) -> Result<Vec<Digest>, Error> {
        self.store.read(|rows| {
            if !rows.contains(&KEPT, &(repository, index))? {
                return Ok(Vec::new());
            }
            let mut hidden = Vec::new();
            let range = KeyRange::prefix(&(repository, index));
            for ((_, _, referenced), row) in rows.page(&REFERENCE, &range, usize::MAX)? {
                if row.target == Target::Manifest && rows.contains(&KEPT, &(repository, referenced))? {
                    hidden.push(referenced);
                }
            }
            Ok(hidden)
        })
    }
}

impl Restored {
    fn add(&mut self, other: Self) {
        self.manifests += other.manifests;
        self.tags.extend(other.tags);
        self.tags_in_use.extend(other.tags_in_use);
    }
}

#[cfg(test)]
mod tests;
