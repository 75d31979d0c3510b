//! A large blob over TLS 1.3, with the same cipher from both.

use super::{names, start};
use crate::figures::{Comparison, Figure, Sample, interleave};
use crate::files::Content;
use crate::options::Options;
use crate::servers::Kind;
use crate::tls::Identity;
use sha2::{Digest, Sha256};
use std::thread;
use std::time::Instant;

/// The client decrypts, on the same processors.
const CONNECTIONS: u64 = 2;

pub fn run(options: &Options) -> Vec<Comparison> {
    let identity = Identity::create();
    let content = Content::write(&options.dir, 3, options.blob_mib << 20);
    let (mut servers, mut paths) = (Vec::new(), Vec::new());
    for server in start(options, &[Kind::Wharfinger, Kind::Nginx]) {
        paths.push(format!("GET {}", content.offer(&server)));
        servers.push(server.restarted(Some(&identity)));
    }
    for (server, path) in servers.iter().zip(&paths) {
        let mut hasher = Sha256::new();
        identity.pull(server.address, path, |piece| hasher.update(piece));
        let digest = base16ct::lower::encode_string(&hasher.finalize());
        assert_eq!(format!("sha256:{digest}"), content.digest, "{}", server.kind.name());
    }
    let title = format!("pull {} MiB over TLS 1.3, {CONNECTIONS} connections", options.blob_mib);
    vec![interleave(&title, &[Figure::CpuPerGib], &names(&servers), options.rounds, |index| {
        let (server, path, identity) = (&servers[index], &paths[index], &identity);
        Sample::take(server, || {
            let times = thread::scope(|scope| {
                let pull = || {
                    let began = Instant::now();
                    identity.pull(server.address, path, |_| {});
                    began.elapsed()
                };
                let threads: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(pull)).collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().expect("a client that does not panic"))
                    .collect()
            });
            (times, content.bytes * CONNECTIONS)
        })
    })]
}
