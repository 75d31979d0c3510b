//! `/api/v1/repositories` and `/api/v1/audit`: what there is and how large it is, and who did what, for
//! programs of this machine.

use super::app::Call;
use super::error::{ApiError, Code};
use super::query::{Query, next_link};
use super::reply::blocking;
use crate::config::Pattern;
use crate::oci::{RepositoryName, Tag};
use crate::registry::{Act, AuditAction, AuditFilter};
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName};
use serde_json::json;
use std::net::IpAddr;

/// What those add who pass on the requests of others.
const PASSED_ON: [HeaderName; 5] = [
    header::FORWARDED,
    header::VIA,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-real-ip"),
];

/// GET: the repositories.
pub async fn repositories(call: &Call) -> Result<HttpResponse, ApiError> {
    expect_local(call)?;
    let limit = call.query.page_limit(call.state.registry.config().settings.page_max)?;
    let last = call.query.last(RepositoryName::parse)?;
    let registry = call.registry();
    let (totals, (rows, more)) = blocking(move || {
        Ok::<_, crate::registry::Error>((registry.totals()?, registry.repositories(last.as_ref(), limit)?))
    })
    .await?;
    let mut response = HttpResponse::Ok();
    if let (true, Some(last)) = (more, rows.last()) {
        let limit = limit.to_string();
        let link = next_link("/api/v1/repositories", &[("last", &last.name), ("n", &limit)]);
        response.insert_header((header::LINK, link));
    }
    let body = json!({"registry": totals, "repositories": rows});
    Ok(response.content_type("application/json").body(body.to_string()))
}

/// GET: one repository with its tags.
pub async fn repository(call: &Call, name: RepositoryName) -> Result<HttpResponse, ApiError> {
    expect_local(call)?;
    let limit = call.query.page_limit(call.state.registry.config().settings.page_max)?;
    let last = call.query.last(Tag::parse)?;
    let (registry, repository) = (call.registry(), name.clone());
    let report = blocking(move || registry.repository(&repository, last.as_ref(), limit)).await?;
    let mut response = HttpResponse::Ok();
    if let (true, Some(last)) = (report.more_tags, report.tag_list.last()) {
        let limit = limit.to_string();
        let path = format!("/api/v1/repositories/{name}");
        response.insert_header((header::LINK, next_link(&path, &[("last", &last.tag), ("n", &limit)])));
    }
    Ok(response.content_type("application/json").body(json!(report).to_string()))
}

/// GET: who did what, the newest first.
pub async fn audit(call: &Call) -> Result<HttpResponse, ApiError> {
    expect_local(call)?;
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

/// Until there are accounts, these numbers are for this machine alone: not for whoever asks through a proxy
/// on it, nor for a page in a browser that believes a name of its own to be this host.
pub fn expect_local(call: &Call) -> Result<(), ApiError> {
    let request = &call.request;
    let from_here = request.peer_addr().is_some_and(|peer| peer.ip().to_canonical().is_loopback());
    let passed_on = PASSED_ON.iter().any(|name| request.headers().contains_key(name));
    let host = call.header(&header::HOST).or_else(|| request.uri().host());
    if from_here && !passed_on && host.is_some_and(is_local_host) {
        return Ok(());
    }
    let message = "only requests made on the registry's machine, to a loopback address, get an answer here";
    Err(ApiError::new(StatusCode::FORBIDDEN, Code::Denied, message))
}

fn is_local_host(host: &str) -> bool {
    let without_port = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    without_port.eq_ignore_ascii_case("localhost")
        || without_port.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_local() {
        for host in ["localhost", "LOCALHOST:5000", "127.0.0.1:5000", "127.9.9.9", "[::1]:5000"] {
            assert!(is_local_host(host), "{host}");
        }
        for host in ["", "evil.example", "127.0.0.1.evil.example", "10.0.0.1:5000", "[::2]", "localhost.evil"]
        {
            assert!(!is_local_host(host), "{host}");
        }
    }
}
