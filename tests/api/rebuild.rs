//! `rebuild`: the ledger's database made anew from snapshot and journal, and what files alone say.

use std::fs;

use crate::support::command::{answer, command};
use crate::support::{ImageBuilder, Server};

#[test]
fn a_database_that_is_lost_or_torn_is_made_anew() {
    for torn in [true, false] {
        let mut server = Server::start();
        let image = ImageBuilder::sample(910).build();
        image.push(&server.client(), "app", "v1");
        assert!(server.stop().success());
        let database = server.data().join("ledger/ledger.redb");
        if torn {
            fs::write(&database, b"nothing of a database").expect("it is written over");
        } else {
            fs::remove_file(&database).expect("it was there");
        }
        command(&server, &["rebuild"]).expect_code(0).expect_words("as of").expect_words("verify --deep");
        server.verify();
        server.restart();
        image.assert_pullable(&server.client(), "app", "v1");
        assert_eq!(server.client().tags("app"), ["v1"]);
    }
}

#[test]
fn a_whole_database_is_made_anew_on_request() {
    let mut server = Server::start();
    let image = ImageBuilder::sample(911).build();
    image.push(&server.client(), "app", "v1");
    let pid = server.pid().to_string();
    command(&server, &["rebuild"]).expect_code(2).expect_words(&pid);
    assert!(server.stop().success());
    assert!(answer(&server, &["rebuild"])["words"].as_str().is_some_and(|words| words.contains("made anew")));
    server.restart();
    image.assert_pullable(&server.client(), "app", "v1");
}

#[test]
fn files_alone_say_what_they_hold() {
    let mut server = Server::start();
    let image = ImageBuilder::sample(912).build();
    image.push(&server.client(), "app", "v1");
    assert!(server.stop().success());
    let ledger = server.data().join("ledger");
    fs::rename(&ledger, server.data().with_file_name("ledger aside")).expect("moved aside");
    // A start must not take the files for garbage.
    command(&server, &["serve", "--listen", "127.0.0.1:0"]).expect_code(2).expect_words("no ledger");
    let said = command(&server, &["rebuild", "--files-only"]).expect_code(0).expect_words("repositories");
    image.blob_digests().iter().fold(said, |said, digest| said.expect_words(digest));
    let listed = answer(&server, &["rebuild", "--files-only"]);
    assert_eq!(listed["count"], image.blob_digests().len());
    fs::remove_dir_all(&ledger).expect("the start made an empty one");
    fs::rename(server.data().with_file_name("ledger aside"), &ledger).expect("put back");
    server.restart();
    image.assert_pullable(&server.client(), "app", "v1");
}
