//! `/api/v1/repositories`: what there is and how large it is, for programs.

use super::call::Call;
use super::error::{ApiError, Code};
use super::origin::{FORWARDED_FOR, FORWARDED_HOST, FORWARDED_PROTO};
use super::query::next_link;
use super::reply::blocking;
use crate::oci::{RepositoryName, Tag};
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName};
use serde_json::{Value, json};
use std::net::IpAddr;

/// What those add who pass on the requests of others.
const PASSED_ON: [HeaderName; 6] = [
    header::FORWARDED,
    header::VIA,
    FORWARDED_FOR,
    FORWARDED_PROTO,
    FORWARDED_HOST,
    HeaderName::from_static("x-real-ip"),
];

/// GET: the repositories.
pub async fn repositories(call: &Call) -> Result<HttpResponse, ApiError> {
    expect_user(call)?;
    let limit = call.query.page_limit(call.state.registry.config().settings.page_max)?;
    let last = call.query.last(RepositoryName::parse)?;
    let (view, registry, rules) = (call.view(), call.registry(), call.rules_registry());
    let (totals, (rows, more)) = blocking(move || {
        let totals = rules.then(|| registry.totals()).transpose()?;
        Ok::<_, crate::registry::Error>((totals, view.repositories(last.as_ref(), limit)?))
    })
    .await?;
    let mut response = HttpResponse::Ok();
    if let (true, Some(last)) = (more, rows.last()) {
        let limit = limit.to_string();
        let link = next_link("/api/v1/repositories", &[("last", &last.name), ("n", &limit)]);
        response.insert_header((header::LINK, link));
    }
    let mut body = json!({"repositories": rows});
    match totals {
        Some(totals) => body["registry"] = json!(totals),
        None => forget_others(&mut body),
    }
    Ok(response.content_type("application/json").body(body.to_string()))
}

/// GET: one repository with its tags.
pub async fn repository(call: &Call, name: RepositoryName) -> Result<HttpResponse, ApiError> {
    expect_user(call)?;
    let limit = call.query.page_limit(call.state.registry.config().settings.page_max)?;
    let last = call.query.last(Tag::parse)?;
    let (view, repository) = (call.view(), name.clone());
    let report = blocking(move || view.repository(&repository, last.as_ref(), limit)).await?;
    let mut response = HttpResponse::Ok();
    if let (true, Some(last)) = (report.more_tags, report.tag_list.last()) {
        let limit = limit.to_string();
        let path = format!("/api/v1/repositories/{name}");
        response.insert_header((header::LINK, next_link(&path, &[("last", &last.tag), ("n", &limit)])));
    }
    let mut body = json!(report);
    if !call.rules_registry() {
        forget_others(&mut body);
    }
    Ok(response.content_type("application/json").body(body.to_string()))
}

/// What depends on repositories that the caller may not read: how many of the bytes they share, and so what
/// would be freed.
const OF_OTHERS: [&str; 3] = ["own_bytes", "shared_bytes", "frees_bytes"];

/// Leaves out of a report what says something of other repositories.
fn forget_others(report: &mut Value) {
    match report {
        Value::Object(fields) => {
            fields.retain(|key, _| !OF_OTHERS.contains(&key.as_str()));
            if let Some(Value::Object(deleted)) = fields.get_mut("deleted") {
                deleted.remove("bytes");
            }
            fields.values_mut().for_each(forget_others);
        }
        Value::Array(entries) => entries.iter_mut().for_each(forget_others),
        _ => {}
    }
}

/// Where everybody may do everything, these numbers are for this machine alone; elsewhere each caller gets
/// those of what it may read.
fn expect_user(call: &Call) -> Result<(), ApiError> {
    if call.policy.is_open() { expect_local(call) } else { Ok(()) }
}

/// What is for those who run the registry: where nobody can be told from others, for this machine alone.
pub fn expect_ruler(call: &Call) -> Result<(), ApiError> {
    if call.policy.is_open() || call.asks_nobody {
        return expect_local(call);
    }
    if call.rules_registry() {
        return Ok(());
    }
    Err(call.question(&call.state.registry.config()).refuse_ruling())
}

/// What is for this machine alone is not for whoever asks through a proxy on it, nor for a page in a browser
/// that believes a name of its own to be this host. From where the configuration has a proxy nothing is
/// local: not every proxy adds a header, and nginx by itself names this machine as the host.
pub fn expect_local(call: &Call) -> Result<(), ApiError> {
    let request = &call.request;
    let from_here = request.peer_addr().is_some_and(|peer| peer.ip().to_canonical().is_loopback());
    let passed_on = PASSED_ON.iter().any(|name| request.headers().contains_key(name));
    let host = call.header(&header::HOST).or_else(|| request.uri().host());
    let proxied = passed_on || call.origin.is_proxied();
    if from_here && !proxied && host.is_some_and(is_local_host) {
        return Ok(());
    }
    let message = "only requests made on the registry's machine, to a loopback address and not through a \
                   proxy, get an answer here";
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
