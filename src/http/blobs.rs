//! `/v2/<name>/blobs/<digest>` (distribution-spec, "Pulling blobs", "Deleting Blobs").

use super::body;
use super::call::Call;
use super::conditions::{self, Reading, entity_tag};
use super::error::{ApiError, Code};
use super::manifests::concealed;
use super::outlet::{Job, Outlet};
use super::reply::{CONTENT_DIGEST, blocking, not_modified, short_read};
use crate::auth::Action;
use crate::oci::{Digest, RangeRequest, RepositoryName, resolve_range};
use crate::registry::OpenBlob;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpResponse, HttpResponseBuilder};

/// GET and HEAD, the whole or a range.
pub async fn get(call: &Call, name: RepositoryName, digest: Digest) -> Result<HttpResponse, ApiError> {
    let headers = call.request.headers();
    let reading = conditions::of_read(headers, digest);
    if call.is_head() || reading != Reading::Serve {
        // Only HEAD's answer is for a push that comes later: GET says what there is to the end of a lease.
        let size = if call.is_head() {
            stat(call, name, digest).await?
        } else {
            open(call, name, digest).await?.size()
        };
        return match reading {
            Reading::Serve => Ok(answer(StatusCode::OK, digest).no_chunking(size).body(body::Unsent)),
            Reading::NotModified => Ok(not_modified(digest)),
            Reading::Failed => {
                let message = format!("the blob is {digest}, which If-Match does not allow");
                Err(ApiError::new(StatusCode::PRECONDITION_FAILED, Code::Denied, &message))
            }
        };
    }
    let blob = open(call, name, digest).await?;
    let (registry, size) = (call.registry(), blob.size());
    let config = registry.config();
    let piece_bytes = config.settings.blob_read_bytes;
    let range = call.header(&header::RANGE).filter(|_| conditions::range_counts(headers, digest));
    match resolve_range(range, size) {
        RangeRequest::Whole if config.settings.verify_on_read != 0 => {
            let body = body::of_checked_blob(registry, blob.checked(), size, piece_bytes);
            Ok(answer(StatusCode::OK, digest).body(body))
        }
        RangeRequest::Whole => Ok(send(call, answer(StatusCode::OK, digest), blob, 0, size)),
        RangeRequest::Part { first, last } => {
            let mut response = answer(StatusCode::PARTIAL_CONTENT, digest);
            response.insert_header((header::CONTENT_RANGE, format!("bytes {first}-{last}/{size}")));
            Ok(send(call, response, blob, first, last + 1))
        }
        RangeRequest::Unsatisfiable => {
            let message = format!("the range is not within the blob's {size} bytes");
            Err(ApiError::new(StatusCode::RANGE_NOT_SATISFIABLE, Code::BlobUploadInvalid, &message)
                .with_header(header::CONTENT_RANGE, format!("bytes */{size}")))
        }
    }
}

async fn stat(call: &Call, name: RepositoryName, digest: Digest) -> Result<u64, ApiError> {
    let (view, repository) = (call.view(), name.clone());
    let read = move || view.stat_blob_at_once(&repository, digest);
    if let Some(size) = short_read(&call.state.registry, read).await? {
        return Ok(size);
    }
    let view = call.view();
    blocking(move || view.stat_blob(&name, digest)).await
}

async fn open(call: &Call, name: RepositoryName, digest: Digest) -> Result<OpenBlob, ApiError> {
    let (view, repository) = (call.view(), name.clone());
    let read = move || view.open_blob_at_once(&repository, digest);
    if let Some(blob) = short_read(&call.state.registry, read).await? {
        return Ok(blob);
    }
    let view = call.view();
    blocking(move || view.open_blob(&name, digest)).await
}

/// Has the connection send the bytes from `first` to before `end`.
fn send(
    call: &Call,
    mut response: HttpResponseBuilder,
    blob: OpenBlob,
    first: u64,
    end: u64,
) -> HttpResponse {
    let registry = call.registry();
    let piece_bytes = registry.config().settings.blob_read_bytes;
    let outlet = call.request.conn_data::<Outlet>().expect("every connection is given one (listen.rs)");
    let body = outlet.body(Job::new(registry, blob, first, end, piece_bytes));
    response.no_chunking(end - first).body(body)
}

fn answer(status: StatusCode, digest: Digest) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response
        .insert_header((header::CONTENT_TYPE, "application/octet-stream"))
        .insert_header((header::ACCEPT_RANGES, "bytes"))
        .insert_header((header::ETAG, entity_tag(digest)))
        .insert_header((CONTENT_DIGEST, digest.to_string()));
    response
}

/// DELETE: takes the blob out of the repository.
pub async fn delete(call: &Call, name: RepositoryName, digest: Digest) -> Result<HttpResponse, ApiError> {
    let (registry, actor, may_pull) = (call.registry(), call.actor(), call.may(Action::Pull, &name));
    let delete = move || registry.delete_blob(&name, digest, actor);
    blocking(move || delete().map_err(|error| concealed(error, may_pull))).await?;
    Ok(HttpResponse::Accepted().finish())
}
