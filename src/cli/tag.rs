//! `wharfinger tag`.

use super::DataArguments;
use super::actions::{self, Action};
use super::text::{entries, moment, number, text, time};
use super::undelete;
use jiff::Timestamp;
use serde_json::Value;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Say what a tag named, when, and who changed it
    History(History),
    /// Set a tag to what it named at an earlier time
    Restore(Restore),
}

#[derive(Debug, clap::Args)]
struct History {
    #[command(flatten)]
    data: DataArguments,
    #[arg(value_name = "REPOSITORY:TAG")]
    tag: String,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Restore {
    #[command(flatten)]
    data: DataArguments,
    #[arg(value_name = "REPOSITORY:TAG")]
    tag: String,
    /// The time: 2026-08-01T12:00:00Z, 2026-08-01 12:00 (UTC), or "2h ago"
    #[arg(long, value_name = "TIME")]
    at: String,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> ExitCode {
    match &arguments.command {
        Command::History(history) => {
            let action = tag_of(&history.tag).map(|(name, tag)| Action::TagHistory(name, tag));
            actions::run(&history.data, action, history.json, show_history)
        }
        Command::Restore(restore) => {
            let at_ms = moment(&restore.at, Timestamp::now());
            let action =
                tag_of(&restore.tag).and_then(|(name, tag)| Ok(Action::TagRestore(name, tag, at_ms?)));
            actions::run(&restore.data, action, restore.json, show_restored)
        }
    }
}

fn tag_of(text: &str) -> Result<(String, String), String> {
    match actions::split(text)? {
        (name, Some(tag)) if !text.contains('@') => Ok((name, tag)),
        _ => Err(format!("{text}: expected REPOSITORY:TAG")),
    }
}

fn show_history(report: &Value) {
    let changes = entries(report, "changes");
    if changes.is_empty() {
        say!("no change of it is remembered");
    }
    for change in changes {
        let what = match (text(change, "before"), text(change, "after")) {
            ("", after) => format!("set to {after}"),
            (before, "") => format!("removed, was {before}"),
            (before, after) => format!("moved to {after}, was {before}"),
        };
        say!(
            "{}  {what}  ({} by {})",
            time(number(change, "at_ms")),
            text(change, "cause"),
            text(change, "who")
        );
    }
}

fn show_restored(report: &Value) {
    say!("the tag names {}", text(report, "digest"));
    if number(report, "manifests") > 0 {
        undelete::show(report);
    }
}
