//! The `wharfinger` program: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    wharfinger::cli::run()
}
