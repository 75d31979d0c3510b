//! What commands can have done to the repositories of a directory: by the server that has it open, or by the
//! command itself.

use super::accounts::{self, AccountAction};
use super::control::{self, Answer, Request};
use super::{DataArguments, FOUND_WRONG, config, look_at_store, reopen_store, wrong_use};
use crate::config::Config;
use crate::oci::{Digest, Reference, RepositoryName, Tag};
use crate::registry::{Error, Registry, Restored, SystemClock};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::process::ExitCode;
use std::sync::Arc;

/// Who does it, by the history.
const WHO: &str = "local";

/// How many changes of a tag one answer has.
const HISTORY_MAX: usize = 10_000;

/// One of these things.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Bring back what is deleted: repository and tag or digest, or all of it.
    Undelete(String, Option<String>),
    /// The changes of a tag: repository and tag.
    TagHistory(String, String),
    /// Set a tag to what it named at a time, in milliseconds since the epoch.
    TagRestore(String, String, u64),
    /// Pin a manifest: repository and tag or digest.
    Pin(String, String),
    /// Take a pin off.
    Unpin(String, String),
    /// Every pin.
    Pins,
    /// Repositories behind this name.
    Repositories(Option<String>),
    /// A repository, with its tags behind this one.
    Repository(String, Option<String>),
    /// Delete a repository.
    DeleteRepository(String),
    /// Rename one.
    RenameRepository(String, String),
    /// Copy one.
    CopyRepository(String, String),
    /// Something to users or tokens.
    Account(AccountAction),
}

impl Action {
    /// Whether it only looks.
    const fn only_looks(&self) -> bool {
        match self {
            Self::TagHistory(..) | Self::Pins | Self::Repositories(_) | Self::Repository(..) => true,
            Self::Account(action) => action.only_looks(),
            Self::Undelete(..)
            | Self::TagRestore(..)
            | Self::Pin(..)
            | Self::Unpin(..)
            | Self::DeleteRepository(_)
            | Self::RenameRepository(..)
            | Self::CopyRepository(..) => false,
        }
    }
}

/// Does it, the same in a server and in a command that has the directory to itself.
pub fn perform(registry: &Registry, action: &Action) -> Result<Value, String> {
    let done = perform_quietly(registry, action)?;
    if !action.only_looks() {
        log::info!("done for a command: {action:?}");
    }
    Ok(done)
}

fn perform_quietly(registry: &Registry, action: &Action) -> Result<Value, String> {
    let words = |error: Error| error.to_string();
    match action {
        Action::Undelete(name, what) => {
            let what = what.as_deref().map(reference).transpose()?;
            registry
                .undelete(&repository(name)?, what.as_ref(), WHO)
                .map(|done| restored(&done))
                .map_err(words)
        }
        Action::TagHistory(name, tag) => {
            let (name, tag) = (repository(name)?, self::tag(tag)?);
            let (changes, more) = registry.tag_history(&name, &tag, None, HISTORY_MAX).map_err(words)?;
            let changes: Vec<_> = changes.iter().map(change).collect();
            Ok(json!({"changes": changes, "more": more}))
        }
        Action::TagRestore(name, tag, at_ms) => {
            let (name, tag) = (repository(name)?, self::tag(tag)?);
            let (digest, done) = registry.restore_tag(&name, &tag, *at_ms, WHO).map_err(words)?;
            let mut report = restored(&done);
            report["digest"] = json!(digest);
            Ok(report)
        }
        Action::Pin(name, what) => {
            let digest = registry.pin(&repository(name)?, &reference(what)?, WHO).map_err(words)?;
            Ok(json!({"digest": digest}))
        }
        Action::Unpin(name, what) => {
            let digest = registry.unpin(&repository(name)?, &reference(what)?).map_err(words)?;
            Ok(json!({"digest": digest}))
        }
        Action::Pins => {
            let pins = registry.pins().map_err(words)?.into_iter().map(|pin| {
                let (since_ms, who) = (pin.record.since_ms, pin.record.who);
                json!({"repository": pin.repository, "digest": pin.digest, "since_ms": since_ms, "who": who})
            });
            Ok(json!({"pins": pins.collect::<Vec<_>>()}))
        }
        Action::Repositories(_) | Action::Repository(..) => look(registry, action),
        Action::DeleteRepository(name) => {
            registry.delete_repository(&repository(name)?, WHO).map_err(words)?;
            Ok(json!({}))
        }
        Action::RenameRepository(from, to) => {
            registry.rename_repository(&repository(from)?, &repository(to)?).map_err(words)?;
            Ok(json!({}))
        }
        Action::CopyRepository(from, to) => {
            let copied =
                registry.copy_repository(&repository(from)?, &repository(to)?, WHO).map_err(words)?;
            Ok(json!({"manifests": copied.manifests, "tags": copied.tags}))
        }
        Action::Account(action) => accounts::perform(registry, action, WHO),
    }
}

fn look(registry: &Registry, action: &Action) -> Result<Value, String> {
    let words = |error: Error| error.to_string();
    let limit = registry.config().settings.page_max;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    match action {
        Action::Repositories(last) => {
            let last = last.as_deref().map(repository).transpose()?;
            let (repositories, more) = registry.repositories(last.as_ref(), limit).map_err(words)?;
            let totals = registry.totals().map_err(words)?;
            Ok(json!({"registry": totals, "repositories": repositories, "more": more}))
        }
        Action::Repository(name, last) => {
            let last = last.as_deref().map(tag).transpose()?;
            let report = registry.repository(&repository(name)?, last.as_ref(), limit).map_err(words)?;
            Ok(json!(report))
        }
        _ => unreachable!("the caller has these two"),
    }
}

fn restored(done: &Restored) -> Value {
    let texts = |tags: &[Tag]| tags.iter().map(ToString::to_string).collect::<Vec<_>>();
    let (tags, in_use) = (texts(&done.tags), texts(&done.tags_in_use));
    json!({"manifests": done.manifests, "tags": tags, "tags_in_use": in_use})
}

fn change(change: &crate::registry::TagChange) -> Value {
    let record = &change.record;
    json!({
        "number": change.number,
        "at_ms": record.at_ms,
        "before": record.before,
        "after": record.after.as_ref().map(|after| after.digest),
        "cause": record.cause.word(),
        "who": record.who,
    })
}

fn repository(name: &str) -> Result<RepositoryName, String> {
    RepositoryName::parse(name).map_err(|error| format!("{name}: {error}"))
}

fn tag(tag: &str) -> Result<Tag, String> {
    Tag::parse(tag).map_err(|error| format!("{tag}: {error}"))
}

fn reference(text: &str) -> Result<Reference, String> {
    Reference::parse(text).map_err(|error| format!("{text}: {error}"))
}

/// A repository's name, checked before anybody is asked.
pub fn name(text: &str) -> Result<String, String> {
    repository(text).map(|name| name.to_string())
}

/// Reads `REPOSITORY`, `REPOSITORY:TAG` or `REPOSITORY@DIGEST`; the refusal says which was expected.
pub fn split(text: &str) -> Result<(String, Option<String>), String> {
    let (name, what) = match (text.split_once('@'), text.split_once(':')) {
        (Some((name, digest)), _) => {
            Digest::parse(digest).map_err(|error| format!("{digest}: {error}"))?;
            (name, Some(digest))
        }
        // A name holds no colon.
        (None, Some((name, tag))) => (name, Some(self::tag(tag)?).map(|_| tag)),
        (None, None) => (text, None),
    };
    repository(name)?;
    Ok((name.to_owned(), what.map(str::to_owned)))
}

/// Has the server that runs on the directory do it, or does it here where none does. Shows the answer as JSON
/// or by `show`.
pub fn run(
    data: &DataArguments,
    action: Result<Action, String>,
    json: bool,
    show: impl FnOnce(&Value),
) -> ExitCode {
    match done(data, action) {
        Ok(report) if json => say!("{report}"),
        Ok(report) => show(&report),
        Err(code) => return code,
    }
    ExitCode::SUCCESS
}

/// Has it done, and hands back the answer. Where there is none, it is said why.
pub fn done(data: &DataArguments, action: Result<Action, String>) -> Result<Value, ExitCode> {
    let inputs = data.config.inputs(&[("data", "--data", &data.data)]);
    let answer = action.and_then(|action| config::load(&inputs).and_then(|config| ask(config, action)));
    match answer {
        Ok(Answer::Report(report)) => Ok(report),
        Ok(Answer::Failed(words)) => {
            eprintln!("wharfinger: {words}");
            Err(ExitCode::from(FOUND_WRONG))
        }
        Ok(_) => Err(wrong_use("the running server answers something else: is it of another version?")),
        Err(words) => Err(wrong_use(&words)),
    }
}

fn ask(config: Config, action: Action) -> Result<Answer, String> {
    let request = Request::Do(action);
    let asked = control::ask(&config.data, &request);
    if let Some(answer) = asked.map_err(|error| format!("the running server does not answer: {error}"))? {
        return Ok(answer);
    }
    let only_looks = matches!(&request, Request::Do(action) if action.only_looks());
    let store = if only_looks { look_at_store(&config) } else { reopen_store(&config) };
    let registry = Registry::new(store.map_err(|error| error.to_string())?, Arc::new(SystemClock), config);
    if !only_looks {
        registry.recover().map_err(|error| format!("the start failed: {error}"))?;
    }
    Ok(control::answer(&registry, &request))
}
