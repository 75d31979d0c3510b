//! This registry beside others, and beside what the machine can do: the same work by each, in turns.
//!
//! `cargo bench --bench peers`. docs/performance.md says what is measured, how, and by which variables
//! (`WHARFINGER_BENCH_...`); `WHARFINGER_BENCH_QUICK=1` takes about two minutes. Only ratios of one run say
//! something: the machine may have other work.

mod client;
mod figures;
mod files;
mod goals;
mod machine;
mod options;
mod plot;
mod prefill;
mod report;
mod servers;
mod tls;
mod works;

use figures::Comparison;
use options::Options;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use servers::raw_floor;
use std::fs;
use std::path::Path;

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|argument| argument == raw_floor::ARGUMENT) {
        raw_floor::serve(Path::new(&arguments.next().expect("a directory")));
        return;
    }
    let limit = getrlimit(Resource::Nofile);
    // Hundreds of connections are opened; where the system does not let it, opening them fails.
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).ok();
    let options = Options::read();
    let names = works::ALL.map(|(name, _)| name);
    if let Some(name) = options.unknown(&names) {
        panic!("WHARFINGER_BENCH_WORKS has {name}; there are {}", names.join(", "));
    }
    fs::create_dir_all(&options.dir).expect("a directory for the servers");
    let before = machine::load();
    let mut found = Vec::new();
    for (_, work) in works::ALL.into_iter().filter(|(name, _)| options.wants(name)) {
        found.extend(work(&options));
        if options.writes_figures {
            // After each work: a run that is ended early has not been for nothing.
            write_figures(&found);
        }
    }
    println!("{}; load {before} before, {} after\n", machine::describe(), machine::load());
    println!("{}", report::ratios(&found));
    println!("{}", report::figures(&found));
    for (kind, reason) in options.missing() {
        println!("{}: not measured ({reason})", kind.name());
    }
}

fn write_figures(found: &[Comparison]) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/figures");
    fs::create_dir_all(&dir).expect("docs/figures can be made");
    fs::write(dir.join("peers.csv"), report::csv(found)).expect("docs/figures can be written");
    fs::write(dir.join("peers.svg"), plot::svg(found)).expect("docs/figures can be written");
}
