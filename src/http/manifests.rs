//! `/v2/<name>/manifests/<reference>` (distribution-spec, "Pulling manifests", "Pushing Manifests", "Deleting
//! Manifests").

use super::body;
use super::call::Call;
use super::conditions::{self, Reading, entity_tag};
use super::error::{ApiError, Code};
use super::reply::{
    CONTENT_DIGEST, SUBJECT, TAGS, add_warnings, blocking, created, not_modified, short_read,
};
use crate::auth::Action;
use crate::oci::{Digest, Reference, RepositoryName, Tag};
use crate::registry::{Actor, Condition, Deleted, Error, ManifestPush, rfc3339};
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::web::Payload;

/// How many tags a warning names before it only counts them.
const TAGS_NAMED: usize = 20;

/// GET and HEAD. What is stored is served: nothing is converted to what the client would rather have.
pub async fn get(call: &Call, name: RepositoryName, reference: Reference) -> Result<HttpResponse, ApiError> {
    let (view, head) = (call.view(), call.is_head());
    let (repository, wanted) = (name.clone(), reference.clone());
    let read = move || view.manifest(&repository, &wanted, !head);
    let manifest = short_read(&call.state.registry, read).await?;
    match conditions::of_read(call.request.headers(), manifest.digest) {
        Reading::Serve => {}
        Reading::NotModified => return Ok(not_modified(manifest.digest)),
        Reading::Failed => {
            let present = Some(manifest.digest);
            return Err(Error::ConditionFailed { repository: name, reference, present }.into());
        }
    }
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::CONTENT_TYPE, manifest.media_type))
        .insert_header((header::ETAG, entity_tag(manifest.digest)))
        .insert_header((CONTENT_DIGEST, manifest.digest.to_string()));
    if head {
        return Ok(response.no_chunking(manifest.size).body(body::Unsent));
    }
    let (all, max) =
        (&call.state.answer_bytes, call.state.registry.config().settings.manifest_answers_max_bytes);
    let counted = all.take(manifest.size, max).ok_or_else(body::too_many_bytes)?;
    Ok(response.body(body::of_manifest(manifest.bytes, counted)))
}

/// PUT: stores the manifest and sets its tags: that of the path, and those of the query.
pub async fn put(
    call: &Call,
    name: RepositoryName,
    reference: Reference,
    payload: &mut Payload,
) -> Result<HttpResponse, ApiError> {
    let config = call.state.registry.config();
    let settings = &config.settings;
    let tags = tags_of(call, settings.manifest_tags_max)?;
    let mut condition = conditions::of_write(call.request.headers())?;
    condition.only_adds = !call.may(Action::Push, &name);
    let may_pull = call.may(Action::Pull, &name);
    let (status, code) = (StatusCode::BAD_REQUEST, Code::ManifestInvalid);
    let content_type = call.decisive_header(&header::CONTENT_TYPE, status, code)?.map(str::to_owned);
    let (bytes, held) =
        body::collect(payload, settings, &call.state.manifest_bytes, &call.state.limits).await?;
    let accepted = accepted(&reference, &tags);
    let (repository, actor) = (name.clone(), call.actor());
    let push = ManifestPush { name: repository, reference, tags, content_type, bytes, condition, actor };
    let registry = call.registry();
    // Also where the request breaks off, the bytes are held until the push has ended.
    let pushed = blocking(move || {
        let _held = held;
        registry.put_manifest(push).map_err(|error| concealed(error, may_pull))
    })
    .await?;
    let digest = pushed.digest;
    let mut response = created(&format!("/v2/{name}/manifests/{digest}"), digest);
    if let Some(subject) = pushed.subject {
        response.insert_header((SUBJECT, subject.to_string()));
    }
    if let Some(accepted) = accepted {
        response.insert_header((TAGS, accepted));
    }
    let moved = if may_pull { pushed.moved } else { Vec::new() };
    let moved =
        moved.iter().map(|(tag, before)| format!("the tag {tag} of {name} was {before} and is {digest}"));
    add_warnings(&mut response, moved);
    Ok(response.finish())
}

/// What is said to one who may write and not read: not what is there.
pub fn concealed(error: Error, may_pull: bool) -> Error {
    match error {
        Error::ConditionFailed { repository, reference, .. } if !may_pull => {
            Error::ConditionFailed { repository, reference, present: None }
        }
        Error::InUse { repository, digest, .. } if !may_pull => {
            Error::InUse { repository, digest, needed_by: Vec::new() }
        }
        error => error,
    }
}

/// The tags that the query names (distribution-spec, "Pushing Manifests").
fn tags_of(call: &Call, max: u64) -> Result<Vec<Tag>, ApiError> {
    let tags: Vec<_> = call.query.get_all("tag").collect();
    if tags.len() as u64 > max {
        let message =
            format!("{} tags at once: expected at most {max} (setting manifest_tags_max)", tags.len());
        return Err(ApiError::new(StatusCode::URI_TOO_LONG, Code::Unsupported, &message));
    }
    let parse = |tag: &str| {
        Tag::parse(tag).map_err(|error| {
            let message = format!("tag={tag:?}: {error}");
            ApiError::new(StatusCode::BAD_REQUEST, Code::ManifestInvalid, &message)
        })
    };
    tags.into_iter().map(parse).collect()
}

/// What `OCI-Tag` says: every tag that was set, where the query named some.
fn accepted(reference: &Reference, tags: &[Tag]) -> Option<String> {
    let of_path = match reference {
        Reference::Tag(tag) => Some(tag),
        Reference::Digest(_) => None,
    };
    let mut once: Vec<&str> = Vec::new();
    for tag in of_path.into_iter().chain(tags) {
        if !once.contains(&tag.as_str()) {
            once.push(tag.as_str());
        }
    }
    (!tags.is_empty()).then(|| once.join(", "))
}

/// DELETE: a tag goes alone, a manifest with its tags.
pub async fn delete(
    call: &Call,
    name: RepositoryName,
    reference: Reference,
) -> Result<HttpResponse, ApiError> {
    let condition = conditions::of_write(call.request.headers())?;
    let may_pull = call.may(Action::Pull, &name);
    let mut response = HttpResponse::Accepted();
    match reference {
        Reference::Tag(tag) => delete_tag(call, name, tag, condition).await?,
        Reference::Digest(digest) => {
            let gone = delete_manifest(call, name.clone(), digest, condition).await?;
            log::info!("{}", account_of(&name, digest, &gone, &call.actor()));
            let warnings = if may_pull { gone_with(&name, digest, &gone) } else { Vec::new() };
            add_warnings(&mut response, warnings.into_iter());
        }
    }
    Ok(response.finish())
}

async fn delete_tag(
    call: &Call,
    name: RepositoryName,
    tag: Tag,
    condition: Condition,
) -> Result<(), ApiError> {
    let (registry, actor) = (call.registry(), call.actor());
    let may_pull = call.may(Action::Pull, &name);
    let delete = move || registry.delete_tag(&name, &tag, condition, actor);
    blocking(move || delete().map_err(|error| concealed(error, may_pull))).await
}

async fn delete_manifest(
    call: &Call,
    name: RepositoryName,
    digest: Digest,
    condition: Condition,
) -> Result<Deleted, ApiError> {
    let (registry, actor) = (call.registry(), call.actor());
    let may_pull = call.may(Action::Pull, &name);
    let delete = move || registry.delete_manifest(&name, digest, condition, actor);
    blocking(move || delete().map_err(|error| concealed(error, may_pull))).await
}

/// What the log says of a deletion.
fn account_of(name: &RepositoryName, digest: Digest, deleted: &Deleted, actor: &Actor) -> String {
    let Deleted { tags, manifests, bytes, due_at_ms } = deleted;
    format!(
        "{} deleted {digest} of {name}: {manifests} manifests and {} tags; {bytes} bytes go at {}",
        actor.label(),
        tags.len(),
        rfc3339(*due_at_ms)
    )
}

/// What the one who deleted a manifest may not have known.
fn gone_with(name: &RepositoryName, digest: Digest, deleted: &Deleted) -> Vec<String> {
    let mut warnings = Vec::new();
    let named: Vec<_> = deleted.tags.iter().take(TAGS_NAMED).map(Tag::as_str).collect();
    let more = match deleted.tags.len().saturating_sub(TAGS_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    if !named.is_empty() {
        warnings.push(format!("with {digest} went its tags in {name}: {}{more}", named.join(", ")));
    }
    if deleted.manifests > 1 {
        let others = deleted.manifests - 1;
        warnings.push(format!("with {digest} went {others} manifests of {name} that lived with it"));
    }
    warnings
}
