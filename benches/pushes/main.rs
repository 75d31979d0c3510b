//! Durable pushes of manifests: how many a second, with some pushers at a time.
//!
//! `cargo bench --bench pushes`. `WHARFINGER_BENCH_PEER` names another build of the program to compare with:
//! both are measured in turns and in one run, and only the ratios say something. `WHARFINGER_BENCH_ROUNDS`
//! says how many turns there are.

#[path = "../access/client.rs"]
mod client;
#[path = "../uploads/server.rs"]
#[expect(dead_code, reason = "the other bench uses the rest of it")]
mod server;
#[path = "../collecting/times.rs"]
mod times;

use client::Client;
use server::Server;
use sha2::{Digest, Sha256};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use times::Times;

/// How many push at a time.
const PUSHERS: [usize; 4] = [1, 8, 64, 256];

/// How long each measurement takes.
const SPAN: Duration = Duration::from_secs(3);

/// How many turns each has.
const ROUNDS: usize = 5;

/// Makes every manifest another one.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// A build of the program with a registry of its own.
struct Build {
    name: &'static str,
    address: SocketAddr,
    rates: Vec<f64>,
    times: Vec<Duration>,
    server: Server,
    _home: TempDir,
}

impl Build {
    fn start(name: &'static str, program: &Path) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        let server = Server::start_program(program, home.path());
        let address = server.address.parse().expect("an address and a port");
        Self { name, address, rates: Vec::new(), times: Vec::new(), server, _home: home }
    }

    fn connect(&self) -> Client {
        Client::connect(self.address, Ipv4Addr::LOCALHOST, "")
    }

    /// Pushes from so many connections for a while.
    fn measure(&mut self, pushers: usize) {
        let mut clients: Vec<_> = (0..pushers).map(|_| self.connect()).collect();
        for (pusher, client) in clients.iter_mut().enumerate() {
            for content in [b"{}".as_slice(), b"layer"] {
                let digest = digest(content);
                let line = format!("POST /v2/bench/p{pusher}/blobs/uploads/?digest={digest}");
                client.expect(201, &line, content);
            }
        }
        let began = Instant::now();
        let times: Vec<Duration> = thread::scope(|scope| {
            let push = |(pusher, mut client): (usize, Client)| {
                scope.spawn(move || {
                    let mut times = Vec::new();
                    while began.elapsed() < SPAN {
                        let sent = Instant::now();
                        push_one(&mut client, pusher);
                        times.push(sent.elapsed());
                    }
                    times
                })
            };
            let threads: Vec<_> = clients.into_iter().enumerate().map(push).collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("a pusher")).collect()
        });
        #[expect(clippy::cast_precision_loss, reason = "there are not so many")]
        self.rates.push(times.len() as f64 / began.elapsed().as_secs_f64());
        self.times.extend(times);
    }

    /// The median of the rates, and the times of all pushes; both are forgotten.
    fn result(&mut self) -> (f64, Times) {
        let mut rates = std::mem::take(&mut self.rates);
        rates.sort_by(f64::total_cmp);
        (rates[rates.len() / 2], Times::of(std::mem::take(&mut self.times)))
    }
}

fn digest(content: &[u8]) -> String {
    format!("sha256:{}", base16ct::lower::encode_string(&Sha256::digest(content)))
}

fn push_one(client: &mut Client, pusher: usize) {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let (config, layer) = (digest(b"{}"), digest(b"layer"));
    let manifest = format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\
         \"config\":{{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"digest\":\"{config}\",\
         \"size\":2}},\"layers\":[{{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\",\
         \"digest\":\"{layer}\",\"size\":5}}],\"annotations\":{{\"number\":\"{number}\"}}}}"
    );
    let line = format!("PUT /v2/bench/p{pusher}/manifests/t{}", number % 100);
    client.expect(201, &line, manifest.as_bytes());
}

fn main() {
    let ours = Path::new(env!("CARGO_BIN_EXE_wharfinger"));
    let mut builds = vec![Build::start("this build", ours)];
    if let Some(peer) = std::env::var_os("WHARFINGER_BENCH_PEER") {
        builds.push(Build::start("the other", Path::new(&peer)));
    }
    let rounds =
        std::env::var("WHARFINGER_BENCH_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().expect("a number"));
    for pushers in PUSHERS {
        for round in 0..rounds {
            // In turns, and each begins half of them.
            let first = round % builds.len();
            for index in 0..builds.len() {
                let index = (first + index) % builds.len();
                builds[index].measure(pushers);
            }
        }
        let results: Vec<_> = builds.iter_mut().map(|build| (build.name, build.result())).collect();
        for (name, (rate, times)) in &results {
            println!(
                "{pushers} pushers, {name}: {rate:.0} manifests a second; p50 {:?}, p99 {:?}, of {}",
                times.at(50),
                times.at(99),
                times.count()
            );
        }
        if let [(_, (ours, _)), (_, (theirs, _))] = &results[..] {
            println!("{pushers} pushers: {:.2} times the other", ours / theirs);
        }
    }
    for build in &builds {
        println!("{}: at most {} KiB of memory", build.name, build.server.peak_kib());
    }
}
