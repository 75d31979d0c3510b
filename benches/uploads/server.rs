//! A server of a bench, and as little HTTP as it takes to talk to it.

use sha2::{Digest, Sha256};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Instant;

/// What is sent at once.
pub const BLOCK_BYTES: usize = 1024 * 1024;

/// Settings of the servers that are started, as variables.
pub static SETTINGS: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

/// A running server, ended when it is dropped.
pub struct Server {
    child: Child,
    pub address: String,
}

impl Server {
    /// Starts one on the data below `dir`.
    pub fn start(dir: &Path) -> Self {
        Self::start_program(Path::new(env!("CARGO_BIN_EXE_wharfinger")), dir)
    }

    /// Starts one by another program of the same command line.
    pub fn start_program(program: &Path, dir: &Path) -> Self {
        let mut child = Command::new(program)
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(dir.join("data"))
            .env("RUST_LOG", "warn")
            .env_remove("WHARFINGER_BENCH_GIB")
            .env_remove("WHARFINGER_BENCH_BLOBS")
            .env_remove("WHARFINGER_BENCH_SCALE")
            .env_remove("WHARFINGER_BENCH_DIR")
            .envs(SETTINGS.lock().expect("no panic").iter().cloned())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut greeting = String::new();
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped"));
        lines.read_line(&mut greeting).expect("a greeting");
        let address = greeting.trim().rsplit_once("http://").expect("an address in it").1.to_owned();
        Self { child, address }
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is ours");
    }

    /// The most memory it ever had, in KiB.
    pub fn peak_kib(&self) -> u64 {
        self.number("status", "VmHWM:")
    }

    /// The memory it has now, in KiB.
    pub fn resident_kib(&self) -> u64 {
        self.number("status", "VmRSS:")
    }

    /// The milliseconds of CPU that it has used.
    pub fn cpu_ms(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("it runs");
        // The name, which may hold spaces, is in brackets; the times are fields 14 and 15, in hundredths.
        let fields: Vec<&str> = text.rsplit_once(')').expect("a name").1.split_whitespace().collect();
        let ticks = |field: &str| field.parse::<u64>().expect("a number");
        (ticks(fields[11]) + ticks(fields[12])) * 10
    }

    /// How many bytes it has read from files. What comes by sockets is not among them.
    pub fn bytes_read(&self) -> u64 {
        self.number("io", "rchar:")
    }

    fn number(&self, file: &str, name: &str) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).expect("it runs");
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("such a line");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Begins an upload and gives its location.
    pub fn begin(&self) -> String {
        let reply = self.request("POST /v2/bench/blobs/uploads/", "Content-Length: 0");
        header(&reply, "location")
    }

    /// Closes an upload whose bytes are all there.
    pub fn close(&self, location: &str, digest: &str) {
        let reply = self.request(&format!("PUT {location}?digest={digest}"), "Content-Length: 0");
        assert!(reply.starts_with("HTTP/1.1 201"), "{reply}");
    }

    /// How many bytes an upload has.
    pub fn offset(&self, location: &str) -> u64 {
        let reply = self.request(&format!("GET {location}"), "Accept: */*");
        let range = header(&reply, "range");
        let last: u64 = range.rsplit_once('-').expect("first-last").1.parse().expect("a number");
        if last == 0 { 0 } else { last + 1 }
    }

    /// Sends a request without a body and gives the answer's text.
    pub fn request(&self, line: &str, header: &str) -> String {
        let mut stream = self.connect();
        let address = &self.address;
        write!(stream, "{line} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{header}\r\n\r\n")
            .expect("sent");
        let mut reply = String::new();
        stream.read_to_string(&mut reply).expect("an answer");
        reply
    }

    pub fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).expect("the server listens")
    }

    /// The head of a PATCH, whose body the caller sends.
    pub fn begin_patch(&self, location: &str, length: u64) -> TcpStream {
        let mut stream = self.connect();
        let head = format!("PATCH {location} HTTP/1.1\r\nHost: {}\r\nConnection: close", self.address);
        write!(stream, "{head}\r\nContent-Length: {length}\r\n\r\n").expect("sent");
        stream
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been killed already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub fn elapsed_secs(since: Instant) -> f64 {
    since.elapsed().as_secs_f64()
}

/// The answer to a PATCH whose body was sent.
pub fn expect_accepted(mut stream: TcpStream) {
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("an answer");
    assert!(reply.starts_with("HTTP/1.1 202"), "{reply}");
}

fn header(reply: &str, name: &str) -> String {
    let line = reply.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
    line.unwrap_or_else(|| panic!("no {name} in {reply}")).to_owned()
}

/// Content of any length that costs next to nothing to make: blocks that differ by a seed and their number.
pub struct Content {
    seed: u64,
    block: Vec<u8>,
}

impl Content {
    pub fn new(seed: u64) -> Self {
        Self { seed, block: vec![0x5a; BLOCK_BYTES] }
    }

    pub fn block(&mut self, number: u64) -> &[u8] {
        self.block[..8].copy_from_slice(&self.seed.to_be_bytes());
        self.block[8..16].copy_from_slice(&number.to_be_bytes());
        &self.block
    }
}

/// The digest of so many blocks.
pub fn digest(seed: u64, blocks: u64) -> String {
    let mut content = Content::new(seed);
    let mut hasher = Sha256::new();
    for number in 0..blocks {
        hasher.update(content.block(number));
    }
    text(hasher)
}

/// A finished hash as a digest's text.
pub fn text(hasher: Sha256) -> String {
    format!("sha256:{}", base16ct::lower::encode_string(&hasher.finalize()))
}
