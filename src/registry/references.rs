//! The rows of what a manifest is made of, in both directions.

use super::error::{Error, MissingReference};
use super::incomplete;
use super::kept;
use super::links::{self, Judge};
use super::usage::Tally;
use crate::oci::{Descriptor, Digest, Manifest, ManifestReference, RepositoryName, Role};
use crate::store::records::{ReferenceRecord, Target};
use crate::store::tables::{INCOMPLETE, KEPT, MANIFEST, PARENT, REFERENCE};
use crate::store::{KeyRange, MetaError, Read, RepoId, Tx};

/// A reference with what answers it.
type Resolved<'a> = (&'a ManifestReference, Target);

/// A manifest of a repository, whose references are looked at or written.
pub struct References<'a> {
    /// The repository's name, for the one who is refused.
    pub name: &'a RepositoryName,
    /// The repository.
    pub repository: RepoId,
    /// The manifest's digest.
    pub digest: Digest,
    /// The manifest.
    pub manifest: &'a Manifest,
    /// Whether manifests that an index lists may be missing.
    pub sparse: bool,
    /// The time.
    pub now_ms: u64,
}

impl References<'_> {
    /// Finds what answers each reference of a manifest that is new here or was deleted, and writes the rows.
    /// All that is missing is named at once.
    pub fn insert(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let resolved = self.resolve(tx)?;
        // What it kept it needs again.
        kept::forget(tx, (self.repository, self.digest))?;
        let mut tally = Tally::default();
        for (reference, target) in resolved {
            self.write(tx, &mut tally, reference, target)?;
        }
        Ok(tally.write(tx)?)
    }

    /// Brings the rows of a manifest that is pushed again up to date: what was missing may have come, and
    /// what is referenced needs no lease.
    pub fn refresh(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let (mut missing, mut tally) = (Vec::new(), Tally::default());
        for reference in self.manifest.references() {
            let digest = reference.descriptor.digest;
            let row = tx.get(&REFERENCE, &(self.repository, self.digest, digest))?;
            match row.map(|row| row.target) {
                // Its file was found damaged: the push has to bring it again.
                Some(Target::Blob) if links::whole_blob(tx, digest)?.is_none() => {
                    missing.push(MissingReference { digest, role: reference.role });
                }
                Some(Target::Blob) => drop(links::end_lease(tx, self.repository, digest)?),
                Some(Target::Absent) => match self.resolve_one(tx, reference) {
                    // It was accepted without this; something of another size is not it.
                    Ok(Target::Absent) | Err(Error::ReferenceSize { .. }) => {}
                    Ok(target) => self.write(tx, &mut tally, reference, target)?,
                    Err(error) => return Err(error),
                },
                // It lacks bytes, so it is answered as if it were not there.
                Some(Target::Manifest) if incomplete::is_incomplete(tx, (self.repository, digest))? => {
                    missing.push(MissingReference { digest, role: reference.role });
                }
                Some(Target::Manifest) => {}
                None => unreachable!("a manifest stands with a row for each of its references"),
            }
        }
        tally.write(tx)?;
        if missing.is_empty() {
            tx.remove(&INCOMPLETE, &(self.repository, self.digest))?;
            return Ok(());
        }
        Err(Error::ReferencesMissing { repository: self.name.clone(), missing })
    }

    fn resolve(&self, tx: &Tx<'_>) -> Result<Vec<Resolved<'_>>, Error> {
        let mut resolved = Vec::new();
        let mut missing = Vec::new();
        for reference in self.manifest.references() {
            let target = self.resolve_one(tx, reference)?;
            let child = (self.repository, reference.descriptor.digest);
            // One that is deleted and kept is there: it is brought back, and does not count as lacking. Nor
            // does one that lacks bytes: it is to be pushed again.
            let may_lack = !reference.required
                || (self.sparse
                    && reference.role == Role::Child
                    && !tx.contains(&KEPT, &child)?
                    && !tx.contains(&MANIFEST, &child)?);
            if target == Target::Absent && !may_lack {
                let digest = reference.descriptor.digest;
                missing.push(MissingReference { digest, role: reference.role });
            } else {
                resolved.push((reference, target));
            }
        }
        if missing.is_empty() {
            return Ok(resolved);
        }
        Err(Error::ReferencesMissing { repository: self.name.clone(), missing })
    }

    fn resolve_one(&self, tx: &Tx<'_>, reference: &ManifestReference) -> Result<Target, Error> {
        let Descriptor { digest, size: stated, .. } = reference.descriptor;
        let same_size = |stored, target| {
            if stated == stored { Ok(target) } else { Err(Error::ReferenceSize { digest, stated, stored }) }
        };
        if reference.role == Role::Child
            && let Some(child) = tx.get(&MANIFEST, &(self.repository, digest))?
            && !incomplete::is_incomplete(tx, (self.repository, digest))?
        {
            return same_size(child.size, Target::Manifest);
        }
        // Only what is linked here already: else a manifest could make any blob of the registry readable by
        // naming its digest.
        if let Some(blob) = links::linked_blob(tx, self.repository, digest, self.now_ms, Judge::ToTheEnd)? {
            return same_size(blob.size, Target::Blob);
        }
        // What a deleted manifest of the repository keeps is not linked, but it is there: so a push and a
        // delete of what they share never get in each other's way.
        match links::whole_blob(tx, digest)? {
            Some(blob) if kept::keeps(tx, self.repository, digest)? => same_size(blob.size, Target::Blob),
            _ => Ok(Target::Absent),
        }
    }

    fn write(
        &self,
        tx: &mut Tx<'_>,
        tally: &mut Tally,
        reference: &ManifestReference,
        target: Target,
    ) -> Result<(), Error> {
        let (repository, digest, role) = (self.repository, reference.descriptor.digest, reference.role);
        tx.put(&REFERENCE, &(repository, self.digest, digest), &ReferenceRecord { role, target })?;
        match target {
            Target::Blob => {
                // The entry of an index waits as a manifest while nothing is there.
                tx.remove(&PARENT, &(repository, digest, self.digest))?;
                tally.add_user(tx, digest, repository, self.digest)?;
                links::end_lease(tx, repository, digest)?;
            }
            Target::Manifest => tx.put(&PARENT, &(repository, digest, self.digest), &())?,
            Target::Absent if role == Role::Child => {
                tx.put(&PARENT, &(repository, digest, self.digest), &())?;
            }
            Target::Absent => {}
        }
        Ok(())
    }
}

/// Tells the indexes that listed a manifest before it was here that it has come.
pub fn arrived(tx: &mut Tx<'_>, repository: RepoId, digest: Digest) -> Result<(), MetaError> {
    let parents = tx.page(&PARENT, &KeyRange::prefix(&(repository, digest)), usize::MAX)?;
    for ((_, _, index), ()) in parents {
        let key = (repository, index, digest);
        let row = tx.get(&REFERENCE, &key)?.expect("a reference stands in both directions");
        if row.target == Target::Absent {
            tx.put(&REFERENCE, &key, &ReferenceRecord { target: Target::Manifest, ..row })?;
        }
    }
    Ok(())
}
