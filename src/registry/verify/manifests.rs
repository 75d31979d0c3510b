//! Manifests, what they reference, and tags: I3, I4, I7.

use super::{Check, PAGE, SHORT_PAGE, VerifyReport, scan};
use crate::oci::{Digest, Manifest, ManifestLimits, ManifestReference, Role};
use crate::registry::error::Error;
use crate::store::records::{ManifestRecord, RepositoryRecord, RepositoryState, Target};
use crate::store::tables::{
    BLOB, BLOB_USER, CATALOG, INCOMPLETE, KEPT, MANIFEST, MANIFEST_BYTES, PARENT, REFERENCE, REFERRER,
    REPOSITORY, TAG, TAG_OF,
};
use crate::store::{KeyRange, Raw, Read, RepoId, Snapshot};

pub fn check(check: &mut Check<'_>) {
    scan(check, &MANIFEST, SHORT_PAGE, |rows, report, (repository, digest), record| {
        report.counts.manifests += 1;
        check_manifest(rows, repository, digest, &record, report)
    });
    scan(check, &TAG, PAGE, |rows, report, (repository, tag), record| {
        report.counts.tags += 1;
        let digest = record.digest;
        let visible = rows.contains(&MANIFEST, &(repository, digest))?;
        report.expect(visible, "I4", || format!("tag {tag} names {digest}, which is not there"));
        let both = rows.contains(&TAG_OF, &(repository, digest, tag.clone()))?;
        report.expect(both, "I4", || format!("tag {tag} is not listed with its manifest {digest}"));
        Ok(())
    });
    scan(check, &TAG_OF, PAGE, |rows, report, (repository, digest, tag), ()| {
        let record = rows.get(&TAG, &(repository, tag.clone()))?;
        let both = record.is_some_and(|record| record.digest == digest);
        report.expect(both, "I4", || format!("{digest} is listed with tag {tag}, which is not its"));
        Ok(())
    });
    scan(check, &INCOMPLETE, PAGE, |rows, report, key, _| {
        let there = rows.contains(&MANIFEST, &key)? || rows.contains(&KEPT, &key)?;
        report.expect(there, "I3", || format!("manifest {} is said to lack bytes and has no row", key.1));
        Ok(())
    });
    scan(check, &MANIFEST_BYTES, PAGE, |rows, report, (repository, digest), _| {
        let key = (repository, digest);
        let row = rows.contains(&MANIFEST, &key)? || rows.contains(&KEPT, &key)?;
        report.expect(row, "I3", || format!("the bytes of manifest {digest} have no row"));
        Ok(())
    });
}

fn check_manifest(
    rows: &Snapshot,
    repository: RepoId,
    digest: Digest,
    record: &ManifestRecord,
    report: &mut VerifyReport,
) -> Result<(), Error> {
    let record_of = rows.get(&REPOSITORY, &repository)?;
    let listed = match &record_of {
        Some(RepositoryRecord { name, state: RepositoryState::Named, .. }) => {
            rows.contains(&CATALOG, name)?
        }
        // No name leads there: a copy that is not whole, or what is left of a deleted repository.
        Some(RepositoryRecord { state, .. }) => *state != RepositoryState::Named,
        None => false,
    };
    report.expect(listed, "I3", || format!("the repository of manifest {digest} is not in the catalog"));
    let Some(Raw(bytes)) = rows.get(&MANIFEST_BYTES, &(repository, digest))? else {
        report.expect(false, "I3", || format!("manifest {digest} has no bytes"));
        return Ok(());
    };
    let exact = bytes.len() as u64 == record.size && Digest::of(digest.algorithm(), &bytes) == digest;
    report.expect(exact, "I3", || format!("the bytes of manifest {digest} are not those of its digest"));
    // It was within the limits of its day; today's do not matter.
    let limits = ManifestLimits { references_max: usize::MAX, annotations_bytes_max: usize::MAX };
    let manifest = match Manifest::parse(&bytes, Some(&record.media_type), &limits) {
        Ok(manifest) => manifest,
        Err(error) => {
            report.expect(false, "I3", || format!("manifest {digest} cannot be read: {error}"));
            return Ok(());
        }
    };
    for reference in manifest.references() {
        check_reference(rows, (repository, digest), reference, record.sparse, report)?;
    }
    let stored = rows.page(&REFERENCE, &KeyRange::prefix(&(repository, digest)), usize::MAX)?;
    report.expect(stored.len() == manifest.references().len(), "I7", || {
        let (stored, real) = (stored.len(), manifest.references().len());
        format!("manifest {digest} has {real} references and {stored} rows for them")
    });
    let subject = manifest.subject().map(|subject| subject.digest);
    report.expect(subject == record.subject, "I7", || format!("the row of {digest} names another subject"));
    if let Some(subject) = subject {
        let listed = rows.contains(&REFERRER, &(repository, subject, digest))?;
        report.expect(listed, "I7", || format!("{digest} is no referrer of its subject {subject}"));
    }
    Ok(())
}

fn check_reference(
    rows: &Snapshot,
    (repository, digest): (RepoId, Digest),
    reference: &ManifestReference,
    sparse: bool,
    report: &mut VerifyReport,
) -> Result<(), Error> {
    let referenced = reference.descriptor.digest;
    let Some(row) = rows.get(&REFERENCE, &(repository, digest, referenced))? else {
        report.expect(false, "I7", || format!("manifest {digest} references {referenced} without a row"));
        return Ok(());
    };
    let (present, back) = match row.target {
        Target::Blob => (
            rows.contains(&BLOB, &referenced)?,
            rows.contains(&BLOB_USER, &(referenced, repository, digest))?,
        ),
        Target::Manifest => (
            rows.contains(&MANIFEST, &(repository, referenced))?,
            rows.contains(&PARENT, &(repository, referenced, digest))?,
        ),
        Target::Absent if reference.role == Role::Child => (
            sparse && !rows.contains(&MANIFEST, &(repository, referenced))?,
            rows.contains(&PARENT, &(repository, referenced, digest))?,
        ),
        Target::Absent => (!reference.required, true),
    };
    report.expect(present, "I3", || format!("manifest {digest} needs {referenced}, which is not there"));
    report.expect(back, "I7", || format!("{referenced} does not know that {digest} needs it"));
    Ok(())
}
