//! Starts: after a kill, after a touch, and of a copy.

use super::server::Server;
use std::fs;
use std::path::Path;
use std::time::{Instant, SystemTime};

/// How often each is measured.
const TIMES: usize = 3;

/// How many uploads are begun before a kill, so that there are frames to be done again.
const BEGUN: usize = 200;

/// Measures them all.
pub fn measure(home: &Path) {
    println!("\n| start | s | CPU ms | peak MiB |\n|---|---|---|---|");
    // What it has to do after the last bench is not what is measured.
    Server::start(home).kill();
    for _ in 0..TIMES {
        start_and_kill(home, "after a kill");
    }
    let ledger = home.join("data/ledger");
    for _ in 0..TIMES {
        let database = fs::File::options().write(true).open(ledger.join("ledger.redb"));
        let touched = database.and_then(|file| file.set_modified(SystemTime::now()));
        touched.expect("it is touched");
        start_and_kill(home, "touched");
    }
    for _ in 0..TIMES {
        fs::remove_file(ledger.join("IDENTITY")).expect("a copy has none of its own");
        start_and_kill(home, "a copy");
    }
    // There are timelines now that were left.
    for _ in 0..TIMES {
        start_and_kill(home, "after a kill, once a copy");
    }
}

/// Starts a server, lets it write, and kills it.
fn start_and_kill(home: &Path, what: &str) {
    let began = Instant::now();
    let mut server = Server::start(home);
    let secs = began.elapsed().as_secs_f64();
    let (cpu_ms, peak_mib) = (server.cpu_ms(), server.peak_kib() / 1024);
    for _ in 0..BEGUN {
        server.begin();
    }
    server.kill();
    println!("| {what} | {secs:.3} | {cpu_ms} | {peak_mib} |");
}
