//! Tags: what they may be called, and that they move.

use crate::support::{ImageBuilder, IndexBuilder, Server};

const REPOSITORY: &str = "tagged";

#[test]
fn legal_tags_are_taken() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(270).build();
    image.push_blobs(&client, REPOSITORY);
    let longest = "a".repeat(128);
    for tag in ["a", "0", "_", "A.B-C_d", "1.2.3-rc.1", "a--b", "a..b", "latest", "sha256", longest.as_str()]
    {
        image.push_document(&client, REPOSITORY, tag);
        image.assert_pullable(&client, REPOSITORY, tag);
    }
}

#[test]
fn illegal_tags_are_refused() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(271).build();
    image.push_blobs(&client, REPOSITORY);
    let long = "a".repeat(129);
    let tags =
        ["-a", ".a", "a%20b", "a+b", "a%2Fb", "a@b", "%C3%A9", "%00", "a%0Ab", "..", "a:b", long.as_str()];
    for tag in tags {
        let reply = client.push_manifest(REPOSITORY, tag, &image.media_type, &image.bytes);
        reply.expect_status_in(&[400, 404]);
        client.get_manifest(REPOSITORY, tag).expect_status_in(&[400, 404]);
        client.delete_manifest(REPOSITORY, tag).expect_status_in(&[400, 404]);
    }
    assert!(client.catalog().is_empty());
}

#[test]
fn tags_differ_by_case() {
    let server = Server::start();
    let client = server.client();
    let (lower, upper) = (ImageBuilder::sample(272).build(), ImageBuilder::sample(273).build());
    lower.push(&client, REPOSITORY, "tag");
    upper.push(&client, REPOSITORY, "TAG");
    lower.assert_pullable(&client, REPOSITORY, "tag");
    upper.assert_pullable(&client, REPOSITORY, "TAG");
}

#[test]
fn a_tag_moves_to_what_was_pushed_last() {
    let server = Server::start();
    let client = server.client();
    let images = [274, 275, 276].map(|seed| ImageBuilder::sample(seed).build());
    for image in &images {
        image.push(&client, REPOSITORY, "latest");
        image.assert_pullable(&client, REPOSITORY, "latest");
    }
    images[0].push_document(&client, REPOSITORY, "latest");
    images[0].assert_pullable(&client, REPOSITORY, "latest");
    assert_eq!(client.tags(REPOSITORY), ["latest"]);
    for image in &images {
        image.assert_pullable(&client, REPOSITORY, &image.digest);
    }
}

#[test]
fn a_tag_moves_between_image_and_index() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(277).build();
    image.push(&client, REPOSITORY, "latest");
    let oci = IndexBuilder::oci().child(&image).build();
    let docker = IndexBuilder::docker().child(&image).build();
    for document in [&oci, &docker, &image, &docker] {
        document.push_document(&client, REPOSITORY, "latest");
        document.assert_pullable(&client, REPOSITORY, "latest");
        let head = client.head_manifest(REPOSITORY, "latest").expect_status(200);
        assert_eq!(head.header("content-type"), document.media_type);
    }
}

#[test]
fn a_tag_of_a_refused_manifest_does_not_move() {
    let server = Server::start();
    let client = server.client();
    let (image, unready) = (ImageBuilder::sample(278).build(), ImageBuilder::sample(279).build());
    image.push(&client, REPOSITORY, "latest");
    let reply = client.push_manifest(REPOSITORY, "latest", &unready.media_type, &unready.bytes);
    reply.expect_error(400, "MANIFEST_BLOB_UNKNOWN");
    image.assert_pullable(&client, REPOSITORY, "latest");
}

#[test]
fn tags_of_repositories_do_not_mix() {
    let server = Server::start();
    let client = server.client();
    let (one, two) = (ImageBuilder::sample(280).build(), ImageBuilder::sample(281).build());
    one.push(&client, "a", "latest");
    two.push(&client, "a/b", "latest");
    one.push(&client, "a/b", "old");
    assert_eq!(client.tags("a"), ["latest"]);
    assert_eq!(client.tags("a/b"), ["latest", "old"]);
    one.assert_pullable(&client, "a", "latest");
    two.assert_pullable(&client, "a/b", "latest");
}
