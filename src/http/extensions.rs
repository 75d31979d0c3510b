//! `/v2/_oci/...` (distribution-spec, extensions/_oci.md): what there is beyond the specification.

use super::call::Call;
use super::error::ApiError;
use super::query::next_link;
use super::reply::blocking;
use crate::auth::Action;
use crate::oci::{RepositoryName, Tag, media_type};
use crate::registry::rfc3339;
use actix_web::HttpResponse;
use actix_web::http::header;
use serde_json::{Value, json};

/// When a tag was set to a manifest; proposed for lists of tags (distribution-spec, pull request 579).
const CREATED: &str = "org.opencontainers.image.ref.created";
/// When a tag was removed or moved on.
const ENDED: &str = "dev.wharfinger.ref.ended";
/// Why and by whom it was set.
const CAUSE: &str = "dev.wharfinger.ref.cause";
const WHO: &str = "dev.wharfinger.ref.by";

/// GET: the extensions of the registry; those of a repository are the same.
pub fn discover() -> HttpResponse {
    let oci = json!({
        "name": "_oci",
        "description": "Discovery of extensions",
        "url": "https://github.com/opencontainers/distribution-spec/blob/main/extensions/_oci.md",
        "endpoints": [
            "/v2/_oci/ext/discover", "/v2/{name}/_oci/ext/discover", "/v2/{name}/_oci/tag-history/{tag}",
        ],
    });
    HttpResponse::Ok().content_type("application/json").body(json!({ "extensions": [oci] }).to_string())
}

/// GET: what a tag named, the newest first, as an index (proposed by distribution-spec, pull request 606). A
/// tag without a history is no error; one that is deleted keeps its own.
pub async fn tag_history(call: &Call, name: RepositoryName, tag: Tag) -> Result<HttpResponse, ApiError> {
    let limit = call.query.page_limit(call.state.registry.config().settings.page_max)?;
    let last = call.query.last(str::parse::<u64>)?;
    let (view, repository, named) = (call.view(), name.clone(), tag.clone());
    let (changes, more, mut ended) = blocking(move || {
        let (changes, more) = view.tag_history(&repository, &named, last, limit)?;
        // The first of a page ended with the change before it.
        let newer = match last.and_then(|last| last.checked_add(1)) {
            Some(above) => view.tag_history(&repository, &named, Some(above), 1)?.0,
            None => Vec::new(),
        };
        let ended = newer.first().map(|newer| newer.record.at_ms);
        Ok::<_, crate::registry::Error>((changes, more, ended))
    })
    .await?;
    // Who there is, and from which addresses they come, is for those who run the repository.
    let names_people = call.may(Action::Admin, &name);
    let mut manifests: Vec<Value> = Vec::new();
    for change in &changes {
        if let Some(after) = &change.record.after {
            let mut annotations = json!({
                CREATED: rfc3339(change.record.at_ms),
                CAUSE: change.record.cause.word(),
            });
            if names_people {
                annotations[WHO] = json!(change.record.who);
            }
            if let Some(ended_ms) = ended {
                annotations[ENDED] = json!(rfc3339(ended_ms));
            }
            manifests.push(json!({
                "mediaType": after.media_type,
                "digest": after.digest,
                "size": after.size,
                "annotations": annotations,
            }));
        }
        ended = Some(change.record.at_ms);
    }
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CONTENT_TYPE, media_type::OCI_INDEX));
    if let (true, Some(last)) = (more, changes.last()) {
        let (last, limit) = (last.number.to_string(), limit.to_string());
        let path = format!("/v2/{name}/_oci/tag-history/{tag}");
        response.insert_header((header::LINK, next_link(&path, &[("last", &last), ("n", &limit)])));
    }
    let index = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": manifests});
    Ok(response.body(index.to_string()))
}
