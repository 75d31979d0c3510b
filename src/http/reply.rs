//! What answers have in common.

use super::conditions::entity_tag;
use super::error::ApiError;
use crate::oci::{Digest, RepositoryName, SessionId};
use crate::registry::Registry;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName};
use actix_web::{HttpResponse, HttpResponseBuilder, web};

/// The digest of what an answer holds or made.
pub const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// The session's id, for clients that keep it apart from the location.
pub const UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");
/// What the pushed manifest refers to.
pub const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
/// Which filters the list of referrers went through.
pub const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// The tags that a pushed manifest got.
pub const TAGS: HeaderName = HeaderName::from_static("oci-tag");
/// The host that the client believes the repository to be of.
pub const NAMESPACE: HeaderName = HeaderName::from_static("oci-namespace");

/// The most bytes of warnings in one answer (distribution-spec, "Warnings").
const WARNINGS_MAX_BYTES: usize = 4096;

/// Runs registry code on a thread that may block.
pub async fn blocking<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, ApiError>
where
    T: Send + 'static,
    E: Into<ApiError> + Send + 'static,
{
    match web::block(work).await {
        Ok(outcome) => outcome.map_err(Into::into),
        Err(error) => Err(ApiError::internal(format!("blocking work did not end: {error}"))),
    }
}

/// Runs a short read of the ledger on the worker that asks, unless it may have to wait just now. A lookup
/// there takes less than it costs to hand it to another thread and back; where its pages have to come from
/// the disk first, the worker's other requests wait for that, as they do for the inode of a file that is
/// opened. So nothing may be done here that reads many rows, waits for a commit or reads a file.
pub async fn short_read<T, E>(
    registry: &Registry,
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, ApiError>
where
    T: Send + 'static,
    E: Into<ApiError> + Send + 'static,
{
    if registry.reads_may_wait() {
        return blocking(work).await;
    }
    // What panics on a thread of its own is answered, too, and does not end the connection.
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)) {
        Ok(outcome) => outcome.map_err(Into::into),
        Err(_) => Err(ApiError::internal("a read of the ledger did not end".to_owned())),
    }
}

/// 201 for something that stands at `location` from now on.
pub fn created(location: &str, digest: Digest) -> HttpResponseBuilder {
    let mut response = HttpResponse::Created();
    response.insert_header((header::LOCATION, location)).insert_header((CONTENT_DIGEST, digest.to_string()));
    response
}

/// 304: the client has what has this digest.
pub fn not_modified(digest: Digest) -> HttpResponse {
    HttpResponse::NotModified()
        .insert_header((header::ETAG, entity_tag(digest)))
        .insert_header((CONTENT_DIGEST, digest.to_string()))
        .finish()
}

/// Tells the user something, in the form of distribution-spec, "Warnings". What is too much for one answer is
/// only counted.
pub fn add_warnings(response: &mut HttpResponseBuilder, warnings: impl ExactSizeIterator<Item = String>) {
    let mut left = warnings.len();
    let mut room = WARNINGS_MAX_BYTES;
    for text in warnings {
        let warning = format!("299 - \"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        // Enough is kept for the last word.
        if warning.len() + 64 > room {
            response.append_header((header::WARNING, format!("299 - \"and {left} more like this\"")));
            return;
        }
        (room, left) = (room - warning.len(), left - 1);
        response.append_header((header::WARNING, warning));
    }
}

/// An answer about an open upload: where it is and how far it came.
pub fn upload(status: StatusCode, name: &RepositoryName, session: SessionId, offset: u64) -> HttpResponse {
    let mut response = HttpResponse::build(status);
    response
        .insert_header((header::LOCATION, upload_location(name, session)))
        .insert_header((header::RANGE, upload_range(offset)))
        .insert_header((UPLOAD_UUID, session.to_string()));
    response.finish()
}

/// A relative path: clients drop their credentials when scheme or host of a location differ.
pub fn upload_location(name: &RepositoryName, session: SessionId) -> String {
    format!("/v2/{name}/blobs/uploads/{session}")
}

/// The bytes an upload has: `0-<last>` without a unit, and `0-0` for nothing, which is what docker's client
/// reads.
pub fn upload_range(offset: u64) -> String {
    format!("0-{}", offset.saturating_sub(1))
}
