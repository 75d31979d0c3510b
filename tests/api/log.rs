//! What the log says: one line a request, what failed in us, and nothing of what is no fault.

use std::fs::File;

use crate::support::process::run;
use crate::support::raw::Connection;
use crate::support::{Server, bytes, files, uploads, wait};

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

/// Requests whose paths hold what breaks lines or speaks to terminals, as it is and percent-encoded.
fn send_evil(server: &Server) {
    let client = server.client();
    for path in [
        "/v2/a/manifests/%0a[2026-01-01T00:00:00Z%20ERROR%20x]%20forged",
        "/v2/a/manifests/%1b[31m%0d%0aforged",
        "/%0aforged%1b",
        "/v2/a%0aforged/tags/list",
    ] {
        client.get(path).expect_status_in(&[400, 404]);
    }
    let mut connection = Connection::open(server.addr());
    connection.send(b"GET /v2/\x1b[31mforged HTTP/1.1\r\nHost: a\r\n\r\n").end_sending().rest();
    client.get("/v2/").expect_status(200);
    wait::until_true("the last to be logged", || server.log().contains("/v2/ 200"));
}

#[test]
fn no_client_breaks_a_line() {
    let server = Server::start();
    send_evil(&server);
    let log = server.log();
    assert!(log.lines().all(|line| line.starts_with("[20")), "{log}");
    assert!(!log.contains("\n[2026-01-01T00:00:00Z"), "{log}");
    assert!(log.chars().all(|character| character == '\n' || !character.is_control()), "{log:?}");
}

#[test]
fn a_log_of_json_is_an_object_a_line() {
    let server = Server::builder().env("WHARFINGER_LOG_FORMAT", "json").start();
    send_evil(&server);
    let log = server.log();
    let parsed = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let lines: Vec<serde_json::Value> = log.lines().map(parsed).collect();
    for line in &lines {
        for key in ["time", "level", "target", "message"] {
            assert!(line[key].is_string(), "{key} in {line}");
        }
    }
    let request = lines.iter().find(|line| line["path"] == "/v2/").expect("the last request");
    assert_eq!((&request["method"], &request["status"]), (&"GET".into(), &200.into()));
    assert!(request["ms"].is_u64() && request["bytes"] == 2, "{request}");
    assert_eq!(request["request_id"].as_str().map(str::len), Some(16));
    assert!(request["peer"].as_str().is_some_and(|peer| peer.starts_with("127.0.0.1:")), "{request}");
    assert_eq!(request["who"], "anonymous");
    assert!(!log.contains("WHARFINGER_LOG_FORMAT"), "the variable is known: {log}");
}

#[test]
fn a_format_that_is_none_is_refused() {
    let finished = run(&["config", "check"], &[("WHARFINGER_LOG_FORMAT", "xml")]);
    finished.expect_code(2).expect_words("WHARFINGER_LOG_FORMAT").expect_words("text or json");
    run(&["config", "check"], &[("WHARFINGER_LOG_FORMAT", "")]).expect_code(0);
}

#[test]
fn a_start_says_what_it_found() {
    let mut server = Server::start();
    wait::until_true("a clean start", || server.log().contains("is in order (nothing was left to do)"));
    server.client().patch(&uploads::start(&server.client(), "open"), b"content").expect_status(202);
    server.restart();
    wait::until_true("the upload", || server.log().contains("is in order (uploads that can go on: 1)"));
}

#[test]
fn a_refusal_says_who_asked_for_what_and_why() {
    let server = Server::start();
    let reply = server.client().get("/v2/nothing/manifests/v1").expect_status(404);
    let id = reply.header("x-request-id").to_owned();
    let line = wait::until("its line in the log", || {
        server.log().lines().find(|line| line.contains(&id)).map(ToOwned::to_owned)
    });
    for part in
        [" 127.0.0.1:", " anonymous GET /v2/nothing/manifests/v1 404 ", " ms, ", ": MANIFEST_UNKNOWN: "]
    {
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
    file.set_len(LARGE as u64 - 10_000).expect("shortened");
    assert!(connection.rest().len() < LARGE, "its end cannot be there");
    wait::until_true("a word on it", || {
        let log = server.log();
        log.lines().any(|line| line.contains("ERROR") && line.contains("reading a blob failed"))
    });
    server.into_dirty();
}
