//! Open uploads against their files: I5.

use super::{Check, walk};
use crate::oci::SessionId;
use crate::registry::error::Error;
use crate::store::tables::UPLOAD;
use crate::store::{KeyRange, Read, StoreError, UploadEntry, open_uploads};
use std::collections::BTreeMap;

pub fn check(check: &mut Check<'_>) {
    check_counts(check);
    match check.registry.store.dir().is_backup() {
        // It has none of their files, and its start ends them.
        Ok(true) => return,
        Ok(false) => {}
        Err(error) => check.report.absorb("whether this is a backup", Err(StoreError::from(error).into())),
    }
    walk(check, &UPLOAD, |check, session, upload| {
        let outcome = check_upload(check, session, upload.offset);
        check.report.absorb(&format!("upload {session}"), outcome);
    });
}

/// The counters of open uploads say how many there are. Of those who have none, none is looked at: who they
/// are is not known.
fn check_counts(check: &mut Check<'_>) {
    let outcome = check.look(|rows| {
        let mut counts = BTreeMap::<String, i64>::new();
        for (_, upload) in rows.page(&UPLOAD, &KeyRange::all(), usize::MAX)? {
            *counts.entry(upload.owner).or_default() += 1;
        }
        let mut wrong = Vec::new();
        for (owner, count) in counts {
            let counted = rows.counter(&open_uploads(&owner))?;
            if counted != count {
                wrong.push(format!("{owner} has {count} uploads open, {counted} are counted"));
            }
        }
        Ok(wrong)
    });
    match outcome {
        Ok(wrong) => wrong.into_iter().for_each(|words| check.report.expect(false, "I11", || words)),
        Err(error) => check.report.absorb("the open uploads", Err(error)),
    }
}

fn check_upload(check: &mut Check<'_>, session: SessionId, offset: u64) -> Result<(), Error> {
    let dir = check.registry.store.dir();
    let size = || dir.staging_size(session).map_err(StoreError::from);
    if size()?.is_some_and(|size| size >= offset) {
        return Ok(());
    }
    // A request that holds the session may be giving its file another name. Nobody else does while we hold
    // it.
    let Some(_claim) = check.registry.live.claim(session) else { return Ok(()) };
    let size = size()?;
    let is_whole = size.is_some_and(|size| size >= offset) || is_sealed(check, session)?;
    // Whoever cancels an upload takes its row first: while that is there, so is the file.
    let is_over = || check.look(|rows| Ok(!rows.contains(&UPLOAD, &session)?));
    let right = is_whole || is_over()?;
    check.report.expect(right, "I5", || {
        format!("upload {session} was acknowledged to byte {offset}, its file has {size:?}")
    });
    Ok(())
}

/// Whether the upload was cut off between two names: the next start makes it an open upload again.
fn is_sealed(check: &Check<'_>, session: SessionId) -> Result<bool, Error> {
    let entries = check.registry.store.dir().list_uploads().map_err(StoreError::from)?;
    Ok(entries.iter().any(|entry| matches!(entry, UploadEntry::Sealed(found) if found.session == session)))
}
