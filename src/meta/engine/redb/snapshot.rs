//! A redb read transaction as rows.

use super::super::{EngineError, KeyRange, Limit, ReadRows, Row, TableId};
use super::ledger::{Ledger, position_of};
use super::position::Position;
use super::{definition, storage};
use ::redb::{AccessGuard, ReadOnlyTable, ReadTransaction, ReadableTable, StorageError};
use std::cell::{Cell, OnceCell, RefCell};
use std::ops::Bound;
use std::sync::Arc;

type OpenTable = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// A read transaction. Tables are opened when they are first asked for.
pub struct View {
    transaction: ReadTransaction,
    tables: [OnceCell<OpenTable>; TableId::ALL.len()],
}

impl View {
    pub fn new(transaction: ReadTransaction) -> Self {
        Self { transaction, tables: [const { OnceCell::new() }; TableId::ALL.len()] }
    }

    fn position(&self) -> Result<Option<Position>, EngineError> {
        position_of(&self.transaction).map_err(storage)
    }

    fn table(&self, table: TableId) -> Result<&OpenTable, EngineError> {
        let cell = &self.tables[table.index()];
        if let Some(open) = cell.get() {
            return Ok(open);
        }
        let opened = self.transaction.open_table(definition(table)).map_err(storage)?;
        Ok(cell.get_or_init(|| opened))
    }
}

/// One committed state. It outlives an opening of the ledger whose disk had no room, unless another state was
/// committed since it was taken.
pub struct RedbSnapshot {
    ledger: Arc<Ledger>,
    /// The last group that was known when this was taken.
    group: u64,
    serial: Cell<u64>,
    view: RefCell<View>,
    lost: Cell<bool>,
}

impl RedbSnapshot {
    pub fn take(ledger: &Arc<Ledger>) -> Result<Self, EngineError> {
        let (view, serial, group) = ledger.view()?;
        let (view, serial) = (RefCell::new(view), Cell::new(serial));
        Ok(Self { ledger: Arc::clone(ledger), group, serial, view, lost: Cell::new(false) })
    }

    /// Where in the journal this state is.
    pub fn position(&self) -> Result<Position, EngineError> {
        let found = self.view.borrow().position()?;
        found.ok_or_else(|| EngineError::Storage("the ledger does not say where in the journal it is".into()))
    }

    fn read<T>(
        &self,
        table: TableId,
        read: impl Fn(&OpenTable) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        loop {
            let outcome = self.view.borrow().table(table).and_then(&read);
            if !matches!(outcome, Err(EngineError::Reopened)) {
                return outcome;
            }
            let again = self.ledger.view_again(self.serial.get(), self.group);
            self.lost.set(matches!(again, Err(EngineError::Reopened)));
            let (view, serial) = again?;
            self.view.replace(view);
            self.serial.set(serial);
        }
    }
}

impl ReadRows for RedbSnapshot {
    fn get(&self, table: TableId, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        self.read(table, |rows| {
            let value = rows.get(key).map_err(storage)?;
            Ok(value.map(|guard| guard.value().to_vec()))
        })
    }

    fn range(&self, table: TableId, range: &KeyRange, limit: Limit) -> Result<Vec<Row>, EngineError> {
        self.read(table, |rows| read_range(rows, range, limit))
    }

    fn range_back(&self, table: TableId, range: &KeyRange, limit: Limit) -> Result<Vec<Row>, EngineError> {
        self.read(table, |rows| read_range_back(rows, range, limit))
    }

    fn is_lost(&self) -> bool {
        self.lost.get()
    }
}

/// The first rows of `range`, in the order of their keys.
pub fn read_range(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    range: &KeyRange,
    limit: Limit,
) -> Result<Vec<Row>, EngineError> {
    if range.is_empty() {
        return Ok(Vec::new());
    }
    gather(table.range::<&[u8]>(bounds(range)).map_err(storage)?, limit)
}

/// The last rows of `range`, the last first.
pub fn read_range_back(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    range: &KeyRange,
    limit: Limit,
) -> Result<Vec<Row>, EngineError> {
    if range.is_empty() {
        return Ok(Vec::new());
    }
    gather(table.range::<&[u8]>(bounds(range)).map_err(storage)?.rev(), limit)
}

fn bounds(range: &KeyRange) -> (Bound<&[u8]>, Bound<&[u8]>) {
    let end = range.end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    (Bound::Included(range.start.as_slice()), end)
}

type Found<'a> = (AccessGuard<'a, &'static [u8]>, AccessGuard<'a, &'static [u8]>);

fn gather<'a>(
    found: impl Iterator<Item = Result<Found<'a>, StorageError>>,
    limit: Limit,
) -> Result<Vec<Row>, EngineError> {
    let mut rows: Vec<Row> = Vec::new();
    let mut bytes = 0_usize;
    for row in found.take(limit.rows) {
        let (key, value) = row.map_err(storage)?;
        bytes = bytes.saturating_add(key.value().len() + value.value().len());
        if bytes > limit.bytes && !rows.is_empty() {
            break;
        }
        rows.push((key.value().to_vec(), value.value().to_vec()));
    }
    Ok(rows)
}
