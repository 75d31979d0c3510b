//! `/api/v1/audit`: who did what, for those who run the registry.

use super::call::Call;
use super::error::{ApiError, Code};
use super::query::{Query, next_link};
use super::reply::blocking;
use super::reports::expect_ruler;
use crate::config::Pattern;
use crate::registry::{Act, AuditAction, AuditFilter};
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header;
use serde_json::json;

/// GET: who did what, the newest first.
pub async fn audit(call: &Call) -> Result<HttpResponse, ApiError> {
    expect_ruler(call)?;
    let limit = call.query.page_limit(call.state.registry.config().settings.page_max)?;
    let last = call.query.last(str::parse)?;
    let filter = audit_filter(&call.query)?;
    let registry = call.registry();
    let page = blocking(move || registry.audit(&filter, last, limit)).await?;
    let mut response = HttpResponse::Ok();
    if let Some(next) = page.next {
        let (next, limit) = (next.to_string(), limit.to_string());
        let asked = FILTERS.iter().filter_map(|&name| Some((name, call.query.get(name)?)));
        let parameters: Vec<_> = asked.chain([("last", next.as_str()), ("n", limit.as_str())]).collect();
        response.insert_header((header::LINK, next_link("/api/v1/audit", &parameters)));
    }
    let acts: Vec<_> = page.acts.iter().map(Act::to_json).collect();
    Ok(response.content_type("application/json").body(json!({"acts": acts}).to_string()))
}

/// What the audit can be asked for.
const FILTERS: [&str; 5] = ["since_ms", "until_ms", "repo", "user", "action"];

fn audit_filter(query: &Query) -> Result<AuditFilter, ApiError> {
    let refuse = |name: &str, words: &str| {
        let message = format!("{name}: {words}");
        ApiError::new(StatusCode::BAD_REQUEST, Code::Unsupported, &message)
    };
    let time = |name: &str| {
        let number = query.get(name).map(str::parse::<u64>).transpose();
        number.map_err(|_| refuse(name, "expected milliseconds since the epoch"))
    };
    let repository = query.get("repo").map(Pattern::parse).transpose();
    let action = query.get("action").map(|word| AuditAction::parse(word).ok_or(word)).transpose();
    Ok(AuditFilter {
        since_ms: time("since_ms")?,
        until_ms: time("until_ms")?,
        repository: repository.map_err(|error| refuse("repo", &error.to_string()))?,
        who: query.get("user").map(str::to_owned),
        action: action.map_err(|word| refuse("action", &format!("{word:?} is no action of the audit")))?,
    })
}
