//! Range on blobs: what resuming and lazy pullers ask for.

use crate::support::{Client, Reply, Server, bytes};

const SIZE: usize = 2000;

struct Ranges {
    _server: Server,
    client: Client,
    content: Vec<u8>,
    path: String,
}

impl Ranges {
    fn new() -> Self {
        let server = Server::start();
        let client = server.client();
        let content = bytes::random(120, SIZE);
        let digest = client.push_blob("ranges", &content);
        Self { client, content, path: format!("/v2/ranges/blobs/{digest}"), _server: server }
    }

    #[track_caller]
    fn get(&self, range: &str) -> Reply {
        self.client.request("GET", &self.path).header("range", range).send()
    }

    #[track_caller]
    fn assert_part(&self, range: &str, first: usize, last: usize) {
        let reply = self.get(range).expect_status(206).expect_body(&self.content[first..=last]);
        assert_eq!(reply.header("content-range"), format!("bytes {first}-{last}/{SIZE}"), "for {range}");
        assert_eq!(reply.header("content-length"), (last - first + 1).to_string(), "for {range}");
        assert_eq!(reply.header("content-type"), "application/octet-stream");
        assert!(self.path.ends_with(reply.header("docker-content-digest")), "the digest of the whole");
    }

    #[track_caller]
    fn assert_unsatisfiable(&self, range: &str) {
        let reply = self.get(range).expect_error(416, "BLOB_UPLOAD_INVALID");
        assert_eq!(reply.header("content-range"), format!("bytes */{SIZE}"), "for {range}");
    }

    #[track_caller]
    fn assert_whole(&self, range: &str) {
        self.get(range).expect_status(200).expect_body(&self.content).expect_no_header("content-range");
    }
}

#[test]
fn a_part_from_the_middle() {
    Ranges::new().assert_part("bytes=500-1499", 500, 1499);
}

#[test]
fn a_part_to_the_end() {
    Ranges::new().assert_part("bytes=500-", 500, SIZE - 1);
}

#[test]
fn the_last_bytes() {
    let ranges = Ranges::new();
    ranges.assert_part("bytes=-500", SIZE - 500, SIZE - 1);
    ranges.assert_part("bytes=-1", SIZE - 1, SIZE - 1);
}

#[test]
fn single_bytes() {
    let ranges = Ranges::new();
    ranges.assert_part("bytes=0-0", 0, 0);
    ranges.assert_part("bytes=1999-1999", 1999, 1999);
}

#[test]
fn an_end_behind_the_end_is_cut() {
    let ranges = Ranges::new();
    ranges.assert_part("bytes=1500-99999", 1500, SIZE - 1);
    ranges.assert_part("bytes=0-2000", 0, SIZE - 1);
    ranges.assert_part("bytes=1-18446744073709551615", 1, SIZE - 1);
}

#[test]
fn more_last_bytes_than_there_are_is_everything() {
    Ranges::new().assert_part("bytes=-5000", 0, SIZE - 1);
}

#[test]
fn everything_as_a_range() {
    let ranges = Ranges::new();
    ranges.assert_part("bytes=0-", 0, SIZE - 1);
    ranges.assert_part("bytes=0-1999", 0, SIZE - 1);
}

#[test]
fn a_start_behind_the_end_is_refused() {
    let ranges = Ranges::new();
    ranges.assert_unsatisfiable("bytes=2000-");
    ranges.assert_unsatisfiable("bytes=2000-2001");
    ranges.assert_unsatisfiable("bytes=99999-");
}

#[test]
fn an_inverted_range_is_refused() {
    let ranges = Ranges::new();
    ranges.assert_unsatisfiable("bytes=500-0");
    ranges.assert_unsatisfiable("bytes=1999-1998");
}

#[test]
fn no_last_bytes_are_refused() {
    Ranges::new().assert_unsatisfiable("bytes=-0");
}

#[test]
fn several_ranges_give_the_whole() {
    let ranges = Ranges::new();
    ranges.assert_whole("bytes=0-1,4-5");
    ranges.assert_whole("bytes=0-1, -5");
}

#[test]
fn another_unit_gives_the_whole() {
    Ranges::new().assert_whole("items=0-1");
}

#[test]
fn nonsense_is_no_internal_error() {
    let ranges = Ranges::new();
    for range in ["bytes=", "bytes=-", "bytes=a-b", "bytes", "bytes=1-2-3", "bytes=99999999999999999999999-"]
    {
        ranges.get(range).expect_status_in(&[200, 416]);
    }
}

#[test]
fn head_does_not_take_parts() {
    let ranges = Ranges::new();
    let reply = ranges.client.request("HEAD", &ranges.path).header("range", "bytes=0-1").send();
    reply.expect_status_in(&[200, 206]);
    ranges.client.head(&ranges.path).expect_status(200).expect_header("accept-ranges", "bytes");
}

#[test]
fn an_empty_blob_has_no_parts() {
    let ranges = Ranges::new();
    let digest = ranges.client.push_blob("ranges", b"");
    let request = ranges.client.request("GET", &format!("/v2/ranges/blobs/{digest}"));
    let reply = request.header("range", "bytes=0-").send().expect_status(416);
    reply.expect_header("content-range", "bytes */0");
}

#[test]
fn a_broken_pull_is_resumed() {
    let server = Server::start();
    let client = server.client();
    let content = bytes::random(121, 3 << 20);
    let digest = client.push_blob("ranges", &content);
    let path = format!("/v2/ranges/blobs/{digest}");
    let mut got = Vec::new();
    while got.len() < content.len() {
        let range = format!("bytes={}-{}", got.len(), got.len() + 999_999);
        let reply = client.request("GET", &path).header("range", &range).send().expect_status(206);
        got.extend_from_slice(&reply.body);
    }
    assert_eq!(bytes::digest(&got), digest);
}
