//! The open database, and its opening anew when the disk had no room for a commit.
//!
//! The journal is the truth and the database its index: most commits are in memory alone, with the position
//! in the journal as a row of their own, and from time to time one is synced. After the first error of its
//! storage redb writes nothing more until it is opened again; then it has the state of the last commit that
//! was synced, and the frames behind that are done again.
//!
//! Where the disk has no room even for the header that redb writes at an opening (file systems that never
//! overwrite in place), what it writes is kept in memory, and each later write first tries to open it
//! properly.
//!
//! The opening trusts the file, which nobody but redb wrote to since it was verified or recognised: a
//! two-phase commit never leaves a primary that is not whole.

use super::super::{EngineError, OpenCause, OpenError, TableId};
use super::bytes::{Reader, put};
use super::position::{Fork, POSITION_BYTES, Position, Timeline};
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
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Rows of the engine's own.
const ENGINE: TableDefinition<'static, &'static [u8], &'static [u8]> = TableDefinition::new("engine");
/// Where in the journal the rows are.
const POSITION: &[u8] = b"position";
/// The timelines that were left on the way there, the newest first.
const LINEAGE: &[u8] = b"lineage";

/// Does again what the journal has behind a position, and says which position that gives.
pub type Replay<'a> = dyn FnMut(&Open, Position) -> Result<Position, String> + 'a;

/// How far a file is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
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
    /// Whether the database is being opened again, or will be with the next write.
    reopens: AtomicBool,
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
    /// Begins a transaction that is synced at its end, or one that is in memory alone.
    pub fn begin_write(&self, durability: Durability) -> Result<WriteTransaction, ::redb::Error> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(durability)?;
        transaction.set_quick_repair(matches!(durability, Durability::Immediate));
        Ok(transaction)
    }

    /// Where in the journal the rows are; none in a database that was made before there was one.
    pub fn position(&self) -> Result<Option<Position>, ::redb::Error> {
        position_of(&self.database.begin_read()?)
    }

    /// The timelines that were left on the way there, the newest first.
    pub fn lineage(&self) -> Result<Vec<Fork>, ::redb::Error> {
        let transaction = self.database.begin_read()?;
        let Some(bytes) = engine_row(&transaction, LINEAGE)? else { return Ok(Vec::new()) };
        let mut reader = Reader(&bytes);
        let mut read = || Some(Fork { parent: Timeline(reader.array()?), sequence: reader.u64()? });
        Ok(std::iter::from_fn(&mut read).collect())
    }

    /// What became of the storage, if it answered with an error since it was opened.
    pub fn failure(&self) -> Option<&str> {
        self.watch.failure()
    }

    /// Whether the disk had no room for what this opening wrote.
    pub fn is_full(&self) -> bool {
        self.watch.is_full()
    }
}

impl Ledger {
    /// Opens the database in `storage`, or makes it where that is empty.
    pub fn open(
        storage: Arc<dyn StorageBackend>,
        cache_bytes: usize,
        trust: Trust,
    ) -> Result<Self, OpenError> {
        let open = open(&storage, cache_bytes, trust)?;
        if let Err(error) = create_tables(&open) {
            let cause = if open.is_full() { OpenCause::Full } else { OpenCause::Damaged };
            return Err(OpenError { reason: error.to_string(), cause });
        }
        Ok(Self::of(storage, cache_bytes, open))
    }

    /// Opens the database in `storage` and writes nothing to it: that is kept in memory.
    pub fn open_to_look(
        storage: Arc<dyn StorageBackend>,
        cache_bytes: usize,
        trust: Trust,
    ) -> Result<Self, OpenError> {
        let open = open_kept(&storage, cache_bytes, trust)?;
        Ok(Self::of(storage, cache_bytes, open))
    }

    fn of(storage: Arc<dyn StorageBackend>, cache_bytes: usize, open: Open) -> Self {
        let state = State { open: Some(open), serial: 0, over: false };
        let (state, changed) = (Mutex::new(state), Condvar::new());
        let (last_group, reopens) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { storage, cache_bytes, state, changed, last_group, reopens }
    }

    /// The present opening, whether or not it can be written to.
    pub fn present(&self) -> Result<Open, EngineError> {
        self.state().open.clone().ok_or(EngineError::Failed)
    }

    /// Closes the database. Whoever still reads keeps it open until then.
    pub fn close(&self) {
        let mut state = self.state();
        state.over = true;
        drop(state.open.take());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What a panic leaves here is an opening that was not replaced: as good as before.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last group that is known to be committed.
    pub fn last_group(&self) -> u64 {
        self.last_group.load(Ordering::Acquire)
    }

    /// Whether readers may have to wait until the database was opened again.
    pub fn reopens(&self) -> bool {
        self.reopens.load(Ordering::Relaxed)
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
            match position_of(&transaction).map_err(storage) {
                Ok(Some(found)) if found.sequence == group => return Ok((View::new(transaction), present)),
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

    /// Opens the database again and does again what the journal has behind it. Nobody reads meanwhile.
    ///
    /// Only the writer calls it, with no other [`Open`] in its hands.
    pub fn reopen(&self, replay: &mut Replay<'_>) -> Result<Position, OpenError> {
        self.reopens.store(true, Ordering::Relaxed);
        let mut state = self.state();
        let closed = catch_unwind(AssertUnwindSafe(|| drop(state.open.take())));
        if closed.is_err() {
            // Its locks would keep us out.
            drop(self.storage.close());
        }
        let open = open(&self.storage, self.cache_bytes, Trust::Ours)?;
        let (open, position) = match replayed(open.clone(), replay) {
            // There is no room for what comes behind it: that is kept in memory.
            Err(_) if open.writable && open.is_full() => {
                drop(open);
                replayed(open_kept(&self.storage, self.cache_bytes, Trust::Ours)?, replay)?
            }
            outcome => outcome?,
        };
        self.reopens.store(!open.writable, Ordering::Relaxed);
        state.open = Some(open);
        state.serial += 1;
        self.set_last_group(position.sequence);
        self.changed.notify_all();
        Ok(position)
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
    open_kept(storage, cache_bytes, trust)
}

/// Opens the database and keeps in memory what is written to it.
fn open_kept(storage: &Arc<dyn StorageBackend>, cache_bytes: usize, trust: Trust) -> Result<Open, OpenError> {
    let watch = Arc::new(Watch::default());
    let access = Access::reading(Arc::clone(storage), Arc::clone(&watch));
    let database = Arc::new(open_database(access, cache_bytes, trust)?);
    Ok(Open { database, watch, writable: false })
}

/// Does again what comes behind the state of an opening.
fn replayed(open: Open, replay: &mut Replay<'_>) -> Result<(Open, Position), OpenError> {
    let before = open.position().map_err(|error| damaged(&error.to_string()))?;
    let before = before.ok_or_else(|| damaged("it does not say where in the journal it is"))?;
    match replay(&open, before) {
        Ok(position) => Ok((open, position)),
        Err(reason) => {
            let cause = if open.is_full() { OpenCause::Full } else { OpenCause::Damaged };
            Err(OpenError { reason, cause })
        }
    }
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
    let transaction = open.begin_write(Durability::Immediate)?;
    for table in TableId::ALL {
        transaction.open_table(definition(table))?;
    }
    transaction.open_table(ENGINE)?;
    transaction.commit()?;
    Ok(())
}

/// Writes where in the journal the rows of a transaction are.
pub fn put_position(transaction: &WriteTransaction, position: Position) -> Result<(), ::redb::Error> {
    transaction.open_table(ENGINE)?.insert(POSITION, position.to_bytes().as_slice())?;
    Ok(())
}

/// Writes which timelines were left on the way there.
pub fn put_lineage(transaction: &WriteTransaction, lineage: &[Fork]) -> Result<(), ::redb::Error> {
    let mut bytes = Vec::new();
    for fork in lineage {
        bytes.extend(fork.parent.0);
        put(&mut bytes, fork.sequence);
    }
    transaction.open_table(ENGINE)?.insert(LINEAGE, bytes.as_slice())?;
    Ok(())
}

/// Where in the journal the rows of a state are.
pub fn position_of(transaction: &ReadTransaction) -> Result<Option<Position>, ::redb::Error> {
    let Some(bytes) = engine_row(transaction, POSITION)? else { return Ok(None) };
    let position = Position::read(&mut Reader(&bytes)).filter(|_| bytes.len() == POSITION_BYTES);
    let unreadable = || ::redb::Error::Corrupted("the position in the journal cannot be read".into());
    position.map(Some).ok_or_else(unreadable)
}

fn engine_row(transaction: &ReadTransaction, key: &[u8]) -> Result<Option<Vec<u8>>, ::redb::Error> {
    let table = match transaction.open_table(ENGINE) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        table => table?,
    };
    Ok(table.get(key)?.map(|value| value.value().to_vec()))
}
