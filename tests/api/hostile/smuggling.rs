//! Requests that two parsers read in two ways. Each is refused and ends its connection, and what was hidden
//! behind it is never answered.
//!
//! actix-http refuses these before there is a request, so their answers have no words.

use super::case::{Case, Request};
use super::scene::Scene;

/// The head of a request for a new upload, up to the headers that matter.
const POST: &str = "POST /v2/team/app/blobs/uploads/ HTTP/1.1\r\nHost: x\r\n";

/// Headers that frame a body, each with what follows them.
const FRAMES: [(&str, &str, &str); 32] = [
    ("a length and chunks", "Content-Length: 4\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
    ("chunks and a length", "Transfer-Encoding: chunked\r\nContent-Length: 4", "0\r\n\r\n"),
    ("chunks and a length of none", "Transfer-Encoding: chunked\r\nContent-Length: 0", "0\r\n\r\n"),
    ("two lengths, the longer first", "Content-Length: 5\r\nContent-Length: 0", "hello"),
    ("two lengths, the shorter first", "Content-Length: 0\r\nContent-Length: 5", "hello"),
    ("two lengths, alike", "Content-Length: 5\r\nContent-Length: 5", "hello"),
    ("two lengths in one header", "Content-Length: 5, 5", "hello"),
    ("a length with a sign", "Content-Length: +5", "hello"),
    ("a negative length", "Content-Length: -5", "hello"),
    ("a length of two numbers", "Content-Length: 5 5", "hello"),
    ("a hexadecimal length", "Content-Length: 0x5", "hello"),
    ("a length with a letter", "Content-Length: 5a", "hello"),
    ("an empty length", "Content-Length: ", "hello"),
    ("a length beyond 64 bits", "Content-Length: 99999999999999999999999999", "hello"),
    ("a length of 2^64", "Content-Length: 18446744073709551616", "hello"),
    ("chunks, and then none", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "0\r\n\r\n"),
    ("none, and then chunks", "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
    ("chunks twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
    ("chunks that are not the last encoding", "Transfer-Encoding: chunked, identity", "0\r\n\r\n"),
    ("an unknown encoding", "Transfer-Encoding: xchunked", "0\r\n\r\n"),
    ("chunks behind a vertical tab", "Transfer-Encoding: \u{b}chunked", "0\r\n\r\n"),
    ("chunks in quotes", "Transfer-Encoding: \"chunked\"", "0\r\n\r\n"),
    ("chunks in another encoding", "Transfer-Encoding: gzip, chunked", "0\r\n\r\n"),
    ("an empty encoding", "Transfer-Encoding: ", "0\r\n\r\n"),
    ("an encoding of nothing but a comma", "Transfer-Encoding: ,", "0\r\n\r\n"),
    ("a folded length", "Content-Length:\r\n 5", "hello"),
    ("a folded encoding", "Transfer-Encoding:\r\n\tchunked", "0\r\n\r\n"),
    ("a space before the colon of a length", "Content-Length : 5", "hello"),
    ("a space before the colon of an encoding", "Transfer-Encoding : chunked", "0\r\n\r\n"),
    ("NUL in a header's name", "Content\u{0}-Length: 5", "hello"),
    ("NUL in a header's value", "X: a\u{0}b", ""),
    ("a bare carriage return in a value", "X: a\rContent-Length: 5", "hello"),
];

/// Heads that are none.
const HEADS: [(&str, &str); 19] = [
    ("no host", "GET /v2/ HTTP/1.1\r\n\r\n"),
    ("two hosts", "GET /v2/ HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"),
    ("a version that is none", "GET /v2/ HTTP/9.9\r\nHost: x\r\n\r\n"),
    ("a version of two digits", "GET /v2/ HTTP/1.10\r\nHost: x\r\n\r\n"),
    ("the version before versions", "GET /v2/ HTTP/0.9\r\nHost: x\r\n\r\n"),
    ("a version to come", "GET /v2/ HTTP/2.0\r\nHost: x\r\n\r\n"),
    ("chunks in HTTP/1.0", "POST /v2/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("a path without a slash", "GET v2/ HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("a query without a path", "GET ?n=1 HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("no version", "GET /v2/\r\nHost: x\r\n\r\n"),
    ("a word", "nonsense\r\n\r\n"),
    ("two spaces", "GET  /v2/  HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("a space in the path", "GET /v2/ x HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("a tab for a space", "GET\t/v2/ HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("NUL in the path", "GET /v2/\u{0} HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("a letter outside ASCII in the path", "GET /v2/\u{e9}/tags/list HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("the beginning of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ("the beginning of TLS", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\r\n\r\n"),
    ("a header without a colon", "GET /v2/ HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n"),
];

/// Sizes of chunks that are none.
const CHUNK_SIZES: [(&str, &str); 9] = [
    ("letters", "zz"),
    ("negative", "-1"),
    ("a sign", "+5"),
    ("a prefix", "0x5"),
    ("nothing", ""),
    ("beyond 64 bits", "fffffffffffffffffff"),
    ("two numbers", "5 5"),
    ("an underscore", "0_5"),
    ("a line feed alone", "5\nhello"),
];

pub fn cases(scene: &Scene) -> Vec<Case> {
    let refused =
        |title: &str, text: &str| Case::of(title, Request::raw(text.as_bytes())).refused_without_words(400);
    let framed =
        FRAMES.iter().map(|(title, headers, body)| refused(title, &format!("{POST}{headers}\r\n\r\n{body}")));
    let mut cases: Vec<_> = framed.collect();
    cases.extend(HEADS.iter().map(|(title, head)| refused(title, head)));
    let headers = "X: y\r\n".repeat(200);
    let many = Request::raw(format!("GET /v2/ HTTP/1.1\r\nHost: x\r\n{headers}\r\n").as_bytes());
    cases.push(Case::of("200 headers", many).refused_without_words(431));
    let long = format!("GET /v2/{} HTTP/1.1\r\nHost: x\r\n\r\n", "y".repeat(70_000));
    cases.push(refused("a path of 70,000 bytes", &long));
    let upload = &scene.uploads[0];
    for (title, size) in CHUNK_SIZES {
        let head = format!("PATCH {upload} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        let request = Request::raw(format!("{head}{size}\r\nhello\r\n").as_bytes());
        // The head was fine and its request runs, so an end without a word is an answer too.
        let case = Case::of(format!("a chunk's size: {title}"), request);
        cases.push(case.refused(400, "BLOB_UPLOAD_INVALID", "ended before its end").or_the_end());
    }
    cases
}
