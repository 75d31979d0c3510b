//! Collecting what was deleted: by the server itself, and by `wharfinger gc` on a running and a stopped one.

use std::fs;

use serde_json::Value;

use crate::support::process::{Finished, run};
use crate::support::{ImageBuilder, Manifest, Server, bytes, files, wait};

/// Runs `gc` on the server's directory, whoever has it open.
#[track_caller]
fn gc(server: &Server, options: &[&str]) -> Finished {
    let data = server.data().to_str().expect("a path in UTF-8");
    run(&[&["gc", "--data", data][..], options].concat(), &[]).expect_code(0)
}

#[track_caller]
fn gc_json(server: &Server, options: &[&str]) -> Value {
    let finished = gc(server, &[options, &["--json"]].concat());
    serde_json::from_str(&finished.stdout).expect("JSON")
}

fn blob_files(server: &Server) -> usize {
    files::files_under(&server.data().join("blobs")).len()
}

fn large_image(seed: u64) -> Manifest {
    ImageBuilder::sample(seed).layer(&bytes::random(seed, 300_000)).build()
}

/// The story this project exists for: push, delete by digest, collect, push again, pull; all on one process.
#[test]
fn push_delete_collect_and_push_again() {
    let server = Server::start();
    let client = server.client();
    let image = large_image(900);
    for _ in 0..5 {
        for digest in image.blob_digests() {
            client.head_blob("demo", &digest).expect_status(404);
        }
        image.push(&client, "demo", "v1");
        image.assert_pullable(&client, "demo", "v1");
        client.delete_manifest("demo", &image.digest).expect_status(202);
        let collected = gc_json(&server, &["--now"]);
        assert_eq!(collected["manifests"], 1);
        assert_eq!(collected["blobs"], image.blobs.len());
        assert_eq!(blob_files(&server), 0, "no file of the image is left");
    }
    image.push(&client, "demo", "v1");
    image.assert_pullable(&client, "demo", "v1");
}

#[test]
fn what_is_kept_is_told_and_stays() {
    let server = Server::start();
    let client = server.client();
    let (image, other) = (large_image(901), ImageBuilder::sample(902).build());
    image.push(&client, "demo", "v1");
    other.push(&client, "demo", "v2");
    assert_eq!(gc_json(&server, &[])["kept"]["blobs"], 0);
    client.delete_manifest("demo", &image.digest).expect_status(202);
    let files = blob_files(&server);
    for options in [&["--dry-run"][..], &[]] {
        let report = gc_json(&server, options);
        assert_eq!(report["kept"]["manifests"], 1);
        assert!(report["kept"]["bytes"].as_u64().expect("a number") >= 300_000, "{report}");
        assert_eq!(report["due"]["blobs"], 0);
    }
    gc(&server, &[]).expect_words("deleted and kept: 1 manifests").expect_words("Z");
    assert_eq!(blob_files(&server), files, "looking collects nothing");
    other.assert_pullable(&client, "demo", "v2");
}

#[test]
fn why_something_is_here_is_explained() {
    let server = Server::start();
    let client = server.client();
    let image = large_image(903);
    image.push(&client, "demo", "v1");
    let layer = image.blob_digests()[1].clone();
    gc(&server, &["--explain", &layer]).expect_words(&format!("needed by {} of demo, tags v1", image.digest));
    gc(&server, &["--explain", &image.digest]).expect_words("a manifest of demo, tags v1");
    let leased = client.push_blob("demo", b"leased");
    gc(&server, &["--explain", &leased]).expect_words("leased in demo until 2");
    client.delete_manifest("demo", &image.digest).expect_status(202);
    gc(&server, &["--explain", &layer]).expect_words(&format!("kept by {}, deleted in demo", image.digest));
    gc(&server, &["--explain", &image.digest])
        .expect_words("a deleted manifest of demo, tags v1, which goes at");
    gc(&server, &["--now"]);
    gc(&server, &["--explain", &layer])
        .expect_words("went at 2")
        .expect_words(&format!("anonymous@127.0.0.1 deleted manifest {} of demo at 2", image.digest));
    let never = bytes::digest(b"never pushed");
    gc(&server, &["--explain", &never]).expect_words("not here: never pushed, or collected");
    let data = server.data().to_str().expect("a path in UTF-8");
    run(&["gc", "--data", data, "--explain", "sha256:none"], &[]).expect_code(2).expect_words("sha256:none");
}

#[test]
fn a_stopped_directory_is_collected_as_well() {
    let mut server = Server::start();
    let image = large_image(904);
    image.push(&server.client(), "demo", "v1");
    server.client().delete_manifest("demo", &image.digest).expect_status(202);
    server.stop();
    gc(&server, &["--now"]).expect_words("dropped 1 deleted manifests");
    assert_eq!(blob_files(&server), 0);
    run(&["gc", "--data", "/nowhere"], &[]).expect_refusal().expect_words("/nowhere");
}

#[test]
fn the_server_collects_by_itself() {
    let server = Server::builder()
        .env("WHARFINGER_KEEP_DELETED_SECS", "0")
        .env("WHARFINGER_UNLINK_BATCH_SECS", "0")
        .env("WHARFINGER_HOUSEKEEPING_SECS", "1")
        .start();
    let client = server.client();
    let image = large_image(905);
    image.push(&client, "demo", "v1");
    client.delete_manifest("demo", &image.digest).expect_status(202);
    wait::until_true("its files to go", || blob_files(&server) == 0);
    image.push(&client, "demo", "v1");
    image.assert_pullable(&client, "demo", "v1");
}

#[test]
fn a_path_too_long_for_a_socket_and_a_dead_socket_are_no_obstacle() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let data = home.path().join("d".repeat(120)).join("data");
    fs::create_dir_all(data.parent().expect("above data")).expect("made");
    let mut server = Server::builder().data(&data).start();
    assert_eq!(gc_json(&server, &[])["files"]["count"], 0);
    assert_eq!(files::mode(&data.join("control.sock")), 0o600);
    server.kill();
    assert!(data.join("control.sock").exists(), "a killed server leaves it behind");
    gc(&server, &[]).expect_words("may go now");
    server.restart();
    assert_eq!(gc_json(&server, &[])["files"]["count"], 0);
}

#[test]
fn a_pull_that_runs_is_not_cut_off() {
    let server = Server::start();
    let client = server.client();
    let content = bytes::random(906, 24 << 20);
    let image = ImageBuilder::oci().layer(&content).build();
    image.push(&client, "demo", "v1");
    let layer = bytes::digest(&content);
    let mut connection = crate::support::raw::Connection::open(server.addr());
    connection.send_head("GET", &format!("/v2/demo/blobs/{layer}"), &[]);
    // The answer has begun, and is too long to be on its way as a whole.
    connection.wait_for_answer();
    client.delete_manifest("demo", &image.digest).expect_status(202);
    gc(&server, &["--now"]);
    assert!(files::blob_files(server.data(), &layer).is_empty());
    connection.reply("GET").expect_status(200).expect_body(&content);
}
