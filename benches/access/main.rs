//! Access control: what it costs each request, and what those who have no access can do to the others.
//!
//! `cargo bench --bench access -- [cost] [guessing] [slow]`, all of them without a name. What is compared is
//! measured in turns and in one run, and only the ratios say something: the machine may have other work.

mod client;
mod cost;
mod guessing;
mod pulls;
mod scene;
#[path = "../uploads/server.rs"]
#[expect(dead_code, reason = "the other bench uses the rest of it")]
mod server;
mod slow;
#[path = "../collecting/times.rs"]
mod times;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

fn main() {
    let limit = getrlimit(Resource::Nofile);
    // Thousands of connections are opened here; where the system does not let it, opening them fails.
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).ok();
    // Cargo adds options of its own.
    let named: Vec<String> = std::env::args().skip(1).filter(|name| !name.starts_with("--")).collect();
    let wanted = |name: &str| named.is_empty() || named.iter().any(|other| other == name);
    if wanted("cost") {
        cost::run();
    }
    if wanted("guessing") {
        guessing::run();
    }
    if wanted("slow") {
        slow::run();
    }
}

/// The one in the middle.
fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
