//! The steps of an upload.

use super::{Client, Reply, bytes};

/// Starts a session and gives its Location.
#[track_caller]
pub fn start(client: &Client, repository: &str) -> String {
    let reply = client.post(&format!("/v2/{repository}/blobs/uploads/"), b"").expect_status(202);
    location(&reply)
}

/// The Location of an answer: a path on the same host.
#[track_caller]
pub fn location(reply: &Reply) -> String {
    let location = reply.header("location");
    assert!(location.starts_with("/v2/"), "a relative Location, not {location:?}");
    location.to_owned()
}

/// The Location with the digest that closes the session, behind whatever query it has.
pub fn with_digest(location: &str, digest: &str) -> String {
    let separator = if location.contains('?') { '&' } else { '?' };
    format!("{location}{separator}digest={digest}")
}

/// Sends a chunk that says where it belongs. `first` is the offset of its first byte.
#[track_caller]
pub fn patch_at(client: &Client, location: &str, first: usize, chunk: &[u8]) -> Reply {
    assert!(!chunk.is_empty(), "an empty chunk has no range");
    let range = format!("{first}-{}", first + chunk.len() - 1);
    client.request("PATCH", location).header("content-range", &range).body(chunk).send()
}

/// How many bytes the session says it has, told by its status.
#[track_caller]
pub fn offset(client: &Client, location: &str) -> usize {
    let reply = client.get(location).expect_status(204);
    offset_of(&reply)
}

/// How many bytes a Range header reports. `0-0` means none or one: `offset_of` takes it as none.
#[track_caller]
pub fn offset_of(reply: &Reply) -> usize {
    let range = reply.header("range");
    let (first, last) = range.split_once('-').expect("first-last");
    assert_eq!(first, "0", "a Range begins at 0: {range}");
    let last: usize = last.parse().expect("the last byte is a number");
    if last == 0 { 0 } else { last + 1 }
}

/// Closes the session with an empty body.
#[track_caller]
pub fn finish(client: &Client, location: &str, digest: &str) -> Reply {
    client.put(&with_digest(location, digest), b"")
}

/// Closes a session, asserts that all of `content` is the blob, and pulls it.
#[track_caller]
pub fn finish_and_pull(client: &Client, repository: &str, location: &str, content: &[u8]) {
    let digest = bytes::digest(content);
    finish(client, location, &digest).expect_status(201).expect_header("docker-content-digest", &digest);
    client.get_blob(repository, &digest).expect_status(200).expect_body(content);
}
