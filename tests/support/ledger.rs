//! Every row of a stopped server's ledger, as bytes: what must be the same before and after is compared
//! without asking the program that wrote it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use redb::{Builder, ReadableDatabase as _, ReadableTable as _, TableDefinition, TableHandle as _};

/// Key and value of each row, by table.
pub type Rows = BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>;

/// Reads a copy, so that the ledger itself stays as the server left it.
pub fn rows(data: &Path) -> Rows {
    let copy = tempfile::NamedTempFile::new().expect("a temporary file");
    fs::copy(data.join("ledger").join("ledger.redb"), copy.path()).expect("a ledger to copy");
    let database = Builder::new().open(copy.path()).expect("the copy opens");
    let transaction = database.begin_read().expect("a snapshot");
    let names: Vec<_> = transaction.list_tables().expect("the tables").collect();
    let mut rows = Rows::new();
    for name in names {
        let definition = TableDefinition::<&[u8], &[u8]>::new(name.name());
        let table = transaction.open_table(definition).expect("a table of bytes");
        let entries = table.iter().expect("its rows").map(|entry| {
            let (key, value) = entry.expect("a row");
            (key.value().to_vec(), value.value().to_vec())
        });
        rows.insert(name.name().to_owned(), entries.collect());
    }
    rows
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
