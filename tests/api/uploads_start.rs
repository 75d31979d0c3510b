//! POST: a session begins, or a whole blob comes at once.

use std::collections::HashSet;

use crate::support::{Server, bytes, uploads};

#[test]
fn post_opens_a_session() {
    let server = Server::start();
    let reply = server.client().post("/v2/demo/app/blobs/uploads/", b"").expect_status(202);
    assert!(uploads::location(&reply).starts_with("/v2/demo/app/blobs/uploads/"));
    assert_eq!(reply.header("range"), "0-0");
    assert_eq!(reply.header("content-length"), "0");
    assert!(!reply.header("docker-upload-uuid").is_empty());
    assert!(reply.body.is_empty());
}

#[test]
fn post_without_the_last_slash_opens_a_session() {
    let server = Server::start();
    let client = server.client();
    let reply = client.post("/v2/demo/blobs/uploads", b"").expect_status(202);
    client.patch(&uploads::location(&reply), b"one").expect_status(202);
    uploads::finish_and_pull(&client, "demo", &uploads::location(&reply), b"one");
}

#[test]
fn post_without_any_length_opens_a_session() {
    let server = Server::start();
    server.client().request("POST", "/v2/demo/blobs/uploads/").send().expect_status(202);
}

#[test]
fn post_of_any_content_type_opens_a_session() {
    let server = Server::start();
    let client = server.client();
    for content_type in ["application/json", "application/octet-stream", "text/plain; charset=utf-8"] {
        let request = client.request("POST", "/v2/demo/blobs/uploads/").header("content-type", content_type);
        request.body(b"").send().expect_status(202);
    }
}

#[test]
fn sessions_are_never_the_same() {
    let server = Server::start();
    let client = server.client();
    let locations: HashSet<String> = (0..20).map(|_| uploads::start(&client, "demo")).collect();
    assert_eq!(locations.len(), 20);
}

#[test]
fn post_with_a_digest_is_a_whole_upload() {
    let server = Server::start();
    let client = server.client();
    let content = bytes::random(1, 100_000);
    let digest = bytes::digest(&content);
    let reply = client.post(&format!("/v2/demo/blobs/uploads/?digest={digest}"), &content);
    let reply = reply.expect_status(201).expect_header("docker-content-digest", &digest);
    client.get(&uploads::location(&reply)).expect_status(200).expect_body(&content);
    client.get_blob("demo", &digest).expect_status(200).expect_body(&content);
}

#[test]
fn post_with_a_digest_and_a_body_in_chunks_is_a_whole_upload() {
    let server = Server::start();
    let client = server.client();
    let content = bytes::random(2, 50_000);
    let digest = bytes::digest(&content);
    let path = format!("/v2/demo/blobs/uploads/?digest={digest}");
    client.request("POST", &path).stream(content.as_slice()).send().expect_status(201);
    client.get_blob("demo", &digest).expect_status(200).expect_body(&content);
}

#[test]
fn post_with_an_escaped_digest_is_a_whole_upload() {
    let server = Server::start();
    let client = server.client();
    let digest = bytes::digest(b"escaped").replace(':', "%3A");
    client.post(&format!("/v2/demo/blobs/uploads/?digest={digest}"), b"escaped").expect_status(201);
}

#[test]
fn a_session_is_closed_by_put_alone() {
    let server = Server::start();
    let client = server.client();
    let content = bytes::random(3, 70_000);
    let digest = bytes::digest(&content);
    let location = uploads::start(&client, "demo");
    let reply = client.put(&uploads::with_digest(&location, &digest), &content).expect_status(201);
    assert_eq!(reply.header("docker-content-digest"), digest);
    client.get(&uploads::location(&reply)).expect_status(200).expect_body(&content);
}
