//! `wharfinger restore`.

use super::progress::Display;
use super::text::size;
use super::{DataArguments, wrong_use};
use crate::registry::{BackupRefusal, Progress, RestoreDir, restore_tar};
use serde_json::json;
use std::io::{BufReader, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// How much of a stream is read at once.
const STREAM_BUFFER_BYTES: usize = 256 * 1024;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A backup, or a copy of a data directory that nobody has open; `-` is a tar stream on standard input
    #[arg(value_name = "SRC")]
    from: PathBuf,
    // Its `--data` is where the registry is to be: empty, or not there yet.
    #[command(flatten)]
    data: DataArguments,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> ExitCode {
    let config = match arguments.data.load() {
        Ok(config) => config,
        Err(words) => return wrong_use(&words),
    };
    let is_stream = arguments.from == Path::new("-");
    if is_stream && std::io::stdin().is_terminal() {
        return wrong_use("`-` is a tar stream on standard input: redirect one from a file or a command");
    }
    let mut display = Display::new("restore");
    let restored = restore(&arguments.from, is_stream, &config.data, &mut display);
    display.clear();
    let (files, bytes) = match restored {
        Ok(restored) => restored,
        Err(error) => return wrong_use(&error.to_string()),
    };
    let data = config.data.display();
    if arguments.json {
        say!("{}", json!({"files": files, "bytes": bytes, "data": config.data}));
    } else {
        say!("restored {files} blob files of {} and the ledger to {data}", size(bytes));
        say!("check it: wharfinger verify --deep --data {data}");
        say!("start it: wharfinger serve --data {data}");
    }
    ExitCode::SUCCESS
}

fn restore(
    from: &Path,
    is_stream: bool,
    data: &Path,
    display: &mut Display,
) -> Result<(u64, u64), BackupRefusal> {
    if !is_stream {
        // Before anything is made: a slip of the pen leaves nothing.
        RestoreDir::expect_source(from)?;
    }
    let mut target = RestoreDir::open(data)?;
    // How much there will be is known when it is there.
    let mut tell = |files, bytes| {
        display.show(&Progress { files, of_files: files, bytes, of_bytes: bytes });
    };
    if is_stream {
        let stream = BufReader::with_capacity(STREAM_BUFFER_BYTES, std::io::stdin().lock());
        restore_tar(stream, &mut target, &mut tell)?;
    } else {
        target.copy_from(from, &mut tell)?;
    }
    Ok(target.restored())
}
