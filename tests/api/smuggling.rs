//! Requests that two parsers read in two ways. Each is refused and ends its connection, and what was hidden
//! behind it is never answered.

use crate::support::raw::Connection;
use crate::support::{Server, uploads};

const HIDDEN: &str = "GET /v2/_catalog HTTP/1.1\r\nHost: hidden\r\n\r\n";

/// Sends `request` with a second one right behind it.
#[track_caller]
fn assert_refused(request: &str) {
    let server = Server::start();
    assert_refused_by(&server, request);
}

#[track_caller]
fn assert_refused_by(server: &Server, request: &str) {
    let mut connection = Connection::open(server.addr());
    connection.send(request.as_bytes()).send(HIDDEN.as_bytes());
    connection.reply("POST").expect_status(400);
    connection.expect_closed();
    server.client().get("/v2/").expect_status(200);
}

#[test]
fn a_length_and_chunks() {
    let heads = [
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
        "Transfer-Encoding: chunked\r\nContent-Length: 0",
    ];
    let server = Server::start();
    for head in heads {
        let request = format!("POST /v2/x/blobs/uploads/ HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n0\r\n\r\n");
        assert_refused_by(&server, &request);
    }
}

#[test]
fn two_lengths() {
    let server = Server::start();
    for (one, two) in [("5", "0"), ("0", "5"), ("5", "5")] {
        let head = format!("Content-Length: {one}\r\nContent-Length: {two}");
        let request = format!("POST /v2/x/blobs/uploads/ HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\nhello");
        assert_refused_by(&server, &request);
    }
}

#[test]
fn lengths_that_are_no_numbers() {
    let server = Server::start();
    for length in ["+5", "-5", "5, 5", "5 5", "0x5", "5a", "", "99999999999999999999999999"] {
        let request =
            format!("POST /v2/x/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\nhello");
        assert_refused_by(&server, &request);
    }
}

#[test]
fn encodings_that_are_not_understood() {
    let server = Server::start();
    let heads = [
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: \u{b}chunked",
    ];
    for head in heads {
        let request = format!("POST /v2/x/blobs/uploads/ HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n0\r\n\r\n");
        assert_refused_by(&server, &request);
    }
}

#[test]
fn a_folded_header() {
    assert_refused("POST /v2/x/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n 5\r\n\r\nhello");
}

#[test]
fn a_folded_encoding() {
    assert_refused(
        "POST /v2/x/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n\tchunked\r\n\r\n0\r\n\r\n",
    );
}

#[test]
fn a_space_before_the_colon() {
    assert_refused("POST /v2/x/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length : 5\r\n\r\nhello");
}

#[test]
fn no_host_or_two() {
    let server = Server::start();
    assert_refused_by(&server, "GET /v2/ HTTP/1.1\r\n\r\n");
    assert_refused_by(&server, "GET /v2/ HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n");
}

#[test]
fn heads_that_are_none() {
    let server = Server::start();
    let heads = [
        "GET /v2/ HTTP/1.1\r\nHost: x\r\nX\u{0}: y\r\n\r\n",
        "GET /v2/ HTTP/1.1\r\nHost: x\r\nX: a\u{0}b\r\n\r\n",
        "GET /v2/ HTTP/9.9\r\nHost: x\r\n\r\n",
        "GET /v2/\r\nHost: x\r\n\r\n",
        "nonsense\r\n\r\n",
        "GET  /v2/  HTTP/1.1\r\nHost: x\r\n\r\n",
    ];
    for head in heads {
        assert_refused_by(&server, head);
    }
}

/// The head was fine and its request runs, so an end without a word is an answer too.
#[test]
fn chunk_sizes_that_are_none() {
    let server = Server::start();
    let client = server.client();
    let encoding = "Transfer-Encoding: chunked";
    for size in ["zz", "-1", "+5", "0x5", "", "fffffffffffffffffff", "5 5"] {
        let location = uploads::start(&client, "x");
        let request =
            format!("PATCH {location} HTTP/1.1\r\nHost: x\r\n{encoding}\r\n\r\n{size}\r\nhello\r\n");
        let mut connection = Connection::open(server.addr());
        connection.send(request.as_bytes()).send(HIDDEN.as_bytes());
        if let Some(reply) = connection.reply_before_end("PATCH") {
            reply.expect_status(400);
        }
        connection.expect_closed();
        client.get(&location).expect_status(204).expect_header("range", "0-0");
        client.delete(&location).expect_status(204);
    }
}
