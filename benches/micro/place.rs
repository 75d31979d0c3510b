//! A store in a temporary directory.

use std::sync::Arc;
use tempfile::TempDir;
use wharfinger::registry::{DataDir, LedgerOptions, Store, StoreOptions};

/// A new store; the directory goes with it.
pub struct Place {
    pub store: Store,
    _home: TempDir,
}

impl Place {
    pub fn new() -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        let dir = DataDir::open(&home.path().join("data")).expect("a new directory");
        let on_failure = Arc::new(|words: &str| panic!("the disk failed: {words}"));
        let options = StoreOptions { ledger: LedgerOptions::default(), on_failure };
        Self { store: Store::open(dir, options).expect("a ledger"), _home: home }
    }
}
