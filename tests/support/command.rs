//! Commands on the directory of a server, whoever has it open.

use serde_json::Value;

use super::process::{Finished, run, run_with_input};
use super::server::Server;

/// Runs the command that begins with these words on the server's directory.
pub fn command(server: &Server, words: &[&str]) -> Finished {
    let data = server.data().to_str().expect("a path in UTF-8");
    run(&[words, &["--data", data]].concat(), &[])
}

/// The same, with a text on its standard input.
pub fn command_with_input(server: &Server, words: &[&str], input: &str) -> Finished {
    let data = server.data().to_str().expect("a path in UTF-8");
    run_with_input(&[words, &["--data", data]].concat(), &[], input)
}

/// The same as [`command`], done, with its answer in JSON.
#[track_caller]
pub fn answer(server: &Server, words: &[&str]) -> Value {
    let finished = command(server, &[words, &["--json"]].concat()).expect_code(0);
    serde_json::from_str(&finished.stdout).expect("JSON")
}
