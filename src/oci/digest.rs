//! Content digests: parsing, printing and computing them (image-spec, descriptor.md, "Digests").

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::Digest as _;
use sha2::digest::common::hazmat::SerializableState;
use thiserror::Error;

/// The longest digest of any [`Algorithm`].
const BYTES_MAX: usize = 64;

/// A digest algorithm that this registry verifies. Any other is refused: a digest that cannot be recomputed
/// proves nothing (image-spec, descriptor.md, "Registered algorithms").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// SHA-256 (FIPS 180-4), which every implementation must support.
    Sha256,
    /// SHA-512 (FIPS 180-4), optional in the specification.
    Sha512,
}

impl Algorithm {
    /// Every algorithm, in the order of [`Algorithm::id`].
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// The algorithm with this name, or `None` where it is not supported.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    /// The name in front of the colon of a digest.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// How many bytes a digest has; its hexadecimal form has twice as many.
    #[must_use]
    pub const fn byte_len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    /// The byte that stands for this algorithm in keys on disk. It never changes.
    #[must_use]
    pub const fn id(self) -> u8 {
        match self {
            Self::Sha256 => 1,
            Self::Sha512 => 2,
        }
    }

    /// The algorithm that [`Algorithm::id`] wrote.
    #[must_use]
    pub fn from_id(id: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.id() == id)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a string is not a digest that this registry accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DigestError {
    /// Not of the form `algorithm:encoded`, or of the wrong length or alphabet for its algorithm.
    #[error(
        "malformed digest: expected \"sha256:\" and 64, or \"sha512:\" and 128, lower-case hexadecimal digits"
    )]
    Malformed,
    /// Well formed by the grammar of the specification, but of another algorithm.
    #[error("unsupported digest algorithm: expected sha256 or sha512")]
    UnsupportedAlgorithm,
}

/// The digest of some content: an algorithm and its output. Ordered as its bytes are ordered on disk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    /// Zero beyond the length of the algorithm, so that the derived comparisons are right.
    bytes: [u8; BYTES_MAX],
}

impl Digest {
    /// Reads `algorithm:hex`. Upper-case hexadecimal is refused: two spellings of one digest would be two
    /// keys (image-spec, descriptor.md: `encoded` must match `/[a-f0-9]{64}/`).
    pub fn parse(text: &str) -> Result<Self, DigestError> {
        let (name, encoded) = text.split_once(':').ok_or(DigestError::Malformed)?;
        let Some(algorithm) = Algorithm::parse(name) else {
            let well_formed = is_algorithm_name(name) && is_encoded_part(encoded);
            return Err(if well_formed { DigestError::UnsupportedAlgorithm } else { DigestError::Malformed });
        };
        if encoded.len() != algorithm.byte_len() * 2 {
            return Err(DigestError::Malformed);
        }
        let mut bytes = [0; BYTES_MAX];
        base16ct::lower::decode(encoded, &mut bytes[..algorithm.byte_len()])
            .map_err(|_| DigestError::Malformed)?;
        Ok(Self { algorithm, bytes })
    }

    /// The digest with these raw bytes, or `None` where their number does not fit the algorithm.
    #[must_use]
    pub fn from_bytes(algorithm: Algorithm, raw: &[u8]) -> Option<Self> {
        if raw.len() != algorithm.byte_len() {
            return None;
        }
        let mut bytes = [0; BYTES_MAX];
        bytes[..raw.len()].copy_from_slice(raw);
        Some(Self { algorithm, bytes })
    }

    /// The digest of `content`.
    #[must_use]
    pub fn of(algorithm: Algorithm, content: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(content);
        hasher.finish()
    }

    /// The algorithm it was computed with.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The raw bytes, as many as [`Algorithm::byte_len`] says.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.algorithm.byte_len()]
    }

    /// The part behind the colon.
    #[must_use]
    pub fn hex(&self) -> String {
        base16ct::lower::encode_string(self.bytes())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0; BYTES_MAX * 2];
        let hex = base16ct::lower::encode_str(self.bytes(), &mut buffer).map_err(|_| fmt::Error)?;
        write!(f, "{}:{hex}", self.algorithm)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        Self::parse(text)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

/// The first byte of a kept state. sha2 keeps the form of the rest within 0.11 and promises nothing beyond:
/// another version of it means another byte here.
const STATE_OF_SHA2_0_11: u8 = 1;

/// Computes a [`Digest`] over content that arrives in pieces. A clone continues from the same state.
#[derive(Clone)]
pub struct Hasher(State);

#[derive(Clone)]
enum State {
    Sha256(sha2::Sha256),
    Sha512(sha2::Sha512),
}

impl Hasher {
    /// A hasher that has seen nothing yet.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
            Algorithm::Sha512 => State::Sha512(sha2::Sha512::new()),
        })
    }

    /// Adds the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        match &mut self.0 {
            State::Sha256(state) => state.update(piece),
            State::Sha512(state) => state.update(piece),
        }
    }

    /// The digest of all pieces.
    #[must_use]
    pub fn finish(self) -> Digest {
        let algorithm = self.algorithm();
        let digest = match self.0 {
            State::Sha256(state) => Digest::from_bytes(algorithm, &state.finalize()),
            State::Sha512(state) => Digest::from_bytes(algorithm, &state.finalize()),
        };
        digest.expect("a hash function returns as many bytes as its algorithm says")
    }

    /// The state as bytes (some 100 to 210), to go on from later by [`Hasher::restore`].
    #[must_use]
    pub fn state(&self) -> Vec<u8> {
        let mut bytes = vec![STATE_OF_SHA2_0_11];
        match &self.0 {
            State::Sha256(state) => bytes.extend_from_slice(&state.serialize()),
            State::Sha512(state) => bytes.extend_from_slice(&state.serialize()),
        }
        bytes
    }

    /// The hasher that [`Hasher::state`] was asked of. None where the bytes are no such state: the content
    /// then has to be read again.
    #[must_use]
    pub fn restore(algorithm: Algorithm, bytes: &[u8]) -> Option<Self> {
        let (&STATE_OF_SHA2_0_11, state) = bytes.split_first()? else { return None };
        let state = match algorithm {
            Algorithm::Sha256 => State::Sha256(sha2::Sha256::deserialize(state.try_into().ok()?).ok()?),
            Algorithm::Sha512 => State::Sha512(sha2::Sha512::deserialize(state.try_into().ok()?).ok()?),
        };
        Some(Self(state))
    }

    /// The algorithm given to [`Hasher::new`].
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self.0 {
            State::Sha256(_) => Algorithm::Sha256,
            State::Sha512(_) => Algorithm::Sha512,
        }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hasher").field(&self.algorithm()).finish()
    }
}

/// `component ([+._-] component)*` with components of lower-case letters and digits.
fn is_algorithm_name(name: &str) -> bool {
    name.split(['+', '.', '_', '-'])
        .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
}

/// `[a-zA-Z0-9=_-]+`
fn is_encoded_part(encoded: &str) -> bool {
    !encoded.is_empty()
        && encoded.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'=' | b'_' | b'-'))
}

#[cfg(test)]
mod tests;
