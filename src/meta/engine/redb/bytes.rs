//! Numbers and checksums as they stand in the files of the ledger: big-endian, SHA-256 cut to 16 bytes.

use sha2::{Digest as _, Sha256};

/// Appends a number.
pub fn put(out: &mut Vec<u8>, number: u64) {
    out.extend(number.to_be_bytes());
}

/// The checksum of parts, one after the other.
pub fn checksum(parts: &[&[u8]]) -> [u8; 16] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    let whole = hasher.finalize();
    let mut cut = [0; 16];
    cut.copy_from_slice(&whole[..16]);
    cut
}

/// Reads one thing after the other; nothing where there is not enough left.
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// A length that has to fit into what is left, so that nothing is made room for that is not there.
    pub fn len(&mut self) -> Option<usize> {
        let len = usize::try_from(self.u32()?).ok()?;
        (len <= self.0.len()).then_some(len)
    }
}
