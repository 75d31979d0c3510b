//! The typed operations: what a snapshot and a write transaction offer to the rest of the program.

use super::MetaError;
use super::codec::Value;
use super::engine::{KeyRange, Limit, ReadRows, TableId, WriteRows};
use super::key::{Key, RepoId};
use super::tables::Table;
use std::sync::Mutex;

/// A row with the bytes of its key.
pub type ScannedRow<K, V> = (Vec<u8>, Result<(K, V), MetaError>);

/// Reading, the same on a snapshot and inside a write.
pub trait Read {
    /// The untyped rows.
    #[doc(hidden)]
    fn rows(&self) -> &dyn ReadRows;

    /// The record under `key`.
    fn get<K: Key, V: Value>(&self, table: &Table<K, V>, key: &K) -> Result<Option<V>, MetaError> {
        let bytes = self.rows().get(table.id(), &key.to_key())?;
        bytes.map(|bytes| value_of(table.id(), &bytes)).transpose()
    }

    /// The records under `keys`, in their order; one round trip where the engine is elsewhere.
    fn get_many<K: Key, V: Value>(
        &self,
        table: &Table<K, V>,
        keys: &[K],
    ) -> Result<Vec<Option<V>>, MetaError> {
        let keys: Vec<Vec<u8>> = keys.iter().map(Key::to_key).collect();
        let rows = self.rows().get_many(table.id(), &keys)?;
        rows.into_iter().map(|row| row.map(|bytes| value_of(table.id(), &bytes)).transpose()).collect()
    }

    /// Whether there is a row under `key`.
    fn contains<K: Key, V: Value>(&self, table: &Table<K, V>, key: &K) -> Result<bool, MetaError> {
        Ok(self.rows().get(table.id(), &key.to_key())?.is_some())
    }

    /// At most `limit` rows of `range`, in the order of their keys.
    fn page<K: Key, V: Value>(
        &self,
        table: &Table<K, V>,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<(K, V)>, MetaError> {
        let rows = self.scan(table, range, Limit::rows(limit))?;
        rows.into_iter().map(|(_, row)| row).collect()
    }

    /// At most `limit` rows from the end of `range`, the last first.
    fn page_back<K: Key, V: Value>(
        &self,
        table: &Table<K, V>,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<(K, V)>, MetaError> {
        let rows = self.rows().range_back(table.id(), range, Limit::rows(limit))?;
        let read =
            |(key, value): (Vec<u8>, Vec<u8>)| Ok((key_of(table.id(), &key)?, value_of(table.id(), &value)?));
        rows.into_iter().map(read).collect()
    }

    /// The first rows of `range`, each with its key's bytes, as many as `limit` says. One that cannot be read
    /// hides no other.
    fn scan<K: Key, V: Value>(
        &self,
        table: &Table<K, V>,
        range: &KeyRange,
        limit: Limit,
    ) -> Result<Vec<ScannedRow<K, V>>, MetaError> {
        let rows = self.rows().range(table.id(), range, limit)?;
        debug_assert!(rows.len() <= limit.rows);
        let read = |key: &[u8], value: &[u8]| Ok((key_of(table.id(), key)?, value_of(table.id(), value)?));
        Ok(rows
            .into_iter()
            .map(|(key, value)| {
                let row = read(&key, &value);
                (key, row)
            })
            .collect())
    }

    /// The value of a counter.
    fn counter(&self, counter: &str) -> Result<i64, MetaError> {
        let Some(bytes) = self.rows().get(TableId::Counter, counter.as_bytes())? else { return Ok(0) };
        // The engine writes eight bytes, of a signed number.
        value_of::<super::tables::Number>(TableId::Counter, &bytes).map(|number| number.0.cast_signed())
    }

    /// The first row of `range`.
    fn first<K: Key, V: Value>(
        &self,
        table: &Table<K, V>,
        range: &KeyRange,
    ) -> Result<Option<(K, V)>, MetaError> {
        Ok(self.page(table, range, 1)?.pop())
    }
}

fn key_of<K: Key>(table: TableId, bytes: &[u8]) -> Result<K, MetaError> {
    K::from_key(bytes).map_err(|source| MetaError::Codec { table: table.name(), source })
}

fn value_of<V: Value>(table: TableId, bytes: &[u8]) -> Result<V, MetaError> {
    V::from_bytes(bytes).map_err(|source| MetaError::Codec { table: table.name(), source })
}

/// One committed state of the ledger. Hold it for a page of rows, not for a stream: what it can see is kept.
pub struct Snapshot {
    rows: Box<dyn ReadRows>,
}

impl Snapshot {
    /// The state behind `rows`.
    #[must_use]
    pub fn new(rows: Box<dyn ReadRows>) -> Self {
        Self { rows }
    }

    /// Whether the state could not be read to the end: another one may be.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.rows.is_lost()
    }
}

impl Read for Snapshot {
    fn rows(&self) -> &dyn ReadRows {
        &*self.rows
    }
}

/// Something to be done once it is known whether a write was committed.
pub type Effect = Box<dyn FnOnce() + Send>;

/// What a write leaves to be done outside the transaction.
#[derive(Default)]
pub struct Effects {
    /// Run after the commit is durable.
    pub after_commit: Vec<Effect>,
    /// Run when the write was refused or panicked: nothing of it is in the ledger.
    pub on_abort: Vec<Effect>,
}

/// A write in progress. The closure that holds it may be run again, so all that it does is done through it.
pub struct Tx<'a> {
    rows: &'a mut dyn WriteRows,
    effects: &'a Mutex<Effects>,
}

impl Read for Tx<'_> {
    fn rows(&self) -> &dyn ReadRows {
        self.rows.as_read()
    }
}

impl<'a> Tx<'a> {
    /// A write over `rows` that queues its effects in `effects`.
    #[must_use]
    pub fn new(rows: &'a mut dyn WriteRows, effects: &'a Mutex<Effects>) -> Self {
        Self { rows, effects }
    }

    /// Writes a row, whatever was there.
    pub fn put<K: Key, V: Value>(
        &mut self,
        table: &Table<K, V>,
        key: &K,
        value: &V,
    ) -> Result<(), MetaError> {
        Ok(self.rows.put(table.id(), &key.to_key(), &value.to_bytes())?)
    }

    /// Writes a row unless there is one; says whether it was written.
    pub fn insert_if_absent<K: Key, V: Value>(
        &mut self,
        table: &Table<K, V>,
        key: &K,
        value: &V,
    ) -> Result<bool, MetaError> {
        Ok(self.rows.insert_if_absent(table.id(), &key.to_key(), &value.to_bytes())?)
    }

    /// Removes a row and returns what it was.
    pub fn remove<K: Key, V: Value>(&mut self, table: &Table<K, V>, key: &K) -> Result<Option<V>, MetaError> {
        let bytes = self.rows.remove(table.id(), &key.to_key())?;
        bytes.map(|bytes| value_of(table.id(), &bytes)).transpose()
    }

    /// Adds to a counter that starts at 0.
    pub fn add(&mut self, counter: &str, delta: i64) -> Result<(), MetaError> {
        Ok(self.rows.add(counter.as_bytes(), delta)?)
    }

    /// Keeps other writers out of the repository until the commit. With one writer it is free; an engine with
    /// several needs it before a check that another repository write could falsify.
    pub fn lock(&mut self, repository: RepoId) -> Result<(), MetaError> {
        Ok(self.rows.lock(&repository.to_key())?)
    }

    /// Queues what is to be done after the commit, and only then.
    pub fn after_commit(&mut self, effect: impl FnOnce() + Send + 'static) {
        self.effects
            .lock()
            .expect("no effect runs while the queue is held")
            .after_commit
            .push(Box::new(effect));
    }

    /// Queues what is to be done if this write does not happen.
    pub fn on_abort(&mut self, effect: impl FnOnce() + Send + 'static) {
        self.effects.lock().expect("no effect runs while the queue is held").on_abort.push(Box::new(effect));
    }
}
