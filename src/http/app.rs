//! From a request to its answer: the path is read, the caller's right to it checked, the handler run, and
//! every answer gets its request id.

use super::error::{ApiError, Code};
use super::query::Query;
use super::route::{self, Route};
use super::{blobs, body, manifests, referrers, tags, uploads};
use crate::auth::{Access, Action};
use crate::registry::Registry;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// The longest path and query. No name or digest comes near it; a query may set many tags at once.
const URI_MAX_BYTES: usize = 32 * 1024;

/// What an end-point can be asked to do, and the right that each asks for.
type Methods = &'static [(Method, Action)];

/// What every request is answered from.
pub struct State {
    /// The registry.
    pub registry: Arc<Registry>,
    access: RwLock<Access>,
    /// The number of the next request; its start is random, so that ids of two runs are told apart.
    next_request: AtomicU64,
}

impl State {
    /// Requests are numbered from `first_request` on.
    #[must_use]
    pub fn new(registry: Arc<Registry>, access: Access, first_request: u64) -> Self {
        Self { registry, access: RwLock::new(access), next_request: AtomicU64::new(first_request) }
    }

    /// What callers may do from now on.
    pub fn set_access(&self, access: Access) {
        *self.access.write().unwrap_or_else(PoisonError::into_inner) = access;
    }

    fn allow(&self, action: Action) -> Result<(), ApiError> {
        // Setting it is one assignment: a panic cannot leave it half done.
        let access = self.access.read().unwrap_or_else(PoisonError::into_inner);
        if access.allows(action) {
            return Ok(());
        }
        let message = format!(
            "{} is not allowed without credentials here; this registry allows {} (its setting --anonymous)",
            action.word(),
            *access
        );
        Err(ApiError::new(StatusCode::FORBIDDEN, Code::Denied, &message))
    }
}

/// A request whose path and query are read.
pub struct Call {
    /// What everything is answered from.
    pub state: Data<State>,
    /// Method and headers.
    pub request: HttpRequest,
    /// The query's parameters.
    pub query: Query,
}

impl Call {
    /// The registry.
    #[must_use]
    pub fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.state.registry)
    }

    /// Whether only the head of the answer is wanted.
    #[must_use]
    pub fn is_head(&self) -> bool {
        self.request.method() == Method::HEAD
    }

    /// A header's value. One that is not visible ASCII is as good as none.
    #[must_use]
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.request.headers().get(name).and_then(|value| value.to_str().ok())
    }

    /// The value of a header that decides what the body is, or where it belongs. Two of them, or one that
    /// cannot be read, may have been something else to whoever passed the request on: they are refused.
    pub fn decisive_header(
        &self,
        name: &HeaderName,
        status: StatusCode,
        code: Code,
    ) -> Result<Option<&str>, ApiError> {
        let mut values = self.request.headers().get_all(name);
        let Some(value) = values.next() else { return Ok(None) };
        match value.to_str() {
            Ok(text) if values.next().is_none() => Ok(Some(text)),
            _ => {
                let message = format!("{name}: expected one such header, of visible ASCII");
                Err(ApiError::new(status, code, &message))
            }
        }
    }
}

/// Answers a request, whatever it is.
pub async fn serve(state: Data<State>, request: HttpRequest, mut body: Payload) -> HttpResponse {
    let began = Instant::now();
    let id = format!("{:016x}", state.next_request.fetch_add(1, Ordering::Relaxed));
    let config = state.registry.config();
    let drain_limit = Duration::from_secs(config.settings.drain_max_secs);
    let answer = dispatch(state, request.clone(), &mut body).await;
    // A body that nobody asked for would hold up the connection's next request.
    body::drain(&mut body, config.settings.drain_max_bytes, drain_limit).await;
    let mut response = answer.unwrap_or_else(|error| {
        if let Some(words) = error.internal_words() {
            log::error!("request {id} failed: {words}");
        }
        error.to_response()
    });
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, HeaderValue::from_str(&id).expect("sixteen digits are visible ASCII"));
    headers.insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
    log::info!(
        "{} {} {} {} ms, request {id}",
        request.method(),
        request.uri(),
        response.status().as_u16(),
        began.elapsed().as_millis()
    );
    response
}

async fn dispatch(
    state: Data<State>,
    request: HttpRequest,
    body: &mut Payload,
) -> Result<HttpResponse, ApiError> {
    let uri = request.uri().clone();
    let uri_bytes = uri.path_and_query().map_or(0, |text| text.as_str().len());
    if uri_bytes > URI_MAX_BYTES {
        let message = format!("the URI has {uri_bytes} bytes: expected at most {URI_MAX_BYTES}");
        return Err(ApiError::new(StatusCode::URI_TOO_LONG, Code::Unsupported, &message));
    }
    let Some(route) = route::parse(uri.path())? else {
        let message = format!("there is nothing at {}; the registry is at /v2/", uri.path());
        return Err(ApiError::new(StatusCode::NOT_FOUND, Code::Unsupported, &message));
    };
    let method = request.method().clone();
    let methods = methods(&route);
    if method == Method::OPTIONS {
        let allow = allowed(methods, None);
        return Ok(HttpResponse::NoContent().insert_header((header::ALLOW, allow)).finish());
    }
    let query = Query::parse(uri.query().unwrap_or_default())?;
    let call = Call { state, request, query };
    let action = methods.iter().find(|(known, _)| *known == method).map(|&(_, action)| action);
    let Some(action) = action else { return Err(method_not_allowed(methods, &method)) };
    call.state.allow(action)?;
    refuse_encoding(&call)?;
    answer(&call, route, &method, body).await.map_err(|error| {
        // The end-point has the method, and what stands there now does not allow it.
        let is_refused = error.refuses_method();
        if is_refused { error.with_header(header::ALLOW, allowed(methods, Some(&method))) } else { error }
    })
}

/// Runs the handler of an end-point that has the method.
async fn answer(
    call: &Call,
    route: Route,
    method: &Method,
    body: &mut Payload,
) -> Result<HttpResponse, ApiError> {
    match route {
        Route::Base => Ok(HttpResponse::Ok().content_type("application/json").body("{}")),
        Route::Catalog => tags::catalog(call).await,
        Route::Tags(name) => tags::list(call, name).await,
        Route::Referrers(name, digest) => referrers::list(call, name, digest).await,
        Route::Manifest(name, reference) => match *method {
            Method::PUT => manifests::put(call, name, reference, body).await,
            Method::DELETE => manifests::delete(call, name, reference).await,
            _ => manifests::get(call, name, reference).await,
        },
        Route::ImpossibleTag(name, tag) => Err(impossible_tag(&name.to_string(), &tag, method)),
        Route::Blob(name, digest) => match *method {
            Method::DELETE => blobs::delete(call, name, digest).await,
            _ => blobs::get(call, name, digest).await,
        },
        Route::Uploads(name) => uploads::start(call, name, body).await,
        Route::Upload(name, session) => match *method {
            Method::PATCH => uploads::append(call, name, session, body).await,
            Method::PUT => uploads::finish(call, name, session, body).await,
            Method::DELETE => uploads::cancel(call, name, session).await,
            _ => uploads::status(call, name, session).await,
        },
        Route::ImpossibleUpload(name) => {
            let message = format!("{name} has no such upload; begin one by POST /v2/{name}/blobs/uploads/");
            Err(ApiError::new(StatusCode::NOT_FOUND, Code::BlobUploadUnknown, &message))
        }
    }
}

/// The methods of each end-point and the right that each asks for. What stands here is all there is.
fn methods(route: &Route) -> Methods {
    const READ: Methods = &[(Method::GET, Action::Pull), (Method::HEAD, Action::Pull)];
    const MANIFEST: Methods = &[
        (Method::GET, Action::Pull),
        (Method::HEAD, Action::Pull),
        (Method::PUT, Action::Push),
        (Method::DELETE, Action::Delete),
    ];
    const BLOB: Methods =
        &[(Method::GET, Action::Pull), (Method::HEAD, Action::Pull), (Method::DELETE, Action::Delete)];
    const UPLOADS: Methods = &[(Method::POST, Action::Push)];
    const UPLOAD: Methods = &[
        (Method::GET, Action::Push),
        (Method::HEAD, Action::Push),
        (Method::PATCH, Action::Push),
        (Method::PUT, Action::Push),
        (Method::DELETE, Action::Push),
    ];
    match route {
        Route::Base | Route::Catalog | Route::Tags(_) | Route::Referrers(..) => READ,
        Route::Manifest(..) | Route::ImpossibleTag(..) => MANIFEST,
        Route::Blob(..) => BLOB,
        Route::Uploads(_) => UPLOADS,
        Route::Upload(..) | Route::ImpossibleUpload(_) => UPLOAD,
    }
}

/// The names of the methods, for `Allow`, but for one.
fn allowed(methods: Methods, but: Option<&Method>) -> String {
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
fn impossible_tag(name: &str, tag: &str, method: &Method) -> ApiError {
    let words = "a tag begins with a letter, digit or underscore and has up to 128 of those, dots and dashes";
    let message = format!("{name} cannot have the tag {tag:?}: {words}");
    if method == Method::PUT {
        ApiError::new(StatusCode::BAD_REQUEST, Code::ManifestInvalid, &message)
    } else {
        ApiError::new(StatusCode::NOT_FOUND, Code::ManifestUnknown, &message)
    }
}

/// Content is what its digest says, so an encoding would have to be undone first; nobody's client sends one.
fn refuse_encoding(call: &Call) -> Result<(), ApiError> {
    let (status, code) = (StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::Unsupported);
    match call.decisive_header(&header::CONTENT_ENCODING, status, code)? {
        None => Ok(()),
        Some(encoding) if encoding.eq_ignore_ascii_case("identity") => Ok(()),
        Some(encoding) => {
            let message =
                format!("Content-Encoding {encoding:?} is not supported: send the bytes as they are");
            Err(ApiError::new(status, code, &message))
        }
    }
}
