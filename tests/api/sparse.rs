//! Indexes that list what the repository lacks, where its settings allow that.

use crate::support::{ImageBuilder, IndexBuilder, Server, bytes};

const RULES: &str = "[{match=\"ci/**\", sparse_index=true}, {match=\"ci/whole\", sparse_index=false}]";

fn server() -> Server {
    Server::builder().env("WHARFINGER_REPOSITORY", RULES).start()
}

#[test]
fn only_where_it_is_allowed() {
    let server = server();
    let client = server.client();
    let (here, absent) = (ImageBuilder::sample(830).build(), ImageBuilder::sample(831).build());
    let index = IndexBuilder::oci().child(&here).child(&absent).build();
    for repository in ["other", "ci", "ci/whole"] {
        here.push_untagged(&client, repository);
        let reply = client.push_manifest(repository, "v1", &index.media_type, &index.bytes);
        reply.expect_error(400, "MANIFEST_BLOB_UNKNOWN");
    }
    here.push_untagged(&client, "ci/app");
    index.push_document(&client, "ci/app", "v1");
    client.get_manifest("ci/app", "v1").expect_status(200).expect_body(&index.bytes);
    client.get_manifest("ci/app", &absent.digest).expect_error(404, "MANIFEST_UNKNOWN");
}

#[test]
fn layers_are_never_optional() {
    let server = server();
    let client = server.client();
    let image = ImageBuilder::sample(832).build();
    let reply = client.push_manifest("ci/app", "v1", &image.media_type, &image.bytes);
    reply.expect_error(400, "MANIFEST_BLOB_UNKNOWN");
}

#[test]
fn a_child_that_comes_later_belongs_to_its_index() {
    let server = server();
    let client = server.client();
    let (here, late) = (ImageBuilder::sample(833).build(), ImageBuilder::sample(834).build());
    let index = IndexBuilder::oci().child(&here).child(&late).build();
    here.push_untagged(&client, "ci/app");
    index.push_document(&client, "ci/app", "v1");
    late.push_untagged(&client, "ci/app");
    late.assert_pullable(&client, "ci/app", &late.digest);
    client.delete_manifest("ci/app", &late.digest).expect_error(405, "UNSUPPORTED");
    client.delete_manifest("ci/app", &index.digest).expect_status(202);
    client.get_manifest("ci/app", &late.digest).expect_status(404);
}

#[test]
fn a_blob_that_comes_later_is_found_by_the_next_push() {
    let server = server();
    let client = server.client();
    let cache = bytes::random(835, 3000);
    let entry = crate::support::builders::descriptor("application/vnd.buildkit.cache.v0", &cache);
    let index = IndexBuilder::oci().entry(entry).build();
    index.push_document(&client, "ci/cache", "v1");
    let digest = client.push_blob("ci/cache", &cache);
    index.push_document(&client, "ci/cache", "v1");
    client.delete_blob("ci/cache", &digest).expect_error(405, "UNSUPPORTED");
    client.delete_manifest("ci/cache", &index.digest).expect_status(202);
    client.assert_blob_status("ci/cache", &digest, 404);
}

#[test]
fn an_index_that_lacks_a_child_can_be_deleted() {
    let mut server = server();
    let client = server.client();
    let index = IndexBuilder::oci().child(&ImageBuilder::sample(836).build()).build();
    index.push_document(&client, "ci/app", "v1");
    server.restart();
    let client = server.client();
    client.delete_manifest("ci/app", &index.digest).expect_status(202);
    client.get("/v2/ci/app/tags/list").expect_error(404, "NAME_UNKNOWN");
}
