//! Bytes to push, and their digests.

use sha2::{Digest as _, Sha256, Sha512};

/// `length` bytes that depend on nothing but `seed`, and that no two seeds share.
pub fn random(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed ^ 0x5bd1_e995_9d1b_54a5;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend_from_slice(&(word ^ (word >> 31)).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// `sha256:<hex>` of `bytes`.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", base16ct::lower::encode_string(&Sha256::digest(bytes)))
}

/// `sha512:<hex>` of `bytes`.
pub fn digest_sha512(bytes: &[u8]) -> String {
    format!("sha512:{}", base16ct::lower::encode_string(&Sha512::digest(bytes)))
}

/// The part of a digest behind its algorithm.
pub fn hex(digest: &str) -> &str {
    digest.split_once(':').expect("a digest has an algorithm").1
}

/// A well-formed digest of nothing that any test pushes.
pub fn digest_of_nothing_here() -> String {
    format!("sha256:{}", "0".repeat(64))
}
