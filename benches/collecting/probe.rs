//! Clients that pull all the time, and how long each request takes.

use super::build::REPOSITORY;
use super::server::Server;
use super::times::Times;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How many clients there are.
const CLIENTS: usize = 2;

/// How long a client waits between two requests: it measures the server, not itself.
const PAUSE: Duration = Duration::from_millis(2);

/// Clients at work.
pub struct Probe {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Vec<Duration>>>,
}

impl Probe {
    /// Starts clients that pull these manifests and blobs.
    pub fn start(server: &Server, manifests: &[String], blobs: &[String]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let clients = (0..CLIENTS).map(|number| {
            let address = server.address.clone();
            let (manifests, blobs, stop) = (manifests.to_vec(), blobs.to_vec(), Arc::clone(&stop));
            std::thread::spawn(move || client(&address, number, &manifests, &blobs, &stop))
        });
        Self { clients: clients.collect(), stop }
    }

    /// Ends them.
    pub fn stop(self) -> Times {
        self.stop.store(true, Ordering::Relaxed);
        let times = self.clients.into_iter().flat_map(|client| client.join().expect("no client panics"));
        Times::of(times.collect())
    }
}

fn client(
    address: &str,
    seed: usize,
    manifests: &[String],
    blobs: &[String],
    stop: &AtomicBool,
) -> Vec<Duration> {
    let stream = TcpStream::connect(address).expect("the server listens");
    stream.set_nodelay(true).expect("a socket");
    let mut stream = BufReader::new(stream);
    let mut times = Vec::new();
    let mut number = seed;
    while !stop.load(Ordering::Relaxed) {
        number += CLIENTS;
        let path = match number % 3 {
            0 => format!("GET /v2/{REPOSITORY}/manifests/{}", manifests[number * 31 % manifests.len()]),
            1 => format!("HEAD /v2/{REPOSITORY}/blobs/{}", blobs[number * 31 % blobs.len()]),
            _ => format!("GET /v2/{REPOSITORY}/blobs/{}", blobs[number * 37 % blobs.len()]),
        };
        let began = Instant::now();
        request(&mut stream, address, &path);
        times.push(began.elapsed());
        std::thread::sleep(PAUSE);
    }
    times
}

fn request(stream: &mut BufReader<TcpStream>, address: &str, line: &str) {
    let head = format!("{line} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.get_mut().write_all(head.as_bytes()).expect("sent");
    let (mut head, mut length) = (String::new(), 0);
    loop {
        head.clear();
        stream.read_line(&mut head).expect("an answer");
        if let Some(value) = head.strip_prefix("content-length: ") {
            length = value.trim().parse().expect("a number");
        }
        assert!(!head.starts_with("HTTP/1.1 ") || head.starts_with("HTTP/1.1 200"), "{line}: {head}");
        if head.trim().is_empty() {
            break;
        }
    }
    if !line.starts_with("HEAD") {
        let mut body = vec![0; length];
        stream.read_exact(&mut body).expect("the whole body");
    }
}
