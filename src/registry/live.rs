//! Which sessions are being written to right now.
//!
//! Nothing here decides whether a session exists: that is the ledger's to say.

use crate::oci::SessionId;
use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The sessions that a request holds.
#[derive(Default, Clone)]
pub struct LiveUploads(Arc<Shared>);

#[derive(Default)]
struct Shared {
    claimed: Mutex<HashSet<SessionId>>,
    /// Told when the last claim ends.
    none_left: Condvar,
}

impl LiveUploads {
    /// Takes a session for writing. None: it is taken.
    pub fn claim(&self, session: SessionId) -> Option<Claim> {
        self.lock().insert(session).then(|| Claim { session, live: self.clone() })
    }

    /// Whether a request holds the session.
    pub fn is_claimed(&self, session: SessionId) -> bool {
        self.lock().contains(&session)
    }

    /// How many sessions are being written to.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// Waits until there is no claim, but not longer than `limit`: says whether there is none.
    pub fn wait_until_none(&self, limit: Duration) -> bool {
        let waited = self.0.none_left.wait_timeout_while(self.lock(), limit, |claimed| !claimed.is_empty());
        let (claimed, _) = waited.unwrap_or_else(PoisonError::into_inner);
        claimed.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<SessionId>> {
        // Every critical section is one operation of the set: a panic cannot leave it half done.
        self.0.claimed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to write to a session. It ends when this is dropped.
pub struct Claim {
    session: SessionId,
    live: LiveUploads,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut claimed = self.live.lock();
        let was_held = claimed.remove(&self.session);
        debug_assert!(was_held, "a claim is the only one of its session");
        if claimed.is_empty() {
            self.live.0.none_left.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_request_at_a_time() {
        let live = LiveUploads::default();
        let (one, other) = (SessionId::from_bytes([1; 16]), SessionId::from_bytes([2; 16]));
        let claim = live.claim(one).unwrap();
        assert!(live.claim(one).is_none());
        assert!(live.claim(other).is_some());
        assert!(live.is_claimed(one) && !live.is_claimed(other));
        assert_eq!(live.count(), 1);
        assert!(!live.wait_until_none(Duration::ZERO));
        drop(claim);
        assert!(live.wait_until_none(Duration::ZERO));
        assert!(live.claim(one).is_some());
    }
}
