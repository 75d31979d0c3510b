//! `/metrics`: what the server is and does, in Prometheus's text format.
//!
//! Every label has a few fixed values: nothing of what a client sends becomes one.

use super::call::Call;
use super::end_point::EndPoint;
use super::error::ApiError;
use super::reply::blocking;
use super::reports::expect_ruler;
use super::state::Audience;
use crate::meters::{Counter, Exposition, Histogram, Kind, seconds};
use actix_web::HttpResponse;
use actix_web::http::{Method, StatusCode, header};
use std::time::{Duration, Instant, SystemTime};

/// The kinds of end-points, and one for what leads nowhere.
const ROUTES: usize = EndPoint::ALL.len() + 1;

/// The methods; the last is for all others.
const METHODS: [&str; 8] = ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "other"];

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Microseconds.
const TIMES: &[u64] = &[
    1000, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 10_000_000,
    60_000_000,
];

/// What clients asked for since the start.
#[derive(Debug)]
pub struct Requests {
    began: Instant,
    /// By route, method and class of status.
    counts: Box<[Counter]>,
    /// By route and method.
    times: Box<[Histogram]>,
    /// Manifests that were pulled.
    manifests: Counter,
    /// Blobs that were pulled.
    blobs: Counter,
    /// Bytes that came over connections.
    pub received: Counter,
    /// Bytes that went over connections.
    pub sent: Counter,
}

impl Default for Requests {
    fn default() -> Self {
        let kinds = ROUTES * METHODS.len();
        Self {
            began: Instant::now(),
            counts: (0..kinds * CLASSES.len()).map(|_| Counter::default()).collect(),
            times: (0..kinds).map(|_| Histogram::of_times(TIMES)).collect(),
            manifests: Counter::default(),
            blobs: Counter::default(),
            received: Counter::default(),
            sent: Counter::default(),
        }
    }
}

impl Requests {
    /// Counts a request that was answered after so long.
    pub fn note(&self, end_point: Option<EndPoint>, method: &Method, status: StatusCode, took: Duration) {
        let route = end_point.map_or(EndPoint::ALL.len(), |end_point| end_point as usize);
        let known = METHODS.iter().position(|known| *known == method.as_str());
        let kind = route * METHODS.len() + known.unwrap_or(METHODS.len() - 1);
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
        self.counts[kind * CLASSES.len() + class].add(1);
        self.times[kind].observe_time(took);
    }

    /// Counts what was pulled. Of a blob that comes in ranges, the one with its first byte counts.
    pub fn note_pull(&self, end_point: Option<EndPoint>, method: &Method, response: &HttpResponse) {
        let is_whole = || response.status() == StatusCode::OK;
        let is_first = || {
            let range = response.headers().get(header::CONTENT_RANGE);
            let begins = range.is_some_and(|range| range.as_bytes().starts_with(b"bytes 0-"));
            response.status() == StatusCode::PARTIAL_CONTENT && begins
        };
        match end_point {
            _ if method != Method::GET => {}
            Some(EndPoint::Manifest) if is_whole() => self.manifests.add(1),
            Some(EndPoint::Blob) if is_whole() || is_first() => self.blobs.add(1),
            _ => {}
        }
    }

    fn expose(&self, page: &mut Exposition) {
        let name = "wharfinger_http_requests_total";
        page.family(name, Kind::Counter, "Requests by what they were for, method and class of status.");
        for (i, count) in self.counts.iter().enumerate().filter(|(_, count)| count.get() > 0) {
            let (route, method) = kind(i / CLASSES.len());
            let labels = [("route", route), ("method", method), ("code", CLASSES[i % CLASSES.len()])];
            page.sample(name, &labels, count.get());
        }
        let name = "wharfinger_http_request_duration_seconds";
        page.family(name, Kind::Histogram, "From a request's head to that of its answer.");
        for (i, times) in self.times.iter().enumerate().filter(|(_, times)| !times.is_empty()) {
            let (route, method) = kind(i);
            page.histogram(name, &[("route", route), ("method", method)], times);
        }
        let name = "wharfinger_pulls_total";
        page.family(
            name,
            Kind::Counter,
            "What was pulled; of a blob in ranges, that with its first byte counts.",
        );
        page.sample(name, &[("kind", "manifest")], self.manifests.get());
        page.sample(name, &[("kind", "blob")], self.blobs.get());
        let (received, sent) = ("wharfinger_http_received_bytes_total", "wharfinger_http_sent_bytes_total");
        page.counter(received, "Bytes that came from clients, TLS included.", self.received.get());
        page.counter(sent, "Bytes that went to clients, TLS included.", self.sent.get());
    }

    fn expose_server(&self, page: &mut Exposition) {
        let name = "wharfinger_build_info";
        page.family(name, Kind::Gauge, "Which version this is; always 1.");
        page.sample(name, &[("version", env!("CARGO_PKG_VERSION"))], 1);
        let up = self.began.elapsed();
        page.gauge("wharfinger_uptime_seconds", "Since when it runs.", up.as_secs());
        let began = SystemTime::now().checked_sub(up);
        let began = began.and_then(|began| began.duration_since(SystemTime::UNIX_EPOCH).ok());
        if let Some(began) = began {
            let ms = u64::try_from(began.as_millis()).unwrap_or(u64::MAX);
            page.gauge("process_start_time_seconds", "When the process began to serve.", seconds(ms));
        }
    }
}

/// Route and method by their common number.
fn kind(number: usize) -> (&'static str, &'static str) {
    let route = EndPoint::ALL.get(number / METHODS.len()).map_or("none", |end_point| end_point.name());
    (route, METHODS[number % METHODS.len()])
}

/// GET: all numbers. Without a listener of their own they are for this machine, and for those who run the
/// registry.
pub async fn metrics(call: &Call) -> Result<HttpResponse, ApiError> {
    if call.audience == Audience::Clients {
        expect_ruler(call)?;
    }
    let registry = call.registry();
    let mut page = blocking(move || {
        let mut page = Exposition::default();
        registry.expose(&mut page)?;
        Ok::<_, crate::registry::Error>(page)
    })
    .await?;
    call.state.requests.expose(&mut page);
    call.state.limits.expose(&mut page);
    call.state.login.expose(&mut page);
    if let Some(tls) = &call.state.tls {
        let help = "Until when the certificate is valid that clients are shown.";
        let not_after = tls.not_after().as_second();
        page.gauge("wharfinger_tls_certificate_expiry_seconds", help, not_after);
    }
    call.state.requests.expose_server(&mut page);
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(page.into_text()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_fixed_labels() {
        let requests = Requests::default();
        let took = Duration::from_millis(3);
        requests.note(Some(EndPoint::Base), &Method::GET, StatusCode::OK, took);
        requests.note(None, &Method::from_bytes(b"BREW").unwrap(), StatusCode::NOT_FOUND, took);
        let mut page = Exposition::default();
        requests.expose(&mut page);
        let text = page.into_text();
        for line in [
            "wharfinger_http_requests_total{route=\"base\",method=\"GET\",code=\"2xx\"} 1\n",
            "wharfinger_http_requests_total{route=\"none\",method=\"other\",code=\"4xx\"} 1\n",
            "wharfinger_http_request_duration_seconds_bucket{route=\"base\",method=\"GET\",le=\"0.005\"} 1\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert_eq!(kind(EndPoint::Metrics as usize * METHODS.len()).0, "metrics");
    }
}
