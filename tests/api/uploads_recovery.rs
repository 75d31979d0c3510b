//! Sessions go on after a lost client, a restart and a kill, and end when nobody comes back.

use std::time::{Duration, Instant};

use crate::support::raw::Connection;
use crate::support::uploads::{self, patch_at};
use crate::support::{Client, Server, bytes, files, wait};

const REPOSITORY: &str = "recovery";
const MIB: usize = 1 << 20;

/// Goes on from wherever the session says it is, as a patient client does, and pulls the result.
#[track_caller]
fn resume(client: &Client, location: &str, content: &[u8]) {
    wait::until("the rest to be accepted", || {
        let first = uploads::offset(client, location);
        assert!(first <= content.len(), "an offset behind the end: {first}");
        let rest = &content[first..];
        (rest.is_empty() || patch_at(client, location, first, rest).status == 202).then_some(())
    });
    uploads::finish_and_pull(client, REPOSITORY, location, content);
}

/// Begins a PATCH that announces `announced` bytes, and sends fewer.
fn begin_patch(server: &Server, location: &str, announced: usize, sent: &[u8]) -> Connection {
    let mut connection = Connection::open(server.addr());
    let length = format!("Content-Length: {announced}");
    connection.send_head("PATCH", location, &[&length]).send(sent);
    connection
}

#[test]
fn a_lost_client_goes_on_where_the_session_says() {
    let server = Server::start();
    let client = server.client();
    let content = bytes::random(60, 4 * MIB);
    let location = uploads::start(&client, REPOSITORY);
    patch_at(&client, &location, 0, &content[..MIB]).expect_status(202);
    begin_patch(&server, &location, 3 * MIB, &content[MIB..2 * MIB]).break_off();
    let offset = uploads::offset(&client, &location);
    assert!((MIB..=2 * MIB).contains(&offset), "acknowledged {MIB}, now {offset}");
    resume(&client, &location, &content);
}

#[test]
fn a_stream_that_breaks_off_goes_on_where_the_session_says() {
    let server = Server::start();
    let client = server.client();
    let content = bytes::random(61, 2 * MIB);
    let location = uploads::start(&client, REPOSITORY);
    let mut connection = Connection::open(server.addr());
    connection.send_head("PATCH", &location, &["Transfer-Encoding: chunked"]);
    connection.send_chunk(&content[..MIB]).break_off();
    resume(&client, &location, &content);
}

#[test]
fn a_lost_client_may_cancel() {
    let server = Server::start();
    let client = server.client();
    let location = uploads::start(&client, REPOSITORY);
    begin_patch(&server, &location, 3 * MIB, &bytes::random(62, MIB)).break_off();
    let cancelled = || (client.delete(&location).status == 204).then_some(());
    wait::until("the session to be cancelled", cancelled);
    let staging = server.data().join("uploads");
    wait::until_true("the staging file to go", || files::files_under(&staging).is_empty());
}

/// The request that is writing is the last to touch the file, so it has to take it away.
#[test]
fn an_upload_cancelled_while_it_is_closed_leaves_no_file() {
    let server = Server::start();
    let client = server.client();
    let content = bytes::random(69, 2 * MIB);
    for digest in [bytes::digest(&content), bytes::digest(b"something else")] {
        let location = uploads::start(&client, REPOSITORY);
        let mut connection = Connection::open(server.addr());
        let length = format!("Content-Length: {}", content.len());
        connection.send_head("PUT", &uploads::with_digest(&location, &digest), &[&length]);
        connection.send(&content[..MIB]);
        let staging = server.data().join("uploads");
        let is_writing = || {
            let files = files::files_under(&staging);
            files.iter().any(|file| file.metadata().is_ok_and(|metadata| metadata.len() > 0))
        };
        wait::until_true("the request to write", is_writing);
        client.delete(&location).expect_status(204);
        connection.send(&content[MIB..]);
        connection.reply("PUT").expect_error(404, "BLOB_UPLOAD_UNKNOWN");
        wait::until_true("the staging file to go", || files::files_under(&staging).is_empty());
        client.assert_blob_status(REPOSITORY, &digest, 404);
    }
}

#[test]
fn a_closing_put_that_breaks_off_makes_no_blob() {
    let server = Server::start();
    let client = server.client();
    let content = bytes::random(63, 2 * MIB);
    let digest = bytes::digest(&content);
    let location = uploads::start(&client, REPOSITORY);
    let mut connection = Connection::open(server.addr());
    let length = format!("Content-Length: {}", content.len());
    connection.send_head("PUT", &uploads::with_digest(&location, &digest), &[&length]);
    connection.send(&content[..MIB]).break_off();
    client.assert_blob_status(REPOSITORY, &digest, 404);
    resume(&client, &location, &content);
}

#[test]
fn a_restart_keeps_what_was_acknowledged() {
    let mut server = Server::start();
    let content = bytes::random(64, 300_000);
    let location = uploads::start(&server.client(), REPOSITORY);
    for (part, chunk) in content.chunks(100_000).enumerate() {
        let client = server.client();
        patch_at(&client, &location, part * 100_000, chunk).expect_status(202);
        server.restart();
        assert_eq!(uploads::offset(&server.client(), &location), (part + 1) * 100_000);
    }
    uploads::finish_and_pull(&server.client(), REPOSITORY, &location, &content);
}

#[test]
fn a_restart_before_the_first_byte_keeps_the_session() {
    let mut server = Server::start();
    let location = uploads::start(&server.client(), REPOSITORY);
    server.restart();
    let client = server.client();
    client.get(&location).expect_status(204).expect_header("range", "0-0");
    client.patch(&location, b"content").expect_status(202).expect_header("range", "0-6");
    uploads::finish_and_pull(&client, REPOSITORY, &location, b"content");
}

#[test]
fn a_kill_keeps_what_was_acknowledged() {
    let mut server = Server::start();
    let content = bytes::random(65, 300_000);
    let location = uploads::start(&server.client(), REPOSITORY);
    for (part, chunk) in content.chunks(100_000).enumerate() {
        let client = server.client();
        patch_at(&client, &location, part * 100_000, chunk).expect_status(202);
        server.kill();
        server.restart();
        assert_eq!(uploads::offset(&server.client(), &location), (part + 1) * 100_000);
    }
    uploads::finish_and_pull(&server.client(), REPOSITORY, &location, &content);
}

#[test]
fn a_kill_in_the_midst_of_a_chunk_keeps_what_was_acknowledged() {
    let mut server = Server::start();
    let content = bytes::random(66, 4 * MIB);
    let location = uploads::start(&server.client(), REPOSITORY);
    patch_at(&server.client(), &location, 0, &content[..MIB]).expect_status(202);
    let connection = begin_patch(&server, &location, 3 * MIB, &content[MIB..3 * MIB]);
    server.kill();
    drop(connection);
    server.restart();
    let client = server.client();
    let offset = uploads::offset(&client, &location);
    assert!((MIB..=3 * MIB).contains(&offset), "acknowledged {MIB}, now {offset}");
    resume(&client, &location, &content);
}

#[test]
fn a_kill_after_the_answer_keeps_blob_and_manifest() {
    let mut server = Server::start();
    let image = crate::support::ImageBuilder::sample(67).build();
    image.push(&server.client(), REPOSITORY, "v1");
    server.kill();
    server.restart();
    image.assert_pullable(&server.client(), REPOSITORY, "v1");
    let digest = server.client().push_blob(REPOSITORY, b"leased");
    server.kill();
    server.restart();
    server.client().get_blob(REPOSITORY, &digest).expect_status(200).expect_body(b"leased");
}

#[test]
fn a_cancelled_session_stays_cancelled_after_a_kill() {
    let mut server = Server::start();
    let location = uploads::start(&server.client(), REPOSITORY);
    server.client().patch(&location, b"content").expect_status(202);
    server.client().delete(&location).expect_status(204);
    server.kill();
    server.restart();
    server.client().get(&location).expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    assert!(files::files_under(&server.data().join("uploads")).is_empty());
}

#[test]
fn an_idle_session_ends() {
    let mut server = Server::builder().env("WHARFINGER_UPLOAD_IDLE_SECS", "1").start();
    let client = server.client();
    let location = uploads::start(&client, REPOSITORY);
    client.patch(&location, b"content").expect_status(202);
    // Asked seldom: no answer may depend on whether a question counts as a sign of life.
    let ended = || (client.get(&location).status == 404).then_some(());
    wait::every(Duration::from_millis(2500), "the idle session to end", ended);
    client.patch(&location, b"more").expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    server.restart();
    let staging = server.data().join("uploads");
    wait::until_true("its file to go", || files::files_under(&staging).is_empty());
}

#[test]
fn an_old_session_in_use_does_not_end() {
    let server = Server::builder().env("WHARFINGER_UPLOAD_IDLE_SECS", "3").start();
    let client = server.client();
    let location = uploads::start(&client, REPOSITORY);
    let started = Instant::now();
    let mut content = Vec::new();
    wait::every(Duration::from_millis(200), "twice the idle time to pass", || {
        patch_at(&client, &location, content.len(), b"alive").expect_status(202);
        content.extend_from_slice(b"alive");
        (started.elapsed() > Duration::from_secs(6)).then_some(())
    });
    uploads::finish_and_pull(&client, REPOSITORY, &location, &content);
}

#[test]
fn a_session_that_became_idle_while_the_server_was_down_ends_at_start() {
    let mut server = Server::builder().env("WHARFINGER_UPLOAD_IDLE_SECS", "1").start();
    let location = uploads::start(&server.client(), REPOSITORY);
    server.client().patch(&location, b"content").expect_status(202);
    server.stop();
    let stopped = Instant::now();
    wait::until_true("the idle time to pass", || stopped.elapsed() > Duration::from_millis(2200));
    server.restart();
    server.client().get(&location).expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    assert!(files::files_under(&server.data().join("uploads")).is_empty());
}

/// What the server has read from files so far, in bytes: what comes by sockets is not counted there.
fn bytes_read(server: &Server) -> usize {
    let io = std::fs::read_to_string(format!("/proc/{}/io", server.pid())).expect("the server runs");
    let read = io.lines().find_map(|line| line.strip_prefix("rchar: ")).expect("a count of bytes read");
    read.parse().expect("a number")
}

#[test]
fn after_a_kill_nothing_is_read_again() {
    let mut server = Server::start();
    let content = bytes::random(71, 24 * MIB);
    let location = uploads::start(&server.client(), REPOSITORY);
    patch_at(&server.client(), &location, 0, &content[..20 * MIB + 5]).expect_status(202);
    server.kill();
    server.restart();
    let before = bytes_read(&server);
    patch_at(&server.client(), &location, 20 * MIB + 5, &content[20 * MIB + 5..]).expect_status(202);
    let digest = bytes::digest(&content);
    uploads::finish(&server.client(), &location, &digest).expect_status(201);
    let read = bytes_read(&server) - before;
    assert!(read < 4 * MIB, "{read} bytes were read to go on behind 20 MiB");
    server.client().get_blob(REPOSITORY, &digest).expect_status(200).expect_body(&content);
}

#[test]
fn another_algorithm_at_the_end_is_one_second_pass() {
    let mut server = Server::start();
    let content = bytes::random(72, 8 * MIB);
    let location = uploads::start(&server.client(), REPOSITORY);
    patch_at(&server.client(), &location, 0, &content).expect_status(202);
    server.kill();
    server.restart();
    let before = bytes_read(&server);
    let digest = bytes::digest_sha512(&content);
    uploads::finish(&server.client(), &location, &digest).expect_status(201);
    let read = bytes_read(&server) - before;
    assert!((8 * MIB..12 * MIB).contains(&read), "{read} bytes were read for 8 MiB");
    server.client().get_blob(REPOSITORY, &digest).expect_status(200).expect_body(&content);
}

#[test]
fn a_whole_blob_by_post_that_breaks_off_leaves_nothing() {
    let server = Server::start();
    let content = bytes::random(73, 2 * MIB);
    let path = format!("/v2/{REPOSITORY}/blobs/uploads/?digest={}", bytes::digest(&content));
    let staging = server.data().join("uploads");
    let mut connection = Connection::open(server.addr());
    let length = format!("Content-Length: {}", content.len());
    connection.send_head("POST", &path, &[&length]).send(&content[..MIB]);
    wait::until_true("the upload to begin", || !files::files_under(&staging).is_empty());
    connection.break_off();
    wait::until_true("its bytes to go", || files::files_under(&staging).is_empty());
}

#[test]
fn cancelling_a_running_upload_frees_its_bytes_at_once() {
    let server = Server::start();
    let client = server.client();
    let location = uploads::start(&client, REPOSITORY);
    let staging = server.data().join("uploads");
    let mut connection = begin_patch(&server, &location, 2 * MIB, &bytes::random(74, MIB));
    let arrived = || files::files_under(&staging).iter().any(|file| files::size(file) > 0);
    wait::until_true("its first bytes", arrived);
    client.delete(&location).expect_status(204);
    assert!(files::files_under(&staging).is_empty(), "the room is free although the request goes on");
    client.get(&location).expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    connection.send(&bytes::random(75, MIB)).reply("PATCH").expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    assert!(files::files_under(&staging).is_empty());
}

#[test]
fn closing_an_upload_that_is_cancelled_meanwhile_finds_none() {
    let server = Server::start();
    let client = server.client();
    let content = bytes::random(76, 2 * MIB);
    let location = uploads::start(&client, REPOSITORY);
    let mut connection = Connection::open(server.addr());
    let length = format!("Content-Length: {}", content.len());
    let path = uploads::with_digest(&location, &bytes::digest(&content));
    connection.send_head("PUT", &path, &[&length]).send(&content[..MIB]);
    let staging = server.data().join("uploads");
    let arrived = || files::files_under(&staging).iter().any(|file| files::size(file) > 0);
    wait::until_true("its first bytes", arrived);
    client.delete(&location).expect_status(204);
    connection.send(&content[MIB..]).reply("PUT").expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    client.assert_blob_status(REPOSITORY, &bytes::digest(&content), 404);
    assert!(files::files_under(&staging).is_empty());
}
