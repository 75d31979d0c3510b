//! A redb read transaction as rows.

use super::super::{EngineError, KeyRange, Limit, ReadRows, Row, TableId};
use super::{definition, storage};
use ::redb::{ReadOnlyTable, ReadTransaction, ReadableTable};
use std::cell::OnceCell;
use std::ops::Bound;

/// One committed state. Tables are opened when they are first asked for.
pub struct RedbSnapshot {
    transaction: ReadTransaction,
    tables: [OnceCell<ReadOnlyTable<&'static [u8], &'static [u8]>>; TableId::ALL.len()],
}

impl RedbSnapshot {
    pub fn new(transaction: ReadTransaction) -> Self {
        Self { transaction, tables: [const { OnceCell::new() }; TableId::ALL.len()] }
    }

    fn table(&self, table: TableId) -> Result<&ReadOnlyTable<&'static [u8], &'static [u8]>, EngineError> {
        let cell = &self.tables[table.index()];
        if let Some(open) = cell.get() {
            return Ok(open);
        }
        let opened = self.transaction.open_table(definition(table)).map_err(storage)?;
        Ok(cell.get_or_init(|| opened))
    }
}

impl ReadRows for RedbSnapshot {
    fn get(&self, table: TableId, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        let value = self.table(table)?.get(key).map_err(storage)?;
        Ok(value.map(|guard| guard.value().to_vec()))
    }

    fn range(&self, table: TableId, range: &KeyRange, limit: Limit) -> Result<Vec<Row>, EngineError> {
        read_range(self.table(table)?, range, limit)
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
    let start = Bound::Included(range.start.as_slice());
    let end = range.end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let mut rows: Vec<Row> = Vec::new();
    let mut bytes = 0_usize;
    for row in table.range::<&[u8]>((start, end)).map_err(storage)?.take(limit.rows) {
        let (key, value) = row.map_err(storage)?;
        bytes = bytes.saturating_add(key.value().len() + value.value().len());
        if bytes > limit.bytes && !rows.is_empty() {
            break;
        }
        rows.push((key.value().to_vec(), value.value().to_vec()));
    }
    Ok(rows)
}
