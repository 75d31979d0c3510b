//! PUT of a manifest, and what comes back.

use serde_json::json;

use crate::support::builders::{DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};
use crate::support::raw::Connection;
use crate::support::{ImageBuilder, IndexBuilder, Manifest, Server, bytes, uploads};

const REPOSITORY: &str = "images/app";

#[test]
fn a_manifest_is_pushed_by_tag() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(200).build();
    image.push_blobs(&client, REPOSITORY);
    let reply = client.push_manifest(REPOSITORY, "v1", &image.media_type, &image.bytes).expect_status(201);
    assert_eq!(reply.header("docker-content-digest"), image.digest);
    client.get(&uploads::location(&reply)).expect_status(200).expect_body(&image.bytes);
    image.assert_pullable(&client, REPOSITORY, "v1");
    image.assert_pullable(&client, REPOSITORY, &image.digest);
}

#[test]
fn a_manifest_is_pushed_by_digest() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(201).build();
    image.push_blobs(&client, REPOSITORY);
    let reply = client.push_manifest(REPOSITORY, &image.digest, &image.media_type, &image.bytes);
    let reply = reply.expect_status(201).expect_header("docker-content-digest", &image.digest);
    client.get(&uploads::location(&reply)).expect_status(200).expect_body(&image.bytes);
    image.assert_pullable(&client, REPOSITORY, &image.digest);
    assert!(client.tags(REPOSITORY).is_empty());
}

#[test]
fn a_manifest_is_pushed_by_sha512() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(202).build();
    image.push_blobs(&client, REPOSITORY);
    let digest = bytes::digest_sha512(&image.bytes);
    let reply = client.push_manifest(REPOSITORY, &digest, &image.media_type, &image.bytes);
    reply.expect_status(201).expect_header("docker-content-digest", &digest);
    let reply = client.get_manifest(REPOSITORY, &digest).expect_status(200).expect_body(&image.bytes);
    assert_eq!(reply.header("docker-content-digest"), digest);
    client.head_manifest(REPOSITORY, &digest).expect_status(200);
    client.delete_manifest(REPOSITORY, &digest).expect_status(202);
    client.get_manifest(REPOSITORY, &digest).expect_status(404);
}

#[test]
fn an_image_whose_blobs_are_named_by_sha512_is_pushed() {
    let server = Server::start();
    let client = server.client();
    let (config, layer) = (b"{\"os\":\"linux\"}".to_vec(), bytes::random(203, 2000));
    let mut document = ImageBuilder::oci().config(&config).layer(&layer).json();
    document["config"]["digest"] = bytes::digest_sha512(&config).into();
    document["layers"][0]["digest"] = bytes::digest_sha512(&layer).into();
    let image = Manifest::of(OCI_MANIFEST, &document, Vec::new());
    let reply = client.push_manifest(REPOSITORY, "v1", OCI_MANIFEST, &image.bytes);
    reply.expect_error(400, "MANIFEST_BLOB_UNKNOWN");
    for blob in [&config, &layer] {
        let path = format!("/v2/{REPOSITORY}/blobs/uploads/?digest={}", bytes::digest_sha512(blob));
        client.post(&path, blob).expect_status(201);
    }
    image.push_document(&client, REPOSITORY, "v1");
    image.assert_pullable(&client, REPOSITORY, "v1");
}

#[test]
fn another_digest_than_the_bytes_have_is_refused() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(204).build();
    image.push_blobs(&client, REPOSITORY);
    for wrong in [bytes::digest(b"something else"), bytes::digest_sha512(b"something else")] {
        let reply = client.push_manifest(REPOSITORY, &wrong, &image.media_type, &image.bytes);
        reply.expect_error(400, "DIGEST_INVALID");
        client.get_manifest(REPOSITORY, &wrong).expect_status(404);
    }
    client.get_manifest(REPOSITORY, &image.digest).expect_status(404);
    assert!(client.catalog().is_empty());
}

#[test]
fn a_reference_that_looks_like_a_digest_and_is_none_is_refused() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(205).build();
    image.push_blobs(&client, REPOSITORY);
    let upper = image.digest.to_uppercase().replace("SHA256", "sha256");
    for wrong in ["sha256:baddigest", "sha256:", "md5:d41d8cd98f00b204e9800998ecf8427e", upper.as_str()] {
        let reply = client.push_manifest(REPOSITORY, wrong, &image.media_type, &image.bytes);
        reply.expect_error(400, "DIGEST_INVALID");
        client.get_manifest(REPOSITORY, wrong).expect_status_in(&[400, 404]);
        client.head_manifest(REPOSITORY, wrong).expect_status_in(&[400, 404]);
        client.delete_manifest(REPOSITORY, wrong).expect_status_in(&[400, 404]);
    }
}

#[test]
fn the_bytes_are_kept_as_they_came() {
    let server = Server::start();
    let client = server.client();
    let builder = ImageBuilder::sample(206);
    let plain = builder.json();
    let spread = serde_json::to_string_pretty(&plain).expect("JSON").replace("  ", "\t ");
    let odd = format!("\r\n {}  \n\n", spread.replace("\": ", "\"  :  "));
    let escaped = odd.replace("linux", "lin\\u0075x").replace("application/", "application\\/");
    let image = Manifest::of_bytes(OCI_MANIFEST, escaped.into_bytes(), builder.build().blobs);
    image.push(&client, REPOSITORY, "odd");
    image.assert_pullable(&client, REPOSITORY, "odd");
    image.assert_pullable(&client, REPOSITORY, &image.digest);
}

#[test]
fn fields_that_nobody_knows_are_kept() {
    let server = Server::start();
    let client = server.client();
    let builder = ImageBuilder::sample(207);
    let mut document = builder.json();
    document["com.example.field"] = json!({ "of": ["tomorrow", 1, null, 1.5e300] });
    document["layers"][0]["com.example.field"] = json!(true);
    let image = Manifest::of(OCI_MANIFEST, &document, builder.build().blobs);
    image.push(&client, REPOSITORY, "v1");
    image.assert_pullable(&client, REPOSITORY, "v1");
}

#[test]
fn head_has_the_headers_of_get() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(208).build();
    image.push(&client, REPOSITORY, "v1");
    for reference in ["v1", image.digest.as_str()] {
        let get = client.get_manifest(REPOSITORY, reference).expect_status(200);
        let head = client.head_manifest(REPOSITORY, reference).expect_status(200);
        assert_eq!(head.stable_headers(), get.stable_headers());
        assert_eq!(head.header("content-length"), image.bytes.len().to_string());
        assert_eq!(head.header("content-type"), OCI_MANIFEST);
        assert_eq!(head.header("docker-content-digest"), image.digest);
        assert_eq!(head.header("etag"), format!("\"{}\"", image.digest));
    }
}

#[test]
fn head_sends_no_body_on_the_wire() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(209).build();
    image.push(&client, REPOSITORY, "v1");
    let path = format!("/v2/{REPOSITORY}/manifests/v1");
    let mut connection = Connection::open(server.addr());
    for _ in 0..3 {
        let head = connection.send_head("HEAD", &path, &[]).reply("HEAD").expect_status(200);
        assert_eq!(head.header("content-length"), image.bytes.len().to_string());
    }
    connection.send_head("GET", &path, &[]).reply("GET").expect_status(200).expect_body(&image.bytes);
}

#[test]
fn accept_changes_nothing() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(210).build();
    image.push(&client, REPOSITORY, "v1");
    let index = IndexBuilder::oci().child(&image).build();
    index.push(&client, REPOSITORY, "multi");
    let accepted = [
        DOCKER_MANIFEST,
        OCI_INDEX,
        OCI_MANIFEST,
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "text/html",
        "*/*",
        "not a media type",
    ];
    for (reference, pushed) in [("v1", &image), ("multi", &index)] {
        for accept in accepted {
            for method in ["GET", "HEAD"] {
                let path = format!("/v2/{REPOSITORY}/manifests/{reference}");
                let reply = client.request(method, &path).header("accept", accept).send();
                let reply = reply.expect_status(200).expect_header("content-type", &pushed.media_type);
                assert_eq!(reply.header("docker-content-digest"), pushed.digest, "Accept: {accept}");
            }
        }
    }
}

#[test]
fn an_unknown_manifest_is_not_found() {
    let server = Server::start();
    let client = server.client();
    let unknown = bytes::digest_of_nothing_here();
    client.head_manifest("never/seen", "latest").expect_status(404);
    client.get_manifest("never/seen", "latest").expect_status(404);
    client.get_manifest("never/seen", &unknown).expect_status(404);
    ImageBuilder::sample(211).build().push(&client, REPOSITORY, "v1");
    for reference in ["v2", "V1", unknown.as_str()] {
        client.get_manifest(REPOSITORY, reference).expect_error(404, "MANIFEST_UNKNOWN");
        client.head_manifest(REPOSITORY, reference).expect_status(404);
        client.delete_manifest(REPOSITORY, reference).expect_error(404, "MANIFEST_UNKNOWN");
    }
}

#[test]
fn a_manifest_is_known_only_where_it_was_pushed() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(212).build();
    image.push(&client, REPOSITORY, "v1");
    ImageBuilder::sample(213).build().push(&client, "other", "v2");
    client.get_manifest("other", &image.digest).expect_error(404, "MANIFEST_UNKNOWN");
    client.get_manifest("other", "v1").expect_error(404, "MANIFEST_UNKNOWN");
}

#[test]
fn a_manifest_pushed_again_is_the_same_manifest() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(214).build();
    image.push(&client, REPOSITORY, "v1");
    for reference in ["v1", "v1", "v2", image.digest.as_str()] {
        image.push_document(&client, REPOSITORY, reference);
    }
    image.assert_pullable(&client, REPOSITORY, "v1");
    assert_eq!(client.tags(REPOSITORY), ["v1", "v2"]);
}

#[test]
fn a_manifest_may_come_in_chunks_or_slowly() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(215).build();
    image.push_blobs(&client, REPOSITORY);
    let path = format!("/v2/{REPOSITORY}/manifests/chunked");
    let request = client.request("PUT", &path).header("content-type", &image.media_type);
    request.stream(image.bytes.as_slice()).send().expect_status(201);
    let mut connection = Connection::open(server.addr());
    let length = format!("Content-Length: {}", image.bytes.len());
    let media_type = format!("Content-Type: {}", image.media_type);
    connection.send_head("PUT", &path.replace("chunked", "slow"), &[&length, &media_type]);
    for piece in image.bytes.chunks(100) {
        connection.send(piece);
    }
    connection.reply("PUT").expect_status(201);
    image.assert_pullable(&client, REPOSITORY, "chunked");
    image.assert_pullable(&client, REPOSITORY, "slow");
}
