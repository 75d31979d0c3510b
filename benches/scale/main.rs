//! What depends on how much a registry holds: 1 million blobs, 1 million tags (100,000 of them in one
//! repository), 3 million references and 10,000 repositories, or a part of that.
//!
//! `cargo bench --bench scale`. `WHARFINGER_BENCH_SCALE` is the part (default 0.1; 1.0 is all of it): run
//! both, and what is flat in the total is the same in both tables. `WHARFINGER_BENCH_DIR` is a directory that
//! is built in, or, where an earlier run did that, measured at once; else a temporary one is.
//!
//! On two cores that others used as well, a tenth took 90 s to build and four minutes to measure. All of it
//! took 7 minutes to build (3.2 GiB of ledger.redb, 2.5 GiB of journal and snapshots, and 4 GiB and a million
//! inodes for the blobs, whose files have 64 bytes); leave it an hour, most of it for `verify`.
//!
//! The starts are those of `cargo bench --bench starts`: after a kill, after a touch, and of a copy. A page
//! or a lookup is asked for over one connection, and the CPU is the server's, of all its threads. On a busy
//! machine compare rows of one run.

mod build;
#[path = "../access/client.rs"]
mod client;
mod requests;
#[path = "../uploads/server.rs"]
#[expect(dead_code, reason = "the other bench uses the rest of it")]
mod server;
mod starts;
#[path = "../collecting/times.rs"]
mod times;
mod work;

use build::Size;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

fn main() {
    let scale = std::env::var("WHARFINGER_BENCH_SCALE").map_or(0.1, |part| part.parse().expect("a number"));
    let given = std::env::var_os("WHARFINGER_BENCH_DIR").map(PathBuf::from);
    let temporary = given.is_none().then(|| tempfile::tempdir().expect("a temporary directory"));
    let home = given.as_deref().or(temporary.as_ref().map(tempfile::TempDir::path));
    let home = home.expect("one of both is there");
    // The garbage has to be left for the command that is measured, and nothing else may take CPU.
    for (name, value) in
        [("WHARFINGER_HOUSEKEEPING_SECS", "3600"), ("WHARFINGER_SCRUB_BYTES_PER_SECOND", "0")]
    {
        server::SETTINGS.lock().expect("no panic").push((name.to_owned(), value.to_owned()));
    }
    let size = prepare(home, scale);
    println!(
        "\n{} blobs, {} tags ({} in one repository), {} references, {} repositories",
        size.blobs(),
        size.tags(),
        size.big_tags,
        size.references(),
        size.repositories
    );
    println!("ledger.redb has {} MiB", mib(&home.join("data/ledger/ledger.redb")));
    requests::measure(home, size);
    work::measure(home);
    starts::measure(home);
}

/// Builds the registry, unless it was built before; says how large it is.
fn prepare(home: &Path, scale: f64) -> Size {
    let mark = home.join("BUILT");
    if let Ok(built) = fs::read_to_string(&mark) {
        println!("built before, scale {built}");
        return Size::of(built.parse().expect("a number"));
    }
    let size = Size::of(scale);
    let began = Instant::now();
    build::build(&home.join("data"), size);
    fs::write(mark, scale.to_string()).expect("written");
    println!("built scale {scale} in {} s", began.elapsed().as_secs());
    // The first start ends the building: it makes a snapshot of what came last.
    server::Server::start(home).kill();
    size
}

fn mib(file: &Path) -> u64 {
    fs::metadata(file).expect("it is there").len() / 1024 / 1024
}
