//! What answers without a file: HEAD of a blob, GET of a manifest by its tag. Ours is asked with a Bearer
//! token, under rules of access; the others let everybody in.

use super::{ask_for, names, start};
use crate::figures::{Comparison, Figure, Sample, interleave};
use crate::files::{Content, IMAGE, REPOSITORY, manifest, upload};
use crate::options::Options;
use crate::servers::{Kind, Server};

const KINDS: [Kind; 5] = [Kind::Wharfinger, Kind::Nginx, Kind::DockerRegistry, Kind::Distribution, Kind::Zot];

const CONNECTIONS: usize = 8;

/// What nginx sends in place of a manifest.
const FILE_BYTES: u64 = 300;

pub fn run(options: &Options) -> Vec<Comparison> {
    let servers = start(options, &KINDS).into_iter().map(|server| server.with_access(REPOSITORY));
    let servers: Vec<_> = servers.collect();
    let lines: Vec<_> = servers.iter().map(|server| prepare(server, options)).collect();
    let titles = ["HEAD of a blob, Bearer", "GET of a manifest by its tag, Bearer"];
    let compare = |(which, title)| {
        let figures = [Figure::CpuPerRequest, Figure::Rate];
        interleave(title, &figures, &names(&servers), options.rounds, |index| {
            let (server, line): (&Server, &String) = (&servers[index], &lines[index][which]);
            Sample::take(server, || {
                let ask = |client: &mut crate::client::Connection, _: usize| {
                    client.expect(200, line, b"");
                };
                (ask_for(server, CONNECTIONS, options.span, ask), 0)
            })
        })
    };
    titles.into_iter().enumerate().map(compare).collect()
}

/// The two requests, after what they ask for was pushed.
fn prepare(server: &Server, options: &Options) -> [String; 2] {
    if server.kind == Kind::Nginx {
        let path = Content::write(&options.dir, 5, FILE_BYTES).offer(server);
        return [format!("HEAD {path}"), format!("GET {path}")];
    }
    let mut connection = server.connect();
    let config = upload(&mut connection, b"{}");
    let layer = upload(&mut connection, b"layer");
    let manifest = manifest((&config, 2), (&layer, 5), 0);
    let path = format!("/v2/{REPOSITORY}/manifests/v1");
    connection.put_manifest(&path, IMAGE, &manifest);
    [format!("HEAD /v2/{REPOSITORY}/blobs/{layer}"), format!("GET {path}")]
}
