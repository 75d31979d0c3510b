//! What every request is answered from.

use super::end_point::EndPoint;
use super::error::{ApiError, Code};
use super::limits::Limits;
use super::login::Login;
use super::metrics::Requests;
use super::origin::Origin;
use super::probes::Readiness;
use super::tally::{Held, Tally};
use super::tls::Tls;
use crate::auth::Policy;
use crate::registry::Registry;
use actix_web::http::header::{self, HeaderMap};
use actix_web::http::{StatusCode, Uri};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// What every request is answered from.
pub struct State {
    /// The registry.
    pub registry: Arc<Registry>,
    policy: RwLock<Arc<Policy>>,
    /// Who there is.
    pub login: Login,
    /// The bytes of manifests that are being pushed.
    pub manifest_bytes: Tally,
    /// The bytes of manifests that are being pulled.
    pub answer_bytes: Tally,
    /// Whether the registry can do its work, as it was last found out.
    pub readiness: Arc<Readiness>,
    /// What was asked since the start.
    pub requests: Arc<Requests>,
    /// How many connections and requests there are, and which limits they met.
    pub limits: Arc<Limits>,
    /// What clients are shown, where the registry speaks TLS with them.
    pub tls: Option<Arc<Tls>>,
    is_stopping: AtomicBool,
    /// The number of the next request; its start is random, so that ids of two runs are told apart.
    next_request: AtomicU64,
}

impl State {
    /// Requests are numbered from `first_request` on.
    #[must_use]
    pub fn new(registry: Arc<Registry>, policy: Policy, login: Login, first_request: u64) -> Self {
        Self {
            registry,
            policy: RwLock::new(Arc::new(policy)),
            login,
            manifest_bytes: Tally::default(),
            answer_bytes: Tally::default(),
            readiness: Arc::default(),
            requests: Arc::default(),
            limits: Arc::default(),
            tls: None,
            is_stopping: AtomicBool::new(false),
            next_request: AtomicU64::new(first_request),
        }
    }

    /// The same, speaking TLS with clients.
    #[must_use]
    pub fn with_tls(mut self, tls: Option<Arc<Tls>>) -> Self {
        self.tls = tls;
        self
    }

    /// What callers may do from now on.
    pub fn set_policy(&self, policy: Policy) {
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
    }

    /// What callers may do. Ask once for things that have to fit each other.
    #[must_use]
    pub fn policy(&self) -> Arc<Policy> {
        // Setting it is one assignment: a panic cannot leave it half done.
        Arc::clone(&self.policy.read().unwrap_or_else(PoisonError::into_inner))
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

    /// Where a request comes from.
    #[must_use]
    pub fn origin(
        &self,
        audience: Audience,
        peer: Option<SocketAddr>,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Origin {
        let is_tls = audience == Audience::Clients && self.tls.is_some();
        Origin::of(peer, is_tls, uri, headers, &self.registry.config().trusted_proxies)
    }

    /// Begins a request, unless too many are worked on. Those who watch are not kept out by the others, but
    /// for passwords, which take time.
    pub fn begin(&self, end_point: Option<EndPoint>, headers: &HeaderMap) -> Result<Option<Held>, ApiError> {
        // Those with a body say how long it is, or that it comes in chunks.
        let has_body = headers.contains_key(header::TRANSFER_ENCODING)
            || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0");
        let has_credentials = headers.contains_key(header::AUTHORIZATION);
        match end_point {
            Some(EndPoint::Live | EndPoint::Ready) => return Ok(None),
            Some(EndPoint::Metrics) if !has_credentials => return Ok(None),
            _ => {}
        }
        let max = self.registry.config().settings.requests_in_flight_max;
        let begun = self.limits.begin(has_body, max).ok_or_else(|| {
            let message = "too many requests are worked on (setting requests_in_flight_max): try again";
            ApiError::new(StatusCode::TOO_MANY_REQUESTS, Code::TooManyRequests, message)
                .with_header(header::RETRY_AFTER, "1")
        });
        begun.map(Some)
    }

    /// The id of the next request.
    pub fn next_id(&self) -> String {
        format!("{:016x}", self.next_request.fetch_add(1, Ordering::Relaxed))
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
