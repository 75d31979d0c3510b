//! GET and DELETE of a session, and whose it is.

use crate::support::{Server, bytes, files, uploads, wait};

#[test]
fn the_status_tells_how_far_it_is() {
    let server = Server::start();
    let client = server.client();
    let location = uploads::start(&client, "demo");
    let fresh = client.get(&location).expect_status(204).expect_header("range", "0-0");
    uploads::location(&fresh);
    client.patch(&location, &bytes::random(40, 1234)).expect_status(202);
    let reply = client.get(&location).expect_status(204).expect_header("range", "0-1233");
    assert!(!reply.header("docker-upload-uuid").is_empty());
    client.patch(&uploads::location(&reply), b"more").expect_status(202).expect_header("range", "0-1237");
}

#[test]
fn cancelling_ends_the_session() {
    let server = Server::start();
    let client = server.client();
    let location = uploads::start(&client, "demo");
    client.patch(&location, b"content").expect_status(202);
    client.delete(&location).expect_status(204);
    client.get(&location).expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    client.patch(&location, b"more").expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    client.delete(&location).expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    let digest = bytes::digest(b"content");
    uploads::finish(&client, &location, &digest).expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    client.assert_blob_status("demo", &digest, 404);
}

#[test]
fn a_cancelled_session_leaves_no_file() {
    let server = Server::start();
    let client = server.client();
    let location = uploads::start(&client, "demo");
    client.patch(&location, &bytes::random(41, 100_000)).expect_status(202);
    client.delete(&location).expect_status(204);
    let uploads = server.data().join("uploads");
    wait::until_true("the staging file to go", || files::files_under(&uploads).is_empty());
}

#[test]
fn a_session_that_never_was_is_unknown() {
    let server = Server::start();
    let client = server.client();
    let location = uploads::start(&client, "demo");
    let (base, id) = location.rsplit_once('/').expect("a Location has segments");
    let unknown = format!("{base}/{}", id.chars().map(other_digit).collect::<String>());
    client.get(&unknown).expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    client.patch(&unknown, b"content").expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    client.delete(&unknown).expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    uploads::finish(&client, &unknown, &bytes::digest(b"")).expect_error(404, "BLOB_UPLOAD_UNKNOWN");
}

/// Keeps the form of an id and makes it another.
fn other_digit(digit: char) -> char {
    match digit {
        '9' => '0',
        'f' => 'a',
        '0'..='8' | 'a'..='e' => char::from(digit as u8 + 1),
        other => other,
    }
}

#[test]
fn a_session_id_is_no_path() {
    let server = Server::start();
    let client = server.client();
    for id in ["x", "..%2f..%2fLOCK", "%2e%2e", "%00", "*", &"a".repeat(500)] {
        let location = format!("/v2/demo/blobs/uploads/{id}");
        client.get(&location).expect_status_in(&[400, 404]);
        client.patch(&location, b"content").expect_status_in(&[400, 404]);
        client.delete(&location).expect_status_in(&[400, 404]);
        uploads::finish(&client, &location, &bytes::digest(b"")).expect_status_in(&[400, 404]);
    }
    assert!(files::files_under(&server.data().join("uploads")).is_empty());
}

#[test]
fn a_session_belongs_to_its_repository() {
    let server = Server::start();
    let client = server.client();
    let location = uploads::start(&client, "mine");
    client.patch(&location, b"content").expect_status(202);
    let foreign = location.replacen("/v2/mine/", "/v2/yours/", 1);
    assert_ne!(foreign, location);
    let digest = bytes::digest(b"content");
    client.get(&foreign).expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    client.patch(&foreign, b"more").expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    uploads::finish(&client, &foreign, &digest).expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    client.delete(&foreign).expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    assert_eq!(uploads::offset(&client, &location), 7, "untouched by all of it");
    uploads::finish_and_pull(&client, "mine", &location, b"content");
    client.assert_blob_status("yours", &digest, 404);
    uploads::finish(&client, &foreign, &digest).expect_error(404, "BLOB_UPLOAD_UNKNOWN");
}

#[test]
fn sessions_do_not_mix() {
    let server = Server::start();
    let client = server.client();
    let contents: Vec<_> = (42..46).map(|seed| bytes::random(seed, 30_000)).collect();
    let locations: Vec<_> = contents.iter().map(|_| uploads::start(&client, "demo")).collect();
    for part in 0..3 {
        for (location, content) in locations.iter().zip(&contents) {
            let first = part * 10_000;
            uploads::patch_at(&client, location, first, &content[first..first + 10_000]).expect_status(202);
        }
    }
    for (location, content) in locations.iter().zip(&contents) {
        uploads::finish_and_pull(&client, "demo", location, content);
    }
}
