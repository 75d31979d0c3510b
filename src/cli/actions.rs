//! What commands can have done to the repositories of a directory: by the server that has it open, or by the
//! command itself.

use super::accounts::{self, AccountAction};
use super::control::{self, Answer, Request};
use super::{DataArguments, FOUND_WRONG, look_at_store, reopen_store, wrong_use};
use crate::config::{Config, Pattern};
use crate::oci::{Digest, Reference, RepositoryName, Tag};
use crate::registry::{Act, AuditAction, AuditFilter, Error, Registry, Restored, SystemClock};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::process::ExitCode;
use std::sync::Arc;

/// Who does it, by the history and the audit.
pub const WHO: &str = "local";

/// What is said of an answer to another question.
const OTHER_VERSION: &str = "the running server answers something else: is it of another version?";

/// How many acts one answer has.
const AUDIT_PAGE_MAX: usize = 1000;

/// How many changes of a tag one answer has.
const HISTORY_MAX: usize = 10_000;

/// Which acts are asked for, as it is said on the command line.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct AuditQuery {
    /// In milliseconds since the epoch, both ends in it.
    pub since_ms: Option<u64>,
    /// The other end.
    pub until_ms: Option<u64>,
    /// A pattern.
    pub repo: Option<String>,
    /// A name.
    pub user: Option<String>,
    /// A word.
    pub action: Option<String>,
    /// Behind this act, going back in time.
    pub last: Option<String>,
    /// No more than these.
    pub limit: usize,
}

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
    /// Who did what.
    Audit(AuditQuery),
}

impl Action {
    /// Whether it only looks.
    const fn only_looks(&self) -> bool {
        match self {
            Self::TagHistory(..)
            | Self::Pins
            | Self::Repositories(_)
            | Self::Repository(..)
            | Self::Audit(_) => true,
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
            let digest = registry.unpin(&repository(name)?, &reference(what)?, WHO).map_err(words)?;
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
        Action::Audit(query) => audit(registry, query),
        Action::DeleteRepository(name) => {
            registry.delete_repository(&repository(name)?, WHO).map_err(words)?;
            Ok(json!({}))
        }
        Action::RenameRepository(from, to) => {
            registry.rename_repository(&repository(from)?, &repository(to)?, WHO).map_err(words)?;
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

fn audit(registry: &Registry, query: &AuditQuery) -> Result<Value, String> {
    let last = query.last.as_deref().map(|last| last.parse().map_err(|error| format!("{last}: {error}")));
    let repository =
        query.repo.as_deref().map(|text| Pattern::parse(text).map_err(|error| error.to_string()));
    let filter = AuditFilter {
        since_ms: query.since_ms,
        until_ms: query.until_ms,
        repository: repository.transpose()?,
        who: query.user.clone(),
        action: query.action.as_deref().map(audit_action).transpose()?,
    };
    let limit = query.limit.min(AUDIT_PAGE_MAX);
    let page = registry.audit(&filter, last.transpose()?, limit).map_err(|error| error.to_string())?;
    let acts: Vec<_> = page.acts.iter().map(Act::to_json).collect();
    Ok(json!({"acts": acts, "next": page.next.map(|next| next.to_string())}))
}

/// The action of the audit that a word names; the refusal says which there are.
pub fn audit_action(word: &str) -> Result<AuditAction, String> {
    AuditAction::parse(word).ok_or_else(|| {
        let known: Vec<_> = AuditAction::ALL.iter().map(|action| action.word()).collect();
        format!("{word}: expected one of {}", known.join(", "))
    })
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
    let answer = action.and_then(|action| Directory::of(data)?.ask(action));
    match answer {
        Ok(Answer::Report(report)) => Ok(report),
        Ok(Answer::Failed(words)) => {
            eprintln!("wharfinger: {words}");
            Err(ExitCode::from(FOUND_WRONG))
        }
        Ok(_) => Err(wrong_use(OTHER_VERSION)),
        Err(words) => Err(wrong_use(&words)),
    }
}

/// A directory of which something is asked once or, page by page, more often.
pub struct Directory {
    config: Config,
    /// Opened here, where no server has it open.
    opened: Option<Registry>,
}

impl Directory {
    /// The directory that the arguments name.
    pub fn of(data: &DataArguments) -> Result<Self, String> {
        Ok(Self { config: data.load()?, opened: None })
    }

    /// The configuration that names it.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Has it done. What only looks may be followed only by what only looks.
    fn ask(&mut self, action: Action) -> Result<Answer, String> {
        let only_looks = action.only_looks();
        let request = Request::Do(action);
        if let Some(registry) = &self.opened {
            return Ok(control::answer(registry, &request));
        }
        let asked = control::ask(&self.config.data, &request);
        if let Some(answer) = asked.map_err(|error| format!("the running server does not answer: {error}"))? {
            return Ok(answer);
        }
        let config = self.config.clone();
        let store = if only_looks { look_at_store(&config) } else { reopen_store(&config) };
        let store = store.map_err(|error| error.to_string())?;
        let registry = Registry::new(store, Arc::new(SystemClock), config);
        if !only_looks {
            registry.recover().map_err(|error| format!("the start failed: {error}"))?;
        }
        Ok(control::answer(self.opened.insert(registry), &request))
    }

    /// The report on something that is looked at.
    pub fn report(&mut self, action: Action) -> Result<Value, String> {
        match self.ask(action)? {
            Answer::Report(report) => Ok(report),
            Answer::Failed(words) => Err(words),
            Answer::Collected(_) => Err(OTHER_VERSION.to_owned()),
        }
    }
}
