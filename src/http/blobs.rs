//! `/v2/<name>/blobs/<digest>` (distribution-spec, "Pulling blobs", "Deleting Blobs").

use super::app::Call;
use super::body;
use super::error::{ApiError, Code};
use super::reply::{CONTENT_DIGEST, blocking};
use crate::oci::{Digest, RangeRequest, RepositoryName, resolve_range};
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpResponse, HttpResponseBuilder};

/// GET and HEAD, the whole or a range.
pub async fn get(call: &Call, name: RepositoryName, digest: Digest) -> Result<HttpResponse, ApiError> {
    let registry = call.registry();
    if call.is_head() {
        let size = blocking(move || registry.stat_blob(&name, digest)).await?;
        return Ok(answer(StatusCode::OK, digest).body(body::unsent(size)));
    }
    let file = blocking(move || registry.open_blob(&name, digest)).await?;
    let size = file.size();
    let piece_bytes = call.state.registry.config().settings.blob_read_bytes;
    match resolve_range(call.header(&header::RANGE), size) {
        RangeRequest::Whole => {
            Ok(answer(StatusCode::OK, digest).body(body::of_blob(file, 0, size, piece_bytes)))
        }
        RangeRequest::Part { first, last } => {
            let mut response = answer(StatusCode::PARTIAL_CONTENT, digest);
            response.insert_header((header::CONTENT_RANGE, format!("bytes {first}-{last}/{size}")));
            Ok(response.body(body::of_blob(file, first, last + 1, piece_bytes)))
        }
        RangeRequest::Unsatisfiable => {
            let message = format!("the range is not within the blob's {size} bytes");
            Err(ApiError::new(StatusCode::RANGE_NOT_SATISFIABLE, Code::BlobUploadInvalid, &message)
                .with_header(header::CONTENT_RANGE, format!("bytes */{size}")))
        }
    }
}

fn answer(status: StatusCode, digest: Digest) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response
        .insert_header((header::CONTENT_TYPE, "application/octet-stream"))
        .insert_header((header::ACCEPT_RANGES, "bytes"))
        .insert_header((header::ETAG, format!("\"{digest}\"")))
        .insert_header((CONTENT_DIGEST, digest.to_string()));
    response
}

/// DELETE: takes the blob out of the repository.
pub async fn delete(call: &Call, name: RepositoryName, digest: Digest) -> Result<HttpResponse, ApiError> {
    let registry = call.registry();
    blocking(move || registry.delete_blob(&name, digest)).await?;
    Ok(HttpResponse::Accepted().finish())
}
