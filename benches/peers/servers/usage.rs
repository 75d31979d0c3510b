//! What a server and the processes that it started use, from /proc.

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take to end by itself.
const END_MAX: Duration = Duration::from_secs(10);

/// How often it is looked whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The time of CPU of a process and its children that live, in user and system mode.
pub fn cpu(pid: u32) -> Duration {
    let ticks: u64 = family(pid).into_iter().map(ticks).sum();
    // USER_HZ is 100 on every Linux.
    Duration::from_millis(ticks * 10)
}

/// The sum of the most that each of them ever had, in KiB.
pub fn peak_kib(pid: u32) -> u64 {
    family(pid).into_iter().map(|pid| status(pid, "VmHWM:")).sum()
}

/// The sum of what each of them has that is no file's, in KiB.
pub fn anonymous_kib(pid: u32) -> u64 {
    family(pid).into_iter().map(|pid| status(pid, "RssAnon:")).sum()
}

/// Asks a server to end, so that its children do too, and does not ask again after a while.
pub fn end(child: &mut Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw)
        && child.try_wait().expect("it is ours").is_none()
    {
        // It may have ended in between.
        kill_process(pid, Signal::TERM).ok();
    }
    let began = Instant::now();
    while child.try_wait().expect("it is ours").is_none() {
        if began.elapsed() > END_MAX {
            child.kill().expect("it runs");
        }
        thread::sleep(LOOK_EVERY);
    }
}

fn family(pid: u32) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let children = fs::read_to_string(path).expect("the server runs");
    let children = children.split_ascii_whitespace().map(|child| child.parse().expect("a process id"));
    std::iter::once(pid).chain(children).collect()
}

fn ticks(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the server runs");
    // The name, which may hold spaces, is in brackets; the times are fields 14 and 15.
    let fields = text.rsplit_once(')').expect("a name").1.split_ascii_whitespace();
    fields.skip(11).take(2).map(|field| field.parse::<u64>().expect("a number")).sum()
}

fn status(pid: u32, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("the server runs");
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("such a line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
