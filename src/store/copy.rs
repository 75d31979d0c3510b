//! A copy of a data directory: its files were read at other times than its ledger, so that a row may be
//! without its file and a file without a row.
//!
//! What is found is settled one directory below blobs/ after the other, each step in a transaction that is
//! whole by itself. Whoever is cut off begins again, and finds what is left to do. Nothing serves meanwhile.

use super::damage::{DAMAGED_BLOBS, mark};
use super::records::{BlobRecord, DamagedRecord, TombstoneRecord};
use super::tables::{BLOB, DAMAGED, TOMBSTONE, UPLOAD};
use super::{KeyRange, MetaError, Read, Store, StoreError, Tx, end_upload};
use crate::blobs::{Damage, Location};
use crate::meta::key::DigestStart;
use crate::oci::{Algorithm, Digest, Hasher, SessionId};
use std::collections::HashMap;
use std::path::PathBuf;

/// How many rows are read or written at once.
const PAGE_ROWS: usize = 512;

/// How much of a file is read at once.
const BUFFER_BYTES: usize = 1024 * 1024;

/// What one directory below blobs/ and the rows of its digests say of each other.
#[derive(Debug, Default)]
pub struct DirectoryCheck {
    /// Files that took the place of another one of the same blob.
    pub adopted: Vec<Location>,
    /// Blobs that are not marked as damaged, though their file is not there or has a wrong size.
    pub lacking: Vec<Lacking>,
    /// Files that belonged to nothing: they have tombstones.
    pub strays: Vec<Location>,
    /// Uploads that are over, since one of these files is theirs.
    pub sessions: Vec<SessionId>,
    /// What is none of the registry's files and stays.
    pub foreign: Vec<PathBuf>,
}

/// A blob without its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lacking {
    /// The blob.
    pub digest: Digest,
    /// The upload that its file came by.
    pub session: SessionId,
}

/// The files of a directory by what their names say they hold, each with its size.
type Files = HashMap<Digest, Vec<(SessionId, u64)>>;

/// What stands in one directory below blobs/.
#[derive(Debug)]
pub struct ListedDirectory {
    algorithm: Algorithm,
    /// The first byte of the digests of its files.
    first: u8,
    files: Files,
    foreign: Vec<PathBuf>,
}

impl Store {
    /// Ends every open upload. Their files are removed by [`Store::recover`], which finds no row for them.
    pub fn end_uploads(&self) -> Result<Vec<SessionId>, StoreError> {
        let mut ended = Vec::new();
        loop {
            let page =
                self.read(|rows| Ok::<_, StoreError>(rows.page(&UPLOAD, &KeyRange::all(), PAGE_ROWS)?))?;
            if page.is_empty() {
                return Ok(ended);
            }
            let sessions: Vec<_> = page.into_iter().map(|(session, _)| session).collect();
            ended.extend(&sessions);
            self.write(move |tx| {
                for session in &sessions {
                    end_upload(tx, *session)?;
                }
                Ok::<_, StoreError>(())
            })?;
        }
    }

    /// Compares the files of one directory below blobs/ with the rows of the digests that begin so. A blob
    /// without a right file gets another one of the same bytes, if there is any; files that then belong to
    /// nothing get tombstones. Which blobs are without a file is said, and not written down.
    ///
    /// Only for a start, before anything is served.
    pub fn check_directory(
        &self,
        listed: ListedDirectory,
        now_ms: u64,
    ) -> Result<DirectoryCheck, StoreError> {
        let ListedDirectory { algorithm, first, mut files, foreign } = listed;
        let mut check = DirectoryCheck { foreign, ..DirectoryCheck::default() };
        for (digest, blob) in self.take_known(algorithm, first, &mut files)? {
            let candidates = files.get(&digest).map_or(&[][..], Vec::as_slice);
            if let Some(session) = self.find_another(digest, &blob, candidates)? {
                self.adopt(digest, blob, session, now_ms, &mut check)?;
                files.entry(digest).and_modify(|files| files.retain(|&(other, _)| other != session));
            } else if !blob.is_damaged() {
                check.lacking.push(Lacking { digest, session: blob.session });
            }
        }
        self.give_up_strays(&files, now_ms, &mut check)?;
        Ok(check)
    }

    /// Marks blobs as damaged; what stands in the place of their files is set aside by [`Store::recover`].
    /// Says how many it marked.
    pub fn mark_lacking(&self, lacking: &[Lacking], now_ms: u64) -> Result<u64, StoreError> {
        let mut count = 0;
        for page in lacking.chunks(PAGE_ROWS) {
            let page = page.to_vec();
            count += self.write(move |tx| {
                let mut marked = 0;
                for Lacking { digest, session } in &page {
                    marked += u64::from(mark(tx, *digest, *session, now_ms)?);
                }
                Ok::<_, StoreError>(marked)
            })?;
        }
        Ok(count)
    }

    /// Lists the files of one directory below blobs/, with their sizes.
    pub fn list_directory(&self, algorithm: Algorithm, first: u8) -> Result<ListedDirectory, StoreError> {
        let (mut files, mut foreign) = (Files::new(), Vec::new());
        for file in self.dir.list_blobs(algorithm, first)? {
            match file {
                Ok((location, size)) if location.digest.bytes()[0] == first => {
                    files.entry(location.digest).or_default().push((location.session, size));
                }
                // Nothing looks for it there.
                Ok((location, _)) => {
                    let directory = format!("blobs/{}/{first:02x}", algorithm.as_str());
                    foreign.push(PathBuf::from(directory).join(location.file_name()));
                }
                Err(path) => foreign.push(path),
            }
        }
        Ok(ListedDirectory { algorithm, first, files, foreign })
    }

    /// Takes the files of the blobs out of `files`, and gives the blobs that have no right one: they are
    /// marked as damaged, or their file is not there or of another size.
    fn take_known(
        &self,
        algorithm: Algorithm,
        first: u8,
        files: &mut Files,
    ) -> Result<Vec<(Digest, BlobRecord)>, StoreError> {
        let mut without = Vec::new();
        let mut range = KeyRange::prefix(&DigestStart { algorithm, first });
        loop {
            let page = self.read(|rows| Ok::<_, StoreError>(rows.page(&BLOB, &range, PAGE_ROWS)?))?;
            let Some((last, _)) = page.last() else { return Ok(without) };
            range = range.after(last);
            for (digest, blob) in page {
                let own = files.get_mut(&digest).and_then(|files| {
                    let at = files.iter().position(|&(session, _)| session == blob.session)?;
                    Some(files.swap_remove(at).1)
                });
                if blob.is_damaged() || own != Some(blob.size) {
                    without.push((digest, blob));
                }
            }
        }
    }

    /// Finds a file with the bytes of a blob. One that is to be unlinked is as good as another; one that was
    /// found damaged is not.
    fn find_another(
        &self,
        digest: Digest,
        blob: &BlobRecord,
        candidates: &[(SessionId, u64)],
    ) -> Result<Option<SessionId>, StoreError> {
        for &(session, size) in candidates {
            let is_damaged =
                || self.read(|rows| Ok::<_, StoreError>(rows.contains(&DAMAGED, &(digest, session))?));
            if size == blob.size && !is_damaged()? && self.is_right(&Location { digest, session }, size)? {
                return Ok(Some(session));
            }
        }
        Ok(None)
    }

    /// Reads a file and says whether its bytes are those of its name.
    fn is_right(&self, location: &Location, size: u64) -> Result<bool, StoreError> {
        let read = || {
            let file = self.dir.open_blob(location, size)?;
            let mut hasher = Hasher::new(location.digest.algorithm());
            let (mut buffer, mut offset) = (vec![0; BUFFER_BYTES], 0);
            while offset < size {
                let count = file.read_at(&mut buffer, offset)?;
                hasher.update(&buffer[..count]);
                offset += count as u64;
            }
            Ok(hasher.finish() == location.digest)
        };
        match read() {
            Ok(is_right) => Ok(is_right),
            Err(error) => Ok(Damage::judge(error).map(|_| false)?),
        }
    }

    /// Makes another file that of a blob.
    fn adopt(
        &self,
        digest: Digest,
        seen: BlobRecord,
        session: SessionId,
        now_ms: u64,
        check: &mut DirectoryCheck,
    ) -> Result<(), StoreError> {
        let ended = self.write(move |tx| Ok::<_, StoreError>(adopt(tx, digest, &seen, session, now_ms)?))?;
        check.sessions.extend(ended.then_some(session));
        check.adopted.push(Location { digest, session });
        Ok(())
    }

    /// Gives tombstones to the files that no row names. An upload whose file is among them is over: were it
    /// finished again, its file would have the name of the tombstone.
    fn give_up_strays(
        &self,
        files: &Files,
        now_ms: u64,
        check: &mut DirectoryCheck,
    ) -> Result<(), StoreError> {
        let files: Vec<_> = files
            .iter()
            .flat_map(|(&digest, files)| files.iter().map(move |&(session, size)| (digest, session, size)))
            .collect();
        for page in files.chunks(PAGE_ROWS) {
            let strays = self.strays_among(page)?;
            if strays.is_empty() {
                continue;
            }
            let locations = strays.iter().map(|&(digest, session, _)| Location { digest, session });
            check.strays.extend(locations);
            let ended = self.write(move |tx| {
                let mut ended = Vec::new();
                for &(digest, session, size) in &strays {
                    tx.put(&TOMBSTONE, &(digest, session), &TombstoneRecord { size, since_ms: now_ms })?;
                    ended.extend(end_upload(tx, session)?.map(|_| session));
                }
                Ok::<_, StoreError>(ended)
            })?;
            check.sessions.extend(ended);
        }
        Ok(())
    }

    /// Those of the files that no row names. One that has its name in uploads/, too, belongs to that:
    /// [`Store::recover`] takes both away, the one in blobs/ first.
    fn strays_among(
        &self,
        files: &[(Digest, SessionId, u64)],
    ) -> Result<Vec<(Digest, SessionId, u64)>, StoreError> {
        let mut strays = self.read(|rows| {
            let mut strays = Vec::new();
            for &(digest, session, size) in files {
                let key = (digest, session);
                if !rows.contains(&TOMBSTONE, &key)? && !rows.contains(&DAMAGED, &key)? {
                    strays.push((digest, session, size));
                }
            }
            Ok::<_, StoreError>(strays)
        })?;
        let mut sealed = Vec::new();
        for &(digest, session, _) in &strays {
            sealed.push(self.dir.is_sealed(&Location { digest, session })?);
        }
        let mut sealed = sealed.into_iter();
        strays.retain(|_| sealed.next() == Some(false));
        Ok(strays)
    }
}

/// Makes the file of another upload that of the blob; says whether it ended that upload. What stands in the
/// place of the old file is to be set aside.
fn adopt(
    tx: &mut Tx<'_>,
    digest: Digest,
    seen: &BlobRecord,
    session: SessionId,
    now_ms: u64,
) -> Result<bool, MetaError> {
    let blob = BlobRecord { session, good_at_ms: now_ms, damaged_at_ms: None, ..seen.clone() };
    tx.put(&BLOB, &digest, &blob)?;
    if seen.is_damaged() {
        tx.add(DAMAGED_BLOBS, -1)?;
    }
    tx.remove(&TOMBSTONE, &(digest, session))?;
    tx.put(&DAMAGED, &(digest, seen.session), &DamagedRecord { since_ms: now_ms })?;
    Ok(end_upload(tx, session)?.is_some())
}
