//! What is decided about a request before its body is read: what it is for, who makes it, whether they may,
//! and what its head says that cannot be served.

use super::error::{ApiError, Code};
use super::login::{Caller, Login, Refusal};
use super::origin::Origin;
use super::query::Query;
use super::rights::{Methods, Question, Right, methods, refuse, right};
use super::route::{Parsed, Route};
use super::state::{Audience, State};
use crate::auth::Policy;
use crate::registry::Error;
use actix_web::http::header::{self, HeaderMap, HeaderName};
use actix_web::http::{Method, StatusCode, Uri};
use std::sync::Arc;

/// The longest path and query. No name or digest comes near it; a query may set many tags at once.
const URI_MAX_BYTES: usize = 32 * 1024;

/// The head of a request.
#[derive(Clone, Copy)]
pub struct Head<'a> {
    /// The method.
    pub method: &'a Method,
    /// Path and query.
    pub uri: &'a Uri,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// From where it comes.
    pub origin: &'a Origin,
    /// Whom the listener is for.
    pub audience: Audience,
}

/// A request that may be served.
pub struct Admitted {
    /// What it is for.
    pub route: Route,
    /// The query's parameters.
    pub query: Query,
    /// Who makes it.
    pub caller: Caller,
    /// What the caller may, by the rules at this moment.
    pub policy: Arc<Policy>,
    /// Whether nobody has credentials that would make a difference.
    pub asks_nobody: bool,
}

/// Reads the head of a request whose path was read, and refuses what can be refused by that alone.
pub async fn admit(state: &State, head: Head<'_>, route: Parsed) -> Result<Admitted, ApiError> {
    let Head { method, uri, headers, origin, audience } = head;
    let uri_bytes = uri.path_and_query().map_or(0, |text| text.as_str().len());
    if uri_bytes > URI_MAX_BYTES {
        let message = format!("the URI has {uri_bytes} bytes: expected at most {URI_MAX_BYTES}");
        return Err(ApiError::new(StatusCode::URI_TOO_LONG, Code::Unsupported, &message));
    }
    let Some(route) = route? else {
        let message = format!("there is nothing at {}; the registry is at /v2/", uri.path());
        return Err(ApiError::new(StatusCode::NOT_FOUND, Code::Unsupported, &message));
    };
    if audience == Audience::Watchers && !route.end_point().is_for_watchers() {
        let message = "here are only /metrics, /livez and /readyz; the registry listens elsewhere";
        return Err(ApiError::new(StatusCode::NOT_FOUND, Code::Unsupported, message));
    }
    let query = Query::parse(uri.query().unwrap_or_default())?;
    let (config, policy) = (state.registry.config(), state.policy());
    let asks_nobody = !policy.names_users() && !state.login.knows_anybody(&state.registry);
    // Browsers ask it beforehand, without credentials.
    if method == Method::OPTIONS {
        return Ok(Admitted { route, query, caller: Caller::anonymous(), policy, asks_nobody });
    }
    let methods = methods(&route);
    let action = methods.iter().find(|(known, _)| known == method).map(|&(_, action)| action);
    let action = action.ok_or_else(|| method_not_allowed(methods, method))?;
    // Whoever reaches the listener for watchers is one.
    let right = if audience == Audience::Watchers { Right::Nothing } else { right(&route, action) };
    let is_stranger = asks_nobody && !Login::are_ours(headers);
    let caller = if right == Right::Nothing || is_stranger {
        Caller::anonymous()
    } else {
        let caller = caller_of(state, &route, headers, origin).await;
        caller.map_err(|refusal| refuse(refusal, &right, origin, &config))?
    };
    Question { caller: &caller, policy: &policy, asks_nobody, origin, config: &config }.decide(&right)?;
    refuse_encoding(headers)?;
    if matches!(route, Route::Manifest(..)) && method == Method::PUT {
        refuse_large_manifest(headers, config.settings.manifest_max_bytes)?;
    }
    Ok(Admitted { route, query, caller, policy, asks_nobody })
}

/// Who makes the request.
async fn caller_of(
    state: &State,
    route: &Route,
    headers: &HeaderMap,
    origin: &Origin,
) -> Result<Caller, Refusal> {
    // An upload that is open outlives the token it was begun with.
    let also_ended = matches!(route, Route::Upload(..));
    state.login.identify(&state.registry, headers, origin.address, also_ended).await
}

/// The names of the methods, for `Allow`, but for one.
#[must_use]
pub fn allowed(methods: Methods, but: Option<&Method>) -> String {
    let others = methods.iter().map(|(method, _)| method).filter(|method| Some(*method) != but);
    others.map(Method::as_str).collect::<Vec<_>>().join(", ")
}

fn method_not_allowed(methods: Methods, method: &Method) -> ApiError {
    let allow = allowed(methods, None);
    let message = format!("{method} is not supported here, only {allow}");
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported, &message)
        .with_header(header::ALLOW, allow)
}

/// A tag outside the grammar: it cannot be written, and to read it finds nothing.
#[must_use]
pub fn impossible_tag(name: &str, tag: &str, method: &Method) -> ApiError {
    let words = "a tag begins with a letter, digit or underscore and has up to 128 of those, dots and dashes";
    let message = format!("{name} cannot have the tag {tag:?}: {words}");
    if method == Method::PUT {
        ApiError::new(StatusCode::BAD_REQUEST, Code::ManifestInvalid, &message)
    } else {
        ApiError::new(StatusCode::NOT_FOUND, Code::ManifestUnknown, &message)
    }
}

/// The value of a header that decides what the body is, or where it belongs. Two of them, or one that cannot
/// be read, may have been something else to whoever passed the request on: they are refused.
pub fn decisive<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    status: StatusCode,
    code: Code,
) -> Result<Option<&'a str>, ApiError> {
    let mut values = headers.get_all(name);
    let Some(value) = values.next() else { return Ok(None) };
    match value.to_str() {
        Ok(text) if values.next().is_none() => Ok(Some(text)),
        _ => {
            let message = format!("{name}: expected one such header, of visible ASCII");
            Err(ApiError::new(status, code, &message))
        }
    }
}

/// Content is what its digest says, so an encoding would have to be undone first; nobody's client sends one.
fn refuse_encoding(headers: &HeaderMap) -> Result<(), ApiError> {
    let (status, code) = (StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::Unsupported);
    match decisive(headers, &header::CONTENT_ENCODING, status, code)? {
        None => Ok(()),
        Some(encoding) if encoding.eq_ignore_ascii_case("identity") => Ok(()),
        Some(encoding) => {
            let message =
                format!("Content-Encoding {encoding:?} is not supported: send the bytes as they are");
            Err(ApiError::new(status, code, &message))
        }
    }
}

/// A manifest that says beforehand that it is too large need not be sent.
fn refuse_large_manifest(headers: &HeaderMap, max_bytes: u64) -> Result<(), ApiError> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    match length.and_then(|length| length.parse::<u64>().ok()) {
        Some(length) if length > max_bytes => Err(Error::ManifestTooLarge { max_bytes }.into()),
        _ => Ok(()),
    }
}
