//! How many connections and requests there are, how many there may be, and what is counted of those that met
//! a limit.

use super::tally::{Held, Tally};
use crate::meters::{Counter, Exposition, Kind};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often the log says that connections are refused.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// How much of an IPv6 address counts as one client.
const V6_CLIENT: u128 = !0 << 64;

/// A limit on connections and requests, by the name of its setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Connections in all.
    Connections,
    /// Connections of one client.
    PerAddress,
    /// The time of a handshake.
    Handshake,
    /// Requests at a time.
    InFlight,
    /// The time without a byte of a body.
    BodyIdle,
    /// The rate of a body.
    BodyRate,
    /// The time in which nothing of an answer is taken.
    WriteStall,
    /// The time of a connection without a request.
    KeepAlive,
}

impl Limit {
    const ALL: [Self; 8] = [
        Self::Connections,
        Self::PerAddress,
        Self::Handshake,
        Self::InFlight,
        Self::BodyIdle,
        Self::BodyRate,
        Self::WriteStall,
        Self::KeepAlive,
    ];

    /// Its setting.
    #[must_use]
    pub const fn setting(self) -> &'static str {
        match self {
            Self::Connections => "connections_max",
            Self::PerAddress => "connections_per_address_max",
            Self::Handshake => "tls_handshake_secs",
            Self::InFlight => "requests_in_flight_max",
            Self::BodyIdle => "body_idle_secs",
            Self::BodyRate => "body_min_bytes_per_sec",
            Self::WriteStall => "write_stall_secs",
            Self::KeepAlive => "keep_alive_secs",
        }
    }
}

/// What is counted of connections and of limits since the start.
#[derive(Debug, Default)]
pub struct Limits {
    met: [Counter; Limit::ALL.len()],
    /// Connections of clients that were accepted and let in.
    accepted: Counter,
    open: AtomicU64,
    /// Handshakes that failed by what the client sent.
    pub handshakes_failed: Counter,
    in_flight: Tally,
    /// Requests whose bodies are awaited: how long that takes is their clients' to say, so they have room of
    /// their own and keep nobody from pulling.
    bodies: Tally,
}

impl Limits {
    /// Counts that a limit was met.
    pub fn note(&self, limit: Limit) {
        self.met[limit as usize].add(1);
    }

    /// Begins a request, unless there are `max` already: of those with bodies, or of those without.
    #[must_use]
    pub fn begin(&self, has_body: bool, max: u64) -> Option<Held> {
        let requests = if has_body { &self.bodies } else { &self.in_flight };
        let begun = requests.take(1, max);
        if begun.is_none() {
            self.note(Limit::InFlight);
        }
        begun
    }

    /// Writes all of it.
    pub fn expose(&self, page: &mut Exposition) {
        page.counter("wharfinger_connections_total", "Connections that were let in.", self.accepted.get());
        page.gauge(
            "wharfinger_connections_open",
            "Connections that are open.",
            self.open.load(Ordering::Relaxed),
        );
        let help = "Requests whose answer has not begun.";
        page.gauge("wharfinger_http_requests_in_flight", help, self.in_flight.count() + self.bodies.count());
        let help = "Handshakes of TLS that failed by what the client sent or was sent.";
        page.counter("wharfinger_tls_handshakes_failed_total", help, self.handshakes_failed.get());
        let name = "wharfinger_limits_met_total";
        let help = "Connections and requests that were refused or ended by a limit, by its setting.";
        page.family(name, Kind::Counter, help);
        for limit in Limit::ALL {
            page.sample(name, &[("limit", limit.setting())], self.met[limit as usize].get());
        }
    }
}

/// Lets the connections of a listener in.
pub struct Gate {
    limits: Arc<Limits>,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    all: u64,
    by_client: HashMap<IpAddr, u64>,
    /// When the log was last told, and how many were refused since then.
    told: Option<Instant>,
    untold: u64,
}

impl Gate {
    /// An empty one.
    #[must_use]
    pub fn new(limits: Arc<Limits>) -> Self {
        Self { limits, inside: Mutex::default() }
    }

    /// Lets a connection in, unless there are `max` already or `client_max` of the same client. A client of
    /// which nothing is known, or who is not to be counted, is none.
    pub fn enter(self: &Arc<Self>, client: Option<IpAddr>, max: u64, client_max: u64) -> Option<Entry> {
        let client = client.map(client_of);
        let mut inside = self.lock();
        let same = client.and_then(|client| inside.by_client.get(&client).copied()).unwrap_or(0);
        let met = match (inside.all >= max, same >= client_max) {
            (true, _) => Limit::Connections,
            (false, true) => Limit::PerAddress,
            (false, false) => {
                inside.all += 1;
                client.map(|client| inside.by_client.insert(client, same + 1));
                drop(inside);
                self.limits.accepted.add(1);
                self.limits.open.fetch_add(1, Ordering::Relaxed);
                return Some(Entry { gate: Arc::clone(self), client });
            }
        };
        self.limits.note(met);
        inside.tell(met, client);
        None
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inside> {
        // Nothing panics between two changes that belong together.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn tell(&mut self, met: Limit, client: Option<IpAddr>) {
        self.untold += 1;
        if self.told.is_some_and(|at| at.elapsed() < TOLD_EVERY) {
            return;
        }
        let client = client.map_or_else(|| "an unknown client".to_owned(), |client| client.to_string());
        log::warn!(
            "connections are refused, {} since this was last said; now one of {client}, by {} ({} are open)",
            self.untold,
            met.setting(),
            self.all
        );
        self.told = Some(Instant::now());
        self.untold = 0;
    }
}

/// Whom an address belongs to: whoever has one of IPv6 has the 2^64 of its network, too.
#[must_use]
pub fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & V6_CLIENT).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// A connection that was let in, until it is dropped.
pub struct Entry {
    gate: Arc<Gate>,
    client: Option<IpAddr>,
}

impl Entry {
    /// Where it is counted that a limit was met.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.gate.limits
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut inside = self.gate.lock();
        inside.all -= 1;
        if let Some(client) = self.client {
            // It is there since this was let in.
            let left = inside.by_client.get(&client).map_or(0, |count| count - 1);
            if left == 0 {
                inside.by_client.remove(&client);
            } else {
                inside.by_client.insert(client, left);
            }
        }
        drop(inside);
        self.gate.limits.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn no_more_are_let_in_than_there_may_be() {
        let limits = Arc::<Limits>::default();
        let gate = Arc::new(Gate::new(Arc::clone(&limits)));
        let enter = |client| gate.enter(client, 4, 2);
        let first = enter(Some(address("192.0.2.1"))).unwrap();
        let second = enter(Some(address("::ffff:192.0.2.1"))).unwrap();
        assert!(enter(Some(address("192.0.2.1"))).is_none());
        let third = enter(Some(address("2001:db8::1"))).unwrap();
        let fourth = enter(None).unwrap();
        assert!(enter(None).is_none() && enter(Some(address("192.0.2.9"))).is_none());
        let met = |limit: Limit| limits.met[limit as usize].get();
        assert_eq!((met(Limit::PerAddress), met(Limit::Connections)), (1, 2));
        drop((first, fourth));
        let again = enter(Some(address("192.0.2.1"))).unwrap();
        drop((second, third, again));
        assert_eq!(limits.open.load(Ordering::Relaxed), 0);
        let inside = gate.lock();
        assert!(inside.all == 0 && inside.by_client.is_empty(), "nothing is kept of those that are gone");
    }

    #[test]
    fn those_who_are_not_counted_have_no_limit_of_their_own() {
        let gate = Arc::new(Gate::new(Arc::default()));
        let inside: Vec<_> = (0..5).map(|_| gate.enter(None, 5, 1).unwrap()).collect();
        assert!(gate.enter(None, 5, 1).is_none());
        drop(inside);
    }

    #[test]
    fn a_client_of_ipv6_is_its_network() {
        let gate = Arc::new(Gate::new(Arc::default()));
        let _one = gate.enter(Some(address("2001:db8::1")), 9, 1).unwrap();
        assert!(gate.enter(Some(address("2001:db8::ffff:1")), 9, 1).is_none());
        assert!(gate.enter(Some(address("2001:db8:0:1::1")), 9, 1).is_some());
    }

    #[test]
    fn requests_are_counted_until_they_are_dropped() {
        let limits = Arc::<Limits>::default();
        let one = limits.begin(false, 1);
        assert!(one.is_some() && limits.begin(false, 1).is_none());
        drop(one);
        assert!(limits.begin(false, 1).is_some());
        for (i, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit as usize, i);
            assert!(crate::config::Setting::named(limit.setting()).is_some(), "{}", limit.setting());
        }
    }
}
