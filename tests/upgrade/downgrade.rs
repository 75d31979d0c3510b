//! A directory that a newer program wrote.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use wharfinger::meta::records::SchemaRecord;
use wharfinger::migrations;
use wharfinger::store::tables::SCHEMA;
use wharfinger::store::{DataDir, LedgerOptions, Store, StoreError, StoreOptions};

use crate::support::process::run;
use crate::support::{ImageBuilder, Server, ledger};

/// Leaves the directory as a program would whose schema is so much newer.
fn set_schema(data: &Path, version: u32) {
    let dir = DataDir::open(data).expect("the directory opens");
    let on_failure = Arc::new(|words: &str| panic!("the disk failed: {words}"));
    let options = StoreOptions { ledger: LedgerOptions::default(), on_failure };
    let store = Store::open(dir, options).expect("the store opens");
    store.settle().expect("it is the original");
    let write = move |tx: &mut wharfinger::meta::Tx<'_>| {
        tx.put(&SCHEMA, &(), &SchemaRecord { version, cursor: Vec::new() })?;
        Ok::<_, StoreError>(())
    };
    store.write(write).expect("the schema is written");
}

#[test]
fn a_newer_directory_is_refused_and_stays_as_it_is() {
    let mut server = Server::start();
    ImageBuilder::sample(1).build().push(&server.client(), "team/app", "v1");
    assert!(server.stop().success(), "a clean stop");
    let newer = migrations::newest() + 1;
    set_schema(server.data(), newer);
    let before = ledger::rows(server.data());
    let words = format!("has schema {newer}, this program knows {}", migrations::newest());
    let data = server.data().to_str().expect("a path in UTF-8").to_owned();
    for is_copy in [false, true] {
        if is_copy {
            // From the snapshot and the frames it is seen as well.
            fs::remove_file(server.data().join("ledger/ledger.redb")).expect("it was there");
        }
        let said = server.try_restart().expect_err("it is refused").expect_refusal();
        said.expect_words(&words).expect_words("written by a newer wharfinger; start that version");
        run(&["verify", "--data", &data], &[]).expect_refusal().expect_words(&words);
        if !is_copy {
            let found = ledger::differences(&before, &ledger::rows(server.data()));
            assert!(found.is_empty(), "{found:#?}");
        }
    }
    server.into_dirty();
}
