//! Durable pushes of blobs, one after the other on one connection, against the raw floor.

use crate::client::Connection;
use crate::figures::{Comparison, Figure, Sample, interleave};
use crate::files::{Content, begin, closing};
use crate::options::Options;
use crate::servers::{Kind, Server};
use rustix::fs::syncfs;
use std::fs::File;
use std::time::Instant;

/// Others than ours and the floor do not sync.
const KINDS: [Kind; 5] =
    [Kind::Wharfinger, Kind::RawFloor, Kind::DockerRegistry, Kind::Distribution, Kind::Zot];

/// Bytes of what is pushed before it is measured, so that a process has what it needs.
const WARM_UP_BYTES: u64 = 4 << 20;

/// Pushes of the smaller size in one measurement.
const SMALL_PUSHES: u64 = 5;

/// How a body comes.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// POST, then PUT with the whole body, whose length is known.
    Put,
    /// POST, PATCH in chunks, PUT without a body: as docker does.
    Patch,
}

pub fn run(options: &Options) -> Vec<Comparison> {
    let kinds = options.present(&KINDS);
    let small_mib = (options.blob_mib / 10).max(1);
    let mut found = Vec::new();
    for (mib, count) in [(options.blob_mib, 1), (small_mib, SMALL_PUSHES)] {
        let contents: Vec<_> =
            (0..count).map(|seed| Content::write(&options.dir, 10 + seed, mib << 20)).collect();
        let warm_up = Content::write(&options.dir, 9, WARM_UP_BYTES);
        for (way, name) in [(Way::Put, "PUT of all"), (Way::Patch, "PATCH in chunks, PUT")] {
            let title = format!("push {mib} MiB, {name}");
            let figures = [Figure::CpuPerGib, Figure::Rate];
            let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
            found.push(interleave(&title, &figures, &names, options.rounds, |index| {
                measure(options, kinds[index], way, &contents, &warm_up)
            }));
        }
    }
    found
}

/// A new server each time: what was pushed before is no blob that it has, and no room on the disk.
fn measure(options: &Options, kind: Kind, way: Way, contents: &[Content], warm_up: &Content) -> Sample {
    let server = Server::start(kind, &options.dir);
    let mut connection = server.connect();
    push(&mut connection, kind, way, warm_up);
    // What another did not sync is not to be written while this one is measured.
    let home = File::open(server.home()).expect("the home is there");
    syncfs(&home).expect("the disk syncs");
    Sample::take(&server, || {
        let mut times = Vec::new();
        for content in contents {
            let began = Instant::now();
            push(&mut connection, kind, way, content);
            times.push(began.elapsed());
        }
        (times, contents.iter().map(|content| content.bytes).sum())
    })
}

fn push(connection: &mut Connection, kind: Kind, way: Way, content: &Content) {
    let Content { file, bytes, digest, .. } = content;
    let head = match (kind, way) {
        (Kind::RawFloor, _) => connection.send_file("PUT /blob", file, *bytes),
        (_, Way::Put) => {
            let location = begin(connection);
            connection.send_file(&format!("PUT {}", closing(&location, digest)), file, *bytes)
        }
        (_, Way::Patch) => {
            let location = begin(connection);
            let head = connection.send_chunks(&format!("PATCH {location}"), file, *bytes);
            assert_eq!(head.status, 202, "PATCH to {}", kind.name());
            connection.ask(&format!("PUT {}", closing(&head.location, digest)), b"").0
        }
    };
    assert_eq!((head.status, &head.digest), (201, digest), "{way:?} to {}", kind.name());
}
