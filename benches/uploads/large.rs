//! One very large layer: how much memory the server takes for it, and how long the client waits for the
//! answer to its closing PUT.

use crate::server::{BLOCK_BYTES, Content, Server, elapsed_secs, expect_accepted, text};
use sha2::{Digest, Sha256};
use std::io::{BufRead, BufReader, Read, Write};
use std::time::Instant;

pub fn run(gib: u64) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(dir.path());
    let size = gib << 30;
    let location = server.begin();
    let began = Instant::now();
    let (digest, answered) = push(&server, &location, size);
    println!(
        "PATCH of {gib} GiB: {:.1} s, answered {answered:.3} s after its last byte",
        elapsed_secs(began)
    );
    let began = Instant::now();
    server.close(&location, &digest);
    println!("closing PUT: {:.3} s", elapsed_secs(began));
    println!("resident memory of the server, at most: {} KiB", server.peak_kib());
    let began = Instant::now();
    pull(&server, &digest, size);
    println!("GET: {:.1} s, the same bytes", elapsed_secs(began));
    println!("resident memory of the server, at most: {} KiB", server.peak_kib());
}

fn push(server: &Server, location: &str, size: u64) -> (String, f64) {
    let mut stream = server.begin_patch(location, size);
    let mut content = Content::new(0);
    let mut hasher = Sha256::new();
    for number in 0..size / BLOCK_BYTES as u64 {
        let block = content.block(number);
        hasher.update(block);
        stream.write_all(block).expect("sent");
    }
    let sent = Instant::now();
    expect_accepted(stream);
    (text(hasher), elapsed_secs(sent))
}

fn pull(server: &Server, digest: &str, size: u64) {
    let mut stream = BufReader::new(server.connect());
    let address = &server.address;
    let line =
        format!("GET /v2/bench/blobs/{digest} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.get_mut().write_all(line.as_bytes()).expect("sent");
    let mut head = String::new();
    while stream.read_line(&mut head).expect("a head") > 2 {}
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let mut block = vec![0; BLOCK_BYTES];
    let mut content = Content::new(0);
    for number in 0..size / BLOCK_BYTES as u64 {
        stream.read_exact(&mut block).expect("all bytes");
        assert_eq!(block, content.block(number));
    }
}
