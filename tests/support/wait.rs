//! Waiting for a condition. The only place in the tests that sleeps.

use std::time::{Duration, Instant};

/// Long enough for a loaded machine, short enough for a person.
pub const PATIENCE: Duration = Duration::from_secs(20);

const PAUSE: Duration = Duration::from_millis(20);

/// Asks `probe` until it has an answer. Panics with `what` when `PATIENCE` is over.
pub fn until<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    every(PAUSE, what, probe)
}

/// As `until`, with a longer pause: for probes that are themselves activity and would keep a thing alive.
pub fn every<T>(pause: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = probe() {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain for {what}");
        std::thread::sleep(pause);
    }
}

/// `until` for a condition that has no value.
pub fn until_true(what: &str, mut probe: impl FnMut() -> bool) {
    until(what, || probe().then_some(()));
}

/// Gives others a moment, where there is nothing to do just now: for loops that end by a condition.
pub fn briefly() {
    std::thread::sleep(PAUSE);
}
