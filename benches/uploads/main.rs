//! Uploads: memory, and what a client waits for.
//!
//! `cargo bench --bench uploads -- [large] [resumed] [many]`, all of them without a name.
//! `WHARFINGER_BENCH_GIB` says how large a layer is (default 10).

mod large;
mod many;
mod resumed;
#[expect(dead_code, reason = "the other bench uses the rest of it")]
mod server;

fn main() {
    let gib = std::env::var("WHARFINGER_BENCH_GIB").map_or(10, |gib| gib.parse().expect("a number"));
    // Cargo adds options of its own.
    let named: Vec<String> = std::env::args().skip(1).filter(|name| !name.starts_with("--")).collect();
    let wanted = |name: &str| named.is_empty() || named.iter().any(|other| other == name);
    if wanted("large") {
        large::run(gib);
    }
    if wanted("resumed") {
        resumed::run(gib);
    }
    if wanted("many") {
        many::run();
    }
}
