//! Pushing a manifest: one transaction from the check of its references to its tag.

use super::Registry;
use super::error::{Error, MissingReference};
use super::links::{self, Judge};
use super::{ids, repositories};
use crate::oci::{
    Algorithm, Descriptor, Digest, Manifest, ManifestLimits, ManifestReference, Reference,
    ReferrerDescriptor, RepositoryName, Role, Tag,
};
use crate::store::records::{ManifestRecord, ReferenceRecord, ReferrerRecord, TagRecord, Target};
use crate::store::tables::{BLOB_USER, MANIFEST, MANIFEST_BYTES, PARENT, REFERENCE, REFERRER, TAG, TAG_OF};
use crate::store::{MetaError, Raw, Read, RepoId, Tx};
use std::sync::Arc;

/// What a push of a manifest did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The manifest's digest.
    pub digest: Digest,
    /// The subject it was listed under as a referrer.
    pub subject: Option<Digest>,
}

/// All that a push writes, decided before the transaction begins.
struct Push {
    name: RepositoryName,
    digest: Digest,
    manifest: Manifest,
    bytes: Vec<u8>,
    tag: Option<Tag>,
    now_ms: u64,
}

/// A reference with what answers it.
type Resolved<'a> = (&'a ManifestReference, Target);

impl Registry {
    /// Stores a manifest under its digest and, if it was pushed by one, its tag.
    pub fn put_manifest(
        &self,
        name: &RepositoryName,
        reference: &Reference,
        content_type: Option<&str>,
        bytes: Vec<u8>,
    ) -> Result<Pushed, Error> {
        let max_bytes = self.config().settings.manifest_max_bytes;
        if bytes.len() as u64 > max_bytes {
            return Err(Error::ManifestTooLarge { max_bytes });
        }
        let algorithm = match reference {
            Reference::Digest(digest) => digest.algorithm(),
            Reference::Tag(_) => Algorithm::Sha256,
        };
        let digest = Digest::of(algorithm, &bytes);
        let tag = match reference {
            Reference::Tag(tag) => Some(tag.clone()),
            Reference::Digest(expected) if *expected == digest => None,
            Reference::Digest(expected) => {
                return Err(Error::DigestMismatch { expected: *expected, actual: digest });
            }
        };
        let manifest = Manifest::parse(&bytes, content_type, &self.manifest_limits())?;
        let subject = manifest.subject().map(|subject| subject.digest);
        let (name, now_ms) = (name.clone(), self.clock.now_ms());
        let push = Arc::new(Push { name, digest, manifest, bytes, tag, now_ms });
        let fresh = ids::repository();
        self.store.write(move |tx| push.write(tx, fresh))?;
        Ok(Pushed { digest, subject })
    }

    fn manifest_limits(&self) -> ManifestLimits {
        let count = |setting: u64| usize::try_from(setting).unwrap_or(usize::MAX);
        ManifestLimits {
            references_max: count(self.config().settings.manifest_references_max),
            annotations_bytes_max: count(self.config().settings.referrer_annotations_max_bytes),
        }
    }
}

impl Push {
    fn write(&self, tx: &mut Tx<'_>, fresh: RepoId) -> Result<(), Error> {
        let repository = repositories::find_or_create(tx, &self.name, fresh, self.now_ms)?;
        tx.lock(repository)?;
        match tx.get(&MANIFEST, &(repository, self.digest))? {
            // What it references is here, since it is (I3).
            Some(present) if present.media_type == self.manifest.media_type() => {}
            Some(present) => {
                return Err(Error::ManifestConflict { digest: self.digest, stored: present.media_type });
            }
            None => {
                let resolved = self.resolve_references(tx, repository)?;
                self.insert(tx, repository, &resolved)?;
            }
        }
        if let Some(tag) = &self.tag {
            self.put_tag(tx, repository, tag)?;
        }
        Ok(())
    }

    /// Finds what answers each reference. All that is missing is named at once.
    fn resolve_references(&self, tx: &Tx<'_>, repository: RepoId) -> Result<Vec<Resolved<'_>>, Error> {
        let mut resolved = Vec::new();
        let mut missing = Vec::new();
        for reference in self.manifest.references() {
            match self.resolve_reference(tx, repository, reference)? {
                Target::Absent if reference.required => {
                    let digest = reference.descriptor.digest;
                    missing.push(MissingReference { digest, role: reference.role });
                }
                target => resolved.push((reference, target)),
            }
        }
        if missing.is_empty() {
            Ok(resolved)
        } else {
            Err(Error::ReferencesMissing { repository: self.name.clone(), missing })
        }
    }

    fn resolve_reference(
        &self,
        tx: &Tx<'_>,
        repository: RepoId,
        reference: &ManifestReference,
    ) -> Result<Target, Error> {
        let Descriptor { digest, size: stated, .. } = reference.descriptor;
        let same_size = |stored, target| {
            if stated == stored { Ok(target) } else { Err(Error::ReferenceSize { digest, stated, stored }) }
        };
        if reference.role == Role::Child
            && let Some(child) = tx.get(&MANIFEST, &(repository, digest))?
        {
            return same_size(child.size, Target::Manifest);
        }
        // Only what is linked here already: else a manifest could make any blob of the registry readable by
        // naming its digest.
        match links::linked_blob(tx, repository, digest, self.now_ms, Judge::ToTheEnd)? {
            Some(blob) => same_size(blob.size, Target::Blob),
            None => Ok(Target::Absent),
        }
    }

    fn insert(&self, tx: &mut Tx<'_>, repository: RepoId, resolved: &[Resolved<'_>]) -> Result<(), Error> {
        let key = (repository, self.digest);
        let record = ManifestRecord {
            media_type: self.manifest.media_type().to_owned(),
            kind: self.manifest.kind(),
            size: self.bytes.len() as u64,
            subject: self.manifest.subject().map(|subject| subject.digest),
            pushed_at_ms: self.now_ms,
        };
        tx.put(&MANIFEST, &key, &record)?;
        tx.put(&MANIFEST_BYTES, &key, &Raw(self.bytes.clone()))?;
        for (reference, target) in resolved {
            let (digest, target) = (reference.descriptor.digest, *target);
            let record = ReferenceRecord { role: reference.role, target };
            tx.put(&REFERENCE, &(repository, self.digest, digest), &record)?;
            match target {
                Target::Blob => {
                    tx.put(&BLOB_USER, &(digest, repository, self.digest), &())?;
                    links::end_lease(tx, repository, digest)?;
                }
                Target::Manifest => tx.put(&PARENT, &(repository, digest, self.digest), &())?,
                Target::Absent => {}
            }
        }
        if let Some(subject) = record.subject {
            tx.put(&REFERRER, &(repository, subject, self.digest), &self.as_referrer())?;
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

    fn put_tag(&self, tx: &mut Tx<'_>, repository: RepoId, tag: &Tag) -> Result<(), MetaError> {
        let key = (repository, tag.clone());
        if let Some(before) = tx.get(&TAG, &key)? {
            let removed = tx.remove(&TAG_OF, &(repository, before.digest, tag.clone()))?;
            assert!(removed.is_some(), "a tag stands in both directions");
        }
        tx.put(&TAG, &key, &TagRecord { digest: self.digest, pushed_at_ms: self.now_ms })?;
        tx.put(&TAG_OF, &(repository, self.digest, tag.clone()), &())
    }
}
