//! Blobs as they go over the wire: many on one connection, in parts, broken off, and of files that fail.
//! The connection sends them by itself, past actix-http, so what actix-http does in between is tested here.

use std::fs;
use std::process::{Command, Stdio};

use crate::support::raw::Connection;
use crate::support::skip::skip;
use crate::support::tls::{Files, Pair};
use crate::support::{Client, Server, bytes, files, process, wait};

/// Far more than what kernels keep of a connection that nobody reads from.
const LARGE: usize = 32 << 20;

/// By how many bytes some pages of numbers differ whose numbers have some digits more.
const PAGE_DIGITS: u64 = 64;

/// A server with one blob of random bytes.
struct Scene {
    server: Server,
    content: Vec<u8>,
    digest: String,
    path: String,
}

impl Scene {
    fn with(server: Server, seed: u64, size: usize) -> Self {
        let content = bytes::random(seed, size);
        let digest = server.client().push_blob("wire", &content);
        let path = format!("/v2/wire/blobs/{digest}");
        Self { server, content, digest, path }
    }

    fn new(seed: u64, size: usize) -> Self {
        Self::with(Server::start(), seed, size)
    }

    fn connect(&self) -> Connection {
        Connection::open(self.server.addr())
    }

    fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.server.pid())).expect("its files").count()
    }

    fn is_marked(&self) -> bool {
        self.server.client().head_blob("wire", &self.digest).status == 404
    }

    fn truncate(&self, len: usize) {
        let file = files::blob_file(self.server.data(), &self.digest);
        let file = fs::File::options().write(true).open(file).expect("the file");
        file.set_len(len as u64).expect("shortened");
    }
}

fn sent(client: &Client) -> u64 {
    let text = String::from_utf8(client.get("/metrics").expect_status(200).body).expect("text");
    let name = "wharfinger_http_sent_bytes_total ";
    let value = text.lines().find_map(|line| line.strip_prefix(name)).expect("the counter");
    value.parse().expect("a whole number")
}

/// Everything that may come on one connection, twice over.
fn mixed(connection: &mut Connection, path: &str, content: &[u8]) {
    let last = content.len() - 1;
    let from_end = format!("Range: bytes={last}-");
    for _ in 0..2 {
        connection.send_head("GET", path, &[]);
        connection.send_head("HEAD", path, &[]);
        connection.send_head("GET", path, &["Range: bytes=100-70000"]);
        connection.send_head("GET", "/v2/wire/blobs/nonsense", &[]);
        connection.send_head("GET", path, &[&from_end]);
        connection.send_head("GET", path, &["Range: bytes=99999999999-"]);
        connection.send_head("GET", "/v2/", &[]);
        connection.send_head("GET", path, &[]);
        let reply = connection.reply("GET").expect_status(200);
        assert!(reply.body == content && reply.header("content-length") == content.len().to_string());
        assert!(reply.find_header("transfer-encoding").is_none());
        let reply = connection.reply("HEAD").expect_status(200);
        assert_eq!(reply.header("content-length"), content.len().to_string());
        assert!(connection.reply("GET").expect_status(206).body == content[100..=70_000]);
        assert_eq!(connection.reply("GET").status / 100, 4);
        assert!(connection.reply("GET").expect_status(206).body == content[last..]);
        connection.reply("GET").expect_status(416);
        assert_eq!(connection.reply("GET").expect_status(200).body, b"{}");
        assert!(connection.reply("GET").expect_status(200).body == content);
    }
}

#[test]
fn answers_of_one_connection_come_whole_and_in_order() {
    let scene = Scene::new(1900, 3_000_000);
    mixed(&mut scene.connect(), &scene.path, &scene.content);
    let empty = scene.server.client().push_blob("wire", b"");
    let mut connection = scene.connect();
    for _ in 0..2 {
        connection.send_head("GET", &format!("/v2/wire/blobs/{empty}"), &[]);
        assert!(connection.reply("GET").expect_status(200).body.is_empty());
    }
}

#[test]
fn over_tls_they_do_as_well() {
    let pair = Pair::until(2100);
    let files = Files::with(&pair);
    let add =
        |builder: crate::support::server::Builder, (name, value): (&str, String)| builder.env(name, &value);
    let server = files.settings().into_iter().fold(Server::builder(), add).start();
    let content = bytes::random(1901, 3_000_000);
    let digest = bytes::digest(&content);
    let mut connection = pair.connect(server.addr());
    let upload = format!("/v2/wire/blobs/uploads/?digest={digest}");
    connection.send_head("POST", &upload, &["Content-Length: 3000000"]).send(&content);
    connection.reply("POST").expect_status(201);
    mixed(&mut connection, &format!("/v2/wire/blobs/{digest}"), &content);
}

#[test]
fn forty_at_once_to_a_slow_reader() {
    let scene = Scene::new(1902, 700_000);
    let mut connection = scene.connect();
    for i in 0..40 {
        let range = format!("Range: bytes={i}-");
        connection.send_head("GET", &scene.path, &[&range]);
    }
    for i in 0..40 {
        wait::briefly();
        assert!(connection.reply("GET").expect_status(206).body == scene.content[i..], "number {i}");
    }
}

#[test]
fn a_connection_ends_when_its_client_says_so() {
    let scene = Scene::new(1903, 3_000_000);
    let mut connection = scene.connect();
    let reply = connection.send_head("GET", &scene.path, &["Connection: close"]).reply("GET");
    assert!(reply.expect_status(200).body == scene.content);
    connection.expect_closed();
    let mut old = scene.connect();
    old.send(format!("GET {} HTTP/1.0\r\nHost: a\r\n\r\n", scene.path).as_bytes());
    let answer = old.rest();
    assert!(answer.ends_with(&scene.content) && !answer.starts_with(b"HTTP/1.1 4"));
    let mut half = scene.connect();
    half.send_head("GET", &scene.path, &[]).end_sending();
    assert!(half.reply("GET").expect_status(200).body == scene.content);
    half.expect_closed();
}

#[test]
fn aborted_pulls_leave_no_open_files() {
    let scene = Scene::new(1904, LARGE);
    let before = scene.open_files();
    let mut open: Vec<_> = (0..50).map(|_| scene.connect()).collect();
    for connection in &mut open {
        connection.send_head("GET", &scene.path, &[]).wait_for_answer();
    }
    assert!(scene.open_files() >= before + 90, "each has its socket and its file");
    for (i, connection) in open.iter_mut().enumerate() {
        if i % 2 == 0 {
            connection.break_off();
        }
    }
    drop(open);
    wait::until_true("all files to be closed", || scene.open_files() <= before + 1);
    assert!(!scene.is_marked(), "an aborted pull says nothing of the file");
}

#[test]
fn a_file_that_ends_while_it_is_sent_cuts_the_connection_and_is_marked() {
    let scene = Scene::new(1905, LARGE);
    let mut connection = scene.connect();
    connection.send_head("GET", &scene.path, &[]).wait_for_answer();
    scene.truncate(LARGE - 10_000);
    assert!(connection.rest().len() < LARGE, "its end is not there");
    wait::until_true("the mark", || scene.is_marked());
    scene.server.client().push_blob("wire", &scene.content);
    let reply = scene.server.client().get_blob("wire", &scene.digest);
    assert!(reply.expect_status(200).body == scene.content);
}

#[test]
fn a_stop_waits_for_a_slow_pull() {
    let mut scene = Scene::new(1906, LARGE);
    let mut connection = scene.connect();
    connection.send_head("GET", &scene.path, &[]).wait_for_answer();
    scene.server.terminate();
    let address = scene.server.addr();
    wait::until_true("no new connections", || std::net::TcpStream::connect(address).is_err());
    assert!(connection.reply("GET").expect_status(200).body == scene.content);
    assert!(scene.server.wait_for_end().success());
    scene.server.restart();
}

#[test]
fn bytes_are_counted_as_they_go() {
    let server = Server::builder().env("WHARFINGER_METRICS_LISTEN", "127.0.0.1:0");
    let scene = Scene::with(server.env("WHARFINGER_LOG_FORMAT", "json").start(), 1907, LARGE);
    let client = scene.server.client();
    for headers in [&[][..], &["Range: bytes=0-0"]] {
        scene.connect().send_head("GET", &scene.path, headers).reply("GET");
    }
    // From the second time on the page has a line for itself, too.
    sent(&client);
    // What the page of numbers itself costs is the same each time but for its digits.
    let page = scene.connect().send_head("GET", "/metrics", &["Connection: close"]).rest().len();
    let page = (page - "connection: close\r\n".len()) as u64;
    for headers in [&["Connection: close"][..], &["Connection: close", "Range: bytes=5-1000004"]] {
        let before = sent(&client);
        let answer = scene.connect().send_head("GET", &scene.path, headers).rest().len() as u64;
        // Another thread may still be about to count what is here already.
        let mut pages = 0;
        wait::until_true("the bytes of an answer to be counted", || {
            let counted = sent(&client) - before;
            pages += 1;
            (answer + pages * page).abs_diff(counted) < PAGE_DIGITS
        });
    }
    let before = sent(&client);
    let mut aborted = scene.connect();
    aborted.send_head("GET", &scene.path, &[]).wait_for_answer();
    aborted.break_off();
    drop(aborted);
    let counted = sent(&client) - before;
    assert!(counted > page && counted < LARGE as u64, "{counted}");
    wait::until_true("lines of the log with what was promised", || {
        let log = scene.server.log();
        let lines = |bytes: usize| {
            let field = format!("\"bytes\":{bytes}");
            let is_whole = |rest: &str| !rest.starts_with(|next: char| next.is_ascii_digit());
            log.lines().filter(|line| line.split_once(&field).is_some_and(|(_, rest)| is_whole(rest))).count()
        };
        lines(LARGE) == 3 && lines(1_000_000) == 1
    });
}

/// As of a disk that cannot read a sector; and what the kernel says of a file that it cannot send.
#[test]
fn a_failing_sendfile_cuts_or_falls_back() {
    for (errno, is_marked) in [("EIO", true), ("EINVAL", false)] {
        let scene = Scene::new(1908, 3_000_000);
        let mut strace = Command::new("strace");
        strace.args(["-f", "-o", "/dev/null", "-e", "trace=sendfile", "-e"]);
        strace.arg(format!("inject=sendfile:error={errno}:when=1+"));
        let strace = strace.args(["-p", &scene.server.pid().to_string()]).stderr(Stdio::null()).spawn();
        let Ok(mut strace) = strace else { return skip("a_failing_sendfile", "it needs strace") };
        let status = format!("/proc/{}/status", scene.server.pid());
        let is_traced = wait::until("strace to trace, or to give up", || {
            let ended = strace.try_wait().expect("a child").is_some();
            let traced = fs::read_to_string(&status).is_ok_and(|text| !text.contains("TracerPid:\t0\n"));
            (ended || traced).then_some(traced)
        });
        if !is_traced {
            return skip("a_failing_sendfile", "strace may not trace another's process");
        }
        // Threads are traced one after the other: a call of one that is not yet is no failing one.
        wait::until_true(errno, || {
            let mut connection = scene.connect();
            connection.send_head("GET", &scene.path, &["Connection: close"]);
            let answer = connection.rest();
            is_marked && scene.is_marked() || !is_marked && answer.ends_with(&scene.content)
        });
        process::signal(&strace, rustix::process::Signal::TERM);
        strace.wait().expect("strace ends");
        scene.server.client().get("/v2/").expect_status(200);
        scene.server.client().push_blob("wire", &scene.content);
        let reply = scene.server.client().get_blob("wire", &scene.digest).expect_status(200);
        assert!(reply.body == scene.content);
    }
}
