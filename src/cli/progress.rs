//! How far something long has come, for who looks at it.

use crate::registry::Progress;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often the terminal is told.
const SHOW_INTERVAL: Duration = Duration::from_millis(200);

/// One line of a terminal that says how far something long has come.
pub struct Display {
    what: &'static str,
    is_terminal: bool,
    shown: Option<Instant>,
}

impl Display {
    /// For a command; nothing is shown but on a terminal.
    pub fn new(what: &'static str) -> Self {
        Self { what, is_terminal: std::io::stderr().is_terminal(), shown: None }
    }

    /// Shows it, now and then.
    pub fn show(&mut self, progress: &Progress) {
        if !self.is_terminal || self.shown.is_some_and(|shown| shown.elapsed() < SHOW_INTERVAL) {
            return;
        }
        self.shown = Some(Instant::now());
        Self::write(&format!("\r\x1b[K{}", line(self.what, progress)));
    }

    /// Takes the line away.
    pub fn clear(&self) {
        if self.shown.is_some() {
            Self::write("\r\x1b[K");
        }
    }

    fn write(text: &str) {
        let mut out = std::io::stderr().lock();
        // Who does not look at it still gets the answer.
        drop(out.write_all(text.as_bytes()));
        drop(out.flush());
    }
}

fn line(what: &str, progress: &Progress) -> String {
    const MIB: u64 = 1024 * 1024;
    let Progress { files, of_files, bytes, of_bytes } = *progress;
    if of_files == 0 {
        return format!("{what}: the ledger's rows");
    }
    format!("{what}: {files} of {of_files} files, {} of {} MiB", bytes / MIB, of_bytes / MIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_said_in_words() {
        assert_eq!(line("verify", &Progress::default()), "verify: the ledger's rows");
        let progress = Progress { files: 1, of_files: 3, bytes: 7 << 20, of_bytes: 9 << 20 };
        assert_eq!(line("verify", &progress), "verify: 1 of 3 files, 7 of 9 MiB");
    }
}
