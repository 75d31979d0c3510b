//! Manifests that must not get in. The table of hostile requests (`hostile`) has those that are refused for
//! their words alone.

use serde_json::{Value, json};

use crate::support::builders::{DOCKER_FOREIGN_LAYER, OCI_MANIFEST, OCI_NONDISTRIBUTABLE_LAYER, descriptor};
use crate::support::raw::Connection;
use crate::support::{Client, ImageBuilder, IndexBuilder, Manifest, Reply, Server, bytes, wait};

const REPOSITORY: &str = "strict";
const LIMIT_BYTES: usize = 2000;

/// The digests that a refusal says are missing, one by error.
#[track_caller]
fn missing_in(reply: Reply) -> Vec<String> {
    let reply = reply.expect_error(400, "MANIFEST_BLOB_UNKNOWN");
    let mut missing = Vec::new();
    for error in reply.oci_errors() {
        assert_eq!(error["code"], "MANIFEST_BLOB_UNKNOWN", "{reply}");
        let detail = error["detail"].to_string();
        let start = detail.find("sha256:").unwrap_or_else(|| panic!("a digest in the detail: {reply}"));
        missing.push(detail[start..start + 71].to_owned());
    }
    missing.sort();
    missing
}

/// An image whose blobs are there, as JSON to be spoiled.
fn pushed_parts(client: &Client, seed: u64) -> Value {
    let builder = ImageBuilder::sample(seed);
    builder.build().push_blobs(client, REPOSITORY);
    builder.json()
}

fn to_bytes(document: &Value) -> Vec<u8> {
    serde_json::to_vec(document).expect("JSON")
}

#[test]
fn each_missing_blob_is_named() {
    let server = Server::start();
    let client = server.client();
    let layers: Vec<_> = (220..224).map(|seed| bytes::random(seed, 500)).collect();
    let mut builder = ImageBuilder::oci();
    for layer in &layers {
        builder = builder.layer(layer);
    }
    let image = builder.layer(&layers[3]).build();
    client.push_blob(REPOSITORY, &layers[0]);
    client.push_blob("elsewhere", &layers[1]);
    let mut expected: Vec<_> = layers[1..].iter().map(|layer| bytes::digest(layer)).collect();
    expected.push(bytes::digest(b"{}"));
    expected.sort();
    let reply = client.push_manifest(REPOSITORY, "v1", &image.media_type, &image.bytes);
    assert_eq!(missing_in(reply), expected, "once each, also what another repository has");
    client.get_manifest(REPOSITORY, "v1").expect_status(404);
    client.get_manifest(REPOSITORY, &image.digest).expect_status(404);
    image.push(&client, REPOSITORY, "v1");
    image.assert_pullable(&client, REPOSITORY, "v1");
}

#[test]
fn a_missing_child_is_named() {
    let server = Server::start();
    let client = server.client();
    let (here, missing) = (ImageBuilder::sample(225).build(), ImageBuilder::sample(226).build());
    here.push_untagged(&client, REPOSITORY);
    missing.push_untagged(&client, "elsewhere");
    for builder in [IndexBuilder::oci(), IndexBuilder::docker()] {
        let index = builder.child(&here).child(&missing).build();
        let reply = client.push_manifest(REPOSITORY, "multi", &index.media_type, &index.bytes);
        let reply = reply.expect_status(400);
        assert!(["MANIFEST_BLOB_UNKNOWN", "MANIFEST_UNKNOWN"].contains(&reply.oci_error().as_str()));
        assert_eq!(reply.oci_errors().len(), 1, "one is missing: {reply}");
        assert!(reply.oci_errors()[0]["detail"].to_string().contains(&missing.digest), "{reply}");
    }
    assert!(client.tags(REPOSITORY).is_empty());
}

#[test]
fn layers_that_are_never_pushed_are_not_missing() {
    let server = Server::start();
    let client = server.client();
    let content = bytes::random(227, 100);
    let mut foreign = descriptor(DOCKER_FOREIGN_LAYER, &content);
    foreign["urls"] = json!(["https://layers.example/windows"]);
    let image = ImageBuilder::docker().layer(b"a layer of our own").layer_elsewhere(foreign).build();
    image.push(&client, REPOSITORY, "foreign");
    image.assert_pullable(&client, REPOSITORY, "foreign");
    let layer = descriptor(OCI_NONDISTRIBUTABLE_LAYER, &content);
    let image = ImageBuilder::oci().layer_elsewhere(layer).build();
    image.push(&client, REPOSITORY, "nondistributable");
    image.assert_pullable(&client, REPOSITORY, "nondistributable");
    client.assert_blob_status(REPOSITORY, &bytes::digest(&content), 404);
}

/// A manifest must not be a key to the blobs of others: whoever knows a digest could read them all.
#[test]
fn a_foreign_layer_does_not_open_what_another_repository_holds() {
    let server = Server::start();
    let client = server.client();
    let secret = ImageBuilder::sample(238).build();
    secret.push(&client, "secret", "v1");
    let held = &secret.blobs[1];
    let mut with_urls = descriptor(DOCKER_FOREIGN_LAYER, held);
    with_urls["urls"] = json!(["https://layers.example/windows"]);
    let nondistributable = descriptor(OCI_NONDISTRIBUTABLE_LAYER, held);
    let images = [
        ImageBuilder::docker().layer_elsewhere(with_urls).build(),
        ImageBuilder::oci().layer_elsewhere(nondistributable).build(),
    ];
    for image in &images {
        image.push(&client, REPOSITORY, "v1");
        client.assert_blob_status(REPOSITORY, &bytes::digest(held), 404);
        let mount = format!("/v2/thief/blobs/uploads/?mount={}&from={REPOSITORY}", bytes::digest(held));
        client.post(&mount, b"").expect_status(202);
        client.assert_blob_status("thief", &bytes::digest(held), 404);
    }
    for image in &images {
        client.delete_manifest(REPOSITORY, &image.digest).expect_status(202);
    }
    secret.assert_pullable(&client, "secret", "v1");
}

#[test]
fn a_subject_opens_nothing_either() {
    let server = Server::start();
    let client = server.client();
    let secret = ImageBuilder::sample(239).build();
    secret.push(&client, "secret", "v1");
    let signature = ImageBuilder::oci().subject(secret.descriptor()).build();
    signature.push(&client, REPOSITORY, "sig");
    client.get_manifest(REPOSITORY, &secret.digest).expect_error(404, "MANIFEST_UNKNOWN");
    client.assert_blob_status(REPOSITORY, &secret.blob_digests()[1], 404);
}

#[test]
fn a_manifest_over_the_limit_is_refused() {
    let limit = LIMIT_BYTES.to_string();
    let server = Server::builder().env("WHARFINGER_MANIFEST_MAX_BYTES", &limit).start();
    let client = server.client();
    let builder = ImageBuilder::sample(228);
    builder.build().push_blobs(&client, REPOSITORY);
    let mut content = builder.build().bytes;
    content.resize(LIMIT_BYTES, b' ');
    client.push_manifest(REPOSITORY, "fits", OCI_MANIFEST, &content).expect_status(201);
    content.push(b' ');
    client.push_manifest(REPOSITORY, "large", OCI_MANIFEST, &content).expect_error(413, "SIZE_INVALID");
    let path = format!("/v2/{REPOSITORY}/manifests/large");
    let request = client.request("PUT", &path).header("content-type", OCI_MANIFEST);
    request.stream(content.as_slice()).send().expect_error(413, "SIZE_INVALID");
    assert_eq!(client.tags(REPOSITORY), ["fits"]);
}

#[test]
fn an_announced_body_over_the_limit_is_not_waited_for() {
    let server = Server::builder().env("WHARFINGER_DRAIN_MAX_SECS", "1").start();
    let mut connection = Connection::open(server.addr());
    let headers = ["Content-Length: 5000000000", "Content-Type: application/vnd.oci.image.manifest.v1+json"];
    connection.send_head("PUT", "/v2/strict/manifests/v1", &headers);
    connection.reply("PUT").expect_error(413, "SIZE_INVALID");
}

#[test]
fn an_endless_body_is_not_taken() {
    let server = Server::builder().env("WHARFINGER_DRAIN_MAX_SECS", "1").start();
    let mut connection = Connection::open(server.addr());
    connection.send_head("PUT", "/v2/strict/manifests/v1", &["Transfer-Encoding: chunked"]);
    let chunk = vec![b' '; 1 << 20];
    for _ in 0..5 {
        connection.send_chunk(&chunk);
    }
    connection.reply("PUT").expect_error(413, "SIZE_INVALID");
    server.client().get("/v2/").expect_status(200);
}

#[test]
fn a_body_that_breaks_off_is_no_manifest() {
    let server = Server::start();
    let mut connection = Connection::open(server.addr());
    let headers = ["Content-Length: 100", "Content-Type: application/vnd.oci.image.manifest.v1+json"];
    connection.send_head("PUT", "/v2/strict/manifests/v1", &headers).send(b"{").end_sending();
    connection.reply("PUT").expect_error(400, "MANIFEST_INVALID");
}

#[test]
fn four_megabytes_are_a_manifest() {
    let server = Server::start();
    let client = server.client();
    let mut document = pushed_parts(&client, 229);
    document["com.example.padding"] = "x".repeat(4_000_000).into();
    let image = Manifest::of(OCI_MANIFEST, &document, Vec::new());
    image.push_document(&client, REPOSITORY, "large");
    image.assert_pullable(&client, REPOSITORY, "large");
}

#[test]
fn schema_1_is_refused_in_words() {
    let server = Server::start();
    let client = server.client();
    let document = to_bytes(&json!({
        "schemaVersion": 1,
        "name": "strict",
        "tag": "v1",
        "architecture": "amd64",
        "fsLayers": [],
        "history": [],
    }));
    let types = [
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "application/json",
    ];
    for media_type in types {
        let reply = client.push_manifest(REPOSITORY, "v1", media_type, &document).expect_status(400);
        let words = String::from_utf8_lossy(&reply.body).to_lowercase();
        assert!(words.contains("schema"), "it says what is refused: {reply}");
    }
}

#[test]
fn a_refused_manifest_may_be_sent_right_on_the_same_connection() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(237).build();
    for _ in 0..3 {
        client.push_manifest(REPOSITORY, "v1", OCI_MANIFEST, b"not json").expect_status(400);
        image.push(&client, REPOSITORY, "v1");
    }
    image.assert_pullable(&client, REPOSITORY, "v1");
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let server = Server::builder()
        .env("WHARFINGER_MANIFEST_BODY_SECS", "1")
        .env("WHARFINGER_DRAIN_MAX_SECS", "0")
        .start();
    let mut connection = Connection::open(server.addr());
    connection.send_head("PUT", "/v2/demo/manifests/v1", &["Content-Length: 100"]).send(b"{");
    connection.reply("PUT").expect_error(408, "MANIFEST_INVALID");
}

#[test]
fn bodies_that_are_held_have_a_limit_together() {
    const MIB: usize = 1 << 20;
    let server = Server::builder().env("WHARFINGER_MANIFEST_BODIES_MAX_BYTES", "4194304").start();
    let client = server.client();
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let push = || client.push_manifest("demo", "v1", media_type, &vec![b' '; 2 * MIB]);
    push().expect_status(400);
    let length = format!("Content-Length: {}", 4 * MIB - 1);
    let mut held = Vec::new();
    // Where it is the other one that is refused, that one is tried again.
    let refused = wait::until("the limit", || {
        let mut connection = Connection::open(server.addr());
        connection.send_head("PUT", "/v2/demo/manifests/v1", &[&length]).send(&vec![b' '; 3 * MIB]);
        held.push(connection);
        Some(push()).filter(|reply| reply.status == 429)
    });
    assert_eq!(refused.expect_error(429, "TOOMANYREQUESTS").header("retry-after"), "1");
    held.iter_mut().for_each(Connection::break_off);
    wait::until_true("the bytes to be free", || push().status == 400);
}
