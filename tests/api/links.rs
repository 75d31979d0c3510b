//! A blob is there while a manifest or a lease of the same repository says so, and not a moment longer.

use crate::support::builders::{DOCKER_FOREIGN_LAYER, descriptor};
use crate::support::{ImageBuilder, IndexBuilder, Server, bytes, wait};

#[test]
fn the_last_manifest_takes_its_blobs_along() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(150).build();
    image.push(&client, "demo", "v1");
    client.delete_manifest("demo", &image.digest).expect_status(202);
    for digest in image.blob_digests() {
        client.assert_blob_status("demo", &digest, 404);
    }
    client.get_manifest("demo", "v1").expect_status(404);
    client.get_manifest("demo", &image.digest).expect_status(404);
}

#[test]
fn a_blob_stays_while_another_manifest_needs_it() {
    let server = Server::start();
    let client = server.client();
    let (shared, own) = (bytes::random(151, 4000), bytes::random(152, 4000));
    let one = ImageBuilder::oci().layer(&shared).layer(&own).build();
    let two = ImageBuilder::oci().layer(&shared).build();
    one.push(&client, "demo", "one");
    two.push(&client, "demo", "two");
    client.delete_manifest("demo", &one.digest).expect_status(202);
    client.assert_blob_status("demo", &bytes::digest(&own), 404);
    two.assert_pullable(&client, "demo", "two");
    client.delete_manifest("demo", &two.digest).expect_status(202);
    client.assert_blob_status("demo", &bytes::digest(&shared), 404);
}

/// CVE-2026-35172: a cache brought a deleted blob back to life when another repository was read.
#[test]
fn reading_in_one_repository_revives_nothing_in_another() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(153).build();
    image.push(&client, "a", "v1");
    image.push(&client, "b", "v1");
    image.assert_pullable(&client, "a", "v1");
    image.assert_pullable(&client, "b", "v1");
    client.delete_manifest("a", &image.digest).expect_status(202);
    for _ in 0..3 {
        image.assert_pullable(&client, "b", "v1");
        for digest in image.blob_digests() {
            client.assert_blob_status("a", &digest, 404);
        }
        client.get_manifest("a", &image.digest).expect_status(404);
    }
}

/// The story this registry exists for.
#[test]
fn push_delete_and_push_again_on_one_process() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(154).layer(&bytes::random(155, 500_000)).build();
    for _ in 0..3 {
        // As clients do: what HEAD answers for is not sent again.
        for (digest, blob) in image.blob_digests().iter().zip(&image.blobs) {
            if client.head_blob("demo", digest).status != 200 {
                client.push_blob("demo", blob);
            }
        }
        image.push_document(&client, "demo", "latest");
        image.assert_pullable(&client, "demo", "latest");
        client.delete_manifest("demo", &image.digest).expect_status(202);
        client.head_manifest("demo", "latest").expect_status(404);
    }
    image.push(&client, "demo", "latest");
    image.assert_pullable(&client, "demo", "latest");
}

#[test]
fn push_delete_and_push_again_over_a_restart() {
    let mut server = Server::start();
    let image = ImageBuilder::sample(156).build();
    image.push(&server.client(), "demo", "v1");
    server.client().delete_manifest("demo", &image.digest).expect_status(202);
    server.restart();
    for digest in image.blob_digests() {
        server.client().assert_blob_status("demo", &digest, 404);
    }
    image.push(&server.client(), "demo", "v1");
    server.restart();
    image.assert_pullable(&server.client(), "demo", "v1");
}

#[test]
fn a_deleted_manifest_does_not_come_back_without_its_blobs() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(157).build();
    image.push(&client, "demo", "v1");
    image.push(&client, "other", "v1");
    client.delete_manifest("demo", &image.digest).expect_status(202);
    image.assert_pullable(&client, "other", "v1");
    client.get_manifest("demo", &image.digest).expect_status(404);
}

#[test]
fn a_tag_taken_off_takes_no_blob_along() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(158).build();
    image.push(&client, "demo", "v1");
    client.delete_manifest("demo", "v1").expect_status(202);
    image.assert_pullable(&client, "demo", &image.digest);
}

#[test]
fn a_tag_moved_on_takes_no_blob_along() {
    let server = Server::start();
    let client = server.client();
    let (old, new) = (ImageBuilder::sample(159).build(), ImageBuilder::sample(160).build());
    old.push(&client, "demo", "latest");
    new.push(&client, "demo", "latest");
    old.assert_pullable(&client, "demo", &old.digest);
    new.assert_pullable(&client, "demo", "latest");
}

#[test]
fn an_upload_after_the_manifest_is_a_link_of_its_own() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(161).build();
    image.push(&client, "demo", "v1");
    let layer = client.push_blob("demo", &image.blobs[1]);
    client.delete_manifest("demo", &image.digest).expect_status(202);
    client.get_blob("demo", &layer).expect_status(200).expect_body(&image.blobs[1]);
    client.assert_blob_status("demo", &image.blob_digests()[0], 404);
}

#[test]
fn a_layer_named_twice_is_one_link() {
    let server = Server::start();
    let client = server.client();
    let layer = bytes::random(162, 3000);
    let image = ImageBuilder::oci().config(&layer).layer(&layer).layer(&layer).build();
    image.push(&client, "demo", "v1");
    image.assert_pullable(&client, "demo", "v1");
    client.delete_manifest("demo", &image.digest).expect_status(202);
    client.assert_blob_status("demo", &bytes::digest(&layer), 404);
}

#[test]
fn an_index_keeps_the_blobs_of_its_children() {
    let server = Server::start();
    let client = server.client();
    let (amd, arm) = (ImageBuilder::sample(163).build(), ImageBuilder::sample(164).build());
    amd.push_untagged(&client, "demo");
    arm.push_untagged(&client, "demo");
    let index = IndexBuilder::oci().child(&amd).child(&arm).build();
    index.push(&client, "demo", "multi");
    arm.push_document(&client, "demo", "arm");
    client.delete_manifest("demo", &index.digest).expect_status(202);
    client.get_manifest("demo", &amd.digest).expect_status(404);
    client.assert_blob_status("demo", &amd.blob_digests()[1], 404);
    arm.assert_pullable(&client, "demo", &arm.digest);
}

#[test]
fn blobs_that_two_repositories_share_are_stored_once() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(165).build();
    for repository in ["a", "b", "c"] {
        image.push(&client, repository, "v1");
    }
    for digest in image.blob_digests() {
        crate::support::wait::until_true("one file to be left", || {
            crate::support::files::blob_files(server.data(), &digest).len() == 1
        });
    }
}

#[test]
fn an_image_pushed_twice_leaves_no_blob_behind() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(156).build();
    image.push(&client, "demo", "v1");
    // Without asking first, as some clients do: the second upload is a lease of its own.
    image.push(&client, "demo", "v1");
    client.delete_manifest("demo", &image.digest).expect_status(202);
    for digest in image.blob_digests() {
        client.assert_blob_status("demo", &digest, 404);
    }
}

#[test]
fn a_foreign_layer_that_is_pushed_later_is_found_by_the_next_push() {
    let server = Server::builder().env("WHARFINGER_BLOB_LEASE_SECS", "1").start();
    let client = server.client();
    let foreign = bytes::random(157, 3000);
    let layer = descriptor(DOCKER_FOREIGN_LAYER, &foreign);
    let image = ImageBuilder::docker().layer_elsewhere(layer).build();
    image.push(&client, "demo", "v1");
    let digest = client.push_blob("demo", &foreign);
    image.push(&client, "demo", "v1");
    client.delete_blob("demo", &digest).expect_error(405, "UNSUPPORTED");
    wait::until_true("the lease to have ended, if there were one", || {
        let other = client.push_blob("other", b"a lease that ends");
        wait::until_true("its end", || client.head_blob("other", &other).status == 404);
        true
    });
    client.get_blob("demo", &digest).expect_status(200).expect_body(&foreign);
}
