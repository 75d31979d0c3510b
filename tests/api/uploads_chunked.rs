//! PATCH in chunks of known length, with and without Content-Range.

use crate::support::raw::Connection;
use crate::support::uploads::{self, patch_at};
use crate::support::{Client, Server, bytes};

const REPOSITORY: &str = "chunks/here";

/// A session that holds `content`, acknowledged.
fn session_with(client: &Client, content: &[u8]) -> String {
    let location = uploads::start(client, REPOSITORY);
    uploads::location(&patch_at(client, &location, 0, content).expect_status(202))
}

/// Asserts that a chunk was refused with what a client needs to go on, and that nothing changed.
#[track_caller]
fn assert_refused_at(client: &Client, reply: crate::support::Reply, location: &str, acknowledged: usize) {
    let reply = reply.expect_error(416, "BLOB_UPLOAD_INVALID");
    assert_eq!(uploads::offset_of(&reply), acknowledged, "the offset in the refusal");
    assert_eq!(uploads::offset(client, &uploads::location(&reply)), acknowledged, "at the named Location");
    assert_eq!(uploads::offset(client, location), acknowledged, "the session is untouched");
}

#[test]
fn chunks_in_order_make_the_blob() {
    let server = Server::start();
    let client = server.client();
    let content = bytes::random(10, 250_000);
    let mut location = uploads::start(&client, REPOSITORY);
    let mut first = 0;
    for chunk in content.chunks(60_000) {
        let reply = patch_at(&client, &location, first, chunk).expect_status(202);
        first += chunk.len();
        assert_eq!(reply.header("range"), format!("0-{}", first - 1));
        assert!(!reply.header("docker-upload-uuid").is_empty());
        location = uploads::location(&reply);
    }
    uploads::finish_and_pull(&client, REPOSITORY, &location, &content);
}

#[test]
fn chunks_without_a_range_are_appended() {
    let server = Server::start();
    let client = server.client();
    let content = bytes::random(11, 90_000);
    let mut location = uploads::start(&client, REPOSITORY);
    let mut sent = 0;
    for chunk in content.chunks(31_000) {
        let reply = client.patch(&location, chunk).expect_status(202);
        sent += chunk.len();
        assert_eq!(reply.header("range"), format!("0-{}", sent - 1));
        location = uploads::location(&reply);
    }
    uploads::finish_and_pull(&client, REPOSITORY, &location, &content);
}

#[test]
fn chunks_with_and_without_a_range_may_be_mixed() {
    let server = Server::start();
    let client = server.client();
    let location = session_with(&client, b"first");
    client.patch(&location, b"second").expect_status(202).expect_header("range", "0-10");
    patch_at(&client, &location, 11, b"third").expect_status(202).expect_header("range", "0-15");
    uploads::finish_and_pull(&client, REPOSITORY, &location, b"firstsecondthird");
}

#[test]
fn a_range_may_have_the_unit_of_old_clients() {
    let server = Server::start();
    let client = server.client();
    let location = session_with(&client, b"0123456789");
    for (range, expected) in [("bytes=10-14", "0-14"), ("bytes 15-19", "0-19")] {
        let request = client.request("PATCH", &location).header("content-range", range);
        request.body(b"abcde").send().expect_status(202).expect_header("range", expected);
    }
    uploads::finish_and_pull(&client, REPOSITORY, &location, b"0123456789abcdeabcde");
}

#[test]
fn a_chunk_behind_a_gap_is_refused() {
    let server = Server::start();
    let client = server.client();
    let location = session_with(&client, b"0123456789");
    let reply = patch_at(&client, &location, 11, b"abc");
    assert_refused_at(&client, reply, &location, 10);
    uploads::finish_and_pull(&client, REPOSITORY, &location, b"0123456789");
}

#[test]
fn a_chunk_that_overlaps_is_refused() {
    let server = Server::start();
    let client = server.client();
    let location = session_with(&client, b"0123456789");
    for first in [0, 5, 9] {
        let reply = patch_at(&client, &location, first, b"abc");
        assert_refused_at(&client, reply, &location, 10);
    }
    let content = b"0123456789abc";
    patch_at(&client, &location, 10, b"abc").expect_status(202);
    uploads::finish_and_pull(&client, REPOSITORY, &location, content);
}

#[test]
fn a_first_chunk_that_is_not_the_first_is_refused() {
    let server = Server::start();
    let client = server.client();
    let location = uploads::start(&client, REPOSITORY);
    let reply = patch_at(&client, &location, 5, b"abc").expect_error(416, "BLOB_UPLOAD_INVALID");
    assert_eq!(reply.header("range"), "0-0");
    assert_eq!(client.get(&location).expect_status(204).header("range"), "0-0");
    uploads::finish_and_pull(&client, REPOSITORY, &location, b"");
}

#[test]
fn a_range_of_another_length_than_the_body_is_refused() {
    let server = Server::start();
    let client = server.client();
    let location = session_with(&client, b"0123456789");
    for range in ["10-11", "10-13", "10-10", "10-99999999999"] {
        let request = client.request("PATCH", &location).header("content-range", range);
        let reply = request.body(b"abc").send();
        assert_refused_at(&client, reply, &location, 10);
    }
    uploads::finish_and_pull(&client, REPOSITORY, &location, b"0123456789");
}

#[test]
fn a_range_of_another_length_than_a_body_in_chunks_is_refused() {
    let server = Server::start();
    let client = server.client();
    let location = session_with(&client, b"0123456789");
    for range in ["10-11", "10-13"] {
        let request = client.request("PATCH", &location).header("content-range", range);
        let reply = request.stream(b"abc".as_slice()).send();
        assert_refused_at(&client, reply, &location, 10);
    }
    uploads::finish_and_pull(&client, REPOSITORY, &location, b"0123456789");
}

#[test]
fn a_range_that_is_none_changes_nothing() {
    let server = Server::start();
    let client = server.client();
    let location = session_with(&client, b"0123456789");
    for range in ["", "10", "10-", "-3", "12-10", "a-c", "10-12-14", "10-99999999999999999999999"] {
        let request = client.request("PATCH", &location).header("content-range", range);
        request.body(b"abc").send().expect_status_in(&[400, 416]);
        assert_eq!(uploads::offset(&client, &location), 10, "after Content-Range {range:?}");
    }
    uploads::finish_and_pull(&client, REPOSITORY, &location, b"0123456789");
}

#[test]
fn an_empty_chunk_reports_a_range_that_clients_can_read() {
    let server = Server::start();
    let client = server.client();
    let location = uploads::start(&client, REPOSITORY);
    client.patch(&location, b"").expect_status(202).expect_header("range", "0-0");
    assert_eq!(client.get(&location).expect_status(204).header("range"), "0-0");
    uploads::finish_and_pull(&client, REPOSITORY, &location, b"");
}

#[test]
fn an_empty_chunk_behind_others_changes_nothing() {
    let server = Server::start();
    let client = server.client();
    let location = session_with(&client, b"0123456789");
    client.patch(&location, b"").expect_status(202).expect_header("range", "0-9");
    uploads::finish_and_pull(&client, REPOSITORY, &location, b"0123456789");
}

#[test]
fn two_chunks_for_one_place_are_not_both_taken() {
    let server = Server::start();
    let client = server.client();
    let content = bytes::random(12, 200_000);
    let location = uploads::start(&client, REPOSITORY);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let send = || patch_at(&client, &location, 0, &content).status;
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(send)).collect();
        threads.into_iter().map(|thread| thread.join().expect("an answer")).collect()
    });
    assert_eq!(statuses.iter().filter(|&&status| status == 202).count(), 1, "{statuses:?}");
    uploads::finish_and_pull(&client, REPOSITORY, &location, &content);
}

#[test]
fn a_client_may_wait_to_be_told_to_continue() {
    let server = Server::start();
    let client = server.client();
    let location = uploads::start(&client, REPOSITORY);
    let mut connection = Connection::open(server.addr());
    connection.send_head("PATCH", &location, &["Content-Length: 5", "Expect: 100-continue"]);
    connection.reply("PATCH").expect_status(100);
    connection.send(b"hello").reply("PATCH").expect_status(202).expect_header("range", "0-4");
    uploads::finish_and_pull(&client, REPOSITORY, &location, b"hello");
}

#[test]
fn a_refused_chunk_leaves_the_connection_usable_or_closed() {
    let server = Server::start();
    let client = server.client();
    let location = session_with(&client, b"0123456789");
    let mut connection = Connection::open(server.addr());
    connection.send_head("PATCH", &location, &["Content-Length: 3", "Content-Range: 99-101"]);
    connection.send(b"abc");
    let refusal = connection.reply("PATCH").expect_status(416);
    if refusal.find_header("connection") == Some("close") {
        connection.expect_closed();
    } else {
        connection.send_head("GET", "/v2/", &[]).reply("GET").expect_status(200).expect_body(b"{}");
    }
}

#[test]
fn who_waits_to_be_told_is_refused_before_the_body() {
    let server = Server::builder().arg("--anonymous").arg("pull").start();
    let manifest = "/v2/waiting/manifests/v1";
    for (method, path, length, status, code) in [
        ("POST", "/v2/waiting/blobs/uploads/", 5, 403, "DENIED"),
        ("PUT", manifest, 5, 403, "DENIED"),
        ("PUT", "/v2/Waiting/manifests/v1", 5, 400, "NAME_INVALID"),
        ("PUT", "/v2/waiting/tags/list", 5, 405, "UNSUPPORTED"),
    ] {
        let mut connection = Connection::open(server.addr());
        let length = format!("Content-Length: {length}");
        connection.send_head(method, path, &[&length, "Expect: 100-continue"]);
        connection.reply(method).expect_error(status, code);
        connection.expect_closed();
    }
    let server = Server::start();
    let mut connection = Connection::open(server.addr());
    connection.send_head("PUT", manifest, &["Content-Length: 500000000", "Expect: 100-continue"]);
    connection.reply("PUT").expect_error(413, "SIZE_INVALID");
    connection.expect_closed();
}
