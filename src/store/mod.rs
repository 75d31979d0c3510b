//! Ledger and files as one thing: the only place that begins and commits transactions.
//!
//! [`Store::read`] gives one committed snapshot, [`Store::write`] runs a closure in a transaction and returns
//! when its outcome is durable. What must happen outside the ledger because of a commit is queued on the
//! transaction and runs afterwards, on the caller's thread. [`files`] has the acts that touch both.

mod backup;
mod copy;
mod damage;
mod error;
#[cfg(test)]
mod faults;
mod files;
mod recover;
mod rows;

pub use crate::blobs::{
    BackupDir, BackupRefusal, BlobFile, Damage, DataDir, Goods, Location, OpenDirError, ProcessUse,
    Published, Readers, RestoreDir, Room, Staging, Taken, TarBackup, UploadEntry, connect_control,
    restore_tar,
};
pub use crate::meta::codec::{Raw, Value};
pub use crate::meta::engine::redb::LedgerOptions;
pub use crate::meta::engine::{Commits, CopiedLedger, Opened, Origin};
pub use crate::meta::key::Key;
pub use crate::meta::tables;
pub use crate::meta::{
    KeyRange, Limit, MetaError, Newest, QueueKind, Read, RepoId, ScannedRow, Snapshot, Tx, records,
};
pub use backup::{FilesHeld, LedgerCopy};
pub use copy::{DirectoryCheck, Lacking, ListedDirectory};
pub use damage::DAMAGED_BLOBS;
pub use error::{OpenError, StoreError};
pub use files::{NewFile, STORED_BYTES, Stored};
pub use recover::Recovery;
pub use rows::{end_upload, open_uploads, put_upload};

use crate::blobs;
use crate::meta::engine::redb::{Place, RedbEngine};
use crate::meta::engine::{Engine, Verdict, WriteError};
use crate::meta::tx::{Effect, Effects};
use std::sync::{Arc, Mutex};

/// How often a state is tried to be read while the ledger, on a full disk, is opened again and again.
const READS_MAX: usize = 3;

/// Called when the disk failed and nothing more may be acknowledged: it ends the process.
pub type OnFailure = Arc<dyn Fn(&str) + Send + Sync>;

/// How a store is opened.
pub struct StoreOptions {
    /// How the ledger is kept.
    pub ledger: LedgerOptions,
    /// What to do when the disk failed.
    pub on_failure: OnFailure,
}

/// The open registry of one data directory.
pub struct Store {
    // Dropped in this order: the ledger closes before the directory's lock ends.
    engine: Box<dyn Engine>,
    dir: Arc<DataDir>,
    on_failure: OnFailure,
    /// Held while damaged files are set aside: a row that one of two read would move what came after it.
    setting_aside: Mutex<()>,
    /// How many want that no collected file is unlinked. Held while some are.
    files_held: Mutex<usize>,
    /// What a test says is lacking.
    #[cfg(test)]
    pub faults: faults::Faults,
}

impl Store {
    /// Opens the ledger of a locked directory and brings it to the present schema. Files are left alone until
    /// [`Store::recover`].
    pub fn open(dir: DataDir, options: StoreOptions) -> Result<Self, OpenError> {
        dir.expect_no_lost_blobs()?;
        dir.unmark_backup()?;
        let on_failure = Arc::clone(&options.on_failure);
        let place = place_of(&dir);
        let engine = RedbEngine::open(&place, options.ledger, Box::new(move |reason| on_failure(reason)))
            .map_err(|error| OpenError::ledger(dir.root(), &error))?;
        let origin = engine.opened().origin;
        let store = Self::new(Box::new(engine), dir, options.on_failure);
        if matches!(origin, Origin::New | Origin::Original) {
            store.settle()?;
        }
        store.migrate()?;
        Ok(store)
    }

    /// Opens the ledger of a locked directory to read it, and changes nothing: no migration, no recovery.
    pub fn open_to_look(dir: DataDir, options: StoreOptions) -> Result<Self, OpenError> {
        let engine = RedbEngine::open_to_look(&place_of(&dir), options.ledger)
            .map_err(|error| OpenError::ledger(dir.root(), &error))?;
        let store = Self::new(Box::new(engine), dir, options.on_failure);
        store.expect_newest()?;
        Ok(store)
    }

    /// How the ledger was opened.
    #[must_use]
    pub fn opened(&self) -> &Opened {
        self.engine.opened()
    }

    /// Whether a read of the ledger may have to wait for more than a disk.
    #[must_use]
    pub fn reads_may_wait(&self) -> bool {
        self.engine.reads_may_wait()
    }

    /// Closes the ledger, though others still have the store: a process is about to end.
    pub fn close(&self) {
        self.engine.close();
    }

    /// Says that rows and files fit together: from now on the directory is an original of its own.
    pub fn settle(&self) -> Result<(), StoreError> {
        Ok(self.engine.settle().map_err(MetaError::from)?)
    }

    fn new(engine: Box<dyn Engine>, dir: DataDir, on_failure: OnFailure) -> Self {
        Self {
            engine,
            dir: Arc::new(dir),
            on_failure,
            setting_aside: Mutex::new(()),
            files_held: Mutex::new(0),
            #[cfg(test)]
            faults: faults::Faults::default(),
        }
    }

    /// Reads one committed state. Whatever `read` is asked, its answers agree with each other. It is run
    /// again where that state could not be read to the end.
    pub fn read<T, E: From<StoreError>>(&self, read: impl Fn(&Snapshot) -> Result<T, E>) -> Result<T, E> {
        for _ in 1..READS_MAX {
            let snapshot = self.snapshot()?;
            let outcome = read(&snapshot);
            if outcome.is_ok() || !snapshot.is_lost() {
                return outcome;
            }
        }
        read(&self.snapshot()?)
    }

    /// The committed state of now. Hold it for a page of rows, not for a stream.
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        #[cfg(test)]
        self.faults.check_ledger()?;
        Ok(Snapshot::new(self.engine.snapshot().map_err(MetaError::from)?))
    }

    /// Runs `write` in a transaction and returns when its outcome, success or refusal, is durable.
    ///
    /// The closure may be run again, so it has no effect outside the transaction, reads no clock and draws no
    /// random number. An error undoes all that it changed.
    pub fn write<T, E>(&self, write: impl FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        match self.attempt(write) {
            Attempt::Decided(decided) => decided,
            Attempt::Full(effects) => {
                run(effects.on_abort);
                Err(StoreError::Full.into())
            }
            Attempt::Failed(error) => Err(error.into()),
        }
    }

    /// As [`Self::write`], for a caller that has to know whether the ledger had no room.
    fn attempt<T, E>(
        &self,
        mut write: impl FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Attempt<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        #[cfg(test)]
        if self.faults.refuses_write() {
            return Attempt::Full(Effects::default());
        }
        #[cfg(test)]
        if let Err(error) = self.faults.count_write() {
            return Attempt::Failed(error);
        }
        let effects = Arc::new(Mutex::new(Effects::default()));
        let outcome = Arc::new(Mutex::new(None));
        let (queued, result) = (Arc::clone(&effects), Arc::clone(&outcome));
        let written = self.engine.write(Box::new(move |rows| {
            take(&queued);
            let decided = write(&mut Tx::new(rows, &queued));
            let verdict = if decided.is_ok() { Verdict::Keep } else { Verdict::Undo };
            *result.lock().expect("nothing panics while it is held") = Some(decided);
            verdict
        }));
        match written {
            Ok(()) => {
                let decided = outcome.lock().expect("nothing panics while it is held").take();
                let decided = decided.expect("the engine ran the closure before it answered");
                let effects = take(&effects);
                run(if decided.is_ok() { effects.after_commit } else { effects.on_abort });
                Attempt::Decided(decided)
            }
            Err(WriteError::Panicked(words)) => {
                run(take(&effects).on_abort);
                Attempt::Decided(Err(StoreError::Panicked(words).into()))
            }
            Err(WriteError::Full) => Attempt::Full(take(&effects)),
            // Whether it is on disk is decided at the next start: neither effect may run.
            Err(WriteError::Engine(error)) => Attempt::Failed(StoreError::Meta(error.into())),
        }
    }

    /// Makes everything durable that is on the disk of the data directory.
    pub fn sync_file_system(&self) -> Result<(), StoreError> {
        let synced = self.dir.disk().sync_file_system(self.dir.root());
        synced.map_err(|error| self.disk_error(error))
    }

    /// How much room the file system of the data directory has.
    pub fn room(&self) -> Result<Room, StoreError> {
        #[cfg(test)]
        if let Some(room) = self.faults.room() {
            return Ok(room);
        }
        Ok(self.dir.room()?)
    }

    /// What is known of the ledger's commits since the start.
    #[must_use]
    pub fn commits(&self) -> &Commits {
        self.engine.commits()
    }

    /// The data directory.
    #[must_use]
    pub fn dir(&self) -> &DataDir {
        &self.dir
    }

    /// Judges a failed write or sync of a file. No room is the client's to know; a failed sync or an error of
    /// the device means that the disk cannot be trusted, and ends the process.
    #[must_use]
    pub fn disk_error(&self, error: std::io::Error) -> StoreError {
        if blobs::is_full(&error) {
            return StoreError::Full;
        }
        if blobs::is_fatal(&error) {
            let words = format!("writing below {} failed: {error}", self.dir.root().display());
            log::error!("{words}");
            (self.on_failure)(&words);
        }
        StoreError::Io(error)
    }
}

/// Where the ledger of a directory is.
fn place_of(dir: &DataDir) -> Place {
    Place {
        disk: Arc::clone(dir.disk()),
        directory: dir.ledger(),
        file_mode: dir.file_mode(),
        directory_mode: dir.directory_mode(),
    }
}

/// What became of a write.
enum Attempt<T, E> {
    /// Its outcome is durable, and its effects ran.
    Decided(Result<T, E>),
    /// There was no room: nothing of it happened. No effect ran, and where the closure did not run either,
    /// none is here.
    Full(Effects),
    /// The ledger failed. Whether it happened is decided at the next start.
    Failed(StoreError),
}

fn take(effects: &Mutex<Effects>) -> Effects {
    std::mem::take(&mut effects.lock().expect("no effect runs while the queue is held"))
}

fn run(effects: Vec<Effect>) {
    for effect in effects {
        effect();
    }
}
