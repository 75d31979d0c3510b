//! Rows against files and files against rows: I1, I2, I6.

use super::{Check, PAGE, VerifyReport, Violation, scan, walk};
use crate::oci::{Algorithm, Digest};
use crate::registry::damage::{self, Good, Hashing};
use crate::registry::error::Error;
use crate::registry::{incomplete, links};
use crate::store::records::BlobRecord;
use crate::store::tables::{BLOB, DAMAGED, QUEUE, TOMBSTONE};
use crate::store::{
    Damage, KeyRange, Location, MetaError, QueueKind, Read, Snapshot, StoreError, UploadEntry,
};
use std::collections::HashSet;
use std::io;
use std::path::Path;

/// How many files are found right before that is written down.
const GOOD_BATCH: usize = 1024;

pub fn check(check: &mut Check<'_>) {
    check_rows(check);
    check.progress.of_files = check.report.counts.blobs;
    check.progress.of_bytes = check.report.counts.bytes;
    walk(check, &BLOB, |check, digest, blob| check_blob(check, digest, &blob));
    list_strangers(check);
    for algorithm in Algorithm::ALL {
        for prefix in 0..=255 {
            if !check.goes_on() {
                return;
            }
            let outcome = check_directory(check, algorithm, prefix);
            check.report.absorb(&format!("blobs/{}/{prefix:02x}", algorithm.as_str()), outcome);
        }
    }
}

/// What the rows of files say of each other.
fn check_rows(check: &mut Check<'_>) {
    let mut unneeded = HashSet::new();
    scan(check, &BLOB, PAGE, |rows, report, digest, blob| {
        report.counts.blobs += 1;
        report.counts.bytes += blob.size;
        if !links::is_needed(rows, digest)? {
            unneeded.insert(digest);
        }
        Ok(())
    });
    let forgotten = check.look(|rows| forgotten(rows, &unneeded));
    let outcome = forgotten.map(|forgotten| {
        for digest in forgotten {
            check.report.expect(false, "I7", || {
                format!("nothing needs blob {digest}, and the collector does not know")
            });
        }
    });
    check.report.absorb("what nothing needs", outcome);
    scan(check, &TOMBSTONE, PAGE, |rows, report, (digest, session), _| {
        let blob = rows.get(&BLOB, &digest)?;
        let dead = blob.is_none_or(|blob| blob.session != session);
        report.expect(dead, "I9", || format!("the file of blob {digest} has a tombstone"));
        Ok(())
    });
    scan(check, &DAMAGED, PAGE, |rows, report, (digest, session), _| {
        let blob = rows.get(&BLOB, &digest)?;
        let dead = blob.is_none_or(|blob| blob.session != session || blob.is_damaged());
        report
            .expect(dead, "I9", || format!("the file of blob {digest}, which is whole, is to be set aside"));
        Ok(())
    });
}

/// Those of the blobs that nothing needs, and that the queue does not have either, all in one state.
fn forgotten(rows: &Snapshot, unneeded: &HashSet<Digest>) -> Result<HashSet<Digest>, Error> {
    let mut forgotten = HashSet::new();
    for &digest in unneeded {
        if rows.contains(&BLOB, &digest)? && !links::is_needed(rows, digest)? {
            forgotten.insert(digest);
        }
    }
    let mut range = KeyRange::all();
    while !forgotten.is_empty() {
        let page = rows.scan(&QUEUE, &range, PAGE)?;
        let Some((last, _)) = page.last() else { break };
        range = range.after_bytes(last);
        // One that cannot be read is noted where the queue is checked.
        for ((_, kind, digest, _), ()) in page.into_iter().filter_map(|(_, row)| row.ok()) {
            if kind == QueueKind::Unreferenced {
                forgotten.remove(&digest);
            }
        }
    }
    Ok(forgotten)
}

fn check_blob(check: &mut Check<'_>, digest: Digest, blob: &BlobRecord) {
    let before = check.progress;
    if !check.report.is_partial {
        let outcome = judge(check, digest, blob);
        check.report.absorb(&format!("blob {digest}"), outcome);
    }
    check.progress.files = before.files + 1;
    check.progress.bytes = before.bytes + blob.size;
}

/// Compares a blob's file with its row, and says what is wrong if the row stands.
fn judge(check: &mut Check<'_>, digest: Digest, blob: &BlobRecord) -> Result<(), Error> {
    // Before the file is looked at: what is moved away afterwards was not put back.
    let may_be_back = blob.is_damaged() && check.look(|rows| Ok(damage::may_be_back(rows, digest, blob)?))?;
    let damage = match check.registry.store.look_at_blob(digest, blob)? {
        None if check.checks.deep => read(check, digest, blob)?,
        damage => damage,
    };
    if check.report.is_partial {
        // It was broken off within the file.
        return Ok(());
    }
    if damage.is_none() && !blob.is_damaged() {
        if check.checks.deep && check.checks.settle {
            let at_ms = check.registry.clock.now_ms();
            check.good.push(Good { digest, session: blob.session, at_ms });
            check.note_good(GOOD_BATCH);
        }
        return Ok(());
    }
    let Some(present) = check.look(|rows| Ok(rows.get(&BLOB, &digest)?))? else { return Ok(()) };
    if present.session != blob.session {
        return Ok(());
    }
    match damage {
        None if present.is_damaged() && may_be_back && check.checks.deep => mended(check, digest, &present),
        // No manifest is served that needs it.
        _ if check.look(|rows| Ok(incomplete::hides(rows, digest, &present)?))? => Ok(()),
        _ if present.is_damaged() => {
            let words = format!(
                "blob {digest} of {} bytes was found damaged and counts as not there; it heals when it is \
                 pushed again, or when `verify --deep` finds the right file at blobs/{}",
                present.size,
                Location { digest, session: present.session }.path().display()
            );
            report_damaged(check, digest, words);
            Ok(())
        }
        // Its mark was taken back meanwhile.
        None => Ok(()),
        Some(damage) => damaged(check, digest, blob, damage),
    }
}

/// Reads a blob's file and says what is wrong with it.
fn read(check: &mut Check<'_>, digest: Digest, blob: &BlobRecord) -> Result<Option<Damage>, Error> {
    let file = match check.registry.store.open_blob(digest, blob) {
        Ok(file) => file,
        Err(StoreError::Io(error)) => return judged(error),
        Err(error) => return Err(error.into()),
    };
    let mut hashing = Hashing::new(digest, file);
    // What the machine has in its memory is not what the disk has.
    hashing.forget_cached();
    while hashing.left() > 0 {
        let mut buffer = std::mem::take(&mut check.buffer);
        let read = hashing.read(&mut buffer);
        check.buffer = buffer;
        match read {
            Ok(count) => check.progress.bytes += count as u64,
            Err(error) => return judged(error),
        }
        if !check.goes_on() {
            return Ok(None);
        }
    }
    hashing.forget_cached();
    Ok(hashing.damage())
}

fn judged(error: io::Error) -> Result<Option<Damage>, Error> {
    Ok(Some(Damage::judge(error).map_err(StoreError::from)?))
}

fn damaged(check: &mut Check<'_>, digest: Digest, blob: &BlobRecord, damage: Damage) -> Result<(), Error> {
    let location = Location { digest, session: blob.session };
    let path = location.path();
    let words = match &damage {
        Damage::Missing | Damage::Size(_) => {
            let (size, path) = (blob.size, path.display());
            format!("blob {digest} has {size} bytes by its row, at blobs/{path} is {damage}")
        }
        Damage::Digest(actual) => {
            format!("the bytes of blob {digest} at blobs/{} hash to {actual}", path.display())
        }
        Damage::Unreadable(words) => {
            format!("blob {digest} at blobs/{} cannot be read: {words}", path.display())
        }
    };
    report_damaged(check, digest, format!("{words}; it heals when it is pushed again"));
    if check.checks.settle {
        check.registry.mark_damaged(digest, blob.session, &damage)?;
    } else {
        check.report.found.push((digest, blob.session, damage));
    }
    Ok(())
}

fn report_damaged(check: &mut Check<'_>, digest: Digest, words: String) {
    let needed_by = check.look(|rows| Ok(damage::needing(rows, digest)?));
    let needed_by = needed_by.unwrap_or_else(|error| {
        check.report.absorb(&format!("what needs blob {digest}"), Err(error));
        Vec::new()
    });
    check.report.violations.push(Violation { invariant: "I1", words, needed_by });
}

fn mended(check: &mut Check<'_>, digest: Digest, blob: &BlobRecord) -> Result<(), Error> {
    if check.checks.settle {
        check.registry.take_back_mark(digest, blob)
    } else {
        check.report.mended.push((digest, blob.clone()));
        Ok(())
    }
}

/// What stands in uploads/ and blobs/ and is none of ours.
fn list_strangers(check: &mut Check<'_>) {
    let dir = check.registry.store.dir();
    let report = &mut check.report;
    match dir.list_uploads() {
        Ok(entries) => entries.iter().for_each(|entry| {
            if let UploadEntry::Foreign(path) = entry {
                report_stranger(path, report);
            }
        }),
        Err(error) => report.absorb("uploads", Err(StoreError::from(error).into())),
    }
    match dir.strangers_in_blobs() {
        Ok(strangers) => strangers.iter().for_each(|path| report_stranger(path, report)),
        Err(error) => report.absorb("blobs", Err(StoreError::from(error).into())),
    }
}

fn report_stranger(path: &Path, report: &mut VerifyReport) {
    report.expect(false, "I2", || format!("{} is none of the registry's files", path.display()));
}

fn check_directory(check: &mut Check<'_>, algorithm: Algorithm, prefix: u8) -> Result<(), Error> {
    let listed = check.registry.store.dir().list_blobs(algorithm, prefix).map_err(StoreError::from)?;
    for file in listed {
        let location = match file {
            Ok((location, _)) => location,
            Err(path) => {
                report_stranger(&path, &mut check.report);
                continue;
            }
        };
        let path = location.path();
        let known = is_known(check, &location).map(|known| {
            check.report.expect(known, "I2", || format!("blobs/{} belongs to no row", path.display()));
        });
        check.report.absorb(&format!("blobs/{}", path.display()), known);
        let right_place = location.digest.bytes()[0] == prefix;
        check
            .report
            .expect(right_place, "I6", || format!("{} lies in a wrong directory", location.file_name()));
    }
    Ok(())
}

/// Whether a file that was seen a moment ago is a blob's, given up, to be set aside, or finished and not yet
/// a blob's.
///
/// The order matters while the registry serves. A finished upload loses its name in uploads/ after its row is
/// committed, or after its file is gone: so where that name is not there, a row that is read afterwards has
/// the file, or the file is not there any more. Whatever takes the row leaves another one until the file is
/// gone.
fn is_known(check: &Check<'_>, location: &Location) -> Result<bool, Error> {
    let has_row = || check.look(|rows| Ok(has_row(rows, location)?));
    if has_row()? {
        return Ok(true);
    }
    let dir = check.registry.store.dir();
    let is_sealed = || dir.is_sealed(location).map_err(StoreError::from);
    let is_gone = || Ok::<_, Error>(dir.blob_size(location).map_err(StoreError::from)?.is_none());
    Ok(is_sealed()? || has_row()? || is_gone()?)
}

fn has_row(rows: &Snapshot, location: &Location) -> Result<bool, MetaError> {
    let Location { digest, session } = *location;
    Ok(rows.get(&BLOB, &digest)?.is_some_and(|blob| blob.session == session)
        || rows.contains(&TOMBSTONE, &(digest, session))?
        || rows.contains(&DAMAGED, &(digest, session))?)
}
