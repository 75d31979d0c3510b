//! One very large layer: how much memory the server takes for it, and how long the client waits for the
//! answer to its closing PUT.
//!
//! `cargo bench --bench large_layer`; `WHARFINGER_BENCH_GIB` says how large (default 10).

use sha2::{Digest, Sha256};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

const BLOCK_BYTES: usize = 1024 * 1024;

fn main() {
    let gib: u64 =
        std::env::var("WHARFINGER_BENCH_GIB").ok().map_or(10, |gib| gib.parse().expect("a number"));
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (mut server, address) = serve(dir.path());
    let size = gib << 30;

    let location =
        header(&request(&address, "POST /v2/bench/blobs/uploads/", "Content-Length: 0"), "location");
    let began = Instant::now();
    let (digest, answered) = push(&address, &location, size);
    println!("PATCH of {gib} GiB: {:.1} s, answered {answered:.3} s after its last byte", elapsed(began));
    let began = Instant::now();
    let put = request(&address, &format!("PUT {location}?digest={digest}"), "Content-Length: 0");
    assert!(put.starts_with("HTTP/1.1 201"), "{put}");
    println!("closing PUT: {:.3} s", elapsed(began));
    println!("resident memory of the server, at most: {} KiB", peak_kib(&server));
    let began = Instant::now();
    pull(&address, &digest, size);
    println!("GET: {:.1} s, the same bytes", elapsed(began));
    println!("resident memory of the server, at most: {} KiB", peak_kib(&server));

    server.kill().expect("it runs");
    server.wait().expect("it is ours");
}

fn elapsed(since: Instant) -> f64 {
    since.elapsed().as_secs_f64()
}

fn serve(dir: &std::path::Path) -> (Child, String) {
    let mut server = Command::new(env!("CARGO_BIN_EXE_wharfinger"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(dir.join("data"))
        .env("RUST_LOG", "warn")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the server starts");
    let mut greeting = String::new();
    let mut lines = BufReader::new(server.stdout.take().expect("it is piped"));
    lines.read_line(&mut greeting).expect("a greeting");
    let address = greeting.trim().rsplit_once("http://").expect("an address in it").1.to_owned();
    (server, address)
}

fn peak_kib(server: &Child) -> String {
    let status = fs::read_to_string(format!("/proc/{}/status", server.id())).expect("the server runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    peak.trim().trim_end_matches(" kB").to_owned()
}

fn request(address: &str, line: &str, header: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    write!(stream, "{line} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{header}\r\n\r\n")
        .expect("sent");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("an answer");
    reply
}

fn header(reply: &str, name: &str) -> String {
    let line = reply.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
    line.unwrap_or_else(|| panic!("no {name} in {reply}")).to_owned()
}

/// Bytes that differ from block to block and cost next to nothing to make.
fn stamp(block: &mut [u8], number: u64) {
    block[..8].copy_from_slice(&number.to_be_bytes());
}

fn push(address: &str, location: &str, size: u64) -> (String, f64) {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    let head = format!("PATCH {location} HTTP/1.1\r\nHost: {address}\r\nConnection: close");
    write!(stream, "{head}\r\nContent-Length: {size}\r\n\r\n").expect("sent");
    let mut block = vec![0x5a; BLOCK_BYTES];
    let mut hasher = Sha256::new();
    for number in 0..size / BLOCK_BYTES as u64 {
        stamp(&mut block, number);
        hasher.update(&block);
        stream.write_all(&block).expect("sent");
    }
    let sent = Instant::now();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("an answer");
    assert!(reply.starts_with("HTTP/1.1 202"), "{reply}");
    (format!("sha256:{}", base16ct::lower::encode_string(&hasher.finalize())), elapsed(sent))
}

fn pull(address: &str, digest: &str, size: u64) {
    let mut stream = BufReader::new(TcpStream::connect(address).expect("the server listens"));
    let line =
        format!("GET /v2/bench/blobs/{digest} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.get_mut().write_all(line.as_bytes()).expect("sent");
    let mut head = String::new();
    while stream.read_line(&mut head).expect("a head") > 2 {}
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let mut block = vec![0; BLOCK_BYTES];
    let mut expected = vec![0x5a; BLOCK_BYTES];
    for number in 0..size / BLOCK_BYTES as u64 {
        stamp(&mut expected, number);
        stream.read_exact(&mut block).expect("all bytes");
        assert_eq!(block, expected);
    }
}
