//! Logins that failed, by the address they came from: each takes longer than the one before, and after some
//! nothing is checked for a while.

use super::super::limits::client_of;
use super::super::tally::{Held, Tally};
use crate::config::Settings;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The delay of the first failure; each further one doubles it.
pub const FIRST_DELAY: Duration = Duration::from_millis(50);

/// How many are counted at once. Of more, none is counted: that many have other ways to be a nuisance, and
/// those that were counted stay so.
const COUNTED_MAX: usize = 100_000;

/// Whose logins are counted: an address as a whole, or one name that is tried from there. So what one client
/// does wrong again and again keeps no other behind the same address from logging in.
type Counted = (IpAddr, Option<u64>);

/// What is counted of one of them.
struct Count {
    since: Instant,
    /// Logins that were wrong, or that are being checked.
    failures: u64,
    /// Those that are being checked.
    pending: u64,
}

/// The wrong logins of a short time.
#[derive(Default)]
pub struct Failures {
    counts: Mutex<HashMap<Counted, Count>>,
    /// Names are counted by a hash that nobody outside can aim at.
    names: RandomState,
}

/// A login that is being checked. It counts as wrong until it is known to be right, so that many at once are
/// no way around the limit.
pub struct Attempt<'a> {
    failures: &'a Failures,
    counted: Vec<Counted>,
    /// How many of the name there were, with this one.
    number: u64,
    is_right: bool,
}

impl Failures {
    /// Begins to check a login, or says how long nothing of the kind is checked.
    pub fn begin(
        &self,
        address: Option<IpAddr>,
        name: &str,
        settings: &Settings,
        now: Instant,
    ) -> Result<Attempt<'_>, Duration> {
        let mut attempt = Attempt { failures: self, counted: Vec::new(), number: 1, is_right: false };
        let Some(client) = address.map(client_of) else { return Ok(attempt) };
        let window = Duration::from_secs(settings.failed_logins_secs);
        let limits = [
            ((client, Some(self.names.hash_one(name))), settings.failed_logins_max),
            ((client, None), settings.failed_logins_of_address_max.max(settings.failed_logins_max)),
        ];
        let mut counts = self.counts();
        if counts.len() + limits.len() > COUNTED_MAX {
            counts.retain(|_, count| count.pending > 0 || now < count.since + window);
        }
        for (counted, max) in &limits {
            let Some(count) = counts.get_mut(counted) else { continue };
            if now >= count.since + window {
                (count.since, count.failures) = (now, count.pending);
            }
            if count.failures >= *max {
                return Err((count.since + window).saturating_duration_since(now));
            }
            if counted.1.is_none() && count.pending >= settings.password_checks_of_address_max {
                return Err(Duration::from_secs(1));
            }
        }
        for (counted, _) in limits {
            if counts.len() >= COUNTED_MAX && !counts.contains_key(&counted) {
                continue;
            }
            let count = counts.entry(counted).or_insert(Count { since: now, failures: 0, pending: 0 });
            (count.failures, count.pending) = (count.failures + 1, count.pending + 1);
            if counted.1.is_some() {
                attempt.number = count.failures;
            }
            attempt.counted.push(counted);
        }
        Ok(attempt)
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<Counted, Count>> {
        // What is half done after a panic is a login more that counts as wrong.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    /// The login was right: it does not count.
    pub fn was_right(mut self) {
        self.is_right = true;
    }

    /// How long the answer is to wait, if the login was wrong: each of a name longer than the one before.
    #[must_use]
    pub fn delay(&self, settings: &Settings) -> Duration {
        let doublings = u32::try_from(self.number - 1).unwrap_or(u32::MAX).min(10);
        let longest = Duration::from_millis(settings.failed_login_delay_max_ms);
        (FIRST_DELAY * 2u32.pow(doublings)).min(longest)
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let mut counts = self.failures.counts();
        for counted in &self.counted {
            if let Some(count) = counts.get_mut(counted) {
                count.pending = count.pending.saturating_sub(1);
                count.failures = count.failures.saturating_sub(u64::from(self.is_right));
            }
        }
    }
}

/// The answers that wait because they are to wrong logins. Each is a request that is worked on, and those of
/// other callers must find room beside them.
#[derive(Debug, Default)]
pub struct Delayed(Tally);

impl Delayed {
    /// Lets one more wait, unless there are too many. It counts until it is dropped: also when its caller
    /// went away.
    pub fn begin(&self, settings: &Settings) -> Option<Held> {
        // A quarter, so that the other requests keep most of their room.
        let max = settings.delayed_logins_max.min(settings.requests_in_flight_max / 4);
        self.0.take(1, max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "as the callers have it")]
    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    /// A login of a name that is wrong: how long it waits, or how long nothing is checked.
    fn fail(
        failures: &Failures,
        address: Option<IpAddr>,
        name: &str,
        settings: &Settings,
        now: Instant,
    ) -> Result<u128, Duration> {
        failures.begin(address, name, settings, now).map(|attempt| attempt.delay(settings).as_millis())
    }

    #[test]
    fn each_failure_takes_longer_and_then_nothing_is_checked() {
        let settings =
            Settings { failed_logins_max: 3, failed_login_delay_max_ms: 150, ..Settings::default() };
        let (failures, now) = (Failures::default(), Instant::now());
        let one = address("192.0.2.1");
        let delays: Vec<_> = (0..3).map(|_| fail(&failures, one, "alice", &settings, now)).collect();
        assert_eq!(delays, [Ok(50), Ok(100), Ok(150)]);
        let window = Duration::from_secs(settings.failed_logins_secs);
        assert_eq!(fail(&failures, one, "alice", &settings, now), Err(window));
        assert_eq!(fail(&failures, one, "bob", &settings, now), Ok(50), "another name");
        assert_eq!(fail(&failures, address("192.0.2.2"), "alice", &settings, now), Ok(50), "another address");
        assert_eq!(fail(&failures, one, "alice", &settings, now + window), Ok(50), "it begins anew");
        assert_eq!(fail(&failures, None, "alice", &settings, now), Ok(50));
    }

    #[test]
    fn an_address_has_a_limit_of_its_own() {
        let settings =
            Settings { failed_logins_max: 2, failed_logins_of_address_max: 5, ..Settings::default() };
        let (failures, now, one) = (Failures::default(), Instant::now(), address("192.0.2.1"));
        for number in 0..5 {
            assert!(fail(&failures, one, &format!("name {number}"), &settings, now).is_ok());
        }
        assert!(fail(&failures, one, "another", &settings, now).is_err());
    }

    #[test]
    fn what_is_being_checked_counts_and_what_was_right_does_not() {
        let settings = Settings { failed_logins_max: 2, ..Settings::default() };
        let (failures, now, one) = (Failures::default(), Instant::now(), address("192.0.2.1"));
        let begin = || failures.begin(one, "alice", &settings, now);
        let (first, second) = (begin().ok().unwrap(), begin().ok().unwrap());
        assert!(begin().is_err(), "two are on their way");
        first.was_right();
        second.was_right();
        for _ in 0..10 {
            begin().ok().unwrap().was_right();
        }
        let few = Settings { password_checks_of_address_max: 1, ..Settings::default() };
        let held = failures.begin(one, "alice", &few, now).ok().unwrap();
        assert_eq!(failures.begin(one, "bob", &few, now).err(), Some(Duration::from_secs(1)));
        drop(held);
        assert!(failures.begin(one, "bob", &few, now).is_ok());
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
        let fails = |text: &str| fail(&failures, address(text), "alice", &settings, now).is_ok();
        assert!(fails("2001:db8::1") && !fails("2001:db8::2:3") && fails("2001:db8:0:1::1"));
        assert!(fails("::ffff:192.0.2.1") && !fails("192.0.2.1") && fails("192.0.2.2"));
    }
}
