//! Manifests that must not get in.

use serde_json::{Value, json};

use crate::support::builders::{
    DOCKER_FOREIGN_LAYER, DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_LAYER, OCI_MANIFEST,
    OCI_NONDISTRIBUTABLE_LAYER, descriptor,
};
use crate::support::raw::Connection;
use crate::support::{Client, ImageBuilder, IndexBuilder, Manifest, Reply, Server, bytes};

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

#[track_caller]
fn assert_invalid(client: &Client, media_type: &str, content: &[u8]) -> Reply {
    let reply = client.push_manifest(REPOSITORY, "bad", media_type, content);
    let reply = reply.expect_error(400, "MANIFEST_INVALID");
    client.get_manifest(REPOSITORY, "bad").expect_status(404);
    reply
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
fn a_descriptor_with_another_size_than_the_content_is_refused() {
    let server = Server::start();
    let client = server.client();
    let good = pushed_parts(&client, 249);
    let child = Manifest::of(OCI_MANIFEST, &good, Vec::new());
    child.push_document(&client, REPOSITORY, &child.digest);
    let mut entry = child.descriptor();
    entry["size"] = json!(child.bytes.len() + 1);
    let mut documents = vec![(OCI_INDEX, IndexBuilder::oci().entry(entry).json())];
    for part in ["/config/size", "/layers/0/size"] {
        for size in [0, 1, 3001, u64::from(u32::MAX)] {
            let mut document = good.clone();
            *document.pointer_mut(part).expect("a field of an image") = json!(size);
            documents.push((OCI_MANIFEST, document));
        }
    }
    for (media_type, document) in documents {
        let content = to_bytes(&document);
        let reply = client.push_manifest(REPOSITORY, "bad", media_type, &content).expect_status(400);
        let codes = ["MANIFEST_INVALID", "SIZE_INVALID"];
        assert!(codes.contains(&reply.oci_error().as_str()), "{document}: {reply}");
        client.get_manifest(REPOSITORY, "bad").expect_status(404);
        client.get_manifest(REPOSITORY, &bytes::digest(&content)).expect_status(404);
    }
    assert!(client.tags(REPOSITORY).is_empty());
}

#[test]
fn a_layer_does_not_become_foreign_by_having_no_urls() {
    let server = Server::start();
    let client = server.client();
    let mut layer = descriptor(OCI_LAYER, b"not pushed");
    layer["urls"] = json!([]);
    let image = ImageBuilder::oci().layer_elsewhere(layer).build();
    image.push_blobs(&client, REPOSITORY);
    let reply = client.push_manifest(REPOSITORY, "v1", &image.media_type, &image.bytes);
    assert_eq!(missing_in(reply), [bytes::digest(b"not pushed")]);
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
fn another_type_than_the_body_says_is_refused() {
    let server = Server::start();
    let client = server.client();
    let image = to_bytes(&pushed_parts(&client, 230));
    for media_type in [OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST] {
        assert_invalid(&client, media_type, &image);
    }
    let list = to_bytes(&IndexBuilder::docker().json());
    for media_type in [OCI_INDEX, OCI_MANIFEST, DOCKER_MANIFEST] {
        assert_invalid(&client, media_type, &list);
    }
}

#[test]
fn a_body_that_is_two_things_is_refused() {
    let server = Server::start();
    let client = server.client();
    let mut document = pushed_parts(&client, 231);
    document["manifests"] = json!([]);
    document.as_object_mut().expect("an object").remove("mediaType");
    assert_invalid(&client, OCI_MANIFEST, &to_bytes(&document));
    assert_invalid(&client, OCI_INDEX, &to_bytes(&document));
}

#[test]
fn an_image_under_the_type_of_an_index_is_refused() {
    let server = Server::start();
    let client = server.client();
    let mut document = pushed_parts(&client, 232);
    document.as_object_mut().expect("an object").remove("mediaType");
    assert_invalid(&client, OCI_INDEX, &to_bytes(&document));
    let mut index = IndexBuilder::oci().json();
    index.as_object_mut().expect("an object").remove("mediaType");
    assert_invalid(&client, OCI_MANIFEST, &to_bytes(&index));
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
fn a_type_that_is_no_manifest_is_refused() {
    let server = Server::start();
    let client = server.client();
    let mut document = pushed_parts(&client, 233);
    document.as_object_mut().expect("an object").remove("mediaType");
    let content = to_bytes(&document);
    for media_type in ["application/vnd.example.thing", "text/html", "image/png", OCI_LAYER, "nonsense"] {
        let reply = client.push_manifest(REPOSITORY, "bad", media_type, &content).expect_status(400);
        assert!(["MANIFEST_INVALID", "UNSUPPORTED"].contains(&reply.oci_error().as_str()), "{reply}");
    }
    assert!(client.catalog().is_empty());
}

#[test]
fn what_is_not_json_is_refused() {
    let server = Server::start();
    let client = server.client();
    let good = to_bytes(&pushed_parts(&client, 234));
    let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
    let bodies: [&[u8]; 9] =
        [b"", b"{", b"[]", b"null", b"\"text\"", b"not json", b"\xff\xfe{}", &good[..good.len() - 1], &deep];
    for body in bodies {
        assert_invalid(&client, OCI_MANIFEST, body);
    }
    let twice = [good.as_slice(), good.as_slice()].concat();
    assert_invalid(&client, OCI_MANIFEST, &twice);
}

#[test]
fn a_field_given_twice_is_refused() {
    let server = Server::start();
    let client = server.client();
    let good = String::from_utf8(to_bytes(&pushed_parts(&client, 235))).expect("UTF-8");
    let twice = good.replacen('{', "{\"layers\":[],", 1);
    assert_invalid(&client, OCI_MANIFEST, twice.as_bytes());
    assert_invalid(&client, OCI_MANIFEST, good.replacen('{', "{\"schemaVersion\":2,", 1).as_bytes());
}

#[test]
fn documents_of_the_wrong_shape_are_refused() {
    let server = Server::start();
    let client = server.client();
    let good = pushed_parts(&client, 236);
    let spoil: [fn(&mut Value); 8] = [
        |document| document["layers"] = json!({}),
        |document| document["config"] = json!("text"),
        |document| document["config"]["digest"] = json!("sha256:baddigest"),
        |document| document["layers"][0]["digest"] = json!("../../etc/passwd"),
        |document| document["layers"][0]["size"] = json!(-1),
        |document| document["layers"][0]["size"] = json!("12"),
        |document| document["schemaVersion"] = json!(3),
        |document| document["subject"] = json!({ "digest": "sha256:baddigest" }),
    ];
    for (number, spoil) in spoil.iter().enumerate() {
        let mut document = good.clone();
        spoil(&mut document);
        let reply = client.push_manifest(REPOSITORY, "bad", OCI_MANIFEST, &to_bytes(&document));
        let reply = reply.expect_status(400);
        let codes = ["MANIFEST_INVALID", "DIGEST_INVALID"];
        assert!(codes.contains(&reply.oci_error().as_str()), "document {number}: {reply}");
    }
    assert!(client.catalog().is_empty());
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
