//! An upload that is killed with its server near its end: what has to be read to go on with it.

use crate::server::{BLOCK_BYTES, Content, Server, digest, elapsed_secs, expect_accepted};
use std::io::Write;
use std::time::Instant;

pub fn run(gib: u64) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut server = Server::start(dir.path());
    let blocks = (gib << 30) / BLOCK_BYTES as u64;
    let location = server.begin();
    let mut stream = server.begin_patch(&location, gib << 30);
    let mut content = Content::new(1);
    for number in 0..blocks * 9 / 10 {
        stream.write_all(content.block(number)).expect("sent");
    }
    server.kill();
    let began = Instant::now();
    let server = Server::start(dir.path());
    let offset = server.offset(&location);
    println!(
        "killed after 9/10 of {gib} GiB; a new server knows {offset} bytes after {:.2} s",
        elapsed_secs(began)
    );
    let before = server.bytes_read();
    let first = offset / BLOCK_BYTES as u64;
    assert!(offset.is_multiple_of(BLOCK_BYTES as u64) || first < blocks, "somewhere within");
    let within = usize::try_from(offset % BLOCK_BYTES as u64).expect("less than a block");
    let mut stream = server.begin_patch(&location, (gib << 30) - offset);
    stream.write_all(&content.block(first)[within..]).expect("sent");
    for number in first + 1..blocks {
        stream.write_all(content.block(number)).expect("sent");
    }
    expect_accepted(stream);
    server.close(&location, &digest(1, blocks));
    println!("went on and closed; bytes read from files for that: {}", server.bytes_read() - before);
}
