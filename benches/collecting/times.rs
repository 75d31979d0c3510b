//! How long requests took.

use std::time::Duration;

/// How long requests took.
pub struct Times(Vec<Duration>);

impl Times {
    /// In any order, and not none.
    pub fn of(mut times: Vec<Duration>) -> Self {
        assert!(!times.is_empty(), "there was a request");
        times.sort();
        Self(times)
    }

    /// How many there were.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// What so many percent of them did not exceed.
    pub fn at(&self, percent: usize) -> Duration {
        let index = self.0.len() * percent / 100;
        self.0[index.min(self.0.len() - 1)]
    }
}
