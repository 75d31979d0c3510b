//! Files that are damaged behind the registry's back: found, told, not served, and healed by a push.

use std::fs;
use std::os::unix::fs::{FileExt as _, symlink};
use std::path::{Path, PathBuf};

use crate::support::raw::Connection;
use crate::support::{Client, ImageBuilder, Manifest, Server, bytes, files, wait};

/// A running registry with an image, and the digest of its layer.
fn with_image(server: Server, seed: u64) -> (Server, Manifest, String) {
    let image = ImageBuilder::sample(seed).build();
    image.push(&server.client(), "team/app", "v1");
    let layer = image.blob_digests().pop().expect("an image has blobs");
    (server, image, layer)
}

fn flip(file: &Path) {
    let file = fs::File::options().read(true).write(true).open(file).expect("a file");
    let mut byte = [0];
    file.read_exact_at(&mut byte, 1500).expect("a byte");
    file.write_all_at(&[byte[0] ^ 1], 1500).expect("another byte");
}

fn set_aside(server: &Server) -> Vec<PathBuf> {
    files::files_under(&server.data().join("damaged"))
}

/// Asserts that the blob counts as not there, whoever asks, and that a push of the image brings it back.
#[track_caller]
fn assert_healed_by_a_push(client: &Client, image: &Manifest, layer: &str) {
    client.head_blob("team/app", layer).expect_status(404);
    client.get_blob("team/app", layer).expect_status(404);
    client.post(&format!("/v2/other/blobs/uploads/?mount={layer}&from=team/app"), b"").expect_status(202);
    let reply = client.push_manifest("team/app", "v1", &image.media_type, &image.bytes);
    reply.expect_error(400, "MANIFEST_BLOB_UNKNOWN");
    client.get_manifest("team/app", "v1").expect_status(200);
    image.push(client, "team/app", "v1");
    image.assert_pullable(client, "team/app", "v1");
}

/// What the issue asks to be shown.
#[test]
fn a_flipped_byte_is_found_on_the_running_server_and_healed_by_a_push() {
    let (server, image, layer) = with_image(Server::start(), 1000);
    let client = server.client();
    let file = files::blob_file(server.data(), &layer);
    flip(&file);
    server.verify_live(&[]).expect_code(0);
    let said =
        server.verify_live(&["--deep"]).expect_code(1).expect_words(&format!("the bytes of blob {layer}"));
    let said = said.expect_words("it heals when it is pushed again");
    said.expect_words(&format!("    needed by team/app@{} (v1)\n", image.digest));
    assert!(server.log().contains(&format!("blob {layer} is damaged")));
    assert!(!file.exists() && set_aside(&server).len() == 1);
    assert_eq!(files::mode(&server.data().join("damaged")), 0o700);
    let said = server.verify_live(&[]).expect_code(1).expect_words(&layer).expect_words("pushed again");
    said.expect_words("1 damaged files are kept in damaged/");
    assert_healed_by_a_push(&client, &image, &layer);
    server.verify_live(&["--deep"]).expect_code(0).expect_words("0 violations; 1 damaged files are kept");
    assert!(server.log().contains("whole again"));
}

/// What can be seen without reading is found by whoever asks, so the very next push heals it.
#[test]
fn a_missing_or_short_file_is_found_by_the_next_request() {
    for (seed, is_short) in [(1001, false), (1002, true)] {
        for is_head in [true, false] {
            let (server, image, layer) = with_image(Server::start(), seed);
            let (client, file) = (server.client(), files::blob_file(server.data(), &layer));
            if is_short {
                let file = fs::File::options().write(true).open(&file).expect("a file");
                file.set_len(2999).expect("shortened");
            } else {
                fs::remove_file(&file).expect("the file was there");
            }
            let reply = if is_head {
                client.head_blob("team/app", &layer)
            } else {
                client.get_blob("team/app", &layer)
            };
            reply.expect_status(404);
            assert_healed_by_a_push(&client, &image, &layer);
            assert_eq!(set_aside(&server).len(), usize::from(is_short));
        }
    }
}

#[test]
fn the_scrub_finds_a_flipped_byte() {
    let server = Server::builder().env("WHARFINGER_SCRUB_INTERVAL_SECS", "0").start();
    let (server, image, layer) = with_image(server, 1003);
    let client = server.client();
    flip(&files::blob_file(server.data(), &layer));
    wait::until_true("the scrub to find it", || client.head_blob("team/app", &layer).status == 404);
    assert_healed_by_a_push(&client, &image, &layer);
}

#[test]
fn a_deep_look_at_a_stopped_directory_marks_as_well() {
    let (mut server, image, layer) = with_image(Server::start(), 1004);
    server.stop();
    flip(&files::blob_file(server.data(), &layer));
    server.run_verify(&["--deep"]).expect_code(1).expect_words(&layer);
    assert_eq!(set_aside(&server).len(), 1);
    server.run_verify(&["--deep"]).expect_code(1).expect_words(&layer).expect_words("pushed again");
    server.restart();
    assert_healed_by_a_push(&server.client(), &image, &layer);
}

#[test]
fn the_right_file_put_back_by_hand_heals_too() {
    let (mut server, image, layer) = with_image(Server::start(), 1005);
    let file = files::blob_file(server.data(), &layer);
    let content = fs::read(&file).expect("a layer");
    fs::remove_file(&file).expect("the file was there");
    server.verify_live(&["--deep"]).expect_code(1);
    fs::write(&file, &content).expect("the right bytes in their place");
    server.verify_live(&["--deep"]).expect_code(0);
    image.assert_pullable(&server.client(), "team/app", "v1");
    fs::remove_file(&file).expect("the file was there");
    server.client().head_blob("team/app", &layer).expect_status(404);
    server.stop();
    fs::write(&file, &content).expect("the right bytes in their place");
    server.run_verify(&["--deep"]).expect_code(0);
    server.restart();
    image.assert_pullable(&server.client(), "team/app", "v1");
}

#[test]
fn a_server_killed_between_mark_and_move_goes_on() {
    let (mut server, image, layer) = with_image(Server::start(), 1006);
    let (file, damaged) = (files::blob_file(server.data(), &layer), server.data().join("damaged"));
    // Nothing is moved through a link: the mark is committed, the file stays where it is.
    symlink("/nowhere", &damaged).expect("a link");
    flip(&file);
    server.verify_live(&["--deep"]).expect_code(1);
    server.client().head_blob("team/app", &layer).expect_status(404);
    assert!(file.exists());
    server.kill();
    let said = server.run_verify(&[]).expect_code(1).expect_words("1 violations");
    assert!(!said.stdout.contains("I2"), "the file belongs to a row: {}", said.stdout);
    fs::remove_file(&damaged).expect("the link was there");
    server.restart();
    assert!(!file.exists() && set_aside(&server).len() == 1);
    assert_healed_by_a_push(&server.client(), &image, &layer);
}

#[test]
fn a_damaged_blob_goes_with_its_image() {
    let (server, image, layer) = with_image(Server::start(), 1007);
    let client = server.client();
    flip(&files::blob_file(server.data(), &layer));
    server.verify_live(&["--deep"]).expect_code(1);
    client.delete_manifest("team/app", &image.digest).expect_status(202);
    let data = server.data().to_str().expect("a path in UTF-8");
    crate::support::process::run(&["gc", "--data", data, "--now"], &[]).expect_code(0);
    server.verify_live(&["--deep"]).expect_code(0);
    image.push(&client, "team/app", "v1");
    image.assert_pullable(&client, "team/app", "v1");
}

/// A GET of the whole blob, and what comes before the connection ends.
fn pull(server: &Server, layer: &str) -> (String, Vec<u8>) {
    let mut connection = Connection::open(server.addr());
    connection.send_head("GET", &format!("/v2/team/app/blobs/{layer}"), &["Connection: close"]);
    let all = connection.rest();
    let end = all.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
    (String::from_utf8_lossy(&all[..end]).into_owned(), all[end..].to_vec())
}

#[test]
fn a_verified_pull_of_damaged_bytes_is_cut_off() {
    let server = Server::builder()
        .env("WHARFINGER_VERIFY_ON_READ", "1")
        .env("WHARFINGER_BLOB_READ_BYTES", "4096")
        .start();
    let client = server.client();
    let contents = [bytes::random(1008, 10_000), bytes::random(1009, 8192), bytes::random(1010, 2000)];
    let mut builder = ImageBuilder::oci();
    for content in &contents {
        builder = builder.layer(content);
    }
    let image = builder.layer(b"").build();
    image.push(&client, "team/app", "v1");
    image.assert_pullable(&client, "team/app", "v1");
    for (content, before_the_last) in contents.iter().zip([8192, 4096, 0]) {
        let layer = bytes::digest(content);
        flip(&files::blob_file(server.data(), &layer));
        // A part of it says nothing about the whole.
        let part = client.request("GET", &format!("/v2/team/app/blobs/{layer}"));
        part.header("range", "bytes=0-99").send().expect_status(206).expect_body(&content[..100]);
        let (head, body) = pull(&server, &layer);
        assert!(head.starts_with("HTTP/1.1 200") && head.contains(&content.len().to_string()), "{head}");
        assert_eq!(body.len(), before_the_last, "the last piece is not sent");
        assert_healed_by_a_push(&client, &image, &layer);
        let (_, body) = pull(&server, &layer);
        assert!(body == *content);
    }
}
