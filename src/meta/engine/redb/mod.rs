//! The ledger in a redb file.
//!
//! The commit point is a redb commit that is synced when it returns (`Immediate`), in two phases with
//! quick-repair: what users push is hostile data, and the file opens at once after a crash. The file's every
//! page is verified at each open, since a file that somebody copied while it was written would otherwise be
//! opened and answer wrongly. After any failure of redb nothing more is written: what is on disk decides at
//! the next start.

mod group;
mod snapshot;
mod writer;

use super::{Engine, EngineError, Job, OpenError, ReadRows, TableId, WriteError};
use ::redb::backends::FileBackend;
use ::redb::{Builder, Database, Durability, ReadableDatabase, StorageBackend, TableDefinition};
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What is called when the ledger can take no more writes; it ends the process where there is one to end.
pub type OnFailure = Box<dyn Fn(&str) + Send>;

/// The redb engine: a database and the thread that writes to it.
pub struct RedbEngine {
    database: Arc<Database>,
    writer: writer::Writer,
}

/// How a redb table of ours is defined: bytes to bytes, in the order of the bytes.
const fn definition(table: TableId) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
    TableDefinition::new(table.name())
}

fn storage(error: impl Into<::redb::Error>) -> EngineError {
    EngineError::Storage(error.into().to_string())
}

impl RedbEngine {
    /// Opens the ledger in `file`, or makes it where the file is empty. `cache_bytes` bounds redb's page
    /// cache.
    pub fn open(file: File, cache_bytes: usize, on_failure: OnFailure) -> Result<Self, OpenError> {
        Self::open_with(cache_bytes, on_failure, |builder| {
            builder.create_with_backend(FileBackend::new(file)?)
        })
    }

    /// Opens the ledger in storage of the caller's making.
    pub fn open_backend(
        backend: impl StorageBackend,
        cache_bytes: usize,
        on_failure: OnFailure,
    ) -> Result<Self, OpenError> {
        Self::open_with(cache_bytes, on_failure, |builder| builder.create_with_backend(backend))
    }

    fn open_with(
        cache_bytes: usize,
        on_failure: OnFailure,
        create: impl FnOnce(&mut Builder) -> Result<Database, ::redb::DatabaseError>,
    ) -> Result<Self, OpenError> {
        let mut builder = Builder::new();
        builder.set_cache_size(cache_bytes).set_check_integrity_on_open(true);
        // redb may panic on a file that was altered outside it: for us that is a refusal like any other.
        let opened = catch_unwind(AssertUnwindSafe(|| create(&mut builder)));
        let database = match opened {
            Ok(Ok(database)) => database,
            Ok(Err(error)) => return Err(refusal(&error)),
            Err(panic) => return Err(damaged(&writer::panic_text(&*panic))),
        };
        create_tables(&database).map_err(|error| damaged(&error.to_string()))?;
        let database = Arc::new(database);
        let writer = writer::Writer::start(Arc::clone(&database), on_failure)
            .map_err(|error| OpenError { reason: error.to_string(), damaged: false })?;
        Ok(Self { database, writer })
    }
}

fn refusal(error: &::redb::DatabaseError) -> OpenError {
    match error {
        ::redb::DatabaseError::DatabaseAlreadyOpen => {
            OpenError { reason: "another process has the ledger open".into(), damaged: false }
        }
        ::redb::DatabaseError::Storage(::redb::StorageError::Io(io)) => {
            OpenError { reason: io.to_string(), damaged: io.kind() == std::io::ErrorKind::InvalidData }
        }
        other => damaged(&other.to_string()),
    }
}

fn damaged(reason: &str) -> OpenError {
    OpenError { reason: format!("its check at the start failed: {reason}"), damaged: true }
}

fn create_tables(database: &Database) -> Result<(), ::redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    transaction.set_quick_repair(true);
    for table in TableId::ALL {
        transaction.open_table(definition(table))?;
    }
    transaction.commit()?;
    Ok(())
}

impl Engine for RedbEngine {
    fn snapshot(&self) -> Result<Box<dyn ReadRows>, EngineError> {
        Ok(Box::new(snapshot::RedbSnapshot::new(self.database.begin_read().map_err(storage)?)))
    }

    fn write(&self, job: Job) -> Result<(), WriteError> {
        self.writer.write(job)
    }
}
