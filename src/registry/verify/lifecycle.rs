//! Deleted manifests, pins, the history of tags, and the numbers on record: I4, I7, I11.

use super::{Check, PAGE, SHORT_PAGE, VerifyReport, scan};
use crate::oci::{Digest, Role};
use crate::registry::audit;
use crate::registry::error::Error;
use crate::registry::usage::Usage;
use crate::store::records::{KeptRecord, ReferenceRecord, Target};
use crate::store::tables::{
    AUDIT, BLOB, GONE, KEPT, KEPT_PARENT, KEPT_REFERRER, KEPT_USER, MANIFEST, PIN, QUEUE, REFERENCE,
    REPOSITORY, TAG, TAG_HISTORY, TAG_OF, UNTAGGED,
};
use crate::store::{KeyRange, QueueKind, Read, RepoId, Snapshot};

pub fn check(check: &mut Check<'_>) {
    check_kept(check);
    check_untagged(check);
    check_totals(check);
    check_audit(check);
    scan(check, &TAG, PAGE, |rows, report, (repository, tag), row| {
        let newest = rows.first(&TAG_HISTORY, &KeyRange::prefix(&(repository, tag.clone())))?;
        let after = newest.and_then(|(_, newest)| newest.after).map(|after| after.digest);
        report.expect(after == Some(row.digest), "I4", || {
            format!("the history of tag {tag} ends with {after:?}, it names {}", row.digest)
        });
        Ok(())
    });
    scan(check, &PIN, PAGE, |rows, report, key, _| {
        let there = rows.contains(&MANIFEST, &key)? || rows.contains(&KEPT, &key)?;
        report.expect(there, "I7", || format!("the pinned manifest {} is gone", key.1));
        Ok(())
    });
    scan(check, &GONE, PAGE, |rows, report, digest, row| {
        let waited_for = match row.gone_at_ms {
            Some(_) => rows.contains(&QUEUE, &(row.forget_at_ms, QueueKind::Forget, digest, RepoId(0)))?,
            None => rows.contains(&BLOB, &digest)?,
        };
        report.expect(waited_for, "I7", || format!("why {digest} went is remembered for ever"));
        Ok(())
    });
    scan(check, &REPOSITORY, SHORT_PAGE, |rows, report, repository, record| {
        let (stored, counted) = (Usage::of(rows, repository)?, Usage::recount(rows, repository)?);
        report.expect(stored == counted, "I11", || {
            format!("{} has {counted:?}, on record is {stored:?}", record.name)
        });
        Ok(())
    });
}

/// The registry's numbers against those of its repositories. The numbers are few: one snapshot has them all.
fn check_totals(check: &mut Check<'_>) {
    let totals = check.look(|rows| {
        let (all, sum) = (Usage::of_all(rows)?, Usage::sum(rows)?);
        Ok((all, Usage { blobs: all.blobs, blob_bytes: all.blob_bytes, own_bytes: all.own_bytes, ..sum }))
    });
    match totals {
        Ok((all, sum)) => check.report.expect(all == sum, "I11", || {
            format!("the repositories together have {sum:?}, on record for the registry is {all:?}")
        }),
        Err(error) => check.report.absorb("the registry's numbers", Err(error)),
    }
}

/// The acts, and how many there are: a state of its own that is looked through in pages.
fn check_audit(check: &mut Check<'_>) {
    scan(check, &AUDIT, PAGE, |_, report, (at_ms, _), act| {
        let named = act.tags.len() as u64;
        report.expect(named <= act.tags_count, "I11", || {
            format!("the act of {at_ms} names {named} tags and counts {}", act.tags_count)
        });
        Ok(())
    });
    let registry = check.registry;
    match check.look(|rows| audit::count(rows, || registry.is_stopping())) {
        Ok(Some((count, on_record))) => {
            check.report.expect(i64::try_from(count) == Ok(on_record), "I11", || {
                format!("the audit has {count} acts, on record are {on_record}")
            });
        }
        Ok(None) => {}
        Err(error) => check.report.absorb("the number of acts", Err(error)),
    }
}

fn check_kept(check: &mut Check<'_>) {
    scan(check, &KEPT, SHORT_PAGE, |rows, report, (repository, digest), kept| {
        check_kept_references(rows, (repository, digest), report)?;
        check_kept_subject(rows, (repository, digest), &kept, report)
    });
    scan(check, &KEPT_PARENT, PAGE, |rows, report, (repository, child, index), ()| {
        let row = rows.get(&REFERENCE, &(repository, index, child))?;
        let right = row.is_some_and(|row| is_listed(&row)) && rows.contains(&KEPT, &(repository, index))?;
        report.expect(right, "I7", || format!("{child} waits for {index}, which does not keep it"));
        Ok(())
    });
    scan(check, &KEPT_REFERRER, PAGE, |rows, report, (repository, subject, referrer), _| {
        let kept = rows.get(&KEPT, &(repository, referrer))?;
        let right = kept.is_some_and(|kept| kept.manifest.subject == Some(subject));
        report.expect(right, "I7", || format!("{referrer} is no deleted referrer of {subject}"));
        Ok(())
    });
}

fn is_listed(row: &ReferenceRecord) -> bool {
    row.target == Target::Manifest || (row.target == Target::Absent && row.role == Role::Child)
}

fn check_kept_references(
    rows: &Snapshot,
    (repository, digest): (RepoId, Digest),
    report: &mut VerifyReport,
) -> Result<(), Error> {
    for ((_, _, referenced), row) in
        rows.page(&REFERENCE, &KeyRange::prefix(&(repository, digest)), usize::MAX)?
    {
        let key = (repository, referenced);
        let keeps = match row.target {
            Target::Blob => rows.contains(&KEPT_USER, &(referenced, repository, digest))?,
            Target::Manifest | Target::Absent if !is_listed(&row) => true,
            Target::Absent => rows.contains(&KEPT_PARENT, &(repository, referenced, digest))?,
            Target::Manifest => {
                let there = rows.contains(&MANIFEST, &key)? || rows.contains(&KEPT, &key)?;
                there && rows.contains(&KEPT_PARENT, &(repository, referenced, digest))?
            }
        };
        report.expect(keeps, "I7", || format!("{referenced} is not kept by deleted manifest {digest}"));
    }
    Ok(())
}

fn check_kept_subject(
    rows: &Snapshot,
    (repository, digest): (RepoId, Digest),
    kept: &KeptRecord,
    report: &mut VerifyReport,
) -> Result<(), Error> {
    if let Some(subject) = kept.manifest.subject {
        let listed = rows.contains(&KEPT_REFERRER, &(repository, subject, digest))?;
        report.expect(listed, "I7", || format!("{digest} is no deleted referrer of its subject {subject}"));
    }
    report.expect(kept.manifest.untagged_since_ms.is_none(), "I7", || {
        format!("deleted manifest {digest} counts as one without a tag")
    });
    Ok(())
}

fn check_untagged(check: &mut Check<'_>) {
    scan(check, &MANIFEST, PAGE, |rows, report, (repository, digest), manifest| {
        let Some(since_ms) = manifest.untagged_since_ms else { return Ok(()) };
        let listed = rows.contains(&UNTAGGED, &(repository, since_ms, digest))?;
        let tagged = rows.first(&TAG_OF, &KeyRange::prefix(&(repository, digest)))?.is_some();
        report.expect(listed && !tagged, "I7", || format!("manifest {digest} is wrongly one without a tag"));
        Ok(())
    });
    scan(check, &UNTAGGED, PAGE, |rows, report, (repository, since_ms, digest), ()| {
        let manifest = rows.get(&MANIFEST, &(repository, digest))?;
        let right = manifest.is_some_and(|manifest| manifest.untagged_since_ms == Some(since_ms));
        report.expect(right, "I7", || format!("{digest} is listed as a manifest without a tag"));
        Ok(())
    });
}
