//! What lives with a manifest and goes with it: the untagged manifests that only a deleted index lists, the
//! referrers of a deleted subject, and the manifests of the tags in which cosign and older clients keep them.
//!
//! A manifest with a tag of its own stays; so does one that a visible index lists, or that has a visible
//! subject, outside of what goes.

use super::audit::Entry;
use super::error::Error;
use super::kept::{self, Deletion};
use super::pins;
use super::tagging::{self, Change};
use crate::oci::{Digest, RepositoryName, Tag};
use crate::store::records::{ManifestRecord, Target};
use crate::store::tables::{
    BLOB, BLOB_USER, KEPT, LEASE, MANIFEST, PARENT, QUEUE, REFERENCE, REFERRER, TAG, TAG_OF,
};
use crate::store::{KeyRange, Limit, MetaError, QueueKind, Read, RepoId, Tx};
use std::collections::HashSet;

/// How many bytes one deletion may write, by the estimates below: a transaction has 8 MiB.
const BYTES_MAX: usize = 7_500_000;

/// How many tags may go with a manifest: all go in one transaction. Of the greatest manifest that are 3.7
/// million bytes, and 2.8 for its references and 1 for its annotations.
pub const TAGS_MAX: usize = 3_000;

/// The most bytes that the rows of a tag and of a manifest have, before and after.
const TAG_BYTES: usize = 339 + 131 + 480 + 290;
const MANIFEST_BYTES_OF_ROWS: usize = 2048;

/// The same of a reference.
pub const REFERENCE_BYTES: usize = 560;

/// How many referrers of one manifest go in one transaction, about, and how many are read at once.
const REFERRERS_AT_ONCE: usize = 1000;
const REFERRERS_PAGE: usize = 256;
const PAGE_BYTES: usize = 1024 * 1024;

/// How many references and tags of one manifest are looked at: more than it may have.
const OF_ONE_MAX: usize = 20_000;

/// What is put behind a manifest's digest, as a tag, by those that keep there what belongs to it: the index
/// of referrers (distribution-spec, "Referrers Tag Schema"), and cosign's signatures, attestations and SBOMs.
const COMPANIONS: [&str; 4] = ["", ".sig", ".att", ".sbom"];

/// A manifest that goes, and the tags that go before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The manifest.
    pub digest: Digest,
    /// Its tags.
    pub tags: Vec<Tag>,
}

/// All that goes together.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Family {
    /// The manifests, those that were asked for first.
    pub members: Vec<Member>,
    /// Tags that go, of manifests that stay.
    pub tags: Vec<Tag>,
    /// Of these not all was looked at, or found room in one transaction.
    pub unfinished: Vec<Digest>,
}

/// What stays though all it lives with goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sparing {
    /// Nothing: a person deletes.
    Nothing,
    /// What is pinned: a rule deletes.
    Pinned,
}

/// The manifest that a tag of that form belongs to.
pub fn subject_of_companion(tag: &Tag) -> Option<Digest> {
    let text = tag.as_str();
    let text = COMPANIONS[1..].iter().find_map(|end| text.strip_suffix(end)).unwrap_or(text);
    let (algorithm, hex) = text.split_once('-')?;
    Digest::parse(&format!("{algorithm}:{hex}")).ok()
}

/// The tags that belong to a manifest.
pub fn companions(digest: Digest) -> impl Iterator<Item = Tag> {
    let hex = digest.to_string().replacen(':', "-", 1);
    // One of sha512 may be longer than a tag can be.
    COMPANIONS.iter().filter_map(move |end| Tag::parse(&format!("{hex}{end}")).ok())
}

/// Finds what goes with `roots`, which go themselves if they are visible, whatever tags they have.
pub fn gather(
    rows: &impl Read,
    repository: RepoId,
    roots: &[Digest],
    sparing: Sparing,
) -> Result<Family, MetaError> {
    let (going, family) = (HashSet::new(), Family::default());
    let mut search = Search { rows, repository, sparing, going, family, spent: 0 };
    for root in roots {
        // There is room for one, whatever it has.
        search.add(*root, usize::MAX)?;
    }
    let mut next = roots.to_vec();
    let mut refused = Vec::new();
    loop {
        let candidates = match next.pop() {
            Some(digest) => search.dependents(digest)?.into_iter().map(|of| (digest, of)).collect(),
            // What kept one of these may go itself by now.
            None => std::mem::take(&mut refused),
        };
        let asked = candidates.len();
        for (of, candidate) in candidates {
            match search.judge(candidate)? {
                Judgement::Goes if search.add(candidate, BYTES_MAX.saturating_sub(search.spent))? => {
                    next.push(candidate);
                }
                Judgement::Goes => search.give_up_on(of),
                Judgement::Stays => refused.push((of, candidate)),
                Judgement::Gone => {}
            }
        }
        if next.is_empty() && (refused.is_empty() || refused.len() == asked) {
            return Ok(search.family);
        }
    }
}

#[derive(PartialEq, Eq)]
enum Judgement {
    Goes,
    Stays,
    Gone,
}

struct Search<'a, R> {
    rows: &'a R,
    repository: RepoId,
    sparing: Sparing,
    going: HashSet<Digest>,
    family: Family,
    spent: usize,
}

impl<R: Read> Search<'_, R> {
    fn give_up_on(&mut self, digest: Digest) {
        if !self.family.unfinished.contains(&digest) {
            self.family.unfinished.push(digest);
        }
    }

    /// Adds a manifest with its tags, if it is visible and its rows are not more than `room`. Says whether it
    /// did.
    fn add(&mut self, digest: Digest, room: usize) -> Result<bool, MetaError> {
        let key = (self.repository, digest);
        let Some(manifest) = self.rows.get(&MANIFEST, &key)? else { return Ok(false) };
        let tags = self.tags_of(digest)?;
        let cost = self.cost(key, &manifest, &tags)?;
        if cost > room || !self.going.insert(digest) {
            return Ok(false);
        }
        self.spent += cost;
        self.family.tags.retain(|tag| !tags.contains(tag));
        self.family.members.push(Member { digest, tags });
        Ok(true)
    }

    /// How many bytes of rows a manifest has, about.
    fn cost(
        &self,
        key: (RepoId, Digest),
        manifest: &ManifestRecord,
        tags: &[Tag],
    ) -> Result<usize, MetaError> {
        let references = self.rows.page(&REFERENCE, &KeyRange::prefix(&key), OF_ONE_MAX)?.len();
        let listed = match manifest.subject {
            Some(subject) => self.rows.get(&REFERRER, &(key.0, subject, key.1))?,
            None => None,
        };
        let listed = listed.map_or(0, |listed| listed.descriptor.len() * 2);
        Ok(MANIFEST_BYTES_OF_ROWS + tags.len() * TAG_BYTES + references * REFERENCE_BYTES + listed)
    }

    fn tags_of(&self, digest: Digest) -> Result<Vec<Tag>, MetaError> {
        let page = self.rows.page(&TAG_OF, &KeyRange::prefix(&(self.repository, digest)), OF_ONE_MAX)?;
        Ok(page.into_iter().map(|((_, _, tag), ())| tag).collect())
    }

    /// What a manifest lists, what refers to it, and what its companion tags name.
    fn dependents(&mut self, digest: Digest) -> Result<Vec<Digest>, MetaError> {
        let (rows, key) = (self.rows, (self.repository, digest));
        let mut dependents = Vec::new();
        for ((_, _, referenced), row) in rows.page(&REFERENCE, &KeyRange::prefix(&key), OF_ONE_MAX)? {
            if row.target == Target::Manifest {
                dependents.push(referenced);
            }
        }
        self.add_referrers(key, &mut dependents)?;
        for tag in companions(digest) {
            let Some(named) = rows.get(&TAG, &(self.repository, tag.clone()))? else { continue };
            if !self.going.contains(&named.digest) {
                self.family.tags.push(tag);
                self.spent += TAG_BYTES;
                dependents.push(named.digest);
            }
        }
        Ok(dependents)
    }

    /// The referrers of a manifest that have no tag: those with one stay anyway.
    fn add_referrers(&mut self, key: (RepoId, Digest), found: &mut Vec<Digest>) -> Result<(), MetaError> {
        let mut range = KeyRange::prefix(&key);
        let (mut looked_at, most) = (0, found.len() + REFERRERS_AT_ONCE);
        loop {
            let page =
                self.rows.scan(&REFERRER, &range, Limit { rows: REFERRERS_PAGE, bytes: PAGE_BYTES })?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            range = range.after_bytes(last);
            if looked_at >= OF_ONE_MAX || found.len() >= most {
                self.give_up_on(key.1);
                return Ok(());
            }
            looked_at += page.len();
            for (_, row) in page {
                let ((repository, _, referrer), _) = row?;
                if self.rows.first(&TAG_OF, &KeyRange::prefix(&(repository, referrer)))?.is_none() {
                    found.push(referrer);
                }
            }
        }
    }

    fn judge(&self, digest: Digest) -> Result<Judgement, MetaError> {
        let (rows, key) = (self.rows, (self.repository, digest));
        if self.going.contains(&digest) {
            return Ok(Judgement::Gone);
        }
        let Some(manifest) = rows.get(&MANIFEST, &key)? else { return Ok(Judgement::Gone) };
        if self.sparing == Sparing::Pinned && pins::is_pinned(rows, key)? {
            return Ok(Judgement::Stays);
        }
        if self.tags_of(digest)?.iter().any(|tag| !self.family.tags.contains(tag)) {
            return Ok(Judgement::Stays);
        }
        for ((_, _, index), ()) in rows.page(&PARENT, &KeyRange::prefix(&key), OF_ONE_MAX)? {
            if !self.going.contains(&index) {
                return Ok(Judgement::Stays);
            }
        }
        let subject = manifest.subject.filter(|subject| !self.going.contains(subject));
        let lives_on = match subject {
            Some(subject) => rows.contains(&MANIFEST, &(self.repository, subject))?,
            None => false,
        };
        Ok(if lives_on { Judgement::Stays } else { Judgement::Goes })
    }
}

/// Takes some tags off a manifest that has more of them than can go with it; says whether it had.
pub fn take_tags(
    tx: &mut Tx<'_>,
    repository: RepoId,
    digest: Digest,
    change: &Change,
) -> Result<bool, MetaError> {
    let tags = tx.page(&TAG_OF, &KeyRange::prefix(&(repository, digest)), TAGS_MAX + 1)?;
    if tags.len() <= TAGS_MAX {
        return Ok(false);
    }
    for ((_, _, tag), ()) in tags.into_iter().take(TAGS_MAX / 2) {
        tagging::remove(tx, repository, &tag, change)?;
    }
    Ok(true)
}

/// Whether something visible keeps an untagged manifest: an index that lists it, or its subject.
pub fn is_protected(rows: &impl Read, key: (RepoId, Digest)) -> Result<bool, MetaError> {
    if rows.first(&PARENT, &KeyRange::prefix(&key))?.is_some() {
        return Ok(true);
    }
    match rows.get(&MANIFEST, &key)?.and_then(|manifest| manifest.subject) {
        Some(subject) => rows.contains(&MANIFEST, &(key.0, subject)),
        None => Ok(false),
    }
}

/// What a deletion did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Deleted {
    /// The tags that went.
    pub tags: Vec<Tag>,
    /// How many manifests went, that which was named among them.
    pub manifests: u64,
    /// The bytes of the blobs that nothing else needs.
    pub bytes: u64,
    /// When these go for good.
    pub due_at_ms: u64,
}

impl Deleted {
    /// The row that tells of it.
    pub(super) fn told_by(&self, entry: &Entry) -> Entry {
        let count = self.manifests;
        let words = format!("{count} manifest{}", if count == 1 { "" } else { "s" });
        entry.clone().with_tags(&self.tags).saying(&words)
    }
}

/// Takes a family out of sight. What found no room is left to the collector.
pub fn delete(
    tx: &mut Tx<'_>,
    name: &RepositoryName,
    repository: RepoId,
    root: Digest,
    family: &Family,
    deletion: &Deletion,
) -> Result<Deleted, Error> {
    let mut deleted = Deleted { due_at_ms: deletion.due_at_ms, ..Deleted::default() };
    deleted.bytes = freed_bytes(tx, repository, family)?;
    let of_members = family.members.iter().flat_map(|member| &member.tags);
    for tag in of_members.chain(&family.tags) {
        let removed = tagging::remove(tx, repository, tag, &deletion.change)?;
        assert!(removed.is_some(), "it was looked at in this transaction");
        deleted.tags.push(tag.clone());
    }
    for member in &family.members {
        kept::hide(tx, name, (repository, member.digest), &member.tags, root, deletion)?;
        deleted.manifests += 1;
    }
    for digest in &family.unfinished {
        tx.put(&QUEUE, &(deletion.change.now_ms, QueueKind::Family, *digest, repository), &())?;
    }
    Ok(deleted)
}

/// The bytes of the blobs that only these manifests need: of those that are deleted already nothing is
/// counted, since they go anyway.
pub fn freed_bytes(rows: &impl Read, repository: RepoId, family: &Family) -> Result<u64, MetaError> {
    let going: HashSet<Digest> = family.members.iter().map(|member| member.digest).collect();
    let mut seen = HashSet::new();
    let mut bytes = 0;
    for member in &family.members {
        let references =
            rows.page(&REFERENCE, &KeyRange::prefix(&(repository, member.digest)), OF_ONE_MAX)?;
        for ((_, _, blob), row) in references {
            if row.target == Target::Blob && seen.insert(blob) && is_only_of(rows, repository, &going, blob)?
            {
                bytes += rows.get(&BLOB, &blob)?.map_or(0, |row| row.size);
            }
        }
    }
    Ok(bytes)
}

fn is_only_of(
    rows: &impl Read,
    repository: RepoId,
    going: &HashSet<Digest>,
    blob: Digest,
) -> Result<bool, MetaError> {
    if rows.first(&LEASE, &KeyRange::prefix(&blob))?.is_some() {
        return Ok(false);
    }
    // One more than all of them: there is another.
    let users = rows.page(&BLOB_USER, &KeyRange::prefix(&blob), going.len() + 1)?;
    Ok(users.iter().all(|((_, holder, manifest), ())| *holder == repository && going.contains(manifest)))
}

/// Goes on with a family of which not all found room, for which a row of the queue stood at `queued_at_ms`;
/// `root` was deleted. Says whether anything went.
pub fn go_on(
    tx: &mut Tx<'_>,
    name: &RepositoryName,
    (repository, root): (RepoId, Digest),
    queued_at_ms: u64,
    deletion: &Deletion,
) -> Result<bool, Error> {
    if tx.contains(&MANIFEST, &(repository, root))? {
        // It was brought back, and with it lives what is left.
        return Ok(false);
    }
    let mut family = gather(tx, repository, &[root], Sparing::Nothing)?;
    if family.members.is_empty() && family.tags.is_empty() {
        // All that is left stays: looking again would find the same.
        return Ok(false);
    }
    let more = std::mem::take(&mut family.unfinished);
    // With it came what went before; what comes later has the same end.
    let mut deletion = deletion.clone();
    if let Some(kept) = tx.get(&KEPT, &(repository, root))? {
        deletion.due_at_ms = kept.due_at_ms;
    }
    delete(tx, name, repository, root, &family, &deletion)?;
    for digest in more {
        tx.put(&QUEUE, &(queued_at_ms, QueueKind::Family, digest, repository), &())?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests;
