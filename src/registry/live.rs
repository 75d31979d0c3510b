//! Which sessions are being written to right now.
//!
//! Nothing here decides whether a session exists: that is the ledger's to say.

use crate::oci::SessionId;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The sessions that a request holds.
#[derive(Default, Clone)]
pub struct LiveUploads(Arc<Mutex<HashSet<SessionId>>>);

impl LiveUploads {
    /// Takes a session for writing. None: it is taken.
    pub fn claim(&self, session: SessionId) -> Option<Claim> {
        self.lock().insert(session).then(|| Claim { session, live: self.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<SessionId>> {
        // Every critical section is one operation of the set: a panic cannot leave it half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to write to a session. It ends when this is dropped.
pub struct Claim {
    session: SessionId,
    live: LiveUploads,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let was_held = self.live.lock().remove(&self.session);
        debug_assert!(was_held, "a claim is the only one of its session");
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
        drop(claim);
        assert!(live.claim(one).is_some());
    }
}
