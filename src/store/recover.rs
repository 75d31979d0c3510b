//! The start: schema migrations, tombstones, and what a crash left in uploads/.
//!
//! Bounded by garbage and open sessions: neither blobs/ nor the rows of blobs are walked.

use super::records::{SchemaRecord, UploadRecord};
use super::tables::{BLOB, SCHEMA, UPLOAD};
use super::{KeyRange, OpenError, Read, Store, StoreError, end_upload};
use crate::blobs::{Location, UploadEntry};
use crate::migrations::{self, Migration, Step};
use crate::oci::SessionId;
use std::collections::HashMap;
use std::fmt;

/// How many upload rows are read at once.
const UPLOAD_PAGE_ROWS: usize = 512;

/// What the start found and did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// Damaged files set aside.
    pub set_aside: usize,
    /// Files unlinked because of tombstones.
    pub tombstones: usize,
    /// Finished uploads whose row was committed: only their staging name went.
    pub finished: usize,
    /// Finished uploads that no row knew: open again, or gone with both names.
    pub taken_back: usize,
    /// Files of sessions that no row knew.
    pub debris: usize,
    /// Sessions whose file was gone or too short.
    pub lost_sessions: usize,
    /// Sessions that can go on.
    pub open_sessions: usize,
    /// What was found where the directory is not the original, in words.
    pub copy: Option<String>,
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            (self.open_sessions, "uploads that can go on"),
            (self.lost_sessions, "uploads ended, since bytes of them are gone"),
            (self.finished, "finished uploads tidied up"),
            (self.taken_back, "finished uploads that were not recorded any more"),
            (self.set_aside, "damaged files set aside"),
            (self.tombstones, "files of deleted blobs removed"),
            (self.debris, "files of no upload removed"),
        ];
        let told = counts.iter().filter(|(count, _)| *count > 0);
        let told: Vec<_> = told.map(|(count, what)| format!("{what}: {count}")).collect();
        f.write_str(&if told.is_empty() { "nothing was left to do".to_owned() } else { told.join(", ") })
    }
}

impl Store {
    fn schema(&self) -> Result<SchemaRecord, OpenError> {
        let present = self.snapshot()?.get(&SCHEMA, &())?;
        let schema = present.unwrap_or(SchemaRecord { version: 0, cursor: Vec::new() });
        let known = migrations::newest();
        if schema.version > known {
            let dir = self.dir.root().display().to_string();
            return Err(OpenError::Newer { dir, found: schema.version, known });
        }
        Ok(schema)
    }

    /// Refuses a ledger that a start would migrate first.
    pub(super) fn expect_newest(&self) -> Result<(), OpenError> {
        let (found, known) = (self.schema()?.version, migrations::newest());
        if found == known {
            return Ok(());
        }
        Err(OpenError::Older { dir: self.dir.root().display().to_string(), found, known })
    }

    pub(super) fn migrate(&self) -> Result<(), OpenError> {
        let mut schema = self.schema()?;
        for migration in migrations::ALL.iter().filter(|migration| migration.version > schema.version) {
            self.run_migration(migration, std::mem::take(&mut schema.cursor))?;
        }
        Ok(())
    }

    fn run_migration(&self, migration: &'static Migration, mut cursor: Vec<u8>) -> Result<(), StoreError> {
        loop {
            let step = self.write(move |tx| {
                let step = (migration.step)(tx, &cursor)?;
                let schema = match &step {
                    Step::More(next) => SchemaRecord { version: migration.version - 1, cursor: next.clone() },
                    Step::Done => SchemaRecord { version: migration.version, cursor: Vec::new() },
                };
                tx.put(&SCHEMA, &(), &schema)?;
                Ok::<_, StoreError>(step)
            })?;
            match step {
                Step::More(next) => cursor = next,
                Step::Done => break,
            }
        }
        log::info!("the ledger is at schema {} ({})", migration.version, migration.name);
        Ok(())
    }

    /// Brings the files in line with the ledger: sets damaged files aside, replays tombstones, ends or takes
    /// back what a crash cut off.
    pub fn recover(&self) -> Result<Recovery, StoreError> {
        let set_aside = self.set_aside();
        let tombstones = unless_full("dropping tombstones", self.sweep_tombstones(|| true))?;
        let mut found = Recovery { set_aside, tombstones, ..Recovery::default() };
        let mut staged = HashMap::new();
        for entry in self.dir.list_uploads()? {
            match entry {
                UploadEntry::Sealed(location) => self.settle_sealed(&location, &mut staged, &mut found)?,
                UploadEntry::Staging(session, size) => {
                    staged.insert(session, size);
                }
                UploadEntry::Foreign(path) => {
                    log::warn!("{} is none of the registry's files and is left alone", path.display());
                }
            }
        }
        self.settle_sessions(&mut staged, &mut found)?;
        for session in staged.into_keys() {
            self.dir.remove_staging(session).map_err(|error| self.disk_error(error))?;
            found.debris += 1;
        }
        Ok(found)
    }

    /// A finished upload with its name still in uploads/: it is a blob, an open session, or nothing.
    fn settle_sealed(
        &self,
        location: &Location,
        staged: &mut HashMap<SessionId, u64>,
        found: &mut Recovery,
    ) -> Result<(), StoreError> {
        let snapshot = self.snapshot()?;
        let blob = snapshot.get(&BLOB, &location.digest)?;
        let settle = || {
            if blob.is_some_and(|blob| blob.session == location.session) {
                found.finished += 1;
                return self.dir.remove_sealed(location);
            }
            found.taken_back += 1;
            match snapshot.get(&UPLOAD, &location.session) {
                // Its offset was acknowledged, so the client may go on with it.
                Ok(Some(_)) => {
                    self.dir.unseal(location)?;
                    staged.insert(location.session, u64::MAX);
                    Ok(())
                }
                Ok(None) => self.dir.remove_debris(location),
                Err(error) => Err(std::io::Error::other(error)),
            }
        };
        settle().map_err(|error| self.disk_error(error))
    }

    /// Keeps the sessions whose file holds all that was acknowledged, and takes their files out of `staged`.
    fn settle_sessions(
        &self,
        staged: &mut HashMap<SessionId, u64>,
        found: &mut Recovery,
    ) -> Result<(), StoreError> {
        let mut range = KeyRange::all();
        loop {
            let page: Vec<(SessionId, UploadRecord)> =
                self.snapshot()?.page(&UPLOAD, &range, UPLOAD_PAGE_ROWS)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            range = range.after(last);
            for (session, upload) in page {
                if staged.get(&session).is_some_and(|&size| size >= upload.offset) {
                    staged.remove(&session);
                    found.open_sessions += 1;
                    continue;
                }
                log::warn!("upload {session} ends: its file lacks bytes that were acknowledged");
                found.lost_sessions += 1;
                let ended = self.write(move |tx| end_upload(tx, session).map_err(StoreError::from));
                unless_full("ending a lost upload", ended)?;
            }
        }
    }
}

/// A start needs no room: what the ledger has none for is left to be done later.
fn unless_full<T: Default>(act: &str, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
    match outcome {
        Err(StoreError::Full) => {
            log::warn!("{act} has to wait: the registry's disk is full");
            Ok(T::default())
        }
        outcome => outcome,
    }
}
