//! From a path to what it asks for.
//!
//! Repository names may hold any number of parts, `manifests` and `blobs` among them, so a path is read from
//! its end. Each part is percent-decoded by itself: an encoded slash is no separator, and no name can hold
//! one.

use super::end_point::EndPoint;
use super::error::ApiError;
use crate::oci::{Digest, Reference, RepositoryName, SessionId, Tag};
use percent_encoding::percent_decode_str;

/// What a path below `/v2/` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// `/livez`: whether the process answers.
    Live,
    /// `/readyz`: whether the registry can do its work.
    Ready,
    /// `/metrics`: the numbers of the server.
    Metrics,
    /// `/token`: tokens for those who have credentials.
    Token,
    /// `/v2/`: whether this is a registry.
    Base,
    /// `/v2/_catalog`.
    Catalog,
    /// `/v2/_oci/ext/discover`, and the same of a repository.
    Extensions(Option<RepositoryName>),
    /// `/v2/<name>/_oci/tag-history/<tag>`.
    TagHistory(RepositoryName, Tag),
    /// `/api/v1/repositories`.
    Repositories,
    /// `/api/v1/repositories/<name>`.
    Repository(RepositoryName),
    /// `/api/v1/audit`.
    Audit,
    /// `/v2/<name>/tags/list`.
    Tags(RepositoryName),
    /// `/v2/<name>/manifests/<reference>`.
    Manifest(RepositoryName, Reference),
    /// `/v2/<name>/manifests/` and something that is neither tag nor digest. No such thing exists.
    ImpossibleTag(RepositoryName, String),
    /// `/v2/<name>/blobs/<digest>`.
    Blob(RepositoryName, Digest),
    /// `/v2/<name>/blobs/uploads/`.
    Uploads(RepositoryName),
    /// `/v2/<name>/blobs/uploads/<session>`.
    Upload(RepositoryName, SessionId),
    /// `/v2/<name>/blobs/uploads/` and something that is no session of ours.
    ImpossibleUpload(RepositoryName),
    /// `/v2/<name>/referrers/<digest>`.
    Referrers(RepositoryName, Digest),
}

impl Route {
    /// The kind of end-point. Routes that differ only in that one of them leads to something have one.
    #[must_use]
    pub const fn end_point(&self) -> EndPoint {
        match self {
            Self::Base => EndPoint::Base,
            Self::Catalog => EndPoint::Catalog,
            Self::Extensions(_) => EndPoint::Extensions,
            Self::TagHistory(..) => EndPoint::TagHistory,
            Self::Repositories => EndPoint::Repositories,
            Self::Repository(_) => EndPoint::Repository,
            Self::Tags(_) => EndPoint::Tags,
            Self::Manifest(..) | Self::ImpossibleTag(..) => EndPoint::Manifest,
            Self::Blob(..) => EndPoint::Blob,
            Self::Uploads(_) => EndPoint::Uploads,
            Self::Upload(..) | Self::ImpossibleUpload(_) => EndPoint::Upload,
            Self::Referrers(..) => EndPoint::Referrers,
            Self::Live => EndPoint::Live,
            Self::Ready => EndPoint::Ready,
            Self::Metrics => EndPoint::Metrics,
            Self::Token => EndPoint::Token,
            Self::Audit => EndPoint::Audit,
        }
    }
}

/// What stands at a path. None: nothing of the registry's.
pub type Parsed = Result<Option<Route>, ApiError>;

/// Reads the path of a request. None: nothing of the registry's stands there.
pub fn parse(path: &str) -> Parsed {
    if let Some(rest) = path.strip_prefix("/api/v1/repositories") {
        return own(rest);
    }
    match path {
        "/api/v1/audit" => return Ok(Some(Route::Audit)),
        "/livez" => return Ok(Some(Route::Live)),
        "/readyz" => return Ok(Some(Route::Ready)),
        "/metrics" => return Ok(Some(Route::Metrics)),
        "/token" => return Ok(Some(Route::Token)),
        _ => {}
    }
    let Some(rest) = path.strip_prefix("/v2") else { return Ok(None) };
    let rest = match rest.strip_prefix('/') {
        Some(rest) => rest,
        None if rest.is_empty() => return Ok(Some(Route::Base)),
        None => return Ok(None),
    };
    if rest.is_empty() {
        return Ok(Some(Route::Base));
    }
    let parts = rest.split('/').map(decode).collect::<Result<Vec<_>, _>>()?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match parts.as_slice() {
        ["_catalog"] => Ok(Some(Route::Catalog)),
        ["_oci", "ext", "discover"] => Ok(Some(Route::Extensions(None))),
        [name @ .., "_oci", "ext", "discover"] => Ok(Some(Route::Extensions(Some(repository(name)?)))),
        [name @ .., "_oci", "tag-history", tag] if !name.is_empty() => {
            let name = repository(name)?;
            Ok(Some(match Tag::parse(tag) {
                Ok(tag) => Route::TagHistory(name, tag),
                Err(_) => Route::ImpossibleTag(name, (*tag).to_owned()),
            }))
        }
        [name @ .., "tags", "list"] => Ok(Some(Route::Tags(repository(name)?))),
        [name @ .., "blobs", "uploads"] if !name.is_empty() => Ok(Some(Route::Uploads(repository(name)?))),
        [name @ .., "blobs", "uploads", ""] => Ok(Some(Route::Uploads(repository(name)?))),
        [name @ .., "manifests", reference] => manifest(repository(name)?, reference).map(Some),
        [name @ .., "referrers", digest] => {
            Ok(Some(Route::Referrers(repository(name)?, Digest::parse(digest)?)))
        }
        // Behind the others: a repository may be called `x/blobs/uploads`.
        [name @ .., "blobs", "uploads", session] => {
            let name = repository(name)?;
            Ok(Some(match SessionId::parse(session) {
                Some(session) => Route::Upload(name, session),
                None => Route::ImpossibleUpload(name),
            }))
        }
        [name @ .., "blobs", digest] => Ok(Some(Route::Blob(repository(name)?, Digest::parse(digest)?))),
        _ => Ok(None),
    }
}

/// What stands below `/api/v1/repositories`.
fn own(rest: &str) -> Result<Option<Route>, ApiError> {
    let Some(name) = rest.strip_prefix('/') else {
        return Ok(rest.is_empty().then_some(Route::Repositories));
    };
    if name.is_empty() {
        return Ok(Some(Route::Repositories));
    }
    let parts = name.split('/').map(decode).collect::<Result<Vec<_>, _>>()?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    Ok(Some(Route::Repository(repository(&parts)?)))
}

fn manifest(name: RepositoryName, reference: &str) -> Result<Route, ApiError> {
    // A malformed digest is said to be one; a malformed tag simply names nothing.
    if reference.contains(':') {
        return Ok(Route::Manifest(name, Reference::Digest(Digest::parse(reference)?)));
    }
    Ok(match Reference::parse(reference) {
        Ok(reference) => Route::Manifest(name, reference),
        Err(_) => Route::ImpossibleTag(name, reference.to_owned()),
    })
}

fn repository(parts: &[&str]) -> Result<RepositoryName, ApiError> {
    if let Some(part) = parts.iter().find(|part| part.contains('/')) {
        return Err(ApiError::name_invalid(&format!(
            "{part:?} holds an encoded slash: expected it as it is"
        )));
    }
    Ok(RepositoryName::parse(&parts.join("/"))?)
}

fn decode(part: &str) -> Result<String, ApiError> {
    let decoded = percent_decode_str(part).decode_utf8();
    decoded
        .map(String::from)
        .map_err(|_| ApiError::name_invalid("the path is not text: expected UTF-8, percent-encoded"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> RepositoryName {
        RepositoryName::parse(text).unwrap()
    }

    fn route(path: &str) -> Option<Route> {
        parse(path).unwrap_or_else(|error| panic!("{path}: {error:?}"))
    }

    #[test]
    fn paths_are_read_from_their_end() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let parsed = Digest::parse(&digest).unwrap();
        let session = SessionId::from_bytes([9; 16]);
        assert_eq!(route("/v2"), Some(Route::Base));
        assert_eq!(route("/v2/"), Some(Route::Base));
        assert_eq!(route("/v2/_catalog"), Some(Route::Catalog));
        assert_eq!(route("/v2/a/manifests/b/tags/list"), Some(Route::Tags(name("a/manifests/b"))));
        let tag = Reference::parse("list").unwrap();
        assert_eq!(route("/v2/a/tags/manifests/list"), Some(Route::Manifest(name("a/tags"), tag)));
        assert_eq!(route("/v2/a/blobs/uploads"), Some(Route::Uploads(name("a"))));
        assert_eq!(route("/v2/a/blobs/uploads/"), Some(Route::Uploads(name("a"))));
        let path = format!("/v2/blobs/uploads/blobs/uploads/{session}");
        assert_eq!(route(&path), Some(Route::Upload(name("blobs/uploads"), session)));
        let path = format!("/v2/x/blobs/uploads/referrers/{digest}");
        assert_eq!(route(&path), Some(Route::Referrers(name("x/blobs/uploads"), parsed)));
        let tag = Tag::parse("v1").unwrap();
        assert_eq!(route("/v2/a/b/_oci/tag-history/v1"), Some(Route::TagHistory(name("a/b"), tag)));
        assert_eq!(route("/api/v1/audit"), Some(Route::Audit));
        assert_eq!(route("/api/v1/repositories"), Some(Route::Repositories));
        assert_eq!(route("/api/v1/repositories/a/b"), Some(Route::Repository(name("a/b"))));
        let encoded = digest.replace(':', "%3A");
        assert_eq!(route(&format!("/v2/a/blobs/{encoded}")), Some(Route::Blob(name("a"), parsed)));
        assert_eq!(route("/v2/a/blobs/uploads/1"), Some(Route::ImpossibleUpload(name("a"))));
        for path in [
            "/",
            "/api/v1",
            "/api/v1/audit/a",
            "/api/v1/repositoriesx",
            "/v2/_oci/tag-history/v1",
            "/v1/",
            "/v2x",
            "/v2/a",
            "/v2/a/b",
            "/v2//",
            "/v2/a/tags/list/",
        ] {
            assert_eq!(route(path), None, "{path}");
        }
    }

    #[test]
    fn what_cannot_be_a_name_is_refused() {
        for path in [
            "/v2/a%2fb/tags/list",
            "/v2/../tags/list",
            "/v2/%2e%2e/tags/list",
            "/v2/A/tags/list",
            "/v2/a%00/tags/list",
            "/v2/%ff/tags/list",
            "/v2/tags/list",
            "/v2//tags/list",
        ] {
            assert!(parse(path).is_err(), "{path}");
        }
    }

    proptest! {
        #[test]
        fn any_path_is_read_without_panic(
            path in "(/v2)?(/[a-z.%:_-]{0,9}|/blobs|/uploads|/manifests|/tags|/list){0,7}"
        ) {
            let _ = parse(&path);
        }
    }
}
