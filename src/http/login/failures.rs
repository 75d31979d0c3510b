//! Logins that failed, by the address they came from: each takes longer than the one before, and after some
//! nothing is checked for a while.

use crate::config::Settings;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The delay of the first failure; each further one doubles it.
const FIRST_DELAY: Duration = Duration::from_millis(50);

/// The addresses that are counted at once. Of more, none is counted: that many have other ways to be a
/// nuisance, and those that were counted stay so.
const ADDRESSES_MAX: usize = 100_000;

/// The failures of one address.
struct Count {
    since: Instant,
    failures: u64,
}

/// The failures of a short time.
#[derive(Default)]
pub struct Failures(Mutex<HashMap<IpAddr, Count>>);

impl Failures {
    /// For how long nothing from the address is checked; none: it may try.
    pub fn wait(&self, address: Option<IpAddr>, settings: &Settings, now: Instant) -> Option<Duration> {
        let window = Duration::from_secs(settings.failed_logins_secs);
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.get(&network(address?))?;
        let ends = count.since + window;
        (count.failures >= settings.failed_logins_max && now < ends).then(|| ends - now)
    }

    /// Counts a failure; says how long its answer is to wait.
    pub fn note(&self, address: Option<IpAddr>, settings: &Settings, now: Instant) -> Duration {
        let Some(address) = address.map(network) else { return FIRST_DELAY };
        let window = Duration::from_secs(settings.failed_logins_secs);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= ADDRESSES_MAX {
            counts.retain(|_, count| now < count.since + window);
        }
        if counts.len() >= ADDRESSES_MAX && !counts.contains_key(&address) {
            return FIRST_DELAY;
        }
        let count = counts.entry(address).or_insert(Count { since: now, failures: 0 });
        if now >= count.since + window {
            *count = Count { since: now, failures: 0 };
        }
        count.failures += 1;
        let doublings = u32::try_from(count.failures - 1).unwrap_or(u32::MAX).min(10);
        let longest = Duration::from_millis(settings.failed_login_delay_max_ms);
        (FIRST_DELAY * 2u32.pow(doublings)).min(longest)
    }
}

/// The answers that wait because they are to wrong logins. Each is a request that is worked on, and those of
/// other callers must find room beside them.
#[derive(Debug, Default)]
pub struct Delayed(AtomicU64);

/// An answer that waits, until it is dropped: also when its caller went away.
pub struct Waiting<'a>(&'a AtomicU64);

impl Delayed {
    /// Lets one more wait, unless there are too many.
    pub fn begin(&self, settings: &Settings) -> Option<Waiting<'_>> {
        // A quarter, so that the other requests keep most of their room.
        let max = settings.delayed_logins_max.min(settings.requests_in_flight_max / 4);
        let one_more = |count: u64| (count < max).then_some(count + 1);
        let begun = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        begun.ok().map(|_| Waiting(&self.0))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whom an address belongs to: whoever has one of IPv6 has the 2^64 of its network, too.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "as the callers have it")]
    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn each_failure_takes_longer_and_then_nothing_is_checked() {
        let settings =
            Settings { failed_logins_max: 3, failed_login_delay_max_ms: 150, ..Settings::default() };
        let (failures, now) = (Failures::default(), Instant::now());
        let one = address("192.0.2.1");
        let delays: Vec<_> = (0..3).map(|_| failures.note(one, &settings, now).as_millis()).collect();
        assert_eq!(delays, [50, 100, 150]);
        let window = Duration::from_secs(settings.failed_logins_secs);
        assert_eq!(failures.wait(one, &settings, now), Some(window));
        assert_eq!(failures.wait(address("192.0.2.2"), &settings, now), None, "another address");
        assert_eq!(failures.wait(one, &settings, now + window), None, "later");
        assert_eq!(failures.note(one, &settings, now + window).as_millis(), 50, "it begins anew");
        assert_eq!(failures.wait(None, &settings, now), None);
    }

    #[test]
    fn few_answers_wait_at_a_time() {
        let settings = Settings { delayed_logins_max: 2, ..Settings::default() };
        let delayed = Delayed::default();
        let first = delayed.begin(&settings);
        let second = delayed.begin(&settings);
        assert!(first.is_some() && second.is_some() && delayed.begin(&settings).is_none());
        drop(first);
        assert!(delayed.begin(&settings).is_some(), "its room is free again");
        // `second` is still there: no more than a quarter of the requests, whatever the setting says.
        let few = Settings { requests_in_flight_max: 4, ..settings.clone() };
        assert!(delayed.begin(&few).is_none());
        drop(second);
        assert!(delayed.begin(&few).is_some());
        let none = Settings { requests_in_flight_max: 3, ..settings };
        assert!(delayed.begin(&none).is_none());
    }

    #[test]
    fn a_network_of_version_6_is_one_caller() {
        let settings = Settings { failed_logins_max: 1, ..Settings::default() };
        let (failures, now) = (Failures::default(), Instant::now());
        failures.note(address("2001:db8::1"), &settings, now);
        assert!(failures.wait(address("2001:db8::2:3"), &settings, now).is_some());
        assert!(failures.wait(address("2001:db8:0:1::1"), &settings, now).is_none());
        failures.note(address("::ffff:192.0.2.1"), &settings, now);
        assert!(failures.wait(address("192.0.2.1"), &settings, now).is_some());
        assert!(failures.wait(address("192.0.2.2"), &settings, now).is_none());
    }
}
