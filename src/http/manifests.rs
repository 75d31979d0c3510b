//! `/v2/<name>/manifests/<reference>` (distribution-spec, "Pulling manifests", "Pushing Manifests", "Deleting
//! Manifests").

use super::app::Call;
use super::body;
use super::error::{ApiError, Code};
use super::reply::{CONTENT_DIGEST, SUBJECT, blocking, created};
use crate::oci::{Reference, RepositoryName};
use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use actix_web::web::Payload;

/// GET and HEAD. What is stored is served: nothing is converted to what the client would rather have.
pub async fn get(call: &Call, name: RepositoryName, reference: Reference) -> Result<HttpResponse, ApiError> {
    let (registry, head) = (call.registry(), call.is_head());
    let manifest = blocking(move || {
        if head { registry.stat_manifest(&name, &reference) } else { registry.manifest(&name, &reference) }
    })
    .await?;
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::CONTENT_TYPE, manifest.media_type))
        .insert_header((header::ETAG, format!("\"{}\"", manifest.digest)))
        .insert_header((CONTENT_DIGEST, manifest.digest.to_string()));
    Ok(if head { response.body(body::unsent(manifest.size)) } else { response.body(manifest.bytes) })
}

/// PUT: stores the manifest and its tag.
pub async fn put(
    call: &Call,
    name: RepositoryName,
    reference: Reference,
    payload: &mut Payload,
) -> Result<HttpResponse, ApiError> {
    let max_bytes = call.state.registry.config().settings.manifest_max_bytes;
    let (status, code) = (StatusCode::BAD_REQUEST, Code::ManifestInvalid);
    let content_type = call.decisive_header(&header::CONTENT_TYPE, status, code)?.map(str::to_owned);
    let bytes = body::collect(payload, max_bytes).await?;
    let (registry, repository) = (call.registry(), name.clone());
    let pushed =
        blocking(move || registry.put_manifest(&repository, &reference, content_type.as_deref(), bytes))
            .await?;
    let mut response = created(&format!("/v2/{name}/manifests/{}", pushed.digest), pushed.digest);
    if let Some(subject) = pushed.subject {
        response.insert_header((SUBJECT, subject.to_string()));
    }
    Ok(response.finish())
}

/// DELETE: a tag goes alone, a manifest with its tags.
pub async fn delete(
    call: &Call,
    name: RepositoryName,
    reference: Reference,
) -> Result<HttpResponse, ApiError> {
    let registry = call.registry();
    blocking(move || match reference {
        Reference::Tag(tag) => registry.delete_tag(&name, &tag),
        Reference::Digest(digest) => registry.delete_manifest(&name, digest).map(drop),
    })
    .await?;
    Ok(HttpResponse::Accepted().finish())
}
