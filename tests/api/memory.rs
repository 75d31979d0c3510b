//! What one request may cost in memory, whatever it holds.

use std::fs;
use std::process::Command;

use serde_json::json;

use crate::support::builders::{OCI_CONFIG, OCI_MANIFEST, descriptor};
use crate::support::{ImageBuilder, Manifest, Reply, Server};

const REPOSITORY: &str = "memory";

/// What a manifest may have.
const MANIFEST_BYTES: usize = 4 << 20;

/// How many bodies are on their way at once.
const AT_ONCE: usize = 3;

/// The most that the server's memory may grow by while it takes bodies: these themselves, read and in part
/// copied, and as much again for what threads and the allocator keep.
pub const BODIES_KIB: u64 = 40 << 10;

/// The same while it answers with pages of 2 MiB, one after the other.
const PAGES_KIB: u64 = 24 << 10;

/// The most resident memory that the server ever had, in KiB.
fn peak_kib(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("the server runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line for the peak");
    line.trim_end_matches("kB").trim().parse().expect("a number")
}

/// A server, and what it took before anything was asked of it.
pub struct Watched {
    pub server: Server,
    idle_kib: u64,
}

impl Watched {
    pub fn start() -> Self {
        Self::watch(Server::start())
    }

    pub fn watch(server: Server) -> Self {
        server.client().get("/v2/").expect_status(200);
        let idle_kib = peak_kib(&server);
        Self { server, idle_kib }
    }

    /// Takes what it has now for what it needs when it is idle.
    fn settle(&mut self) {
        // Sets the peak back (proc(5), clear_refs).
        fs::write(format!("/proc/{}/clear_refs", self.server.pid()), "5").expect("a process of our own");
        self.idle_kib = peak_kib(&self.server);
    }

    /// Asserts that nothing so far has cost much memory.
    #[track_caller]
    pub fn assert_flat(&self, what: &str, max_kib: u64) {
        let growth = peak_kib(&self.server) - self.idle_kib;
        assert!(growth <= max_kib, "{what}: {growth} KiB more than {} KiB before", self.idle_kib);
    }

    /// Pushes the same manifest several times at once.
    #[track_caller]
    fn push_at_once(&self, document: &str) -> Vec<Reply> {
        assert!(document.len() <= MANIFEST_BYTES);
        std::thread::scope(|scope| {
            let push = || {
                let client = self.server.client();
                client.push_manifest(REPOSITORY, "v1", OCI_MANIFEST, document.as_bytes())
            };
            let pushes: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(push)).collect();
            pushes.into_iter().map(|push| push.join().expect("an answer")).collect()
        })
    }
}

/// A list as long as a manifest can hold, with `entry` again and again.
fn list_of(entry: &str) -> String {
    let count = (MANIFEST_BYTES - 2000) / (entry.len() + 1);
    format!("[{}]", vec![entry; count].join(","))
}

/// An object as large as a manifest can hold, with very many keys.
fn object_of_many() -> String {
    let count = (MANIFEST_BYTES - 2000) / r#""aaaaa":"","#.len();
    let fields: Vec<String> = (0..count).map(|number| format!("\"{number:05x}\":\"\"")).collect();
    format!("{{{}}}", fields.join(","))
}

#[track_caller]
fn refused(replies: Vec<Reply>) {
    for reply in replies {
        reply.expect_status(400);
    }
}

#[test]
fn references_are_counted_before_they_are_read() {
    let watched = Watched::start();
    for field in ["layers", "manifests", "blobs"] {
        let document = format!(r#"{{"schemaVersion":2,"{field}":{}}}"#, list_of("{}"));
        for reply in watched.push_at_once(&document) {
            let reply = reply.expect_error(400, "MANIFEST_INVALID");
            let words = String::from_utf8_lossy(&reply.body);
            assert!(words.contains("at most 5000"), "the limit is named: {words}");
        }
        watched.assert_flat(field, BODIES_KIB);
    }
}

#[test]
fn what_a_manifest_holds_beside_its_references_is_not_kept() {
    let watched = Watched::start();
    let parts = [
        (r#""platform":"#, list_of(r#"{"a":0}"#)),
        (r#""urls":"#, list_of(r#""""#)),
        (r#""annotations":"#, object_of_many()),
        (r#""unknown":"#, object_of_many()),
        (r#""size":"#, list_of(r#"{"a":0}"#)),
    ];
    // It is not there, so that none of these is stored: the ledger's cache may grow.
    let config = descriptor(OCI_CONFIG, b"never pushed").to_string();
    let config = config.strip_suffix('}').expect("an object");
    for (field, value) in &parts {
        // Without its own size where that is what is large.
        let config = if *field == r#""size":"# { config.replace("size", "sized") } else { config.to_owned() };
        let document = format!(r#"{{"schemaVersion":2,"layers":[],"config":{config},{field}{value}}}}}"#);
        refused(watched.push_at_once(&document));
        watched.assert_flat(field, BODIES_KIB);
    }
    for (field, value) in &parts[2..4] {
        let document = format!(r#"{{"schemaVersion":2,"layers":[],"config":{config}}},{field}{value}}}"#);
        refused(watched.push_at_once(&document));
        watched.assert_flat(field, BODIES_KIB);
    }
    let document = format!(r#"{{"layers":[],"schemaVersion":{}}}"#, list_of(r#"{"a":0}"#));
    refused(watched.push_at_once(&document));
    watched.assert_flat("schemaVersion", BODIES_KIB);
}

/// Attached with as many annotations as there may be, by default.
fn attach_large(server: &Server, subject: &Manifest, count: usize) {
    let client = server.client();
    client.push_blob(REPOSITORY, b"{}");
    for number in 0..count {
        let note = format!("{number:4}{}", "x".repeat(255 << 10));
        let builder = ImageBuilder::oci().artifact_type("application/vnd.example.large");
        let document = builder.annotation("note", &note).subject(subject.descriptor()).build();
        document.push_document(&client, REPOSITORY, &document.digest);
    }
}

#[test]
fn a_list_of_large_referrers_is_read_in_pieces() {
    const COUNT: usize = 100;
    let server = Server::builder().env("WHARFINGER_LEDGER_CACHE_BYTES", "1048576").start();
    let image = ImageBuilder::sample(600).build();
    attach_large(&server, &image, COUNT);
    let mut watched = Watched::watch(server);
    watched.settle();
    let client = watched.server.client();
    let list = format!("/v2/{REPOSITORY}/referrers/{}", image.digest);
    let (mut found, mut next) = (0, Some(list.clone()));
    while let Some(page) = next {
        let reply = client.get(&page).expect_status(200);
        found += reply.json()["manifests"].as_array().expect("a list").len();
        next = reply.next_page();
    }
    assert_eq!(found, COUNT);
    watched.assert_flat("all", PAGES_KIB);
    // Of what a filter keeps out no request reads more than so much.
    let mut next = Some(format!("{list}?artifactType=application/vnd.example.none"));
    let mut pages = 0;
    while let Some(page) = next {
        let reply = client.get(&page).expect_status(200);
        assert_eq!(reply.json()["manifests"], json!([]));
        next = reply.next_page();
        pages += 1;
    }
    assert_eq!(pages, 2, "25 MiB by 16 MiB");
    watched.assert_flat("filtered", PAGES_KIB);
}

/// `verify` reads every manifest; in the memory of some of them.
#[test]
fn a_check_reads_large_manifests_in_pieces() {
    const COUNT: u64 = 25;
    let mut server = Server::builder().env("WHARFINGER_LEDGER_CACHE_BYTES", "1048576").start();
    let client = server.client();
    client.push_blob(REPOSITORY, b"{}");
    for seed in 0..COUNT {
        let mut document = ImageBuilder::oci().json();
        document["com.example.padding"] = format!("{seed:4}{}", "x".repeat(4_000_000)).into();
        let document = Manifest::of(OCI_MANIFEST, &document, Vec::new());
        document.push_document(&client, REPOSITORY, &document.digest);
    }
    assert!(server.stop().success());
    let script = "ulimit -d 65536; exec \"$0\" verify --data \"$1\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_wharfinger")]).arg(server.data());
    let checked = command.env("WHARFINGER_LEDGER_CACHE_BYTES", "1048576").output().expect("sh");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}
