//! Pushing a manifest: one transaction from the check of its references to its tags.

use super::actor::Actor;
use super::audit::{self, Entry};
use super::condition::Condition;
use super::error::{Error, MissingReference};
use super::references::{self, References};
use super::tagging::{self, Change};
use super::undelete::Revival;
use super::{Registry, ids, incomplete, repositories, usage};
use crate::oci::{
    Algorithm, Digest, Manifest, ManifestLimits, Reference, ReferrerDescriptor, RepositoryName, Tag,
};
use crate::store::records::{AuditAction, Cause, ManifestRecord, ReferrerRecord};
use crate::store::tables::{KEPT, MANIFEST, MANIFEST_BYTES, REFERRER, TAG};
use crate::store::{Raw, Read, RepoId, Tx};
use std::sync::Arc;

/// How often an index is tried whose children somebody deletes at the same time.
const ATTEMPTS_MAX: u32 = 4;

/// A manifest that is pushed, as the request has it.
#[derive(Debug, Clone)]
pub struct ManifestPush {
    /// The repository.
    pub name: RepositoryName,
    /// The tag or digest that it is pushed by.
    pub reference: Reference,
    /// More tags to set, each once.
    pub tags: Vec<Tag>,
    /// The media type that the request says.
    pub content_type: Option<String>,
    /// The manifest.
    pub bytes: Vec<u8>,
    /// What each tag has to name for the push to happen; without a tag, what the digest has to.
    pub condition: Condition,
    /// Who pushes.
    pub actor: Actor,
}

/// What a push of a manifest did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The manifest's digest.
    pub digest: Digest,
    /// The subject it was listed under as a referrer.
    pub subject: Option<Digest>,
    /// The tags that named another manifest before, with that manifest.
    pub moved: Vec<(Tag, Digest)>,
}

/// All that a push writes, decided before the transaction begins.
struct Push {
    name: RepositoryName,
    digest: Digest,
    manifest: Manifest,
    bytes: Vec<u8>,
    /// Each once.
    tags: Vec<Tag>,
    condition: Condition,
    sparse: bool,
    change: Change,
    act: Entry,
}

impl Registry {
    /// Stores a manifest under its digest, and sets its tags: all of it or nothing.
    pub fn put_manifest(&self, push: ManifestPush) -> Result<Pushed, Error> {
        let ManifestPush { name, reference, mut tags, content_type, bytes, condition, actor } = push;
        let config = self.config();
        let max_bytes = config.settings.manifest_max_bytes;
        if bytes.len() as u64 > max_bytes {
            return Err(Error::ManifestTooLarge { max_bytes });
        }
        self.expect_room(bytes.len() as u64)?;
        let digest = match reference {
            Reference::Tag(tag) => {
                tags.insert(0, tag);
                Digest::of(Algorithm::Sha256, &bytes)
            }
            Reference::Digest(expected) => {
                let actual = Digest::of(expected.algorithm(), &bytes);
                if actual != expected {
                    return Err(Error::DigestMismatch { expected, actual });
                }
                actual
            }
        };
        let limits = ManifestLimits {
            references_max: count(config.settings.manifest_references_max),
            annotations_bytes_max: count(config.settings.referrer_annotations_max_bytes),
        };
        let manifest = Manifest::parse(&bytes, content_type.as_deref(), &limits)?;
        let subject = manifest.subject().map(|subject| subject.digest);
        let (tags, change) = (each_once(tags), self.change(&actor, Cause::Push));
        let act = self.act(&actor, AuditAction::ManifestPush).in_repository(&name).on(digest);
        let act = act.with_tags(&tags);
        let sparse = config.repositories.of(name.as_str()).sparse_index;
        let push = Arc::new(Push { name, digest, manifest, bytes, tags, condition, sparse, change, act });
        let fresh = ids::repository();
        let mut attempts = 1;
        let moved = loop {
            let this = Arc::clone(&push);
            let written = self.store.write(move |tx| this.write(tx, fresh));
            let Err(Error::ReferencesMissing { missing, .. }) = &written else { break written? };
            if attempts == ATTEMPTS_MAX || !self.bring_back_missing(&push, missing, &actor)? {
                break written?;
            }
            attempts += 1;
        };
        Ok(Pushed { digest, subject, moved })
    }

    /// Brings back what a pushed index lacks, if all of it are deleted manifests: they are there, as deleted
    /// blobs are, and no push is refused for what somebody else deletes meanwhile. Says whether it did.
    fn bring_back_missing(
        &self,
        push: &Push,
        missing: &[MissingReference],
        actor: &Actor,
    ) -> Result<bool, Error> {
        let name = &push.name;
        let keys = self.store.read(|rows| {
            let Some(repository) = repositories::find(rows, name)? else { return Ok(None) };
            let keys: Vec<_> = missing.iter().map(|missing| (repository, missing.digest)).collect();
            for key in &keys {
                // It would not help: it lacks bytes.
                if incomplete::is_incomplete(rows, *key)? {
                    return Ok(None);
                }
                // One that came back in the meantime is no obstacle.
                if !rows.contains(&KEPT, key)? && !rows.contains(&MANIFEST, key)? {
                    return Ok(None);
                }
            }
            Ok::<_, Error>(Some(keys))
        })?;
        let Some(keys) = keys else { return Ok(false) };
        let act = self.act(actor, AuditAction::Undelete).in_repository(name);
        let why = format!(", for the push of {}", push.digest);
        let mut revival = Revival::without_tags(act, why);
        for key in keys {
            self.bring_back(name, key, &mut revival)?;
        }
        Ok(true)
    }
}

fn count(setting: u64) -> usize {
    usize::try_from(setting).unwrap_or(usize::MAX)
}

fn each_once(tags: Vec<Tag>) -> Vec<Tag> {
    let mut once: Vec<Tag> = Vec::with_capacity(tags.len());
    for tag in tags {
        if !once.contains(&tag) {
            once.push(tag);
        }
    }
    once
}

/// What is told of the tags that named something else before.
fn told(moved: &[(Tag, Digest)]) -> String {
    match moved {
        [] => String::new(),
        [(tag, before)] => format!("{tag} was {before}"),
        [(tag, before), others @ ..] => format!("{tag} was {before}; {} more were moved", others.len()),
    }
}

impl Push {
    /// Says which tags named another manifest before, and which.
    fn write(&self, tx: &mut Tx<'_>, fresh: RepoId) -> Result<Vec<(Tag, Digest)>, Error> {
        let repository = repositories::find_or_create(tx, &self.name, fresh, self.change.now_ms)?;
        tx.lock(repository)?;
        let present = tx.get(&MANIFEST, &(repository, self.digest))?;
        let is_here = present.is_some() && !incomplete::is_incomplete(tx, (repository, self.digest))?;
        self.check_condition(tx, repository, is_here)?;
        let references = References {
            name: &self.name,
            repository,
            digest: self.digest,
            manifest: &self.manifest,
            sparse: self.sparse,
            now_ms: self.change.now_ms,
        };
        match present {
            // What it references is here, since it is (I3).
            Some(present) if present.media_type == self.manifest.media_type() => references.refresh(tx)?,
            Some(present) => {
                return Err(Error::ManifestConflict { digest: self.digest, stored: present.media_type });
            }
            None => {
                references.insert(tx)?;
                self.insert(tx, repository)?;
            }
        }
        let mut moved = Vec::new();
        for tag in &self.tags {
            let before = tagging::set(tx, repository, tag, self.digest, &self.change)?;
            moved.extend(before.filter(|before| *before != self.digest).map(|before| (tag.clone(), before)));
        }
        audit::note(tx, &self.act.clone().saying(&told(&moved)))?;
        Ok(moved)
    }

    /// The condition is about every tag that is set; without one, about the manifest.
    fn check_condition(&self, tx: &Tx<'_>, repository: RepoId, is_here: bool) -> Result<(), Error> {
        if self.tags.is_empty() {
            let present = is_here.then_some(self.digest);
            return self.condition.check(&self.name, &Reference::Digest(self.digest), present);
        }
        for tag in &self.tags {
            let present = tx.get(&TAG, &(repository, tag.clone()))?.map(|tag| tag.digest);
            self.condition.check_tag(&self.name, tag, present, self.digest)?;
        }
        Ok(())
    }

    fn insert(&self, tx: &mut Tx<'_>, repository: RepoId) -> Result<(), Error> {
        let key = (repository, self.digest);
        let record = ManifestRecord {
            media_type: self.manifest.media_type().to_owned(),
            kind: self.manifest.kind(),
            size: self.bytes.len() as u64,
            subject: self.manifest.subject().map(|subject| subject.digest),
            sparse: self.sparse,
            pushed_at_ms: self.change.now_ms,
            untagged_since_ms: None,
        };
        tx.put(&MANIFEST, &key, &record)?;
        usage::count_manifest(tx, repository, record.size, 1)?;
        tx.put(&MANIFEST_BYTES, &key, &Raw(self.bytes.clone()))?;
        references::arrived(tx, repository, self.digest)?;
        if let Some(subject) = record.subject {
            tx.put(&REFERRER, &(repository, subject, self.digest), &self.as_referrer())?;
        }
        if self.tags.is_empty() {
            tagging::settle_untagged(tx, key, record, Some(self.change.now_ms))?;
        }
        Ok(repositories::settle_catalog(tx, &self.name, repository)?)
    }

    /// How the referrers list of the subject shows the manifest.
    fn as_referrer(&self) -> ReferrerRecord {
        ReferrerRecord::new(&ReferrerDescriptor {
            media_type: self.manifest.media_type(),
            digest: self.digest,
            size: self.bytes.len() as u64,
            annotations: self.manifest.annotations(),
            artifact_type: self.manifest.artifact_type(),
        })
    }
}
