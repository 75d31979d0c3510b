//! Rows against files and files against rows: I1, I2, I6.

use super::{VerifyReport, scan};
use crate::oci::{Algorithm, Digest, Hasher, SessionId};
use crate::registry::error::Error;
use crate::store::records::BlobRecord;
use crate::store::tables::{BLOB, BLOB_USER, KEPT_USER, LEASE, QUEUE, TOMBSTONE, UPLOAD};
use crate::store::{
    KeyRange, Location, MetaError, QueueKind, Read, Snapshot, Store, StoreError, UploadEntry,
};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// How much of a file is read at once.
const BUFFER_BYTES: usize = 1024 * 1024;

pub fn check(store: &Store, rows: &Snapshot, deep: bool, report: &mut VerifyReport) {
    let mut queued = HashSet::new();
    scan(rows, &QUEUE, report, |_, (_, kind, blob, _), ()| {
        if kind == QueueKind::Unreferenced {
            queued.insert(blob);
        }
        Ok(())
    });
    scan(rows, &BLOB, report, |report, digest, blob| {
        report.blobs += 1;
        let needed = rows.first(&BLOB_USER, &KeyRange::prefix(&digest))?.is_some()
            || rows.first(&KEPT_USER, &KeyRange::prefix(&digest))?.is_some()
            || rows.first(&LEASE, &KeyRange::prefix(&digest))?.is_some();
        report.expect(needed || queued.contains(&digest), "I7", || {
            format!("nothing needs blob {digest}, and the collector does not know")
        });
        check_blob(store, digest, &blob, deep, report)
    });
    let (staged, sealed) = list_uploads(store, report);
    scan(rows, &UPLOAD, report, |report, session, upload| {
        let size = staged.get(&session).copied();
        report.expect(size.is_some_and(|size| size >= upload.offset), "I5", || {
            format!("upload {session} was acknowledged to byte {}, its file has {size:?}", upload.offset)
        });
        Ok(())
    });
    scan(rows, &TOMBSTONE, report, |report, (digest, session), _| {
        let blob = rows.get(&BLOB, &digest)?;
        let dead = blob.is_none_or(|blob| blob.session != session);
        report.expect(dead, "I9", || format!("the file of blob {digest} has a tombstone"));
        Ok(())
    });
    match store.dir().strangers_in_blobs() {
        Ok(strangers) => strangers.iter().for_each(|path| report_stranger(path, report)),
        Err(error) => report.absorb("blobs", Err(StoreError::from(error).into())),
    }
    for algorithm in Algorithm::ALL {
        for prefix in 0..=255 {
            let outcome = check_directory(store, rows, algorithm, prefix, &sealed, report);
            report.absorb(&format!("blobs/{}/{prefix:02x}", algorithm.as_str()), outcome);
        }
    }
}

fn check_blob(
    store: &Store,
    digest: Digest,
    blob: &BlobRecord,
    deep: bool,
    report: &mut VerifyReport,
) -> Result<(), Error> {
    let location = Location { digest, session: blob.session };
    let path = location.path();
    let found = store.dir().blob_size(&location).map_err(StoreError::from)?;
    report.expect(found == Some(blob.size), "I1", || {
        let found = found.map_or("no file".to_owned(), |size| format!("{size} bytes"));
        format!("blob {digest} has {} bytes by its row, at blobs/{} is {found}", blob.size, path.display())
    });
    if !deep || found != Some(blob.size) {
        return Ok(());
    }
    match hash(store, digest, blob) {
        Ok(actual) => report.expect(actual == digest, "I1", || {
            format!("the bytes of blob {digest} at blobs/{} hash to {actual}", path.display())
        }),
        Err(error) => report.expect(false, "I1", || format!("blob {digest} cannot be read: {error}")),
    }
    Ok(())
}

fn hash(store: &Store, digest: Digest, blob: &BlobRecord) -> Result<Digest, StoreError> {
    let file = store.open_blob(digest, blob)?;
    let mut hasher = Hasher::new(digest.algorithm());
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut offset = 0;
    while offset < file.size() {
        let count = file.read_at(&mut buffer, offset)?;
        hasher.update(&buffer[..count]);
        offset += count as u64;
    }
    Ok(hasher.finish())
}

/// The open sessions' files with their sizes, and the finished ones that wait for the next start.
fn list_uploads(store: &Store, report: &mut VerifyReport) -> (HashMap<SessionId, u64>, HashSet<Location>) {
    let mut staged = HashMap::new();
    let mut sealed = HashSet::new();
    let entries = store.dir().list_uploads().unwrap_or_else(|error| {
        report.absorb("uploads", Err(StoreError::from(error).into()));
        Vec::new()
    });
    for entry in entries {
        match entry {
            UploadEntry::Staging(session, size) => drop(staged.insert(session, size)),
            UploadEntry::Sealed(location) => {
                // Cut off between two names: the next start makes it an open upload again.
                staged.insert(location.session, u64::MAX);
                sealed.insert(location);
            }
            UploadEntry::Foreign(path) => report_stranger(&path, report),
        }
    }
    (staged, sealed)
}

fn report_stranger(path: &Path, report: &mut VerifyReport) {
    report.expect(false, "I2", || format!("{} is none of the registry's files", path.display()));
}

fn check_directory(
    store: &Store,
    rows: &Snapshot,
    algorithm: Algorithm,
    prefix: u8,
    sealed: &HashSet<Location>,
    report: &mut VerifyReport,
) -> Result<(), Error> {
    for file in store.dir().list_blobs(algorithm, prefix).map_err(StoreError::from)? {
        let (location, _) = match file {
            Ok(file) => file,
            Err(path) => {
                report_stranger(&path, report);
                continue;
            }
        };
        let known = is_known(rows, &location, sealed).map(|known| {
            report.expect(known, "I2", || format!("blobs/{} belongs to no row", location.path().display()));
        });
        report.absorb(&format!("blobs/{}", location.path().display()), known.map_err(Error::from));
        let right_place = location.digest.bytes()[0] == prefix;
        report.expect(right_place, "I6", || format!("{} lies in a wrong directory", location.file_name()));
    }
    Ok(())
}

/// Whether a file is a blob's, given up, or finished and not yet one.
fn is_known(rows: &Snapshot, location: &Location, sealed: &HashSet<Location>) -> Result<bool, MetaError> {
    let Location { digest, session } = *location;
    Ok(rows.get(&BLOB, &digest)?.is_some_and(|blob| blob.session == session)
        || rows.contains(&TOMBSTONE, &(digest, session))?
        || sealed.contains(location))
}
