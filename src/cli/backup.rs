//! `wharfinger backup`.
//!
//! Whoever has the directory open makes the point and keeps its files; this process copies them. So a server
//! that may write to nothing but its data can be backed up, and a command that ends in whatever way leaves
//! nothing behind.

use super::control::{self, Answer, Request};
use super::progress::Display;
use super::text::{entries, number, size, text, time};
use super::{DataArguments, FOUND_WRONG, look_at_store, reopen_store, store_options, verify, wrong_use};
use crate::config::Config;
use crate::registry::{
    BackupDir, BackupReport, Checks, PointPlace, PointSource, Progress, Registry, SystemClock, back_up,
    back_up_to_tar,
};
use serde_json::{Value, json};
use std::io::{BufWriter, IsTerminal};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// How much of a stream is written at once.
const STREAM_BUFFER_BYTES: usize = 256 * 1024;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where the backup goes: a directory that is not there yet, an empty one, or an earlier backup, of which
    /// only what changed is copied
    #[arg(value_name = "DEST", required_unless_present = "to_tar")]
    to: Option<PathBuf>,
    #[command(flatten)]
    data: DataArguments,
    /// Write one tar stream to standard output instead; the only place is `-`
    #[arg(long, value_name = "-", value_parser = ["-"], conflicts_with_all = ["to", "verify", "json"])]
    to_tar: Option<String>,
    /// Then read every file of the backup and check it as `verify --deep` does
    #[arg(long)]
    verify: bool,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> ExitCode {
    let config = match arguments.data.load() {
        Ok(config) => config,
        Err(words) => return wrong_use(&words),
    };
    match &arguments.to {
        Some(to) => to_directory(&config, to, arguments),
        None => to_stream(&config),
    }
}

fn to_directory(config: &Config, to: &Path, arguments: &Arguments) -> ExitCode {
    let mut display = Display::new("backup");
    let mut show = |now: &Progress| display.show(now);
    let words = |error: &dyn std::fmt::Display| format!("no backup was made: {error}");
    let said = std::path::absolute(to).unwrap_or_else(|_| to.to_path_buf()).display().to_string();
    // A place that is refused costs nothing, and where there is no registry no place is made.
    let done = BackupDir::check(to, &config.data).map_err(|error| words(&error)).and_then(|_| {
        with_point(config, &format!("to {said}"), |source| {
            let mut target = BackupDir::open(to, &config.data).map_err(|error| words(&error))?;
            back_up(source, &mut target, &mut show).map_err(|error| words(&error))
        })
    });
    display.clear();
    let report = match done {
        Ok(report) => report,
        Err(words) => return wrong_use(&words),
    };
    let mut report = report.to_json();
    report["dest"] = json!(to);
    if arguments.verify {
        match check(config, to) {
            Ok(found) => report["verify"] = found,
            Err(words) => return wrong_use(&format!("the backup is made, and cannot be checked: {words}")),
        }
    }
    if arguments.json {
        say!("{report}");
    } else {
        print(&report);
    }
    let is_whole =
        entries(&report, "damaged").is_empty() && entries(&report["verify"], "violations").is_empty();
    if is_whole { ExitCode::SUCCESS } else { ExitCode::from(FOUND_WRONG) }
}

fn to_stream(config: &Config) -> ExitCode {
    let out = std::io::stdout();
    if out.is_terminal() {
        return wrong_use("a tar stream is nothing for a terminal: redirect it to a file or a command");
    }
    let mut display = Display::new("backup");
    let done = with_point(config, "as a stream", |source| {
        let out = BufWriter::with_capacity(STREAM_BUFFER_BYTES, out.lock());
        let mut tell = |now: &Progress| display.show(now);
        back_up_to_tar(source, out, &mut tell)
            .map_err(|error| format!("the stream is of no use, since it is not whole: {error}"))
    });
    display.clear();
    match done {
        Ok(report) => {
            let report = report.to_json();
            eprintln!("{}", summary(&report));
            for line in damaged(&report) {
                eprintln!("{line}");
            }
            if entries(&report, "damaged").is_empty() {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(FOUND_WRONG)
            }
        }
        Err(words) => wrong_use(&words),
    }
}

/// Has a point made, by the server that has the directory open or here, and keeps it while `take` takes it.
fn with_point(
    config: &Config,
    to: &str,
    take: impl FnOnce(PointSource<'_>) -> Result<BackupReport, String>,
) -> Result<BackupReport, String> {
    let data = config.data.as_path();
    let asked = control::ask_and_stay(data, &Request::Backup(to.to_owned()), |_| {});
    let options = store_options(config);
    match asked.map_err(|error| format!("the running server does not answer: {error}"))? {
        Some((Answer::Report(report), kept)) => {
            let point: PointPlace = serde_json::from_value(report)
                .map_err(|error| format!("the running server answers something else: {error}"))?;
            // As this process sees it: the server may be in a container.
            let point = PointPlace { root: data.join(point.root.file_name().unwrap_or_default()), ..point };
            take(PointSource { data, point, is_held: &|| kept.is_held(), options })
        }
        Some((Answer::Failed(words), _)) => Err(words),
        Some((Answer::Collected(_), _)) => Err("the running server answered something else".to_owned()),
        None => {
            let store = reopen_store(config).map_err(|error| error.to_string())?;
            let registry = Registry::new(store, Arc::new(SystemClock), config.clone());
            registry.recover().map_err(|error| format!("the start failed: {error}"))?;
            let point = registry.begin_backup(super::actions::WHO, to).map_err(|error| error.to_string())?;
            take(PointSource { data, point: point.place(), is_held: &|| true, options })
        }
    }
}

/// Checks a backup as `verify --deep` does, and changes nothing in it.
fn check(config: &Config, root: &Path) -> Result<Value, String> {
    let mut config = config.clone();
    config.data = root.to_path_buf();
    let store = look_at_store(&config).map_err(|error| error.to_string())?;
    let registry = Registry::new(store, Arc::new(SystemClock), config);
    let mut display = Display::new("verify");
    let report = registry.verify_with(Checks { deep: true, settle: false }, &mut |now| {
        display.show(now);
        ControlFlow::Continue(())
    });
    display.clear();
    Ok(report.map_err(|error| error.to_string())?.to_json())
}

fn summary(report: &Value) -> String {
    let bytes = |key| size(number(report, key));
    format!(
        "backed up as of {} (commit {}): {} blobs of {}, a ledger of {}; {} files of {} were new",
        time(number(report, "at_ms")),
        number(report, "sequence"),
        number(report, "blobs"),
        bytes("bytes"),
        bytes("ledger_bytes"),
        number(report, "taken"),
        bytes("taken_bytes"),
    )
}

fn damaged(report: &Value) -> Vec<String> {
    let line = |entry: &Value| {
        let (digest, words) = (text(entry, "digest"), text(entry, "words"));
        format!("not in the backup, since the registry itself has it damaged: blob {digest}: {words}")
    };
    entries(report, "damaged").iter().map(line).collect()
}

fn print(report: &Value) {
    say!("{}", summary(report));
    if number(report, "linked") > 0 {
        say!(
            "{} of these are hard links to the registry's own files, since both are on one file system: that \
             does not outlive the disk",
            number(report, "linked")
        );
    }
    if number(report, "removed") > 0 {
        say!("removed {} files that nothing needs any more", number(report, "removed"));
    }
    for line in damaged(report) {
        say!("{line}");
    }
    if report["verify"].is_object() {
        verify::print(&report["verify"], entries(&report["verify"], "violations"));
    }
    say!("`wharfinger restore {} --data DIR` makes a registry of it", text(report, "dest"));
}
