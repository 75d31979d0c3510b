//! The server killed at random moments, again and again over one data directory, while clients push, tag,
//! mount and delete. After each restart all that was acknowledged is there, and what had no answer happened
//! as a whole or not at all.

mod known;
pub mod worker;

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::random::{self, Random};
use crate::support::{Client, Server, process, wait};
use worker::Worker;

const WORKERS: usize = 8;

/// A long run has 200: `WHARFINGER_CRASH_ROUNDS=200`.
const ROUNDS: usize = 50;

/// Every so many rounds everything is pulled and the directory is checked, before and after the restart.
const THOROUGH_EVERY: usize = 10;

/// How long a server is worked with, in milliseconds.
const LIFE_MAX_MS: usize = 300;

/// How long a start takes that is cut off, in milliseconds.
const START_MAX_MS: usize = 30;

/// How many first starts are cut off.
const FIRST_STARTS: usize = 30;

/// How long a first start goes on after its ledger's file has its first byte, in microseconds.
const FIRST_START_MAX_MICROS: usize = 3000;

fn rounds() -> usize {
    let given = std::env::var("WHARFINGER_CRASH_ROUNDS");
    given.map_or(ROUNDS, |given| given.parse().expect("WHARFINGER_CRASH_ROUNDS is a whole number"))
}

fn pass(milliseconds: usize) {
    pass_micros(1000 * milliseconds);
}

fn pass_micros(microseconds: usize) {
    let (started, time) = (Instant::now(), Duration::from_micros(microseconds as u64));
    wait::every(Duration::from_micros(100), "time to pass", || (started.elapsed() >= time).then_some(()));
}

/// Lets the workers work, and kills the server meanwhile.
fn work_and_kill(server: &mut Server, workers: &mut [Worker], round: usize, life_ms: usize) {
    let address = server.addr();
    thread::scope(|scope| {
        for worker in workers.iter_mut() {
            scope.spawn(move || worker.work(&Client::new(address), round));
        }
        pass(life_ms);
        server.kill();
    });
}

fn spawn(home: &Path, data: &Path) -> Child {
    let mut command = process::program(home);
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the server starts")
}

/// Begins a start and kills it: whatever it had done of its recovery, the next one does the rest.
fn kill_a_start(server: &Server, after_ms: usize) {
    let mut child = spawn(server.data().parent().expect("a home"), server.data());
    pass(after_ms);
    child.kill().expect("SIGKILL");
    child.wait().expect("the killed process is collected");
}

fn check(server: &Server, workers: &mut [Worker], thorough: bool) {
    let address = server.addr();
    thread::scope(|scope| {
        for worker in workers.iter_mut() {
            scope.spawn(move || worker.check(&Client::new(address), thorough));
        }
    });
}

#[test]
fn what_was_acknowledged_survives_kills() {
    let test = "what_was_acknowledged_survives_kills";
    let mut random = Random::new(random::seed(test));
    let mut workers: Vec<Worker> = (0..WORKERS).map(|number| Worker::new(number, random.draw())).collect();
    // What is deleted is collected while it is killed.
    let mut server = Server::builder()
        .env("WHARFINGER_KEEP_DELETED_SECS", "0")
        .env("WHARFINGER_UNLINK_BATCH_SECS", "0")
        .env("WHARFINGER_HOUSEKEEPING_SECS", "1")
        .start();
    let rounds = rounds();
    let mut longest_start = Duration::ZERO;
    for round in 1..=rounds {
        let thorough = round % THOROUGH_EVERY == 0 || round == rounds;
        work_and_kill(&mut server, &mut workers, round, 2 + random.below(LIFE_MAX_MS));
        if thorough {
            server.verify();
        }
        if random.one_in(3) {
            kill_a_start(&server, random.below(START_MAX_MS));
        }
        let spawned = Instant::now();
        server.restart();
        longest_start = longest_start.max(spawned.elapsed());
        check(&server, &mut workers, thorough);
        if thorough {
            assert!(server.stop().success(), "a clean stop");
            server.verify();
            server.restart();
        }
    }
    // What a busy machine makes of it is no promise, so it is only told.
    println!("{test}: the longest of {rounds} starts after a kill took {longest_start:?} until it listened");
    for worker in &mut workers {
        worker.finish_sessions(&server.client());
        println!("{test}: {}", worker.figures());
    }
    let acknowledged: usize = workers.iter().map(Worker::acknowledged).sum();
    assert!(acknowledged >= 4 * rounds, "only {acknowledged} answers in {rounds} rounds");
}

/// However early the very first start ends, the next one serves.
#[test]
fn first_starts_that_are_killed_can_be_started_again() {
    let mut random = Random::new(random::seed("first_starts_that_are_killed_can_be_started_again"));
    for _ in 0..FIRST_STARTS {
        let home = tempfile::tempdir().expect("a temporary directory");
        let data = home.path().join("data");
        let mut child = spawn(home.path(), &data);
        let ledger = data.join("ledger");
        let begun = || fs::read_dir(&ledger).is_ok_and(|mut files| files.any(|file| has_bytes(file.ok())));
        wait::every(Duration::from_micros(50), "a ledger to be made", || begun().then_some(()));
        pass_micros(random.below(FIRST_START_MAX_MICROS));
        child.kill().expect("SIGKILL");
        child.wait().expect("the killed process is collected");
        let server = Server::builder().data(&data).start();
        assert_eq!(server.client().get("/v2/").status, 200);
    }
}

fn has_bytes(file: Option<fs::DirEntry>) -> bool {
    file.and_then(|file| file.metadata().ok()).is_some_and(|found| found.len() > 0)
}
