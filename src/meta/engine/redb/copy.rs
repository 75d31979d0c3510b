//! A ledger of its own with the rows of a snapshot.

use super::super::{Engine, EngineError, KeyRange, Limit, ReadRows, TableId, Verdict, WriteError};
use super::RedbEngine;
use ::redb::StorageBackend;
use std::sync::{Arc, Mutex, PoisonError};

/// How many rows are written in one transaction.
const PAGE: Limit = Limit { rows: 4096, bytes: 4 * 1024 * 1024 };

/// The memory for the pages of the copy while it is made.
const CACHE_BYTES: usize = 8 * 1024 * 1024;

/// Makes a ledger in empty storage with all rows that `rows` has.
pub fn copy(rows: &dyn ReadRows, storage: impl StorageBackend) -> Result<(), EngineError> {
    let refused = |error: super::OpenError| EngineError::Storage(error.reason);
    let copy = RedbEngine::open_backend(storage, CACHE_BYTES, Box::new(|_| {})).map_err(refused)?;
    for table in TableId::ALL {
        let mut range = KeyRange::all();
        loop {
            let page = rows.range(table, &range, PAGE)?;
            let Some((last, _)) = page.last() else { break };
            range = range.after_bytes(last);
            write(&copy, table, page)?;
        }
    }
    Ok(())
}

fn write(copy: &RedbEngine, table: TableId, page: Vec<super::super::Row>) -> Result<(), EngineError> {
    let failed = Arc::new(Mutex::new(None));
    let told = Arc::clone(&failed);
    let written = copy.write(Box::new(move |rows| {
        let put = page.iter().try_for_each(|(key, value)| rows.put(table, key, value));
        let verdict = if put.is_ok() { Verdict::Keep } else { Verdict::Undo };
        *told.lock().unwrap_or_else(PoisonError::into_inner) = put.err();
        verdict
    }));
    match (written, failed.lock().unwrap_or_else(PoisonError::into_inner).take()) {
        (Ok(()), None) => Ok(()),
        (Ok(()), Some(error)) | (Err(WriteError::Engine(error)), _) => Err(error),
        (Err(error), _) => Err(EngineError::Storage(format!("a copy of the ledger: {error}"))),
    }
}
