//! Pushes of manifests, each to a tag: ours are durable when they are answered.

use super::{ask_for, names, start};
use crate::figures::{Comparison, Figure, Sample, interleave};
use crate::files::{IMAGE, REPOSITORY, manifest, upload};
use crate::options::Options;
use crate::servers::Kind;
use std::sync::atomic::{AtomicU64, Ordering};

const KINDS: [Kind; 4] = [Kind::Wharfinger, Kind::DockerRegistry, Kind::Distribution, Kind::Zot];

/// So many tags are moved in turns.
const TAGS: u64 = 100;

pub fn run(options: &Options) -> Vec<Comparison> {
    let servers = start(options, &KINDS);
    let blobs: Vec<_> = servers
        .iter()
        .map(|server| {
            let mut connection = server.connect();
            (upload(&mut connection, b"{}"), upload(&mut connection, b"layer"))
        })
        .collect();
    // Makes every manifest another one.
    let number = AtomicU64::new(0);
    let compare = |pushers: &usize| {
        let title = format!("PUT of manifests, {pushers} pushers");
        let figures = [Figure::Rate, Figure::CpuPerRequest];
        interleave(&title, &figures, &names(&servers), options.rounds, |index| {
            let (server, (config, layer)) = (&servers[index], &blobs[index]);
            Sample::take(server, || {
                let ask = |client: &mut crate::client::Connection, pusher: usize| {
                    let number = number.fetch_add(1, Ordering::Relaxed);
                    let manifest = manifest((config, 2), (layer, 5), number);
                    let path = format!("/v2/{REPOSITORY}/manifests/p{pusher}-{}", number % TAGS);
                    client.put_manifest(&path, IMAGE, &manifest);
                };
                (ask_for(server, *pushers, options.span, ask), 0)
            })
        })
    };
    options.pushers.iter().map(compare).collect()
}
