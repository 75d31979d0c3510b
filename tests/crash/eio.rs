//! A disk on which a call fails: the server ends and says so, nothing that failed was acknowledged, and what
//! was acknowledged is there at the next start. A file that cannot be read is damaged, and that is no end.

mod strace;

use std::path::PathBuf;
use std::process::Command;
use std::thread;

use crate::kill9::worker::Worker;
use crate::random::{self, Random};
use crate::support::{Client, ImageBuilder, Server, bytes, files};
use strace::{Fault, Strace};

const WORKERS: usize = 4;

/// The exit code that says that the disk failed.
const DISK_FAILED: i32 = 3;

/// What strace makes the calls say.
const WORDS: &str = "Input/output error";

/// What a server writes to the disk by. Names of calls that a machine does not have are passed over.
const WRITES: [&str; 6] =
    ["fdatasync", "fsync", "pwrite64", "?rename,?renameat,?renameat2", "linkat", "fallocate"];

/// The latest call of a thread that fails.
const LATEST: usize = 6;

/// A server with short pieces of the journal, so that a test meets the end of some.
fn server() -> Server {
    Server::builder().env("WHARFINGER_LEDGER_SEGMENT_MAX_BYTES", "262144").start()
}

/// Lets the workers work until the fault has ended the server, and starts that again.
fn work_until_it_fails(test: &str, server: &mut Server, workers: &mut [Worker], fault: &Fault<'_>) -> bool {
    let address = server.addr();
    let Some(mut strace) = Strace::attach(test, server.pid(), fault) else { return false };
    let status = thread::scope(|scope| {
        for worker in workers.iter_mut() {
            scope.spawn(move || worker.work(&Client::new(address), 1));
        }
        server.wait_for_end()
    });
    strace.wait_for_end();
    let failed = strace.failed_calls();
    println!("{test}: {fault:?}: {failed:?}");
    assert!(!failed.is_empty(), "{fault:?} came to nothing");
    assert_eq!(status.code(), Some(DISK_FAILED), "{failed:?}: {status}; {}", server.log());
    let log = server.log();
    let (_, last_words) = log.rsplit_once("wharfinger: the disk failed: ").expect("it says so");
    assert!(last_words.contains(WORDS) && last_words.contains("start again"), "{last_words}");
    server.restart();
    for worker in workers {
        worker.check(&server.client(), true);
    }
    true
}

#[test]
fn a_call_that_fails_ends_the_server_and_nothing_of_it_was_acknowledged() {
    const TEST: &str = "crash::eio::a_call_that_fails_ends_the_server_and_nothing_of_it_was_acknowledged";
    if !strace::is_there(TEST) {
        return;
    }
    let mut random = Random::new(random::seed(TEST));
    for calls in WRITES {
        let mut workers: Vec<_> = (0..WORKERS).map(|number| Worker::new(number, random.draw())).collect();
        let mut server = server();
        // A thread that does it seldom comes no further.
        let latest = if calls == "fallocate" { 2 } else { LATEST };
        let fault = Fault { calls, when: (1 + random.below(latest)).to_string(), path: None };
        if !work_until_it_fails(TEST, &mut server, &mut workers, &fault) {
            return;
        }
        for worker in &mut workers {
            worker.finish_sessions(&server.client());
        }
    }
}

/// The name of a piece of the journal that is made ready would be as lost as that of one in use.
#[test]
fn a_directory_that_cannot_be_synced_ends_the_server() {
    const TEST: &str = "crash::eio::a_directory_that_cannot_be_synced_ends_the_server";
    if !strace::is_there(TEST) {
        return;
    }
    let mut random = Random::new(random::seed(TEST));
    let mut server = server();
    // It is in a piece already: the next sync of the directory is for the one that is made ready.
    ImageBuilder::sample(random.draw()).build().push(&server.client(), "team/app", "v1");
    let mut workers: Vec<_> = (0..WORKERS).map(|number| Worker::new(number, random.draw())).collect();
    let ledger = server.data().join("ledger").canonicalize().expect("a directory");
    let fault = Fault { calls: "fsync", when: "1".to_owned(), path: Some(&ledger) };
    work_until_it_fails(TEST, &mut server, &mut workers, &fault);
}

/// The thread that makes snapshots answers nobody, and is told of a disk that fails like any other.
#[test]
fn a_snapshot_that_cannot_be_named_ends_the_server() {
    const TEST: &str = "crash::eio::a_snapshot_that_cannot_be_named_ends_the_server";
    if !strace::is_there(TEST) {
        return;
    }
    let seed = random::seed(TEST);
    let mut server = Server::builder().env("WHARFINGER_LEDGER_SNAPSHOT_BYTES", "65536").start();
    let base = ImageBuilder::sample(seed);
    base.clone().build().push(&server.client(), "team/app", "v0");
    // Nothing else is renamed from now on.
    let fault = Fault { calls: "?rename,?renameat,?renameat2", when: "1".to_owned(), path: None };
    let Some(mut strace) = Strace::attach(TEST, server.pid(), &fault) else { return };
    let (client, words) = (server.client(), "words ".repeat(5000));
    let image =
        |number: usize| base.clone().annotation("org.example.words", &format!("{number} {words}")).build();
    let put = |number: &usize| {
        let image = image(*number);
        let path = format!("/v2/team/app/manifests/v{number}");
        let request = client.request("PUT", &path).header("content-type", &image.media_type);
        request.body(&image.bytes).attempt().is_some_and(|reply| reply.expect_status(201).status == 201)
    };
    let acknowledged: Vec<_> = (1..1000).take_while(put).collect();
    assert_eq!(server.wait_for_end().code(), Some(DISK_FAILED), "{}", server.log());
    strace.wait_for_end();
    let failed = strace.failed_calls();
    assert!(failed.len() == 1 && failed[0].contains("/snapshot-"), "{failed:?}");
    assert!(server.log().contains("wharfinger: the disk failed: a snapshot"), "{}", server.log());
    server.restart();
    for number in acknowledged {
        image(number).assert_pullable(&server.client(), "team/app", &format!("v{number}"));
    }
}

/// Copies the directory of a stopped server.
fn copy_of(server: &Server, home: &tempfile::TempDir) -> PathBuf {
    let copy = home.path().join("copy");
    let status = Command::new("cp").arg("-a").arg(server.data()).arg(&copy).status().expect("cp");
    assert!(status.success(), "{status}");
    copy
}

#[test]
fn a_start_that_meets_a_failing_disk_is_refused_and_the_next_one_serves() {
    const TEST: &str = "crash::eio::a_start_that_meets_a_failing_disk_is_refused_and_the_next_one_serves";
    if !strace::is_there(TEST) {
        return;
    }
    let image = ImageBuilder::sample(random::seed(TEST)).build();
    let mut server = Server::start();
    image.push(&server.client(), "team/app", "v1");
    server.kill();
    let home = tempfile::tempdir().expect("a temporary directory");
    let copy = copy_of(&server, &home);
    for calls in ["fsync", "pwrite64", "fdatasync", "linkat", "syncfs"] {
        let fault = Fault { calls, when: "1".to_owned(), path: None };
        let (said, failed) = strace::serve(&copy, &fault);
        println!("{TEST}: {failed:?}: {}", said.stderr);
        assert_eq!(failed.len(), 1, "{calls}: {failed:?}");
        said.expect_refusal().expect_words(WORDS);
    }
    let copied = Server::builder().data(&copy).start();
    image.assert_pullable(&copied.client(), "team/app", "v1");
    drop(copied);
    server.restart();
}

#[test]
fn a_file_that_cannot_be_read_is_damaged_and_the_server_goes_on() {
    const TEST: &str = "crash::eio::a_file_that_cannot_be_read_is_damaged_and_the_server_goes_on";
    if !strace::is_there(TEST) {
        return;
    }
    let seed = random::seed(TEST);
    let (layer, mut server) = (bytes::random(seed, 3_000_000), Server::start());
    let image = ImageBuilder::sample(seed + 1).layer(&layer).build();
    let other = ImageBuilder::sample(seed + 2).build();
    image.push(&server.client(), "team/app", "v1");
    other.push(&server.client(), "team/other", "v1");
    let digest = bytes::digest(&layer);
    let file = files::blob_file(server.data(), &digest).canonicalize().expect("a file");
    let fault = Fault { calls: "sendfile", when: "1+".to_owned(), path: Some(&file) };
    let Some(strace) = Strace::attach(TEST, server.pid(), &fault) else { return };
    let path = format!("/v2/team/app/blobs/{digest}");
    let client = server.client();
    assert!(client.request("GET", &path).attempt().is_none(), "cut off, and not ended as if it were whole");
    assert!(!strace.failed_calls().is_empty());
    drop(strace);
    client.assert_blob_status("team/app", &digest, 404);
    other.assert_pullable(&client, "team/other", "v1");
    assert!(server.log().contains(&format!("blob {digest} is damaged")), "{}", server.log());
    assert!(!file.exists() && files::files_under(&server.data().join("damaged")).len() == 1);
    image.push(&client, "team/app", "v1");
    image.assert_pullable(&client, "team/app", "v1");
    assert!(server.stop().success(), "it goes on to a clean stop");
}
