//! `wharfinger audit`.

use super::actions::{self, Action, AuditQuery, Directory};
use super::text::{entries, moment, number, plain, text, time};
use super::{DataArguments, wrong_use};
use crate::config::Pattern;
use jiff::Timestamp;
use serde_json::Value;
use std::process::ExitCode;

/// How many acts are asked for at once.
const PAGE: usize = 1000;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    data: DataArguments,
    /// Acts since then: 2h, 7d, 2026-08-01T12:00:00Z, or 2026-08-01 12:00 (UTC)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Acts until then
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Acts in repositories of this pattern, such as team/**
    #[arg(long, value_name = "PATTERN")]
    repo: Option<String>,
    /// Acts of this user; also anonymous, robot:NAME, local (commands) and rule
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Acts of this kind, such as manifest.delete
    #[arg(long, value_name = "WORD")]
    action: Option<String>,
    /// So many, the newest
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// Answer in JSON, an object a line
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> ExitCode {
    let acts = query(arguments).and_then(|query| gather(&arguments.data, query, arguments.limit));
    let acts = match acts {
        Ok(acts) => acts,
        Err(words) => return wrong_use(&words),
    };
    for act in acts.iter().rev() {
        if arguments.json {
            say!("{act}");
        } else {
            say!("{}", line_of(act));
        }
    }
    if acts.is_empty() && !arguments.json {
        say!("no such act is remembered");
    }
    ExitCode::SUCCESS
}

/// Checks what is asked for before anybody is asked.
fn query(arguments: &Arguments) -> Result<AuditQuery, String> {
    let now = Timestamp::now();
    let time = |text: &Option<String>| text.as_deref().map(|text| ago(text, now)).transpose();
    if let Some(pattern) = &arguments.repo {
        Pattern::parse(pattern).map_err(|error| format!("--repo {pattern}: {error}"))?;
    }
    if let Some(word) = &arguments.action {
        actions::audit_action(word).map_err(|error| format!("--action {error}"))?;
    }
    Ok(AuditQuery {
        since_ms: time(&arguments.since)?,
        until_ms: time(&arguments.until)?,
        repo: arguments.repo.clone(),
        user: arguments.user.clone(),
        action: arguments.action.clone(),
        last: None,
        limit: 0,
    })
}

/// A time, or how long ago it was: `2h` is `2h ago`.
fn ago(text: &str, now: Timestamp) -> Result<u64, String> {
    moment(text, now).or_else(|error| moment(&format!("{text} ago"), now).map_err(|_| error))
}

/// The newest acts, the newest first, page by page.
fn gather(data: &DataArguments, mut query: AuditQuery, limit: usize) -> Result<Vec<Value>, String> {
    let mut directory = Directory::of(data)?;
    let mut acts = Vec::new();
    while acts.len() < limit {
        query.limit = PAGE.min(limit - acts.len());
        let page = directory.report(Action::Audit(query.clone()))?;
        acts.extend_from_slice(entries(&page, "acts"));
        match text(&page, "next") {
            "" => break,
            next => query.last = Some(next.to_owned()),
        }
    }
    Ok(acts)
}

/// An act in a line.
fn line_of(act: &Value) -> String {
    let part = |before: &str, key: &str| match text(act, key) {
        "" => String::new(),
        text => format!("{before}{text}"),
    };
    let tags: Vec<_> = entries(act, "tags").iter().filter_map(Value::as_str).collect();
    let tags = match number(act, "tags_count").saturating_sub(tags.len() as u64) {
        0 if tags.is_empty() => String::new(),
        0 => format!(" ({})", tags.join(", ")),
        more => format!(" ({} and {more} more)", tags.join(", ")),
    };
    let line = [
        time(number(act, "at_ms")),
        part("  ", "action"),
        part(" ", "repository"),
        part("@", "digest"),
        tags,
        part(": ", "detail"),
        part("  by ", "who"),
        part(" from ", "address"),
        part(", request ", "request_id"),
    ];
    plain(&line.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line() {
        let act = serde_json::json!({
            "at_ms": 1_785_585_600_000_u64,
            "action": "manifest.push",
            "who": "eve\u{1b}[31m\n",
            "address": "192.0.2.7",
            "request_id": "00ff",
            "repository": "team/app",
            "digest": "sha256:00",
            "tags": ["v1", "v2"],
            "tags_count": 7,
            "detail": "v1 was sha256:11",
        });
        assert_eq!(
            line_of(&act),
            "2026-08-01T12:00:00Z  manifest.push team/app@sha256:00 (v1, v2 and 5 more): v1 was sha256:11  \
             by eve\\u{1b}[31m\\n from 192.0.2.7, request 00ff"
        );
        let act = serde_json::json!({"at_ms": 0, "action": "gc.now", "who": "local", "address": null});
        assert_eq!(line_of(&act), "1970-01-01T00:00:00Z  gc.now  by local");
    }

    #[test]
    fn how_long_ago_is_a_time() {
        let now: Timestamp = "2026-08-08T12:00:00Z".parse().unwrap();
        let noon = 1_785_585_600_000;
        for text in ["7d", "168h", "1w", "7d ago", "-7d", "2026-08-01T12:00:00Z", "2026-08-01 12:00"] {
            assert_eq!(ago(text, now), Ok(noon), "{text}");
        }
        for text in ["", "7", "soon", "1d 2x", "9999y"] {
            assert!(ago(text, now).is_err(), "{text}");
        }
    }
}
