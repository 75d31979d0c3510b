//! `/v2/<name>/referrers/<digest>` (distribution-spec, "Listing Referrers").

use super::call::Call;
use super::error::{ApiError, Code};
use super::query::next_link;
use super::reply::{FILTERS_APPLIED, blocking};
use crate::oci::{Digest, RepositoryName, media_type};
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header;

/// GET: an index of the manifests whose subject is `digest`; an empty one where there is nothing to say.
pub async fn list(call: &Call, name: RepositoryName, digest: Digest) -> Result<HttpResponse, ApiError> {
    let filter = call.query.get("artifactType").map(str::to_owned);
    let last = call.query.get("last").map(Digest::parse).transpose().map_err(|error| {
        ApiError::new(StatusCode::BAD_REQUEST, Code::PaginationNumberInvalid, &format!("last: {error}"))
    })?;
    let (view, repository, wanted) = (call.view(), name.clone(), filter.clone());
    let page = blocking(move || view.referrers(&repository, digest, wanted.as_deref(), last)).await?;
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CONTENT_TYPE, media_type::OCI_INDEX));
    if filter.is_some() {
        response.insert_header((FILTERS_APPLIED, "artifactType"));
    }
    if let Some(next) = page.next {
        let next = next.to_string();
        let mut parameters = Vec::new();
        if let Some(filter) = &filter {
            parameters.push(("artifactType", filter.as_str()));
        }
        parameters.push(("last", &next));
        let path = format!("/v2/{name}/referrers/{digest}");
        response.insert_header((header::LINK, next_link(&path, &parameters)));
    }
    // They are JSON already, and may be large.
    let manifests = page.descriptors.join(",");
    let head = format!("{{\"schemaVersion\":2,\"mediaType\":\"{}\"", media_type::OCI_INDEX);
    Ok(response.body(format!("{head},\"manifests\":[{manifests}]}}")))
}
