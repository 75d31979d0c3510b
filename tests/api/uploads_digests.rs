//! Digests of uploads: wrong ones, malformed ones, and sha512.

use crate::support::uploads::{self, with_digest};
use crate::support::{Client, Server, bytes, files, wait};

/// What no digest may look like. All of it can stand in a query.
const MALFORMED: [&str; 12] = [
    "sha256:baddigest",
    "sha256:",
    "sha256",
    "sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b8555",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85g",
    "SHA256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "sha512:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "sha256:../../../../../../../../../../../../../../../../etc/passwd",
    "..%2f..%2fLOCK",
    "%00",
];

/// Well-formed, of an algorithm that is not known.
const UNKNOWN_ALGORITHM: [&str; 3] = [
    "md5:d41d8cd98f00b204e9800998ecf8427e",
    "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
    "sha384:38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da274edebfe76f65fbd51ad2f14898b95b",
];

fn no_good_digests() -> impl Iterator<Item = &'static str> {
    MALFORMED.into_iter().chain(UNKNOWN_ALGORITHM)
}

#[track_caller]
fn assert_nothing_left(server: &Server) {
    for directory in ["uploads", "blobs"] {
        let directory = server.data().join(directory);
        let what = format!("{} to be empty", directory.display());
        wait::until_true(&what, || files::files_under(&directory).is_empty());
    }
}

#[track_caller]
fn assert_session_gone(client: &Client, location: &str) {
    client.get(location).expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    client.patch(location, b"more").expect_error(404, "BLOB_UPLOAD_UNKNOWN");
}

#[test]
fn a_wrong_digest_ends_the_session_and_leaves_nothing() {
    let server = Server::start();
    let client = server.client();
    let content = bytes::random(50, 100_000);
    let location = uploads::start(&client, "demo");
    client.patch(&location, &content).expect_status(202);
    let wrong = bytes::digest(b"something else");
    uploads::finish(&client, &location, &wrong).expect_error(400, "DIGEST_INVALID");
    assert_session_gone(&client, &location);
    client.assert_blob_status("demo", &wrong, 404);
    client.assert_blob_status("demo", &bytes::digest(&content), 404);
    assert_nothing_left(&server);
}

#[test]
fn a_wrong_digest_with_the_whole_body_leaves_nothing() {
    let server = Server::start();
    let client = server.client();
    let content = bytes::random(51, 100_000);
    let location = uploads::start(&client, "demo");
    let wrong = bytes::digest(b"something else");
    client.put(&with_digest(&location, &wrong), &content).expect_error(400, "DIGEST_INVALID");
    assert_session_gone(&client, &location);
    client.assert_blob_status("demo", &bytes::digest(&content), 404);
    assert_nothing_left(&server);
}

#[test]
fn a_wrong_digest_on_post_leaves_nothing() {
    let server = Server::start();
    let client = server.client();
    let wrong = bytes::digest(b"something else");
    let path = format!("/v2/demo/blobs/uploads/?digest={wrong}");
    client.post(&path, b"content").expect_error(400, "DIGEST_INVALID");
    client.assert_blob_status("demo", &wrong, 404);
    client.assert_blob_status("demo", &bytes::digest(b"content"), 404);
    assert_nothing_left(&server);
}

#[test]
fn a_wrong_digest_leaves_the_stored_blob_alone() {
    let server = Server::start();
    let client = server.client();
    let content = bytes::random(52, 20_000);
    let digest = client.push_blob("demo", &content);
    let location = uploads::start(&client, "demo");
    client.put(&with_digest(&location, &digest), b"a forgery").expect_error(400, "DIGEST_INVALID");
    client.get_blob("demo", &digest).expect_status(200).expect_body(&content);
}

#[test]
fn post_refuses_a_digest_that_is_none() {
    let server = Server::start();
    let client = server.client();
    for digest in no_good_digests() {
        let path = format!("/v2/demo/blobs/uploads/?digest={digest}");
        client.post(&path, b"content").expect_error(400, "DIGEST_INVALID");
    }
    assert_nothing_left(&server);
}

#[test]
fn put_refuses_a_digest_that_is_none() {
    let server = Server::start();
    let client = server.client();
    for digest in no_good_digests() {
        let location = uploads::start(&client, "demo");
        client.patch(&location, b"content").expect_status(202);
        uploads::finish(&client, &location, digest).expect_error(400, "DIGEST_INVALID");
        client.delete(&location).expect_status_in(&[204, 404]);
    }
    assert_nothing_left(&server);
}

#[test]
fn mount_refuses_a_digest_that_is_none() {
    let server = Server::start();
    let client = server.client();
    client.push_blob("source", b"content");
    for digest in no_good_digests() {
        for from in ["&from=source", ""] {
            let path = format!("/v2/demo/blobs/uploads/?mount={digest}{from}");
            client.post(&path, b"").expect_error(400, "DIGEST_INVALID");
        }
    }
}

#[test]
fn reading_refuses_a_digest_that_is_none() {
    let server = Server::start();
    let client = server.client();
    client.push_blob("demo", b"content");
    for digest in no_good_digests().filter(|digest| !digest.contains('/')) {
        for method in ["GET", "HEAD", "DELETE"] {
            let path = format!("/v2/demo/blobs/{digest}");
            client.request(method, &path).send().expect_status_in(&[400, 404]);
        }
    }
}

#[test]
fn a_blob_may_be_pushed_by_sha512() {
    let server = Server::start();
    let client = server.client();
    let content = bytes::random(53, 150_000);
    let digest = bytes::digest_sha512(&content);
    let location = uploads::start(&client, "demo");
    client.patch(&location, &content[..70_000]).expect_status(202);
    client.patch(&location, &content[70_000..]).expect_status(202);
    let reply = uploads::finish(&client, &location, &digest).expect_status(201);
    assert_eq!(reply.header("docker-content-digest"), digest);
    let reply = client.get_blob("demo", &digest).expect_status(200).expect_body(&content);
    assert_eq!(reply.header("docker-content-digest"), digest);
    client.head_blob("demo", &digest).expect_status(200).expect_header("content-length", "150000");
}

#[test]
fn a_whole_blob_may_be_posted_by_sha512() {
    let server = Server::start();
    let client = server.client();
    let digest = bytes::digest_sha512(b"content");
    let reply = client.post(&format!("/v2/demo/blobs/uploads/?digest={digest}"), b"content");
    reply.expect_status(201).expect_header("docker-content-digest", &digest);
    client.get_blob("demo", &digest).expect_status(200).expect_body(b"content");
    assert_eq!(files::blob_files(server.data(), &digest).len(), 1, "under its own algorithm");
}

#[test]
fn a_wrong_sha512_digest_is_refused() {
    let server = Server::start();
    let client = server.client();
    let wrong = bytes::digest_sha512(b"something else");
    let location = uploads::start(&client, "demo");
    client.put(&with_digest(&location, &wrong), b"content").expect_error(400, "DIGEST_INVALID");
    assert_session_gone(&client, &location);
    assert_nothing_left(&server);
}

#[test]
fn one_content_may_have_both_digests() {
    let server = Server::start();
    let client = server.client();
    let content = bytes::random(54, 10_000);
    let short = client.push_blob("demo", &content);
    let long = bytes::digest_sha512(&content);
    client.post(&format!("/v2/demo/blobs/uploads/?digest={long}"), &content).expect_status(201);
    client.delete_blob("demo", &short).expect_status(202);
    client.assert_blob_status("demo", &short, 404);
    client.get_blob("demo", &long).expect_status(200).expect_body(&content);
}
