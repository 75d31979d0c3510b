//! What it costs to know who calls: the server's time of CPU for one request, by the way the caller is known,
//! of that where nobody is asked.

use crate::median;
use crate::scene::{REPOSITORY, Scene, Way};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// How often each is measured, in turns.
const ROUNDS: usize = 7;

/// How many ask at once.
const CLIENTS: usize = 4;

/// The CPU that the server uses for one measurement: it is counted in hundredths of a second.
const CPU_MS: u64 = 2000;

/// How often it is looked whether it has used that.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What is asked for.
#[derive(Debug, Clone, Copy)]
enum Ask {
    /// The PUT of a small manifest, which moves a tag.
    Put,
    /// The HEAD of a blob.
    Head,
    /// The GET of a manifest by its tag.
    Get,
}

pub fn run() {
    let scenes = Way::ALL.map(Scene::start);
    println!("CPU of the server for one request, the median of {ROUNDS} rounds, and of that without access:");
    for (ask, what) in [
        (Ask::Put, "PUT of a manifest by a tag"),
        (Ask::Head, "HEAD of a blob"),
        (Ask::Get, "GET of a manifest by a tag"),
    ] {
        let mut costs = [const { Vec::new() }; Way::ALL.len()];
        for round in 0..ROUNDS {
            // None is always the first.
            for turn in 0..Way::ALL.len() {
                let way = (round + turn) % Way::ALL.len();
                costs[way].push(measure(&scenes[way], ask));
            }
        }
        show(what, &costs);
    }
}

fn show(what: &str, costs: &[Vec<f64>; Way::ALL.len()]) {
    for (way, own) in Way::ALL.into_iter().zip(costs) {
        let ratios: Vec<f64> = own.iter().zip(&costs[0]).map(|(own, open)| own / open).collect();
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let most = ratios.iter().copied().fold(0.0, f64::max);
        let (way, micros, ratio) = (format!("{way:?}"), median(own.clone()), median(ratios));
        println!("{what:<28} {way:<8} {micros:>7.1} us, {ratio:.3} (rounds: {least:.3} to {most:.3})");
    }
}

/// The microseconds of CPU that a request costs.
fn measure(scene: &Scene, ask: Ask) -> f64 {
    // Whatever is remembered of a caller is.
    once(&mut scene.client(Ipv4Addr::LOCALHOST), scene, ask, 0, 0);
    let stop = AtomicBool::new(false);
    let before = scene.server.cpu_ms();
    let asked: usize = thread::scope(|scope| {
        let stop = &stop;
        let clients: Vec<_> =
            (0..CLIENTS).map(|number| scope.spawn(move || client(scene, ask, number, stop))).collect();
        while scene.server.cpu_ms() < before + CPU_MS {
            thread::sleep(LOOK_EVERY);
        }
        stop.store(true, Ordering::Relaxed);
        clients.into_iter().map(|client| client.join().expect("no client panics")).sum()
    });
    let used_ms = scene.server.cpu_ms() - before;
    #[expect(clippy::cast_precision_loss, reason = "both are far below 2^52")]
    let micros = used_ms as f64 * 1000.0 / asked as f64;
    micros
}

/// Asks until it is told to stop; says how often.
fn client(scene: &Scene, ask: Ask, number: usize, stop: &AtomicBool) -> usize {
    let mut client = scene.client(Ipv4Addr::LOCALHOST);
    let mut asked = 0;
    while !stop.load(Ordering::Relaxed) {
        once(&mut client, scene, ask, number, asked);
        asked += 1;
    }
    asked
}

fn once(client: &mut crate::client::Client, scene: &Scene, ask: Ask, number: usize, asked: usize) {
    match ask {
        Ask::Put => {
            let manifest = &scene.manifests[asked % scene.manifests.len()];
            client.expect(201, &format!("PUT /v2/{REPOSITORY}/manifests/moving-{number}"), manifest)
        }
        Ask::Head => client.expect(200, &format!("HEAD /v2/{REPOSITORY}/blobs/{}", scene.blob), b""),
        Ask::Get => client.expect(200, &format!("GET /v2/{REPOSITORY}/manifests/v1"), b""),
    };
}
