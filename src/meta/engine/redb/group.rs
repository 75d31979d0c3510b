//! A redb write transaction as rows, with the list that undoes one closure of the group alone.

use super::super::changes::Changes;
use super::super::{EngineError, KeyRange, Limit, ReadRows, Row, TableId, WriteRows};
use super::journal::frame::put_change;
use super::snapshot::{read_range, read_range_back};
use super::{definition, storage};
use ::redb::{ReadableTable, Table, WriteTransaction};

type OpenTable<'txn> = Table<'txn, &'static [u8], &'static [u8]>;

/// The rows of one group of closures, open for writing.
pub struct GroupRows<'txn> {
    tables: Vec<OpenTable<'txn>>,
    changes: Changes,
}

impl<'txn> GroupRows<'txn> {
    /// Opens every table of `transaction`.
    pub fn open(transaction: &'txn WriteTransaction) -> Result<Self, EngineError> {
        let open = |table| transaction.open_table(definition(table)).map_err(storage);
        let tables = TableId::ALL.into_iter().map(open).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { tables, changes: Changes::default() })
    }

    /// Marks the beginning of a closure.
    pub fn begin_closure(&mut self) -> usize {
        self.changes.begin_closure()
    }

    /// Takes back all that was changed since `mark`.
    pub fn undo(&mut self, mark: usize) -> Result<(), EngineError> {
        for change in self.changes.since(mark) {
            let table = &mut self.tables[change.table.index()];
            let key = change.key.as_slice();
            match change.before {
                Some(value) => drop(table.insert(key, value.as_slice()).map_err(storage)?),
                None => drop(table.remove(key).map_err(storage)?),
            }
        }
        Ok(())
    }

    /// How many bytes the group has written.
    pub fn bytes_written(&self) -> usize {
        self.changes.bytes_written()
    }

    /// What the journal gets: every change, in the order in which they were made.
    pub fn payload(&self) -> Vec<u8> {
        let mut payload = Vec::new();
        for change in self.changes.iter() {
            put_change(&mut payload, change.table, &change.key, change.after.as_deref());
        }
        payload
    }

    /// Whether the group changed nothing.
    pub fn is_unchanged(&self) -> bool {
        self.changes.is_empty()
    }
}

impl ReadRows for GroupRows<'_> {
    fn get(&self, table: TableId, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        let value = self.tables[table.index()].get(key).map_err(storage)?;
        Ok(value.map(|guard| guard.value().to_vec()))
    }

    fn range(&self, table: TableId, range: &KeyRange, limit: Limit) -> Result<Vec<Row>, EngineError> {
        read_range(&self.tables[table.index()], range, limit)
    }

    fn range_back(&self, table: TableId, range: &KeyRange, limit: Limit) -> Result<Vec<Row>, EngineError> {
        read_range_back(&self.tables[table.index()], range, limit)
    }
}

impl WriteRows for GroupRows<'_> {
    fn as_read(&self) -> &dyn ReadRows {
        self
    }

    fn put(&mut self, table: TableId, key: &[u8], value: &[u8]) -> Result<(), EngineError> {
        self.changes.charge(key, value);
        let before = self.tables[table.index()].insert(key, value).map_err(storage)?;
        let before = before.map(|guard| guard.value().to_vec());
        self.changes.note(table, key, before, Some(value));
        Ok(())
    }

    fn insert_if_absent(&mut self, table: TableId, key: &[u8], value: &[u8]) -> Result<bool, EngineError> {
        if self.get(table, key)?.is_some() {
            return Ok(false);
        }
        self.put(table, key, value)?;
        Ok(true)
    }

    fn remove(&mut self, table: TableId, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        self.changes.charge(key, &[]);
        let before = self.tables[table.index()].remove(key).map_err(storage)?;
        let before = before.map(|guard| guard.value().to_vec());
        if before.is_some() {
            self.changes.note(table, key, before.clone(), None);
        }
        Ok(before)
    }

    fn add(&mut self, counter: &[u8], delta: i64) -> Result<(), EngineError> {
        let present = self.get(TableId::Counter, counter)?;
        let present = present.map_or(Ok(0), |bytes| {
            <[u8; 8]>::try_from(bytes.as_slice()).map(i64::from_be_bytes).map_err(|_| {
                EngineError::Storage(format!("a counter has {} bytes instead of 8", bytes.len()))
            })
        })?;
        let sum = present.checked_add(delta).expect("no counter comes near 2^63");
        if sum == 0 {
            // It starts at 0: what is counted no more leaves nothing behind.
            return self.remove(TableId::Counter, counter).map(drop);
        }
        self.put(TableId::Counter, counter, &sum.to_be_bytes())
    }

    /// There is one writer, so every name is locked already.
    fn lock(&mut self, _name: &[u8]) -> Result<(), EngineError> {
        Ok(())
    }
}
