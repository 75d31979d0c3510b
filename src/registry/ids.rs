//! Random numbers that are drawn before a write begins, since a write draws none itself.

use crate::oci::SessionId;
use crate::store::RepoId;

/// A session id that was never used and never will be again.
pub fn session() -> SessionId {
    SessionId::from_bytes(random())
}

/// A number for a repository, if it should turn out to be new.
pub fn repository() -> RepoId {
    RepoId(u64::from_be_bytes(random()))
}

/// A number that tells rows of one time apart.
pub fn number() -> u32 {
    u32::from_be_bytes(random())
}

/// Random bytes.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the kernel's random source does not fail once it is up");
    bytes
}
