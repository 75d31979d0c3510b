//! Whole repositories: renaming, deleting and copying them, without moving a byte of their blobs.
//!
//! A repository's rows stand under its number, so its name can change, or lead nowhere, in one small
//! transaction however much it holds. What is larger is done piece by piece under a number that no name leads
//! to: a copy gets its name last, a deleted repository has lost it first.

use super::actor::Actor;
use super::audit::{self, Entry};
use super::error::Error;
use super::family::{self, Sparing};
use super::kept::Deletion;
use super::tagging::{self, Change};
use super::usage::{self, Tally, Usage};
use super::{Registry, ids, incomplete, kept, repositories};
use crate::oci::{Algorithm, Digest, ManifestKind, RepositoryName, Role, Tag};
use crate::store::records::{AuditAction, Cause, ManifestRecord, RepositoryRecord, RepositoryState, Target};
use crate::store::tables::{
    CATALOG, KEPT, MANIFEST, MANIFEST_BYTES, Number, PARENT, PIN, QUEUE, REFERENCE, REFERRER, REPOSITORY,
    REPOSITORY_BY_NAME, TAG, TAG_HISTORY, UPLOAD_OF,
};
use crate::store::{KeyRange, QueueKind, Read, RepoId, Tx};
use std::sync::PoisonError;

/// How many rows are read in one snapshot, or dropped in one transaction.
const PAGE_ROWS: usize = 512;

/// How many bytes of manifests one transaction of a copy writes, about.
const COPY_BYTES: usize = 1024 * 1024;

/// After how long a copy that nobody makes any more is found and taken apart.
const ABANDONED_MS: u64 = 3_600_000;

/// Where a copy that is made piece by piece goes on.
enum Piece<T> {
    /// Behind this row; at the first one, if it is none.
    More(Option<T>),
    /// Nowhere: all is copied.
    Last,
}

/// What a copy made.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// Manifests.
    pub manifests: u64,
    /// Tags.
    pub tags: u64,
}

impl Registry {
    /// Gives a repository another name. Its open uploads, its history and what is deleted go along.
    pub fn rename_repository(
        &self,
        from: &RepositoryName,
        to: &RepositoryName,
        who: impl Into<Actor>,
    ) -> Result<(), Error> {
        let (from, to, actor) = (from.clone(), to.clone(), who.into());
        let deletion = self.deletion(&actor, Cause::Delete);
        let entry = self.act(&actor, AuditAction::RepositoryRename).in_repository(&from);
        let entry = entry.saying(&format!("to {to}"));
        self.store.write(move |tx| {
            let repository =
                repositories::find(tx, &from)?.ok_or_else(|| Error::RepositoryUnknown(from.clone()))?;
            tx.lock(repository)?;
            expect_free(tx, &to)?;
            detach(tx, &to, &deletion)?;
            tx.remove(&REPOSITORY_BY_NAME, &from)?;
            tx.remove(&CATALOG, &from)?;
            attach(tx, repository, &to)?;
            Ok(audit::note(tx, &entry)?)
        })
    }

    /// Deletes a repository with all that is in it. For `keep_deleted_secs` it can be brought back.
    pub fn delete_repository(&self, name: &RepositoryName, who: impl Into<Actor>) -> Result<(), Error> {
        let (name, actor) = (name.clone(), who.into());
        let deletion = self.deletion(&actor, Cause::Delete);
        let entry = self.act(&actor, AuditAction::RepositoryDelete).in_repository(&name);
        self.store.write(move |tx| {
            let repository =
                repositories::find(tx, &name)?.ok_or_else(|| Error::RepositoryUnknown(name.clone()))?;
            tx.lock(repository)?;
            if let Some(((_, digest), _)) = tx.first(&PIN, &KeyRange::prefix(&repository))? {
                return Err(Error::Pinned { repository: name.clone(), digest });
            }
            detach(tx, &name, &deletion)?;
            Ok(audit::note(tx, &entry)?)
        })
    }

    /// Gives a deleted repository its name back, if no other has it; says how many manifests are visible with
    /// that, and what was told of it. None: there was none.
    pub(super) fn revive_repository(
        &self,
        name: &RepositoryName,
        actor: &Actor,
        act: Entry,
    ) -> Result<Option<(u64, Entry)>, Error> {
        let (mut newest, mut range) = (None, KeyRange::all());
        // Each page again, should the ledger be opened anew meanwhile.
        while let Some((last, found)) = self.store.read(|rows| newest_deleted(rows, &range, name))? {
            range = range.after(&last);
            newest = newest.max(found);
        }
        let Some((_, repository)) = newest else { return Ok(None) };
        let (name, deletion) = (name.clone(), self.deletion(actor, Cause::Delete));
        self.store.write(move |tx| {
            tx.lock(repository)?;
            let record = tx.get(&REPOSITORY, &repository)?;
            let is_deleted = |record: &RepositoryRecord| {
                record.name == name && matches!(record.state, RepositoryState::Deleted { .. })
            };
            if !record.as_ref().is_some_and(is_deleted) || !holds_something(tx, repository)? {
                // Somebody else brought it back, or the collector was faster.
                return Ok(None);
            }
            expect_free(tx, &name)?;
            detach(tx, &name, &deletion)?;
            attach(tx, repository, &name)?;
            let manifests = Usage::of(tx, repository)?.manifests;
            let told = act.clone().saying(&format!("the repository, with {manifests} manifests"));
            audit::note(tx, &told)?;
            Ok::<_, Error>(Some((manifests, told)))
        })
    }

    /// Copies a repository under another name, which must be free: its visible manifests and its tags. What
    /// is pushed to it or deleted meanwhile may be in the copy or not; each image of the copy is whole.
    pub fn copy_repository(
        &self,
        from: &RepositoryName,
        to: &RepositoryName,
        who: impl Into<Actor>,
    ) -> Result<Copied, Error> {
        let actor = who.into();
        let change = self.change(&actor, Cause::Copy);
        let fresh = ids::repository();
        let source = self.store.read(|rows| {
            expect_free(rows, to)?;
            let unknown = || Error::RepositoryUnknown(from.clone());
            let source = repositories::find(rows, from)?.ok_or_else(unknown)?;
            if rows.contains(&CATALOG, from)? { Ok(source) } else { Err(unknown()) }
        })?;
        self.copying.lock().unwrap_or_else(PoisonError::into_inner).insert(fresh);
        let copied = self.copy_pieces(source, fresh, to, &change);
        let copied = copied.and_then(|copied| self.show_copy(from, to, (fresh, copied), &actor, &change));
        self.copying.lock().unwrap_or_else(PoisonError::into_inner).remove(&fresh);
        if copied.is_err() {
            let (now_ms, who) = (change.now_ms, change.who);
            self.store.write(move |tx| abandon(tx, fresh, now_ms, &who))?;
        }
        copied
    }

    fn copy_pieces(
        &self,
        source: RepoId,
        fresh: RepoId,
        to: &RepositoryName,
        change: &Change,
    ) -> Result<Copied, Error> {
        let (name, now_ms) = (to.clone(), change.now_ms);
        self.store.write(move |tx| {
            repositories::create(tx, &name, fresh, now_ms, RepositoryState::Copying)?;
            // Found there if this process ends before the copy does.
            tx.put(&QUEUE, &row_of(fresh, now_ms + ABANDONED_MS), &())?;
            Ok::<_, Error>(())
        })?;
        // Images first, so that each piece of an index finds what it lists.
        for indexes in [false, true] {
            let mut piece = Piece::More(None);
            while let Piece::More(after) = piece {
                piece = self.store.write(move |tx| copy_manifests(tx, source, fresh, indexes, after))?;
            }
        }
        let mut piece = Piece::More(None);
        while let Piece::More(after) = piece {
            let change = change.clone();
            piece = self.store.write(move |tx| copy_tags(tx, source, fresh, after.clone(), &change))?;
        }
        let copied = self.store.read(|rows| Ok::<_, Error>(Usage::of(rows, fresh)?))?;
        Ok(Copied { manifests: copied.manifests, tags: copied.tags })
    }

    /// Gives a copy that is whole its name.
    fn show_copy(
        &self,
        from: &RepositoryName,
        to: &RepositoryName,
        (fresh, copied): (RepoId, Copied),
        actor: &Actor,
        change: &Change,
    ) -> Result<Copied, Error> {
        let (name, begun_ms) = (to.clone(), change.now_ms);
        let deletion = self.deletion(actor, Cause::Delete);
        let entry = self.act(actor, AuditAction::RepositoryCopy).in_repository(to);
        let Copied { manifests, tags } = copied;
        let entry = entry.saying(&format!("from {from}: {manifests} manifests and {tags} tags"));
        self.store.write(move |tx| {
            expect_free(tx, &name)?;
            detach(tx, &name, &deletion)?;
            tx.remove(&QUEUE, &row_of(fresh, begun_ms + ABANDONED_MS))?;
            attach(tx, fresh, &name)?;
            Ok::<_, Error>(audit::note(tx, &entry)?)
        })?;
        Ok(copied)
    }

    /// Whether a copy under this number is being made.
    pub(super) fn is_copying(&self, repository: RepoId) -> bool {
        self.copying.lock().unwrap_or_else(PoisonError::into_inner).contains(&repository)
    }
}

/// Whether a repository has a manifest, visible or deleted.
fn holds_something(rows: &impl Read, repository: RepoId) -> Result<bool, Error> {
    let range = KeyRange::prefix(&repository);
    Ok(rows.first(&MANIFEST, &range)?.is_some() || rows.first(&KEPT, &range)?.is_some())
}

/// When a repository was deleted, and which it is.
type Deleted = (u64, RepoId);

/// Of a page of repositories, the one of that name that was deleted last and holds something; and where the
/// page ends. None: there is no page any more.
fn newest_deleted(
    rows: &impl Read,
    range: &KeyRange,
    name: &RepositoryName,
) -> Result<Option<(RepoId, Option<Deleted>)>, Error> {
    let page = rows.page(&REPOSITORY, range, PAGE_ROWS)?;
    let Some(&(last, _)) = page.last() else { return Ok(None) };
    let mut newest = None;
    for (repository, record) in page {
        if let RepositoryState::Deleted { at_ms, .. } = record.state
            && record.name == *name
            && holds_something(rows, repository)?
        {
            newest = newest.max(Some((at_ms, repository)));
        }
    }
    Ok(Some((last, newest)))
}

fn row_of(repository: RepoId, due_at_ms: u64) -> (u64, QueueKind, Digest, RepoId) {
    let none = Digest::from_bytes(Algorithm::Sha256, &[0; 32]).expect("as many bytes as SHA-256 has");
    (due_at_ms, QueueKind::Repository, none, repository)
}

/// Refuses a name under which something is shown, kept, pinned or being pushed.
fn expect_free(rows: &impl Read, name: &RepositoryName) -> Result<(), Error> {
    let Some(repository) = repositories::find(rows, name)? else { return Ok(()) };
    let range = KeyRange::prefix(&repository);
    let in_use = rows.first(&MANIFEST, &range)?.is_some()
        || rows.first(&KEPT, &range)?.is_some()
        || rows.first(&PIN, &range)?.is_some()
        || rows.first(&UPLOAD_OF, &range)?.is_some();
    if in_use { Err(Error::RepositoryExists(name.clone())) } else { Ok(()) }
}

/// Makes a name lead to a repository that has none.
fn attach(tx: &mut Tx<'_>, repository: RepoId, name: &RepositoryName) -> Result<(), Error> {
    let record = tx.get(&REPOSITORY, &repository)?.expect("it was looked at in this transaction");
    let record = RepositoryRecord { name: name.clone(), state: RepositoryState::Named, ..record };
    tx.put(&REPOSITORY, &repository, &record)?;
    tx.put(&REPOSITORY_BY_NAME, name, &Number(repository.0))?;
    Ok(repositories::settle_catalog(tx, name, repository)?)
}

/// Takes its name from a repository, if one has it, and leaves it to the collector.
fn detach(tx: &mut Tx<'_>, name: &RepositoryName, deletion: &Deletion) -> Result<(), Error> {
    let Some(number) = tx.remove(&REPOSITORY_BY_NAME, name)? else { return Ok(()) };
    tx.remove(&CATALOG, name)?;
    let repository = RepoId(number.0);
    let record = tx.get(&REPOSITORY, &repository)?.expect("a name leads to a repository");
    let Deletion { change, due_at_ms, .. } = deletion;
    let (at_ms, who) = (change.now_ms, change.who.clone());
    let state = RepositoryState::Deleted { at_ms, due_at_ms: *due_at_ms, who };
    tx.put(&REPOSITORY, &repository, &RepositoryRecord { state, ..record })?;
    tx.put(&QUEUE, &row_of(repository, at_ms), &())?;
    Ok(())
}

/// Leaves a copy that was not finished to the collector.
pub fn abandon(tx: &mut Tx<'_>, repository: RepoId, now_ms: u64, who: &str) -> Result<(), Error> {
    let Some(record) = tx.get(&REPOSITORY, &repository)? else { return Ok(()) };
    if record.state != RepositoryState::Copying {
        return Ok(());
    }
    // Nobody ever saw it: there is nothing to bring back.
    let state = RepositoryState::Deleted { at_ms: now_ms, due_at_ms: now_ms, who: who.to_owned() };
    tx.put(&REPOSITORY, &repository, &RepositoryRecord { state, ..record })?;
    tx.put(&QUEUE, &row_of(repository, now_ms), &())?;
    Ok(())
}

/// Takes a piece out of a deleted repository: an image with what lives with it, or, when all are gone for
/// good, rows of its history, and at last itself. Says whether there was something.
pub fn take_apart(tx: &mut Tx<'_>, repository: RepoId, deletion: &Deletion) -> Result<bool, Error> {
    let Some(record) = tx.get(&REPOSITORY, &repository)? else { return Ok(false) };
    let RepositoryState::Deleted { due_at_ms, who, .. } = &record.state else { return Ok(false) };
    let now_ms = deletion.change.now_ms;
    let change = Change { who: who.clone(), ..deletion.change.clone() };
    let deletion = Deletion { change, due_at_ms: *due_at_ms, ..deletion.clone() };
    if let Some(((_, digest), _)) = tx.first(&MANIFEST, &KeyRange::prefix(&repository))? {
        let digest = topmost(tx, repository, digest)?;
        if family::take_tags(tx, repository, digest, &deletion.change)? {
            tx.put(&QUEUE, &row_of(repository, now_ms), &())?;
            return Ok(true);
        }
        let family = family::gather(tx, repository, &[digest], Sparing::Nothing)?;
        family::delete(tx, &record.name, repository, digest, &family, &deletion)?;
        tx.put(&QUEUE, &row_of(repository, now_ms), &())?;
        return Ok(true);
    }
    if let Some((_, kept)) = tx.first(&KEPT, &KeyRange::prefix(&repository))? {
        // It can be brought back for as long as that.
        tx.put(&QUEUE, &row_of(repository, kept.due_at_ms.max(now_ms + kept::HELD_MS)), &())?;
        return Ok(false);
    }
    let history = tx.page(&TAG_HISTORY, &KeyRange::prefix(&repository), PAGE_ROWS)?;
    if history.is_empty() {
        tx.remove(&REPOSITORY, &repository)?;
        return Ok(true);
    }
    for (key, _) in history {
        tx.remove(&TAG_HISTORY, &key)?;
    }
    tx.put(&QUEUE, &row_of(repository, now_ms), &())?;
    Ok(true)
}

/// The manifest, or the index at the top of those that list it.
fn topmost(tx: &Tx<'_>, repository: RepoId, mut digest: Digest) -> Result<Digest, Error> {
    // A digest cannot be that of something which holds it: there is a top.
    while let Some(((_, _, index), ())) = tx.first(&PARENT, &KeyRange::prefix(&(repository, digest)))? {
        digest = index;
    }
    Ok(digest)
}

/// Copies images, or indexes, behind `after`; says where to go on.
fn copy_manifests(
    tx: &mut Tx<'_>,
    source: RepoId,
    fresh: RepoId,
    indexes: bool,
    after: Option<Digest>,
) -> Result<Piece<Digest>, Error> {
    let mut range = KeyRange::prefix(&source);
    if let Some(after) = after {
        range = range.after(&(source, after));
    }
    let (mut room, mut done) = (COPY_BYTES, after);
    let page = tx.page(&MANIFEST, &range, PAGE_ROWS)?;
    let is_last = page.len() < PAGE_ROWS;
    for ((_, digest), record) in page {
        if (record.kind == ManifestKind::Index) == indexes
            && !copy_closure(tx, source, fresh, digest, &mut room)?
        {
            return Ok(Piece::More(done));
        }
        done = Some(digest);
    }
    Ok(if is_last { Piece::Last } else { Piece::More(done) })
}

/// Copies tags behind `after`, and what was pushed for them since their manifests were copied; says where to
/// go on.
fn copy_tags(
    tx: &mut Tx<'_>,
    source: RepoId,
    fresh: RepoId,
    after: Option<Tag>,
    change: &Change,
) -> Result<Piece<Tag>, Error> {
    let mut range = KeyRange::prefix(&source);
    if let Some(after) = &after {
        range = range.after(&(source, after.clone()));
    }
    let (mut room, mut done) = (COPY_BYTES, after);
    let page = tx.page(&TAG, &range, PAGE_ROWS)?;
    let is_last = page.len() < PAGE_ROWS;
    for ((_, tag), row) in page {
        if !copy_closure(tx, source, fresh, row.digest, &mut room)? {
            return Ok(Piece::More(done));
        }
        tagging::set(tx, fresh, &tag, row.digest, change)?;
        // The rules see the order in which they were pushed.
        tx.put(&TAG, &(fresh, tag.clone()), &row)?;
        done = Some(tag);
    }
    Ok(if is_last { Piece::Last } else { Piece::More(done) })
}

/// Copies a manifest, and before it what it lists and is not there yet. Says whether the room sufficed.
fn copy_closure(
    tx: &mut Tx<'_>,
    source: RepoId,
    fresh: RepoId,
    digest: Digest,
    room: &mut usize,
) -> Result<bool, Error> {
    // By hand, not by recursion: indexes can be nested as deep as somebody likes.
    let mut stack = vec![digest];
    while let Some(&top) = stack.last() {
        let record = match tx.get(&MANIFEST, &(source, top))? {
            Some(record) if !tx.contains(&MANIFEST, &(fresh, top))? => record,
            _ => {
                stack.pop();
                continue;
            }
        };
        let mut lacking = Vec::new();
        for ((_, _, referenced), row) in tx.page(&REFERENCE, &KeyRange::prefix(&(source, top)), usize::MAX)? {
            if row.target == Target::Manifest && !tx.contains(&MANIFEST, &(fresh, referenced))? {
                lacking.push(referenced);
            }
        }
        if !lacking.is_empty() {
            stack.append(&mut lacking);
            continue;
        }
        if *room == 0 {
            return Ok(false);
        }
        *room = room.saturating_sub(copy_manifest(tx, source, fresh, top, record)?);
        stack.pop();
    }
    Ok(true)
}

/// Copies the rows of one manifest; says how many bytes they have, about.
fn copy_manifest(
    tx: &mut Tx<'_>,
    source: RepoId,
    fresh: RepoId,
    digest: Digest,
    record: ManifestRecord,
) -> Result<usize, Error> {
    let bytes = tx.get(&MANIFEST_BYTES, &(source, digest))?.expect("a manifest has its bytes");
    let mut written = bytes.0.len();
    tx.put(&MANIFEST_BYTES, &(fresh, digest), &bytes)?;
    let mut tally = Tally::default();
    for ((_, _, referenced), row) in tx.page(&REFERENCE, &KeyRange::prefix(&(source, digest)), usize::MAX)? {
        tx.put(&REFERENCE, &(fresh, digest, referenced), &row)?;
        written += family::REFERENCE_BYTES;
        match row.target {
            Target::Blob => tally.add_user(tx, referenced, fresh, digest)?,
            Target::Absent if row.role != Role::Child => {}
            Target::Manifest | Target::Absent => tx.put(&PARENT, &(fresh, referenced, digest), &())?,
        }
    }
    if let Some(subject) = record.subject
        && let Some(referrer) = tx.get(&REFERRER, &(source, subject, digest))?
    {
        written += referrer.descriptor.len();
        tx.put(&REFERRER, &(fresh, subject, digest), &referrer)?;
    }
    tally.write(tx)?;
    usage::count_manifest(tx, fresh, record.size, 1)?;
    let since_ms = record.untagged_since_ms.or(Some(record.pushed_at_ms));
    let record = ManifestRecord { untagged_since_ms: None, ..record };
    tx.put(&MANIFEST, &(fresh, digest), &record)?;
    tagging::settle_untagged(tx, (fresh, digest), record, since_ms)?;
    incomplete::copy(tx, (source, digest), (fresh, digest))?;
    Ok(written)
}

#[cfg(test)]
mod tests;
