//! `wharfinger undelete`.

use super::DataArguments;
use super::actions::{self, Action};
use super::text::{number, texts};
use serde_json::Value;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    data: DataArguments,
    /// What to bring back: all that a repository lost, what a tag named when it was deleted, or a manifest
    /// with its tags
    #[arg(value_name = "REPOSITORY[:TAG|@DIGEST]")]
    what: String,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> ExitCode {
    let action = actions::split(&arguments.what).map(|(name, what)| Action::Undelete(name, what));
    actions::run(&arguments.data, action, arguments.json, show)
}

/// Says what came back.
pub fn show(report: &Value) {
    let or_none = |texts: String| if texts.is_empty() { "none".to_owned() } else { texts };
    say!("brought back {} manifests; tags: {}", number(report, "manifests"), or_none(texts(report, "tags")));
    let in_use = texts(report, "tags_in_use");
    if !in_use.is_empty() {
        say!("these tags name something else by now and stay there: {in_use}");
    }
}
