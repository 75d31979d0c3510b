//! Somebody who pulls all the time, and how long each request takes.

use crate::scene::{REPOSITORY, Scene};
use crate::times::Times;
use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

/// Where those who pull call from.
const FROM: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// How many there are.
const CLIENTS: usize = 2;

/// How long one waits between two requests: it measures the server, not itself.
const PAUSE: Duration = Duration::from_millis(2);

/// Pulls for so long. Every request has to be answered with what was asked for.
pub fn pull(scene: &Scene, lasting: Duration) -> Times {
    let times = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| client(scene, lasting))).collect();
        let times = clients.into_iter().flat_map(|client| client.join().expect("no client panics"));
        times.collect()
    });
    Times::of(times)
}

fn client(scene: &Scene, lasting: Duration) -> Vec<Duration> {
    let mut client = scene.client(FROM);
    let lines =
        [format!("GET /v2/{REPOSITORY}/manifests/v1"), format!("GET /v2/{REPOSITORY}/blobs/{}", scene.blob)];
    let (began, mut times) = (Instant::now(), Vec::new());
    for line in lines.iter().cycle() {
        if began.elapsed() >= lasting {
            break;
        }
        let asked = Instant::now();
        client.expect(200, line, b"");
        times.push(asked.elapsed());
        thread::sleep(PAUSE);
    }
    times
}

/// One line for what was measured in some rounds: the medians of them.
pub fn show(what: &str, rounds: &[Times], calm: &[Times]) {
    let at = |rounds: &[Times], percent: usize| {
        crate::median(rounds.iter().map(|times| times.at(percent).as_secs_f64() * 1000.0).collect())
    };
    let count: usize = rounds.iter().map(Times::count).sum();
    let (p50, p99) = (at(rounds, 50), at(rounds, 99));
    let each: Vec<String> =
        rounds.iter().map(|times| format!("{:.2}", times.at(99).as_secs_f64() * 1000.0)).collect();
    println!(
        "{what:<34} {count} pulls, p50 {p50:.2} ms, p99 {p99:.2} ms (rounds: {}), of calm {:.2}",
        each.join(" "),
        p99 / at(calm, 99)
    );
}
