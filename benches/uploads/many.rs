//! Many uploads at once: how much memory the server takes for them.

use crate::server::{BLOCK_BYTES, Content, Server, digest, elapsed_secs, expect_accepted};
use std::io::Write;
use std::thread;
use std::time::Instant;

const UPLOADS: u64 = 64;
const MIB_EACH: u64 = 100;

pub fn run() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(dir.path());
    let began = Instant::now();
    thread::scope(|scope| {
        for seed in 0..UPLOADS {
            let server = &server;
            scope.spawn(move || push(server, seed));
        }
    });
    println!(
        "{UPLOADS} uploads of {MIB_EACH} MiB at once: {:.1} s, resident memory of the server at most {} KiB",
        elapsed_secs(began),
        server.peak_kib()
    );
}

fn push(server: &Server, seed: u64) {
    let blocks = (MIB_EACH << 20) / BLOCK_BYTES as u64;
    let location = server.begin();
    let mut stream = server.begin_patch(&location, MIB_EACH << 20);
    let mut content = Content::new(seed);
    for number in 0..blocks {
        stream.write_all(content.block(number)).expect("sent");
    }
    expect_accepted(stream);
    server.close(&location, &digest(seed, blocks));
}
