//! Memory at most: idle, with many uploads, with many pulls. A server of its own for each, so that nothing is
//! left from the one before.

use super::ask_once;
use crate::figures::{Comparison, Figure, Sample, interleave};
use crate::files::{Content, begin, closing};
use crate::options::Options;
use crate::servers::{Kind, Server};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

const KINDS: [Kind; 4] = [Kind::Wharfinger, Kind::DockerRegistry, Kind::Distribution, Kind::Zot];

/// Uploads or pulls at a time.
const CLIENTS: usize = 64;

/// How long an idle server is watched.
const IDLE: Duration = Duration::from_secs(2);

/// How often anonymous memory is looked at; the kernel keeps no peak of it.
const LOOK_EVERY: Duration = Duration::from_millis(10);

pub fn run(options: &Options) -> Vec<Comparison> {
    let kinds = options.present(&KINDS);
    let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
    let (figures, rounds) = ([Figure::Peak, Figure::Anonymous], options.rounds);
    let content = Content::write(&options.dir, 4, options.upload_mib << 20);
    let mib = options.upload_mib;
    let idle = interleave("memory, idle", &figures, &names, rounds, |index| {
        let server = Server::start(kinds[index], &options.dir);
        watched(&server, || thread::sleep(IDLE))
    });
    let title = format!("memory, {CLIENTS} uploads of {mib} MiB");
    let uploads = interleave(&title, &figures, &names, rounds, |index| {
        let server = Server::start(kinds[index], &options.dir);
        watched(&server, || {
            ask_once(&server, CLIENTS, |client, _| {
                let line = format!("PUT {}", closing(&begin(client), &content.digest));
                assert_eq!(client.send_file(&line, &content.file, content.bytes).status, 201);
            });
        })
    });
    let title = format!("memory, {CLIENTS} pulls of {mib} MiB");
    let pulls = interleave(&title, &figures, &names, rounds, |index| {
        let server = Server::start(kinds[index], &options.dir);
        let path = content.offer(&server);
        let server = server.restarted(None);
        watched(&server, || {
            ask_once(&server, CLIENTS, |client, _| client.pull(&path, content.bytes));
        })
    });
    vec![idle, uploads, pulls]
}

/// Looks at the server's memory while something is done.
fn watched(server: &Server, act: impl FnOnce()) -> Sample {
    let done = AtomicBool::new(false);
    let anonymous_kib = thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut most = server.anonymous_kib();
            while !done.load(Ordering::Relaxed) {
                thread::sleep(LOOK_EVERY);
                most = most.max(server.anonymous_kib());
            }
            most
        });
        act();
        done.store(true, Ordering::Relaxed);
        watcher.join().expect("the watcher does not panic")
    });
    Sample { peak_kib: server.peak_kib(), anonymous_kib, ..Sample::default() }
}
