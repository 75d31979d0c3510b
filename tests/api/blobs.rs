//! GET, HEAD and DELETE of blobs.

use crate::support::builders::OCI_MANIFEST;
use crate::support::raw::Connection;
use crate::support::{ImageBuilder, Server, bytes};

const REPOSITORY: &str = "goods";

#[test]
fn get_gives_the_bytes_and_says_what_they_are() {
    let server = Server::start();
    let client = server.client();
    let content = bytes::random(100, 123_456);
    let digest = client.push_blob(REPOSITORY, &content);
    let reply = client.get_blob(REPOSITORY, &digest).expect_status(200).expect_body(&content);
    assert_eq!(reply.header("content-length"), "123456");
    assert_eq!(reply.header("content-type"), "application/octet-stream");
    assert_eq!(reply.header("docker-content-digest"), digest);
    assert_eq!(reply.header("etag"), format!("\"{digest}\""));
    assert_eq!(reply.header("accept-ranges"), "bytes");
}

#[test]
fn head_has_the_headers_of_get() {
    let server = Server::start();
    let client = server.client();
    for content in [bytes::random(101, 54_321), Vec::new(), b"{}".to_vec()] {
        let digest = client.push_blob(REPOSITORY, &content);
        let get = client.get_blob(REPOSITORY, &digest).expect_status(200);
        let head = client.head_blob(REPOSITORY, &digest).expect_status(200);
        assert_eq!(head.header("content-length"), content.len().to_string());
        assert_eq!(head.stable_headers(), get.stable_headers());
    }
}

#[test]
fn head_sends_no_body_on_the_wire() {
    let server = Server::start();
    let content = bytes::random(102, 5000);
    let digest = server.client().push_blob(REPOSITORY, &content);
    let path = format!("/v2/{REPOSITORY}/blobs/{digest}");
    let mut connection = Connection::open(server.addr());
    for _ in 0..3 {
        connection.send_head("HEAD", &path, &[]);
        connection.reply("HEAD").expect_status(200).expect_header("content-length", "5000");
    }
    connection.send_head("GET", &path, &[]).reply("GET").expect_status(200).expect_body(&content);
}

#[test]
fn an_unknown_blob_is_not_found() {
    let server = Server::start();
    let client = server.client();
    let unknown = bytes::digest_of_nothing_here();
    client.get_blob("unknown/repository", &unknown).expect_status(404);
    client.head_blob("unknown/repository", &unknown).expect_status(404);
    client.push_blob(REPOSITORY, b"content");
    client.get_blob(REPOSITORY, &unknown).expect_error(404, "BLOB_UNKNOWN");
    client.head_blob(REPOSITORY, &unknown).expect_status(404);
    client.delete_blob(REPOSITORY, &unknown).expect_error(404, "BLOB_UNKNOWN");
}

#[test]
fn head_of_what_is_not_there_has_no_body_on_the_wire() {
    let server = Server::start();
    let path = format!("/v2/{REPOSITORY}/blobs/{}", bytes::digest_of_nothing_here());
    let mut connection = Connection::open(server.addr());
    connection.send_head("HEAD", &path, &[]).reply("HEAD").expect_status(404);
    connection.send_head("GET", "/v2/", &[]).reply("GET").expect_status(200).expect_body(b"{}");
}

#[test]
fn a_blob_is_known_only_where_it_was_pushed() {
    let server = Server::start();
    let client = server.client();
    let digest = client.push_blob(REPOSITORY, b"mine");
    ImageBuilder::sample(103).build().push(&client, "other", "v1");
    client.get_blob("other", &digest).expect_error(404, "BLOB_UNKNOWN");
    client.head_blob("other", &digest).expect_status(404);
    client.delete_blob("other", &digest).expect_error(404, "BLOB_UNKNOWN");
    client.assert_blob_status(REPOSITORY, &digest, 200);
}

#[test]
fn a_deleted_blob_is_gone_at_once() {
    let server = Server::start();
    let client = server.client();
    let content = bytes::random(104, 10_000);
    let digest = client.push_blob(REPOSITORY, &content);
    client.assert_blob_status(REPOSITORY, &digest, 200);
    client.delete_blob(REPOSITORY, &digest).expect_status(202);
    client.assert_blob_status(REPOSITORY, &digest, 404);
    client.delete_blob(REPOSITORY, &digest).expect_error(404, "BLOB_UNKNOWN");
    client.push_blob(REPOSITORY, &content);
    client.get_blob(REPOSITORY, &digest).expect_status(200).expect_body(&content);
}

#[test]
fn a_deleted_blob_cannot_be_used_by_a_manifest() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(105).build();
    image.push_blobs(&client, REPOSITORY);
    client.delete_blob(REPOSITORY, &image.blob_digests()[1]).expect_status(202);
    let reply = client.push_manifest(REPOSITORY, "v1", &image.media_type, &image.bytes);
    reply.expect_error(400, "MANIFEST_BLOB_UNKNOWN");
}

#[test]
fn a_blob_that_a_manifest_needs_stays() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(106).build();
    image.push(&client, REPOSITORY, "v1");
    for digest in image.blob_digests() {
        let reply = client.delete_blob(REPOSITORY, &digest).expect_error(405, "UNSUPPORTED");
        let detail = reply.oci_errors()[0]["detail"].to_string();
        assert!(detail.contains(&image.digest), "the detail names the manifest: {reply}");
    }
    image.assert_pullable(&client, REPOSITORY, "v1");
    client.delete_manifest(REPOSITORY, &image.digest).expect_status(202);
    client.delete_blob(REPOSITORY, &image.blob_digests()[0]).expect_error(404, "BLOB_UNKNOWN");
}

#[test]
fn the_refusal_names_every_manifest_that_needs_the_blob() {
    let server = Server::start();
    let client = server.client();
    let shared = bytes::random(107, 2000);
    let image = |name: &str| ImageBuilder::oci().layer(&shared).annotation("name", name).build();
    let (one, two) = (image("one"), image("two"));
    one.push(&client, REPOSITORY, "one");
    two.push(&client, REPOSITORY, "two");
    let reply = client.delete_blob(REPOSITORY, &bytes::digest(&shared)).expect_error(405, "UNSUPPORTED");
    let detail = reply.oci_errors()[0]["detail"].to_string();
    assert!(detail.contains(&one.digest) && detail.contains(&two.digest), "both are named: {reply}");
}

#[test]
fn a_manifest_is_no_blob() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(108).build();
    image.push(&client, REPOSITORY, "v1");
    client.assert_blob_status(REPOSITORY, &image.digest, 404);
    client.delete_blob(REPOSITORY, &image.digest).expect_error(404, "BLOB_UNKNOWN");
    image.assert_pullable(&client, REPOSITORY, &image.digest);
}

#[test]
fn a_manifest_pushed_as_a_blob_is_both() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(109).build();
    image.push(&client, REPOSITORY, "v1");
    client.push_blob(REPOSITORY, &image.bytes);
    client.get_blob(REPOSITORY, &image.digest).expect_status(200).expect_body(&image.bytes);
    client.delete_blob(REPOSITORY, &image.digest).expect_status(202);
    client.assert_blob_status(REPOSITORY, &image.digest, 404);
    image.assert_pullable(&client, REPOSITORY, "v1");
}

#[test]
fn a_blob_is_no_manifest() {
    let server = Server::start();
    let client = server.client();
    let digest = client.push_blob(REPOSITORY, &ImageBuilder::sample(110).build().bytes);
    let reply = client.request("GET", &format!("/v2/{REPOSITORY}/manifests/{digest}"));
    reply.header("accept", OCI_MANIFEST).send().expect_status(404);
}

#[test]
fn bytes_come_as_they_are() {
    let server = Server::start();
    let client = server.client();
    let content = vec![b'a'; 200_000];
    let digest = client.push_blob(REPOSITORY, &content);
    let request = client.request("GET", &format!("/v2/{REPOSITORY}/blobs/{digest}"));
    let reply = request.header("accept-encoding", "gzip, br, zstd").send().expect_status(200);
    reply.expect_body(&content).expect_header("content-length", "200000");
}

#[test]
fn a_reader_that_leaves_early_harms_nothing() {
    let server = Server::start();
    let client = server.client();
    let content = bytes::random(111, 8 << 20);
    let digest = client.push_blob(REPOSITORY, &content);
    for _ in 0..5 {
        let mut connection = Connection::open(server.addr());
        connection.send_head("GET", &format!("/v2/{REPOSITORY}/blobs/{digest}"), &[]).break_off();
    }
    client.get_blob(REPOSITORY, &digest).expect_status(200).expect_body(&content);
}
