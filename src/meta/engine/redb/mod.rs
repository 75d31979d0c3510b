//! The ledger in a redb file.
//!
//! The commit point is a redb commit that is synced when it returns (`Immediate`), in two phases with
//! quick-repair: what users push is hostile data, and the file opens at once after a crash. The file's every
//! page is verified at each start, since a file that somebody copied while it was written would otherwise be
//! opened and answer wrongly.
//!
//! A full disk is no fault: the writes that met it are refused, the file is opened again and the ledger goes
//! on ([`ledger`] says how it is known which writes they were). After any other failure of redb nothing more
//! is written: what is on disk decides at the next start.

mod copy;
mod group;
mod ledger;
mod snapshot;
mod storage;
mod writer;

use super::{
    Commits, CopiedLedger, Engine, EngineError, Job, OpenCause, OpenError, ReadRows, TableId, WriteError,
};
use ::redb::backends::FileBackend;
use ::redb::{StorageBackend, TableDefinition};
use ledger::Ledger;
use std::any::Any;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

/// What is called when the ledger can take no more writes; it ends the process where there is one to end.
pub type OnFailure = Box<dyn Fn(&str) + Send>;

/// The name of a copy of the ledger.
const LEDGER: &str = "ledger.redb";

/// The redb engine: a ledger and the thread that writes to it.
pub struct RedbEngine {
    // Dropped in this order: the thread ends before the ledger closes.
    writer: writer::Writer,
    ledger: Arc<Ledger>,
    commits: Arc<Commits>,
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
    /// Opens the ledger in `file`, or makes it where the file is empty. `cache_bytes` bounds redb's page
    /// cache.
    pub fn open(file: File, cache_bytes: usize, on_failure: OnFailure) -> Result<Self, OpenError> {
        let out_of_reach = |reason: String| OpenError { reason, cause: OpenCause::OutOfReach };
        let backend = FileBackend::new(file).map_err(|error| out_of_reach(error.to_string()))?;
        Self::open_backend(backend, cache_bytes, on_failure)
    }

    /// Opens the ledger in `file` to read it alone: not a byte is written. redb's lock wants a file that is
    /// open for writing all the same.
    pub fn open_to_look(file: File, cache_bytes: usize) -> Result<Self, OpenError> {
        let out_of_reach = |reason: String| OpenError { reason, cause: OpenCause::OutOfReach };
        let backend = FileBackend::new(file).map_err(|error| out_of_reach(error.to_string()))?;
        let ledger = Arc::new(Ledger::open_to_look(Arc::new(backend), cache_bytes)?);
        Self::start(ledger, Box::new(|_| {}))
    }

    /// Opens the ledger in storage of the caller's making. It may be closed and locked again and again.
    pub fn open_backend(
        backend: impl StorageBackend,
        cache_bytes: usize,
        on_failure: OnFailure,
    ) -> Result<Self, OpenError> {
        let ledger = Arc::new(Ledger::open(Arc::new(backend), cache_bytes)?);
        Self::start(ledger, on_failure)
    }

    fn start(ledger: Arc<Ledger>, on_failure: OnFailure) -> Result<Self, OpenError> {
        let commits = Arc::new(Commits::default());
        let writer = writer::Writer::start(Arc::clone(&ledger), Arc::clone(&commits), on_failure)
            .map_err(|error| OpenError { reason: error.to_string(), cause: OpenCause::OutOfReach })?;
        Ok(Self { writer, ledger, commits })
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

    fn copy_to(&self, directory: &Path) -> Result<CopiedLedger, EngineError> {
        let io = |error: std::io::Error| EngineError::Storage(error.to_string());
        let sequence = self.ledger.last_group();
        let rows = self.snapshot()?;
        let at_ms = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(directory.join(LEDGER))
            .map_err(io)?;
        let written = file.try_clone().map_err(io)?;
        let storage = FileBackend::new(file).map_err(|error| EngineError::Storage(error.to_string()))?;
        copy::copy(&*rows, storage)?;
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(io)?;
        let bytes = written.metadata().map_err(io)?.len();
        let at_ms = u64::try_from(at_ms).unwrap_or(u64::MAX);
        Ok(CopiedLedger { sequence, at_ms, bytes })
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
