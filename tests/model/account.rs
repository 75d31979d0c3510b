//! A plain account of a registry: what was pushed and deleted where and when, in maps, and from that every
//! answer that the registry has to give. Nothing here is taken from the registry's code.
//!
//! Where the collector may choose its order, because its steps are counted, it is looked at what it did, and
//! the account says whether it was allowed.

use std::collections::{BTreeMap, BTreeSet};

use crate::documents::{BLOBS, Documents};

pub const REPOSITORIES: usize = 3;

/// How long a lease lasts, in milliseconds.
pub const LEASE_MS: u64 = 100_000;
/// How long before its end HEAD stops to count on it: at most a quarter of it.
pub const MARGIN_MS: u64 = 25_000;
/// How long a deleted manifest is kept.
pub const KEEP_MS: u64 = 300_000;
/// How long collected files stay before they are unlinked without being asked for.
pub const UNLINK_MS: u64 = 200_000;
/// For how long the collector leaves a lease alone that an open upload holds.
pub const HELD_MS: u64 = 60_000;

/// What a request has to be answered.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    Done,
    Unknown,
    InUse,
    /// What a manifest references and nobody has, by digest.
    Missing(BTreeSet<String>),
    NothingDeleted,
    TagInUse,
    /// What a tag named is not even kept any more.
    GoneForGood,
}

/// A deleted manifest.
#[derive(Debug)]
pub struct Kept {
    pub due_ms: u64,
    /// The manifest whose deletion took it along.
    pub root: usize,
    /// The tags it had.
    pub tags: BTreeSet<usize>,
}

#[derive(Default, Debug)]
pub struct Repository {
    pub visible: BTreeSet<usize>,
    pub kept: BTreeMap<usize, Kept>,
    pub tags: BTreeMap<usize, usize>,
    /// What each tag named when it was removed last.
    pub removed: BTreeMap<usize, usize>,
    pub pins: BTreeSet<usize>,
    /// When the lease of each blob ends.
    pub leases: BTreeMap<usize, u64>,
    /// How many uploads are open.
    pub uploads: usize,
}

#[derive(Debug)]
pub struct Account {
    pub documents: &'static Documents,
    pub now_ms: u64,
    pub repositories: [Repository; REPOSITORIES],
    /// Blobs that are stored, whoever may see them.
    pub stored: BTreeSet<usize>,
    /// How many files of each blob wait to be unlinked.
    pub waiting: [usize; BLOBS],
    pub unlinked_at_ms: u64,
    /// What happened at all.
    pub met: BTreeSet<&'static str>,
}

/// How the account sees what the collector left of a thing.
pub trait Seen {
    /// When a deleted manifest of a repository goes, if it is still kept.
    fn kept_end_ms(&self, repository: usize, document: usize) -> Option<u64>;
    /// The document that a tag of a repository names.
    fn named(&self, repository: usize, tag: usize) -> Option<usize>;
    /// When a blob's lease in a repository ends, if it has one.
    fn lease_end_ms(&self, repository: usize, blob: usize) -> Option<u64>;
    fn is_stored(&self, blob: usize) -> bool;
}

impl Account {
    pub fn new(now_ms: u64) -> Self {
        Self {
            documents: Documents::all(),
            now_ms,
            repositories: Default::default(),
            stored: BTreeSet::new(),
            waiting: [0; BLOBS],
            unlinked_at_ms: now_ms,
            met: BTreeSet::new(),
        }
    }

    fn is_referenced(&self, repository: usize, blob: usize) -> bool {
        self.repositories[repository].visible.iter().any(|&document| self.documents.has(document, blob))
    }

    /// HEAD of a blob.
    pub fn may_count_on(&self, repository: usize, blob: usize) -> bool {
        let lease = self.repositories[repository].leases.get(&blob);
        self.stored.contains(&blob)
            && (self.is_referenced(repository, blob)
                || lease.is_some_and(|end_ms| *end_ms > self.now_ms + MARGIN_MS))
    }

    /// GET of a blob, and mounting it from there.
    pub fn can_be_read(&self, repository: usize, blob: usize) -> bool {
        let Repository { leases, uploads, .. } = &self.repositories[repository];
        let is_live = |end_ms: &u64| *end_ms > self.now_ms || *uploads > 0;
        self.stored.contains(&blob)
            && (self.is_referenced(repository, blob) || leases.get(&blob).is_some_and(is_live))
    }

    fn is_kept(&self, repository: usize, blob: usize) -> bool {
        self.stored.contains(&blob)
            && self.repositories[repository].kept.keys().any(|&document| self.documents.has(document, blob))
    }

    fn is_needed(&self, blob: usize) -> bool {
        (0..REPOSITORIES).any(|repository| {
            self.is_referenced(repository, blob)
                || self.is_kept(repository, blob)
                || self.repositories[repository].leases.contains_key(&blob)
        })
    }

    /// The end of an upload, or a mount.
    pub fn lease(&mut self, repository: usize, blob: usize) {
        self.stored.insert(blob);
        self.repositories[repository].leases.insert(blob, self.now_ms + LEASE_MS);
    }

    pub fn mount(&mut self, repository: usize, blob: usize, from: Option<usize>) -> bool {
        let is_there = match from {
            Some(from) => self.can_be_read(from, blob),
            None => (0..REPOSITORIES).any(|from| self.can_be_read(from, blob)),
        };
        if is_there {
            self.lease(repository, blob);
        }
        is_there
    }

    pub fn put(&mut self, repository: usize, document: usize, tag: Option<usize>) -> Answer {
        if !self.repositories[repository].visible.contains(&document) {
            let (blobs, children) = self.missing(repository, document);
            let kept = &self.repositories[repository].kept;
            if !blobs.is_empty() || children.iter().any(|child| !kept.contains_key(child)) {
                let blobs = blobs.iter().map(|&blob| self.documents.blob_digest(blob));
                let children = children.iter().map(|&child| self.documents.manifest(child).digest.clone());
                return Answer::Missing(blobs.chain(children).collect());
            }
            for child in children {
                // Their tags are not asked for.
                self.bring_back(repository, child, &mut BTreeMap::new());
                self.met.insert("came back for a push");
            }
        }
        let blobs = self.documents.blobs_of(document).to_vec();
        let repository = &mut self.repositories[repository];
        repository.kept.remove(&document);
        repository.visible.insert(document);
        repository.leases.retain(|blob, _| !blobs.contains(blob));
        if let Some(tag) = tag {
            repository.tags.insert(tag, document);
        }
        Answer::Done
    }

    /// The blobs and the manifests that a push would lack.
    fn missing(&self, repository: usize, document: usize) -> (Vec<usize>, Vec<usize>) {
        let lacks_blob =
            |blob: &usize| !self.can_be_read(repository, *blob) && !self.is_kept(repository, *blob);
        let lacks = |child: &usize| !self.repositories[repository].visible.contains(child);
        let blobs = self.documents.blobs_of(document).iter().copied().filter(lacks_blob);
        (blobs.collect(), self.documents.children_of(document).iter().copied().filter(lacks).collect())
    }

    pub fn delete_tag(&mut self, repository: usize, tag: usize) -> Answer {
        let Repository { tags, removed, .. } = &mut self.repositories[repository];
        let Some(document) = tags.remove(&tag) else { return Answer::Unknown };
        removed.insert(tag, document);
        Answer::Done
    }

    pub fn delete_blob(&mut self, repository: usize, blob: usize) -> Answer {
        if !self.can_be_read(repository, blob) {
            return Answer::Unknown;
        }
        if self.is_referenced(repository, blob) {
            return Answer::InUse;
        }
        self.repositories[repository].leases.remove(&blob);
        Answer::Done
    }

    /// What was collected: with `all`, everything that may go; and deleted manifests before they are due,
    /// where `ends_keeping`.
    pub fn collected(&mut self, all: bool, ends_keeping: bool, seen: &impl Seen) {
        let now_ms = self.now_ms;
        for number in 0..REPOSITORIES {
            self.dropped(number, all, ends_keeping, seen);
            let repository = &mut self.repositories[number];
            let held = repository.uploads > 0;
            repository.leases.retain(|&blob, end_ms| {
                let (is_over, is) = (*end_ms <= now_ms, seen.lease_end_ms(number, blob));
                let expected: &[Option<u64>] = match (is_over, held, all) {
                    (false, _, _) => &[Some(*end_ms)],
                    (true, true, true) => &[Some(now_ms + HELD_MS)],
                    (true, true, false) => &[Some(now_ms + HELD_MS), Some(*end_ms)],
                    (true, false, true) => &[None],
                    (true, false, false) => &[None, Some(*end_ms)],
                };
                assert!(expected.contains(&is), "lease of {blob} in {number}: {is:?}, not {expected:?}");
                *end_ms = is.unwrap_or_default();
                is.is_some()
            });
        }
        for blob in self.stored.clone() {
            let (is_needed, is_there) = (self.is_needed(blob), seen.is_stored(blob));
            assert!(is_there || !is_needed, "blob {blob} is needed and went");
            assert!(!(is_there && !is_needed && all), "nothing needs blob {blob}, and it is there");
            if !is_there {
                self.stored.remove(&blob);
                self.waiting[blob] += 1;
            }
        }
    }

    /// All files that wait are unlinked.
    pub fn unlinked(&mut self) {
        self.waiting = [0; BLOBS];
    }

    /// The digests of the files that have to be there, each as often as it has one.
    pub fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        for blob in 0..BLOBS {
            let count = usize::from(self.stored.contains(&blob)) + self.waiting[blob];
            files.extend(std::iter::repeat_n(self.documents.blob_digest(blob), count));
        }
        files.sort();
        files
    }
}
