//! `/v2/<name>/tags/list` and `/v2/_catalog` (distribution-spec, "Listing Tags"; the catalog is
//! Distribution's).

use super::call::Call;
use super::error::ApiError;
use super::query::next_link;
use super::reply::{blocking, short_read};
use crate::oci::{RepositoryName, Tag};
use crate::registry::Page;
use actix_web::HttpResponse;
use actix_web::http::header;
use serde::Serialize;

/// A page of tags. It is written as it stands: a tree of values would be one more copy of each.
#[derive(Serialize)]
struct TagList<'a> {
    name: &'a str,
    tags: Vec<&'a str>,
}

/// A page of the catalog.
#[derive(Serialize)]
struct Repositories<'a> {
    repositories: Vec<&'a str>,
}

/// The longest page of tags that is read on the worker, so that no request there waits long for another one.
const SHORT_PAGE_ROWS: usize = 100;

/// GET: the tags of a repository.
pub async fn list(call: &Call, name: RepositoryName) -> Result<HttpResponse, ApiError> {
    let limit = call.query.page_limit(call.state.registry.config().settings.page_max)?;
    let last = call.query.last(Tag::parse)?;
    let view = call.view();
    let repository = name.clone();
    let read = move || view.tags(&repository, last.as_ref(), limit);
    let page = if limit <= SHORT_PAGE_ROWS {
        short_read(&call.state.registry, read).await?
    } else {
        blocking(read).await?
    };
    let tags: Vec<&str> = page.entries.iter().map(Tag::as_str).collect();
    let body = TagList { name: name.as_str(), tags };
    Ok(answer(&body, &page, Tag::as_str, &format!("/v2/{name}/tags/list"), limit))
}

/// GET: the repositories that have something to show.
pub async fn catalog(call: &Call) -> Result<HttpResponse, ApiError> {
    let limit = call.query.page_limit(call.state.registry.config().settings.page_max)?;
    let last = call.query.last(RepositoryName::parse)?;
    let view = call.view();
    let page = blocking(move || view.catalog(last.as_ref(), limit)).await?;
    let names: Vec<&str> = page.entries.iter().map(RepositoryName::as_str).collect();
    let body = Repositories { repositories: names };
    Ok(answer(&body, &page, RepositoryName::as_str, "/v2/_catalog", limit))
}

fn answer<T>(
    body: &impl Serialize,
    page: &Page<T>,
    text: impl Fn(&T) -> &str,
    path: &str,
    limit: usize,
) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    // A page of none has no last entry to go on behind, so it names no next one.
    if let (true, Some(last)) = (page.more, page.entries.last()) {
        let limit = limit.to_string();
        response.insert_header((header::LINK, next_link(path, &[("last", text(last)), ("n", &limit)])));
    }
    let body = serde_json::to_string(body).expect("texts are JSON");
    response.content_type("application/json").body(body)
}
