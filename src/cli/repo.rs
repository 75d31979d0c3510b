//! `wharfinger repo` and `wharfinger copy`.

use super::DataArguments;
use super::actions::{self, Action};
use super::text::{entries, number, size, text, time};
use serde_json::Value;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the repositories and how large they are
    Ls(List),
    /// Say what a repository holds, what each tag would free, and what is deleted and when it goes
    Show(Show),
    /// Delete a repository with all that is in it; `undelete` brings it back for a while
    Delete(One),
    /// Give a repository another name
    Rename(Two),
}

#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    data: DataArguments,
    /// Go on behind this repository
    #[arg(long, value_name = "REPOSITORY")]
    last: Option<String>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Show {
    #[command(flatten)]
    data: DataArguments,
    repository: String,
    /// Go on behind this tag
    #[arg(long, value_name = "TAG")]
    last: Option<String>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct One {
    #[command(flatten)]
    data: DataArguments,
    repository: String,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// Two repositories.
#[derive(Debug, clap::Args)]
pub struct Two {
    #[command(flatten)]
    data: DataArguments,
    /// The repository there is
    from: String,
    /// The name there is not yet
    to: String,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

impl Two {
    fn names(&self) -> Result<(String, String), String> {
        Ok((actions::name(&self.from)?, actions::name(&self.to)?))
    }
}

pub fn run(arguments: &Arguments) -> ExitCode {
    match &arguments.command {
        Command::Ls(list) => {
            let behind = list.last.as_deref().map(actions::name).transpose();
            actions::run(&list.data, behind.map(Action::Repositories), list.json, show_list)
        }
        Command::Show(show) => {
            let action =
                actions::name(&show.repository).map(|name| Action::Repository(name, show.last.clone()));
            actions::run(&show.data, action, show.json, show_one)
        }
        Command::Delete(one) => {
            let action = actions::name(&one.repository).map(Action::DeleteRepository);
            actions::run(&one.data, action, one.json, |_| {
                say!("deleted; `wharfinger undelete` with the same name brings it back for a while");
            })
        }
        Command::Rename(two) => {
            let action = two.names().map(|(from, to)| Action::RenameRepository(from, to));
            actions::run(&two.data, action, two.json, |_| say!("renamed"))
        }
    }
}

/// `wharfinger copy`.
pub fn copy(two: &Two) -> ExitCode {
    let action = two.names().map(|(from, to)| Action::CopyRepository(from, to));
    actions::run(&two.data, action, two.json, |report| {
        say!("copied {} manifests and {} tags", number(report, "manifests"), number(report, "tags"));
    })
}

fn show_list(report: &Value) {
    say!("{:>10} {:>10} {:>9} {:>7}  REPOSITORY", "SIZE", "ITS OWN", "MANIFESTS", "TAGS");
    for row in entries(report, "repositories") {
        let (bytes, own) = (size(number(row, "blob_bytes")), size(number(row, "own_bytes")));
        let (manifests, tags) = (number(row, "manifests"), number(row, "tags"));
        say!("{bytes:>10} {own:>10} {manifests:>9} {tags:>7}  {}", text(row, "name"));
    }
    let all = &report["registry"];
    let (bytes, stored) = (size(number(all, "blob_bytes")), size(number(all, "stored_bytes")));
    say!("{bytes:>10} in all, each blob counted once; {stored} stored with what is leased or deleted");
    if report["more"] == true
        && let Some(last) = entries(report, "repositories").last()
    {
        say!("more: --last {}", text(last, "name"));
    }
}

fn show_one(report: &Value) {
    let of = |key: &str| size(number(report, key));
    say!("{}", text(report, "name"));
    say!("  {} manifests, {} tags", number(report, "manifests"), number(report, "tags"));
    say!(
        "  {} in {} blobs: {} its own, {} shared with other repositories",
        of("blob_bytes"),
        number(report, "blobs"),
        of("own_bytes"),
        of("shared_bytes")
    );
    let untagged = &report["untagged"];
    if number(untagged, "manifests") > 0 {
        let frees = size(number(untagged, "frees_bytes"));
        say!("  {} manifests without a tag: deleting them frees {frees}", number(untagged, "manifests"));
    }
    let deleted = &report["deleted"];
    if number(deleted, "manifests") > 0 {
        let (bytes, until) = (size(number(deleted, "bytes")), time(number(deleted, "until_ms")));
        say!("  {} deleted manifests: {bytes} go, the last at {until}", number(deleted, "manifests"));
    }
    say!("  {:>10} {:>10}  {:<20}  TAG", "SIZE", "FREES", "PUSHED");
    for tag in entries(report, "tag_list") {
        let (bytes, frees) = (size(number(tag, "bytes")), size(number(tag, "frees_bytes")));
        let pushed = time(number(tag, "pushed_at_ms"));
        say!("  {bytes:>10} {frees:>10}  {pushed:<20}  {}  {}", text(tag, "tag"), text(tag, "digest"));
    }
    if report["more_tags"] == true
        && let Some(last) = entries(report, "tag_list").last()
    {
        say!("  more: --last {}", text(last, "tag"));
    }
}
