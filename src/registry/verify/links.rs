//! Rows that point back, leases, the queue, repositories and uploads: I7, I10.

use super::{VerifyReport, scan};
use crate::oci::{Descriptor, Digest, Role};
use crate::store::records::{RepositoryState, Target};
use crate::store::tables::{
    BLOB, BLOB_USER, CATALOG, KEPT, KEPT_USER, LEASE, MANIFEST, MANIFEST_BYTES, Number, PARENT, QUEUE,
    REFERENCE, REFERRER, REPOSITORY, REPOSITORY_BY_NAME, UPLOAD, UPLOAD_OF,
};
use crate::store::{KeyRange, QueueKind, Raw, Read, RepoId, Snapshot};

pub fn check(rows: &Snapshot, report: &mut VerifyReport) {
    check_users(rows, report);
    check_kept(rows, report);
    check_leases(rows, report);
    check_repositories(rows, report);
    check_uploads(rows, report);
}

fn check_users(rows: &Snapshot, report: &mut VerifyReport) {
    scan(rows, &BLOB_USER, report, |report, (blob, repository, manifest), ()| {
        let row = rows.get(&REFERENCE, &(repository, manifest, blob))?;
        let right = row.is_some_and(|row| row.target == Target::Blob);
        report.expect(right, "I7", || format!("{blob} counts on {manifest}, which does not need it"));
        Ok(())
    });
    scan(rows, &PARENT, report, |report, (repository, child, index), ()| {
        let row = rows.get(&REFERENCE, &(repository, index, child))?;
        let right = row.is_some_and(|row| match row.target {
            Target::Manifest => true,
            Target::Absent => row.role == Role::Child,
            Target::Blob => false,
        });
        report.expect(right, "I7", || format!("{child} counts on {index}, which does not list it"));
        Ok(())
    });
    scan(rows, &KEPT_USER, report, |report, (blob, repository, manifest), ()| {
        let row = rows.get(&REFERENCE, &(repository, manifest, blob))?;
        let kept = rows.contains(&KEPT, &(repository, manifest))?;
        let right =
            kept && row.is_some_and(|row| row.target == Target::Blob) && rows.contains(&BLOB, &blob)?;
        report.expect(right, "I7", || format!("{blob} counts on {manifest}, which does not keep it"));
        Ok(())
    });
    scan(rows, &REFERENCE, report, |report, (repository, manifest, referenced), _| {
        let key = (repository, manifest);
        let there = rows.contains(&MANIFEST, &key)? || rows.contains(&KEPT, &key)?;
        report.expect(there, "I7", || format!("{referenced} is referenced by {manifest}, which is gone"));
        Ok(())
    });
    scan(rows, &REFERRER, report, |report, (repository, subject, referrer), record| {
        let row = rows.get(&MANIFEST, &(repository, referrer))?;
        let right = row.is_some_and(|row| row.subject == Some(subject));
        let described = serde_json::from_str::<Descriptor>(&record.descriptor);
        let described = described.is_ok_and(|described| described.digest == referrer);
        report.expect(right && described, "I7", || format!("{referrer} is no referrer of {subject}"));
        Ok(())
    });
}

/// Deleted manifests: out of sight, whole, and waited for by the collector.
fn check_kept(rows: &Snapshot, report: &mut VerifyReport) {
    scan(rows, &KEPT, report, |report, (repository, digest), kept| {
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

fn check_leases(rows: &Snapshot, report: &mut VerifyReport) {
    scan(rows, &LEASE, report, |report, (blob, repository), lease| {
        let there = rows.contains(&BLOB, &blob)?;
        report.expect(there, "I10", || format!("a lease names {blob}, which is not stored"));
        let queued = rows.contains(&QUEUE, &(lease.ends_at_ms, QueueKind::LeaseEnd, blob, repository))?;
        report.expect(queued, "I10", || format!("nothing waits for the end of a lease of {blob}"));
        Ok(())
    });
    scan(rows, &QUEUE, report, |report, (due_ms, kind, blob, repository), ()| {
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

fn check_repositories(rows: &Snapshot, report: &mut VerifyReport) {
    scan(rows, &CATALOG, report, |report, name, ()| {
        let shown = match rows.get(&REPOSITORY_BY_NAME, &name)? {
            Some(Number(id)) => rows.first(&MANIFEST, &KeyRange::prefix(&RepoId(id)))?.is_some(),
            None => false,
        };
        report.expect(shown, "I3", || format!("{name} is in the catalog with nothing to show"));
        Ok(())
    });
    scan(rows, &REPOSITORY, report, |report, id, repository| {
        let back = rows.get(&REPOSITORY_BY_NAME, &repository.name)?;
        let found = back.is_some_and(|Number(number)| RepoId(number) == id);
        let right = found == (repository.state == RepositoryState::Named);
        report.expect(right, "I3", || format!("{} is not found by its name", repository.name));
        Ok(())
    });
    scan(rows, &REPOSITORY_BY_NAME, report, |report, name, Number(id)| {
        let row = rows.get(&REPOSITORY, &RepoId(id))?;
        let right = row.is_some_and(|row| row.name == name);
        report.expect(right, "I3", || format!("the number of {name} belongs to another repository"));
        Ok(())
    });
}

fn check_uploads(rows: &Snapshot, report: &mut VerifyReport) {
    scan(rows, &UPLOAD, report, |report, session, upload| {
        report.uploads += 1;
        let both = rows.contains(&UPLOAD_OF, &(RepoId(upload.repository), session))?;
        report.expect(both, "I10", || format!("upload {session} is not listed with its repository"));
        Ok(())
    });
    scan(rows, &UPLOAD_OF, report, |report, (repository, session), ()| {
        let row = rows.get(&UPLOAD, &session)?;
        let right = row.is_some_and(|row| row.repository == repository.0);
        report.expect(right, "I10", || format!("upload {session} is listed with a repository not its own"));
        Ok(())
    });
}
