//! What the log says: one line a request, what failed in us, and nothing of what is no fault.

use std::fs::File;

use crate::support::raw::Connection;
use crate::support::{Server, bytes, files, wait};

/// The beginning of what every client of TLS says first.
const TLS_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and so on, which is no HTTP";

/// Far more than what kernels keep of a connection that nobody reads from.
const LARGE: usize = 32 << 20;

#[test]
fn a_client_that_tries_tls_is_no_error() {
    let mut server = Server::start();
    for _ in 0..3 {
        let mut connection = Connection::open(server.addr());
        connection.send(TLS_HELLO).end_sending().rest();
    }
    server.client().get("/v2/").expect_status(200);
    wait::until_true("the request to be logged", || server.log().contains("GET /v2/ 200"));
    assert!(server.stop().success());
    let log = server.log();
    assert!(!log.contains("ERROR") && !log.contains("actix"), "{log}");
}

#[test]
fn a_filter_of_ones_own_shows_more_and_an_empty_one_is_none() {
    let mut server = Server::builder().env("RUST_LOG", "info").start();
    assert!(server.stop().success());
    assert!(server.log().contains("actix_server"), "{}", server.log());
    let mut server = Server::builder().env("RUST_LOG", "").start();
    assert!(server.stop().success());
    let log = server.log();
    assert!(log.contains("in order") && !log.contains("actix_server"), "{log}");
}

#[test]
fn a_refusal_says_who_asked_for_what_and_why() {
    let server = Server::start();
    let reply = server.client().get("/v2/nothing/manifests/v1").expect_status(404);
    let id = reply.header("x-request-id").to_owned();
    let line = wait::until("its line in the log", || {
        server.log().lines().find(|line| line.contains(&id)).map(ToOwned::to_owned)
    });
    for part in [" 127.0.0.1:", " GET /v2/nothing/manifests/v1 404 ", " ms, ", ": MANIFEST_UNKNOWN: "] {
        assert!(line.contains(part), "{part:?} in {line}");
    }
}

#[test]
fn a_blob_that_cannot_be_read_to_its_end_is_an_error() {
    let server = Server::start();
    let digest = server.client().push_blob("cut", &bytes::random(710, LARGE));
    let mut connection = Connection::open(server.addr());
    connection.send_head("GET", &format!("/v2/cut/blobs/{digest}"), &[]);
    // The answer has begun when its request is logged; most of it waits for us to read.
    wait::until_true("the answer to begin", || server.log().contains("GET /v2/cut/blobs/"));
    let file = File::options().write(true).open(files::blob_file(server.data(), &digest)).expect("its file");
    file.set_len(LARGE as u64 - 1).expect("shortened");
    assert!(connection.rest().len() < LARGE, "its end cannot be there");
    wait::until_true("a word on it", || {
        let log = server.log();
        log.lines().any(|line| line.contains("ERROR") && line.contains("reading a blob failed"))
    });
    server.into_dirty();
}
