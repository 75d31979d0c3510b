//! Copies of the directory of a running server, made as people make them, and opened by starting on them; and
//! copies put back over the directory that they came from. `WHARFINGER_COPIES=200` makes it a long run.

mod history;
mod live;
mod restores;
mod scene;
mod ways;
mod writer;

#[expect(dead_code, unused_imports, reason = "shared with the other test binaries; each uses its part")]
#[path = "../support/mod.rs"]
mod support;

/// How many copies of a running server are made; after each so many, one more round of all restores.
const COPIES: usize = 14;

fn copies() -> usize {
    let given = std::env::var("WHARFINGER_COPIES");
    given.map_or(COPIES, |given| given.parse().expect("WHARFINGER_COPIES is a whole number"))
}

fn restore_rounds() -> usize {
    (copies() / COPIES).max(1)
}
