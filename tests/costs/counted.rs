//! This binary as the server, with an allocator that counts.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _, stdin, stdout};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rustix::process::Signal;
use tempfile::TempDir;

use super::HEAP;
use super::path::{RULES, SETTINGS};
use crate::support::{accounts, process};

/// Names the data directory where this process is to be the server.
const CHILD: &str = "COSTS_OF_DATA";

/// What a line about the heap begins with.
const MARK: &str = "heap ";

/// Is the server, until it is told to end, where this process was started for that. Whether it was.
pub fn served() -> bool {
    let Some(data) = std::env::var_os(CHILD) else { return false };
    std::thread::spawn(answer);
    let arguments = ["wharfinger", "serve", "--listen", "127.0.0.1:0", "--data"].map(OsString::from);
    let ended = wharfinger::cli::run_as(arguments.into_iter().chain([data]));
    assert_eq!(format!("{ended:?}"), format!("{:?}", std::process::ExitCode::SUCCESS));
    true
}

/// Says for each byte of the standard input what was allocated so far, and allocates nothing for it.
fn answer() {
    let mut asked = [0];
    while stdin().read_exact(&mut asked).is_ok() {
        let stats = HEAP.stats();
        let mut out = stdout().lock();
        let count = stats.allocations + stats.reallocations;
        writeln!(out, "{MARK}{count} {}", stats.bytes_allocated).expect("who asked reads");
    }
}

/// What was allocated since the start: how often, and how many bytes.
#[derive(Debug, Clone, Copy)]
pub struct Heap {
    pub allocations: u64,
    pub bytes: u64,
}

/// A server that counts.
pub struct Counted {
    home: TempDir,
    child: Child,
    asking: ChildStdin,
    told: BufReader<ChildStdout>,
    pub address: SocketAddr,
}

impl Counted {
    /// Starts this binary again, for `test`, which asks [`served`] first.
    pub fn start(test: &str) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        let users = home.path().join("htpasswd");
        accounts::write_users(&users, &[("alice", accounts::PASSWORD)]);
        let mut command = Command::new(std::env::current_exe().expect("this binary has a path"));
        // As for every other server, no setting of the caller's counts.
        for (name, value) in process::program(home.path()).get_envs() {
            assert!(value.is_none(), "variables are only taken away");
            command.env_remove(name);
        }
        let mut child = command
            .args(["--exact", test, "--nocapture"])
            .env(CHILD, home.path().join("data"))
            .env("WHARFINGER_HTPASSWD", &users)
            .env("WHARFINGER_ACCESS", RULES)
            .envs(SETTINGS)
            .current_dir(home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(home.path().join("log")).expect("a file for its log"))
            .spawn()
            .expect("this binary starts again");
        let asking = child.stdin.take().expect("its input is a pipe");
        let mut told = BufReader::new(child.stdout.take().expect("its output is a pipe"));
        let greeting = line_with(&mut told, "listens on http://");
        let address = greeting.trim().rsplit('/').next().and_then(|text| text.parse().ok());
        let address = address.unwrap_or_else(|| panic!("an address at the end of {greeting:?}"));
        Self { home, child, asking, told, address }
    }

    /// What it allocated so far.
    pub fn heap(&mut self) -> Heap {
        self.asking.write_all(b"?").expect("it reads");
        let line = line_with(&mut self.told, MARK);
        let (_, counts) = line.split_once(MARK).expect("the line has it");
        let (allocations, bytes) = counts.trim().split_once(' ').expect("two counts");
        let number = |text: &str| text.parse().expect("a count is a number");
        Heap { allocations: number(allocations), bytes: number(bytes) }
    }

    /// Ends it cleanly.
    pub fn stop(mut self) {
        process::signal(&self.child, Signal::TERM);
        let status = process::wait_for(&mut self.child, "the server to stop");
        let log = std::fs::read_to_string(self.home.path().join("log")).expect("its log");
        assert!(status.success(), "a clean end, not {status}: {log}");
    }
}

/// The next line that has these words. It panics at the end of what is told.
fn line_with(told: &mut BufReader<ChildStdout>, words: &str) -> String {
    loop {
        let mut line = String::new();
        told.read_line(&mut line).expect("it prints text");
        assert!(!line.is_empty(), "the server ended before it said {words:?}");
        if line.contains(words) {
            return line;
        }
    }
}
