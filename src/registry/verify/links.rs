//! Rows that point back, leases, the queue, repositories and uploads: I7, I10.

use super::{Check, PAGE, SHORT_PAGE, scan};
use crate::oci::{Descriptor, Digest, Role};
use crate::store::records::{RepositoryState, Target};
use crate::store::tables::{
    BLOB, BLOB_USER, CATALOG, KEPT, KEPT_USER, LEASE, MANIFEST, MANIFEST_BYTES, Number, PARENT, QUEUE,
    REFERENCE, REFERRER, REPOSITORY, REPOSITORY_BY_NAME, UPLOAD, UPLOAD_OF,
};
use crate::store::{KeyRange, QueueKind, Raw, Read, RepoId};

pub fn check(check: &mut Check<'_>) {
    check_users(check);
    check_kept(check);
    check_leases(check);
    check_repositories(check);
    check_uploads(check);
}

fn check_users(check: &mut Check<'_>) {
    scan(check, &BLOB_USER, PAGE, |rows, report, (blob, repository, manifest), ()| {
        let row = rows.get(&REFERENCE, &(repository, manifest, blob))?;
        let right = row.is_some_and(|row| row.target == Target::Blob);
        report.expect(right, "I7", || format!("{blob} counts on {manifest}, which does not need it"));
        Ok(())
    });
    scan(check, &PARENT, PAGE, |rows, report, (repository, child, index), ()| {
        let row = rows.get(&REFERENCE, &(repository, index, child))?;
        let right = row.is_some_and(|row| match row.target {
            Target::Manifest => true,
            Target::Absent => row.role == Role::Child,
            Target::Blob => false,
        });
        report.expect(right, "I7", || format!("{child} counts on {index}, which does not list it"));
        Ok(())
    });
    scan(check, &KEPT_USER, PAGE, |rows, report, (blob, repository, manifest), ()| {
        let row = rows.get(&REFERENCE, &(repository, manifest, blob))?;
        let kept = rows.contains(&KEPT, &(repository, manifest))?;
        let right =
            kept && row.is_some_and(|row| row.target == Target::Blob) && rows.contains(&BLOB, &blob)?;
        report.expect(right, "I7", || format!("{blob} counts on {manifest}, which does not keep it"));
        Ok(())
    });
    scan(check, &REFERENCE, PAGE, |rows, report, (repository, manifest, referenced), _| {
        let key = (repository, manifest);
        let there = rows.contains(&MANIFEST, &key)? || rows.contains(&KEPT, &key)?;
        report.expect(there, "I7", || format!("{referenced} is referenced by {manifest}, which is gone"));
        Ok(())
    });
    scan(check, &REFERRER, PAGE, |rows, report, (repository, subject, referrer), record| {
        let row = rows.get(&MANIFEST, &(repository, referrer))?;
        let right = row.is_some_and(|row| row.subject == Some(subject));
        let described = serde_json::from_str::<Descriptor>(&record.descriptor);
        let described = described.is_ok_and(|described| described.digest == referrer);
        report.expect(right && described, "I7", || format!("{referrer} is no referrer of {subject}"));
        Ok(())
    });
}

/// Deleted manifests: out of sight, whole, and waited for by the collector.
fn check_kept(check: &mut Check<'_>) {
    scan(check, &KEPT, SHORT_PAGE, |rows, report, (repository, digest), kept| {
        let key = (repository, digest);
        let hidden = !rows.contains(&MANIFEST, &key)?;
        report.expect(hidden, "I3", || format!("manifest {digest} is both visible and deleted"));
        let bytes = rows.get(&MANIFEST_BYTES, &key)?;
        let exact = bytes.is_some_and(|Raw(bytes)| Digest::of(digest.algorithm(), &bytes) == digest);
        report.expect(exact, "I3", || format!("the bytes of deleted manifest {digest} are not its own"));
        let queued = rows.contains(&QUEUE, &(kept.due_at_ms, QueueKind::KeptEnd, digest, repository))?;
        report.expect(queued, "I7", || format!("nothing waits for the end of deleted manifest {digest}"));
        Ok(())
    });
}

fn check_leases(check: &mut Check<'_>) {
    scan(check, &LEASE, PAGE, |rows, report, (blob, repository), lease| {
        let there = rows.contains(&BLOB, &blob)?;
        report.expect(there, "I10", || format!("a lease names {blob}, which is not stored"));
        let queued = rows.contains(&QUEUE, &(lease.ends_at_ms, QueueKind::LeaseEnd, blob, repository))?;
        report.expect(queued, "I10", || format!("nothing waits for the end of a lease of {blob}"));
        Ok(())
    });
    scan(check, &QUEUE, PAGE, |rows, report, (due_ms, kind, blob, repository), ()| {
        if kind == QueueKind::LeaseEnd {
            let lease = rows.get(&LEASE, &(blob, repository))?;
            let right = lease.is_some_and(|lease| lease.ends_at_ms == due_ms);
            report.expect(right, "I10", || format!("the end of a lease of {blob} is waited for in vain"));
        }
        if kind == QueueKind::KeptEnd {
            let kept = rows.get(&KEPT, &(repository, blob))?;
            let right = kept.is_some_and(|kept| kept.due_at_ms == due_ms);
            report
                .expect(right, "I7", || format!("the end of deleted manifest {blob} is waited for in vain"));
        }
        Ok(())
    });
}

fn check_repositories(check: &mut Check<'_>) {
    scan(check, &CATALOG, PAGE, |rows, report, name, ()| {
        let shown = match rows.get(&REPOSITORY_BY_NAME, &name)? {
            Some(Number(id)) => rows.first(&MANIFEST, &KeyRange::prefix(&RepoId(id)))?.is_some(),
            None => false,
        };
        report.expect(shown, "I3", || format!("{name} is in the catalog with nothing to show"));
        Ok(())
    });
    scan(check, &REPOSITORY, PAGE, |rows, report, id, repository| {
        let back = rows.get(&REPOSITORY_BY_NAME, &repository.name)?;
        let found = back.is_some_and(|Number(number)| RepoId(number) == id);
        let right = found == (repository.state == RepositoryState::Named);
        report.expect(right, "I3", || format!("{} is not found by its name", repository.name));
        Ok(())
    });
    scan(check, &REPOSITORY_BY_NAME, PAGE, |rows, report, name, Number(id)| {
        let row = rows.get(&REPOSITORY, &RepoId(id))?;
        let right = row.is_some_and(|row| row.name == name);
        report.expect(right, "I3", || format!("the number of {name} belongs to another repository"));
        Ok(())
    });
}

fn check_uploads(check: &mut Check<'_>) {
    scan(check, &UPLOAD, PAGE, |rows, report, session, upload| {
        report.counts.uploads += 1;
        let both = rows.contains(&UPLOAD_OF, &(RepoId(upload.repository), session))?;
        report.expect(both, "I10", || format!("upload {session} is not listed with its repository"));
        Ok(())
    });
    scan(check, &UPLOAD_OF, PAGE, |rows, report, (repository, session), ()| {
        let row = rows.get(&UPLOAD, &session)?;
        let right = row.is_some_and(|row| row.repository == repository.0);
        report.expect(right, "I10", || format!("upload {session} is listed with a repository not its own"));
        Ok(())
    });
}
