//! What is known of the commits since the start.

use crate::meters::Histogram;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const CLOSURES: &[u64] = &[1, 2, 4, 8, 16, 32, 64];

/// Microseconds: from what a fast disk takes to what nobody wants to wait for.
const TIMES: &[u64] = &[
    500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    10_000_000,
];

/// The commits of a ledger.
#[derive(Debug)]
pub struct Commits {
    /// How many closures shared each commit.
    pub closures: Histogram,
    /// How long each took, from its first closure until it was durable.
    pub times: Histogram,
    last: Mutex<Option<Instant>>,
}

impl Default for Commits {
    fn default() -> Self {
        Self {
            closures: Histogram::of_numbers(CLOSURES),
            times: Histogram::of_times(TIMES),
            last: Mutex::default(),
        }
    }
}

impl Commits {
    /// Notes a commit that is durable by now.
    pub fn note(&self, closures: usize, took: Duration) {
        self.closures.observe(closures as u64);
        self.times.observe_time(took);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// How long ago the last one was; none if there was none since the start.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        // Setting it is one assignment: a panic cannot leave it half done.
        self.last.lock().unwrap_or_else(PoisonError::into_inner).map(|last| last.elapsed())
    }
}
