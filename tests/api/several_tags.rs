//! One push that sets several tags (distribution-spec, main branch, "Pushing Manifests").

use crate::support::{Client, ImageBuilder, Manifest, Reply, Server};

const REPOSITORY: &str = "tagged";

fn put(client: &Client, image: &Manifest, reference: &str) -> Reply {
    client.push_manifest(REPOSITORY, reference, &image.media_type, &image.bytes)
}

#[test]
fn a_manifest_gets_all_its_tags_at_once() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(810).build();
    image.push_blobs(&client, REPOSITORY);
    let tags: Vec<String> = (0..12).map(|number| format!("v1.{number}")).collect();
    let query: Vec<String> = tags.iter().map(|tag| format!("tag={tag}")).collect();
    let reply = put(&client, &image, &format!("{}?{}", image.digest, query.join("&"))).expect_status(201);
    assert_eq!(reply.header("oci-tag"), tags.join(", "));
    assert_eq!(reply.header("docker-content-digest"), image.digest);
    let mut listed = client.tags(REPOSITORY);
    listed.sort_by_key(|tag| tags.iter().position(|known| known == tag));
    assert_eq!(listed, tags);
    for tag in &tags {
        image.assert_pullable(&client, REPOSITORY, tag);
    }
}

#[test]
fn the_tag_of_the_path_is_one_of_them() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(811).build();
    image.push_blobs(&client, REPOSITORY);
    let reply = put(&client, &image, "a?tag=b&tag=a&tag=b").expect_status(201);
    reply.expect_header("oci-tag", "a, b");
    assert_eq!(client.tags(REPOSITORY), ["a", "b"]);
    put(&client, &image, "c").expect_status(201).expect_no_header("oci-tag");
    put(&client, &image, &image.digest).expect_status(201).expect_no_header("oci-tag");
}

#[test]
fn one_bad_tag_refuses_all() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(812).build();
    image.push_blobs(&client, REPOSITORY);
    for bad in ["", ".a", "a%2Fb", "a%20b", &"a".repeat(129), &image.digest] {
        let reply = put(&client, &image, &format!("{}?tag=good&tag={bad}", image.digest));
        reply.expect_error(400, "MANIFEST_INVALID");
    }
    client.get_manifest(REPOSITORY, &image.digest).expect_status(404);
    client.get_manifest(REPOSITORY, "good").expect_status(404);
}

#[test]
fn too_many_tags_are_refused_before_the_manifest_is_read() {
    let server = Server::builder().env("WHARFINGER_MANIFEST_TAGS_MAX", "10").start();
    let client = server.client();
    let image = ImageBuilder::sample(813).build();
    image.push_blobs(&client, REPOSITORY);
    let query = |count: usize| (0..count).map(|tag| format!("tag={tag}")).collect::<Vec<_>>().join("&");
    let reply = put(&client, &image, &format!("{}?{}", image.digest, query(11)));
    reply.expect_error(414, "UNSUPPORTED");
    client.get_manifest(REPOSITORY, &image.digest).expect_status(404);
    put(&client, &image, &format!("{}?{}", image.digest, query(10))).expect_status(201);
    assert_eq!(client.tags(REPOSITORY).len(), 10);
}
