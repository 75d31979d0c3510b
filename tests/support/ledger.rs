//! Every row of a stopped server's ledger, as bytes: what must be the same before and after is compared
//! below all that the server makes of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use wharfinger::disk::{Mode, RealDisk};
use wharfinger::meta::engine::redb::{LedgerOptions, Place, RedbEngine};
use wharfinger::meta::engine::{Engine as _, KeyRange, Limit, TableId};

/// Key and value of each row, by table.
pub type Rows = BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>;

/// Reads the ledger of a server that has ended, however it ended, and leaves it as it is.
pub fn rows(data: &Path) -> Rows {
    let mode = Mode { bits: 0o600, exact: false };
    let place = Place {
        disk: Arc::new(RealDisk),
        directory: data.join("ledger"),
        file_mode: mode,
        directory_mode: mode,
    };
    let engine = RedbEngine::open_to_look(&place, LedgerOptions::default()).expect("a ledger");
    let snapshot = engine.snapshot().expect("a snapshot");
    let all = |table: TableId| {
        let rows = snapshot.range(table, &KeyRange::all(), Limit::rows(usize::MAX)).expect("its rows");
        (table.name().to_owned(), rows.into_iter().collect())
    };
    TableId::ALL.into_iter().map(all).collect()
}

/// What differs, a line for each row.
pub fn differences(before: &Rows, after: &Rows) -> Vec<String> {
    let none = BTreeMap::new();
    let mut found = Vec::new();
    for table in before.keys().chain(after.keys().filter(|table| !before.contains_key(*table))) {
        let (old, new) = (before.get(table).unwrap_or(&none), after.get(table).unwrap_or(&none));
        for (key, value) in old {
            match new.get(key) {
                None => found.push(format!("{table}: {} is gone", key.escape_ascii())),
                Some(present) if present != value => {
                    let (value, present) = (value.escape_ascii(), present.escape_ascii());
                    found.push(format!("{table}: {} was {value}, is {present}", key.escape_ascii()));
                }
                Some(_) => {}
            }
        }
        let added = new.keys().filter(|key| !old.contains_key(*key));
        found.extend(added.map(|key| format!("{table}: {} is new", key.escape_ascii())));
    }
    found
}
