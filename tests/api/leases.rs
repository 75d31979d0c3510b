//! A finished upload is visible before any manifest names it, for a time.

use std::time::Duration;

use crate::support::{Client, ImageBuilder, Server, uploads, wait};

/// Waits until neither GET nor HEAD answers for a blob.
#[track_caller]
fn await_end(client: &Client, repository: &str, digest: &str) {
    wait::every(Duration::from_millis(100), "the lease to end", || {
        (client.get_blob(repository, digest).status == 404).then_some(())
    });
    client.assert_blob_status(repository, digest, 404);
}

#[test]
fn an_uploaded_blob_is_visible_before_its_manifest() {
    let server = Server::start();
    let client = server.client();
    let digest = client.push_blob("demo", b"waiting");
    client.head_blob("demo", &digest).expect_status(200).expect_header("content-length", "7");
    client.get_blob("demo", &digest).expect_status(200).expect_body(b"waiting");
}

#[test]
fn a_lease_survives_a_restart() {
    let mut server = Server::start();
    let image = ImageBuilder::sample(170).build();
    image.push_blobs(&server.client(), "demo");
    server.restart();
    image.push_document(&server.client(), "demo", "v1");
    image.assert_pullable(&server.client(), "demo", "v1");
}

#[test]
fn a_lease_ends() {
    let server = Server::builder().env("WHARFINGER_BLOB_LEASE_SECS", "2").start();
    let client = server.client();
    let image = ImageBuilder::sample(171).build();
    image.push_blobs(&client, "demo");
    for digest in image.blob_digests() {
        await_end(&client, "demo", &digest);
    }
    let reply = client.push_manifest("demo", "v1", &image.media_type, &image.bytes);
    reply.expect_error(400, "MANIFEST_BLOB_UNKNOWN");
    image.push(&client, "demo", "v1");
    image.assert_pullable(&client, "demo", "v1");
}

#[test]
fn a_manifest_outlives_the_leases_of_its_blobs() {
    let server = Server::builder().env("WHARFINGER_BLOB_LEASE_SECS", "1").start();
    let client = server.client();
    let image = ImageBuilder::sample(172).build();
    image.push(&client, "demo", "v1");
    let later = client.push_blob("demo", b"a lease that began later");
    await_end(&client, "demo", &later);
    image.assert_pullable(&client, "demo", "v1");
    client.assert_blob_status("demo", &image.blob_digests()[0], 200);
}

#[test]
fn a_mounts_lease_ends_too() {
    let server = Server::builder().env("WHARFINGER_BLOB_LEASE_SECS", "1").start();
    let client = server.client();
    let image = ImageBuilder::sample(173).build();
    image.push(&client, "source", "v1");
    let layer = &image.blob_digests()[1];
    client.post(&format!("/v2/target/blobs/uploads/?mount={layer}&from=source"), b"").expect_status(201);
    await_end(&client, "target", layer);
    client.assert_blob_status("source", layer, 200);
}

#[test]
fn an_open_session_keeps_the_leases_of_its_repository() {
    let server = Server::builder().env("WHARFINGER_BLOB_LEASE_SECS", "1").start();
    let client = server.client();
    let image = ImageBuilder::sample(174).build();
    let location = uploads::start(&client, "busy");
    image.push_blobs(&client, "busy");
    let elsewhere = client.push_blob("quiet", b"a lease that began later");
    await_end(&client, "quiet", &elsewhere);
    for digest in image.blob_digests() {
        client.get_blob("busy", &digest).expect_status(200);
    }
    client.delete(&location).expect_status(204);
    await_end(&client, "busy", &image.blob_digests()[0]);
}

#[test]
fn head_stops_answering_a_while_before_the_lease_ends() {
    let server = Server::builder()
        .env("WHARFINGER_BLOB_LEASE_SECS", "8")
        .env("WHARFINGER_LEASE_MARGIN_SECS", "2")
        .start();
    let client = server.client();
    let digest = client.push_blob("demo", b"content");
    client.head_blob("demo", &digest).expect_status(200);
    wait::until("HEAD to stop answering", || (client.head_blob("demo", &digest).status == 404).then_some(()));
    client.get_blob("demo", &digest).expect_status(200).expect_body(b"content");
    let path = format!("/v2/demo/blobs/{digest}");
    let conditional = |name: &str, value: &str| client.request("GET", &path).header(name, value).send();
    conditional("if-none-match", &format!("\"{digest}\"")).expect_status(304);
    conditional("if-match", "\"other\"").expect_error(412, "DENIED");
    let mount = format!("/v2/other/blobs/uploads/?mount={digest}&from=demo");
    client.post(&mount, b"").expect_status(201);
    client.push_blob("demo", b"content");
    client.head_blob("demo", &digest).expect_status(200);
}
