//! Numbers that nobody can foresee.

/// A random number.
#[must_use]
pub fn number() -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("the kernel's random source does not fail once it is up");
    u64::from_be_bytes(bytes)
}
