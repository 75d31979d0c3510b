//! From a request to its answer: the path is read, the caller's right to it checked, the handler run, and
//! every answer gets its request id.

use super::admit::{Admitted, admit, allowed, decisive, impossible_tag, methods};
use super::error::{ApiError, Code};
use super::metrics::{self, Requests};
use super::probes::{self, Readiness};
use super::query::Query;
use super::reply::NAMESPACE;
use super::route::{self, Route};
use super::{blobs, body, extensions, manifests, referrers, reports, tags, uploads};
use crate::auth::{Access, Action, Principal};
use crate::registry::{Actor, Registry};
use actix_web::body::{BodySize, MessageBody};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{ConnectionType, Method, StatusCode, Uri};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest host and port that are sent back.
const HOST_MAX_BYTES: usize = 255;
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// What every request is answered from.
pub struct State {
    /// The registry.
    pub registry: Arc<Registry>,
    access: RwLock<Access>,
    /// The bytes of manifests that are being pushed.
    pub manifest_bytes: Arc<AtomicU64>,
    /// Whether the registry can do its work, as it was last found out.
    pub readiness: Arc<Readiness>,
    /// What was asked since the start.
    pub requests: Arc<Requests>,
    is_stopping: AtomicBool,
    /// The number of the next request; its start is random, so that ids of two runs are told apart.
    next_request: AtomicU64,
}

impl State {
    /// Requests are numbered from `first_request` on.
    #[must_use]
    pub fn new(registry: Arc<Registry>, access: Access, first_request: u64) -> Self {
        Self {
            registry,
            access: RwLock::new(access),
            manifest_bytes: Arc::default(),
            readiness: Arc::default(),
            requests: Arc::default(),
            is_stopping: AtomicBool::new(false),
            next_request: AtomicU64::new(first_request),
        }
    }

    /// What callers may do from now on.
    pub fn set_access(&self, access: Access) {
        *self.access.write().unwrap_or_else(PoisonError::into_inner) = access;
    }

    /// From now on the server is about to end: nobody is to send requests to it.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    /// Whether the server is about to end.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    fn next_id(&self) -> String {
        format!("{:016x}", self.next_request.fetch_add(1, Ordering::Relaxed))
    }

    /// Refuses what the caller may not do.
    pub fn allow(&self, action: Action) -> Result<(), ApiError> {
        // Setting it is one assignment: a panic cannot leave it half done.
        let access = self.access.read().unwrap_or_else(PoisonError::into_inner);
        if access.allows(action) {
            return Ok(());
        }
        let message = format!("{} is not allowed; this registry allows only {}", action.word(), *access);
        Err(ApiError::new(StatusCode::FORBIDDEN, Code::Denied, &message))
    }
}

/// Whom a listener is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Those who push and pull.
    Clients,
    /// Those who watch the server: they get its numbers and probes and nothing else.
    Watchers,
}

/// A request whose path and query are read.
pub struct Call {
    /// What everything is answered from.
    pub state: Data<State>,
    /// Method and headers.
    pub request: HttpRequest,
    /// The query's parameters.
    pub query: Query,
    /// Whom the listener is for.
    pub audience: Audience,
    /// Who calls, by name.
    pub who: String,
    /// The id that the request is answered and logged with.
    pub id: String,
}

impl Call {
    /// The registry.
    #[must_use]
    pub fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.state.registry)
    }

    /// Who calls, for what is remembered of it.
    #[must_use]
    pub fn actor(&self) -> Actor {
        let address = self.request.peer_addr().map(|peer| peer.ip());
        Actor { who: self.who.clone(), address, request_id: Some(self.id.clone()) }
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

    /// The value of a header that decides what the body is, or where it belongs.
    pub fn decisive_header(
        &self,
        name: &HeaderName,
        status: StatusCode,
        code: Code,
    ) -> Result<Option<&str>, ApiError> {
        decisive(self.request.headers(), name, status, code)
    }
}

/// Answers a request, whatever it is.
pub async fn serve(
    state: Data<State>,
    audience: Data<Audience>,
    request: HttpRequest,
    mut body: Payload,
) -> HttpResponse {
    let began = Instant::now();
    let id = state.next_id();
    let config = state.registry.config();
    let drain_limit = Duration::from_secs(config.settings.drain_max_secs);
    let who = Principal::Anonymous.name();
    let caller = Caller { who: &who, id: &id };
    let answer = dispatch(state.clone(), **audience, request.clone(), caller, &mut body).await;
    // A body that nobody asked for would hold up the connection's next request.
    body::drain(&mut body, config.settings.drain_max_bytes, drain_limit).await;
    let (method, uri, peer) = (request.method(), request.uri(), request.peer_addr());
    let about = About { caller, method, uri, peer, began };
    finish(&state, answer, &about)
}

/// Whether a client that waits for the word may send its body (RFC 9110, section 10.1.1): what can be refused
/// without the body is refused before it is sent.
pub fn expect(state: &State, request: &actix_http::Request) -> Result<(), HttpResponse> {
    let (method, uri) = (request.method(), request.uri());
    let Err(error) = admit(state, method, uri, &request.head().headers) else { return Ok(()) };
    let (id, who, peer) = (state.next_id(), Principal::Anonymous.name(), request.peer_addr());
    let about = About { caller: Caller { who: &who, id: &id }, method, uri, peer, began: Instant::now() };
    let mut response = finish(state, Err(error), &about);
    // The client may send the body all the same, and it would be taken for the next request.
    response.head_mut().set_connection_type(ConnectionType::Close);
    Err(response)
}

/// Who calls, and the id of the request.
#[derive(Clone, Copy)]
struct Caller<'a> {
    who: &'a str,
    id: &'a str,
}

/// What the log says of a request.
struct About<'a> {
    caller: Caller<'a>,
    method: &'a Method,
    uri: &'a Uri,
    peer: Option<SocketAddr>,
    began: Instant,
}

/// Gives the answer what every answer has, and tells the log.
fn finish(state: &State, answer: Result<HttpResponse, ApiError>, about: &About<'_>) -> HttpResponse {
    let About { caller: Caller { who, id }, method, uri, peer, began } = about;
    let mut why = String::new();
    let mut response = answer.unwrap_or_else(|error| {
        if let Some(words) = error.internal_words() {
            log::error!("request {id} failed: {words}");
        }
        why = format!(": {}", error.to_string().escape_debug());
        error.to_response()
    });
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, HeaderValue::from_str(id).expect("sixteen digits are visible ASCII"));
    headers.insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
    let route = route::parse(uri.path()).ok().flatten();
    state.requests.note(route.as_ref(), method, response.status(), began.elapsed());
    state.requests.note_pull(route.as_ref(), method, &response);
    let peer = peer.map_or_else(|| "-".to_owned(), |peer| peer.to_string());
    let (status, elapsed_ms) = (response.status().as_u16(), began.elapsed().as_millis());
    // What asks every few seconds, all day long, would hide the rest.
    let is_probe = status < 400 && route.is_some_and(|route| route.is_for_watchers());
    let level = if is_probe { log::Level::Debug } else { log::Level::Info };
    let path = uri.path_and_query().map_or(uri.path(), |path| path.as_str());
    let bytes = match response.body().size() {
        BodySize::Sized(bytes) => bytes,
        BodySize::None | BodySize::Stream => 0,
    };
    let ms = u64::try_from(elapsed_ms).unwrap_or(u64::MAX);
    log::log!(
        level,
        peer:%, who:%, method:%, path:%, status, ms, request_id:% = id, bytes;
        "{peer} {who} {method} {uri} {status} {ms} ms, request {id}{why}"
    );
    response
}

async fn dispatch(
    state: Data<State>,
    audience: Audience,
    request: HttpRequest,
    caller: Caller<'_>,
    body: &mut Payload,
) -> Result<HttpResponse, ApiError> {
    let method = request.method().clone();
    let admitted = admit(&state, &method, request.uri(), request.headers())?;
    let Admitted { route, query } = admitted;
    if audience == Audience::Watchers && !route.is_for_watchers() {
        let message = "here are only /metrics, /livez and /readyz; the registry listens elsewhere";
        return Err(ApiError::new(StatusCode::NOT_FOUND, Code::Unsupported, message));
    }
    let methods = methods(&route);
    if method == Method::OPTIONS {
        let allow = allowed(methods, None);
        return Ok(HttpResponse::NoContent().insert_header((header::ALLOW, allow)).finish());
    }
    let namespace = namespace(&query, &method);
    let (who, id) = (caller.who.to_owned(), caller.id.to_owned());
    let call = Call { state, request, query, audience, who, id };
    let mut response = handle(&call, route, &method, body).await.map_err(|error| {
        // The end-point has the method, and what stands there now does not allow it.
        let is_refused = error.refuses_method();
        if is_refused { error.with_header(header::ALLOW, allowed(methods, Some(&method))) } else { error }
    })?;
    if let Some(namespace) = namespace {
        response.headers_mut().insert(NAMESPACE, namespace);
    }
    Ok(response)
}

/// The host that the client believes the repository to be of, to be sent back (distribution-spec, "Registry
/// Proxying"). It changes nothing, so one that is no host is passed over.
fn namespace(query: &Query, method: &Method) -> Option<HeaderValue> {
    let is_read = method == Method::GET || method == Method::HEAD;
    let host = query.get("ns").filter(|_| is_read)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte);
    let is_host = (1..=HOST_MAX_BYTES).contains(&host.len()) && host.bytes().all(plain);
    if is_host { HeaderValue::from_str(host).ok() } else { None }
}

async fn handle(
    call: &Call,
    route: Route,
    method: &Method,
    body: &mut Payload,
) -> Result<HttpResponse, ApiError> {
    match route {
        Route::Live => Ok(probes::live()),
        Route::Ready => Ok(probes::ready(call).await),
        Route::Metrics => metrics::metrics(call).await,
        Route::Base => Ok(HttpResponse::Ok().content_type("application/json").body("{}")),
        Route::Catalog => tags::catalog(call).await,
        Route::Extensions(_) => Ok(extensions::discover()),
        Route::TagHistory(name, tag) => extensions::tag_history(call, name, tag).await,
        Route::Repositories => reports::repositories(call).await,
        Route::Repository(name) => reports::repository(call, name).await,
        Route::Audit => reports::audit(call).await,
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
