//! Collecting in a large registry: what it costs when there is nothing to collect, and what it does to those
//! who pull while there is much.
//!
//! `cargo bench --bench collecting`. `WHARFINGER_BENCH_BLOBS` says how many blobs there are (default
//! 1,000,000); a tenth of them becomes garbage.

mod build;
mod probe;
#[path = "../uploads/server.rs"]
#[expect(dead_code, reason = "the other bench uses the rest of it")]
mod server;
mod times;

use probe::Probe;
use server::Server;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};
use times::Times;

/// How long the server is left alone to see what that costs.
const IDLE: Duration = Duration::from_secs(60);

/// How long pulls are measured while nothing is collected.
const CALM: Duration = Duration::from_secs(30);

fn main() {
    let blobs = std::env::var("WHARFINGER_BENCH_BLOBS");
    let blobs = blobs.map_or(1_000_000, |blobs| blobs.parse().expect("a number"));
    // As hurried as the settings allow: what is measured is the worst of it.
    for (name, value) in [
        ("WHARFINGER_KEEP_DELETED_SECS", "0"),
        ("WHARFINGER_UNLINK_BATCH_SECS", "0"),
        ("WHARFINGER_HOUSEKEEPING_SECS", "1"),
        ("WHARFINGER_GC_STEPS_PER_SEC", "100000"),
        ("WHARFINGER_SCRUB_BYTES_PER_SECOND", "0"),
    ] {
        // Servers are started later, and no other thread runs yet.
        set(name, value);
    }
    let home = tempfile::tempdir().expect("a temporary directory");
    let empty = idle_ticks(&home.path().join("empty"));
    let large = home.path().join("large");
    let began = Instant::now();
    let built = build::build(&large.join("data"), blobs);
    println!("built {blobs} blobs and {} manifests in {:.0} s", built.manifests.len(), secs(began));
    let full = idle_ticks(&large);
    println!(
        "CPU in {} s with nothing to collect: {empty} ms empty, {full} ms with {blobs} blobs",
        IDLE.as_secs()
    );
    collect(&large, &built);
}

/// The milliseconds of CPU that a server uses while nobody asks it anything.
fn idle_ticks(dir: &Path) -> u64 {
    std::fs::create_dir_all(dir).expect("made");
    let server = Server::start(dir);
    // Its start is not what is measured.
    sleep(Duration::from_secs(5));
    let before = server.cpu_ms();
    sleep(IDLE);
    server.cpu_ms() - before
}

fn collect(dir: &Path, built: &build::Built) {
    let server = Server::start(dir);
    let garbage = built.manifests.len() / 10;
    let (doomed, pulled) = built.manifests.split_at(garbage);
    let probe = Probe::start(&server, pulled, &built.blobs);
    sleep(CALM);
    let calm = probe.stop();
    let peak_kib = server.peak_kib();
    let files = build::count_files(&dir.join("data"));
    let probe = Probe::start(&server, pulled, &built.blobs);
    let began = Instant::now();
    for digest in doomed {
        let reply =
            server.request(&format!("DELETE /v2/{}/manifests/{digest}", build::REPOSITORY), "Accept: */*");
        assert!(reply.starts_with("HTTP/1.1 202"), "{reply}");
    }
    let expected = files - garbage * build::LAYERS;
    while build::count_files(&dir.join("data")) > expected {
        sleep(Duration::from_millis(500));
    }
    let elapsed = secs(began);
    let busy = probe.stop();
    let collected = garbage * build::LAYERS;
    println!("collected {collected} blobs in {elapsed:.0} s, files and all");
    println!("memory at its peak: {peak_kib} KiB before, {} KiB after", server.peak_kib());
    show("pulls with nothing to collect", &calm);
    show("pulls while it is collected", &busy);
    let ratio = busy.at(99).as_secs_f64() / calm.at(99).as_secs_f64();
    println!("p99 while collecting, of that without: {ratio:.2}");
}

fn show(what: &str, times: &Times) {
    let ms = |percent: usize| times.at(percent).as_secs_f64() * 1000.0;
    println!("{what}: {} requests, p50 {:.2} ms, p99 {:.2} ms", times.count(), ms(50), ms(99));
}

fn secs(since: Instant) -> f64 {
    since.elapsed().as_secs_f64()
}

/// A variable for the servers that are started.
fn set(name: &str, value: &str) {
    server::SETTINGS.lock().expect("no panic").push((name.to_owned(), value.to_owned()));
}
