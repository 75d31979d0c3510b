//! The ledger in a directory of its own: a journal, a redb file and snapshots.
//!
//! The commit point is a frame of the journal that is synced ([`journal`]). redb has the same rows as an
//! index: it is opened by what it says of its own place in the journal, and what the journal has behind that
//! is done again. Snapshots bound how much that can be where redb's file is of no use: a copy of the
//! directory that was made while it was written to has a redb file that is worthless, and is recognised
//! ([`identity`]) and rebuilt ([`start`]).
//!
//! A full disk is no fault: writes for which the journal has no room are refused, and where redb met the end
//! of the disk its file is opened again ([`ledger`]). After any other failure nothing more is written: what
//! is on disk decides at the next start.

mod books;
mod bytes;
mod copy;
mod dump;
mod found;
mod group;
mod identity;
mod journal;
mod keeper;
mod ledger;
mod place;
mod position;
#[doc(hidden)]
pub mod readers;
mod rebuild;
mod refusal;
mod snapshot;
mod start;
mod storage;
mod writer;

pub use place::Place;

use super::{
    Commits, CopiedLedger, Engine, EngineError, Job, OpenCause, OpenError, Opened, ReadRows, TableId,
    WriteError,
};
use ::redb::TableDefinition;
use ledger::Ledger;
use std::any::Any;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// What is called when the ledger can take no more writes; it ends the process where there is one to end.
pub type OnFailure = Box<dyn Fn(&str) + Send>;

/// How a ledger is kept.
#[derive(Debug, Clone, Copy)]
pub struct LedgerOptions {
    /// The most memory that redb's page cache takes, in bytes.
    pub cache_bytes: usize,
    /// Writes after which redb's file is synced.
    pub checkpoint_operations: u64,
    /// Bytes of frames after which it is.
    pub checkpoint_bytes: u64,
    /// Seconds after which it is.
    pub checkpoint_secs: u64,
    /// Bytes of frames after which there is another snapshot, if they are as many as the last one has.
    pub snapshot_bytes: u64,
    /// Seconds that a copy of the directory may take.
    pub window_secs: u64,
    /// The longest segment of the journal, in bytes.
    pub segment_max_bytes: u64,
    /// Bytes of journal and snapshots above which the window is cut short.
    pub keep_max_bytes: u64,
    /// Whether a ledger is opened though frames of its journal are missing.
    pub accept_loss: bool,
    /// Whether the database is made anew from snapshot and journal, whatever it is like.
    pub rebuilds: bool,
}

impl Default for LedgerOptions {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            cache_bytes: 32 * 1024 * 1024,
            checkpoint_operations: 4000,
            checkpoint_bytes: 8 * MIB,
            checkpoint_secs: 5,
            snapshot_bytes: 64 * MIB,
            window_secs: 24 * 60 * 60,
            segment_max_bytes: 64 * MIB,
            keep_max_bytes: 4096 * MIB,
            accept_loss: false,
            rebuilds: false,
        }
    }
}

/// The redb engine: a ledger and the threads that write to it.
pub struct RedbEngine {
    // Dropped in this order: the threads end before the ledger closes.
    _keeper: Option<keeper::KeeperThread>,
    writer: writer::Writer,
    ledger: Arc<Ledger>,
    commits: Arc<Commits>,
    opened: Opened,
    place: Place,
    held: Arc<keeper::Keeper>,
}

/// How a redb table of ours is defined: bytes to bytes, in the order of the bytes.
const fn definition(table: TableId) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
    TableDefinition::new(table.name())
}

fn storage(error: impl Into<::redb::Error>) -> EngineError {
    match error.into() {
        // What redb says of an opening that is at its end, or will be.
        ::redb::Error::PreviousIo | ::redb::Error::DatabaseClosed => EngineError::Reopened,
        error => EngineError::Storage(error.to_string()),
    }
}

impl RedbEngine {
    /// Opens the ledger of a place, or makes it where nothing is there.
    pub fn open(place: &Place, options: LedgerOptions, on_failure: OnFailure) -> Result<Self, OpenError> {
        Self::begin(start::start(place, &options)?, place, options, on_failure)
    }

    /// Opens the ledger of a place to look at it: nothing there changes, and what is written is forgotten.
    pub fn open_to_look(place: &Place, options: LedgerOptions) -> Result<Self, OpenError> {
        Self::begin(start::look(place, &options)?, place, options, Box::new(|_| {}))
    }

    fn begin(
        started: start::Started,
        place: &Place,
        options: LedgerOptions,
        on_failure: OnFailure,
    ) -> Result<Self, OpenError> {
        let start::Started { ledger, journal, identity, end, lineage, opened, keeper, unsynced_bytes } =
            started;
        let ledger = Arc::new(ledger);
        let held = Arc::new(keeper);
        let is_kept = journal.is_some();
        let out_of_reach =
            |error: std::io::Error| OpenError { reason: error.to_string(), cause: OpenCause::OutOfReach };
        let books = books::Books::new(
            books::Parts {
                ledger: Arc::clone(&ledger),
                place: place.clone(),
                journal,
                identity,
                options,
                keeper: Arc::clone(&held),
                lineage: lineage.clone(),
            },
            end,
            unsynced_bytes,
        );
        let commits = Arc::new(Commits::default());
        let on_failure = Arc::new(Mutex::new(on_failure));
        let shared = || {
            let on_failure = Arc::clone(&on_failure);
            // Whoever panicked in it has said so; the process must end all the same.
            let call = move |words: &str| on_failure.lock().unwrap_or_else(PoisonError::into_inner)(words);
            Box::new(call) as OnFailure
        };
        let writer = writer::Writer::start(books, Arc::clone(&commits), shared()).map_err(out_of_reach)?;
        let work = keeper::Work {
            ledger: Arc::clone(&ledger),
            place: place.clone(),
            options,
            lineage,
            keeper: Arc::clone(&held),
            on_failure: shared(),
        };
        let keeper = is_kept.then(|| work.start()).transpose().map_err(out_of_reach)?;
        Ok(Self { _keeper: keeper, writer, ledger, commits, opened, place: place.clone(), held })
    }
}

impl Engine for RedbEngine {
    fn snapshot(&self) -> Result<Box<dyn ReadRows>, EngineError> {
        Ok(Box::new(snapshot::RedbSnapshot::take(&self.ledger)?))
    }

    fn write(&self, job: Job) -> Result<(), WriteError> {
        self.writer.write(job)
    }

    fn commits(&self) -> &Commits {
        &self.commits
    }

    fn opened(&self) -> &Opened {
        &self.opened
    }

    fn reads_may_wait(&self) -> bool {
        self.ledger.reopens()
    }

    fn settle(&self) -> Result<(), EngineError> {
        match self.writer.settle() {
            Err(WriteError::Engine(error)) => Err(error),
            _ => Ok(()),
        }
    }

    fn close(&self) {
        self.writer.close();
    }

    fn copy_to(&self, directory: &Path) -> Result<CopiedLedger, EngineError> {
        let _held = self.held.hold_files();
        copy::copy(&self.place, self.ledger.last_group(), directory)
            .map_err(|error| EngineError::Storage(error.to_string()))
    }
}

/// What a panic said.
fn panic_text(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without words".into())
}

#[cfg(test)]
pub mod tests;
