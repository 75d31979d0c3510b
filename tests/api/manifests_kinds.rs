//! All that people push: Docker and OCI, lists, artifacts, build caches.

use serde_json::json;

use crate::support::builders::{
    DOCKER_LIST, DOCKER_MANIFEST, OCI_EMPTY, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, descriptor,
};
use crate::support::{ImageBuilder, IndexBuilder, Manifest, Server, bytes};

const REPOSITORY: &str = "kinds";

#[test]
fn a_docker_image_is_pushed_and_pulled() {
    let server = Server::start();
    let client = server.client();
    let image =
        ImageBuilder::docker().layer(&bytes::random(240, 5000)).layer(&bytes::random(241, 10)).build();
    image.push(&client, REPOSITORY, "v1");
    image.assert_pullable(&client, REPOSITORY, "v1");
    assert_eq!(image.media_type, DOCKER_MANIFEST);
}

#[test]
fn a_docker_list_is_pushed_and_pulled() {
    let server = Server::start();
    let client = server.client();
    let children = [242, 243].map(|seed| ImageBuilder::docker().layer(&bytes::random(seed, 100)).build());
    let mut list = IndexBuilder::docker();
    for child in &children {
        child.push_untagged(&client, REPOSITORY);
        list = list.child(child);
    }
    let list = list.build();
    list.push(&client, REPOSITORY, "multi");
    list.assert_pullable(&client, REPOSITORY, "multi");
    for child in &children {
        child.assert_pullable(&client, REPOSITORY, &child.digest);
    }
    assert_eq!(list.media_type, DOCKER_LIST);
}

#[test]
fn an_index_may_hold_indexes_and_attestations() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(244).build();
    image.push_untagged(&client, REPOSITORY);
    let attestation =
        ImageBuilder::oci().layer_of_type("application/vnd.in-toto+json", b"{\"_type\":1}").build();
    attestation.push_untagged(&client, REPOSITORY);
    let mut entry = attestation.descriptor();
    entry["platform"] = json!({ "architecture": "unknown", "os": "unknown" });
    entry["annotations"] = json!({ "vnd.docker.reference.type": "attestation-manifest" });
    let inner = IndexBuilder::oci().child(&image).entry(entry).build();
    inner.push_untagged(&client, REPOSITORY);
    let outer = IndexBuilder::oci().entry(inner.descriptor()).child(&image).child(&image).build();
    outer.push(&client, REPOSITORY, "nested");
    outer.assert_pullable(&client, REPOSITORY, "nested");
    client.delete_manifest(REPOSITORY, &outer.digest).expect_status(202);
    for digest in [&inner.digest, &image.digest, &attestation.digest] {
        client.get_manifest(REPOSITORY, digest).expect_status(404);
    }
    assert!(client.catalog().is_empty());
}

#[test]
fn an_index_of_nothing_is_an_index() {
    let server = Server::start();
    let client = server.client();
    let index = IndexBuilder::oci().annotation("why", "not").build();
    index.push(&client, REPOSITORY, "empty");
    index.assert_pullable(&client, REPOSITORY, "empty");
}

#[test]
fn an_image_without_layers_is_an_image() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::oci().config(b"{\"rootfs\":{}}").build();
    image.push(&client, REPOSITORY, "bare");
    image.assert_pullable(&client, REPOSITORY, "bare");
}

#[test]
fn any_artifact_is_pushed() {
    let server = Server::start();
    let client = server.client();
    let chart = ImageBuilder::oci()
        .config(b"{\"name\":\"chart\",\"version\":\"0.1.0\"}")
        .config_type("application/vnd.cncf.helm.config.v1+json")
        .layer_of_type("application/vnd.cncf.helm.chart.content.v1.tar+gzip", b"a chart");
    let typed = ImageBuilder::oci()
        .config_type(OCI_EMPTY)
        .artifact_type("application/vnd.example.sbom")
        .layer_of_type("text/spdx", b"a bill of materials")
        .annotation("org.opencontainers.image.created", "2026-01-01T00:00:00Z");
    let odd = ImageBuilder::oci().config(b"\x00\xff no json").config_type("x/y").layer_of_type("a/b", b"");
    for (tag, builder) in [("chart", chart), ("typed", typed), ("odd", odd)] {
        let artifact = builder.build();
        artifact.push(&client, REPOSITORY, tag);
        artifact.assert_pullable(&client, REPOSITORY, tag);
    }
}

#[test]
fn a_build_cache_names_layers_in_its_index() {
    let server = Server::start();
    let client = server.client();
    let (config, layer) = (b"{\"layers\":[]}".to_vec(), bytes::random(245, 3000));
    let cache = IndexBuilder::oci()
        .entry(descriptor(OCI_LAYER, &layer))
        .entry(descriptor("application/vnd.buildkit.cacheconfig.v0", &config))
        .build();
    let push = || client.push_manifest(REPOSITORY, "cache", OCI_INDEX, &cache.bytes);
    push().expect_status(400);
    client.push_blob(REPOSITORY, &config);
    push().expect_status(400);
    client.push_blob(REPOSITORY, &layer);
    push().expect_status(201);
    cache.assert_pullable(&client, REPOSITORY, "cache");
    for blob in [&config, &layer] {
        let digest = bytes::digest(blob);
        client.get_blob(REPOSITORY, &digest).expect_status(200).expect_body(blob);
        let reply = client.delete_blob(REPOSITORY, &digest).expect_error(405, "UNSUPPORTED");
        assert!(reply.oci_errors()[0]["detail"].to_string().contains(&cache.digest), "{reply}");
    }
    client.delete_manifest(REPOSITORY, &cache.digest).expect_status(202);
    client.assert_blob_status(REPOSITORY, &bytes::digest(&layer), 404);
}

#[test]
fn parameters_of_the_type_are_dropped() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(246).build();
    image.push_blobs(&client, REPOSITORY);
    for (tag, parameters) in [("one", "; charset=utf-8"), ("two", ";charset=UTF-8;q=1")] {
        let media_type = format!("{OCI_MANIFEST}{parameters}");
        client.push_manifest(REPOSITORY, tag, &media_type, &image.bytes).expect_status(201);
        image.assert_pullable(&client, REPOSITORY, tag);
    }
}

#[test]
fn a_missing_type_is_taken_from_the_body() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(247).build();
    image.push_untagged(&client, REPOSITORY);
    let documents = [
        ("image", image.clone()),
        ("index", IndexBuilder::oci().child(&image).build()),
        ("list", IndexBuilder::docker().child(&image).build()),
    ];
    for (tag, document) in documents {
        client.put(&format!("/v2/{REPOSITORY}/manifests/{tag}"), &document.bytes).expect_status(201);
        document.assert_pullable(&client, REPOSITORY, tag);
    }
}

#[test]
fn a_body_without_its_type_is_what_the_header_says() {
    let server = Server::start();
    let client = server.client();
    let builder = ImageBuilder::sample(248);
    let mut document = builder.json();
    document.as_object_mut().expect("an object").remove("mediaType");
    let image = Manifest::of(OCI_MANIFEST, &document, builder.build().blobs);
    image.push(&client, REPOSITORY, "image");
    image.assert_pullable(&client, REPOSITORY, "image");
    let mut document = IndexBuilder::oci().child(&image).json();
    document.as_object_mut().expect("an object").remove("mediaType");
    let index = Manifest::of(OCI_INDEX, &document, Vec::new());
    index.push(&client, REPOSITORY, "index");
    index.assert_pullable(&client, REPOSITORY, "index");
}

#[test]
fn a_large_index_is_pushed_and_deleted() {
    let server = Server::start();
    let client = server.client();
    let children: Vec<_> =
        (0..60).map(|number| ImageBuilder::oci().annotation("number", &number.to_string()).build()).collect();
    client.push_blob(REPOSITORY, b"{}");
    let mut index = IndexBuilder::oci();
    for child in &children {
        child.push_document(&client, REPOSITORY, &child.digest);
        index = index.child(child);
    }
    let index = index.build();
    index.push(&client, REPOSITORY, "large");
    client.delete_manifest(REPOSITORY, &index.digest).expect_status(202);
    for child in &children {
        client.get_manifest(REPOSITORY, &child.digest).expect_status(404);
    }
    client.assert_blob_status(REPOSITORY, &bytes::digest(b"{}"), 404);
    assert!(client.catalog().is_empty());
}
