//! Taking deletions back, and tags to where they were.

use super::actor::Actor;
use super::audit::{self, Entry};
use super::error::Error;
use super::kept::{self, Restored};
use super::tagging::{self, Change};
use super::{Registry, family, incomplete, repositories};
use crate::oci::{Digest, Reference, RepositoryName, Tag};
use crate::store::records::{AuditAction, Cause, KeptRecord, Target};
use crate::store::tables::{KEPT, MANIFEST, REFERENCE, TAG, TAG_HISTORY};
use crate::store::{KeyRange, Read, RepoId};
use std::collections::HashSet;

/// How many rows are read in one snapshot.
const PAGE_ROWS: usize = 512;

/// An act that brings things back, in as many transactions as it takes.
pub struct Revival {
    /// Who sets tags, if they come back, too.
    change: Option<Change>,
    /// The row that tells of the act so far.
    act: Entry,
    /// What the row says behind the number of manifests.
    why: String,
    restored: Restored,
}

impl Revival {
    fn new(change: Change, act: Entry) -> Self {
        Self { change: Some(change), act, why: String::new(), restored: Restored::default() }
    }

    /// Of manifests alone.
    pub(super) fn without_tags(act: Entry, why: String) -> Self {
        Self { change: None, act, why, restored: Restored::default() }
    }

    /// The row of the act once `more` manifests and `tags` are back.
    fn told(&self, more: u64, tags: &[Tag]) -> Entry {
        let words = format!("{} manifests brought back{}", self.restored.manifests + more, self.why);
        self.act.clone().with_tags(tags).saying(&words)
    }

    /// Goes on from what a transaction did and told.
    fn go_on(&mut self, more: Restored, told: Entry) {
        self.restored.manifests += more.manifests;
        self.restored.tags.extend(more.tags);
        self.restored.tags_in_use.extend(more.tags_in_use);
        self.act = told;
    }
}

impl Registry {
    /// Brings back what is deleted and still kept: a manifest by its digest, what a tag named when it went,
    /// or everything that the repository lost. With a manifest come those that went with it.
    pub fn undelete(
        &self,
        name: &RepositoryName,
        what: Option<&Reference>,
        who: impl Into<Actor>,
    ) -> Result<Restored, Error> {
        let actor = who.into();
        let act = self.act(&actor, AuditAction::Undelete).in_repository(name);
        let act = if let Some(Reference::Digest(digest)) = what { act.on(*digest) } else { act };
        let mut revival = Revival::new(self.change(&actor, Cause::Undelete), act);
        if what.is_none()
            && let Some((manifests, told)) = self.revive_repository(name, &actor, revival.told(0, &[]))?
        {
            revival.go_on(Restored { manifests, ..Restored::default() }, told);
        }
        let repository = self.known(name)?;
        match what {
            Some(Reference::Digest(digest)) => {
                self.bring_back_family(name, (repository, *digest), &mut revival)?;
            }
            Some(Reference::Tag(tag)) => self.undelete_tag(name, repository, tag, &mut revival)?,
            None => {
                for digest in self.kept(repository, |_| true)? {
                    self.bring_back_family(name, (repository, digest), &mut revival)?;
                }
            }
        }
        let restored = revival.restored;
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
        revival: &mut Revival,
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
            Some(digest) => self.point(name, repository, tag, digest, revival),
            None => Ok(()),
        }
    }

    /// Sets a tag to what it named at a time, which is brought back if it is deleted; says what that is.
    pub fn restore_tag(
        &self,
        name: &RepositoryName,
        tag: &Tag,
        at_ms: u64,
        who: impl Into<Actor>,
    ) -> Result<(Digest, Restored), Error> {
        let actor = who.into();
        let act = self.act(&actor, AuditAction::TagRestore).in_repository(name);
        let mut revival = Revival::new(self.change(&actor, Cause::Restore), act);
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
            self.point(name, repository, tag, digest, &mut revival)?;
            return Ok((digest, revival.restored));
        }
    }

    /// Makes a tag name a manifest, which is brought back if it is deleted.
    fn point(
        &self,
        name: &RepositoryName,
        repository: RepoId,
        tag: &Tag,
        digest: Digest,
        revival: &mut Revival,
    ) -> Result<(), Error> {
        let reference = Reference::Tag(tag.clone());
        // What lacks bytes answers nobody, so no tag is taken from what does.
        if self.store.read(|rows| Ok::<_, Error>(incomplete::is_incomplete(rows, (repository, digest))?))? {
            return Err(Error::GoneForGood { repository: name.clone(), reference, digest });
        }
        revival.act = revival.act.clone().on(digest);
        self.bring_back_family(name, (repository, digest), revival)?;
        let (name, named) = (name.clone(), tag.clone());
        let change = revival.change.clone().expect("a tag is set by somebody");
        let is_told = revival.restored.tags.contains(tag);
        let told = revival.told(0, if is_told { &[] } else { std::slice::from_ref(tag) });
        let act = told.clone();
        let is_set = self.store.write(move |tx| {
            tx.lock(repository)?;
            if !tx.contains(&MANIFEST, &(repository, digest))? {
                return Ok::<_, Error>(false);
            }
            tagging::set(tx, repository, &named, digest, &change)?;
            audit::note(tx, &act)?;
            Ok(true)
        })?;
        if !is_set {
            return Err(Error::GoneForGood { repository: name, reference, digest });
        }
        let tags = if is_told { Vec::new() } else { vec![tag.clone()] };
        revival.go_on(Restored { tags, ..Restored::default() }, told);
        Ok(())
    }

    /// Brings a deleted manifest back, and what went with it.
    fn bring_back_family(
        &self,
        name: &RepositoryName,
        (repository, root): (RepoId, Digest),
        revival: &mut Revival,
    ) -> Result<(), Error> {
        if !self.bring_back(name, (repository, root), revival)? {
            return Ok(());
        }
        let mut members = self.kept(repository, |kept| kept.root == root)?;
        for digest in &members {
            self.bring_back(name, (repository, *digest), revival)?;
        }
        members.push(root);
        for digest in members {
            self.bring_back_companion_tags(repository, digest, revival)?;
        }
        Ok(())
    }

    /// Sets the companion tags that went with a manifest while what they name had other tags.
    fn bring_back_companion_tags(
        &self,
        repository: RepoId,
        digest: Digest,
        revival: &mut Revival,
    ) -> Result<(), Error> {
        let Some(change) = revival.change.clone() else { return Ok(()) };
        let act = revival.told(0, &[]);
        let (tags, told) = self.store.write(move |tx| {
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
            let told = act.clone().with_tags(&tags);
            if !tags.is_empty() {
                audit::note(tx, &told)?;
            }
            Ok::<_, Error>((tags, told))
        })?;
        revival.go_on(Restored { tags, ..Restored::default() }, told);
        Ok(())
    }

    /// Brings a deleted manifest back, and before it what it lists: each in a transaction of its own, since
    /// all together may be more than one holds. Says whether it is visible.
    pub(super) fn bring_back(
        &self,
        name: &RepositoryName,
        (repository, digest): (RepoId, Digest),
        revival: &mut Revival,
    ) -> Result<bool, Error> {
        // By hand, not by recursion: indexes can be nested as deep as somebody likes.
        let (mut stack, mut tried) = (vec![digest], HashSet::new());
        while let Some(&top) = stack.last() {
            let hidden = self.hidden_children(repository, top)?;
            if tried.insert(top) && !hidden.is_empty() {
                stack.extend(hidden);
                continue;
            }
            let (name, change, now_ms) = (name.clone(), revival.change.clone(), self.clock.now_ms());
            let act = revival.told(1, &[]);
            let one = self.store.write(move |tx| {
                tx.lock(repository)?;
                let one = kept::restore(tx, &name, (repository, top), now_ms, change.as_ref())?;
                let Some(one) = one else { return Ok(None) };
                let told = act.clone().with_tags(&one.tags);
                audit::note(tx, &told)?;
                Ok::<_, Error>(Some((one, told)))
            })?;
            if let Some((one, told)) = one {
                revival.go_on(one, told);
            }
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

#[cfg(test)]
mod tests;
