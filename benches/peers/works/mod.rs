//! The works, a module each.

mod commits;
mod memory;
mod pages;
mod pull;
mod push;
mod reads;
mod tls;

use crate::client::Connection;
use crate::figures::Comparison;
use crate::options::Options;
use crate::servers::{Kind, Server};
use std::thread;
use std::time::{Duration, Instant};

/// Does a work with all servers.
pub type Work = fn(&Options) -> Vec<Comparison>;

/// All works by name, in the order in which they are done: what fills the disk's queue is last.
pub const ALL: [(&str, Work); 7] = [
    ("pull", pull::run),
    ("tls", tls::run),
    ("reads", reads::run),
    ("commits", commits::run),
    ("pages", pages::run),
    ("memory", memory::run),
    ("push", push::run),
];

fn start(options: &Options, kinds: &[Kind]) -> Vec<Server> {
    options.present(kinds).into_iter().map(|kind| Server::start(kind, &options.dir)).collect()
}

fn names(servers: &[Server]) -> Vec<&'static str> {
    servers.iter().map(|server| server.kind.name()).collect()
}

/// Has some connections ask at the same time until the span is over; says how long each request took.
fn ask_for<F>(server: &Server, connections: usize, span: Duration, ask: F) -> Vec<Duration>
where
    F: Fn(&mut Connection, usize) + Sync,
{
    let opened: Vec<_> = (0..connections).map(|_| server.connect()).collect();
    let (began, ask) = (Instant::now(), &ask);
    thread::scope(|scope| {
        let threads: Vec<_> = opened
            .into_iter()
            .enumerate()
            .map(|(number, mut connection)| {
                scope.spawn(move || {
                    let mut times = Vec::new();
                    // Each asks once at least, however slow the server is.
                    while times.is_empty() || began.elapsed() < span {
                        let sent = Instant::now();
                        ask(&mut connection, number);
                        times.push(sent.elapsed());
                    }
                    times
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a client that does not panic")).collect()
    })
}

/// Has each of some connections ask once, all at the same time.
fn ask_once<F: Fn(&mut Connection, usize) + Sync>(
    server: &Server,
    connections: usize,
    ask: F,
) -> Vec<Duration> {
    ask_for(server, connections, Duration::ZERO, ask)
}
