//! Random numbers that are drawn before a write begins, since a write draws none itself.

use crate::oci::SessionId;
use crate::random;
use crate::store::RepoId;

/// A session id that was never used and never will be again.
pub fn session() -> SessionId {
    SessionId::from_bytes(random::bytes())
}

/// A number for a repository, if it should turn out to be new.
pub fn repository() -> RepoId {
    RepoId(random::number())
}

/// A number that tells rows of one time apart.
pub fn number() -> u32 {
    u32::from_be_bytes(random::bytes())
}
