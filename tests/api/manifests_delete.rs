//! DELETE of manifests, by tag and by digest.

use crate::support::builders::OCI_INDEX;
use crate::support::raw::Connection;
use crate::support::{ImageBuilder, IndexBuilder, Server, bytes};

const REPOSITORY: &str = "deletes";

#[test]
fn a_digest_takes_its_tags_along() {
    let server = Server::start();
    let client = server.client();
    let (image, other) = (ImageBuilder::sample(250).build(), ImageBuilder::sample(251).build());
    image.push(&client, REPOSITORY, "v1");
    image.push_document(&client, REPOSITORY, "latest");
    other.push(&client, REPOSITORY, "other");
    client.delete_manifest(REPOSITORY, &image.digest).expect_status(202);
    for reference in ["v1", "latest", image.digest.as_str()] {
        client.get_manifest(REPOSITORY, reference).expect_error(404, "MANIFEST_UNKNOWN");
        client.head_manifest(REPOSITORY, reference).expect_status(404);
    }
    assert_eq!(client.tags(REPOSITORY), ["other"]);
    other.assert_pullable(&client, REPOSITORY, "other");
}

#[test]
fn a_tag_goes_alone() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(252).build();
    image.push(&client, REPOSITORY, "v1");
    image.push_document(&client, REPOSITORY, "latest");
    client.delete_manifest(REPOSITORY, "v1").expect_status(202);
    client.get_manifest(REPOSITORY, "v1").expect_error(404, "MANIFEST_UNKNOWN");
    assert_eq!(client.tags(REPOSITORY), ["latest"]);
    image.assert_pullable(&client, REPOSITORY, "latest");
    client.delete_manifest(REPOSITORY, "latest").expect_status(202);
    image.assert_pullable(&client, REPOSITORY, &image.digest);
    assert!(client.tags(REPOSITORY).is_empty());
}

#[test]
fn deleting_twice_is_not_found() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(253).build();
    image.push(&client, REPOSITORY, "v1");
    ImageBuilder::sample(254).build().push(&client, REPOSITORY, "stays");
    client.delete_manifest(REPOSITORY, "v1").expect_status(202);
    client.delete_manifest(REPOSITORY, "v1").expect_error(404, "MANIFEST_UNKNOWN");
    client.delete_manifest(REPOSITORY, &image.digest).expect_status(202);
    client.delete_manifest(REPOSITORY, &image.digest).expect_error(404, "MANIFEST_UNKNOWN");
}

#[test]
fn what_was_never_there_is_not_found() {
    let server = Server::start();
    let client = server.client();
    let unknown = bytes::digest_of_nothing_here();
    client.delete_manifest("never/seen", "v1").expect_status(404);
    client.delete_manifest("never/seen", &unknown).expect_status(404);
    ImageBuilder::sample(255).build().push(&client, REPOSITORY, "v1");
    client.delete_manifest(REPOSITORY, "v2").expect_error(404, "MANIFEST_UNKNOWN");
    client.delete_manifest(REPOSITORY, &unknown).expect_error(404, "MANIFEST_UNKNOWN");
}

#[test]
fn a_child_of_a_living_index_stays() {
    let server = Server::start();
    let client = server.client();
    let (amd, arm) = (ImageBuilder::sample(256).build(), ImageBuilder::sample(257).build());
    for builder in [IndexBuilder::oci(), IndexBuilder::docker()] {
        amd.push(&client, REPOSITORY, "amd");
        arm.push_untagged(&client, REPOSITORY);
        let index = builder.child(&amd).child(&arm).build();
        index.push(&client, REPOSITORY, "multi");
        for child in [&amd, &arm] {
            let reply = client.delete_manifest(REPOSITORY, &child.digest).expect_error(405, "UNSUPPORTED");
            let detail = reply.oci_errors()[0]["detail"].to_string();
            assert!(detail.contains(&index.digest), "the detail names the index: {reply}");
            assert_eq!(reply.header("allow"), "GET, HEAD, PUT");
            child.assert_pullable(&client, REPOSITORY, &child.digest);
        }
        client.delete_manifest(REPOSITORY, &index.digest).expect_status(202);
        amd.assert_pullable(&client, REPOSITORY, "amd");
        client.get_manifest(REPOSITORY, &arm.digest).expect_status(404);
        client.delete_manifest(REPOSITORY, &amd.digest).expect_status(202);
    }
}

/// An index that comes to list the manifest meanwhile is before all of the deletion or after all of it.
#[test]
fn all_of_very_many_tags_go_or_none() {
    const TAGS: usize = 1100;
    let server = Server::builder().env("WHARFINGER_PAGE_MAX", "2000").start();
    let client = server.client();
    let child = ImageBuilder::sample(264).build();
    child.push_untagged(&client, REPOSITORY);
    std::thread::scope(|scope| {
        for part in 0..8 {
            let (server, child) = (&server, &child);
            scope.spawn(move || {
                let client = server.client();
                for number in (part..TAGS).step_by(8) {
                    child.push_document(&client, REPOSITORY, &format!("v{number}"));
                }
            });
        }
    });
    let index = IndexBuilder::oci().child(&child).build();
    let (mut deleting, mut pushing) = (Connection::open(server.addr()), Connection::open(server.addr()));
    deleting.send_head("DELETE", &format!("/v2/{REPOSITORY}/manifests/{}", child.digest), &[]);
    let headers = [format!("Content-Type: {OCI_INDEX}"), format!("Content-Length: {}", index.bytes.len())];
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    pushing.send_head("PUT", &format!("/v2/{REPOSITORY}/manifests/multi"), &headers).send(&index.bytes);
    let (deleted, pushed) = (deleting.reply("DELETE"), pushing.reply("PUT"));
    pushed.expect_status(201);
    index.assert_pullable(&client, REPOSITORY, "multi");
    if deleted.status == 202 {
        // The child went before and came back for its index, without the tags.
        assert_eq!(client.tags(REPOSITORY), ["multi"]);
    } else {
        deleted.expect_error(405, "UNSUPPORTED");
        assert_eq!(client.tags(REPOSITORY).len(), TAGS + 1, "all are there, and the index");
    }
}

#[test]
fn an_untagged_index_still_keeps_its_children() {
    let server = Server::start();
    let client = server.client();
    let child = ImageBuilder::sample(258).build();
    child.push_untagged(&client, REPOSITORY);
    let index = IndexBuilder::oci().child(&child).build();
    index.push(&client, REPOSITORY, "multi");
    client.delete_manifest(REPOSITORY, "multi").expect_status(202);
    client.delete_manifest(REPOSITORY, &child.digest).expect_error(405, "UNSUPPORTED");
}

#[test]
fn an_index_elsewhere_keeps_no_child_here() {
    let server = Server::start();
    let client = server.client();
    let child = ImageBuilder::sample(259).build();
    let index = IndexBuilder::oci().child(&child).build();
    child.push_untagged(&client, "elsewhere");
    index.push(&client, "elsewhere", "multi");
    child.push(&client, REPOSITORY, "v1");
    client.delete_manifest(REPOSITORY, &child.digest).expect_status(202);
    child.assert_pullable(&client, "elsewhere", &child.digest);
    index.assert_pullable(&client, "elsewhere", "multi");
}

#[test]
fn referrers_go_with_their_subject() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(260).build();
    image.push(&client, REPOSITORY, "v1");
    let signature = ImageBuilder::oci().subject(image.descriptor()).layer(b"signature").build();
    signature.push_untagged(&client, REPOSITORY);
    let sbom = ImageBuilder::oci().subject(image.descriptor()).layer(b"sbom").build();
    sbom.push(&client, REPOSITORY, "sbom");
    let reply = client.delete_manifest(REPOSITORY, &image.digest).expect_status(202);
    let told = |(name, value): &(String, String)| name == "warning" && value.contains("went 1 manifests");
    assert!(reply.headers.iter().any(told), "{reply}");
    client.get_manifest(REPOSITORY, &image.digest).expect_status(404);
    client.get_manifest(REPOSITORY, &signature.digest).expect_status(404);
    sbom.assert_pullable(&client, REPOSITORY, "sbom");
    assert_eq!(client.referrers(REPOSITORY, &image.digest).len(), 1);
}

#[test]
fn deletes_survive_a_kill() {
    let mut server = Server::start();
    let (image, other) = (ImageBuilder::sample(261).build(), ImageBuilder::sample(262).build());
    image.push(&server.client(), REPOSITORY, "v1");
    other.push(&server.client(), REPOSITORY, "v2");
    other.push_document(&server.client(), REPOSITORY, "v3");
    server.client().delete_manifest(REPOSITORY, &image.digest).expect_status(202);
    server.client().delete_manifest(REPOSITORY, "v2").expect_status(202);
    server.kill();
    server.restart();
    let client = server.client();
    client.get_manifest(REPOSITORY, &image.digest).expect_status(404);
    client.assert_blob_status(REPOSITORY, &image.blob_digests()[1], 404);
    assert_eq!(client.tags(REPOSITORY), ["v3"]);
    other.assert_pullable(&client, REPOSITORY, "v3");
}

#[test]
fn the_same_in_another_repository_stays() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(263).build();
    image.push(&client, REPOSITORY, "v1");
    image.push(&client, "deletes/not", "v1");
    client.delete_manifest(REPOSITORY, &image.digest).expect_status(202);
    image.assert_pullable(&client, "deletes/not", "v1");
    assert_eq!(client.catalog(), ["deletes/not"]);
}
