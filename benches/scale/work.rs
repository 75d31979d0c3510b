//! Work on the whole registry, or on a part of it: collecting, and verify.

use super::build::{self, CHUNK};
use super::client::Client;
use super::server::Server;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};
use wharfinger::oci::RepositoryName;

/// How many blobs are collected.
const GARBAGE: usize = 10_000;

/// How often a process is looked at. The last look before its end is the one that counts.
const LOOK: Duration = Duration::from_millis(20);

/// Measures them all.
pub fn measure(home: &Path) {
    println!("\n| work | s | CPU ms of the server | peak MiB |\n|---|---|---|---|");
    collect(home);
    let (secs, peak_kib) = run(home, &["verify"]);
    println!("| verify, no server | {secs:.2} | - | {} |", peak_kib / 1024);
    let (secs, peak_kib) = run(home, &["gc", "--dry-run"]);
    println!("| gc --dry-run, no server, nothing to collect | {secs:.2} | - | {} |", peak_kib / 1024);
}

/// Deletes a repository's images, and has a server collect them at once.
fn collect(home: &Path) {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is later");
    let seed = (1 << 40) + (usize::try_from(since.as_secs()).expect("64 bits") << 16);
    let repository = RepositoryName::parse(&format!("garbage/g{}", since.as_secs())).expect("a name");
    let doomed = build::add_garbage(&home.join("data"), &repository, GARBAGE / CHUNK, seed);
    let server = Server::start(home);
    let address = server.address.parse().expect("an address and a port");
    let connect = || Client::connect(address, Ipv4Addr::LOCALHOST, "");
    let mut client = connect();
    let (cpu_ms, began) = (server.cpu_ms(), Instant::now());
    for digest in &doomed {
        client.expect(202, &format!("DELETE /v2/{repository}/manifests/{digest}"), b"");
    }
    let (secs, cpu_ms) = (began.elapsed().as_secs_f64(), server.cpu_ms() - cpu_ms);
    println!("| DELETE of {} manifests | {secs:.2} | {cpu_ms} | - |", doomed.len());
    for what in ["gc --now of 10,000 blobs", "gc --now, nothing to collect"] {
        let cpu_ms = server.cpu_ms();
        let (secs, _) = run(home, &["gc", "--now"]);
        let (cpu_ms, peak_mib) = (server.cpu_ms() - cpu_ms, server.peak_kib() / 1024);
        println!("| {what} | {secs:.2} | {cpu_ms} | {peak_mib} |");
    }
    let probe = build::digest(seed);
    // The other connection may have been without a request for too long.
    let reply = connect().ask(&format!("HEAD /v2/{repository}/blobs/{probe}"), b"");
    assert_eq!(reply.status, 404, "it was collected");
}

/// Runs a command to its end; says how many seconds it took, and about its most memory, in KiB.
fn run(home: &Path, arguments: &[&str]) -> (f64, u64) {
    let began = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharfinger"));
    command.args(arguments).arg("--data").arg(home.join("data")).stdout(Stdio::null());
    command.env_remove("WHARFINGER_BENCH_SCALE").env_remove("WHARFINGER_BENCH_DIR");
    let mut child = command.spawn().expect("it starts");
    let mut peak_kib = 0;
    loop {
        if let Some(status) = child.try_wait().expect("it is ours") {
            assert!(status.success(), "{arguments:?} found something: {status}");
            return (began.elapsed().as_secs_f64(), peak_kib);
        }
        peak_kib = peak_kib.max(peak_of(&child));
        sleep(LOOK);
    }
}

/// The most memory that a process ever had, in KiB; 0 where it has just ended.
fn peak_of(child: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or(0, |line| line.trim().trim_end_matches(" kB").parse().expect("a number"))
}
