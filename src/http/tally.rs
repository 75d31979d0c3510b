//! Counting what there is of something at a time, up to a limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How much there is of something now.
#[derive(Debug, Clone, Default)]
pub struct Tally(Arc<AtomicU64>);

impl Tally {
    /// How much there is.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts so much, unless all would be more than `max`.
    #[must_use]
    pub fn take(&self, count: u64, max: u64) -> Option<Held> {
        let mut held = self.none();
        held.add(count, max).then_some(held)
    }

    /// Nothing of it yet.
    #[must_use]
    pub fn none(&self) -> Held {
        Held { count: 0, all: self.clone() }
    }
}

/// Some of it, which counts until this is dropped.
#[derive(Debug)]
pub struct Held {
    count: u64,
    all: Tally,
}

impl Held {
    /// Counts so much more, unless all would be more than `max`. Whether it does.
    #[must_use]
    pub fn add(&mut self, count: u64, max: u64) -> bool {
        let more = |all: u64| all.checked_add(count).filter(|&all| all <= max);
        let is_added = self.all.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok();
        if is_added {
            self.count += count;
        }
        is_added
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.0.fetch_sub(self.count, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_counts_until_it_is_dropped() {
        let tally = Tally::default();
        let mut first = tally.take(2, 5).unwrap();
        assert!(first.add(2, 5) && !first.add(2, 5) && !first.add(u64::MAX, u64::MAX));
        let second = tally.take(1, 5).unwrap();
        assert!(tally.take(1, 5).is_none() && tally.take(0, 5).is_some());
        assert_eq!(tally.count(), 5);
        drop(first);
        assert_eq!(tally.count(), 1);
        drop(second);
        assert_eq!(tally.count(), 0);
    }
}
