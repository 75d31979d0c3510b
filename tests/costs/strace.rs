//! strace(1), which writes down the system calls of a running process.

use std::collections::HashMap;
use std::fs::{self, File};
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::process;
use crate::support::skip::skip;
use crate::support::wait;

/// What of the calls on files and sockets is not the request's: how threads wait and wake each other, memory,
/// and what a debug build asks of each file that it closes.
const NOT_COUNTED: [&str; 9] =
    ["epoll_", "mmap", "munmap", "mremap", "madvise", "futex", "eventfd", "timerfd", "fcntl"];

/// Calls that move bytes between the kernel and the process, and say how many.
const MOVING: [&str; 14] = [
    "read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2",
    "recvfrom", "sendto", "recvmsg", "sendmsg",
];

/// What a process did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Calls {
    /// How often each call was made.
    pub by_name: HashMap<String, u64>,
    /// How many of them were on sockets.
    pub on_sockets: u64,
    /// Bytes that calls moved between the kernel and the process.
    pub moved_bytes: u64,
}

impl Calls {
    /// How many there were, also on sockets.
    pub fn count(&self) -> u64 {
        self.by_name.values().sum()
    }

    /// Each with its number, the most frequent first.
    pub fn words(&self) -> String {
        let mut calls: Vec<_> = self.by_name.iter().collect();
        calls.sort_by_key(|&(name, count)| (std::cmp::Reverse(count), name));
        calls.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
    }

    /// Reads a trace, with `-f` and `-y`.
    fn of(trace: &str) -> Self {
        let (mut calls, mut begun) = (Self::default(), HashMap::new());
        for line in trace.lines() {
            let Some((thread, said)) = line.split_once(' ') else { continue };
            let said = said.trim_start();
            if said.ends_with("<unfinished ...>") {
                begun.insert(thread, said);
                continue;
            }
            // What it is called on stands in its first part.
            let call = if said.starts_with("<... ") { begun.remove(thread).unwrap_or("") } else { said };
            let Some((name, arguments)) = call.split_once('(') else { continue };
            let on = arguments.split(',').next().unwrap_or_default();
            if on.contains("<anon_inode:") || NOT_COUNTED.iter().any(|beginning| name.starts_with(beginning))
            {
                continue;
            }
            *calls.by_name.entry(name.to_owned()).or_default() += 1;
            calls.on_sockets +=
                u64::from(["<TCP:", "<TCPv6:", "<socket:"].iter().any(|kind| on.contains(kind)));
            let result = said.rsplit_once(" = ").and_then(|(_, result)| result.parse::<u64>().ok());
            if MOVING.contains(&name) {
                calls.moved_bytes += result.unwrap_or(0);
            }
        }
        calls
    }
}

/// Whether processes can be traced here. Where not, the test is said to be left out.
pub fn is_there(test: &str) -> bool {
    let tried = Command::new("strace").args(["-f", "true"]).output();
    let is_there = tried.as_ref().is_ok_and(|output| output.status.success());
    if !is_there {
        skip(test, &format!("it needs strace, and to be allowed to trace: {tried:?}"));
    }
    is_there
}

/// strace at a running process.
pub struct Strace {
    home: TempDir,
    child: Child,
}

impl Strace {
    /// Begins to write down; none where that may not be done, which is said.
    pub fn attach(test: &str, pid: u32) -> Option<Self> {
        let home = tempfile::tempdir().expect("a temporary directory");
        let said = home.path().join("said");
        let mut command = Command::new("strace");
        command.args(["-f", "-y", "-s", "0", "-e", "signal=none", "-e", "trace=%file,%desc,%network", "-o"]);
        command.arg(home.path().join("trace")).args(["-p", &pid.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(File::create(&said).expect("a file for its words"));
        let mut strace = Self { home, child: command.spawn().expect("strace was there before") };
        let refusal = wait::until("strace to have the process", || {
            let ended = strace.child.try_wait().expect("a child can be waited for").is_some();
            let said = fs::read_to_string(&said).expect("its words");
            (ended || said.contains(" attached")).then_some(ended.then_some(said))
        });
        if let Some(words) = refusal {
            skip(test, &format!("strace may not trace another's process: {words}"));
            return None;
        }
        Some(strace)
    }

    /// Lets the process go, and gives what it did.
    pub fn detach(mut self) -> Calls {
        process::signal(&self.child, Signal::TERM);
        self.child.wait().expect("strace is waited for once");
        Calls::of(&fs::read_to_string(self.home.path().join("trace")).expect("a trace"))
    }
}

#[test]
fn calls_are_counted_once_and_by_what_they_are_on() {
    let trace = "7 recvfrom(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, \"\"..., 8192, 0, NULL, NULL) = 200\n\
                 7 recvfrom(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, 0x1, 8192, 0, NULL, NULL) = -1 EAGAIN (x)\n\
                 8 pwrite64(4</data/ledger>, \"\"..., 64, 0 <unfinished ...>\n\
                 7 write(5<anon_inode:[eventfd]>, \"\"..., 8) = 8\n\
                 8 <... pwrite64 resumed>) = 64\n\
                 7 epoll_wait(3<anon_inode:[eventpoll]>, [], 1024, 9) = 0\n\
                 9 <... openat resumed>) = 4</data/ledger>\n\
                 7 openat(AT_FDCWD</>, \"\"..., O_RDONLY) = 11</data/blobs/1>\n";
    let calls = Calls::of(trace);
    assert_eq!(calls.words(), "recvfrom 2, openat 1, pwrite64 1");
    assert_eq!((calls.count(), calls.on_sockets, calls.moved_bytes), (4, 2, 264));
}
