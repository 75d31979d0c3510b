//! What nobody can foresee.

/// Random bytes.
#[must_use]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the kernel's random source does not fail once it is up");
    bytes
}

/// A random number.
#[must_use]
pub fn number() -> u64 {
    u64::from_be_bytes(bytes())
}
