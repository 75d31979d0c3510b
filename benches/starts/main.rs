//! How long a start takes in a large registry: on the original after a kill, on one that was touched, and on
//! a copy, whose database is made anew.
//!
//! `cargo bench --bench starts`. `WHARFINGER_BENCH_BLOBS` says how many blobs there are (default 1,000,000);
//! each hundred of them has an image with ten tags.

#[path = "../collecting/build.rs"]
#[expect(dead_code, reason = "the other bench uses the rest of it")]
mod build;
#[path = "../uploads/server.rs"]
#[expect(dead_code, reason = "the other bench uses the rest of it")]
mod server;

use server::Server;
use std::fs;
use std::path::Path;
use std::time::Instant;

/// How many tags each image has.
const TAGS: usize = 10;

/// How often each start is measured.
const TIMES: usize = 5;

fn main() {
    let blobs = std::env::var("WHARFINGER_BENCH_BLOBS");
    let blobs = blobs.map_or(1_000_000, |blobs| blobs.parse().expect("a number"));
    let home = tempfile::tempdir().expect("a temporary directory");
    let ledger = home.path().join("data/ledger");
    let began = Instant::now();
    let built = build::build_tagged(&home.path().join("data"), blobs, TAGS);
    let (images, took) = (built.manifests.len(), began.elapsed().as_secs());
    println!("built {blobs} blobs, {images} images with {TAGS} tags each, in {took} s");
    let size = fs::metadata(ledger.join("ledger.redb")).expect("there is one").len();
    println!("the database has {} MiB", size / 1024 / 1024);
    // The first one ends well, and its snapshot is made.
    Server::start(home.path()).kill();
    for _ in 0..TIMES {
        start_and_kill(home.path(), "the original, after a kill");
    }
    for _ in 0..TIMES {
        fs::File::options()
            .write(true)
            .open(ledger.join("ledger.redb"))
            .and_then(|file| file.set_modified(std::time::SystemTime::now()))
            .expect("it is touched");
        start_and_kill(home.path(), "touched");
    }
    for _ in 0..TIMES {
        fs::remove_file(ledger.join("IDENTITY")).expect("a copy has none of its own");
        start_and_kill(home.path(), "a copy");
    }
}

/// Starts a server, lets it write, and kills it.
fn start_and_kill(dir: &Path, what: &str) {
    let began = Instant::now();
    let mut server = Server::start(dir);
    let took = began.elapsed();
    let peak_kib = server.peak_kib();
    for _ in 0..200 {
        server.begin();
    }
    server.kill();
    println!("{what}: {:.3} s until it serves, {} MiB of memory", took.as_secs_f64(), peak_kib / 1024);
}
