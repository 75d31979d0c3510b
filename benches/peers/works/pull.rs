//! Blobs by plain HTTP: large ones whole, smaller ones one after the other on kept connections.

use super::{ask_for, ask_once, names, start};
use crate::figures::{Comparison, Figure, Sample, interleave};
use crate::files::{Content, digest};
use crate::options::Options;
use crate::servers::{Kind, Server};
use std::time::Duration;

const KINDS: [Kind; 5] = [Kind::Wharfinger, Kind::Nginx, Kind::DockerRegistry, Kind::Distribution, Kind::Zot];

const LARGE_CONNECTIONS: usize = 4;
const SMALL_CONNECTIONS: usize = 8;

pub fn run(options: &Options) -> Vec<Comparison> {
    let servers = start(options, &KINDS);
    let mut found = Vec::new();
    let whole = [Figure::CpuPerGib];
    let title = format!("pull {} MiB, {LARGE_CONNECTIONS} connections", options.blob_mib);
    found.push(compare(options, &servers, &title, &whole, options.blob_mib << 20, None));
    for (title, bytes) in [("pull 4 MiB, keep-alive", 4 << 20), ("pull 64 KiB, keep-alive", 64 << 10)] {
        let figures = [Figure::Rate, Figure::CpuPerGib];
        found.push(compare(options, &servers, title, &figures, bytes, Some(options.span)));
    }
    found
}

/// One size: so long, or once a connection.
fn compare(
    options: &Options,
    servers: &[Server],
    title: &str,
    figures: &[Figure],
    bytes: u64,
    span: Option<Duration>,
) -> Comparison {
    let content = Content::write(&options.dir, bytes, bytes);
    let paths: Vec<_> = servers.iter().map(|server| content.offer(server)).collect();
    for (server, path) in servers.iter().zip(&paths) {
        // What is pulled is right, and in the page cache.
        let (_, body) = server.connect().expect(200, &format!("GET {path}"), b"");
        assert_eq!(digest(&body), content.digest, "{}", server.kind.name());
    }
    interleave(title, figures, &names(servers), options.rounds, |index| {
        let (server, path) = (&servers[index], &paths[index]);
        Sample::take(server, || {
            let times = match span {
                Some(span) => ask_for(server, SMALL_CONNECTIONS, span, |client, _| client.pull(path, bytes)),
                None => ask_once(server, LARGE_CONNECTIONS, |client, _| client.pull(path, bytes)),
            };
            let all = bytes * times.len() as u64;
            (times, all)
        })
    })
}
