//! `/livez` and `/readyz`: what those ask who start, stop and send requests to servers. They say nothing of
//! what the registry holds.

use super::call::Call;
use crate::registry::{Health, Registry};
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, rt, web};
use serde_json::json;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How long what was found out is told again: however many ask, the disk is asked no more often.
const FRESH: Duration = Duration::from_secs(2);
/// How long a look may take before it counts as failed.
const LIMIT: Duration = Duration::from_secs(5);

/// Whether the registry can do its work. One look is made at a time, and all who ask meanwhile wait for it.
#[derive(Default)]
pub struct Readiness {
    found: Mutex<Found>,
    told: Notify,
}

#[derive(Default)]
struct Found {
    /// What the last look found, and when.
    last: Option<(Instant, Health)>,
    /// When the look began that is being made.
    began: Option<Instant>,
}

impl Readiness {
    fn lock(&self) -> MutexGuard<'_, Found> {
        // Every change of it is one assignment: a panic cannot leave it half done.
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn health(self: &Arc<Self>, registry: &Arc<Registry>) -> Health {
        loop {
            // Before looking: what is told between the two is not missed.
            let told = self.told.notified();
            let Some(waited) = self.look(registry) else {
                let found = self.lock();
                let (_, health) = found.last.as_ref().expect("a look that is over leaves what it found");
                return health.clone();
            };
            let Some(left) = LIMIT.checked_sub(waited) else {
                let words = format!("ledger and disk have not answered for {} s", waited.as_secs());
                return Health::failing(words);
            };
            drop(tokio::time::timeout(left, told).await);
        }
    }

    /// None if what was found out is fresh; else how long the look has taken so far, which is begun if there
    /// is none.
    fn look(self: &Arc<Self>, registry: &Arc<Registry>) -> Option<Duration> {
        let mut found = self.lock();
        if found.last.as_ref().is_some_and(|(at, _)| at.elapsed() < FRESH) {
            return None;
        }
        if let Some(began) = found.began {
            return Some(began.elapsed());
        }
        found.began = Some(Instant::now());
        let (readiness, registry) = (Arc::clone(self), Arc::clone(registry));
        rt::spawn(async move {
            let health = web::block(move || registry.health()).await;
            let health = health.unwrap_or_else(|_| Health::failing("looking at the ledger failed"));
            *readiness.lock() = Found { last: Some((Instant::now(), health)), began: None };
            readiness.told.notify_waiters();
        });
        Some(Duration::ZERO)
    }
}

/// GET: the process answers. It touches neither ledger nor disk: a restart would not help either.
pub fn live() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ok\n")
}

/// GET: whether requests are to be sent here.
pub async fn ready(call: &Call) -> HttpResponse {
    if call.state.is_stopping() {
        return answer(&Health::failing("the server is stopping"));
    }
    answer(&call.state.readiness.health(&call.state.registry).await)
}

fn answer(health: &Health) -> HttpResponse {
    let (status, word) = match (health.failures.is_empty(), health.degraded.is_empty()) {
        (true, true) => (StatusCode::OK, "ready"),
        (true, false) => (StatusCode::OK, "degraded"),
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "failing"),
    };
    let reasons: Vec<_> = health.failures.iter().chain(&health.degraded).collect();
    let age_ms = health.last_commit_age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
    let body = json!({"status": word, "reasons": reasons, "last_commit_age_ms": age_ms});
    HttpResponse::build(status).content_type("application/json").body(format!("{body}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_sent_to_what_cannot_serve() {
        let degraded = Health { degraded: vec!["damaged blobs: 1".to_owned()], ..Health::default() };
        let both = Health { failures: vec!["the ledger cannot be read".to_owned()], ..degraded.clone() };
        for (health, status) in
            [(Health::default(), 200), (degraded, 200), (Health::failing("the ledger"), 503), (both, 503)]
        {
            assert_eq!(answer(&health).status().as_u16(), status, "{health:?}");
        }
    }
}
