//! Whole repositories: how large they are, and renaming, copying and deleting them.

use crate::support::command::{answer, command};
use crate::support::{ImageBuilder, Server, bytes};

#[test]
fn sizes_are_exact() {
    let server = Server::start();
    let client = server.client();
    let (shared, own) = (bytes::random(960, 5000), bytes::random(961, 3000));
    let one = ImageBuilder::oci().layer(&shared).layer(&own).build();
    let other = ImageBuilder::oci().layer(&shared).build();
    one.push(&client, "team/one", "v1");
    other.push(&client, "team/one", "v2");
    other.push(&client, "team/other", "v1");
    let list = answer(&server, &["repo", "ls"]);
    assert_eq!(list["repositories"].as_array().expect("a list").len(), 2);
    assert_eq!(list["repositories"][0]["name"], "team/one");
    assert_eq!(list["repositories"][0]["blob_bytes"], 8002);
    assert_eq!(list["repositories"][0]["own_bytes"], 3000);
    assert_eq!(
        (&list["registry"]["blob_bytes"], &list["registry"]["stored_bytes"]),
        (&8002.into(), &8002.into())
    );

    let shown = answer(&server, &["repo", "show", "team/one"]);
    assert_eq!(
        (&shown["manifests"], &shown["tags"], &shown["shared_bytes"]),
        (&2.into(), &2.into(), &5002.into())
    );
    let v1 = &shown["tag_list"][0];
    assert_eq!((v1["tag"].as_str(), v1["frees_bytes"].as_u64()), (Some("v1"), Some(3000)));
    assert_eq!(v1["bytes"].as_u64(), Some(8002 + one.bytes.len() as u64));
    assert_eq!(shown["tag_list"][1]["frees_bytes"], 0);
    command(&server, &["repo", "show", "team/one"])
        .expect_code(0)
        .expect_words("7.8 KiB in 3 blobs: 2.9 KiB its own");

    client.delete_manifest("team/one", &one.digest).expect_status(202);
    let shown = answer(&server, &["repo", "show", "team/one"]);
    assert_eq!((&shown["deleted"]["manifests"], &shown["deleted"]["bytes"]), (&1.into(), &3000.into()));
    assert_eq!(shown["own_bytes"], 0);
    let log = server.log();
    assert!(log.contains("anonymous@127.0.0.1 deleted") && log.contains("3000 bytes go at"), "{log}");
    client.delete_manifest("team/one", "v2").expect_status(202);
    let shown = answer(&server, &["repo", "show", "team/one"]);
    assert_eq!((&shown["untagged"]["manifests"], &shown["untagged"]["frees_bytes"]), (&1.into(), &0.into()));
    command(&server, &["repo", "show", "nothing"]).expect_code(1).expect_words("not known");
}

#[test]
fn sizes_are_told_to_programs_of_this_machine_only() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(962).build();
    for name in ["a", "b", "c/d"] {
        image.push(&client, name, "v1");
    }
    let reply = client.get("/api/v1/repositories?n=2").expect_status(200);
    assert_eq!(reply.json()["repositories"].as_array().expect("a list").len(), 2);
    assert_eq!(reply.header("link"), "</api/v1/repositories?last=b&n=2>; rel=\"next\"");
    let one = client.get("/api/v1/repositories/c/d").expect_status(200).json();
    assert_eq!((&one["name"], &one["tag_list"][0]["digest"]), (&"c/d".into(), &image.digest.as_str().into()));
    client.get("/api/v1/repositories/e").expect_error(404, "NAME_UNKNOWN");
    client.get("/api/v1/repositories/E").expect_error(400, "NAME_INVALID");
    for (name, value) in [
        ("x-forwarded-for", "10.0.0.1"),
        ("forwarded", "for=10.0.0.1"),
        ("via", "1.1 proxy"),
        ("host", "evil.example"),
    ] {
        let reply = client.request("GET", "/api/v1/repositories").header(name, value).send();
        reply.expect_error(403, "DENIED");
    }
    client.delete("/api/v1/repositories/a").expect_error(405, "UNSUPPORTED");
}

#[test]
fn a_repository_is_renamed_copied_and_deleted_without_moving_bytes() {
    let mut server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(963).build();
    image.push(&client, "old", "v1");
    let files = crate::support::files::files_under(&server.data().join("blobs"));
    command(&server, &["repo", "rename", "old", "new"]).expect_code(0);
    image.assert_pullable(&client, "new", "v1");
    client.get("/v2/old/tags/list").expect_error(404, "NAME_UNKNOWN");
    let copied = answer(&server, &["copy", "new", "prod/new"]);
    assert_eq!((&copied["manifests"], &copied["tags"]), (&1.into(), &1.into()));
    assert_eq!(client.catalog(), ["new", "prod/new"]);
    image.assert_pullable(&client, "prod/new", "v1");
    command(&server, &["copy", "new", "prod/new"]).expect_code(1).expect_words("in use");
    command(&server, &["repo", "rename", "new", "prod/new"]).expect_code(1).expect_words("in use");
    command(&server, &["repo", "delete", "new"]).expect_code(0);
    client.get("/v2/new/tags/list").expect_error(404, "NAME_UNKNOWN");
    client.assert_blob_status("new", &image.blob_digests()[0], 404);
    server.kill();
    server.restart();
    let client = server.client();
    command(&server, &["undelete", "new"]).expect_code(0);
    image.assert_pullable(&client, "new", "v1");
    assert_eq!(crate::support::files::files_under(&server.data().join("blobs")), files);
    for name in ["new", "prod/new"] {
        command(&server, &["repo", "delete", name]).expect_code(0);
    }
    command(&server, &["gc", "--now"]).expect_code(0);
    assert!(crate::support::files::files_under(&server.data().join("blobs")).is_empty());
}
