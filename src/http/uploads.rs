//! `/v2/<name>/blobs/uploads/`: uploads and mounts (distribution-spec, "Pushing blobs").

use super::body::{Broken, Receiving};
use super::call::Call;
use super::error::{ApiError, Code};
use super::login::Refusal;
use super::reply::{self, blocking, created};
use super::rights::{Right, refuse};
use crate::auth::Action;
use crate::oci::{Algorithm, ContentRange, Digest, RepositoryName, SessionId};
use crate::registry::{Error, Upload};
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::web::Payload;

/// POST: mounts a blob, takes one whole, or begins an upload.
pub async fn start(call: &Call, name: RepositoryName, body: &mut Payload) -> Result<HttpResponse, ApiError> {
    if let Some(digest) = call.query.get("mount")
        && let Some(mounted) = mount(call, &name, Digest::parse(digest)?).await?
    {
        return Ok(mounted);
    }
    let digest = call.query.get("digest").map(Digest::parse).transpose()?;
    let algorithm = match (digest, call.query.get("digest-algorithm")) {
        (Some(digest), _) => digest.algorithm(),
        (None, Some(algorithm)) => parse_algorithm(algorithm)?,
        (None, None) => Algorithm::Sha256,
    };
    // Without a digest the body is none of the blob.
    let bytes = digest.and_then(|_| announced(call)).unwrap_or(0);
    let (registry, repository, owner) = (call.registry(), name.clone(), call.caller.principal.name());
    let upload = blocking(move || registry.start_upload(&repository, algorithm, bytes, &owner)).await?;
    let Some(digest) = digest else {
        let receiving = Receiving::new(call.registry(), upload, Broken::Leave);
        let status = receiving.leave().await?;
        return Ok(reply::upload(StatusCode::ACCEPTED, &name, status.session, status.offset));
    };
    let session = upload.session();
    let mut receiving = Receiving::new(call.registry(), upload, Broken::Abandon);
    if let Err(error) = receiving.receive(body, None, &call.state.limits).await {
        receiving.abandon().await?;
        return Err(error);
    }
    if let Err(error) = receiving.finish(digest, call.actor()).await {
        let registry = call.registry();
        // Where the refusal ended it already, there is nothing to cancel.
        drop(blocking(move || registry.drop_upload(&name, session)).await);
        return Err(error);
    }
    Ok(created_blob(&name, digest))
}

/// Refuses whoever did not begin the upload, as if it were not there. A token that has ended is good for what
/// was begun while it held: a push may take longer than a token lives.
pub async fn expect_owner(call: &Call, name: &RepositoryName, session: SessionId) -> Result<(), ApiError> {
    let (registry, repository) = (call.registry(), name.clone());
    let found = blocking(move || match registry.upload_owner(&repository, session) {
        Ok(owner) => Ok(Some(owner)),
        Err(Error::UploadUnknown(_)) => Ok(None),
        Err(error) => Err(error),
    });
    let owner = found.await?;
    if owner.as_ref().is_some_and(|owner| owner.name != call.caller.principal.name()) {
        return Err(Error::UploadUnknown(session).into());
    }
    let ended_at_ms =
        call.caller.ends_at_ms().filter(|&ends_at_ms| ends_at_ms <= call.state.registry.now_ms());
    let began_later = |ended_at_ms| owner.is_none_or(|owner| owner.began_at_ms >= ended_at_ms);
    if ended_at_ms.is_some_and(began_later) {
        let right = Right::On(name, Action::Create);
        return Err(refuse(Refusal::Expired, &right, &call.origin, &call.state.registry.config()));
    }
    Ok(())
}

/// How many bytes the request's body has; none: it does not say.
fn announced(call: &Call) -> Option<u64> {
    match call.header(&header::CONTENT_LENGTH) {
        Some(length) => length.parse().ok(),
        None if call.request.headers().contains_key(header::TRANSFER_ENCODING) => None,
        None => Some(0),
    }
}

/// Demands a token for the source of a mount from who may pull it and holds one that is not for it: a client
/// that asks for tokens as it is told would never mount.
fn expect_scope_of(call: &Call, name: &RepositoryName, from: &RepositoryName) -> Result<(), ApiError> {
    let is_allowed = call.policy.allows(&call.caller.principal, Action::Pull, from.as_str());
    if !is_allowed || call.caller.covers(Action::Pull, from) {
        return Ok(());
    }
    let scope = format!("repository:{name}:pull,push repository:{from}:pull");
    let config = call.state.registry.config();
    Err(call.question(&config).login_needed(Some(&scope), Some("insufficient_scope")))
}

/// Mounts, or says that the client has to upload.
async fn mount(call: &Call, name: &RepositoryName, digest: Digest) -> Result<Option<HttpResponse>, ApiError> {
    let from = call.query.get("from").map(RepositoryName::parse).transpose()?;
    if let Some(from) = &from {
        expect_scope_of(call, name, from)?;
    }
    let (view, repository, actor) = (call.view_by_token(), name.clone(), call.actor());
    let mounted = blocking(move || view.mount_blob(&repository, digest, from.as_ref(), &actor)).await?;
    Ok(mounted.then(|| created_blob(name, digest)))
}

/// GET: how far the upload came.
pub async fn status(call: &Call, name: RepositoryName, session: SessionId) -> Result<HttpResponse, ApiError> {
    let (registry, repository) = (call.registry(), name.clone());
    let status = blocking(move || registry.upload_status(&repository, session)).await?;
    Ok(reply::upload(StatusCode::NO_CONTENT, &name, session, status.offset))
}

/// DELETE: gives the upload up.
pub async fn cancel(call: &Call, name: RepositoryName, session: SessionId) -> Result<HttpResponse, ApiError> {
    let (registry, actor) = (call.registry(), call.actor());
    blocking(move || registry.cancel_upload(&name, session, actor)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// PATCH: appends a chunk, or all there is.
pub async fn append(
    call: &Call,
    name: RepositoryName,
    session: SessionId,
    body: &mut Payload,
) -> Result<HttpResponse, ApiError> {
    let receiving = receive(call, &name, session, body).await?;
    let status = receiving.leave().await?;
    Ok(reply::upload(StatusCode::ACCEPTED, &name, session, status.offset))
}

/// PUT: appends the rest, if any, and closes the upload.
pub async fn finish(
    call: &Call,
    name: RepositoryName,
    session: SessionId,
    body: &mut Payload,
) -> Result<HttpResponse, ApiError> {
    let digest = call.query.get("digest").ok_or_else(|| {
        let message = "the closing PUT needs the blob's digest: ?digest=sha256:...";
        ApiError::new(StatusCode::BAD_REQUEST, Code::DigestInvalid, message)
    })?;
    let digest = Digest::parse(digest)?;
    match receive(call, &name, session, body).await {
        Ok(receiving) => receiving.finish(digest, call.actor()).await?,
        // Who may not read learns nothing of what is there.
        Err(error) if error.is(Code::BlobUploadUnknown) && call.may(Action::Pull, &name) => {
            let (registry, repository) = (call.registry(), name.clone());
            if !blocking(move || registry.is_finished(&repository, session, digest)).await? {
                return Err(error);
            }
            // The first answer was lost on its way: the client asks again for what is done.
        }
        Err(error) => return Err(error),
    }
    Ok(created_blob(&name, digest))
}

/// Takes the upload and appends the request's body. A wrong range changes nothing.
async fn receive(
    call: &Call,
    name: &RepositoryName,
    session: SessionId,
    body: &mut Payload,
) -> Result<Receiving, ApiError> {
    let range = content_range(call)?;
    let (registry, repository) = (call.registry(), name.clone());
    let bytes = announced(call);
    let mut upload = blocking(move || registry.resume_upload(&repository, session, bytes)).await?;
    if range.is_some() && bytes.is_none() {
        // Whether the body is as long as its range is seen at its end.
        upload.hold_back();
    }
    let begins_at = upload.offset();
    let checked = range.map_or(Ok(()), |range| check_range(call, &upload, range));
    let mut receiving = Receiving::new(call.registry(), upload, Broken::Leave);
    let at_upload = |error: Error, offset| {
        ApiError::from(error)
            .with_header(header::LOCATION, reply::upload_location(name, session))
            .with_header(header::RANGE, reply::upload_range(offset))
    };
    if let Err(error) = checked {
        receiving.leave().await?;
        return Err(at_upload(error, begins_at));
    }
    let expected = range.map(|range| range.len());
    let received = match receiving.receive(body, expected, &call.state.limits).await {
        Ok(received) => received,
        // The client is still there, and may ask at once where to go on.
        Err(late) if late.gives_up() => {
            let status = receiving.leave().await?;
            return Err(late
                .with_header(header::LOCATION, reply::upload_location(name, session))
                .with_header(header::RANGE, reply::upload_range(status.offset)));
        }
        Err(error) => return Err(error),
    };
    if expected.is_some_and(|expected| expected != received) {
        receiving.forget().await?;
        let (registry, repository) = (call.registry(), name.clone());
        let status = blocking(move || registry.upload_status(&repository, session)).await?;
        let offset = status.offset;
        return Err(at_upload(Error::RangeLength { session, offset }, offset));
    }
    Ok(receiving)
}

/// A chunk begins where the upload ends, and a body whose length is said is as long as its range.
fn check_range(call: &Call, upload: &Upload, range: ContentRange) -> Result<(), Error> {
    upload.expect_start(range)?;
    let length = call.header(&header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    if length.is_some_and(|length| length != range.len()) {
        return Err(Error::RangeLength { session: upload.session(), offset: upload.offset() });
    }
    Ok(())
}

fn content_range(call: &Call) -> Result<Option<ContentRange>, ApiError> {
    let (status, code) = (StatusCode::BAD_REQUEST, Code::BlobUploadInvalid);
    let range = call.decisive_header(&header::CONTENT_RANGE, status, code)?;
    range
        .map(ContentRange::parse)
        .transpose()
        .map_err(|error| ApiError::new(status, code, &error.to_string()))
}

fn parse_algorithm(name: &str) -> Result<Algorithm, ApiError> {
    Algorithm::parse(name).ok_or_else(|| {
        let message = format!("digest-algorithm={name}: expected sha256 or sha512");
        ApiError::new(StatusCode::BAD_REQUEST, Code::DigestInvalid, &message)
    })
}

fn created_blob(name: &RepositoryName, digest: Digest) -> HttpResponse {
    created(&format!("/v2/{name}/blobs/{digest}"), digest).finish()
}
