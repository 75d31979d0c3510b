//! `wharfinger gc`.

use super::control::{self, Answer, Request};
use super::text::{entries, text, texts, time};
use super::{DataArguments, FOUND_WRONG, look_at_store, reopen_store, wrong_use};
use crate::config::Config;
use crate::oci::Digest;
use crate::registry::{Collected, Registry, SystemClock};
use serde_json::Value;
use std::process::ExitCode;
use std::sync::Arc;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    data: DataArguments,
    /// Drop what is deleted at once, and return when its files are unlinked; never a live lease or what a
    /// manifest needs
    #[arg(long, conflicts_with_all = ["dry_run", "explain"])]
    now: bool,
    /// Only say what there is to collect, and when it goes; the same as without options
    #[arg(long, conflicts_with = "explain")]
    dry_run: bool,
    /// Say what keeps a digest, or when it goes
    #[arg(long, value_name = "DIGEST")]
    explain: Option<String>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> ExitCode {
    if let Some(Err(error)) = arguments.explain.as_deref().map(Digest::parse) {
        return wrong_use(&format!("{}: {error}", arguments.explain.as_deref().unwrap_or_default()));
    }
    let request = match &arguments.explain {
        Some(digest) => Request::Explain(digest.clone()),
        None if arguments.now => Request::CollectNow,
        None => Request::Garbage,
    };
    let answer = arguments.data.load().and_then(|config| ask(config, &request));
    match answer {
        Ok(Answer::Collected(collected)) => show_collected(&collected, arguments.json),
        Ok(Answer::Report(report)) if arguments.json => say!("{report}"),
        Ok(Answer::Report(report)) if arguments.explain.is_some() => show_explanation(&report),
        Ok(Answer::Report(report)) => show_garbage(&report),
        Ok(Answer::Failed(words)) => {
            eprintln!("wharfinger: {words}");
            return ExitCode::from(FOUND_WRONG);
        }
        Err(words) => return wrong_use(&words),
    }
    ExitCode::SUCCESS
}

/// Asks the server that runs on the directory, or does it here where none does.
fn ask(config: Config, request: &Request) -> Result<Answer, String> {
    let asked = control::ask(&config.data, request);
    if let Some(answer) = asked.map_err(|error| format!("the running server does not answer: {error}"))? {
        return Ok(answer);
    }
    let changes = matches!(request, Request::CollectNow);
    let store = if changes { reopen_store(&config) } else { look_at_store(&config) };
    let registry = Registry::new(store.map_err(|error| error.to_string())?, Arc::new(SystemClock), config);
    if changes {
        registry.recover().map_err(|error| format!("the start failed: {error}"))?;
    }
    Ok(control::answer(&registry, request))
}

fn show_collected(collected: &Collected, json: bool) {
    if json {
        say!("{}", serde_json::to_string(collected).expect("numbers are JSON"));
        return;
    }
    say!(
        "dropped {} deleted manifests and {} blobs of {} bytes, ended {} leases, unlinked {} files",
        collected.manifests,
        collected.blobs,
        collected.blob_bytes,
        collected.leases,
        collected.files
    );
    if collected.files_held {
        say!("files that a running backup needs may be among them: they are unlinked when it has ended");
    }
    if collected.ruled > 0 {
        say!("then the rules deleted {} manifests, which `undelete` can bring back", collected.ruled);
    }
}

fn show_garbage(report: &Value) {
    let amount = |key: &str| {
        let amount = &report[key];
        format!("{} manifests, {} blobs, {} bytes", amount["manifests"], amount["blobs"], amount["bytes"])
    };
    say!("may go now: {}", amount("due"));
    match report["kept_until_ms"].as_u64() {
        Some(until_ms) => say!("deleted and kept: {}, the last until {}", amount("kept"), time(until_ms)),
        None => say!("deleted and kept: nothing"),
    }
    if let Some(until_ms) = report["leased_until_ms"].as_u64() {
        say!("pushed and in no manifest yet: {}, the last until {}", amount("leased"), time(until_ms));
    }
    say!("files to be unlinked: {} of {} bytes", report["files"]["count"], report["files"]["bytes"]);
    let verdicts = entries(report, "rules");
    for verdict in verdicts.iter().filter(|verdict| verdict["goes"] == true) {
        let name = format!("{}@{}", text(verdict, "repository"), text(verdict, "digest"));
        say!("goes by rule: {name} ({}): {}", texts(verdict, "tags"), text(verdict, "why"));
    }
    if !verdicts.is_empty() {
        let kept = verdicts.iter().filter(|verdict| verdict["goes"] != true).count();
        say!("kept by rule: {kept} (--json says why each is)");
    }
}

fn show_explanation(report: &Value) {
    let entries = |key| entries(report, key);
    let at = |value: &Value| time(value.as_u64().unwrap_or_default());
    let tags = |entry: &Value| {
        let tags = match texts(entry, "tags") {
            tags if tags.is_empty() => "without a tag".to_owned(),
            tags => format!("tags {tags}"),
        };
        match texts(entry, "through") {
            through if through.is_empty() => tags,
            through => format!("reached by {through}, {tags}"),
        }
    };
    let mut lines = Vec::new();
    for entry in entries("visible_in") {
        lines.push(format!("a manifest of {}, {}", text(entry, "repository"), tags(entry)));
    }
    for entry in entries("deleted_in") {
        let (repository, due) = (text(entry, "repository"), at(&entry["due_at_ms"]));
        lines.push(format!("a deleted manifest of {repository}, {}, which goes at {due}", tags(entry)));
    }
    if let Some(bytes) = report["blob_bytes"].as_u64() {
        lines.push(format!("a stored blob of {bytes} bytes"));
    }
    for entry in entries("needed_by") {
        let (repository, manifest) = (text(entry, "repository"), text(entry, "manifest"));
        lines.push(format!("needed by {manifest} of {repository}, {}", tags(entry)));
    }
    for entry in entries("leases") {
        let (repository, end) = (text(entry, "repository"), at(&entry["ends_at_ms"]));
        lines.push(format!("leased in {repository} until {end}"));
    }
    for entry in entries("kept_by") {
        let (repository, due) = (text(entry, "repository"), at(&entry["due_at_ms"]));
        let manifest = text(entry, "manifest");
        lines.push(format!("kept by {manifest}, deleted in {repository}, which goes at {due}"));
    }
    if let Some(damaged_ms) = report["damaged_at_ms"].as_u64() {
        let found = time(damaged_ms);
        lines.push(format!(
            "its file was found damaged at {found}: push it again, which puts a new one there"
        ));
    }
    if report["gone"].is_object() {
        lines.push(gone_line(&report["gone"]));
    }
    for name in entries("pinned_in") {
        lines.push(format!("pinned in {}", name.as_str().unwrap_or_default()));
    }
    if report["file_to_be_unlinked"] == true {
        lines.push("collected: a file of it is to be unlinked".to_owned());
    }
    if lines.is_empty() {
        lines.push("not here: never pushed, or collected".to_owned());
    }
    say!("{}", lines.join("\n"));
}

/// Why something went.
fn gone_line(gone: &Value) -> String {
    let when = match gone["gone_at_ms"].as_u64() {
        Some(at_ms) => format!("went at {}", time(at_ms)),
        None => "goes at the collector's next look".to_owned(),
    };
    let repository = text(gone, "repository");
    let why = match text(gone, "why") {
        "lease" => format!("its lease in {repository} ended, and no manifest needed it"),
        "unlinked" => format!("it was deleted from {repository} by its digest"),
        _ => {
            let deleted = time(gone["deleted_at_ms"].as_u64().unwrap_or_default());
            let (manifest, who) = (text(gone, "manifest"), text(gone, "who"));
            format!(
                "{who} deleted manifest {manifest} of {repository} at {deleted}, and nothing else needed it"
            )
        }
    };
    format!("{when}: {why}")
}
