//! What is left out, said where it is seen.

use std::env;
use std::fs::OpenOptions;
use std::io::{self, Write};

/// Says that a test is left out, on the terminal and to `./test`.
pub fn skip(test: &str, reason: &str) {
    let line = format!("SKIPPED: {test}: {}", reason.lines().collect::<Vec<_>>().join(" / "));
    say(&line);
    if let Some(file) = env::var_os("WHARFINGER_SKIPPED_FILE") {
        let appended = OpenOptions::new().create(true).append(true).open(file);
        // One write, so that lines of several tests do not mix.
        let written = appended.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
        written.expect("the file named by WHARFINGER_SKIPPED_FILE can be written");
    }
}

/// Prints past the harness, which keeps what a passing test prints to itself.
pub fn say(text: &str) {
    // A closed terminal is no failure of what is tested.
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}
