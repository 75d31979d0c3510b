//! Cross-repository mounts: bytes that are here already are not sent again.

use crate::support::{Client, ImageBuilder, Manifest, Reply, Server, bytes, uploads};

#[track_caller]
fn mount(client: &Client, repository: &str, digest: &str, from: Option<&str>) -> Reply {
    let from = from.map(|name| format!("&from={name}")).unwrap_or_default();
    client.post(&format!("/v2/{repository}/blobs/uploads/?mount={digest}{from}"), b"")
}

#[track_caller]
fn assert_mounted(client: &Client, reply: Reply, repository: &str, digest: &str) {
    let reply = reply.expect_status(201).expect_header("docker-content-digest", digest);
    assert_eq!(uploads::location(&reply), format!("/v2/{repository}/blobs/{digest}"));
    client.assert_blob_status(repository, digest, 200);
}

/// A miss is a session, so that the client can push instead.
#[track_caller]
fn assert_missed(client: &Client, reply: Reply, repository: &str) {
    let reply = reply.expect_status(202).expect_header("range", "0-0");
    assert!(!reply.header("docker-upload-uuid").is_empty());
    let content = bytes::random(1300, 1000);
    let digest = bytes::digest(&content);
    let location = uploads::location(&reply);
    client.put(&uploads::with_digest(&location, &digest), &content).expect_status(201);
    client.get_blob(repository, &digest).expect_status(200).expect_body(&content);
}

fn pushed(client: &Client, repository: &str, seed: u64) -> (Manifest, String) {
    let image = ImageBuilder::sample(seed).build();
    image.push(client, repository, "v1");
    let layer = image.blob_digests().pop().expect("an image of two blobs");
    (image, layer)
}

#[test]
fn a_blob_of_another_repository_is_mounted() {
    let server = Server::start();
    let client = server.client();
    let (image, layer) = pushed(&client, "source/app", 130);
    client.assert_blob_status("target", &layer, 404);
    let reply = mount(&client, "target", &layer, Some("source/app"));
    assert_mounted(&client, reply, "target", &layer);
    client.get_blob("target", &layer).expect_status(200).expect_body(&image.blobs[1]);
}

#[test]
fn a_blob_without_a_manifest_is_mounted_while_its_lease_lives() {
    let server = Server::start();
    let client = server.client();
    let digest = client.push_blob("source", b"leased");
    assert_mounted(&client, mount(&client, "target", &digest, Some("source")), "target", &digest);
}

#[test]
fn escaped_parameters_are_understood() {
    let server = Server::start();
    let client = server.client();
    let (_, layer) = pushed(&client, "source/app", 131);
    let escaped = layer.replace(':', "%3A");
    let reply = mount(&client, "target", &escaped, Some("source%2Fapp"));
    assert_mounted(&client, reply, "target", &layer);
}

#[test]
fn a_mount_counts_for_a_manifest() {
    let server = Server::start();
    let client = server.client();
    let (image, _) = pushed(&client, "source", 132);
    for digest in image.blob_digests() {
        assert_mounted(&client, mount(&client, "target", &digest, Some("source")), "target", &digest);
    }
    image.push_document(&client, "target", "v1");
    client.delete_manifest("source", &image.digest).expect_status(202);
    image.assert_pullable(&client, "target", "v1");
}

#[test]
fn a_mount_outlives_its_source() {
    let server = Server::start();
    let client = server.client();
    let (image, layer) = pushed(&client, "source", 133);
    assert_mounted(&client, mount(&client, "target", &layer, Some("source")), "target", &layer);
    client.delete_manifest("source", &image.digest).expect_status(202);
    client.assert_blob_status("source", &layer, 404);
    client.get_blob("target", &layer).expect_status(200).expect_body(&image.blobs[1]);
}

#[test]
fn a_mount_of_what_the_source_does_not_have_is_a_session() {
    let server = Server::start();
    let client = server.client();
    let (_, layer) = pushed(&client, "source", 134);
    pushed(&client, "elsewhere", 135);
    assert_missed(&client, mount(&client, "target", &layer, Some("elsewhere")), "target");
    assert_missed(&client, mount(&client, "target", &layer, Some("never/seen")), "target");
    let unknown = bytes::digest_of_nothing_here();
    assert_missed(&client, mount(&client, "target", &unknown, Some("source")), "target");
    client.assert_blob_status("target", &layer, 404);
}

#[test]
fn a_mount_of_what_was_deleted_is_a_session() {
    let server = Server::start();
    let client = server.client();
    let (image, layer) = pushed(&client, "source", 136);
    client.delete_manifest("source", &image.digest).expect_status(202);
    assert_missed(&client, mount(&client, "target", &layer, Some("source")), "target");
    assert_missed(&client, mount(&client, "target", &layer, None), "target");
    client.assert_blob_status("target", &layer, 404);
}

#[test]
fn a_mount_without_a_source_takes_any() {
    let server = Server::start();
    let client = server.client();
    let (_, layer) = pushed(&client, "somewhere", 137);
    assert_mounted(&client, mount(&client, "target", &layer, None), "target", &layer);
    assert_missed(&client, mount(&client, "target", &bytes::digest_of_nothing_here(), None), "target");
}

#[test]
fn a_mount_from_the_repository_itself_is_a_mount() {
    let server = Server::start();
    let client = server.client();
    let (_, layer) = pushed(&client, "same", 138);
    assert_mounted(&client, mount(&client, "same", &layer, Some("same")), "same", &layer);
}

#[test]
fn a_mount_from_no_name_is_no_internal_error() {
    let server = Server::start();
    let client = server.client();
    let (_, layer) = pushed(&client, "source", 139);
    for from in ["", "UPPER", "..", "%00", "a%2F%2Fb"] {
        mount(&client, "target", &layer, Some(from)).expect_status_in(&[201, 202, 400]);
    }
}

#[test]
fn a_manifest_is_not_mounted() {
    let server = Server::start();
    let client = server.client();
    let (image, _) = pushed(&client, "source", 140);
    assert_missed(&client, mount(&client, "target", &image.digest, Some("source")), "target");
    client.assert_blob_status("target", &image.digest, 404);
}

#[test]
fn every_missed_mount_may_be_cancelled() {
    let server = Server::start();
    let client = server.client();
    for source in ["one", "two", "three"] {
        let reply = mount(&client, "target", &bytes::digest_of_nothing_here(), Some(source));
        client.delete(&uploads::location(&reply.expect_status(202))).expect_status(204);
    }
}

#[test]
fn a_sha512_blob_is_mounted() {
    let server = Server::start();
    let client = server.client();
    let digest = bytes::digest_sha512(b"content");
    client.post(&format!("/v2/source/blobs/uploads/?digest={digest}"), b"content").expect_status(201);
    assert_mounted(&client, mount(&client, "target", &digest, Some("source")), "target", &digest);
}
