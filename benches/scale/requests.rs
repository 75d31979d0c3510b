//! Requests to a server: what each costs it, and how long it takes.

use super::build::{Size, digest, name, tag};
use super::client::Client;
use super::server::Server;
use super::times::Times;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long each kind of request is repeated: CPU is told in steps of 10 ms.
const SPAN: Duration = Duration::from_secs(2);

/// How many requests come before: they fill the server's cache.
const WARMING: usize = 200;

/// How many names a page has.
const PAGE: usize = 100;

/// Measures them all.
pub fn measure(home: &Path, size: Size) {
    let server = Server::start(home);
    println!("idle after the start: {} KiB of memory\n", server.resident_kib());
    println!("| request | CPU us | p50 us | p99 us | of |\n|---|---|---|---|---|");
    let small = size.repositories / 2;
    for (what, repository) in [("big", 0), ("small", small)] {
        let tags = size.tags_of(repository);
        // Behind which tag the page begins; the middle of a small one has fewer than a page.
        for last in [None, Some(tags / 2), Some(tags - PAGE.min(tags - 1) - 1)] {
            let behind = last.map_or_else(String::new, |last| format!("&last={}", tag(last)));
            let line = format!("GET /v2/{}/tags/list?n={PAGE}{behind}", name(repository));
            let first = last.map_or(0, |last| last + 1);
            let entries = PAGE.min(tags - first);
            let what = format!("{entries} tags from {first}, {what} repository of {tags}");
            row(&server, &what, |_| line.clone());
        }
    }
    for (place, last) in [
        ("begin", None),
        ("middle", Some(name(size.repositories / 2))),
        ("end", Some(name(size.repositories.saturating_sub(PAGE + 1)))),
    ] {
        let last = last.map_or_else(String::new, |last| format!("&last={last}"));
        let line = format!("GET /v2/_catalog?n={PAGE}{last}");
        row(&server, &format!("catalog of {}, {place}", size.repositories), |_| line.clone());
    }
    // Far apart from each other, and no two alike for long.
    let step = |number: usize, of: usize| number.wrapping_mul(7919) % of;
    row(&server, "HEAD blob, any", |number| {
        let blob = step(number, size.blobs());
        format!("HEAD /v2/{}/blobs/{}", name(blob / super::build::BLOBS_EACH), digest(blob))
    });
    row(&server, "GET manifest by tag, any", |number| {
        let repository = step(number, size.repositories);
        format!("GET /v2/{}/manifests/{}", name(repository), tag(step(number, size.tags_of(repository))))
    });
    row(&server, "GET manifest by tag, one", |_| format!("GET /v2/{}/manifests/{}", name(small), tag(7)));
    println!("\nafter these requests: {} KiB of memory", server.resident_kib());
}

/// Repeats a request for a while and prints what it took.
fn row(server: &Server, what: &str, line: impl Fn(usize) -> String) {
    let address = server.address.parse().expect("an address and a port");
    let mut client = Client::connect(address, Ipv4Addr::LOCALHOST, "");
    for number in 0..WARMING {
        client.expect(200, &line(number), b"");
    }
    let (before_ms, began) = (server.cpu_ms(), Instant::now());
    let mut times = Vec::new();
    while began.elapsed() < SPAN {
        let line = line(WARMING + times.len());
        let sent = Instant::now();
        client.expect(200, &line, b"");
        times.push(sent.elapsed());
    }
    let cpu_us = (server.cpu_ms() - before_ms) * 1000 / times.len() as u64;
    let times = Times::of(times);
    let (p50, p99) = (times.at(50).as_micros(), times.at(99).as_micros());
    println!("| {what} | {cpu_us} | {p50} | {p99} | {} |", times.count());
}
