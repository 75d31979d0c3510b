//! The open database, and its opening anew when the disk had no room for a commit.
//!
//! After the first error of its storage redb writes nothing more until it is opened again, and a commit that
//! failed may nevertheless be on the disk: the last write of redb's commit can succeed and what follows it
//! fail. So every group has a number, which its own transaction writes as a row. After an opening that row
//! says which group was the last.
//!
//! What the opening finds is on the disk: redb's commit syncs a group's pages before it writes the header
//! that names them, and the opening writes that header again and syncs it. Where the disk has no room even
//! for that (file systems that never overwrite in place), the ledger is opened for reading alone, with the
//! header's writes kept in memory, and each later write first tries to open it for writing. There a group
//! that is not in the storage is not on the disk either; one that is there is on the disk if the storage can
//! be synced and no sync failed before. Where that is not known the engine fails.
//!
//! The opening trusts the file, which nobody but redb wrote to since it was verified at the start: a
//! two-phase commit never leaves a primary that is not whole.

use super::super::{EngineError, OpenCause, OpenError, TableId};
use super::snapshot::View;
use super::storage::{Access, Watch};
use super::{definition, panic_text, storage};
use ::redb::{
    Builder, Database, DatabaseError, Durability, ReadTransaction, ReadableDatabase, StorageBackend,
    TableDefinition, TableError, TableHandle, WriteTransaction,
};
use std::collections::HashSet;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Rows of the engine's own.
const ENGINE: TableDefinition<'static, &'static [u8], &'static [u8]> = TableDefinition::new("engine");
/// The number of the last group.
const LAST_GROUP: &[u8] = b"group";

/// What was found when the ledger was opened again.
pub struct Found {
    /// The last group in it.
    pub group: u64,
    /// Whether that group is known to be on the disk.
    pub durable: bool,
}

/// How far a file is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// Every page is verified.
    None,
    /// It was verified before, and only redb wrote to it since.
    Ours,
}

/// The ledger in its storage.
pub struct Ledger {
    storage: Arc<dyn StorageBackend>,
    cache_bytes: usize,
    state: Mutex<State>,
    /// The state's serial number changed, or it is over.
    changed: Condvar,
    /// The last group that is known to be committed.
    last_group: AtomicU64,
}

struct State {
    /// None: it could not be opened again.
    open: Option<Open>,
    /// Counts the openings.
    serial: u64,
    /// No other opening comes.
    over: bool,
}

/// One opening.
#[derive(Clone)]
pub struct Open {
    database: Arc<Database>,
    watch: Arc<Watch>,
    writable: bool,
}

impl Open {
    /// Begins the transaction of a group.
    pub fn begin_write(&self) -> Result<WriteTransaction, ::redb::Error> {
        assert!(self.writable);
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        transaction.set_quick_repair(true);
        Ok(transaction)
    }

    /// Whether the disk had no room for what this opening wrote.
    pub fn is_full(&self) -> bool {
        self.watch.is_full()
    }
}

impl Ledger {
    /// Opens the ledger in `storage`, or makes it where that is empty.
    pub fn open(storage: Arc<dyn StorageBackend>, cache_bytes: usize) -> Result<Self, OpenError> {
        let open = open(&storage, cache_bytes, Trust::None)?;
        if let Err(error) = create_tables(&open) {
            let cause = if open.is_full() { OpenCause::Full } else { OpenCause::Damaged };
            return Err(OpenError { reason: error.to_string(), cause });
        }
        let last_group = last_group(&open.database).map_err(|error| damaged(&error.to_string()))?;
        let state = State { open: Some(open), serial: 0, over: false };
        let (state, changed) = (Mutex::new(state), Condvar::new());
        Ok(Self { storage, cache_bytes, state, changed, last_group: AtomicU64::new(last_group) })
    }

    /// Opens the ledger in `storage` and writes nothing to it: what redb writes at an opening is kept in
    /// memory.
    pub fn open_to_look(storage: Arc<dyn StorageBackend>, cache_bytes: usize) -> Result<Self, OpenError> {
        let watch = Arc::new(Watch::default());
        let access = Access::reading(Arc::clone(&storage), Arc::clone(&watch));
        let database = Arc::new(open_database(access, cache_bytes, Trust::None)?);
        let last_group = last_group(&database).map_err(|error| damaged(&error.to_string()))?;
        let state = State { open: Some(Open { database, watch, writable: false }), serial: 0, over: false };
        let (state, changed) = (Mutex::new(state), Condvar::new());
        Ok(Self { storage, cache_bytes, state, changed, last_group: AtomicU64::new(last_group) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What a panic leaves here is an opening that was not replaced: as good as before.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last group that is known to be committed.
    pub fn last_group(&self) -> u64 {
        self.last_group.load(Ordering::Acquire)
    }

    /// Says that `group` is committed.
    pub fn set_last_group(&self, group: u64) {
        self.last_group.store(group, Ordering::Release);
    }

    /// The present opening; none where it cannot be written to.
    pub fn writable(&self) -> Option<Open> {
        self.state().open.clone().filter(|open| open.writable)
    }

    /// The committed state of now, with the number of an opening and of a group: it is that group's state,
    /// or a later one.
    pub fn view(&self) -> Result<(View, u64, u64), EngineError> {
        let state = self.state();
        let last_group = self.last_group();
        let (transaction, serial) = self.begin_read(state)?;
        Ok((View::new(transaction), serial, last_group))
    }

    /// The state of `group` once more, for a reader whose opening `serial` came to its end. Fails where the
    /// ledger has another state by now.
    pub fn view_again(&self, mut serial: u64, group: u64) -> Result<(View, u64), EngineError> {
        loop {
            let mut state = self.state();
            if state.serial == serial {
                state = self.await_reopening(state)?;
            }
            let (transaction, present) = self.begin_read(state)?;
            match last_group_of(&transaction).map_err(storage) {
                // No state behind the one that was found at the opening was ever visible before it.
                Ok(found) if found == group => return Ok((View::new(transaction), present)),
                // This opening came to its end, too.
                Err(EngineError::Reopened) => serial = present,
                outcome => return outcome.and(Err(EngineError::Reopened)),
            }
        }
    }

    fn begin_read(&self, mut state: MutexGuard<'_, State>) -> Result<(ReadTransaction, u64), EngineError> {
        loop {
            let open = state.open.as_ref().ok_or(EngineError::Failed)?;
            match open.database.begin_read().map_err(storage) {
                Ok(transaction) => return Ok((transaction, state.serial)),
                Err(EngineError::Reopened) => state = self.await_reopening(state)?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for the next opening. The writer that met the end of the disk is about to make it; where
    /// something else failed, none comes.
    fn await_reopening<'a>(
        &self,
        state: MutexGuard<'a, State>,
    ) -> Result<MutexGuard<'a, State>, EngineError> {
        let serial = state.serial;
        let comes = |state: &State| !state.over && state.open.as_ref().is_some_and(Open::is_full);
        let state = self.changed.wait_while(state, |state| state.serial == serial && comes(state));
        let state = state.unwrap_or_else(PoisonError::into_inner);
        if state.serial == serial { Err(EngineError::Failed) } else { Ok(state) }
    }

    /// Opens the ledger again, for reading alone where there is no room for more.
    ///
    /// Only the writer calls it, with no other [`Open`] in its hands.
    pub fn reopen(&self) -> Result<Found, OpenError> {
        let mut state = self.state();
        let sync_failed = state.open.as_ref().is_none_or(|open| open.watch.sync_failed());
        let closed = catch_unwind(AssertUnwindSafe(|| drop(state.open.take())));
        if closed.is_err() {
            // Its locks would keep us out.
            drop(self.storage.close());
        }
        let open = open(&self.storage, self.cache_bytes, Trust::Ours)?;
        let group = last_group(&open.database).map_err(|error| damaged(&error.to_string()))?;
        let durable = open.writable || (!sync_failed && self.storage.sync_data().is_ok());
        state.open = Some(open);
        state.serial += 1;
        self.set_last_group(group);
        self.changed.notify_all();
        Ok(Found { group, durable })
    }

    /// Says that the ledger is not opened again.
    pub fn end(&self) {
        self.state().over = true;
        self.changed.notify_all();
    }
}

/// Opens the database for writing or, where it exists and there is no room for that, for reading.
fn open(storage: &Arc<dyn StorageBackend>, cache_bytes: usize, trust: Trust) -> Result<Open, OpenError> {
    let exists = storage.len().is_ok_and(|length| length > 0);
    let watch = Arc::new(Watch::default());
    let access = Access::whole(Arc::clone(storage), Arc::clone(&watch));
    match open_database(access, cache_bytes, trust) {
        Ok(database) => return Ok(Open { database: Arc::new(database), watch, writable: true }),
        Err(error) if watch.is_full() && exists => {
            log::warn!("there is no room to open the ledger for writing, it is only read: {error}");
        }
        Err(error) if watch.is_full() => {
            return Err(OpenError { reason: error.reason, cause: OpenCause::Full });
        }
        Err(error) => return Err(error),
    }
    let watch = Arc::new(Watch::default());
    let access = Access::reading(Arc::clone(storage), Arc::clone(&watch));
    let database = open_database(access, cache_bytes, trust)?;
    Ok(Open { database: Arc::new(database), watch, writable: false })
}

fn open_database(access: Access, cache_bytes: usize, trust: Trust) -> Result<Database, OpenError> {
    let mut builder = Builder::new();
    builder.set_cache_size(cache_bytes).set_check_integrity_on_open(trust == Trust::None);
    // redb may panic on a file that was altered outside it: for us that is a refusal like any other.
    match catch_unwind(AssertUnwindSafe(|| builder.create_with_backend(access))) {
        Ok(Ok(database)) => Ok(database),
        Ok(Err(error)) => Err(refusal(&error)),
        Err(panic) => Err(damaged(&panic_text(&*panic))),
    }
}

fn refusal(error: &DatabaseError) -> OpenError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => {
            OpenError { reason: "another process has the ledger open".into(), cause: OpenCause::OutOfReach }
        }
        DatabaseError::Storage(::redb::StorageError::Io(io)) if io.kind() != ErrorKind::InvalidData => {
            OpenError { reason: io.to_string(), cause: OpenCause::OutOfReach }
        }
        other => damaged(&other.to_string()),
    }
}

fn damaged(reason: &str) -> OpenError {
    OpenError { reason: format!("its check at the start failed: {reason}"), cause: OpenCause::Damaged }
}

/// Makes the tables that are not there. Where all are, nothing is written: a start needs no room.
fn create_tables(open: &Open) -> Result<(), ::redb::Error> {
    let present: HashSet<String> =
        open.database.begin_read()?.list_tables()?.map(|table| table.name().to_owned()).collect();
    let mut names = TableId::ALL.iter().map(|table| table.name()).chain([ENGINE.name()]);
    if !open.writable || names.all(|name| present.contains(name)) {
        return Ok(());
    }
    let transaction = open.begin_write()?;
    for table in TableId::ALL {
        transaction.open_table(definition(table))?;
    }
    transaction.open_table(ENGINE)?;
    transaction.commit()?;
    Ok(())
}

/// Writes the number of the group whose transaction this is.
pub fn put_group(transaction: &WriteTransaction, group: u64) -> Result<(), ::redb::Error> {
    transaction.open_table(ENGINE)?.insert(LAST_GROUP, group.to_be_bytes().as_slice())?;
    Ok(())
}

fn last_group(database: &Database) -> Result<u64, ::redb::Error> {
    last_group_of(&database.begin_read()?)
}

/// The last group in a state; 0 where there was none.
fn last_group_of(transaction: &ReadTransaction) -> Result<u64, ::redb::Error> {
    let table = match transaction.open_table(ENGINE) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(0),
        table => table?,
    };
    let Some(number) = table.get(LAST_GROUP)? else { return Ok(0) };
    let number = <[u8; 8]>::try_from(number.value());
    number.map(u64::from_be_bytes).map_err(|_| ::redb::Error::Corrupted("a group's number is none".into()))
}
