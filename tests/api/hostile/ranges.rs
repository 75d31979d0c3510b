//! The `Range` of a download and the `Content-Range` of a chunk.

use super::case::{Case, Request, get};
use super::scene::{OURS, Scene};
use crate::support::bytes;

/// Values of `Range` for a blob of 3000 bytes that nothing can be sent for.
const UNSATISFIABLE: [(&str, &str); 6] = [
    ("bytes=3000-", "a range that begins at the end"),
    ("bytes=99999-100000", "a range behind the end"),
    ("bytes=5-2", "an inverted range"),
    ("bytes=-0", "the last no bytes"),
    ("bytes=18446744073709551615-", "the largest number of 64 bits"),
    ("bytes=99999999999999999999999999-", "a number beyond 64 bits"),
];

/// Values of `Range` that RFC 9110 lets a server ignore.
const IGNORED: [(&str, &str); 9] = [
    ("bytes=a-b", "letters"),
    ("bytes=--1", "a negative end"),
    ("bytes=1-2-3", "three numbers"),
    ("bytes=0x0-0x5", "hexadecimal numbers"),
    ("bytes=+0-+5", "signs"),
    ("bytes=0-0,5-6,7-8,0-2999", "several ranges, which could multiply the answer"),
    ("lines=0-5", "another unit"),
    ("bytes", "no range"),
    ("bytes=", "an empty range"),
];

const CONTENT_RANGE: &str = "expected <first byte>-<last byte>, such as 0-1023";

/// Values of `Content-Range` that are none, for an upload of five bytes.
const NO_CONTENT_RANGES: [(&str, &str, &str); 13] = [
    ("abc", "a word", CONTENT_RANGE),
    ("", "nothing", CONTENT_RANGE),
    ("5", "one number", CONTENT_RANGE),
    ("5-", "no end", CONTENT_RANGE),
    ("-5", "no beginning", CONTENT_RANGE),
    ("+5-+9", "signs", CONTENT_RANGE),
    ("5 - 9", "spaces", CONTENT_RANGE),
    ("0x5-0x9", "hexadecimal numbers", CONTENT_RANGE),
    ("5-9,10-14", "two ranges", CONTENT_RANGE),
    ("5-18446744073709551615", "the largest number of 64 bits", CONTENT_RANGE),
    ("5-99999999999999999999999999", "a number beyond 64 bits", CONTENT_RANGE),
    ("9-5", "an inverted range", "expected the last byte not to stand before the first"),
    ("bytes 5-9/8", "an end before the last byte", "expected the last byte to stand before the end"),
];

/// Well-formed values of `Content-Range` with five bytes that do not belong there.
const ELSEWHERE: [(&str, &str, &str); 8] = [
    ("0-4", "bytes that are there already", "goes on at byte 5"),
    ("4-8", "an overlap of one byte", "goes on at byte 5"),
    ("6-10", "a gap of one byte", "goes on at byte 5"),
    ("9000000000000000000-9000000000000000004", "a gap of exabytes", "goes on at byte 5"),
    ("5-8", "one byte more than the range", "another length than its Content-Range"),
    ("5-10", "one byte fewer than the range", "another length than its Content-Range"),
    ("5-9000000000000000000", "exabytes fewer than the range", "another length than its Content-Range"),
    ("5-5", "five bytes for one", "another length than its Content-Range"),
];

pub fn downloads(scene: &Scene) -> Vec<Case> {
    let blob = format!("/v2/{OURS}/blobs/{}", scene.images[0].blob_digests()[1]);
    let with_range = |range: &str| get(&blob).header(&format!("Range: {range}"));
    let unsatisfiable = UNSATISFIABLE.iter().map(|(range, title)| {
        let case = Case::of(*title, with_range(range));
        case.refused(416, "BLOB_UPLOAD_INVALID", "not within the blob's 3000 bytes")
    });
    let ignored = IGNORED.iter().map(|(range, title)| Case::of(*title, with_range(range)).answered(200));
    unsatisfiable.chain(ignored).collect()
}

pub fn chunks(scene: &Scene) -> Vec<Case> {
    let upload = &scene.uploads[0];
    let chunk =
        |range: &str| Request::of("PATCH", upload).header(&format!("Content-Range: {range}")).body(b"world");
    let malformed = NO_CONTENT_RANGES.iter().map(|(range, title, words)| {
        Case::of(*title, chunk(range)).refused(400, "BLOB_UPLOAD_INVALID", words)
    });
    let elsewhere = ELSEWHERE.iter().map(|(range, title, words)| {
        Case::of(*title, chunk(range)).refused(416, "BLOB_UPLOAD_INVALID", words)
    });
    let mut cases: Vec<_> = malformed.chain(elsewhere).collect();
    let in_chunks = |range: &str| {
        Request::of("PATCH", upload).header(&format!("Content-Range: {range}")).chunked("world")
    };
    let length = "another length than its Content-Range";
    let closing = format!("{upload}?digest={}", bytes::digest(b"helloworld"));
    let close =
        |range: &str| Request::of("PUT", &closing).header(&format!("Content-Range: {range}")).body(b"world");
    for (title, request, words) in [
        ("chunked, one byte more than the range", in_chunks("5-8"), length),
        ("chunked, one byte fewer than the range", in_chunks("5-10"), length),
        ("a closing chunk out of order", close("0-4"), "goes on at byte 5"),
        ("a closing chunk longer than its range", close("5-8"), length),
    ] {
        cases.push(Case::of(title, request).refused(416, "BLOB_UPLOAD_INVALID", words));
    }
    let twice = chunk_with_two_ranges(upload);
    cases.push(Case::of("two ranges in two headers", twice).refused(
        400,
        "BLOB_UPLOAD_INVALID",
        "expected one",
    ));
    let accented = chunk("5-9\u{e9}");
    cases.push(Case::of("a letter outside ASCII", accented).refused(400, "BLOB_UPLOAD_INVALID", "expected"));
    cases.push(close_malformed(&closing));
    cases
}

fn chunk_with_two_ranges(upload: &str) -> Request {
    Request::of("PATCH", upload).header("Content-Range: 5-9").header("Content-Range: 0-4").body(b"world")
}

fn close_malformed(closing: &str) -> Case {
    let request = Request::of("PUT", closing).header("Content-Range: 5").body(b"world");
    Case::of("a closing chunk with one number", request).refused(400, "BLOB_UPLOAD_INVALID", CONTENT_RANGE)
}
