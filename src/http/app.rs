//! From a request to its answer: the path is read, the caller's right to it checked, the handler run, and
//! every answer gets its request id.

use super::admit::{Admitted, Head, admit, allowed, impossible_tag};
use super::call::Call;
use super::connection::Line;
use super::end_point::EndPoint;
use super::error::{ApiError, Code};
use super::origin::Origin;
use super::query::Query;
use super::reply::NAMESPACE;
use super::rights::methods;
use super::route::{self, Parsed, Route};
use super::state::{Audience, State};
use super::{
    audit, blobs, body, extensions, manifests, metrics, probes, referrers, reports, tags, token, uploads,
};
use crate::auth::Principal;
use crate::config::is_host;
use actix_web::body::{BodySize, MessageBody};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{ConnectionType, Method, StatusCode, Uri};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use std::sync::Arc;
use std::time::{Duration, Instant};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// How much of a path and its query a line of the log has. No name or digest is so long.
const LOGGED_PATH_MAX_CHARS: usize = 1024;
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// Answers a request, whatever it is.
pub async fn serve(
    state: Data<State>,
    audience: Data<Audience>,
    request: HttpRequest,
    mut body: Payload,
) -> HttpResponse {
    let began = Instant::now();
    let config = state.registry.config();
    let line = request.conn_data::<Arc<Line>>();
    let _handling = line.map(Line::handle);
    let (uri, method) = (request.uri(), request.method());
    let origin = state.origin(**audience, request.peer_addr(), uri, request.headers());
    let who = Principal::Anonymous.name();
    let route = route::parse(uri.path());
    let end_point = end_point_of(&route);
    let mut about = About { id: state.next_id(), who, method, uri, end_point, origin: &origin, began };
    let answer = match state.begin(end_point, request.headers()) {
        Ok(_in_flight) => dispatch(state.clone(), **audience, &request, route, &mut about, &mut body).await,
        Err(error) => Err(error),
    };
    // A body that nobody asked for would hold up the connection's next request.
    let drain_limit = Duration::from_secs(config.settings.drain_max_secs);
    let gives_up = answer.as_ref().is_err_and(ApiError::gives_up);
    let is_read = !gives_up && body::drain(&mut body, config.settings.drain_max_bytes, drain_limit).await;
    let mut response = finish(&state, answer, &about);
    if !is_read {
        // actix-http would read the rest of a body in chunks for as long as it comes.
        response.head_mut().set_connection_type(ConnectionType::Close);
        line.inspect(|line| line.hang_up());
    }
    response
}

/// Whether a client that waits for the word may send its body (RFC 9110, section 10.1.1): what can be refused
/// without the body is refused before it is sent.
pub async fn expect(
    state: Data<State>,
    audience: Audience,
    request: &actix_http::Request,
) -> Result<(), HttpResponse> {
    let (method, uri, headers) = (request.method(), request.uri(), &request.head().headers);
    let origin = state.origin(audience, request.peer_addr(), uri, headers);
    let head = Head { method, uri, headers, origin: &origin, audience };
    let route = route::parse(uri.path());
    let end_point = end_point_of(&route);
    let admitted = match state.begin(end_point, headers) {
        Ok(_in_flight) => admit(&state, head, route).await.map(drop),
        Err(error) => Err(error),
    };
    let Err(error) = admitted else { return Ok(()) };
    let who = Principal::Anonymous.name();
    let (id, began) = (state.next_id(), Instant::now());
    let about = About { id, who, method, uri, end_point, origin: &origin, began };
    let mut response = finish(&state, Err(error), &about);
    // The client may send the body all the same, and it would be taken for the next request.
    response.head_mut().set_connection_type(ConnectionType::Close);
    Err(response)
}

/// What the log says of a request.
struct About<'a> {
    id: String,
    /// Who calls, once that is known.
    who: String,
    method: &'a Method,
    uri: &'a Uri,
    /// What the path leads to.
    end_point: Option<EndPoint>,
    origin: &'a Origin,
    began: Instant,
}

fn end_point_of(route: &Parsed) -> Option<EndPoint> {
    route.as_ref().ok()?.as_ref().map(Route::end_point)
}

/// Gives the answer what every answer has, and tells the log.
fn finish(state: &State, answer: Result<HttpResponse, ApiError>, about: &About<'_>) -> HttpResponse {
    let &About { ref id, ref who, method, uri, end_point, origin, began } = about;
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
    state.requests.note(end_point, method, response.status(), began.elapsed());
    state.requests.note_pull(end_point, method, &response);
    let (status, elapsed_ms) = (response.status().as_u16(), began.elapsed().as_millis());
    // What asks every few seconds, all day long, would hide the rest.
    let is_probe = status < 400 && end_point.is_some_and(EndPoint::is_for_watchers);
    let level = if is_probe { log::Level::Debug } else { log::Level::Info };
    let path = logged(uri);
    let bytes = match response.body().size() {
        BodySize::Sized(bytes) => bytes,
        // What the connection sends by itself.
        BodySize::Stream => promised(&response),
        BodySize::None => 0,
    };
    let ms = u64::try_from(elapsed_ms).unwrap_or(u64::MAX);
    log::log!(
        level,
        peer:% = origin, who:%, method:%, path:%, status, ms, request_id:% = id, bytes;
        "{origin} {who} {method} {path} {status} {ms} ms, request {id}{why}"
    );
    response
}

/// How many bytes the head says that the body has.
fn promised(response: &HttpResponse) -> u64 {
    let length = response.headers().get(header::CONTENT_LENGTH);
    length.and_then(|length| length.to_str().ok()?.parse().ok()).unwrap_or(0)
}

async fn dispatch(
    state: Data<State>,
    audience: Audience,
    request: &HttpRequest,
    route: Parsed,
    about: &mut About<'_>,
    body: &mut Payload,
) -> Result<HttpResponse, ApiError> {
    let About { method, uri, origin, .. } = *about;
    let head = Head { method, uri, headers: request.headers(), origin, audience };
    let admitted = admit(&state, head, route).await?;
    let Admitted { route, query, caller, policy, asks_nobody } = admitted;
    about.who = shown(&caller.principal);
    let methods = methods(&route);
    if *method == Method::OPTIONS {
        let allow = allowed(methods, None);
        return Ok(HttpResponse::NoContent().insert_header((header::ALLOW, allow)).finish());
    }
    let namespace = namespace(&query, method);
    let (request, origin, id) = (request.clone(), origin.clone(), about.id.clone());
    let call = Call { state, request, query, audience, caller, policy, asks_nobody, origin, id };
    let mut response = handle(&call, route, method, body).await.map_err(|error| {
        // The end-point has the method, and what stands there now does not allow it.
        let is_refused = error.refuses_method();
        if is_refused { error.with_header(header::ALLOW, allowed(methods, Some(method))) } else { error }
    })?;
    if let Some(namespace) = namespace {
        response.headers_mut().insert(NAMESPACE, namespace);
    }
    Ok(response)
}

/// A path and its query for a line of the log. Of keys that are none of ours only the name is there: what is
/// sent to the wrong place may be a password.
fn logged(uri: &Uri) -> String {
    const SHOWN: [&str; 16] = [
        "account",
        "action",
        "artifactType",
        "client_id",
        "digest",
        "digest-algorithm",
        "from",
        "last",
        "mount",
        "n",
        "ns",
        "repo",
        "scope",
        "service",
        "tag",
        "user",
    ];
    let mut line = uri.path().to_owned();
    for (number, pair) in
        uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()).enumerate()
    {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        line.push(if number == 0 { '?' } else { '&' });
        line.push_str(key);
        if !value.is_empty() {
            line.push('=');
            line.push_str(if SHOWN.contains(&key) { value } else { "(hidden)" });
        }
    }
    // A request for a token may name a hundred repositories.
    match line.char_indices().nth(LOGGED_PATH_MAX_CHARS) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

/// A name for a line of the log: one that could be taken for more than a name is quoted.
fn shown(principal: &Principal) -> String {
    let name = principal.name();
    let is_plain = name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
    if is_plain { name } else { format!("{name:?}") }
}

/// The host that the client believes the repository to be of, to be sent back (distribution-spec, "Registry
/// Proxying"). It changes nothing, so one that is no host is passed over.
fn namespace(query: &Query, method: &Method) -> Option<HeaderValue> {
    let is_read = method == Method::GET || method == Method::HEAD;
    let host = query.get("ns").filter(|host| is_read && is_host(host))?;
    HeaderValue::from_str(host).ok()
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
        Route::Token => token::token(call, body).await,
        Route::Base => Ok(HttpResponse::Ok().content_type("application/json").body("{}")),
        Route::Catalog => tags::catalog(call).await,
        Route::Extensions(_) => Ok(extensions::discover()),
        Route::TagHistory(name, tag) => extensions::tag_history(call, name, tag).await,
        Route::Repositories => reports::repositories(call).await,
        Route::Repository(name) => reports::repository(call, name).await,
        Route::Audit => audit::audit(call).await,
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
        Route::Upload(name, session) => {
            uploads::expect_owner(call, &name, session).await?;
            match *method {
                Method::PATCH => uploads::append(call, name, session, body).await,
                Method::PUT => uploads::finish(call, name, session, body).await,
                Method::DELETE => uploads::cancel(call, name, session).await,
                _ => uploads::status(call, name, session).await,
            }
        }
        Route::ImpossibleUpload(name) => {
            let message = format!("{name} has no such upload; begin one by POST /v2/{name}/blobs/uploads/");
            Err(ApiError::new(StatusCode::NOT_FOUND, Code::BlobUploadUnknown, &message))
        }
    }
}
