//! PUT: the digest is told, the blob appears.

use crate::support::uploads::{self, patch_at, with_digest};
use crate::support::{Client, Server, bytes};

const REPOSITORY: &str = "closing";

fn session_with(client: &Client, content: &[u8]) -> String {
    let location = uploads::start(client, REPOSITORY);
    uploads::location(&patch_at(client, &location, 0, content).expect_status(202))
}

#[test]
fn an_empty_put_closes_the_session() {
    let server = Server::start();
    let client = server.client();
    let content = bytes::random(30, 5000);
    let digest = bytes::digest(&content);
    let location = session_with(&client, &content);
    let reply = uploads::finish(&client, &location, &digest).expect_status(201);
    assert_eq!(reply.header("location"), format!("/v2/{REPOSITORY}/blobs/{digest}"));
    assert_eq!(reply.header("docker-content-digest"), digest);
    assert_eq!(reply.header("content-length"), "0");
    client.get_blob(REPOSITORY, &digest).expect_status(200).expect_body(&content);
}

#[test]
fn a_put_without_any_length_closes_the_session() {
    let server = Server::start();
    let client = server.client();
    let location = session_with(&client, b"no length");
    let path = with_digest(&location, &bytes::digest(b"no length"));
    client.request("PUT", &path).send().expect_status(201);
}

#[test]
fn put_may_bring_the_last_chunk() {
    let server = Server::start();
    let client = server.client();
    let location = session_with(&client, b"first ");
    let digest = bytes::digest(b"first last");
    client.put(&with_digest(&location, &digest), b"last").expect_status(201);
    client.get_blob(REPOSITORY, &digest).expect_status(200).expect_body(b"first last");
}

#[test]
fn put_may_bring_the_last_chunk_with_its_range() {
    let server = Server::start();
    let client = server.client();
    let location = session_with(&client, b"first ");
    let digest = bytes::digest(b"first last");
    let path = with_digest(&location, &digest);
    let request = client.request("PUT", &path).header("content-range", "6-9");
    request.body(b"last").send().expect_status(201);
    client.get_blob(REPOSITORY, &digest).expect_status(200).expect_body(b"first last");
}

#[test]
fn put_out_of_order_is_refused_and_changes_nothing() {
    let server = Server::start();
    let client = server.client();
    let location = session_with(&client, b"first ");
    let digest = bytes::digest(b"first last");
    for range in ["0-3", "5-8", "7-10", "6-8"] {
        let path = with_digest(&location, &digest);
        let request = client.request("PUT", &path).header("content-range", range);
        let reply = request.body(b"last").send().expect_error(416, "BLOB_UPLOAD_INVALID");
        assert_eq!(uploads::offset_of(&reply), 6, "after Content-Range {range}");
        assert_eq!(uploads::offset(&client, &uploads::location(&reply)), 6);
    }
    client.put(&with_digest(&location, &digest), b"last").expect_status(201);
}

#[test]
fn put_without_a_digest_is_refused() {
    let server = Server::start();
    let client = server.client();
    let location = session_with(&client, b"content");
    client.put(&location, b"").expect_error(400, "DIGEST_INVALID");
    client.assert_blob_status(REPOSITORY, &bytes::digest(b"content"), 404);
}

#[test]
fn the_blob_is_there_at_once() {
    let server = Server::start();
    let client = server.client();
    for seed in 0..10 {
        let digest = client.push_blob(REPOSITORY, &bytes::random(seed, 2000));
        client.head_blob(REPOSITORY, &digest).expect_status(200).expect_header("content-length", "2000");
    }
}

#[test]
fn the_session_is_gone_after_it() {
    let server = Server::start();
    let client = server.client();
    let location = session_with(&client, b"content");
    uploads::finish(&client, &location, &bytes::digest(b"content")).expect_status(201);
    client.get(&location).expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    client.patch(&location, b"more").expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    client.delete(&location).expect_error(404, "BLOB_UPLOAD_UNKNOWN");
}

#[test]
fn a_put_repeated_after_a_lost_answer_succeeds() {
    let server = Server::start();
    let client = server.client();
    let digest = bytes::digest(b"content");
    let location = session_with(&client, b"content");
    for _ in 0..3 {
        let reply = uploads::finish(&client, &location, &digest).expect_status(201);
        assert_eq!(reply.header("docker-content-digest"), digest);
        client.get(&uploads::location(&reply)).expect_status(200).expect_body(b"content");
    }
}

#[test]
fn a_repeated_put_does_not_answer_for_what_is_not_there() {
    let server = Server::start();
    let client = server.client();
    let location = session_with(&client, b"content");
    uploads::finish(&client, &location, &bytes::digest(b"content")).expect_status(201);
    let other = bytes::digest(b"never pushed");
    uploads::finish(&client, &location, &other).expect_error(404, "BLOB_UPLOAD_UNKNOWN");
}

#[test]
fn an_empty_blob_is_a_blob() {
    let server = Server::start();
    let client = server.client();
    let digest = bytes::digest(b"");
    uploads::finish(&client, &uploads::start(&client, REPOSITORY), &digest).expect_status(201);
    client.head_blob(REPOSITORY, &digest).expect_status(200).expect_header("content-length", "0");
    client.get_blob(REPOSITORY, &digest).expect_status(200).expect_body(b"");
}

#[test]
fn an_empty_blob_may_come_by_post_alone() {
    let server = Server::start();
    let client = server.client();
    let digest = bytes::digest(b"");
    client.post(&format!("/v2/{REPOSITORY}/blobs/uploads/?digest={digest}"), b"").expect_status(201);
    client.get_blob(REPOSITORY, &digest).expect_status(200).expect_body(b"");
}

#[test]
fn the_empty_object_of_artifacts_is_a_blob() {
    let server = Server::start();
    let client = server.client();
    let digest = client.push_blob(REPOSITORY, b"{}");
    assert_eq!(digest, "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
    client.get_blob(REPOSITORY, &digest).expect_status(200).expect_body(b"{}");
}

#[test]
fn a_blob_pushed_again_is_the_same_blob() {
    let server = Server::start();
    let client = server.client();
    let content = bytes::random(31, 40_000);
    for _ in 0..3 {
        let digest = client.push_blob(REPOSITORY, &content);
        client.get_blob(REPOSITORY, &digest).expect_status(200).expect_body(&content);
    }
}
