//! What somebody else planted in the data directory, and who may read it.

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::raw::Connection;
use crate::support::{ImageBuilder, Server, files, uploads};

/// A link in the place of a file of ours is never followed: neither read from nor written through.
#[test]
fn cve_2022_47747_a_planted_link_is_not_followed() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(1520).build();
    image.push(&client, "team/app", "v1");
    let layer = image.blob_digests().pop().expect("a layer");
    let outside = server.data().with_file_name("outside");
    // Of the size that the row says, so that only the link itself is wrong.
    let secret = vec![b's'; image.blobs[1].len()];
    fs::write(&outside, &secret).expect("written");
    let blob = files::blob_file(server.data(), &layer);
    fs::remove_file(&blob).expect("it was there");
    symlink(&outside, &blob).expect("a link in its place");
    let reply = client.get_blob("team/app", &layer).expect_status(404);
    assert!(!reply.body.windows(8).any(|part| part == b"ssssssss"), "{reply}");

    let open = uploads::start(&client, "team/app");
    let session = open.rsplit('/').next().and_then(|id| id.split('?').next()).expect("an id").to_owned();
    let staged = server.data().join("uploads").join(&session);
    fs::remove_file(&staged).expect("it was there");
    symlink(&outside, &staged).expect("a link in its place");
    let mut connection = Connection::open(server.addr());
    connection.send_head("PATCH", &open, &["Content-Length: 4"]).send(b"evil");
    let reply = connection.reply("PATCH");
    assert!(reply.status >= 400, "{reply}");
    assert_eq!(fs::read(&outside).expect("it is still there"), secret, "nothing was written through it");
    server.into_dirty();
}
