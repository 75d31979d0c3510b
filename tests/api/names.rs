//! Names of repositories: odd ones that are legal, and those that are none.

use crate::hostile::names::ILLEGAL;
use crate::support::{ImageBuilder, Server, files, uploads};

/// Legal, and each of them the downfall of some router or pattern.
const LEGAL: [&str; 16] = [
    "a",
    "0",
    "a/manifests/b",
    "x/blobs/uploads",
    "x/tags/list",
    "x/referrers/y",
    "blobs",
    "uploads",
    "v2",
    "a__b",
    "a--b",
    "a---b/c.d/e_f",
    "a/b/c/d/e/f/g/h/i/j/k",
    "manifests/manifests/manifests",
    "blobs/uploads/blobs/uploads",
    "tags/list/tags/list",
];

#[test]
fn legal_names_are_taken() {
    let server = Server::start();
    let client = server.client();
    for (seed, name) in (320..).zip(LEGAL) {
        let image = ImageBuilder::sample(seed).build();
        image.push(&client, name, "v1");
        image.assert_pullable(&client, name, "v1");
        assert_eq!(client.tags(name), ["v1"]);
        assert!(client.referrers(name, &image.digest).is_empty());
        let location = uploads::start(&client, name);
        client.patch(&location, b"content").expect_status(202);
        client.get(&location).expect_status(204).expect_header("range", "0-6");
        client.delete(&location).expect_status(204);
    }
    let mut expected = LEGAL;
    expected.sort_unstable();
    assert_eq!(client.catalog(), expected);
    for name in LEGAL {
        let digest =
            client.head_manifest(name, "v1").expect_status(200).header("docker-content-digest").to_owned();
        client.delete_manifest(name, &digest).expect_status(202);
    }
    assert!(client.catalog().is_empty());
}

#[test]
fn a_long_name_is_legal() {
    let server = Server::start();
    let client = server.client();
    let name = format!("{}/{}", "a".repeat(100), "b".repeat(99));
    let image = ImageBuilder::sample(340).build();
    image.push(&client, &name, "v1");
    image.assert_pullable(&client, &name, "v1");
}

/// Names that are none, for every end-point; the table of hostile requests has the words for each.
fn illegal() -> Vec<String> {
    let mut names: Vec<_> = ILLEGAL.iter().map(|(name, ..)| (*name).to_owned()).collect();
    names.push("a".repeat(300));
    names.push(["abcdefghi"; 30].join("/"));
    names
}

#[test]
fn writing_under_no_name_is_refused_and_creates_nothing() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(341).build();
    image.push(&client, "good", "v1");
    let before = (files::files_under(&server.data().join("blobs")), client.catalog());
    let layer = &image.blob_digests()[1];
    for name in illegal() {
        let posts = [String::new(), format!("?digest={layer}"), format!("?mount={layer}&from=good")];
        for query in posts {
            let path = format!("/v2/{name}/blobs/uploads/{query}");
            client.post(&path, &image.blobs[1]).expect_error(400, "NAME_INVALID");
        }
        let reply = client.push_manifest(&name, "v1", &image.media_type, &image.bytes);
        reply.expect_error(400, "NAME_INVALID");
    }
    let after = (files::files_under(&server.data().join("blobs")), client.catalog());
    assert_eq!(before, after);
    assert!(files::files_under(&server.data().join("uploads")).is_empty());
}

#[test]
fn reading_under_no_name_finds_nothing() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(342).build();
    image.push(&client, "a/b", "v1");
    let layer = &image.blob_digests()[1];
    for name in illegal() {
        let paths = [
            format!("/v2/{name}/manifests/v1"),
            format!("/v2/{name}/manifests/{}", image.digest),
            format!("/v2/{name}/blobs/{layer}"),
            format!("/v2/{name}/tags/list"),
        ];
        for path in paths {
            client.get(&path).expect_status_in(&[400, 404]);
            client.head(&path).expect_status_in(&[400, 404]);
            if !path.ends_with("/tags/list") {
                client.delete(&path).expect_status_in(&[400, 404]);
            }
        }
    }
    image.assert_pullable(&client, "a/b", "v1");
}
