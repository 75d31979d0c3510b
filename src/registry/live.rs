//! Which sessions are being written to right now, and the hash of those that are not.
//!
//! Nothing here decides whether a session exists: that is the ledger's to say. What is lost here, by a
//! restart or a failed request, is read again from the session's file.

use crate::oci::{Hasher, SessionId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

enum Live {
    /// A request holds it.
    Claimed,
    /// Nobody does; the hash of its first `offset` bytes.
    Idle { offset: u64, hasher: Box<Hasher> },
}

/// The live sessions.
#[derive(Default, Clone)]
pub struct LiveUploads(Arc<Mutex<HashMap<SessionId, Live>>>);

impl LiveUploads {
    /// Takes a session for writing, with the offset and hash it was left at where they are known. None: it is
    /// taken.
    pub fn claim(&self, session: SessionId) -> Option<(Claim, Option<(u64, Hasher)>)> {
        let known = match self.lock().insert(session, Live::Claimed) {
            Some(Live::Claimed) => return None,
            Some(Live::Idle { offset, hasher }) => Some((offset, *hasher)),
            None => None,
        };
        Some((Claim { session, live: self.clone(), left_at: None }, known))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Live>> {
        // Every critical section is one map operation: a panic cannot leave it half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to write to a session. It ends when this is dropped.
pub struct Claim {
    session: SessionId,
    live: LiveUploads,
    left_at: Option<(u64, Hasher)>,
}

impl Claim {
    /// Ends the claim of a session that goes on, and keeps its hash for the next request.
    pub fn leave(mut self, offset: u64, hasher: Hasher) {
        self.left_at = Some((offset, hasher));
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut live = self.live.lock();
        match self.left_at.take() {
            Some((offset, hasher)) => {
                live.insert(self.session, Live::Idle { offset, hasher: Box::new(hasher) })
            }
            None => live.remove(&self.session),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Algorithm;

    #[test]
    fn one_request_at_a_time_and_the_hash_comes_back() {
        let live = LiveUploads::default();
        let session = SessionId::from_bytes([1; 16]);
        let (claim, known) = live.claim(session).unwrap();
        assert!(known.is_none());
        assert!(live.claim(session).is_none());
        claim.leave(3, Hasher::new(Algorithm::Sha256));
        let (claim, known) = live.claim(session).unwrap();
        assert_eq!(known.map(|(offset, _)| offset), Some(3));
        drop(claim);
        let (_claim, known) = live.claim(session).unwrap();
        assert!(known.is_none(), "a claim that was not left tells nothing");
    }
}
