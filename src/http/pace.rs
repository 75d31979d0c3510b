//! How fast the body of a request has to come.

use super::error::{ApiError, Code};
use super::limits::{Limit, Limits};
use crate::config::Settings;
use actix_web::error::PayloadError;
use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Payload};
use futures::StreamExt;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Watches the pace of one body. Only the time counts that is spent waiting for the client: not that in which
/// the disk is busy with what came.
pub struct Pace<'a> {
    limits: &'a Limits,
    idle_max: Duration,
    min_bytes_per_sec: u64,
    window: Duration,
    /// Waited in this window.
    waited: Duration,
    /// Came in this window.
    bytes: u64,
}

/// Why a body ends before its end.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// The connection broke, or what came is no body.
    #[error("the request's body ended before its end: {0}")]
    Broken(PayloadError),
    /// Nothing came.
    #[error("nothing of the request's body came for {0} s (setting body_idle_secs)")]
    Idle(u64),
    /// Too little came.
    #[error("the request's body came with less than {0} bytes in a second (setting body_min_bytes_per_sec)")]
    Slow(u64),
}

impl Ended {
    /// The answer, with the code of what the body is.
    #[must_use]
    pub fn refusal(&self, code: Code) -> ApiError {
        let status = match self {
            Self::Broken(_) => StatusCode::BAD_REQUEST,
            Self::Idle(_) | Self::Slow(_) => StatusCode::REQUEST_TIMEOUT,
        };
        ApiError::new(status, code, &self.to_string())
    }
}

impl<'a> Pace<'a> {
    /// For a body that begins.
    #[must_use]
    pub fn new(settings: &Settings, limits: &'a Limits) -> Self {
        Self {
            limits,
            idle_max: Duration::from_secs(settings.body_idle_secs),
            min_bytes_per_sec: settings.body_min_bytes_per_sec,
            window: Duration::from_secs(settings.body_rate_secs),
            waited: Duration::ZERO,
            bytes: 0,
        }
    }

    /// The next piece of the body; none at its end.
    pub async fn next(&mut self, body: &mut Payload) -> Option<Result<Bytes, Ended>> {
        let mut idle = Duration::ZERO;
        loop {
            let began = Instant::now();
            let limit = self.idle_max.saturating_sub(idle).min(self.window.saturating_sub(self.waited));
            let outcome = timeout(limit, body.next()).await;
            let waited = began.elapsed();
            idle += waited;
            if let Ok(Some(Ok(piece))) = &outcome {
                self.bytes += piece.len() as u64;
            }
            if let Some(ended) = self.judge(waited) {
                return Some(Err(ended));
            }
            match outcome {
                Ok(piece) => return piece.map(|piece| piece.map_err(Ended::Broken)),
                Err(_) if idle >= self.idle_max => {
                    self.limits.note(Limit::BodyIdle);
                    return Some(Err(Ended::Idle(self.idle_max.as_secs())));
                }
                Err(_) => {}
            }
        }
    }

    /// Adds to the time that was waited, and judges what came in the window if it is over.
    fn judge(&mut self, waited: Duration) -> Option<Ended> {
        self.waited += waited;
        if self.waited < self.window {
            return None;
        }
        let expected = self.min_bytes_per_sec.saturating_mul(self.waited.as_secs());
        if self.bytes < expected {
            self.limits.note(Limit::BodyRate);
            return Some(Ended::Slow(self.min_bytes_per_sec));
        }
        (self.waited, self.bytes) = (Duration::ZERO, 0);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_rate_is_judged_over_the_time_that_was_waited() {
        let limits = Limits::default();
        let settings = Settings { body_min_bytes_per_sec: 10, body_rate_secs: 3, ..Settings::default() };
        let mut pace = Pace::new(&settings, &limits);
        pace.bytes = 5;
        assert!(pace.judge(2 * SECOND).is_none(), "the window is not over");
        pace.bytes = 30;
        assert!(pace.judge(SECOND).is_none());
        assert_eq!((pace.bytes, pace.waited), (0, Duration::ZERO), "the next begins");
        pace.bytes = 29;
        assert!(matches!(pace.judge(3 * SECOND), Some(Ended::Slow(10))));
        let mut any = Pace::new(&Settings { body_min_bytes_per_sec: 0, ..settings }, &limits);
        assert!(any.judge(3 * SECOND).is_none());
    }
}
