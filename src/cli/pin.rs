//! `wharfinger pin`.

use super::actions::{self, Action};
use super::text::{entries, number, text, time};
use super::{DataArguments, DirectoryArguments};
use serde_json::Value;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Keep an image whatever the rules say, and even when it is deleted
    Add(One),
    /// Take a pin off
    Rm(One),
    /// List all pins
    Ls(DirectoryArguments),
}

#[derive(Debug, clap::Args)]
struct One {
    #[command(flatten)]
    data: DataArguments,
    #[arg(value_name = "REPOSITORY:TAG|REPOSITORY@DIGEST")]
    what: String,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> ExitCode {
    match &arguments.command {
        Command::Add(one) => {
            let action = manifest_of(&one.what).map(|(name, what)| Action::Pin(name, what));
            actions::run(&one.data, action, one.json, |report| {
                say!("pinned {}", text(report, "digest"));
            })
        }
        Command::Rm(one) => {
            let action = manifest_of(&one.what).map(|(name, what)| Action::Unpin(name, what));
            actions::run(&one.data, action, one.json, |report| {
                say!("unpinned {}", text(report, "digest"));
            })
        }
        Command::Ls(all) => actions::run(&all.data, Ok(Action::Pins), all.json, show),
    }
}

fn manifest_of(what: &str) -> Result<(String, String), String> {
    match actions::split(what)? {
        (name, Some(what)) => Ok((name, what)),
        _ => Err(format!("{what}: expected REPOSITORY:TAG or REPOSITORY@DIGEST")),
    }
}

fn show(report: &Value) {
    let pins = entries(report, "pins");
    if pins.is_empty() {
        say!("no pins");
    }
    for pin in pins {
        let (since, who) = (time(number(pin, "since_ms")), text(pin, "who"));
        say!("{}@{}  since {since} by {who}", text(pin, "repository"), text(pin, "digest"));
    }
}
