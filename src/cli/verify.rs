//! `wharfinger verify`.

use super::control::{self, Answer, Request};
use super::progress::Display;
use super::{DataArguments, FOUND_WRONG, look_at_store, reopen_store, wrong_use};
use crate::config::Config;
use crate::registry::{Checks, DataDir, Progress, Registry, SystemClock, VerifyReport};
use serde_json::Value;
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::Arc;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    data: DataArguments,
    /// Read every file and compare its digest; what is found damaged is marked, so that it is not served and
    /// a push of it heals
    #[arg(long)]
    deep: bool,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> ExitCode {
    let mut display = Display::new("verify");
    let checked =
        arguments.data.load().and_then(|config| check(&config, arguments.deep, |now| display.show(now)));
    display.clear();
    let report = match checked {
        Ok(report) => report,
        Err(words) => return wrong_use(&words),
    };
    let violations = report["violations"].as_array().map_or(&[][..], Vec::as_slice);
    if arguments.json {
        say!("{report}");
    } else {
        print(&report, violations);
    }
    if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FOUND_WRONG) }
}

/// Lets the server that runs on the directory check it, or does it here where none does.
fn check(config: &Config, deep: bool, mut show: impl FnMut(&Progress)) -> Result<Value, String> {
    let asked = control::ask_and_watch(&config.data, &Request::Verify { deep }, &mut show);
    match asked.map_err(|error| format!("the running server does not answer: {error}"))? {
        Some(Answer::Report(report)) => return Ok(report),
        Some(Answer::Failed(words)) => return Err(words),
        Some(Answer::Collected(_)) => return Err("the running server answered something else".to_owned()),
        None => {}
    }
    let store = look_at_store(config).map_err(|error| error.to_string())?;
    let registry = Registry::new(store, Arc::new(SystemClock), config.clone());
    // What cannot be read is found by the check.
    let found = registry.look_at_copy();
    let found = found.unwrap_or_else(|error| Some(format!("its rows and files cannot be compared: {error}")));
    let report = registry.verify_with(Checks { deep, settle: false }, &mut |progress| {
        show(progress);
        ControlFlow::Continue(())
    });
    let report = report.map_err(|error| format!("the check could not be done: {error}"))?;
    drop(registry);
    // A look that is not a deep one changes nothing.
    // Nor does one at a backup, which is what it was: opened for writing it would be a registry.
    if deep
        && !DataDir::is_backup_at(&config.data).unwrap_or(true)
        && let Err(words) = settle(config, &report)
    {
        eprintln!("wharfinger: what was found about files could not be written down: {words}");
    }
    let mut json = report.to_json();
    if let Some(found) = found {
        json["copy"] = Value::String(found);
    }
    Ok(json)
}

/// Writes down what a deep look found about files. Only for this is the directory opened for writing.
fn settle(config: &Config, report: &VerifyReport) -> Result<(), String> {
    if report.found.is_empty() && report.mended.is_empty() {
        return Ok(());
    }
    let store = reopen_store(config).map_err(|error| error.to_string())?;
    let registry = Registry::new(store, Arc::new(SystemClock), config.clone());
    registry.settle(report).map_err(|error| error.to_string())
}

/// Shows a report to people.
pub fn print(report: &Value, violations: &[Value]) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if let Some(found) = report["copy"].as_str() {
        say!("a start would say: {found}");
    }
    for violation in violations {
        say!("{}: {}", text(&violation["invariant"]), text(&violation["words"]));
        for needing in violation["needed_by"].as_array().into_iter().flatten() {
            let (repository, manifest) = (text(&needing["repository"]), text(&needing["manifest"]));
            let tags: Vec<_> = needing["tags"].as_array().into_iter().flatten().map(text).collect();
            let tags = if tags.is_empty() { String::new() } else { format!(" ({})", tags.join(", ")) };
            say!("    needed by {repository}@{manifest}{tags}");
        }
    }
    let kept = match &report["set_aside"] {
        count if *count == 0 => String::new(),
        count => format!("; {count} damaged files are kept in damaged/"),
    };
    say!(
        "{} blobs, {} manifests, {} tags, {} open uploads: {} violations{kept}",
        report["blobs"],
        report["manifests"],
        report["tags"],
        report["uploads"],
        violations.len()
    );
}
